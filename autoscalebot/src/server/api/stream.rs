//! What happens, as it happens, as server-sent events.
//!
//! A listener who is slower than the news is told every process anew instead of what they missed: what counts is now. The
//! stream ends when the program stops, so that an open dashboard does not hold up the exit.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::names::ProcessName;
use autoscalebot_engine::board::News;
use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use utoipa::IntoParams;

use super::{
    input::{Asked, no_process},
    journal::Event,
    time::Time,
};
use crate::server::{failure::Failure, site::Site};

/// Streams at once: every one is a connection and a place among the listeners to the news.
pub const MOST_STREAMS: usize = 100;

/// So often something is sent at least, so that proxies do not think that nobody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which processes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// Only this process.
    #[param(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    process: Option<String>,
}

/// What happens, as it happens
///
/// Events: `hello` with the server's time, `process` with a process after each change, `event` with what is worth
/// telling, `gone` with the name of a process that was removed. Comments keep the connection alive.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "now", params(StreamQuery),
    responses((status = 200, body = String, content_type = "text/event-stream")),
)]
pub async fn stream(State(site): State<Arc<Site>>, Asked(query): Asked<StreamQuery>) -> Result<Response, Failure> {
    if let Some(name) = query.process.as_deref().filter(|name| site.parts.board.glance(name).is_none()) {
        return Err(no_process(name, &site.parts.board));
    }
    let permit = site.streams.clone().try_acquire_owned().map_err(|_| {
        Failure::too_much("too_many_streams", format!("{MOST_STREAMS} streams are open already; close one"), 10)
    })?;
    let hello = message("hello", &Hello { now: site.parts.clock.now().into() });
    let listener = Listener {
        news: site.parts.board.news(),
        only: query.process,
        waiting: hello.into_iter().collect(),
        site,
        _permit: permit,
    };
    let events = stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Some proxies collect an answer until it is over.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

#[derive(Serialize)]
struct Hello {
    now: Time,
}

#[derive(Serialize)]
struct Gone<'a> {
    name: &'a str,
}

/// One who listens.
struct Listener {
    site: Arc<Site>,
    news: broadcast::Receiver<News>,
    only: Option<String>,
    /// What they have yet to be told.
    waiting: VecDeque<sse::Event>,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// What to tell next; nothing when the program stops.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let stop = self.site.stop.clone();
            let news = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                news = self.news.recv() => news,
            };
            match news {
                Ok(News::Process(process)) if self.hears_of(&process) => self.waiting.extend(self.process(&process)),
                Ok(News::Event(process, at, event)) if self.hears_of(&process) => {
                    let event = Event::of(live_id(), &process, at, &event);
                    self.waiting.extend(message("event", &event));
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // What was missed is old by now; so is what still waits in the channel.
                    self.news = self.news.resubscribe();
                    let all = self.site.parts.board.names();
                    let heard = all.iter().filter(|process| self.hears_of(process));
                    let anew: Vec<_> = heard.filter_map(|process| self.process(process)).collect();
                    self.waiting.extend(anew);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    fn hears_of(&self, process: &ProcessName) -> bool {
        self.only.as_deref().is_none_or(|only| only == process.as_str())
    }

    fn process(&self, process: &ProcessName) -> Option<sse::Event> {
        match self.site.process(process.as_str()) {
            Some(process) => message("process", &process),
            None => message("gone", &Gone { name: process.as_str() }),
        }
    }
}

fn message(event: &str, data: &impl Serialize) -> Option<sse::Event> {
    // Our own values can always be written as JSON.
    sse::Event::default().event(event).json_data(data).ok()
}

/// A number for an event that the store has not given one.
fn live_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("live-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use autoscalebot_engine::bot::Watch as _;

    use super::*;
    use crate::server::testing::site;

    #[tokio::test]
    async fn a_listener_who_is_slower_than_the_news_is_told_every_process_anew() {
        let (site, _fleet) = site(Duration::ZERO).await;
        let permit = site.streams.clone().acquire_owned().await.unwrap();
        let news = site.parts.board.news();
        let mut listener = Listener { site: site.clone(), news, only: None, waiting: VecDeque::new(), _permit: permit };
        let ghost = ProcessName::new("ghost").unwrap();
        for _ in 0..10_000 {
            site.parts.board.left(&ghost);
        }
        let first = format!("{:?}", listener.next().await.unwrap());
        assert!(first.contains("web") && !first.contains("ghost"), "{first}");
        site.stop.cancel();
        while listener.next().await.is_some() {}
    }

    #[tokio::test]
    async fn there_are_no_more_streams_than_places() {
        let (site, _fleet) = site(Duration::ZERO).await;
        let ask = || stream(State(site.clone()), Asked(StreamQuery { process: None }));
        let mut open = Vec::new();
        for _ in 0..MOST_STREAMS {
            open.push(ask().await.map_err(|failure| failure.message).unwrap());
        }
        assert_eq!(ask().await.map(|_| ()).unwrap_err().key, "too_many_streams");
        open.pop();
        assert!(ask().await.is_ok());
    }
}
