//! SAQ's queues on Redis.
//!
//! A queue is a list of jobs' keys (`saq:NAME:queued`, the first is next), and jobs in progress are in another
//! (`saq:NAME:active`). `saq:NAME:incomplete` holds all jobs that are not finished, with the time as score of those that
//! are scheduled or to be retried, and 0 for the others; so its size is no number of waiting jobs. The job itself is JSON
//! under its key: `queued` in milliseconds, `scheduled` in seconds, and the worker that took it. Workers tell every ten
//! seconds that they are there. Source: SAQ 0.26, `queue/redis.py`, `worker.py`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Common, Look, Queue, Seen,
        conversation::Ticket,
        names::Names,
        redis_layout::{self, Count, Layout, Line, Schedule, Shape, Stamp, number, of_seconds},
        site::{self, MOST_WORKERS, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// Of as many jobs in progress the worker is looked up. With more, no worker is known to be free.
const MOST_ACTIVE: usize = 200;

/// Settings of `Saq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues. A name may hold `*` and `?`.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue_names: vec!["default".to_owned()], redis: RedisSettings::default(), common: Common::default() }
    }
}

/// Queues of SAQ.
pub struct Saq {
    site: Site,
}

impl Backend for Saq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Saq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::Workers));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site }, &settings.common)))
    }
}

fn layout(queue: &str) -> Layout {
    Layout {
        lines: vec![Line {
            key: format!("saq:{queue}:queued"),
            shape: Shape::ListFromLeft,
            // What the list holds is the job's whole key.
            stamp: Stamp::TextAt(String::new(), |job| {
                let queued = number(&job["queued"])?;
                Some(of_seconds(&job["scheduled"]).map_or(queued, |scheduled| scheduled.max(queued)))
            }),
            peek: 1,
        }],
        schedules: vec![Schedule { key: format!("saq:{queue}:incomplete"), per_millisecond: 0.001, above: 0.0 }],
        in_progress: Some(vec![Count::List(format!("saq:{queue}:active"))]),
        paused: None,
    }
}

#[async_trait]
impl Look for Saq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let queues = self.site.found("zset", "saq:", |rest| rest.strip_suffix(":incomplete")).await?;
        let mut conversation = self.site.conversation();
        let moment = self.site.now();
        let mut asked_queues = self.site.ask(&queues, layout, moment, &mut conversation);
        let now = format!("{:.0}", redis_layout::milliseconds(moment));
        let mut ask_queue = |queue: &String| {
            let stats = format!("saq:{queue}:stats");
            let workers = ["ZRANGEBYSCORE", &stats, &now, "+inf", "LIMIT", "0", MOST_WORKERS];
            let active = ["LRANGE", &format!("saq:{queue}:active"), "0", &MOST_ACTIVE.to_string()];
            (conversation.ask(&workers), conversation.ask(&active))
        };
        let asked: Vec<(Ticket, Ticket)> = queues.iter().map(&mut ask_queue).collect();
        conversation.hear().await?;

        site::ask_for_stamps(&mut asked_queues, &mut conversation)?;
        let (mut names, mut jobs, mut all_known) = (BTreeSet::new(), Vec::new(), true);
        for (workers, active) in asked {
            // `saq:QUEUE:worker_info:ID`; the id may hold colons.
            let ids: Vec<String> = conversation.take(workers)?;
            let id = |key: String| key.split_once(":worker_info:").map(|(_, id)| id.to_owned());
            names.extend(ids.into_iter().filter_map(id));
            let active: Vec<String> = conversation.take(active)?;
            all_known &= active.len() <= MOST_ACTIVE;
            jobs.extend(active.iter().take(MOST_ACTIVE).map(|job| conversation.ask(&["GET", job])));
        }
        conversation.hear().await?;

        let mut seen = site::seen(asked_queues, &mut conversation)?;
        let mut busy = BTreeSet::new();
        for job in jobs {
            let job: Option<Vec<u8>> = conversation.take(job)?;
            let job: Value = job.and_then(|job| serde_json::from_slice(&job).ok()).unwrap_or_default();
            match job["worker_id"].as_str() {
                // The worker writes its name a moment after it took the job.
                Some(worker) if job["status"] == "active" => busy.insert(worker.to_owned()),
                _ => std::mem::replace(&mut all_known, false),
            };
        }
        names.extend(busy.iter().cloned());
        let worker = |name: &String| self.site.worker(&[name], !all_known || busy.contains(name));
        seen.workers = Some(names.iter().filter_map(worker).collect());
        if !all_known {
            seen.notes.push("of some jobs in progress the worker is not known, so none is known to be free".to_owned());
        }
        Ok(seen)
    }

    fn sight(&self) -> Sight {
        Sight::Workers
    }

    fn items(&self) -> &'static str {
        "jobs"
    }

    fn place(&self) -> &str {
        self.site.server.shown()
    }
}
