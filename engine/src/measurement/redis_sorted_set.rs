//! How many items wait in a sorted set on Redis, for queues that somebody made without a library.
//!
//! Scores are either times, when an item becomes due (`SCORE` seconds or milliseconds since 1970), or priorities, which
//! say nothing about time (`none`). By times, items whose time has not come do not wait, and the lowest score says since
//! when the next one does. Scores that are no such times (priorities, or the other unit) are an error: by the wrong unit
//! all items would lie a thousand years ahead, and the queue would look empty. One round trip, one item read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Names, Oldest, Queue, Seen,
        in_progress_name::InProgressName,
        names::Finder,
        redis_layout::{age, milliseconds},
    },
};
use crate::broker::redis::{Server, Settings as RedisSettings};

/// Below this, in seconds since 1970, no queue on Redis has a time: it is the year 1973.
const EARLIEST_SECONDS: f64 = 1e8;

/// Above this, in seconds since 1970, nothing is planned: it is the year 5138.
const LATEST_SECONDS: f64 = 1e11;

/// Settings of `RedisSortedSet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The sorted sets, by their keys. A name may hold `*` and `?`; then it means all that match, and new ones are found
    /// within a minute.
    pub queue_names: Vec<String>,
    /// What scores are: the time when an item becomes due, in `seconds` or `milliseconds` since 1970; or `none` of these,
    /// such as priorities.
    pub score: Score,
    /// The name of a list, set, sorted set or hash that holds what workers took and have not finished; `{queue}` stands for
    /// the name of the queue. Needed for everything that says "in progress".
    pub in_progress_name: Option<String>,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

/// What scores are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// No times.
    None,
    /// When an item becomes due, in seconds since 1970.
    #[default]
    Seconds,
    /// When an item becomes due, in milliseconds since 1970.
    Milliseconds,
}

impl Score {
    /// How many milliseconds since 1970 one of its units is.
    fn in_milliseconds(self) -> f64 {
        if self == Self::Milliseconds { 1.0 } else { 1000.0 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["queue".to_owned()],
            score: Score::Seconds,
            in_progress_name: None,
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// Sorted sets on a server.
pub struct RedisSortedSet {
    server: Arc<Server>,
    queues: Finder,
    score: Score,
    in_progress: InProgressName,
    limit: Duration,
}

impl Backend for RedisSortedSet {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "RedisSortedSet";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let in_progress = InProgressName::new(settings.in_progress_name.as_deref());
        let sight = if in_progress.is_some() { Sight::InProgress } else { Sight::Waiting };
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(in_progress.problems(&settings.queue_names));
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(sight));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let look = Self {
            server: Server::of(&settings.redis, &context.shared)?,
            queues: Finder::new(&settings.queue_names),
            score: settings.score,
            in_progress: InProgressName::new(settings.in_progress_name.as_deref()),
            limit: settings.common.timeout_seconds.duration(),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

#[async_trait]
impl Look for RedisSortedSet {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let own = |key: &str| Some(key.to_owned());
        let queues = self.queues.find_in_redis(&self.server, "zset", "", own, self.limit).await?;
        let now = milliseconds(self.server.now().civil);
        // The whole millisecond that is now has come.
        let now_as_score = format!("{:.3}", (now + 1.0) / self.score.in_milliseconds());
        let mut pipeline = redis::pipe();
        for queue in queues.iter() {
            pipeline.cmd("ZCARD").arg(queue);
            if self.score != Score::None {
                pipeline.cmd("ZCOUNT").arg(queue).arg("-inf").arg(format!("({now_as_score}"));
                pipeline.cmd("ZRANGE").arg(queue).arg(0).arg(0).arg("WITHSCORES");
            }
            self.in_progress.ask(&mut pipeline, queue);
        }
        let answers = self.server.ask_each(&pipeline, self.limit).await?;
        let mut answers = answers.into_iter().enumerate();
        let mut seen = BTreeMap::new();
        for queue in queues.iter() {
            let mut next = || self.server.granted(&pipeline, answers.next());
            let count = self.server.typed::<u64>(next()?)?;
            let mut backlog = Backlog { scheduled: Some(0), ..Backlog::of_waiting(count) };
            if self.score != Score::None {
                let due = self.server.typed::<u64>(next()?)?;
                let lowest = self.server.typed::<Vec<(Vec<u8>, f64)>>(next()?)?;
                let lowest = lowest.first().map(|(_, score)| *score);
                backlog.waiting = due;
                backlog.scheduled = Some(count.saturating_sub(due));
                backlog.oldest = if due == 0 { Oldest::Nothing } else { self.since(lowest, now) };
                self.check(queue, lowest)?;
            }
            backlog.in_progress = self.in_progress.read(&self.server, &pipeline, &mut answers)?;
            seen.insert(queue.clone(), backlog);
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

impl RedisSortedSet {
    fn since(&self, score: Option<f64>, now: f64) -> Oldest {
        match score {
            // Who writes 0 means: at once. Since when, it does not say.
            Some(score) if score > 0.0 => Oldest::Since(age(score * self.score.in_milliseconds(), now)),
            _ => Oldest::NoStamp,
        }
    }

    /// Whether a score can be a time in this unit.
    fn check(&self, queue: &str, score: Option<f64>) -> Result<(), MeasureError> {
        let Some(score) = score.filter(|score| *score > 0.0) else { return Ok(()) };
        let seconds = score * self.score.in_milliseconds() / 1000.0;
        if (EARLIEST_SECONDS..LATEST_SECONDS).contains(&seconds) {
            return Ok(());
        }
        let other = match self.score {
            Score::Seconds if (EARLIEST_SECONDS..LATEST_SECONDS).contains(&(seconds / 1000.0)) => "milliseconds",
            Score::Milliseconds if (EARLIEST_SECONDS..LATEST_SECONDS).contains(&(seconds * 1000.0)) => "seconds",
            _ => "none",
        };
        let (shown, score_is) = (self.server.shown(), format!("{:?}", self.score).to_lowercase());
        let message = format!("{shown}: scores in {queue:?} are no {score_is} since 1970; set SCORE to {other}");
        Err(MeasureError::unknown("score_unit", message))
    }
}
