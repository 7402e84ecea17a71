//! One AMQP connection, and the channels on it that questions use.
//!
//! The library reads and writes in a thread of its own, which only ends when its socket does: a broker that accepts and
//! then says nothing would keep it, and the next try would start another. So we keep a second handle of the socket, and
//! shut it when we give up.
//!
//! RabbitMQ answers a question for a queue that does not exist by closing the channel. So no two questions share one at
//! the same time: each takes a channel that is idle, or opens one, and brings it back if it still lives.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, ErrorKind,
    options::QueueDeclareOptions,
    protocol::{AMQPErrorKind, AMQPSoftError},
    runtime::default_runtime,
    tcp::OwnedTLSConfig,
    types::FieldTable,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::{sync::Semaphore, time::timeout};

/// Idle channels kept; more are closed. Measurements are short and spread, so few are needed at a time.
const MOST_IDLE_CHANNELS: usize = 16;

/// Channels in use at a time; more questions wait for one. RabbitMQ allows 2047 on a connection.
const MOST_CHANNELS: usize = 64;

/// So long a broker may take to say goodbye when a connection is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection that once worked.
pub(super) struct Live {
    connection: Connection,
    socket: Arc<Socket>,
    idle: Mutex<Vec<Channel>>,
    free: Semaphore,
    abandoned: AtomicBool,
}

/// The socket below the library, once there is one.
#[derive(Default)]
struct Socket(Mutex<Option<TcpStream>>);

/// Why a question about queues has no answer.
pub(super) struct Failure {
    pub error: lapin::Error,
    /// Which of the queues asked for it concerns, when it does not concern all.
    pub queue: Option<usize>,
}

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        Self { error, queue: None }
    }
}

impl Live {
    /// Connects within `limit`; nothing when that is over.
    pub async fn connect(
        address: &AMQPUri,
        certificates: Option<String>,
        limit: Duration,
    ) -> Option<Result<Self, lapin::Error>> {
        let socket = Arc::new(Socket::default());
        // Whoever drops this future half way must not leave a thread behind.
        let mut cleaner = Cleaner(Some(socket.clone()));
        let connected = timeout(limit, open(address, certificates, socket.clone(), limit)).await.ok()?;
        if connected.is_ok() {
            cleaner.0 = None;
        }
        let (idle, free, abandoned) = (Mutex::default(), Semaphore::new(MOST_CHANNELS), AtomicBool::default());
        Some(connected.map(|connection| Self { connection, socket, idle, free, abandoned }))
    }

    /// Whether it still works, as far as is known.
    pub fn lives(&self) -> bool {
        self.connection.status().connected() && !self.abandoned.load(Ordering::Relaxed)
    }

    /// Gives it up at once, without a farewell that nobody answers.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.socket.shut();
    }

    /// A channel of one's own. It is closed when it is dropped.
    pub async fn channel(&self) -> Result<Channel, lapin::Error> {
        self.connection.create_channel().await
    }

    /// How many messages are ready in each of these queues; nothing for one that does not exist.
    ///
    /// All questions are sent before the first answer is awaited. Each queue that is missing costs a channel.
    pub async fn ready(&self, names: &[&str]) -> Result<Vec<Option<u64>>, Failure> {
        // It is closed by nobody.
        let _turn = self.free.acquire().await;
        let mut ready = Vec::with_capacity(names.len());
        while ready.len() < names.len() {
            let idle = self.idle().pop();
            let channel = match idle {
                Some(channel) => channel,
                None => self.channel().await?,
            };
            if !channel.status().connected() {
                continue;
            }
            // Made one by one: a closure that borrows and waits is too much for the compiler here.
            let mut asked = Vec::with_capacity(names.len() - ready.len());
            for name in &names[ready.len()..] {
                let passive = QueueDeclareOptions::default().passive();
                asked.push(channel.queue_declare((*name).into(), passive, FieldTable::default()));
            }
            for answer in join_all(asked).await {
                match answer {
                    Ok(queue) => ready.push(Some(u64::from(queue.message_count()))),
                    Err(error) if is_missing(&error) => {
                        ready.push(None);
                        break;
                    }
                    Err(error) => return Err(Failure { error, queue: Some(ready.len()) }),
                }
            }
            let mut idle = self.idle();
            if channel.status().connected() && idle.len() < MOST_IDLE_CHANNELS {
                idle.push(channel);
            }
        }
        Ok(ready)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Live {
    /// The library closes the connection in good order; here is what happens when the broker does not answer.
    fn drop(&mut self) {
        let socket = self.socket.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                socket.shut();
            })),
            Err(_) => socket.shut(),
        }
    }
}

/// Shuts a socket when it is dropped, unless it was taken away.
struct Cleaner(Option<Arc<Socket>>);

impl Drop for Cleaner {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.shut();
        }
    }
}

impl Socket {
    fn keep(&self, stream: TcpStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    fn shut(&self) {
        if let Some(stream) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It fails when the other side was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

async fn open(
    address: &AMQPUri,
    certificates: Option<String>,
    socket: Arc<Socket>,
    limit: Duration,
) -> Result<Connection, lapin::Error> {
    let (tls, properties) =
        (OwnedTLSConfig { identity: None, cert_chain: certificates }, ConnectionProperties::default());
    let properties = properties.with_connection_name(env!("CARGO_PKG_NAME").into());
    // Written in place, because only so the compiler knows the library's type of the runtime.
    let connecting = Connection::connector(
        address.clone(),
        default_runtime()?,
        async move |address: AMQPUri, runtime| {
            let plain = async {
                let found = tokio::net::lookup_host((address.authority.host.as_str(), address.authority.port)).await?;
                let stream = AsyncTcpStream::connect(&runtime, found.collect::<Vec<_>>()).await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    socket.keep(stream.get_ref().as_fd().try_clone_to_owned()?.into());
                }
                match address.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&address.authority.host, tls.as_ref()).await,
                }
            };
            // Nobody may wait for this any more, so it needs an end of its own.
            let connected = timeout(limit, plain).await;
            connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(lapin::Error::from)
        },
        properties,
    );
    connecting.await
}

/// Whether the broker says that there is no such queue or exchange.
#[must_use]
pub fn is_missing(error: &lapin::Error) -> bool {
    soft(error) == Some(&AMQPSoftError::NOTFOUND)
}

/// The reason for which the broker closed a channel.
pub(super) fn soft(error: &lapin::Error) -> Option<&AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}
