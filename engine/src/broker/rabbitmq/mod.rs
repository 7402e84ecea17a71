//! RabbitMQ brokers: how to reach one, one AMQP connection for all bots that use it, and its management API.
//!
//! AMQP tells how many messages of a queue are *ready*, exactly and at once, and nothing of those that were delivered and
//! are not acknowledged. Those, and the age of the oldest message, only the management API tells, some seconds late and
//! for a new queue not at all. Each is asked for what it knows, in the same moment.
//!
//! Nothing is changed on the broker: a queue that does not exist is not made by asking for it. A connection that turns
//! out to be broken is replaced, and the question asked once more; after a failure the next try waits for its pause.

mod connection;
mod management;
pub mod queues;
mod settings;

use std::{error::Error as _, sync::Arc, time::Duration};

use autoscalebot_core::registry::Problem;
use lapin::{
    Channel, ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
    uri::AMQPUri,
};
use tokio::sync::Mutex;

pub use self::{
    connection::is_missing,
    management::{Counts, Management, Told},
    settings::Settings,
};

use self::connection::{Failure, Live, soft};
use super::pause::Pause;
use crate::{clock::Clock, measurement::MeasureError, shared::Shared};

/// The part of a measurement's time that the broker has. The rest is for us, to give up in good order.
const PART_OF_LIMIT: f64 = 0.9;

/// A RabbitMQ broker as one virtual host of it is seen; shared by all bots that use it.
pub struct Server {
    address: AMQPUri,
    certificates: Option<String>,
    management: Option<Management>,
    shown: String,
    clock: Arc<dyn Clock>,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    live: Option<Arc<Live>>,
    pause: Pause,
}

impl Server {
    /// The broker that these settings reach; the same one for the same settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When the settings are no address, or the file of certificates cannot be read.
    pub fn of(settings: &Settings, shared: &Shared) -> Result<Arc<Self>, Problem> {
        shared.pool.get_or_try_make(&settings.key(), || {
            let (address, certificates) = (settings.address()?, settings.certificates()?);
            let management = settings.management(&address)?;
            let management = management.map(|found| {
                Management::new(found, &address.vhost, certificates.as_deref(), shared)
                    .map_err(|cause| Problem::new("ca_file", cause, "a file of certificates in PEM form"))
            });
            let shown = match address.vhost.as_str() {
                "/" => format!("RabbitMQ at {}:{}", address.authority.host, address.authority.port),
                host => {
                    format!("RabbitMQ at {}:{}, virtual host {host:?}", address.authority.host, address.authority.port)
                }
            };
            let (management, clock) = (management.transpose()?, shared.clock.clone());
            Ok(Self { address, certificates, management, shown, clock, link: Mutex::default() })
        })
    }

    /// `RabbitMQ at localhost:5672`
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Its management API, if its address is known.
    #[must_use]
    pub fn management(&self) -> Option<&Management> {
        self.management.as_ref()
    }

    /// How many messages are ready in each of these queues; nothing for one that does not exist. `limit` is for each of at
    /// most two tries.
    ///
    /// # Errors
    /// When the broker cannot be reached, or refuses to tell.
    pub async fn ready(&self, names: &[&str], limit: Duration) -> Result<Vec<Option<u64>>, MeasureError> {
        let limit = limit.mul_f64(PART_OF_LIMIT);
        let (live, is_new) = self.live(limit).await?;
        match self.ask(&live, names, limit).await {
            Err(error) if !live.lives() && !is_new && error.key != "timeout" => {
                let (live, _) = self.live(limit).await?;
                self.ask(&live, names, limit).await
            }
            answer => answer,
        }
    }

