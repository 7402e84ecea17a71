//! Metrics: numbers about everything, read off the board, the store and what bots share when somebody asks for them.
//!
//! ```text
//!  Sources ─► Snapshot ─┬─► text: a page for Prometheus
//!                       └─► OTLP: a message for a collector
//! ```
//!
//! There is one list of [`FAMILIES`], and each says how it is read; whoever presents metrics walks the list. Bots count
//! nothing for it: what they write on the board is all there is. What is not known is absent, never 0: a process that
//! nobody could count has no count, a signal whose newest measurement failed has no reading. What is known to be none is 0,
//! so that rates of rare things begin at their beginning.

mod families;
mod observed;
mod text;

use std::sync::Arc;

use autoscalebot_core::moment::Moment;

pub(crate) use self::families::{HEROKU_REQUESTS_REMAINING, NOTICES_DELIVERED, NOTICES_LOST, NOTICES_WAITING};
pub use self::{
    families::FAMILIES,
    observed::{Observables, Observation, Observe},
    text::{CONTENT_TYPE, render},
};
use crate::{
    board::{Board, Glance, Lateness},
    shared::Shared,
    store::{Health, Store},
};

/// A metric with all its labels' values: its name, what it means, and how it is read.
pub struct Family {
    /// As Prometheus names things: base units, `_total` for what only grows.
    pub name: &'static str,
    /// What it means, in a sentence or two.
    pub help: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// How it is read.
    pub(crate) reading: How,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows, from 0 at the start of the program.
    Counter,
    /// How often a quantity lay where.
    Histogram,
}

/// How a family is read.
pub(crate) enum How {
    /// From what was known at a moment.
    Read(fn(&Snapshot, &mut Put<'_>)),
    /// By what several bots share, which says it of itself.
    Observed,
}

/// Takes one number with the values of its labels, in the order of their names.
pub type Put<'a> = dyn FnMut(&[&str], Number<'_>) + 'a;

/// One number of a family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number<'a> {
    /// Of a gauge.
    Gauge(f64),
    /// Of a counter.
    Count(u64),
    /// Of a histogram.
    Histogram {
        /// Upper ends of all buckets but the last, which has none.
        ends: &'a [f64],
        /// How many lay in each bucket, and in none before it.
        counts: &'a [u64],
        /// All of it together.
        sum: f64,
    },
}

impl Number<'_> {
    /// A count that goes up and down.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "what is counted here stays far below 2^52")]
    pub fn of(count: impl TryInto<u64>) -> Self {
        Number::Gauge(count.try_into().unwrap_or(u64::MAX) as f64)
    }
}

/// Where metrics are read.
#[derive(Clone)]
pub struct Sources {
    /// What is known of every process.
    pub board: Arc<Board>,
    /// The store, if there is one.
    pub store: Option<Arc<Store>>,
    /// What bots share, and the clock.
    pub shared: Arc<Shared>,
    /// Since when counters count.
    pub started: Moment,
}

impl Sources {
    /// Counting from now.
    #[must_use]
    pub fn new(board: Arc<Board>, store: Option<Arc<Store>>, shared: Arc<Shared>) -> Self {
        let started = shared.clock.now();
        Self { board, store, shared, started }
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.clock.now();
        Snapshot {
            glances: self.board.glances(),
            lateness: self.board.lateness(),
            store: self.store.as_ref().map(|store| store.health()),
            observed: self.shared.observables.observe(&now),
            started: self.started,
            now,
        }
    }
}

/// Everything that metrics are read from, at one moment.
pub struct Snapshot {
    pub(crate) glances: Vec<Glance>,
    pub(crate) lateness: Lateness,
    pub(crate) store: Option<Health>,
    pub(crate) observed: Vec<Observation>,
    /// Since when counters count.
    pub started: Moment,
    /// When this was.
    pub now: Moment,
}

impl Family {
    /// Every number that is known of it.
    pub fn read(&self, snapshot: &Snapshot, put: &mut Put<'_>) {
        match self.reading {
            How::Read(read) => read(snapshot, put),
            How::Observed => {
                for seen in snapshot.observed.iter().filter(|seen| seen.family.name == self.name) {
                    let values: Vec<&str> = seen.labels.iter().map(String::as_str).collect();
                    put(&values, seen.number);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_convention_and_none_is_there_twice() {
        let mut seen = BTreeSet::new();
        for Family { name, help, kind, labels, .. } in FAMILIES {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(
                name.starts_with("autoscalebot_") && name.chars().all(|it| matches!(it, 'a'..='z' | '_')),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(
                !["_count", "_sum", "_bucket", "_ms", "_milliseconds"].iter().any(|end| name.ends_with(end)),
                "{name}"
            );
            assert!(help.ends_with('.') && !help.contains(['|', '\n', '`']), "{name}: {help}");
            assert!(!labels.contains(&"le") && labels.iter().collect::<BTreeSet<_>>().len() == labels.len(), "{name}");
        }
    }

    struct Queue(Vec<Observation>);

    impl Observe for Queue {
        fn observe(&self, _: &Moment) -> Vec<Observation> {
            let again = |seen: &Observation| Observation { labels: seen.labels.clone(), ..*seen };
            self.0.iter().map(again).collect()
        }
    }

    #[test]
    fn what_lets_itself_be_observed_is_told_of_once_and_until_its_last_user_is_gone() {
        let now = Moment { since_start: std::time::Duration::ZERO, civil: jiff::Timestamp::UNIX_EPOCH };
        let observables = Observables::default();
        let labels = vec!["Slack".to_owned(), observables.number().to_string()];
        let queue = Arc::new(Queue(vec![Observation { family: &NOTICES_LOST, labels, number: Number::Count(3) }]));
        observables.add(&queue);
        observables.add(&queue);
        let seen = observables.observe(&now);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].labels.join(" "), seen[0].number), ("Slack 1".to_owned(), Number::Count(3)));
        drop(queue);
        assert!(observables.observe(&now).is_empty());
    }
}
