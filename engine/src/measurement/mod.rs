//! Measurement: how loaded is the app?
//!
//! A backend asks the world once and returns a reading, or says why it has none. It must never invent a number: what it
//! does not know is a [`MeasureError`]. Every backend has its own time-out; the bot adds none but a last resort.

pub mod app_decision;
pub mod arq;
pub mod bullmq;
pub mod celery;
#[cfg(feature = "rabbitmq")]
pub mod celery_rabbitmq_queue_size;
pub mod celery_redis_queue_size;
pub mod command;
pub mod dramatiq;
#[cfg(feature = "rabbitmq")]
pub mod dramatiq_rabbitmq;
pub mod heroku_service_time;
pub mod huey;
#[cfg(feature = "nats")]
pub mod nats_consumer;
pub mod procrastinate;
pub mod queue;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq_queue;
pub mod redis_list;
pub mod redis_sorted_set;
pub mod redis_stream;
pub mod response_time;
pub mod rq;
pub mod saq;
pub mod sidekiq;
pub mod sql_query;
pub mod sqs_queue;
pub mod url;
pub mod value;

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Work,
    names::ProcessName,
    registry::{Entry, entry},
    sample::{CountsAs, MeasureFailure, Reading},
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{config::BackendSettings, scaling::Scale, shared::Shared};

/// Every measurement backend, in the order of the docs.
pub const BACKENDS: &[Entry<dyn Measure, Context>] = &[
    entry::<response_time::ResponseTime>(),
    entry::<heroku_service_time::HerokuServiceTime>(),
    entry::<celery_redis_queue_size::CeleryRedisQueueSize>(),
    #[cfg(feature = "rabbitmq")]
    entry::<celery_rabbitmq_queue_size::CeleryRabbitmqQueueSize>(),
    entry::<rq::Rq>(),
    entry::<dramatiq::Dramatiq>(),
    entry::<huey::Huey>(),
    entry::<arq::Arq>(),
    entry::<saq::Saq>(),
    entry::<bullmq::Bullmq>(),
    entry::<sidekiq::Sidekiq>(),
    #[cfg(feature = "rabbitmq")]
    entry::<dramatiq_rabbitmq::DramatiqRabbitmq>(),
    #[cfg(feature = "rabbitmq")]
    entry::<rabbitmq_queue::RabbitmqQueue>(),
    #[cfg(feature = "nats")]
    entry::<nats_consumer::NatsConsumer>(),
    entry::<procrastinate::Procrastinate>(),
    entry::<sql_query::SqlQuery>(),
    entry::<sqs_queue::SqsQueue>(),
    entry::<redis_list::RedisList>(),
    entry::<redis_sorted_set::RedisSortedSet>(),
    entry::<redis_stream::RedisStream>(),
    entry::<app_decision::AppDecision>(),
    entry::<command::Command>(),
];

/// A measurement backend.
#[async_trait]
pub trait Measure: Send + Sync {
    /// Measures once.
    ///
    /// # Errors
    /// Why there is no reading. Dropping the future in the middle must be safe.
    async fn measure(&self) -> Result<Measured, MeasureError>;

    /// What it sees of the work behind its readings.
    fn sight(&self) -> Sight {
        Sight::NoWork
    }

    /// The unit of its readings, for sentences: `ms`, `tasks`; empty when there is none.
    fn unit(&self) -> Cow<'static, str> {
        Cow::Borrowed("")
    }
}

/// What a successful measurement brings home.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The reading.
    pub reading: Reading,
    /// More for people: the parts of a sum.
    pub detail: Option<Box<Value>>,
    /// What was seen of the work itself. Never absent when [`Measure::sight`] promises it.
    pub work: Option<Box<Work>>,
}

/// What a measurement sees of the work behind its readings; decides how a process can be protected while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It measures no queue.
    NoWork,
    /// How much waits, and nothing of what is in progress.
    Waiting,
    /// How much waits and how much is in progress, but not in which process.
    InProgress,
    /// Also which worker is busy; a worker whose name says so is known to belong to a process.
    Workers,
}

impl From<Reading> for Measured {
    fn from(reading: Reading) -> Self {
        Self { reading, detail: None, work: None }
    }
}

/// Why there is no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MeasureError {
    /// Stable word for the kind: `timeout`, `server_error`, `connection`, `bad_json`.
    pub key: Cow<'static, str>,
    /// What failed and what to do, without secrets. The process is named by whoever shows it.
    pub message: String,
    /// Whether the failure itself says that the app is overloaded.
    pub counts_as: CountsAs,
}

impl MeasureError {
    /// A failure that says nothing about the load. This is the right one unless you are sure.
    pub fn unknown(key: &'static str, message: impl Into<String>) -> Self {
        Self { key: Cow::Borrowed(key), message: message.into(), counts_as: CountsAs::Unknown }
    }
}

impl From<MeasureError> for MeasureFailure {
    fn from(error: MeasureError) -> Self {
        Self { key: error.key, message: error.message, counts_as: error.counts_as }
    }
}

/// What a measurement backend is told when it is built, beside its own settings.
pub struct Context {
    /// The process whose load it measures.
    pub process: ProcessName,
    /// The process's platform; knows the app's web address.
    pub platform: Arc<dyn Scale>,
    /// What every measurement of its stage is told as well.
    pub common: Common,
    /// The process's scaling block, for measurements of the same platform (app name, API key).
    pub scaling: BackendSettings,
    /// What all bots share.
    pub shared: Arc<Shared>,
}

/// The settings that every measurement backend has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// How often to measure.
    #[schemars(range(min = 0.05))]
    pub measurement_interval_in_seconds: Seconds,
}

impl Default for Common {
    fn default() -> Self {
        Self { measurement_interval_in_seconds: Seconds::new(30) }
    }
}