    /// A channel of one's own, on the connection that all share. It is closed when it is dropped.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub async fn channel(&self, limit: Duration) -> Result<Channel, MeasureError> {
        let (live, is_new) = self.live(limit).await?;
        match live.channel().await {
            Err(_) if !is_new && !live.lives() => {
                let (live, _) = self.live(limit).await?;
                live.channel().await.map_err(|error| self.failed(&error))
            }
            channel => channel.map_err(|error| self.failed(&error)),
        }
    }

    /// What is told of an error on a channel of one's own.
    #[must_use]
    pub fn failed(&self, error: &lapin::Error) -> MeasureError {
        let shown = &self.shown;
        match soft(error) {
            Some(AMQPSoftError::ACCESSREFUSED) => {
                MeasureError::unknown("unauthorized", format!("{shown} does not let this user do that"))
            }
            Some(other) => MeasureError::unknown("broker_error", format!("{shown} refuses (AMQP {})", other.get_id())),
            None => MeasureError::unknown("connection_broken", format!("the connection to {shown} broke")),
        }
    }

    /// A connection that works, as far as is known.
    async fn live(&self, limit: Duration) -> Result<(Arc<Live>, bool), MeasureError> {
        let mut link = self.link.lock().await;
        if let Some(live) = link.live.take_if(|live| !live.lives()) {
            live.abandon();
        }
        if let Some(live) = &link.live {
            return Ok((live.clone(), false));
        }
        link.pause.check(&self.clock.now())?;
        let error = match Live::connect(&self.address, self.certificates.clone(), limit).await {
            Some(Ok(live)) => {
                link.pause.succeeded();
                return Ok((link.live.insert(Arc::new(live)).clone(), true));
            }
            Some(Err(error)) => self.not_connected(&error),
            None => self.late(),
        };
        link.pause.failed(&error, &self.clock.now());
        Err(error)
    }

    async fn ask(&self, live: &Live, names: &[&str], limit: Duration) -> Result<Vec<Option<u64>>, MeasureError> {
        match tokio::time::timeout(limit, live.ready(names)).await {
            Ok(answer) => answer.map_err(|failure| self.refused(&failure, names)),
            Err(_) => {
                // What would still come answers an older question.
                live.abandon();
                Err(self.late())
            }
        }
    }

    fn late(&self) -> MeasureError {
        MeasureError::unknown("timeout", format!("{} did not answer in time", self.shown))
    }

    /// Why there is no connection. The library's words may repeat what we sent, so they are sorted and never shown.
    fn not_connected(&self, error: &lapin::Error) -> MeasureError {
        let shown = &self.shown;
        let (key, message) = match error.kind() {
            ErrorKind::ProtocolError(error) => match error.kind() {
                AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => (
                    "unauthorized",
                    format!("{shown} refuses the user or the password; check USER and PASSWORD, or URL"),
                ),
                AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
                    let what = "has no such virtual host, or does not let this user in; check VIRTUAL_HOST or URL";
                    ("unauthorized", format!("{shown} {what}"))
                }
                kind => ("broker_error", format!("{shown} refuses the connection (AMQP {})", kind.get_id())),
            },
            ErrorKind::IOError(error) => match error.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    ("refused", format!("{shown} refuses connections; does it run, and are HOST and PORT right?"))
                }
                std::io::ErrorKind::TimedOut => return self.late(),
                _ if is_tls(error) => {
                    let what =
                        "offers no connection that can be trusted; check amqps:// and the port in URL, and CA_FILE";
                    ("tls", format!("{shown} {what}"))
                }
                kind => ("connection", format!("no connection to {shown}: {kind}")),
            },
            _ => ("connection", format!("no connection to {shown}: what answers there is no RabbitMQ")),
        };
        MeasureError::unknown(key, message)
    }

    /// Why a question has no answer.
    fn refused(&self, failure: &Failure, names: &[&str]) -> MeasureError {
        let shown = &self.shown;
        let queue = failure.queue.and_then(|index| names.get(index)).copied().unwrap_or_default();
        let (key, message) = match soft(&failure.error) {
            Some(AMQPSoftError::ACCESSREFUSED) => {
                ("unauthorized", format!("{shown} does not let this user ask for queue {queue:?}"))
            }
            Some(AMQPSoftError::RESOURCELOCKED) => {
                let what = "belongs to one connection alone, and tells nobody else its length";
                ("locked", format!("{shown}: queue {queue:?} {what}"))
            }
            Some(other) => {
                ("broker_error", format!("{shown} did not tell of queue {queue:?} (AMQP {})", other.get_id()))
            }
            None => ("connection_broken", format!("the connection to {shown} broke before the answer came")),
        };
        MeasureError::unknown(key, message)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("at", &self.shown).finish_non_exhaustive()
    }
}

/// Whether TLS is what failed. Its errors travel inside those of the system.
fn is_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    let mut next = inner.or_else(|| error.source());
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        next = error.source();
    }
    false
}
