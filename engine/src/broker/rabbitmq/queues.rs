//! The queues that one backend measures, by name or by pattern, and the books that the broker keeps of them.
//!
//! How much is ready comes from AMQP, the rest from the management API, asked at the same time. Where the API has no
//! answer, the rest is not known; only an API that does not let us in is a failure of all, because that does not pass.
//!
//! The API's late numbers have one trap: in the seconds after a queue ran empty it may still say that nothing was
//! delivered, though the last messages were just handed out. So its 0 is believed only some time after messages were
//! last seen ready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::{moment::Moment, registry::Problem};
use futures_util::stream::{self, StreamExt};

use super::{Counts, Server, Settings, Told};
use crate::{
    clock::Clock,
    measurement::{
        MeasureError, Sight,
        queue::{
            Backlog, Common, Metric, Oldest,
            names::{Finder, Names},
        },
    },
    shared::Shared,
};

/// More queues behind one number are a slip. Each costs a question per measurement.
const MOST_QUEUES: usize = 200;

/// The broker's own limit for a name.
const LONGEST_NAME_BYTES: usize = 255;

/// As a regular expression it may be twice as long, and the management API takes 500 letters.
const LONGEST_PATTERN_BYTES: usize = 200;

/// Questions to the management API at a time, for one measurement.
const AT_A_TIME: usize = 8;

/// The broker counts every 5 s (its default), and its management API keeps answers for up to 5 s more when it is busy.
const BOOKS_ARE_LATE: Duration = Duration::from_secs(10);

/// What people are told of every number of the management API.
const LATE: &str = "what the management API tells beside what waits is some seconds old";

/// Which queues a library makes for itself, so that no pattern means them.
pub type Hides = fn(&str) -> bool;

/// The queues of one backend.
pub struct Queues {
    server: Arc<Server>,
    clock: Arc<dyn Clock>,
    finder: Finder,
    hides: Hides,
    /// Whether there is no number without the management API.
    needs_management: bool,
    limit: Duration,
    /// When messages were last seen ready, by queue.
    last_ready: Mutex<BTreeMap<String, Duration>>,
}

/// What the broker says of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Messages that are ready for whoever asks first.
    pub ready: u64,
    /// What the management API adds. Nothing without one, or when it does not know.
    pub counts: Option<Counts>,
}

/// The books of several queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// By the name of the queue. One that does not exist is not there.
    pub books: BTreeMap<String, Book>,
    /// What people should know.
    pub notes: Vec<String>,
}

impl Queues {
    /// The queues with these names, some of which may be patterns. Connects to nothing yet.
    ///
    /// # Errors
    /// When the settings do not lead to a broker.
    pub fn of(
        names: &[String],
        hides: Hides,
        settings: &Settings,
        common: &Common,
        needs_management: bool,
        shared: &Shared,
    ) -> Result<Self, Problem> {
        Ok(Self {
            server: Server::of(settings, shared)?,
            clock: shared.clock.clone(),
            finder: Finder::new(names),
            hides,
            needs_management,
            limit: common.timeout_seconds.duration(),
            last_ready: Mutex::default(),
        })
    }

    /// What is wrong with these settings together. `setting` is the one with the names.
    #[must_use]
    pub fn problems(setting: &str, names: &[String], settings: &Settings, needs_management: bool) -> Vec<Problem> {
        let mut problems = settings.problems();
        problems.extend(Names::problems(setting, names));
        if names.len() > MOST_QUEUES {
            problems.push(Problem::new(setting, format!("{} queues", names.len()), format!("at most {MOST_QUEUES}")));
        }
        for name in names {
            let most = if is_pattern(name) { LONGEST_PATTERN_BYTES } else { LONGEST_NAME_BYTES };
            if name.len() > most {
                problems.push(Problem::new(setting, format!("{name:?}"), format!("a name of at most {most} bytes")));
            }
        }
        if settings.has_management() {
            return problems;
        }
        let needs = |what: String| Problem::new("management_url", what, "the address of the management API");
        if let Some(pattern) = names.iter().find(|name| is_pattern(name)) {
            problems.push(needs(format!("missing, and only the management API knows which queues fit {pattern:?}")));
        }
        if needs_management {
            problems.push(needs("missing, and AMQP tells nothing but how many messages wait".to_owned()));
        }
        problems
    }

