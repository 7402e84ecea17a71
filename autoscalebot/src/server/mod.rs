//! The HTTP server: API, dashboard, metrics and probes of a running fleet.
//!
//! ```text
//!  browser, script, Prometheus ─► router ─┬─► board      what is known now     (read)
//!                                         ├─► store      what was              (read)
//!                                         └─► commander  what people tell bots (the one way in)
//! ```
//!
//! Bots do not know it. It holds no state but its own limits, and a request that goes wrong is the asker's alone. It serves
//! HTTP/1.1 in plain text: whoever reaches it from afar puts something in front that speaks TLS, as every platform does.

mod access;
mod api;
mod assets;
mod failure;
mod limits;
pub mod listen;
mod metrics;
mod probes;
mod router;
mod site;
#[cfg(test)]
mod testing;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;
use tracing::{debug, warn};

pub use self::site::Parts;
use self::{access::Access, listen::Listen, router::Client, site::Site};

/// Connections at once. A browser opens six; more than this is nobody's dashboard, and each costs a file descriptor.
const MOST_CONNECTIONS: usize = 1024;

/// Whoever connects says what they want within this time; and a connection that is kept open and says nothing ends then.
const HEADERS_LIMIT: Duration = Duration::from_secs(10);

/// After the system refused a connection (no more file descriptors, say), it is asked again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A server that has its address.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
}

/// A server that runs.
pub struct Serving {
    address: SocketAddr,
    connections: TaskTracker,
}

/// The document about the API, as it is served.
#[must_use]
pub fn openapi() -> String {
    api::routes().1.to_pretty_json().unwrap_or_default()
}

/// Takes the address. Nobody is answered yet.
///
/// # Errors
/// When the address cannot be had, in words.
pub async fn bind(listen: &Listen) -> Result<Listening, String> {
    let listener = TcpListener::bind(listen.address).await.map_err(|error| refused(listen.address, &error))?;
    let address = listener.local_addr().map_err(|error| refused(listen.address, &error))?;
    Ok(Listening { listener, address, access: Access::new(listen) })
}

impl Listening {
    /// Begins to serve, until `stop`. Then streams end, and every connection after its present answer; probes are still
    /// answered, for as long as the program needs to stop.
    #[must_use]
    pub fn serve(self, parts: Parts, stop: CancellationToken) -> Serving {
        let router = router::router(Site::new(parts, self.access, stop.clone()));
        let connections = TaskTracker::new();
        tokio::spawn(accept(self.listener, router, stop, connections.clone()));
        Serving { address: self.address, connections }
    }
}

impl Serving {
    /// Where a browser on this machine finds the dashboard.
    #[must_use]
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        format!("http://{}/", SocketAddr::new(ip, self.address.port()))
    }

    /// Returns when all answers are given after a stop, or after `limit`.
    pub async fn ended(&self, limit: Duration) {
        self.connections.close();
        // What is not answered by then is cut off with the program.
        let _ = timeout(limit, self.connections.wait()).await;
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "something listens there already; stop it, or choose another port with --listen",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a permission; choose a higher one with --listen",
        _ => "choose another address with --listen",
    };
    format!("cannot listen on {address}: {error}; {hint}")
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, connections: TaskTracker) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                connections.spawn(connection(stream, client, router.clone(), stop.clone(), permit));
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    // Events of a stream are small and should not wait for one another.
    let _ = stream.set_nodelay(true);
    let client = Client(client.ip());
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(client);
        router.clone().call(request.map(axum::body::Body::new))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_LIMIT);
    // Who comes while the program stops gets one answer.
    builder.keep_alive(!stop.is_cancelled());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let was_stopped = stop.is_cancelled();
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop.cancelled(), if !was_stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection broke off");
    }
}
