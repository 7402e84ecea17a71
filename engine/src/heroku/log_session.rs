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
    sync::{Arc, Mutex, PoisonError},
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

/// Pause before another session, doubled each time none brought anything. Heroku's own tools begin at 500 ms as well.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause: at two calls a minute the rate limit does not feel it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
}

/// Whether lines can be expected.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// The last attempt failed; another follows.
    Failed(String),
}

/// How a stream ended.
enum End {
    /// Heroku closed it, or it was time.
    Normal,
    /// It could not be read, for this reason.
    Broken(String),
}

/// Waiting for one request's line; stops when dropped.
pub struct Expected {
    inner: Arc<Inner>,
    id: String,
    line: oneshot::Receiver<RouterLine>,
}

impl RouterLog {
    /// A log that nobody reads yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let (state, _) = watch::channel(State::Opening);
        let inner = Inner { app, waiting: Mutex::default(), state, suspected: Notify::new() };
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
        let open = state.wait_for(|state| *state == State::Open);
        if matches!(tokio::time::timeout(READY_LIMIT, open).await, Ok(Ok(_))) {
            return Ok(());
        }
        let seen = state.borrow().clone();
        match seen {
            State::Failed(why) => Err(why),
            _ => Err(format!("the log stream did not open within {} s", READY_LIMIT.as_secs())),
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
        Ok(Expected { inner: self.inner.clone(), id: id.to_owned(), line })
    }

    /// A line did not come: the stream may be dead without an end. It is opened anew.
    pub fn suspect(&self) {
        self.inner.suspected.notify_one();
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
    /// The line, if it comes within `limit`.
    pub async fn within(mut self, limit: Duration) -> Option<RouterLine> {
        tokio::time::timeout(limit, &mut self.line).await.ok()?.ok()
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
            let mut has_brought_lines = false;
            let end = match self.open().await {
                Ok(response) => {
                    self.state.send_replace(State::Open);
                    self.read(response, &mut has_brought_lines).await
                }
                Err(why) => End::Broken(why),
            };
            match end {
                End::Normal => self.state.send_replace(State::Opening),
                End::Broken(why) => self.state.send_replace(State::Failed(why)),
            };
            if has_brought_lines {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes a session and begins its stream.
    async fn open(&self) -> Result<Response, String> {
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
            explain(&error, &subject).message
        })?;
        let address = reply.body.get("logplex_url").and_then(serde_json::Value::as_str);
        let address = address.and_then(|text| Url::parse(text).ok()).ok_or_else(|| {
            format!("Heroku's answer to a new log session holds no address (Request-Id {})", reply.request_id)
        })?;
        if address.scheme() != "https" && !(address.scheme() == "http" && is_this_machine(&address)) {
            return Err("Heroku's log session has an unencrypted address; it is not used".to_owned());
        }
        let request = self.app.api().client().get(address).header(ACCEPT, "text/event-stream, text/plain;q=0.5").send();
        let response = match tokio::time::timeout(OPENING_LIMIT, request).await {
            Ok(Ok(response)) => response,
            // The library's words hold the address, so only their kind is told.
            Ok(Err(error)) if error.is_connect() => return Err("no connection to the log session".to_owned()),
            Ok(Err(_)) => return Err("the log session broke while it was opened".to_owned()),
            Err(_) => return Err(format!("the log session did not begin within {} s", OPENING_LIMIT.as_secs())),
        };
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(format!("the log session was answered with {status}; a new one is tried")),
        }
    }

    /// Reads until the stream ends, is old, or is suspected dead.
    async fn read(&self, mut response: Response, has_brought_lines: &mut bool) -> End {
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
            *has_brought_lines = true;
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
                // Not a line that brings anything: the pause must grow.
                *has_brought_lines = false;
                return End::Broken(format!("Heroku does not stream the log of so busy an app: {words}"));
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