    /// What these queues promise to show.
    #[must_use]
    pub fn sight(&self) -> Sight {
        if self.server.management().is_some() { Sight::InProgress } else { Sight::Waiting }
    }

    /// The broker.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// How long a measurement may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The names of all queues that are meant: those by name, and those that fit a pattern.
    ///
    /// # Errors
    /// When the management API does not tell, or no queue fits.
    pub async fn names(&self) -> Result<Arc<[String]>, MeasureError> {
        let found = self.finder.find(&self.clock.now(), self.existing()).await?;
        let shown = self.server.shown();
        if found.len() > MOST_QUEUES {
            let message = format!("{} queues of {shown} fit; narrow the pattern", found.len());
            return Err(MeasureError::unknown("too_many_queues", message));
        }
        if found.is_empty() {
            let message = format!("no queue of {shown} fits {}", self.finder.names().patterns().join(", "));
            return Err(MeasureError::unknown("no_such_queue", message));
        }
        Ok(found)
    }

    /// The queues that fit a pattern, or nearly: the management API does not mind upper and lower case.
    async fn existing(&self) -> Result<Vec<String>, MeasureError> {
        let mut names = Vec::new();
        let Some(management) = self.server.management() else { return Ok(names) };
        for pattern in self.finder.names().patterns() {
            let fitting = management.names(&expression(pattern), self.limit).await?;
            names.extend(fitting.into_iter().filter(|name| !(self.hides)(name)));
        }
        Ok(names)
    }

    /// What the broker says of queues. Those in `needed` must exist if they were asked for by name; those in `beside` may be
    /// missing.
    ///
    /// # Errors
    /// When one is missing, or nobody tells.
    pub async fn books(&self, needed: &[String], beside: &[String]) -> Result<Books, MeasureError> {
        let all: Vec<&str> = needed.iter().chain(beside).map(String::as_str).collect();
        let (ready, told) = tokio::join!(self.server.ready(&all, self.limit), self.told(&all));
        let (ready, (told, notes)) = (ready?, told?);
        for (missing, _) in needed.iter().zip(&ready).filter(|(_, ready)| ready.is_none()) {
            // One that was found by a pattern, and is gone since, is left out.
            if self.finder.names().literal().contains(missing) {
                return Err(self.missing(missing));
            }
        }
        let of_queue = |((name, ready), told): ((&str, Option<u64>), Option<Told>)| {
            let counts = match told {
                Some(Told::Counts(counts)) => Some(counts),
                Some(Told::NothingYet | Told::Missing) | None => None,
            };
            Some((name.to_owned(), Book { ready: ready?, counts }))
        };
        let books: BTreeMap<String, Book> = all.into_iter().zip(ready).zip(told).filter_map(of_queue).collect();
        if books.is_empty() {
            return Err(self.missing(needed.first().map_or("", String::as_str)));
        }
        Ok(Books { books, notes })
    }

    fn missing(&self, name: &str) -> MeasureError {
        let what = "the app makes it when it first uses it; check its name";
        MeasureError::unknown("no_such_queue", format!("{} has no queue {name:?}: {what}", self.server.shown()))
    }

