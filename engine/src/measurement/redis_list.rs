//! How many items wait in a list on Redis, for queues that somebody made without a library.
//!
//! A list is all that is known, so every item counts as one that could start now. Since when the next one waits is known
//! if items are JSON with a time in them (`STAMP`); how many are in progress, if workers put what they take somewhere else
//! until it is done (`IN_PROGRESS_NAME`). A list that does not exist is an empty one: Redis knows no difference. One round
//! trip; of the items, at most the one that is served next is read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Names, Oldest, Queue, Seen,
        in_progress_name::InProgressName,
        names::Finder,
        redis_layout::{age, milliseconds, of_either_unit, of_iso},
    },
    value::Selector,
};
use crate::broker::redis::{Server, Settings as RedisSettings};

/// Settings of `RedisList`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The lists, by their keys. A name may hold `*` and `?`; then it means all lists that match, and new ones are found
    /// within a minute.
    pub queue_names: Vec<String>,
    /// The end where workers take items: `right` (`LPUSH` and `BRPOP`) or `left` (`RPUSH` and `BLPOP`).
    pub oldest: End,
    /// Where an item, which is JSON, says when it was put there: a JSON Pointer such as `/created_at`, or a JSONPath such as
    /// `$.headers.published_at`. Seconds or milliseconds since 1970, or a text as in ISO 8601. Needed for `METRIC` latency.
    pub stamp: Option<String>,
    /// The name of a list, set, sorted set or hash that holds what workers took and have not finished; `{queue}` stands for
    /// the name of the queue. Needed for everything that says "in progress".
    pub in_progress_name: Option<String>,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

/// An end of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The last item.
    #[default]
    Right,
    /// The first item.
    Left,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["queue".to_owned()],
            oldest: End::Right,
            stamp: None,
            in_progress_name: None,
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// Lists on a server.
pub struct RedisList {
    server: Arc<Server>,
    queues: Finder,
    oldest: End,
    stamp: Option<Selector>,
    in_progress: InProgressName,
    limit: Duration,
}

impl Backend for RedisList {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "RedisList";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let in_progress = InProgressName::new(settings.in_progress_name.as_deref());
        let sight = if in_progress.is_some() { Sight::InProgress } else { Sight::Waiting };
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(in_progress.problems(&settings.queue_names));
        problems.extend(settings.stamp.as_deref().and_then(|stamp| selector(stamp).err()));
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(sight));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let look = Self {
            server: Server::of(&settings.redis, &context.shared)?,
            queues: Finder::new(&settings.queue_names),
            oldest: settings.oldest,
            stamp: settings.stamp.as_deref().map(selector).transpose()?,
            in_progress: InProgressName::new(settings.in_progress_name.as_deref()),
            limit: settings.common.timeout_seconds.duration(),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

fn selector(stamp: &str) -> Result<Selector, Problem> {
    Selector::parse(Some(stamp)).map_err(|problem| Problem { path: "stamp".to_owned(), ..problem })
}

#[async_trait]
impl Look for RedisList {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let own = |key: &str| Some(key.to_owned());
        let queues = self.queues.find_in_redis(&self.server, "list", "", own, self.limit).await?;
        let mut pipeline = redis::pipe();
        for queue in queues.iter() {
            pipeline.cmd("LLEN").arg(queue);
            if self.stamp.is_some() {
                pipeline.cmd("LINDEX").arg(queue).arg(if self.oldest == End::Left { 0 } else { -1 });
            }
            self.in_progress.ask(&mut pipeline, queue);
        }
        let now = self.server.now().civil;
        let answers = self.server.ask_each(&pipeline, self.limit).await?;
        let mut answers = answers.into_iter().enumerate();
        let mut seen = BTreeMap::new();
        for queue in queues.iter() {
            let mut next = || self.server.granted(&pipeline, answers.next());
            let waiting = self.server.typed::<u64>(next()?)?;
            let item = self.stamp.as_ref().map(|_| self.server.typed::<Option<Vec<u8>>>(next()?)).transpose()?;
            let in_progress = self.in_progress.read(&self.server, &pipeline, &mut answers)?;
            let oldest = self.oldest(waiting, item.flatten(), now);
            seen.insert(
                queue.clone(),
                Backlog { in_progress, scheduled: Some(0), oldest, ..Backlog::of_waiting(waiting) },
            );
        }
        Ok(Seen { queues: seen, workers: None, told_by_workers: false, notes: Vec::new() })
    }

    fn sight(&self) -> Sight {
        if self.in_progress.is_some() { Sight::InProgress } else { Sight::Waiting }
    }

    fn items(&self) -> &'static str {
        "items"
    }

    fn place(&self) -> &str {
        self.server.shown()
    }
}

impl RedisList {
    fn oldest(&self, waiting: u64, item: Option<Vec<u8>>, now: Timestamp) -> Oldest {
        let since = |item: Vec<u8>| {
            let document: serde_json::Value = serde_json::from_slice(&item).ok()?;
            let stamp = self.stamp.as_ref()?.find(&document)?;
            of_either_unit(stamp).or_else(|| of_iso(stamp))
        };
        match (waiting, item.and_then(since)) {
            (0, _) => Oldest::Nothing,
            (_, Some(since)) => Oldest::Since(age(since, milliseconds(now))),
            (_, None) => Oldest::NoStamp,
        }
    }
}
