//! The log: text for people or JSON for machines, on standard error.
//!
//! Standard output belongs to what a command was asked to print (and to the Console backend), so that it can be piped.
//!
//! A log is written by a thread of its own, and what it cannot write is lost: a full disk, a reader that went away or one
//! that stopped reading must never stop a bot.

use std::io::{self, Write};

use autoscalebot_engine::environment::LOG;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt};

use crate::cli::Surroundings;

/// What is logged when nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// What is never logged, whatever is wished: RabbitMQ's library takes an answer such as "no such queue" for an error of its
/// own, and what it sends for a trace, which would show passwords.
const NEVER: &str = "lapin=off";

/// Lines that may wait for a slow reader; about two megabytes. More are dropped.
const MOST_LINES_WAITING: usize = 10_000;

/// Takes the log a line at a time, as JSON, from a thread that has nothing else to do.
pub type Lines = Box<dyn Write + Send>;

/// Starts logging to lines that `make` gives, for a program that has the engine inside and a log of its own. Each line is
/// written by the thread that has something to say. Does nothing when a log was started before.
pub fn start_embedded(make: fn() -> Lines) {
    let filter = EnvFilter::new(format!("{DEFAULT_FILTER},{NEVER}"));
    let log = fmt().with_env_filter(filter).with_writer(make).log_internal_errors(false).with_ansi(false);
    // Only fails when there is a log.
    let _ = log.with_target(false).json().flatten_event(true).try_init();
}

/// Starts logging as `AUTOSCALEBOT_LOG` says. When the guard is dropped, what waits is written.
///
/// # Errors
/// A sentence when the variable cannot be understood.
pub(crate) fn start(surroundings: &Surroundings, lines: Option<Lines>) -> Result<WorkerGuard, String> {
    let wish = surroundings.host.environment.get(LOG.name).unwrap_or_default();
    let (mut json, mut python, mut filters) = (false, false, Vec::new());
    for word in wish.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "json" => json = true,
            "text" => json = false,
            "python" => python = true,
            filter => filters.push(filter),
        }
    }
    if filters.is_empty() {
        filters.push(DEFAULT_FILTER);
    }
    filters.push(NEVER);
    let filter = filters.join(",");
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        format!("{} is {wish:?}: {error}; expected a level such as info, and text, json or python", LOG.name)
    })?;
    let target: Lines = match lines.filter(|_| python) {
        Some(lines) => lines,
        None if python => {
            let problem = "python is the log of the Python package, and this program runs without Python";
            return Err(format!("{} is {wish:?}: {problem}", LOG.name));
        }
        None => Box::new(io::stderr()),
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MOST_LINES_WAITING)
        .lossy(true)
        .thread_name("log")
        .finish(target);
    // "Internal errors" would be printed to the very place that cannot be written, and panic there.
    let log = fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let log = log.with_ansi(surroundings.colour && !python).with_target(false);
    // Only fails when a log was started before, and there is one start.
    let _ = if json || python { log.json().flatten_event(true).try_init() } else { log.try_init() };
    Ok(guard)
}
