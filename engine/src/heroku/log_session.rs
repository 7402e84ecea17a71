//! The router's log lines of one app, for those who wait for one.
//!
//! ```text
//!  expect(id) ─────► waiting: id → where to send the line ◄──── reader task: POST log-sessions, GET its address, read
//!  …request…              │                                       │ ended, 404, 403, 15 minutes old, suspected dead:
//!  line, or none in time ◄┘                                       └─ a new session, after a pause that grows
//! ```
//!
//! One stream serves all bots of an app and key. It is kept open, because opening one for each measurement would cost a
//! call each and miss the line. Only lines that somebody waits for are kept; everybody else's requests are read past. A
//! new session is asked for its history, so a line that was written between two sessions is not lost.
//!
//! The address of a session is a secret by itself: it opens the log to whoever knows it. It is never shown, and the API
//! key is never sent to it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::json;
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinHandle,
};
use url::Url;

use super::{
    account::is_this_machine,
    api::{Call, jittered},
    app::{App, Generation},
    errors::{Subject, explain},
    router_line::RouterLine,
    stream::{Lines, LogLine, Wrapping},
};

/// A session is given up at this age. Fir ends streams after about 15 minutes; a renewal of our own choosing costs less
/// than a surprise, and on Cedar it is one call of 4500.
const OLDEST_SESSION: Duration = Duration::from_secs(15 * 60);

/// Lines of history that a new session begins with: what a busy router writes in the second between two sessions. Logplex
/// keeps 1500.
const HISTORY_LINES: u32 = 500;

/// How long Heroku may take to make a session, and again to begin its stream.
const OPENING_LIMIT: Duration = Duration::from_secs(15);

/// How long a measurement waits for a stream that is just being opened.
pub const READY_LIMIT: Duration = Duration::from_secs(10);

/// Pause before another session, doubled each time one ended before [`LASTED`]. Heroku's own tools begin at 500 ms as well.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause: at two calls a minute the rate limit does not feel it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A session that lived this long was a good one. Whether it brought lines says nothing: the history alone brings some, and
/// a session each half second would spend more calls than flow back.
const LASTED: Duration = Duration::from_secs(20);

/// While pauses are no longer than this, a measurement waits for the next attempt.
const LONGEST_HOPE: Duration = Duration::from_secs(2);

/// Requests waited for at once. Each bot waits for one, so this is bots per app; beyond it a measurement is refused.
const MOST_WAITING: usize = 10_000;

/// The log of one app's router. The stream ends when the last user is gone.
pub struct RouterLog {
    inner: Arc<Inner>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    app: Arc<App>,
    waiting: Mutex<HashMap<String, oneshot::Sender<RouterLine>>>,
    state: watch::Sender<State>,
    suspected: Notify,
    /// Pieces that came, of all streams together: a stream that brings anything is alive.
    pieces: AtomicU64,
}

/// Whether lines can be expected.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// The last attempt failed, so soon after it opened or so early that the next may well succeed.
    Failing(String),
    /// Attempts fail in a row, or for a reason that does not pass by itself: waiting is no use.
    Failed(String),
}

/// How a stream ended.
enum End {
    /// Heroku closed it, or it was time.
    Normal,
    /// It could not be read, for this reason.
    Broken(String),
    /// It will not be read either the next time, for this reason.
    Hopeless(String),
}

/// Waiting for one request's line; stops when dropped.
pub struct Expected {
    inner: Arc<Inner>,
    id: String,
    line: oneshot::Receiver<RouterLine>,
    pieces: u64,
}

impl RouterLog {
    /// A log that nobody reads yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let (state, _) = watch::channel(State::Opening);
        let inner =
            Inner { app, waiting: Mutex::default(), state, suspected: Notify::new(), pieces: AtomicU64::new(0) };
        Self { inner: Arc::new(inner), reader: Mutex::default() }
    }

    /// Returns when the stream is open; starts reading if nobody did.
    ///
    /// # Errors
    /// Why it is not open within [`READY_LIMIT`].
    pub async fn ready(&self) -> Result<(), String> {
        {
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            // A reader that has ended has panicked; its successor begins anew.
            if reader.as_ref().is_none_or(JoinHandle::is_finished) {
                self.inner.state.send_replace(State::Opening);
                *reader = Some(tokio::spawn(self.inner.clone().read_forever()));
            }
        }
        let mut state = self.inner.state.subscribe();
        let known = state.wait_for(|state| matches!(state, State::Open | State::Failed(_)));
        // Out of time or not, the state says the rest.
        let _ = tokio::time::timeout(READY_LIMIT, known).await;
        let seen = state.borrow().clone();
        match seen {
            State::Open => Ok(()),
            State::Failing(why) | State::Failed(why) => Err(why),
            State::Opening => Err(format!("the log stream did not open within {} s", READY_LIMIT.as_secs())),
        }
    }

    /// Begins to wait for the line of a request that is about to be sent.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn expect(&self, id: &str) -> Result<Expected, String> {
        let (sender, line) = oneshot::channel();
        let mut waiting = self.inner.waiting();
        if waiting.len() >= MOST_WAITING {
            return Err(format!("{MOST_WAITING} requests wait for their line already"));
        }
        waiting.insert(id.to_owned(), sender);
        let pieces = self.inner.pieces.load(Ordering::Relaxed);
        Ok(Expected { inner: self.inner.clone(), id: id.to_owned(), line, pieces })
    }
}

