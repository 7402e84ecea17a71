//! The app side of the benchmarks: a cheap HTTP server with a metric per path, and bad neighbours on request.
//!
//! It runs as a process of its own, so that its work is not counted as the program's. It counts what it serves: a bot
//! that has fetched its metric has evaluated it, so requests are evaluations, counted by someone who cannot flatter. From
//! when requests for one path arrive it also knows how far each bot is from its interval.
//!
//! ```text
//! GET /n/17      {"value": 800}          GET /stats?interval=1000   what was served so far, in lines "name number"
//! GET /bad/500   GET /bad/garbage   GET /bad/hang   GET /bad/endless        (refusing needs no server)
//! ```
//!
//! It listens on all of 127.0.0.0/8, so that its clients have many destination addresses, and with them enough ports.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Request, Response, StatusCode, body::Frame, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A reading between the default thresholds, so that nobody wants to scale.
const ANSWER: &[u8] = br#"{"value": 800}"#;
/// Enough of an endless body per write to keep a reader busy.
const ENDLESS_CHUNK: &[u8] = &[b' '; 16 * 1024];

/// What was served.
#[derive(Default)]
struct Stats {
    /// When each path was asked for last.
    paths: HashMap<Box<str>, Instant>,
    good: u64,
    bad: u64,
    /// Time between two requests for the same path, in ms, since the last `/reset`.
    gaps: Vec<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await?;
    println!("{}", listener.local_addr()?.port());
    let stats = Rc::new(RefCell::new(Stats::default()));
    let tasks = tokio::task::LocalSet::new();
    tasks.run_until(accept(listener, stats)).await
}

async fn accept(listener: TcpListener, stats: Rc<RefCell<Stats>>) -> std::io::Result<()> {
    loop {
        let Ok((socket, from)) = listener.accept().await else {
            // Out of file descriptors: some will be free again in a moment.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if !from.ip().is_loopback() {
            continue;
        }
        let _ = socket.set_nodelay(true);
        let stats = stats.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| answer(request, stats.clone()));
            // Clients that go away in the middle are part of the exercise.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, stats: Rc<RefCell<Stats>>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let (status, body) = match path {
        "/stats" => (StatusCode::OK, full(stats.borrow().report(interval_of(&request)))),
        "/reset" => {
            let mut stats = stats.borrow_mut();
            stats.gaps.clear();
            (StatusCode::OK, full("done"))
        }
        "/bad/500" => (StatusCode::INTERNAL_SERVER_ERROR, full("no")),
        "/bad/garbage" => (StatusCode::OK, full(&b"\xff\xfe{{{ not json"[..])),
        "/bad/endless" => (StatusCode::OK, endless()),
        "/bad/hang" => std::future::pending().await,
        _ => (StatusCode::OK, full(ANSWER)),
    };
    if path.starts_with("/bad/") {
        stats.borrow_mut().bad += 1;
    } else if path.starts_with("/n/") {
        stats.borrow_mut().served(path);
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Ok(response)
}

/// The interval, in ms, that the caller of `/stats` expects between requests.
fn interval_of(request: &Request<Incoming>) -> Option<u32> {
    request.uri().query()?.strip_prefix("interval=")?.parse().ok()
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

fn endless() -> Body {
    let chunks = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(ENDLESS_CHUNK))));
    StreamBody::new(chunks).boxed_unsync()
}

impl Stats {
    #[expect(clippy::disallowed_methods, reason = "arrivals of real requests are what is measured here")]
    fn served(&mut self, path: &str) {
        let now = Instant::now();
        self.good += 1;
        if let Some(last) = self.paths.get_mut(path) {
            let gap = now.duration_since(std::mem::replace(last, now)).as_millis();
            self.gaps.push(u32::try_from(gap).unwrap_or(u32::MAX));
        } else {
            self.paths.insert(path.into(), now);
        }
    }

    /// Lines of a name and a number. Lateness is how far the time between two requests is from the interval.
    fn report(&self, interval: Option<u32>) -> String {
        let mut text = format!("good {}\nbad {}\npaths {}\n", self.good, self.bad, self.paths.len());
        if let Some(interval) = interval {
            let mut off: Vec<u32> = self.gaps.iter().map(|gap| gap.abs_diff(interval)).collect();
            off.sort_unstable();
            let at = |share: f64| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "an index"
                )]
                let index = (off.len().saturating_sub(1) as f64 * share) as usize;
                off.get(index).copied().unwrap_or(0)
            };
            text += &format!("off_p50 {}\noff_p99 {}\noff_max {}\n", at(0.5), at(0.99), at(1.0));
        }
        text
    }
}
