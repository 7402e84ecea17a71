//! Connections that can be broken on purpose, and the thread on which the fake lives.
//!
//! The fake has a thread and a runtime of its own: a test may block its own thread, pause its own clock, or drop the fake
//! anywhere, and the fake goes on, or ends and closes every port, all the same.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::{api, router, setup::Setup, state::Shared};

/// A client's connection, as handlers see it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    broken: Arc<AtomicBool>,
    /// The client's address.
    pub(crate) peer: SocketAddr,
}

impl Connection {
    /// Resets the connection: what was not sent yet is lost, and the client gets an error instead of an end.
    pub(crate) fn reset(&self) {
        // If the option cannot be set the client sees an early end instead of a reset, which is as broken.
        let _ = self.stream.set_zero_linger();
        self.broken.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the fake resets this connection"));
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            self.check()?;
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            self.check()?;
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Dropping the stream closes it, in either way.
        Poll::Ready(Ok(()))
    }
}

/// A listener whose connections are `Connection`s.
struct BreakableListener(TcpListener);

impl Listener for BreakableListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        // Answers are small and must not wait for each other; a failure costs milliseconds, not correctness.
        let _ = stream.set_nodelay(true);
        (Connection { stream: Arc::new(stream), broken: Arc::default(), peer }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, BreakableListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, BreakableListener>) -> Self {
        stream.io().clone()
    }
}

/// What the thread tells once it listens.
pub(crate) struct Started {
    pub(crate) shared: Arc<Shared>,
    pub(crate) api: SocketAddr,
    /// One per app.
    pub(crate) routers: Vec<SocketAddr>,
}

/// Runs the fake on this thread until it is told to stop; `started` is called once, with addresses or the reason why not.
pub(crate) fn run(setup: &Setup, stop: &CancellationToken, started: impl FnOnce(io::Result<Started>)) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return started(Err(error)),
    };
    runtime.block_on(async {
        match listen(setup).await {
            Err(error) => started(Err(error)),
            Ok((told, tasks)) => {
                started(Ok(told));
                stop.cancelled().await;
                drop(tasks);
            }
        }
    });
    // Dropping the runtime drops every task, and with them every socket; a name look-up may still be under way.
    runtime.shutdown_background();
}

async fn listen(setup: &Setup) -> io::Result<(Started, tokio::task::JoinSet<()>)> {
    let shared = Arc::new(Shared::new(setup));
    let mut tasks = tokio::task::JoinSet::new();
    let api_listener = TcpListener::bind(setup.listen).await?;
    let api = api_listener.local_addr()?;
    let mut routers = Vec::new();
    for app in 0..setup.apps.len() {
        let free_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(if app == 0 { setup.router_listen } else { free_port }).await?;
        routers.push(listener.local_addr()?);
        let state = router::AppRouter { shared: Arc::clone(&shared), app };
        tasks.spawn(serve(listener, Router::new().fallback(router::serve).with_state(state)));
    }
    shared.with(|world, _| {
        world.url = format!("http://{api}");
        for (app, address) in world.apps.iter_mut().zip(&routers) {
            app.web_url = format!("http://{address}/");
        }
    });
    tasks.spawn(serve(api_listener, Router::new().fallback(api::serve).with_state(Arc::clone(&shared))));
    let keeper = Arc::clone(&shared);
    tasks.spawn(async move { keeper.keep_agenda().await });
    Ok((Started { shared, api, routers }, tasks))
}

async fn serve(listener: TcpListener, routes: Router) {
    let service = routes.into_make_service_with_connect_info::<Connection>();
    // It ends only with its task.
    let _ = axum::serve(BreakableListener(listener), service).await;
}
