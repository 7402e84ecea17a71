//! BullMQ's queues on Redis.
//!
//! A queue is a list of job ids (`bull:NAME:wait`, the last is next) and a sorted set of those with a priority
//! (`bull:NAME:prioritized`). Jobs whose time has not come stand in `bull:NAME:delayed`, with the milliseconds times 4096 as
//! score; jobs in progress in the list `bull:NAME:active`. A queue is paused by a field of its `meta`; before version 6 its
//! jobs were also moved to the list `paused`. A job in progress has a lock that its worker renews: without it the job has
//! stalled, and any live worker puts it back, so it counts as waiting. The job's hash holds the name of the worker, if the
//! worker has one. Workers are known by the names of their connections.
//! Source: BullMQ 6.7, `classes/queue-keys`, `classes/queue-getters`, `classes/redis-queue-backend`, `commands/*.lua`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use base64::{Engine, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Oldest, Queue, Seen,
        conversation::{Conversation, Ticket},
        names::Names,
        redis_layout::{Count, Exists, Layout, Line, Schedule, Shape, Stamp, number},
        site::{self, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// Of as many jobs in progress per queue it is looked up which worker has them and whether they have stalled.
const MOST_ACTIVE: usize = 200;

/// With more clients, Redis is not asked for the list of them: 300 bytes each.
const MOST_CLIENTS: u64 = 5000;

/// Delayed jobs of the same millisecond are kept apart by the rest of the score. Source: `getDelayedScore.lua`.
const SCORES_PER_MILLISECOND: f64 = 4096.0;

/// Settings of `Bullmq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues; BullMQ has no default name. A name may hold `*` and `?`.
    pub queue_names: Vec<String>,
    /// What all keys begin with: `prefix` of BullMQ's queues and workers.
    pub prefix: String,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: Vec::new(),
            prefix: "bull".to_owned(),
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// Queues of BullMQ.
pub struct Bullmq {
    site: Site,
    prefix: String,
}

impl Backend for Bullmq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Bullmq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::InProgress));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site, prefix: settings.prefix }, &settings.common)))
    }
}

/// A job in progress: the name of its worker, and whether it is locked.
struct Active {
    queue: String,
    worker: Ticket,
    lock: Ticket,
}

impl Bullmq {
    fn layout(&self, queue: &str) -> Layout {
        let key = |part: &str| format!("{}:{queue}:{part}", self.prefix);
        let stamp = Stamp::FieldsAt(key(""), &["timestamp", "opts", "processedOn"], due);
        let line = |part, shape| Line {
            key: key(part),
            shape,
            stamp: stamp.clone(),
            // Before version 5, the next item of `wait` may be a mark that is no job.
            peek: 2,
        };
        Layout {
            lines: vec![line("wait", Shape::ListFromRight), line("prioritized", Shape::SortedSet)],
            schedules: vec![Schedule {
                key: key("delayed"),
                per_millisecond: SCORES_PER_MILLISECOND,
                above: f64::NEG_INFINITY,
            }],
            in_progress: Some(vec![Count::List(key("active"))]),
            paused: Some(Exists::Field(key("meta"), "paused")),
        }
    }

    /// Asks who has the jobs in progress. Also says whether these are all.
    fn ask_active(
        &self,
        queue: &str,
        ids: Ticket,
        conversation: &mut Conversation,
    ) -> Result<(Vec<Active>, bool), MeasureError> {
        let ids: Vec<String> = conversation.take(ids)?;
        let ask = |id: &String| {
            let key = format!("{}:{queue}:{id}", self.prefix);
            let worker = conversation.ask(&["HGET", &key, "pb"]);
            Active { queue: queue.to_owned(), worker, lock: conversation.ask(&["EXISTS", &format!("{key}:lock")]) }
        };
        Ok((ids.iter().take(MOST_ACTIVE).map(ask).collect(), ids.len() <= MOST_ACTIVE))
    }

    /// How many clients Redis has; nothing when it does not tell.
    async fn clients(&self) -> Option<u64> {
        let info = self.site.ask_if_allowed(&["INFO", "clients"]).await?;
        info.lines().find_map(|line| line.strip_prefix("connected_clients:")?.trim().parse().ok())
    }

