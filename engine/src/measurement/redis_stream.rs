//! How much of a stream on Redis a consumer group has not been given yet.
//!
//! Redis keeps the books of a group: the id of the last entry that it gave to somebody, how many entries lie behind it
//! (`lag`), and which it gave and nobody has acknowledged (pending). So waiting is the lag, in progress is what is
//! pending, and the next entry's id says since when it waits, because Redis begins ids with the time. Redis does not
//! always know the lag (it is nil after entries were deleted or a group was set to an id; before version 7 there is none);
//! then the entries are counted as far as that is cheap, and where it is not, that is said. A group that does not exist is
//! an error: without it nobody reads, and no number would be true. One round trip, and a second one when something waits.
//!
//! Source: Redis, `XINFO GROUPS`, `XPENDING`, `XINFO CONSUMERS`; `t_stream.c` for when the lag is nil.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Worker,
    registry::{Backend, Problem},
};
use redis::{Pipeline, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Names, Oldest, Queue, Seen,
        names::Finder,
        redis_layout::{age, milliseconds},
    },
};
use crate::{
    broker::redis::{Server, Settings as RedisSettings},
    scaling::{Scale, Whose},
};

/// As many entries are counted one by one where Redis does not know the lag. They are sent whole, so more would not be
/// cheap.
const MOST_COUNTED: u64 = 1_000;

/// An id that begins with a smaller number is no time in milliseconds since 1970 (it would be 1973), but somebody's own.
const EARLIEST_ID: u64 = 100_000_000_000;

/// Settings of `RedisStream`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The streams, by their keys. A name may hold `*` and `?`; then it means all streams that match, and new ones are
    /// found within a minute.
    pub queue_names: Vec<String>,
    /// The consumer group, the same in all of them.
    pub group: String,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["stream".to_owned()],
            group: "workers".to_owned(),
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// A consumer group of streams on a server.
pub struct RedisStream {
    server: Arc<Server>,
    queues: Finder,
    group: String,
    platform: Arc<dyn Scale>,
    limit: Duration,
}

impl Backend for RedisStream {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "RedisStream";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        if settings.group.is_empty() {
            problems.push(Problem::new("group", "an empty name", "the name of the consumer group"));
        }
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::Workers));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let look = Self {
            server: Server::of(&settings.redis, &context.shared)?,
            queues: Finder::new(&settings.queue_names),
            group: settings.group,
            platform: context.platform.clone(),
            limit: settings.common.timeout_seconds.duration(),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

/// What the first round trip tells of a stream.
struct Group {
    queue: String,
    last_given: Id,
    /// What Redis takes for the number of entries behind the last that was given.
    lag: Option<u64>,
    length: u64,
    pending: u64,
}

/// The id of an entry: milliseconds, and a number within the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let (milliseconds, sequence) = text.split_once('-')?;
        Some(Self(milliseconds.parse().ok()?, sequence.parse().ok()?))
    }

    /// The least id after it, so that servers before 6.2 understand the range too.
    fn next(self) -> String {
        match self.1.checked_add(1) {
            Some(sequence) => format!("{}-{sequence}", self.0),
            None => format!("{}-0", self.0.saturating_add(1)),
        }
    }
}

#[async_trait]
impl Look for RedisStream {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let own = |key: &str| Some(key.to_owned());
        let queues = self.queues.find_in_redis(&self.server, "stream", "", own, self.limit).await?;
        let (groups, workers) = self.groups(&queues).await?;
        let queues = self.backlogs(groups).await?;
        Ok(Seen { queues, workers: Some(workers), told_by_workers: false, notes: Vec::new() })
    }

    fn sight(&self) -> Sight {
        Sight::Workers
    }

    fn items(&self) -> &'static str {
        "entries"
    }

    fn place(&self) -> &str {
        self.server.shown()
    }
}

impl RedisStream {
    async fn groups(&self, queues: &[String]) -> Result<(Vec<Group>, Vec<Worker>), MeasureError> {
        let mut pipeline = redis::pipe();
        for queue in queues {
            pipeline.cmd("XINFO").arg("GROUPS").arg(queue);
            pipeline.cmd("XINFO").arg("CONSUMERS").arg(queue).arg(&self.group);
            pipeline.cmd("XLEN").arg(queue);
        }
        let answers = self.server.ask_each(&pipeline, self.limit).await?;
        let mut answers = answers.into_iter().enumerate();
        let (mut groups, mut workers) = (Vec::new(), Vec::new());
        for queue in queues {
            let (listed, consumers) = (answers.next(), answers.next());
            let length = self.server.granted(&pipeline, answers.next())?;
            let length = self.server.typed::<u64>(length)?;
            let group = self.group_in(queue, listed, &pipeline)?.ok_or_else(|| self.no_group(queue))?;
            groups.push(Group { length, ..group });
            let consumers = self.server.granted(&pipeline, consumers)?;
            let consumers = self.server.typed::<Vec<BTreeMap<String, Value>>>(consumers)?;
            for consumer in &consumers {
                workers.extend(self.worker(consumer)?);
            }
        }
        Ok((groups, workers))
    }

