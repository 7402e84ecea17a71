//! What the commands share that look back: opening the store for reading, choosing processes, times, tables.
//!
//! They read the store and nothing else, so they answer while the program runs and while it is down. None of them makes or
//! changes anything: a store that is not there is said, with the way out.

pub mod table;
pub mod time;
pub mod words;

use std::{future::Future, io::IsTerminal};

use autoscalebot_core::names::nearest;
use autoscalebot_engine::{
    clock::{Clock, SystemClock},
    environment,
    store::{Place, ReadError, Reader},
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{cli::Surroundings, command, exit::Exit};

/// Threads that ask. A reader has two connections.
const WORKERS: usize = 2;

/// A store that is there, and the moment at which it was opened.
pub struct History {
    /// Reads it.
    pub reader: Reader,
    /// In words, for headlines and errors.
    pub shown: String,
    /// Now.
    pub now: Timestamp,
    /// What is kept of.
    pub processes: Vec<String>,
}

/// How a command that looks back ended early.
pub enum Ended {
    /// The reason has been printed.
    With(Exit),
    /// The store did not answer.
    Read(ReadError),
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        Self::With(exit)
    }
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Opens the store and does something with it.
pub fn with<Task>(store: Option<&str>, around: &Surroundings, task: impl FnOnce(History) -> Task) -> Exit
where
    Task: Future<Output = Result<Exit, Ended>>,
{
    let place = match command::store_place(store, around) {
        Ok(Some(place)) => place,
        Ok(None) => {
            return refused("the store is `none`: nothing is kept there that could be shown", "name one with --store");
        }
        Err(code) => return code,
    };
    let runtime = match command::runtime(WORKERS) {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let shown = place.shown();
    let ended = runtime.block_on(async {
        let history = open(place).await?;
        task(history).await
    });
    runtime.shutdown_background();
    match ended {
        Ok(exit) | Err(Ended::With(exit)) => exit,
        Err(Ended::Read(error)) if error.key == "missing" => failed(&missing(&shown)),
        Err(Ended::Read(error)) => failed(&error.message),
    }
}

async fn open(place: Place) -> Result<History, Ended> {
    let shown = place.shown();
    if let Place::Sqlite(path) = &place
        && !path.exists()
    {
        return Err(failed(&missing(&shown)).into());
    }
    let reader = Reader::new(place);
    let processes = reader.processes().await?;
    Ok(History { reader, shown, now: SystemClock::new().now().civil, processes })
}

fn missing(shown: &str) -> String {
    format!(
        "nothing was ever kept in {shown}\nhint: `autoscalebot run` begins to keep history there when it is started; a \
         store elsewhere is named with --store or AUTOSCALEBOT_STORE"
    )
}

impl History {
    /// The processes that were asked for; all when nobody asked.
    ///
    /// # Errors
    /// The exit code when nothing is kept of one of them; the reason is printed.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<String>, Exit> {
        for name in names {
            if !self.processes.contains(name) {
                let meant = nearest(name, self.processes.iter().map(String::as_str));
                let hint = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
                let all = self.processes.join(", ");
                let hint =
                    format!("nothing is kept of a process {name:?} in {}{hint}\nexpected one of: {all}", self.shown);
                eprintln!("error: {hint}");
                return Err(Exit::REFUSED);
            }
        }
        if !names.is_empty() {
            return Ok(self.processes.iter().filter(|process| names.contains(process)).cloned().collect());
        }
        if self.processes.is_empty() {
            let hint = "the program has not decided anything yet; ask again after its first interval";
            return Err(failed(&format!("{} is empty\nhint: {hint}", self.shown)));
        }
        Ok(self.processes.clone())
    }
}

/// The time zone in which people read and write times here.
///
/// # Errors
/// The exit code when there is no such zone; the reason is printed.
pub fn zone(name: Option<&str>) -> Result<TimeZone, Exit> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name).map_err(|_| {
        refused(&format!("--time-zone: there is no time zone {name:?}"), "a name such as Europe/Berlin, or UTC")
    })
}

/// A time that somebody wrote.
///
/// # Errors
/// The exit code when it cannot be understood; the reason is printed.
pub fn moment(option: &str, text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Exit> {
    time::parse(text, now, zone).map_err(|problem| refused(&format!("--{option} {text:?}: {problem}"), time::EXPECTED))
}

/// A range of time by two words; without them everything, and up to now.
///
/// # Errors
/// The exit code when it is none; the reason is printed.
pub fn range(
    since: Option<&str>,
    until: Option<&str>,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Exit> {
    let since = since.map(|text| moment("since", text, now, zone)).transpose()?;
    let until = until.map(|text| moment("until", text, now, zone)).transpose()?;
    if since.is_some_and(|since| since > now) {
        return Err(refused("--since lies in the future", "a time that is past"));
    }
    match (since, until) {
        (Some(since), Some(until)) if since >= until => {
            let shown = |at: Timestamp| time::with_date(at, zone);
            let problem = format!("--since is {}, and --until is {}, which is not later", shown(since), shown(until));
            Err(refused(&problem, "a beginning before the end"))
        }
        range => Ok(range),
    }
}

/// Whether the answer may be coloured where it is a terminal.
#[must_use]
pub fn may_colour(around: &Surroundings) -> bool {
    around.host.environment.get(environment::NO_COLOR.name).is_none()
}

/// The width of the terminal to which the answer goes; nothing when it goes elsewhere.
#[must_use]
pub fn width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    is_terminal.then(|| ratatui::crossterm::terminal::size().ok().map(|(width, _)| usize::from(width))).flatten()
}

/// Says that the usage is wrong.
pub fn refused(problem: &str, expected: &str) -> Exit {
    eprintln!("error: {problem}\nexpected: {expected}");
    Exit::REFUSED
}

/// Says that it ran and failed.
pub fn failed(problem: &str) -> Exit {
    eprintln!("error: {problem}");
    Exit::FAILED
}
