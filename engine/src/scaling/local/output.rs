//! What the processes print, line by line, each with the time and the name of its process, as `heroku logs` shows it.
//!
//! ```text
//! 2026-01-01T12:00:00.123456+00:00 app[web.1]: listening on 41873
//! 2026-01-01T12:00:00.145312+00:00 local[web.1]: up after 210 ms
//! 2026-01-01T12:00:01.000021+00:00 heroku[router]: at=info method=GET path="/" …
//! ```
//!
//! `app` is the app's own words, `local` is ours, and the router's lines keep the prefix that log tools for Heroku look
//! for. Nothing here may slow an app or a bot: lines wait in a bounded queue for one thread that writes them; when a
//! slow terminal lets the queue fill up, lines are dropped, and the next one that fits says how many.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    time::Duration,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    environment::{Environment, NO_COLOR},
};

/// Longer lines are cut into several; the figure is that of Heroku's log lines.
pub const LONGEST_LINE_BYTES: usize = 10_000;

/// Lines that wait to be written: some seconds of a very talkative app, and at most some megabytes.
const LINES_WAITING: usize = 4096;

/// How long the end of the program waits for the last lines.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// ANSI colours that can be read on dark and light ground: cyan, yellow, green, magenta, blue, red.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputTo {
    /// To the standard output of the program.
    Stdout,
    /// To its standard error.
    Stderr,
    /// Nowhere.
    None,
}

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// A process of the app: `app[web.1]`.
    App(&'a str),
    /// We, about a process or an entry: `local[web.1]`.
    Local(&'a str),
    /// The router: `heroku[router]`.
    Router,
}

/// Hands lines to the thread that writes them. Cheap to clone.
#[derive(Clone)]
pub struct Output {
    sender: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    coloured: bool,
}

enum Message {
    Line(String),
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl Output {
    /// Starts the thread, unless there is nothing to write.
    #[must_use]
    pub fn start(to: OutputTo, environment: &Environment, clock: Arc<dyn Clock>) -> Self {
        let is_terminal = match to {
            OutputTo::Stdout => io::stdout().is_terminal(),
            OutputTo::Stderr => io::stderr().is_terminal(),
            OutputTo::None => false,
        };
        let sender = match to {
            OutputTo::None => None,
            OutputTo::Stdout => start_thread(io::stdout),
            OutputTo::Stderr => start_thread(io::stderr),
        };
        let coloured = is_terminal && environment.get(NO_COLOR.name).is_none();
        Self { sender, dropped: Arc::default(), clock, coloured }
    }

    /// Lines go to a test.
    #[cfg(test)]
    pub(crate) fn captured(clock: Arc<dyn Clock>) -> (Self, impl Iterator<Item = String>) {
        let (sender, receiver) = sync_channel(LINES_WAITING);
        let lines = std::iter::from_fn(move || match receiver.try_recv() {
            Ok(Message::Line(line)) => Some(line),
            _ => None,
        });
        (Self { sender: Some(sender), dropped: Arc::default(), clock, coloured: false }, lines)
    }

    /// Passes a line on. Never waits.
    pub fn line(&self, speaker: Speaker<'_>, text: &str) {
        let Some(sender) = &self.sender else { return };
        let now = self.clock.now().civil;
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let notice = format!("{dropped} lines were dropped because they could not be written fast enough");
            if sender.try_send(Message::Line(render(now, Speaker::Local("output"), &notice, self.coloured))).is_err() {
                self.dropped.fetch_add(dropped, Ordering::Relaxed);
            }
        }
        if sender.try_send(Message::Line(render(now, speaker, text, self.coloured))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, not long, until what was said so far is written.
    pub async fn flush(&self) {
        let Some(sender) = &self.sender else { return };
        let (done, written) = tokio::sync::oneshot::channel();
        if sender.try_send(Message::Flush(done)).is_ok() {
            // Whoever reads our output may have gone; the end of the program does not wait for that.
            let _ = tokio::time::timeout(FLUSH_WITHIN, written).await;
        }
    }
}

fn start_thread<Stream: Write>(open: impl FnOnce() -> Stream + Send + 'static) -> Option<SyncSender<Message>> {
    let (sender, receiver) = sync_channel(LINES_WAITING);
    let thread = std::thread::Builder::new().name("local output".to_owned());
    // Without the thread the app still runs, only unheard; that is not worth an error.
    thread.spawn(move || write_lines(&receiver, open())).ok().map(|_| sender)
}

fn write_lines(receiver: &Receiver<Message>, mut stream: impl Write) {
    let mut works = true;
    let mut next = receiver.recv().ok();
    while let Some(message) = next {
        match message {
            Message::Line(line) if works => works = stream.write_all(line.as_bytes()).is_ok(),
            Message::Line(_) => {}
            Message::Flush(done) => {
                works = works && stream.flush().is_ok();
                // The one who asked may have stopped waiting.
                let _ = done.send(());
            }
        }
        next = match receiver.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                works = works && stream.flush().is_ok();
                receiver.recv().ok()
            }
        };
    }
    // The stream is ours no longer; what it could not take is lost with it.
    let _ = stream.flush();
}

fn render(now: Timestamp, speaker: Speaker<'_>, text: &str, coloured: bool) -> String {
    let time = now.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00");
    let (prefix, name) = match speaker {
        Speaker::App(name) => (format!("{time} app[{name}]:"), name),
        Speaker::Local(name) => (format!("{time} local[{name}]:"), name),
        Speaker::Router => (format!("{time} heroku[router]:"), "router"),
    };
    if coloured {
        let sum: usize = name.bytes().map(usize::from).sum();
        let colour = COLOURS[sum % COLOURS.len()];
        format!("\x1b[{colour}m{prefix}\x1b[0m {text}\n")
    } else {
        format!("{prefix} {text}\n")
    }
}

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
pub struct LineSplitter {
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Takes more bytes and gives every line that they complete.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let mut text = text;
            while self.begun.len() + text.len() > LONGEST_LINE_BYTES {
                let (now, rest) = text.split_at(LONGEST_LINE_BYTES - self.begun.len());
                self.begun.extend_from_slice(now);
                self.give(&mut line);
                text = rest;
            }
            self.begun.extend_from_slice(text);
            if complete {
                self.give(&mut line);
            }
        }
    }

    /// The stream has ended: gives what has no line end.
    pub fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.begun.is_empty() {
            self.give(&mut line);
        }
    }

    fn give(&mut self, line: &mut impl FnMut(&str)) {
        line(String::from_utf8_lossy(&self.begun).trim_end_matches('\r'));
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn lines_are_prefixed_as_heroku_logs_shows_them() {
        let now: Timestamp = "2026-01-01T12:00:00.123456789Z".parse().unwrap();
        let plain = |speaker| render(now, speaker, "hello", false);
        assert_eq!(plain(Speaker::App("web.1")), "2026-01-01T12:00:00.123456+00:00 app[web.1]: hello\n");
        assert_eq!(plain(Speaker::Local("web.2")), "2026-01-01T12:00:00.123456+00:00 local[web.2]: hello\n");
        assert_eq!(plain(Speaker::Router), "2026-01-01T12:00:00.123456+00:00 heroku[router]: hello\n");
        let coloured = render(now, Speaker::App("web.1"), "hello", true);
        assert!(coloured.starts_with("\x1b[") && coloured.ends_with("app[web.1]:\x1b[0m hello\n"), "{coloured:?}");
    }

    #[test]
    fn a_line_may_arrive_in_pieces_and_a_long_one_is_cut() {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        splitter.push(b"one\r\ntw", |line| lines.push(line.to_owned()));
        splitter.push(b"o\n\n", |line| lines.push(line.to_owned()));
        splitter.push(&vec![b'x'; LONGEST_LINE_BYTES + 5], |line| lines.push(line.to_owned()));
        splitter.finish(|line| lines.push(line.to_owned()));
        assert_eq!(lines[..3], ["one", "two", ""]);
        assert_eq!(lines[3..].iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE_BYTES, 5]);
    }

    #[tokio::test]
    async fn lines_that_nobody_can_write_are_dropped_and_counted() {
        let (sender, receiver) = sync_channel(1);
        let clock = Arc::new(SystemClock::new());
        let output = Output { sender: Some(sender), dropped: Arc::default(), clock, coloured: false };
        for _ in 0..4 {
            output.line(Speaker::App("web.1"), "x");
        }
        assert!(matches!(receiver.try_recv(), Ok(Message::Line(_))));
        output.line(Speaker::App("web.1"), "y");
        let Ok(Message::Line(notice)) = receiver.try_recv() else { panic!("a notice was expected") };
        assert!(notice.contains("local[output]: 3 lines were dropped"), "{notice}");
    }
}