    /// The group among those of a stream.
    fn group_in(
        &self,
        queue: &str,
        listed: Option<(usize, Value)>,
        pipeline: &Pipeline,
    ) -> Result<Option<Group>, MeasureError> {
        if let Some((_, Value::ServerError(error))) = &listed
            && error.details().is_some_and(|detail| detail.contains("no such key"))
        {
            return Ok(None);
        }
        let listed = self.server.granted(pipeline, listed)?;
        for group in self.server.typed::<Vec<BTreeMap<String, Value>>>(listed)? {
            if self.field::<String>(&group, "name")? != self.group {
                continue;
            }
            let last_given = Id::parse(&self.field::<String>(&group, "last-delivered-id")?);
            return Ok(Some(Group {
                queue: queue.to_owned(),
                last_given: last_given.ok_or_else(|| self.server.babbles())?,
                // Not there before version 7, and then as unknown as nil.
                lag: group.get("lag").map_or(Ok(None), |lag| self.server.typed(lag.clone()))?,
                length: 0,
                pending: self.field(&group, "pending")?,
            }));
        }
        Ok(None)
    }

    async fn backlogs(&self, groups: Vec<Group>) -> Result<BTreeMap<String, Backlog>, MeasureError> {
        let mut pipeline = redis::pipe();
        let asks = |group: &Group| group.length > 0 && group.lag != Some(0);
        for group in groups.iter().filter(|group| asks(group)) {
            let count = if group.lag.is_some() { 1 } else { MOST_COUNTED };
            let range = |pipeline: &mut Pipeline, from: &str, count: u64| {
                pipeline.cmd("XRANGE").arg(&group.queue).arg(from).arg("+").arg("COUNT").arg(count);
            };
            range(&mut pipeline, &group.last_given.next(), count);
            if group.lag.is_none() {
                range(&mut pipeline, "-", 1);
            }
        }
        let now = milliseconds(self.server.now().civil);
        let mut answers = self.server.ask(&pipeline, self.limit).await?.into_iter();
        let mut ids = || -> Result<Vec<Id>, MeasureError> {
            let entries: Vec<Vec<Value>> = self.server.typed(answers.next().unwrap_or(Value::Nil))?;
            let id = |mut entry: Vec<Value>| {
                let id = if entry.is_empty() { Value::Nil } else { entry.swap_remove(0) };
                Id::parse(&self.server.typed::<String>(id)?).ok_or_else(|| self.server.babbles())
            };
            entries.into_iter().map(id).collect()
        };
        let mut backlogs = BTreeMap::new();
        for group in groups {
            let mut backlog =
                Backlog { in_progress: Some(group.pending), scheduled: Some(0), ..Backlog::of_waiting(0) };
            if asks(&group) {
                let behind = ids()?;
                let first = if group.lag.is_none() { ids()?.into_iter().next() } else { None };
                let next = behind.first().copied();
                let counted = behind.len() as u64;
                backlog.waiting = match group.lag {
                    // The lag counts entries that were cut off before anybody got them; what is not there waits no more.
                    Some(lag) => {
                        if next.is_none() {
                            0
                        } else {
                            lag.min(group.length)
                        }
                    }
                    None if counted < MOST_COUNTED => counted,
                    // Nothing that is there was given to anybody.
                    None if first == next => group.length,
                    None => {
                        backlog.estimate = Some(format!("at least {MOST_COUNTED} wait: Redis does not know how many"));
                        counted
                    }
                };
                let since = |id: Id| match id {
                    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay far below 2^52")]
                    Id(milliseconds @ EARLIEST_ID.., _) => Oldest::Since(age(milliseconds as f64, now)),
                    Id(..) => Oldest::NoStamp,
                };
                backlog.oldest =
                    if backlog.waiting == 0 { Oldest::Nothing } else { next.map_or(Oldest::NoStamp, since) };
            }
            backlogs.insert(group.queue, backlog);
        }
        Ok(backlogs)
    }

    /// A consumer; nothing when it belongs to another process.
    fn worker(&self, consumer: &BTreeMap<String, Value>) -> Result<Option<Worker>, MeasureError> {
        let busy = self.field::<u64>(consumer, "pending")? > 0;
        Ok(match self.platform.whose(&self.field::<String>(consumer, "name")?) {
            Whose::Number(number) => Some(Worker { process: Some(number), busy }),
            Whose::Another => None,
            Whose::Unknown => Some(Worker { process: None, busy }),
        })
    }

    fn field<T: redis::FromRedisValue>(&self, of: &BTreeMap<String, Value>, name: &str) -> Result<T, MeasureError> {
        self.server.typed(of.get(name).cloned().unwrap_or(Value::Nil))
    }

    fn no_group(&self, queue: &str) -> MeasureError {
        let (shown, group) = (self.server.shown(), &self.group);
        let way_out = format!("make it: XGROUP CREATE {queue} {group} $ MKSTREAM");
        MeasureError::unknown("group_missing", format!("{shown}: stream {queue:?} has no group {group:?}; {way_out}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_is_the_least_one_after_it() {
        assert_eq!(Id::parse("17-3").map(Id::next).as_deref(), Some("17-4"));
        assert_eq!(Id(17, u64::MAX).next(), "18-0");
        assert!(Id(17, 9) < Id(18, 0));
        for text in ["", "17", "17-", "-3", "a-b"] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