    /// What the management API tells of each, and notes about what it does not tell.
    async fn told(&self, names: &[&str]) -> Result<(Vec<Option<Told>>, Vec<String>), MeasureError> {
        let Some(management) = self.server.management() else { return Ok((vec![None; names.len()], Vec::new())) };
        // Shorter than the whole measurement, so that a management API that hangs does not take AMQP's answer with it.
        let limit = self.limit.mul_f64(0.8);
        // Made one by one: a closure that borrows and waits is too much for the compiler here.
        let mut asked = Vec::with_capacity(names.len());
        for name in names {
            asked.push(management.queue(name, limit));
        }
        let asked = stream::iter(asked);
        let answers: Vec<Result<Told, MeasureError>> = asked.buffered(AT_A_TIME).collect().await;
        let mut notes = Vec::new();
        if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err()) {
            if self.needs_management || error.key == "unauthorized" {
                return Err(error.clone());
            }
            notes.push(format!("what is in progress is not known: {error}"));
        }
        let untold = names.iter().zip(&answers).find(|(_, answer)| **answer == Ok(Told::NothingYet));
        if let Some((name, _)) = untold {
            let message =
                format!("the management API has no numbers of queue {name:?} yet; a new queue takes some seconds");
            if self.needs_management {
                return Err(MeasureError::unknown("no_reading_yet", message));
            }
            notes.push(message);
        }
        Ok((answers.into_iter().map(Result::ok).collect(), notes))
    }

    /// The backlog of a queue in which every message is an item that could start now.
    pub fn backlog(&self, name: &str, book: &Book) -> Backlog {
        let now = self.clock.now();
        let in_progress = book.counts.and_then(|counts| self.believed(name, book.ready, counts, &now));
        let is_uncertain = book.counts.is_some_and(|counts| counts.unacknowledged > 0);
        let (oldest, estimate) = age_of(book, book.ready, is_uncertain, &now);
        Backlog { waiting: book.ready, in_progress, scheduled: None, oldest, estimate }
    }

    /// How many are delivered, if that can be believed already.
    fn believed(&self, name: &str, ready: u64, counts: Counts, now: &Moment) -> Option<u64> {
        let mut last_ready = self.last_ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready > 0 {
            last_ready.insert(name.to_owned(), now.since_start);
        } else if counts.unacknowledged > 0 {
            // It was counted after the last ones were handed out, or it is another one that still runs.
            return Some(counts.unacknowledged);
        } else if let Some(at) = last_ready.get(name) {
            if now.since_start.saturating_sub(*at) < BOOKS_ARE_LATE {
                return None;
            }
            last_ready.remove(name);
        }
        Some(counts.unacknowledged)
    }
}

/// Since when the oldest message of a queue waits in which so many wait, and how exact that and the rest is. The oldest that
/// the management API tells of may be one that is delivered; `is_uncertain` if that may not be one that waits.
pub fn age_of(book: &Book, waiting: u64, is_uncertain: bool, now: &Moment) -> (Oldest, Option<String>) {
    let Some(counts) = book.counts else { return (Backlog::of_waiting(waiting).oldest, None) };
    let late = Some(LATE.to_owned());
    match counts.head {
        _ if waiting == 0 => (Oldest::Nothing, late),
        None => (Oldest::NoStamp, late),
        Some(head) => {
            let age = Duration::try_from(now.civil.duration_since(head)).unwrap_or_default();
            let at_most = "the oldest message may be one of those in progress, so that latency is less";
            (Oldest::Since(age), if is_uncertain { Some(format!("{LATE}; {at_most}")) } else { late })
        }
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether only the management API knows the number that is decided on, when nobody tells but the broker.
#[must_use]
pub fn needs_management(common: &Common) -> bool {
    common.metric != Metric::Waiting
}

/// A pattern as a regular expression.
fn expression(pattern: &str) -> String {
    let mut expression = String::from("^");
    for letter in pattern.chars() {
        match letter {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            letter if letter.is_ascii_punctuation() && letter != '_' => expression.extend(['\\', letter]),
            letter => expression.push(letter),
        }
    }
    expression + "$"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_an_expression_that_means_nothing_else() {
        assert_eq!(expression("jobs.*-?_a"), r"^jobs\..*\-._a$");
    }
}
