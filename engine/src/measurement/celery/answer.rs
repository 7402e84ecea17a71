//! What one round of questions has shown: who works on what, who serves which queue, who was silent.
//!
//! Who is silent is never called free, and what they do is unknown: of the queues they serve, if that is known from an
//! earlier round, else of all.
//!
//! Source: `Request.info` in Celery's `worker/request.py`, `Queue.as_dict` in kombu's `entity.py` (5.7).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::message::moment;

/// A task that a worker runs, or holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// The exchange it was sent to.
    pub exchange: String,
    /// The key it was sent with.
    pub routing_key: String,
    /// Whether the broker has already forgotten it (the default; not with `acks_late`).
    pub acknowledged: bool,
}

/// A task that a worker holds until its time comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The task.
    pub task: Running,
    /// When it may run.
    pub eta: Option<Timestamp>,
}

/// A queue that a worker serves, and how messages come into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The queue.
    pub queue: String,
    /// Its exchange.
    pub exchange: String,
    /// Whether its key is a pattern.
    pub is_topic: bool,
    /// The key that leads to it.
    pub routing_key: String,
}

/// What one worker says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worker {
    /// What it runs.
    pub active: Vec<Running>,
    /// The tasks that it holds for a free place. Nothing when it was not asked.
    pub reserved: Option<Vec<Running>>,
    /// The tasks that it holds until their time comes. Nothing when it was not asked.
    pub scheduled: Option<Vec<Planned>>,
    /// The queues it serves. Nothing when that is not known.
    pub routes: Option<Arc<[Route]>>,
}

impl Worker {
    /// Whether it runs something, or will at once.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.active.is_empty() || self.reserved.as_ref().is_some_and(|reserved| !reserved.is_empty())
    }

    fn serves(&self, is_ours: &impl Fn(&str) -> bool) -> bool {
        serves(self.routes.as_deref(), is_ours)
    }
}

fn serves(routes: Option<&[Route]>, is_ours: &impl Fn(&str) -> bool) -> bool {
    routes.is_some_and(|routes| routes.iter().any(|route| is_ours(&route.queue)))
}

/// What one round has shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// When the question was sent.
    pub asked_at: Timestamp,
    /// How many workers got the question, if the broker tells.
    pub listeners: Option<u64>,
    /// How many of them did not answer; where the broker does not tell how many there are, how many are missed.
    pub silent: u64,
    /// Those that did, by name: `worker@celery.3`.
    pub workers: BTreeMap<String, Worker>,
    /// Known from earlier rounds and not heard now: silent, or gone.
    pub missed: BTreeMap<String, Option<Arc<[Route]>>>,
}

/// How far what is in progress in some queues is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Everyone who serves them has answered.
    All,
    /// All but what these silent workers do, which serve these queues.
    But {
        /// The workers' names.
        workers: Vec<String>,
        /// The queues.
        queues: BTreeSet<String>,
    },
    /// Somebody did not answer who may serve any of them.
    Nothing,
}

impl Answer {
    /// The workers that serve at least one of our queues.
    pub fn serving<'a>(
        &'a self,
        is_ours: &'a impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&'a String, &'a Worker)> + 'a {
        self.workers.iter().filter(move |(_, worker)| worker.serves(is_ours))
    }

    /// How far what is in progress in our queues is known.
    #[must_use]
    pub fn known(&self, is_ours: &impl Fn(&str) -> bool) -> Known {
        if self.silent == 0 {
            return Known::All;
        }
        let (ours, others): (Vec<_>, Vec<_>) =
            self.missed.iter().partition(|(_, routes)| serves(routes.as_deref(), is_ours));
        let missed = u64::try_from(ours.len() + others.len()).unwrap_or(u64::MAX);
        if self.silent > missed {
            // Somebody who was never heard.
            return Known::Nothing;
        }
        if ours.is_empty() {
            return Known::All;
        }
        let queues = ours.iter().flat_map(|(_, routes)| routes.iter().flat_map(|routes| routes.iter()));
        Known::But {
            workers: ours.iter().map(|(name, _)| (*name).clone()).collect(),
            queues: queues.map(|route| route.queue.clone()).collect(),
        }
    }

    /// Whether everyone who is [`Answer::missed`] is there and silent, and none of them is gone.
    #[must_use]
    pub fn missed_are_silent(&self) -> bool {
        self.silent >= u64::try_from(self.missed.len()).unwrap_or(u64::MAX)
    }

