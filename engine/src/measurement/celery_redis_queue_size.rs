//! How many Celery tasks wait in a queue on Redis.
//!
//! Celery keeps one list per priority beside the queue's own (`celery`, `celery\x06\x163`, …; source: kombu's Redis
//! transport), so all of them are asked in one pipeline and summed. An empty queue is 0; an unreachable broker or a key of
//! another kind is unknown. It misleads in two ways that are known and not yet mended: tasks whose time has not come are
//! counted as long as no worker took them, and tasks that workers already took are not, so an empty queue does not mean
//! that nobody works.

use std::time::Duration;

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    sample::Reading,
    units::{Finite, Seconds},
};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, Measure, MeasureError, Measured};
use crate::secret::Secret;

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
    /// The host of Redis.
    pub host: String,
    /// The port of Redis.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The number of the database in Redis.
    pub database_number: u16,
    /// The password of Redis, if it has one.
    pub password: Secret,
    /// The whole address instead, as in Celery's `broker_url`: `redis://:password@host:6379/0`. It takes the place of the
    /// four settings above.
    pub url: Secret,
    /// The priorities for which Celery keeps lists, as in its `priority_steps`.
    pub priority_steps: Vec<u8>,
    /// How long to wait for Redis.
    pub timeout_seconds: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_name: "celery".to_owned(),
            host: "localhost".to_owned(),
            port: 6379,
            database_number: 0,
            password: Secret::default(),
            url: Secret::default(),
            priority_steps: vec![0, 3, 6, 9],
            timeout_seconds: Seconds::new(5),
        }
    }
}

impl Settings {
    fn client(&self) -> Result<Client, Problem> {
        let wrong = |path: &'static str| {
            // The library's words may repeat the address, and with it the password.
            let allowed = "redis://:password@host:6379/0";
            move |_| Problem::new(path, "this is no address of a Redis server", allowed)
        };
        if !self.url.is_empty() {
            return Client::open(self.url.reveal()).map_err(wrong("url"));
        }
        let address = ConnectionAddr::Tcp(self.host.clone(), self.port);
        let mut server = RedisConnectionInfo::default().set_db(self.database_number.into());
        if !self.password.is_empty() {
            server = server.set_password(self.password.reveal());
        }
        let address = address.into_connection_info().map_err(wrong("host"))?.set_redis_settings(server);
        Client::open(address).map_err(wrong("host"))
    }

    /// The queue's own list, then one per priority above 0.
    fn keys(&self) -> Vec<String> {
        let of_priority = |step: &u8| match step {
            0 => self.queue_name.clone(),
            step => format!("{}{SEPARATOR}{step}", self.queue_name),
        };
        self.priority_steps.iter().map(of_priority).collect()
    }
}

/// The backend.
pub struct CeleryRedisQueueSize {
    client: Client,
    keys: Vec<String>,
    shown: String,
    timeout: Duration,
}

impl Backend for CeleryRedisQueueSize {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "CeleryRedisQueueSize";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems: Vec<Problem> = settings.client().err().into_iter().collect();
        if settings.queue_name.is_empty() {
            problems.push(Problem::new("queue_name", "an empty name", "the name of a queue, such as celery"));
        }
        if settings.priority_steps.is_empty() || settings.priority_steps.len() > MOST_STEPS {
            let found = format!("{} steps", settings.priority_steps.len());
            problems.push(Problem::new("priority_steps", found, "1 to 64 priorities, such as [0, 3, 6, 9]"));
        }
        if settings.timeout_seconds.duration().is_zero() {
            problems.push(Problem::new("timeout_seconds", "no time at all", "a number above 0"));
        }
        problems
    }

    fn build(settings: Settings, _context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let client = settings.client()?;
        let shown = format!("Redis at {}", client.get_connection_info().addr());
        let timeout = settings.timeout_seconds.duration();
        Ok(Box::new(Self { client, keys: settings.keys(), shown, timeout }))
    }
}

#[async_trait]
impl Measure for CeleryRedisQueueSize {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let asked = tokio::time::timeout(self.timeout, self.lengths()).await;
        let lengths = asked.map_err(|_| {
            let seconds = self.timeout.as_secs_f64();
            MeasureError::unknown("timeout", format!("{} did not answer within {seconds} s", self.shown))
        })??;
        let sum: u64 = lengths.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 tasks")]
        let number =
            Finite::new(sum as f64).ok_or_else(|| MeasureError::unknown("not_a_number", "an endless queue"))?;
        let by_list = json!({"waiting": sum, "by_priority_step": lengths});
        Ok(Measured { reading: Reading::Number(number), detail: Some(Box::new(by_list)), work: None })
    }

    fn unit(&self) -> std::borrow::Cow<'static, str> {
        "tasks".into()
    }
}

impl CeleryRedisQueueSize {
    /// One round trip for all lists.
    async fn lengths(&self) -> Result<Vec<u64>, MeasureError> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&limits);
        let mut connection = connecting.await.map_err(|error| self.failed(&error))?;
        let mut pipeline = redis::pipe();
        for key in &self.keys {
            pipeline.cmd("LLEN").arg(key);
        }
        pipeline.query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &redis::RedisError) -> MeasureError {
        let shown = &self.shown;
        // The words may repeat what we sent, so they are searched and never shown.
        let words = error.to_string();
        let says = |codes: &[&str]| codes.iter().any(|code| words.contains(code));
        let (key, message) = if error.kind() == ErrorKind::AuthenticationFailed || says(&["NOAUTH", "WRONGPASS"]) {
            ("unauthorized", format!("{shown} refuses the password, or wants one; check PASSWORD or URL"))
        } else if says(&["WRONGTYPE"]) {
            ("wrong_type", format!("{shown}: the queue's key holds something that is no list; check QUEUE_NAME"))
        } else if error.is_timeout() {
            ("timeout", format!("{shown} did not answer in time"))
        } else if error.is_connection_refusal() {
            ("refused", format!("{shown} refuses connections; does it run, and are HOST and PORT right?"))
        } else {
            ("broker_error", format!("{shown} did not tell the queue's length ({})", error.category()))
        };
        MeasureError::unknown(key, message)
    }
}

impl std::fmt::Debug for CeleryRedisQueueSize {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CeleryRedisQueueSize").field("redis", &self.shown).finish_non_exhaustive()
    }
}