    /// The names of the workers that have connections; nothing when Redis does not tell. A worker without a name has an
    /// empty one.
    async fn connected(&self, clients: Option<u64>, queues: &[String]) -> Option<Vec<String>> {
        if clients.is_none_or(|clients| clients > MOST_CLIENTS) {
            return None;
        }
        let list = self.site.ask_if_allowed(&["CLIENT", "LIST"]).await?;
        let ours = |queue: &String| format!("{}:{}", self.prefix, BASE64_STANDARD.encode(queue));
        let ours: Vec<String> = queues.iter().map(ours).collect();
        let name = |line: &str| {
            let name = line.split(' ').find_map(|word| word.strip_prefix("name="))?;
            ours.iter().find_map(|queue| match name.strip_prefix(queue.as_str())? {
                "" => Some(String::new()),
                rest => rest.strip_prefix(":w:").map(str::to_owned),
            })
        };
        Some(list.lines().filter_map(name).collect())
    }
}

/// When a job became due: when it was made, plus its delay. A retried job waits since after its last try began.
fn due(job: &Value) -> Option<f64> {
    let made = number(&job["timestamp"])?;
    let options: Value = job["opts"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let due = made + number(&options["delay"]).unwrap_or(0.0);
    Some(number(&job["processedOn"]).map_or(due, |tried| tried.max(due)))
}

/// A job that has stalled waits: for how long is not known.
fn count_as_stalled(queue: &mut Backlog) {
    queue.in_progress = queue.in_progress.map(|count| count.saturating_sub(1));
    queue.waiting = queue.waiting.saturating_add(1);
    if queue.oldest == Oldest::Nothing {
        queue.oldest = Oldest::NoStamp;
    }
}

#[async_trait]
impl Look for Bullmq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let queues = self.site.found("hash", &format!("{}:", self.prefix), |rest| rest.strip_suffix(":meta")).await?;
        let mut conversation = self.site.conversation();
        let mut asked_queues = self.site.ask(&queues, |queue| self.layout(queue), self.site.now(), &mut conversation);
        let last = MOST_ACTIVE.to_string();
        let mut ids = Vec::new();
        for queue in queues.iter() {
            let key = format!("{}:{queue}:active", self.prefix);
            ids.push((queue, conversation.ask(&["LRANGE", &key, "0", &last])));
        }
        let (heard, clients) = tokio::join!(conversation.hear(), self.clients());
        heard?;

        site::ask_for_stamps(&mut asked_queues, &mut conversation)?;
        let (mut active, mut all_known) = (Vec::new(), true);
        for (queue, ids) in ids {
            let (of_queue, complete) = self.ask_active(queue, ids, &mut conversation)?;
            active.extend(of_queue);
            all_known &= complete;
        }
        let (heard, connected) = tokio::join!(conversation.hear(), self.connected(clients, &queues));
        heard?;

        let mut seen = site::seen(asked_queues, &mut conversation)?;
        let (mut busy, mut stalled) = (BTreeSet::new(), 0_u64);
        for job in active {
            let (worker, locked): (Option<String>, bool) =
                (conversation.take(job.worker)?, conversation.take(job.lock)?);
            let worker_lives =
                worker.as_ref().is_some_and(|worker| connected.iter().flatten().any(|name| name == worker));
            if !locked && let Some(queue) = seen.queues.get_mut(&job.queue) {
                count_as_stalled(queue);
                stalled += 1;
            }
            match worker {
                // A worker that does not come to renew its lock is the busier for it.
                Some(worker) if locked || worker_lives => _ = busy.insert(worker),
                Some(_) => {}
                None => all_known = false,
            }
        }
        if stalled > 0 {
            seen.notes
                .push(format!("{stalled} jobs in progress have stalled: they wait for a worker that puts them back"));
        }
        let Some(mut names) = connected else {
            seen.notes.push("Redis does not tell which workers are connected, so none is known to be free".to_owned());
            return Ok(seen);
        };
        names.extend(busy.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        let worker = |name: &String| self.site.worker(&[name], !all_known || busy.contains(name));
        seen.workers = Some(names.iter().filter_map(worker).collect());
        if !all_known {
            seen.notes.push("of some jobs in progress the worker is not known, so none is known to be free".to_owned());
        }
        Ok(seen)
    }

    fn sight(&self) -> Sight {
        // The list of connections may be refused.
        Sight::InProgress
    }

    fn items(&self) -> &'static str {
        "jobs"
    }

    fn place(&self) -> &str {
        self.site.server.shown()
    }
}