impl Drop for RouterLog {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            reader.abort();
        }
    }
}

impl Expected {
    /// The line, if it comes within `limit`. If not even anything else came since the request, the stream may be dead
    /// without an end, and is opened anew.
    pub async fn within(mut self, limit: Duration) -> Option<RouterLine> {
        let line = tokio::time::timeout(limit, &mut self.line).await.ok().and_then(Result::ok);
        if line.is_none() && self.inner.pieces.load(Ordering::Relaxed) == self.pieces {
            self.inner.suspected.notify_waiters();
        }
        line
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.inner.waiting().remove(&self.id);
    }
}

impl Inner {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<RouterLine>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Session after session, until it is aborted.
    async fn read_forever(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let opened = self.open().await;
            let since = self.app.api().now();
            let end = match opened {
                Ok(response) => {
                    self.state.send_replace(State::Open);
                    self.read(response).await
                }
                Err(end) => end,
            };
            if self.app.api().now().saturating_sub(since) >= LASTED {
                pause = FIRST_PAUSE;
            }
            self.state.send_replace(match end {
                End::Normal => State::Opening,
                End::Broken(why) if pause <= LONGEST_HOPE => State::Failing(why),
                End::Broken(why) | End::Hopeless(why) => State::Failed(why),
            });
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes a session and begins its stream.
    async fn open(&self) -> Result<Response, End> {
        // The generation decides what to ask for. When it cannot be learnt, Cedar's question is understood by both.
        let generation = self.app.info(OPENING_LIMIT).await.map_or(Generation::Cedar, |info| info.generation);
        let body = match generation {
            Generation::Cedar => {
                json!({"source": "heroku", "dyno": "router", "tail": true, "lines": HISTORY_LINES})
            }
            // Fir always tails and knows no `lines`. How it calls its router is not documented, so everything that is not
            // the app's own comes, and the lines are told apart by what they say.
            Generation::Fir => json!({"source": "heroku"}),
        };
        let call = Call::post(format!("/apps/{}/log-sessions", self.app.name()), body);
        let reply = self.app.api().call(&call, OPENING_LIMIT).await;
        let reply = reply.map_err(|error| {
            let subject = Subject { app: self.app.name(), process: None, tried: "open a log session" };
            let why = explain(&error, &subject).message;
            if error.may_pass() { End::Broken(why) } else { End::Hopeless(why) }
        })?;
        let address = reply.body.get("logplex_url").and_then(serde_json::Value::as_str);
        let address = address.and_then(|text| Url::parse(text).ok()).ok_or_else(|| {
            let id = &reply.request_id;
            End::Hopeless(format!("Heroku's answer to a new log session holds no address (Request-Id {id})"))
        })?;
        if address.scheme() != "https" && !(address.scheme() == "http" && is_this_machine(&address)) {
            let why = "Heroku's log session has an unencrypted address; it is not used";
            return Err(End::Hopeless(why.to_owned()));
        }
        let request = self.app.api().client().get(address).header(ACCEPT, "text/event-stream, text/plain;q=0.5").send();
        let broken = |why: &str| Err(End::Broken(why.to_owned()));
        // The library's own words would hold the address, so only the kind is told.
        match tokio::time::timeout(OPENING_LIMIT, request).await {
            Ok(Ok(response)) if response.status() == StatusCode::OK => Ok(response),
            Ok(Ok(response)) => {
                broken(&format!("the log session was answered with {}; a new one is tried", response.status()))
            }
            Ok(Err(error)) if error.is_connect() => broken("no connection to the log session"),
            Ok(Err(_)) => broken("the log session broke while it was opened"),
            Err(_) => broken(&format!("the log session did not begin within {} s", OPENING_LIMIT.as_secs())),
        }
    }

    /// Reads until the stream ends, is old, or is suspected dead.
    async fn read(&self, mut response: Response) -> End {
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mut lines = Lines::new(Wrapping::of(content_type.unwrap_or_default()));
        let old = tokio::time::sleep(OLDEST_SESSION);
        tokio::pin!(old);
        loop {
            let piece = tokio::select! {
                () = &mut old => return End::Normal,
                () = self.suspected.notified() => return End::Normal,
                piece = response.chunk() => piece,
            };
            let piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => return End::Normal,
                Err(_) => return End::Broken("the log stream broke; a new one is opened".to_owned()),
            };
            self.pieces.fetch_add(1, Ordering::Relaxed);
            let mut forbidden = None;
            lines.push(&piece, |line| {
                let line = LogLine::parse(line);
                if line.message.contains("Error L20") {
                    forbidden = Some(line.message.chars().take(200).collect::<String>());
                } else {
                    self.hand_out(&line);
                }
            });
            if let Some(words) = forbidden {
                return End::Hopeless(format!("Heroku does not stream the log of so busy an app: {words}"));
            }
        }
    }

    /// Gives a line to whoever waits for it.
    fn hand_out(&self, line: &LogLine<'_>) {
        let line = RouterLine::parse(line.message);
        // Apps may log the request's id too; only the router writes `at`.
        if line.get("at").is_none() {
            return;
        }
        let Some(sender) = line.request_id().and_then(|id| self.waiting().remove(id)) else { return };
        // Whoever waited may have given up in this very moment.
        let _ = sender.send(line);
    }
}
