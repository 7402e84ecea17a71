//! Dramatiq's queues on Redis.
//!
//! A queue is a list of message ids (`dramatiq:NAME`, the first is next), the messages are fields of `dramatiq:NAME.msgs`.
//! What a worker has fetched is in a set of its own (`dramatiq:__acks__.WORKER.NAME`): that is what it works on and what it
//! holds in advance, two messages per thread together with those, and nothing tells the one from the other. Workers are
//! found by their heartbeats, `dramatiq:__heartbeats__`; programs that only send are among them. What a dead worker had is
//! put back by any live one, so it counts as waiting. Delayed messages are in the list `NAME.DQ` until a worker fetches
//! them and keeps them in its memory until they are due; dead letters (`NAME.XQ`) do not count.
//! Source: Dramatiq 2.2, `brokers/redis.py`, `brokers/redis/dispatch.lua`, `worker.py`.

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Oldest, Queue, Seen,
        conversation::{Conversation, Ticket},
        names::Names,
        redis_layout::{self, Layout, Line, Shape, Stamp, age, number},
        site::{self, MOST_WORKERS, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// A worker that was not heard of for so long is offline. Source: `heartbeat_timeout` of Dramatiq's Redis broker.
const OFFLINE_AFTER_MILLISECONDS: f64 = 60_000.0;

/// As many workers that are gone are looked at for what they left.
const MOST_GONE: &str = "200";

/// Of as many delayed messages that no worker fetched it is looked up whether they are due.
const MOST_DELAYED: usize = 100;

/// Settings of `Dramatiq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues. A name may hold `*` and `?`.
    pub queue_names: Vec<String>,
    /// What all keys begin with: `namespace` of the `RedisBroker`.
    pub namespace: String,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["default".to_owned()],
            namespace: "dramatiq".to_owned(),
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// Queues of Dramatiq on Redis.
pub struct Dramatiq {
    site: Site,
    namespace: String,
}

impl Backend for Dramatiq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Dramatiq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::InProgress));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site, namespace: settings.namespace }, &settings.common)))
    }
}

/// What workers hold of one queue, and its delayed messages.
#[derive(Default)]
struct Held {
    /// Fetched by workers that live, and by workers that are gone.
    fetched: Vec<Ticket>,
    left: Vec<Ticket>,
    /// The same of delayed messages.
    delayed_fetched: Vec<Ticket>,
    delayed_left: Vec<Ticket>,
    /// Delayed messages that nobody fetched: how many, and the first of them.
    delayed: u64,
    messages: Vec<Ticket>,
}

impl Dramatiq {
    fn layout(&self, queue: &str) -> Layout {
        let key = format!("{}:{queue}", self.namespace);
        let stamp = Stamp::FieldOf(format!("{key}.msgs"), |message| number(&message["message_timestamp"]));
        Layout { lines: vec![Line { key, shape: Shape::ListFromLeft, stamp, peek: 2 }], ..Layout::default() }
    }

    fn ask_delayed(&self, queue: &str, conversation: &mut Conversation) -> [Ticket; 2] {
        let key = format!("{}:{queue}.DQ", self.namespace);
        let last = (MOST_DELAYED - 1).to_string();
        [conversation.ask(&["LLEN", &key]), conversation.ask(&["LRANGE", &key, "0", &last])]
    }

    fn ask_held(
        &self,
        queue: &str,
        [length, ids]: [Ticket; 2],
        alive: &[String],
        gone: &[String],
        conversation: &mut Conversation,
    ) -> Result<Held, MeasureError> {
        let namespace = &self.namespace;
        let mut held = Held { delayed: conversation.take(length)?, ..Held::default() };
        let ids: Vec<String> = conversation.take(ids)?;
        let messages = format!("{namespace}:{queue}.DQ.msgs");
        held.messages = ids.iter().map(|id| conversation.ask(&["HGET", &messages, id])).collect();
        for (workers, fetched, delayed) in
            [(alive, &mut held.fetched, &mut held.delayed_fetched), (gone, &mut held.left, &mut held.delayed_left)]
        {
            for worker in workers {
                let acks = format!("{namespace}:__acks__.{worker}.{queue}");
                fetched.push(conversation.ask(&["SCARD", &acks]));
                delayed.push(conversation.ask(&["SCARD", &format!("{acks}.DQ")]));
            }
        }
        Ok(held)
    }
}

