//! How many Celery tasks wait in a queue on Redis.
//!
//! Celery keeps one list per priority beside the queue's own (`celery`, `celery\x06\x163`, …; source: kombu's Redis
//! transport), so all of them are asked in one pipeline and summed. An empty queue is 0; an unreachable broker or a key of
//! another kind is unknown. It misleads in two ways that are known and not yet mended: tasks whose time has not come are
//! counted as long as no worker took them, and tasks that workers already took are not, so an empty queue does not mean
//! that nobody works.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use redis::FromRedisValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{Backlog, Common, Look, Queue, Seen},
};
use crate::broker::redis::{Server, Settings as RedisSettings};

/// Between the queue's name and the priority. Source: `sep` of kombu's Redis transport.
const SEPARATOR: &str = "\u{6}\u{16}";

/// Celery's own steps are four; more than this many lists in one question are a slip.
const MOST_STEPS: usize = 64;

/// Settings of `CeleryRedisQueueSize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queue.
    pub queue_name: String,
    #[serde(flatten)]
    redis: RedisSettings,
    /// The priorities for which Celery keeps lists, as in its `priority_steps`.
    pub priority_steps: Vec<u8>,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_name: "celery".to_owned(),
            redis: RedisSettings::default(),
            priority_steps: vec![0, 3, 6, 9],
            common: Common::default(),
        }
    }
}

/// The lists of a queue on a server.
pub struct CeleryRedisQueueSize {
    server: Arc<Server>,
    name: String,
    keys: Vec<String>,
    limit: Duration,
}

impl Backend for CeleryRedisQueueSize {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "CeleryRedisQueueSize";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.redis.problems();
        problems.extend(settings.common.problems(Sight::Waiting));
        if settings.queue_name.is_empty() {
            problems.push(Problem::new("queue_name", "an empty name", "the name of a queue, such as celery"));
        }
        if settings.priority_steps.is_empty() || settings.priority_steps.len() > MOST_STEPS {
            let found = format!("{} steps", settings.priority_steps.len());
            problems.push(Problem::new("priority_steps", found, "1 to 64 priorities, such as [0, 3, 6, 9]"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let name = settings.queue_name;
        let of_priority = |step: &u8| match step {
            0 => name.clone(),
            step => format!("{name}{SEPARATOR}{step}"),
        };
        let look = Self {
            server: Server::of(&settings.redis, &context.shared)?,
            keys: settings.priority_steps.iter().map(of_priority).collect(),
            name,
            limit: settings.common.timeout_seconds.duration(),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

#[async_trait]
impl Look for CeleryRedisQueueSize {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let mut pipeline = redis::pipe();
        for key in &self.keys {
            pipeline.cmd("LLEN").arg(key);
        }
        let answers = self.server.ask(&pipeline, self.limit).await?;
        let lengths = answers.into_iter().map(u64::from_redis_value).collect::<Result<Vec<u64>, _>>();
        let lengths = lengths.map_err(|_| {
            MeasureError::unknown("broker_error", format!("{} answers with something that is no length", self.place()))
        })?;
        let queues = BTreeMap::from([(self.name.clone(), Backlog::of_waiting(lengths.iter().sum()))]);
        Ok(Seen { queues, workers: None, told_by_workers: false, notes: Vec::new() })
    }

    fn sight(&self) -> Sight {
        Sight::Waiting
    }

    fn items(&self) -> &'static str {
        "tasks"
    }

    fn place(&self) -> &str {
        self.server.shown()
    }
}
