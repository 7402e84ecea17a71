//! Redis servers: how to reach one, and one connection for all bots that use it.
//!
//! Redis answers commands of one connection in the order they came, and any number of questions may be under way; so one
//! connection carries the pipelines of all bots. Only questions are asked that change nothing and may be asked twice:
//! when a connection turns out to be broken, the question is asked once more on a new one, so that a restarted server
//! costs no measurement. Nothing here blocks (`BRPOP`), because that would hold up everyone.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::registry::Problem;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline, RedisConnectionInfo,
    RedisError, Value, aio::MultiplexedConnection,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::pause::Pause;
use crate::{clock::Clock, measurement::MeasureError, secret::Secret, shared::Shared};

/// How to reach a Redis server; flattened into the settings of every backend that needs one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 6379,
            database_number: 0,
            password: Secret::default(),
            url: Secret::default(),
        }
    }
}

impl Settings {
    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.client().err().into_iter().collect()
    }

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

    /// Tells one server, and one way of reaching it, from another. Holds secrets.
    fn key(&self) -> String {
        let Self { host, port, database_number, password, url } = self;
        format!("{host} {port} {database_number} {} {}", password.reveal(), url.reveal())
    }
}

/// A Redis server, shared by all bots that use it.
pub struct Server {
    client: Client,
    shown: String,
    clock: Arc<dyn Clock>,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is, so that only the one who saw it break takes it away.
    number: u64,
    pause: Pause,
}

impl Server {
    /// The server that these settings reach; the same one for the same settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When the settings are no address.
    pub fn of(settings: &Settings, shared: &Shared) -> Result<Arc<Self>, Problem> {
        shared.pool.get_or_try_make(&settings.key(), || {
            let client = settings.client()?;
            let shown = format!("Redis at {}", client.get_connection_info().addr());
            Ok(Self { client, shown, clock: shared.clock.clone(), link: Mutex::default() })
        })
    }

    /// `Redis at localhost:6379`
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks everything in one round trip; an answer per command. `limit` is for each of at most two tries.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses a single one of the commands.
    pub async fn ask(&self, pipeline: &Pipeline, limit: Duration) -> Result<Vec<Value>, MeasureError> {
        let (mut connection, number, is_new) = self.connection(limit).await?;
        let asked = pipeline.query_async(&mut connection).await;
        let Err(error) = asked else { return asked.map_err(|error| self.failed(&error)) };
        if !is_broken(&error) {
            return Err(self.failed(&error));
        }
        self.forget(number).await;
        if is_new || error.is_timeout() {
            return Err(self.failed(&error));
        }
        let (mut connection, number, _) = self.connection(limit).await?;
        let asked = pipeline.query_async(&mut connection).await;
        if let Err(error) = &asked
            && is_broken(error)
        {
            self.forget(number).await;
        }
        asked.map_err(|error| self.failed(&error))
    }

    async fn connection(&self, limit: Duration) -> Result<(MultiplexedConnection, u64, bool), MeasureError> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok((connection.clone(), link.number, false));
        }
        link.pause.check(&self.clock.now())?;
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
        match self.client.get_multiplexed_async_connection_with_config(&limits).await {
            Ok(connection) => {
                link.pause.succeeded();
                link.number += 1;
                link.connection = Some(connection.clone());
                Ok((connection, link.number, true))
            }
            Err(error) => {
                let error = self.failed(&error);
                link.pause.failed(&error, &self.clock.now());
                Err(error)
            }
        }
    }

    async fn forget(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.number == number {
            link.connection = None;
        }
    }

    fn failed(&self, error: &RedisError) -> MeasureError {
        let shown = &self.shown;
        // The words may repeat what we sent, so they are searched and never shown.
        let words = error.to_string();
        let says = |codes: &[&str]| codes.iter().any(|code| words.contains(code));
        let (key, message) = if error.kind() == ErrorKind::AuthenticationFailed || says(&["NOAUTH", "WRONGPASS"]) {
            ("unauthorized", format!("{shown} refuses the password, or wants one; check PASSWORD or URL"))
        } else if says(&["WRONGTYPE"]) {
            ("wrong_type", format!("{shown}: a key of the queue holds something else; check the queue's name"))
        } else if error.is_timeout() {
            ("timeout", format!("{shown} did not answer in time"))
        } else if error.is_connection_refusal() {
            ("refused", format!("{shown} refuses connections; does it run, and are HOST and PORT right?"))
        } else {
            ("broker_error", format!("{shown} did not answer the question ({})", error.category()))
        };
        MeasureError::unknown(key, message)
    }
}

/// Whether nothing more can come over this connection, or what comes would answer an older question.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error()
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("at", &self.shown).finish_non_exhaustive()
    }
}