    /// The queue that a task was sent to. Without a worker that says how keys lead to queues, the key is its name.
    #[must_use]
    pub fn queue_of<'a>(&'a self, exchange: &str, routing_key: &'a str) -> &'a str {
        let routes = self.workers.values().filter_map(|worker| worker.routes.as_deref()).flatten();
        let missed = self.missed.values().filter_map(|routes| routes.as_deref()).flatten();
        let leads = |route: &&Route| !exchange.is_empty() && route.exchange == exchange && route.takes(routing_key);
        routes.chain(missed).find(leads).map_or(routing_key, |route| &route.queue)
    }

    /// Every queue that some worker serves.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.workers.values().filter_map(|worker| worker.routes.as_deref()).flatten().map(|route| route.queue.as_str())
    }
}

impl Route {
    fn takes(&self, key: &str) -> bool {
        if self.is_topic { topic_matches(&self.routing_key, key) } else { self.routing_key == key }
    }
}

/// AMQP's patterns: words between dots, `*` is one word, `#` any number of words.
fn topic_matches(pattern: &str, key: &str) -> bool {
    fn words_match(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => {
                words_match(rest, key) || key.split_first().is_some_and(|(_, key)| words_match(pattern, key))
            }
            ([word, rest @ ..], [first, key @ ..]) => (*word == "*" || word == first) && words_match(rest, key),
            _ => false,
        }
    }
    let (pattern, key): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), key.split('.').collect());
    words_match(&pattern, &key)
}

/// What `active`, `reserved` and `scheduled` tell of a task. Source: `Request.info` in Celery's `worker/request.py`.
#[derive(Deserialize)]
pub(super) struct TaskInfo {
    id: String,
    #[serde(default)]
    acknowledged: bool,
    #[serde(default)]
    delivery_info: Option<DeliveryInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeliveryInfo {
    exchange: Option<String>,
    routing_key: Option<String>,
}

/// What `scheduled` tells of a task. Source: `_iter_schedule_requests` in Celery's `worker/control.py`.
#[derive(Deserialize)]
pub(super) struct PlannedInfo {
    #[serde(default)]
    eta: Value,
    request: TaskInfo,
}

impl From<PlannedInfo> for Planned {
    fn from(planned: PlannedInfo) -> Self {
        Self { eta: moment(&planned.eta), task: planned.request.into() }
    }
}

impl From<TaskInfo> for Running {
    fn from(task: TaskInfo) -> Self {
        let delivery = task.delivery_info.unwrap_or_default();
        Self {
            id: task.id,
            exchange: delivery.exchange.unwrap_or_default(),
            routing_key: delivery.routing_key.unwrap_or_default(),
            acknowledged: task.acknowledged,
        }
    }
}

/// What `active_queues` tells of a queue. Source: `Queue.as_dict` in kombu's `entity.py`.
#[derive(Deserialize)]
pub(super) struct QueueInfo {
    name: String,
    #[serde(default)]
    exchange: Option<ExchangeInfo>,
    #[serde(default)]
    routing_key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExchangeInfo {
    name: Option<String>,
    r#type: Option<String>,
}

impl From<QueueInfo> for Route {
    fn from(queue: QueueInfo) -> Self {
        let exchange = queue.exchange.unwrap_or_default();
        Self {
            queue: queue.name,
            is_topic: exchange.r#type.as_deref() == Some("topic"),
            exchange: exchange.name.unwrap_or_default(),
            routing_key: queue.routing_key.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_queues_as_the_workers_say() {
        let route = |queue: &str, exchange: &str, is_topic, key: &str| Route {
            queue: queue.into(),
            exchange: exchange.into(),
            is_topic,
            routing_key: key.into(),
        };
        let routes = [route("films", "media", true, "video.#"), route("sounds", "noise", false, "audio")];
        let worker = Worker { routes: Some(Arc::new(routes)), ..Worker::default() };
        let answer = Answer { workers: BTreeMap::from([("a".to_owned(), worker)]), ..Answer::default() };
        for (exchange, key, queue) in [
            ("media", "video.long.hd", "films"),
            ("media", "video", "films"),
            ("media", "audio", "audio"),
            ("noise", "audio", "sounds"),
            ("", "celery", "celery"),
        ] {
            assert_eq!(answer.queue_of(exchange, key), queue, "{exchange} {key}");
        }
        assert!(topic_matches("*.a.#", "x.a") && topic_matches("#.b", "a.a.b") && !topic_matches("*.a", "a"));
    }
}