impl Held {
    /// Adds what is held to the messages in the queue's list; how many of them workers that are gone left.
    fn add_to(self, queue: &mut Backlog, now: f64, conversation: &mut Conversation) -> Result<u64, MeasureError> {
        let mut sum = |tickets: Vec<Ticket>| {
            let mut counts = tickets.into_iter().map(|ticket| conversation.take::<u64>(ticket));
            counts.try_fold(0_u64, |sum, count| Ok::<u64, MeasureError>(sum.saturating_add(count?)))
        };
        let (fetched, left) = (sum(self.fetched)?, sum(self.left)?);
        let delayed_held = sum(self.delayed_fetched)?.saturating_add(sum(self.delayed_left)?);
        let (mut due, read, mut first) = (0_u64, self.messages.len() as u64, f64::INFINITY);
        for message in self.messages {
            let message: Option<Vec<u8>> = conversation.take(message)?;
            let message: Value = message.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
            if let Some(eta) = number(&message["options"]["eta"]).filter(|eta| *eta <= now) {
                (due, first) = (due + 1, first.min(eta));
            }
        }
        if self.delayed > read && read > 0 {
            let delayed = self.delayed;
            due = delayed.saturating_mul(due) / read;
            queue.estimate = Some(format!("waiting holds an estimate from {read} of {delayed} delayed messages"));
        }
        queue.waiting = queue.waiting.saturating_add(left).saturating_add(due);
        queue.in_progress = Some(fetched);
        queue.scheduled = Some(self.delayed.saturating_sub(due).saturating_add(delayed_held));
        if due > 0 {
            queue.oldest = queue.oldest.older(Oldest::Since(age(first, now)));
        }
        if left > 0 && queue.oldest == Oldest::Nothing {
            queue.oldest = Oldest::NoStamp;
        }
        Ok(left)
    }
}

/// The queue whose messages are there, if it is one that workers work on.
fn name(key: &str) -> Option<&str> {
    let queue = key.strip_suffix(".msgs")?;
    let queue = queue.strip_suffix(".DQ").unwrap_or(queue);
    (!queue.ends_with(".XQ")).then_some(queue)
}

#[async_trait]
impl Look for Dramatiq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let queues = self.site.found("hash", &format!("{}:", self.namespace), name).await?;
        let mut conversation = self.site.conversation();
        let moment = self.site.now();
        let now = redis_layout::milliseconds(moment);
        let mut asked_queues = self.site.ask(&queues, |queue| self.layout(queue), moment, &mut conversation);
        let delayed = queues.iter().map(|queue| self.ask_delayed(queue, &mut conversation));
        let delayed: Vec<[Ticket; 2]> = delayed.collect();
        let heartbeats = format!("{}:__heartbeats__", self.namespace);
        let last = format!("{:.0}", now - OFFLINE_AFTER_MILLISECONDS);
        let mut workers = |low: &str, high: &str, limit: &str| {
            conversation.ask(&["ZRANGEBYSCORE", &heartbeats, low, high, "LIMIT", "0", limit])
        };
        let (alive, gone) = (workers(&format!("({last}"), "+inf", MOST_WORKERS), workers("-inf", &last, MOST_GONE));
        conversation.hear().await?;

        site::ask_for_stamps(&mut asked_queues, &mut conversation)?;
        let (alive, gone): (Vec<String>, Vec<String>) = (conversation.take(alive)?, conversation.take(gone)?);
        let mut held = Vec::new();
        for (queue, delayed) in queues.iter().zip(delayed) {
            held.push((queue, self.ask_held(queue, delayed, &alive, &gone, &mut conversation)?));
        }
        conversation.hear().await?;

        let mut seen = site::seen(asked_queues, &mut conversation)?;
        for (name, held) in held {
            let Some(queue) = seen.queues.get_mut(name) else { continue };
            let left = held.add_to(queue, now, &mut conversation)?;
            if left > 0 {
                seen.notes
                    .push(format!("{left} waiting messages of queue {name:?} were left by workers that are gone"));
            }
        }
        Ok(seen)
    }

    fn sight(&self) -> Sight {
        Sight::InProgress
    }

    fn items(&self) -> &'static str {
        "messages"
    }

    fn place(&self) -> &str {
        self.site.server.shown()
    }
}
