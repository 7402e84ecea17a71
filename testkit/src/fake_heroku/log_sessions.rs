//! Log sessions: made by a call, read from an address of their own, as text or as server-sent events.
//!
//! ```text
//! POST /apps/{app}/log-sessions ─► Session ─► GET /sessions/{id}?srv=… ─► history ─► (tail) lines as they come ─► EOF
//! ```
//!
//! The address opens without the token; whoever sends it there shows up in the recorded headers. A session that is not
//! known, or older than its expiry, is 404.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use autoscalebot_core::moment::Moment;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    api::{Answer, Call, plain},
    clock::{api_time, log_time},
    errors::ApiError,
    identity::new_id,
    log::Filter,
    setup::Generation,
    state::{Shared, World},
};

/// Lines of history when the client asks for no number.
const DEFAULT_LINES: usize = 100;

/// One session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    id: String,
    app: usize,
    filter: Filter,
    lines: usize,
    tail: bool,
    made_at: Duration,
    /// The server has ended it.
    pub(crate) closed: bool,
}

/// `POST /apps/{app}/log-sessions`.
pub(crate) fn create(world: &mut World, now: Moment, app: usize, body: &Value) -> Result<Answer, ApiError> {
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let fir = world.apps[app].generation == Generation::Fir;
    let lines = body["lines"].as_u64().and_then(|lines| usize::try_from(lines).ok()).unwrap_or(DEFAULT_LINES);
    let session = Session {
        id: new_id(),
        app,
        filter: Filter {
            // The schema's newest name for it is `dyno_name`; every client of today sends `dyno`.
            dyno: text("dyno").or_else(|| text("dyno_name")),
            process_type: text("type"),
            source: text("source"),
        },
        // Fir knows neither history nor an end.
        lines: if fir { 0 } else { lines },
        tail: fir || body["tail"].as_bool().unwrap_or(false),
        made_at: now.since_start,
        closed: false,
    };
    let answer = json!({
        "created_at": api_time(now.civil),
        "id": session.id,
        "logplex_url": format!("{}/sessions/{}?srv={}", world.url, session.id, now.civil.as_second()),
        "updated_at": api_time(now.civil),
    });
    world.sessions.push(session);
    Ok(Answer::of(StatusCode::CREATED, answer))
}

/// `GET /sessions/{id}`.
pub(crate) fn read(shared: &Arc<Shared>, call: &Call) -> Response {
    let id = call.path.trim_start_matches("/sessions/");
    let found = shared.look(|world, now| {
        let expiry = world.timings.log_session_expiry;
        let known = |session: &&Session| {
            session.id == id && !session.closed && now.since_start.saturating_sub(session.made_at) < expiry
        };
        let session = world.sessions.iter().find(known)?.clone();
        let app = &world.apps[session.app];
        let fir = app.generation == Generation::Fir;
        let events = call.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/event-stream"))
            && (fir || world.open.cedar_log_sessions_answer_events);
        let next = app.log.start_of_last(session.lines, &session.filter);
        let format = match (events, fir) {
            (true, _) => Format::Events,
            (false, true) => Format::Undelimited,
            (false, false) => Format::Lines,
        };
        let ends_at = world.timings.log_session_lifetime.map(|lifetime| now.since_start + lifetime);
        Some((session, next, format, ends_at))
    });
    let Some((session, next, format, ends_at)) = found else {
        return plain(StatusCode::NOT_FOUND, "Not found");
    };
    let reader = Reader {
        changes: shared.watch(),
        shared: Arc::clone(shared),
        heartbeat: shared.look(|world, _| world.timings.log_heartbeat),
        session,
        next,
        format,
        ends_at,
        shown: 0,
        ready: VecDeque::new(),
        ended: false,
    };
    let mut response = Response::new(Body::from_stream(stream::unfold(reader, Reader::next)));
    let kind = if format == Format::Events { "text/event-stream" } else { "text/plain" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `id: 1`, `data: …`, an empty line.
    Events,
    /// One line each.
    Lines,
    /// As Fir writes plain text: nothing between two records.
    Undelimited,
}

impl Format {
    fn write(self, number: u64, text: &str) -> Bytes {
        match self {
            Self::Events => {
                let data: String = text.split('\n').map(|line| format!("data: {line}\n")).collect();
                Bytes::from(format!("id: {number}\n{data}\n"))
            }
            Self::Lines => Bytes::from(format!("{text}\n")),
            Self::Undelimited => Bytes::from(text.to_owned()),
        }
    }
}

/// Somebody who reads a session.
struct Reader {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    heartbeat: Duration,
    session: Session,
    /// The number of the log's next line to look at.
    next: u64,
    format: Format,
    /// When the server ends it, by the fake's clock.
    ends_at: Option<Duration>,
    shown: u64,
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some((Ok(piece), self));
            }
            if self.ended {
                return None;
            }
            // Seen before looking, so that no change between the look and the wait is missed.
            self.changes.borrow_and_update();
            let left = self.collect();
            if !self.ready.is_empty() || self.ended {
                continue;
            }
            let wait = left.unwrap_or(self.heartbeat).min(self.heartbeat);
            match tokio::time::timeout(wait, self.changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if self.format == Format::Events => return Some((Ok(Bytes::from_static(b":\n\n")), self)),
                Err(_) => {}
            }
        }
    }

    /// Takes what is new; gives the real time until the server ends the session, if it will.
    fn collect(&mut self) -> Option<Duration> {
        let shared = Arc::clone(&self.shared);
        shared.look(|world, now| {
            let log = &world.apps[self.session.app].log;
            let (lost, lines) = log.since(self.next, &self.session.filter);
            self.next = log.end();
            if lost > 0 {
                let time = log_time(now.civil);
                let text = format!(
                    "{time} heroku[logplex]: Error L11 (Tail buffer overflow) -> {lost} messages dropped since {time}."
                );
                self.show(&text);
            }
            for line in lines {
                self.show(&line.text());
            }
            let closed = world.sessions.iter().all(|session| session.id != self.session.id || session.closed);
            let over = self.ends_at.is_some_and(|end| end <= now.since_start);
            self.ended = !self.session.tail || closed || over;
            self.ends_at.map(|end| shared.clock.real(end.saturating_sub(now.since_start)) + Duration::from_millis(1))
        })
    }

    fn show(&mut self, text: &str) {
        self.shown += 1;
        self.ready.push_back(self.format.write(self.shown, text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_writes_a_record_in_its_own_way() {
        let table = [
            (Format::Events, "a\nb", "id: 3\ndata: a\ndata: b\n\n"),
            (Format::Lines, "a", "a\n"),
            (Format::Undelimited, "a", "a"),
        ];
        for (format, text, written) in table {
            assert_eq!(format.write(3, text), written, "{format:?}");
        }
    }
}
