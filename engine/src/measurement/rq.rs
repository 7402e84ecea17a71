//! RQ's queues on Redis.
//!
//! A queue is a list of job ids (`rq:queue:NAME`, the first is next); the job's hash says since when it waits. Jobs in
//! progress are in a sorted set (`rq:wip:NAME`) whose scores say until when RQ believes in them, so those of a killed
//! worker expire. Jobs that are scheduled or to be retried later stand in `rq:scheduled:NAME`. Ids of deleted jobs may
//! stay in the list; as far as the next fifty items go they are not counted. `rq suspend` pauses all queues.
//! Source: RQ 3.0, `queue.py`, `registry.py`, `worker/base.py`, `suspension.py`.

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Worker,
    registry::{Backend, Problem},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Common, Look, Queue, Seen,
        conversation::{Conversation, Ticket},
        names::Names,
        redis_layout::{Count, Exists, Layout, Line, Schedule, Shape, Stamp, of_iso},
        site::{self, MOST_WORKERS, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// So many ids of deleted jobs in a row still let the oldest job be found.
const PEEK: u32 = 50;

/// Settings of `Rq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues. A name may hold `*` and `?`.
    pub queue_names: Vec<String>,
    /// What all keys begin with: `RQ_KEY_PREFIX` in the environment of RQ.
    pub prefix: String,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["default".to_owned()],
            prefix: "rq".to_owned(),
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// Queues of RQ.
pub struct Rq {
    site: Site,
    prefix: String,
}

impl Backend for Rq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Rq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::Workers));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site, prefix: settings.prefix }, &settings.common)))
    }
}

impl Rq {
    fn layout(&self, queue: &str) -> Layout {
        let prefix = &self.prefix;
        let list = format!("{prefix}:queue:{queue}");
        Layout {
            in_progress: Some(vec![
                Count::ExpiringSeconds(format!("{prefix}:wip:{queue}")),
                // Taken by a worker that has not begun yet.
                Count::List(format!("{list}:intermediate")),
            ]),
            lines: vec![Line {
                key: list,
                shape: Shape::ListFromLeft,
                stamp: Stamp::FieldsAt(format!("{prefix}:job:"), &["enqueued_at", "status"], |job| {
                    of_iso(&job["enqueued_at"])
                }),
                peek: PEEK,
            }],
            schedules: vec![Schedule {
                key: format!("{prefix}:scheduled:{queue}"),
                per_millisecond: 0.001,
                above: f64::NEG_INFINITY,
            }],
            paused: Some(Exists::Key(format!("{prefix}:suspended"))),
        }
    }

    /// The records of workers; their keys were asked for before.
    fn ask_workers(
        &self,
        keys: Ticket,
        conversation: &mut Conversation,
    ) -> Result<Vec<(String, Ticket)>, MeasureError> {
        let keys: Vec<String> = conversation.take(keys)?;
        let ask = |key: String| {
            let ticket = conversation.ask(&["HMGET", &key, "state", "death", "hostname", "queues", "birth"]);
            (key.trim_start_matches(&format!("{}:worker:", self.prefix)).to_owned(), ticket)
        };
        Ok(keys.into_iter().map(ask).collect())
    }

    /// A worker, unless it is dead, another process's, or of no process that is known and serving none of our queues.
    fn worker(
        &self,
        name: &str,
        record: Ticket,
        conversation: &mut Conversation,
    ) -> Result<Option<Worker>, MeasureError> {
        let [state, death, hostname, queues, birth]: [Option<String>; 5] = conversation.take(record)?;
        if death.is_some() || birth.is_none() {
            return Ok(None);
        }
        let hostname = hostname.unwrap_or_default();
        // A worker is free when it says so; while it starts, or is suspended, it has no job either.
        let busy = !matches!(state.as_deref(), Some("idle" | "started" | "suspended"));
        let worker = self.site.worker(&[name, &hostname], busy);
        let serves_us = queues.unwrap_or_default().split(',').any(|queue| self.site.names().mean(queue));
        Ok(worker.filter(|worker| worker.process.is_some() || serves_us))
    }
}

#[async_trait]
impl Look for Rq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let queues = self.site.listed(&format!("{}:queues", self.prefix), &format!("{}:queue:", self.prefix)).await?;
        let mut conversation = self.site.conversation();
        let mut asked_queues = self.site.ask(&queues, |queue| self.layout(queue), self.site.now(), &mut conversation);
        let workers = conversation.ask(&["SRANDMEMBER", &format!("{}:workers", self.prefix), MOST_WORKERS]);
        conversation.hear().await?;
        site::ask_for_stamps(&mut asked_queues, &mut conversation)?;
        let workers = self.ask_workers(workers, &mut conversation)?;
        conversation.hear().await?;
        let mut seen = site::seen(asked_queues, &mut conversation)?;
        let worker = |(name, record): (String, Ticket)| self.worker(&name, record, &mut conversation).transpose();
        seen.workers = Some(workers.into_iter().filter_map(worker).collect::<Result<_, _>>()?);
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
