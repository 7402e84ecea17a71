//! The app of the demo: what a hidden subcommand of this program serves on its `PORT`.
//!
//! A request is some slices of work. The process does one slice at a time and takes the requests in turn, as one core
//! does, so an answer takes longer the more requests there are; it works on a few at a time and lets some more wait. What
//! comes on top is turned away with a 503. Work is waiting, as if for a database, so that the demo heats nobody's machine.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use autoscalebot_engine::environment::Environment;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::any};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Mutex, Semaphore},
};

use crate::exit::Exit;

/// Requests that are worked on at a time.
const AT_A_TIME: usize = 8;

/// Requests that are there at a time, with those that wait. The last one is answered after two seconds or so, so that a
/// measurement in the worst moment does not take longer.
const MOST: usize = 20;

/// Slices of one request: enough for a fair turn, few enough for timers to be exact.
const SLICES: u32 = 6;

struct App {
    slice: Duration,
    core: Mutex<()>,
    places: Semaphore,
    workers: Semaphore,
}

/// Serves until SIGTERM.
pub fn run(work: Duration, environment: &Environment) -> Exit {
    let Some(port) = environment.get("PORT").and_then(|port| port.parse().ok()) else {
        eprintln!("error: the demo's app needs a PORT");
        return Exit::REFUSED;
    };
    let runtime = match crate::command::runtime(1) {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    match runtime.block_on(serve(port, work)) {
        Ok(()) => Exit::FINE,
        Err(error) => {
            eprintln!("error: the demo's app cannot serve on port {port}: {error}");
            Exit::FAILED
        }
    }
}

async fn serve(port: u16, work: Duration) -> std::io::Result<()> {
    let app = App {
        slice: work / SLICES,
        core: Mutex::default(),
        places: Semaphore::new(MOST),
        workers: Semaphore::new(AT_A_TIME),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on port {port}");
    let routes = Router::new().fallback(any(answer)).with_state(Arc::new(app));
    let stopped = async move {
        terminate.recv().await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(stopped).await
}

async fn answer(State(app): State<Arc<App>>) -> impl IntoResponse {
    let Ok(_place) = app.places.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time\n");
    };
    // Semaphores that nobody closes are always acquired in the end.
    let _worker = app.workers.acquire().await;
    for _ in 0..SLICES {
        let _turn = app.core.lock().await;
        tokio::time::sleep(app.slice).await;
    }
    (StatusCode::OK, "done\n")
}
