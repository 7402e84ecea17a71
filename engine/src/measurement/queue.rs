//! What all queues have in common: the notion of a backlog, the choice of the number, and the limits.
//!
//! ```text
//!  Look::look ─► Seen { per queue: Backlog, workers } ─► metric ─► reading
//!                                                    └─► Work (for busy protection), detail (for people)
//! ```
//!
//! A backend for a queue library says only where things are ([`Look`]); here that becomes a measurement. Three things that
//! are no number are kept apart: an empty queue is 0, what a library does not tell is [`None`] or [`Oldest::NoStamp`], and
//! what could not be asked is an error. A metric that needs what is not told fails; it is never guessed.

pub mod conversation;
pub mod in_progress_name;
pub mod names;
pub mod redis_layout;
pub mod site;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::{InProgress, Work, Worker},
    registry::Problem,
    sample::Reading,
    units::{Finite, Seconds},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::names::Names;

use super::{Measure, MeasureError, Measured, Sight};

/// More queues are measured, but not listed one by one in the detail of every sample.
const MOST_LISTED: usize = 20;

/// The settings that every measurement of a queue has; flattened into its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// The number that is decided on: `waiting`, the items that could start now if a worker were free;
    /// `waiting_and_in_progress`; `latency`, the seconds since the oldest waiting item became due; or `in_progress`.
    pub metric: Metric,
    /// How long a measurement may take.
    pub timeout_seconds: Seconds,
}

impl Default for Common {
    fn default() -> Self {
        Self { metric: Metric::Waiting, timeout_seconds: Seconds::new(5) }
    }
}

impl Common {
    /// What is wrong with them, for a backend that sees so much.
    #[must_use]
    pub fn problems(&self, sight: Sight) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.timeout_seconds.duration().is_zero() {
            problems.push(Problem::new("timeout_seconds", "no time at all", "a number above 0"));
        }
        let needs_in_progress = matches!(self.metric, Metric::WaitingAndInProgress | Metric::InProgress);
        if needs_in_progress && !matches!(sight, Sight::InProgress | Sight::Workers) {
            let found = "what is in progress cannot be seen in this kind of queue";
            problems.push(Problem::new("metric", found, "waiting or latency"));
        }
        problems
    }
}

/// Which number of a backlog is the reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Items that could start now if a worker were free.
    #[default]
    Waiting,
    /// These and the items that are delivered and not finished.
    WaitingAndInProgress,
    /// Seconds since the oldest waiting item became due; 0 when none waits.
    Latency,
    /// Items that are delivered and not finished.
    InProgress,
}

/// The state of one queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    /// Items that could start now if a worker were free: no future time, not paused, no dead letters.
    pub waiting: u64,
    /// Items that were delivered and are not finished. Nothing when this cannot be seen.
    pub in_progress: Option<u64>,
    /// Items whose time has not come. Nothing when this cannot be seen.
    pub scheduled: Option<u64>,
    /// The oldest waiting item.
    pub oldest: Oldest,
    /// How exact the numbers are, when some are estimates: `waiting is estimated from 200 of 90 000 tasks, ±3 %`.
    pub estimate: Option<String>,
}

impl Backlog {
    /// A queue of which only its length is known.
    #[must_use]
    pub fn of_waiting(waiting: u64) -> Self {
        let oldest = if waiting == 0 { Oldest::Nothing } else { Oldest::NoStamp };
        Self { waiting, in_progress: None, scheduled: None, oldest, estimate: None }
    }
}

/// The oldest waiting item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oldest {
    /// Nothing waits.
    Nothing,
    /// It does not say when it was put there.
    NoStamp,
    /// It became due so long ago: put there, or its planned time, whichever is later.
    Since(Duration),
}

/// What one look at all queues of a backend has shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// By the name of the queue. A queue that was asked for by name and does not exist is there, and empty.
    pub queues: BTreeMap<String, Backlog>,
    /// The workers that serve these queues. Nothing when they cannot be seen.
    pub workers: Option<Vec<Worker>>,
    /// Who says what is in progress: by their own word the workers that were seen, or else the books of the broker.
    pub told_by_workers: bool,
    /// What people should know about this look: "2 of 3 workers answered".
    pub notes: Vec<String>,
}

impl Seen {
    /// Whether it says that nothing waits, nothing is in progress, and nobody is busy. What cannot be seen is not nothing.
    #[must_use]
    pub fn shows_nothing(&self) -> bool {
        let is_empty = |queue: &Backlog| queue.waiting == 0 && queue.in_progress == Some(0);
        self.queues.values().all(is_empty) && !self.workers.iter().flatten().any(|worker| worker.busy)
    }
}

/// A library's queue, as far as it can be asked.
#[async_trait]
pub trait Look: Send + Sync {
    /// Looks once at all its queues.
    ///
    /// # Errors
    /// Why nothing was seen. Dropping the future in the middle must be safe.
    async fn look(&self) -> Result<Seen, MeasureError>;

    /// What it promises to see, always.
    fn sight(&self) -> Sight;

    /// What it counts: `tasks`, `jobs`, `messages`.
    fn items(&self) -> &'static str;

    /// Where it looks, for sentences and without secrets: `Redis at localhost:6379`.
    fn place(&self) -> &str;
}

/// The measurement of a queue.
pub struct Queue<L> {
    look: L,
    metric: Metric,
    limit: Duration,
}

impl<L: Look> Queue<L> {
    /// Measures what `look` sees.
    pub fn new(look: L, common: &Common) -> Self {
        Self { look, metric: common.metric, limit: common.timeout_seconds.duration() }
    }
}

#[async_trait]
impl<L: Look> Measure for Queue<L> {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let seen = tokio::time::timeout(self.limit, self.look.look()).await.map_err(|_| {
            let (place, seconds) = (self.look.place(), self.limit.as_secs_f64());
            MeasureError::unknown("timeout", format!("{place} did not answer within {seconds} s"))
        })??;
        let sum = sum(&seen.queues);
        let number = number(self.metric, &sum, &seen.queues)?;
        let work = Work { waiting: sum.waiting, in_progress: in_progress(&sum, &seen), workers: seen.workers.clone() };
        Ok(Measured {
            reading: Reading::Number(number),
            detail: Some(Box::new(detail(&sum, &seen))),
            work: Some(Box::new(work)),
        })
    }

    fn sight(&self) -> Sight {
        self.look.sight()
    }

    fn unit(&self) -> Cow<'static, str> {
        if self.metric == Metric::Latency { "s".into() } else { self.look.items().into() }
    }
}

/// All queues as one. What one of them does not tell, the sum does not know.
fn sum(queues: &BTreeMap<String, Backlog>) -> Backlog {
    let all = || queues.values();
    let both = |left: Option<u64>, right: Option<u64>| Some(left?.saturating_add(right?));
    Backlog {
        waiting: all().fold(0, |sum, queue| sum.saturating_add(queue.waiting)),
        in_progress: all().map(|queue| queue.in_progress).fold(Some(0), both),
        scheduled: all().map(|queue| queue.scheduled).fold(Some(0), both),
        oldest: all().map(|queue| queue.oldest).fold(Oldest::Nothing, Oldest::older),
        estimate: all().find_map(|queue| queue.estimate.clone()),
    }
}

impl Oldest {
    /// The older of two; not known as soon as one of them is not.
    #[must_use]
    pub fn older(self, other: Self) -> Self {
        match (self, other) {
            (Self::NoStamp, _) | (_, Self::NoStamp) => Self::NoStamp,
            (Self::Nothing, any) | (any, Self::Nothing) => any,
            (Self::Since(one), Self::Since(two)) => Self::Since(one.max(two)),
        }
    }
}

fn number(metric: Metric, sum: &Backlog, queues: &BTreeMap<String, Backlog>) -> Result<Finite, MeasureError> {
    let in_progress = || {
        let unseen = || {
            let name = queues.iter().find(|(_, queue)| queue.in_progress.is_none()).map_or("", |(name, _)| name);
            let message = format!("what is in progress in queue {name:?} cannot be seen at the moment");
            MeasureError::unknown("in_progress_unseen", message)
        };
        sum.in_progress.ok_or_else(unseen)
    };
    #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 items")]
    let number = match metric {
        Metric::Waiting => sum.waiting as f64,
        Metric::InProgress => in_progress()? as f64,
        Metric::WaitingAndInProgress => sum.waiting.saturating_add(in_progress()?) as f64,
        Metric::Latency => match sum.oldest {
            Oldest::Nothing => 0.0,
            Oldest::Since(age) => age.as_secs_f64(),
            Oldest::NoStamp => {
                let name =
                    queues.iter().find(|(_, queue)| queue.oldest == Oldest::NoStamp).map_or("", |(name, _)| name);
                let message = format!(
                    "the oldest item in queue {name:?} does not say since when it waits; \
                     the docs of this backend show how to stamp items, or use METRIC waiting"
                );
                return Err(MeasureError::unknown("no_stamp", message));
            }
        },
    };
    Finite::new(number).ok_or_else(|| MeasureError::unknown("not_a_number", "an endless queue"))
}

fn in_progress(sum: &Backlog, seen: &Seen) -> InProgress {
    match sum.in_progress {
        None => InProgress::Unseen,
        Some(count) if seen.told_by_workers => InProgress::ByWorkers(count),
        Some(count) => InProgress::Items(count),
    }
}

/// The whole look as JSON, for people: what cannot be seen is null.
fn detail(sum: &Backlog, seen: &Seen) -> Value {
    let mut detail = backlog_in_json(sum);
    if seen.queues.len() > 1 {
        let listed = seen.queues.iter().take(MOST_LISTED);
        detail["queues"] = listed.map(|(name, queue)| (name.clone(), backlog_in_json(queue))).collect();
        if seen.queues.len() > MOST_LISTED {
            detail["queues_not_listed"] = (seen.queues.len() - MOST_LISTED).into();
        }
    }
    if let Some(workers) = &seen.workers {
        let busy = workers.iter().filter(|worker| worker.busy).count();
        let numbered = workers.iter().filter(|worker| worker.process.is_some()).count();
        detail["workers"] = json!({"seen": workers.len(), "busy": busy, "known_by_process": numbered});
    }
    if !seen.notes.is_empty() {
        detail["notes"] = seen.notes.clone().into();
    }
    detail
}

fn backlog_in_json(queue: &Backlog) -> Value {
    let latency = match queue.oldest {
        Oldest::Nothing => json!(0),
        Oldest::NoStamp => Value::Null,
        // Milliseconds are exact enough for people.
        Oldest::Since(age) => json!((age.as_secs_f64() * 1000.0).round() / 1000.0),
    };
    let mut json = json!({
        "waiting": queue.waiting,
        "in_progress": queue.in_progress,
        "scheduled": queue.scheduled,
        "latency_seconds": latency,
    });
    if let Some(estimate) = &queue.estimate {
        json["estimate"] = estimate.clone().into();
    }
    json
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::registry::{parse, property_names};

    use super::*;

    /// How a library's settings are put together from parts.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        names: Vec<String>,
        #[serde(flatten)]
        common: Common,
    }

    #[test]
    fn flattened_settings_are_read_with_every_problem_found() {
        let good: Settings = parse(&json!({"names": ["a"], "metric": "latency", "timeout_seconds": 2})).unwrap();
        assert_eq!(good.common, Common { metric: Metric::Latency, timeout_seconds: Seconds::new(2) });
        assert_eq!(parse::<Settings>(&json!({})).unwrap(), Settings::default());
        let wrong = json!({"nmes": [], "names": 3, "metric": "length", "timeout_seconds": -1});
        let problems: Vec<String> =
            parse::<Settings>(&wrong).unwrap_err().iter().map(|problem| problem.path.clone()).collect();
        assert_eq!(problems, ["nmes", "names", "metric", "timeout_seconds"]);
        let schema = schemars::schema_for!(Settings);
        assert_eq!(property_names(&schema), ["names", "metric", "timeout_seconds"]);
    }

    struct Fixed(Result<Seen, MeasureError>);

    #[async_trait]
    impl Look for Fixed {
        async fn look(&self) -> Result<Seen, MeasureError> {
            self.0.clone()
        }

        fn sight(&self) -> Sight {
            Sight::Workers
        }

        fn items(&self) -> &'static str {
            "tasks"
        }

        fn place(&self) -> &str {
            "a test"
        }
    }

    fn seen(queues: &[(&str, Backlog)]) -> Seen {
        let queues = queues.iter().map(|(name, queue)| ((*name).to_owned(), queue.clone())).collect();
        Seen { queues, workers: None, told_by_workers: false, notes: Vec::new() }
    }

    #[test]
    fn nothing_is_what_every_queue_and_every_worker_says() {
        let queue = |waiting, in_progress| Backlog { in_progress, ..Backlog::of_waiting(waiting) };
        let idle = || queue(0, Some(0));
        let planned = Backlog { scheduled: Some(3), ..idle() };
        for (name, other, workers, expected) in [
            ("all is empty", idle(), Some(vec![false, false]), true),
            ("no worker is there", idle(), Some(vec![]), true),
            ("no worker can be seen", idle(), None, true),
            ("something is planned", planned, Some(vec![false]), true),
            ("something waits", queue(1, Some(0)), Some(vec![false]), false),
            ("something runs", queue(0, Some(1)), Some(vec![false]), false),
            ("what runs cannot be seen", queue(0, None), Some(vec![false]), false),
            ("one is busy, with another queue perhaps", idle(), Some(vec![false, true]), false),
        ] {
            let worker = |busy| Worker { process: None, busy };
            let workers = workers.map(|busy: Vec<bool>| busy.into_iter().map(worker).collect());
            let seen = Seen { workers, ..seen(&[("one", idle()), ("other", other)]) };
            assert_eq!(seen.shows_nothing(), expected, "{name}");
        }
    }

    async fn reading(metric: Metric, seen: Seen) -> Result<f64, String> {
        let queue = Queue::new(Fixed(Ok(seen)), &Common { metric, ..Common::default() });
        let measured = queue.measure().await.map_err(|error| error.key.into_owned())?;
        Ok(measured.reading.number().unwrap().get())
    }

    #[tokio::test]
    async fn each_metric_reads_its_own_number_of_all_queues() {
        let age = |seconds| Oldest::Since(Duration::from_secs(seconds));
        let one = Backlog { in_progress: Some(2), oldest: age(30), ..Backlog::of_waiting(3) };
        let two = Backlog { in_progress: Some(1), oldest: age(90), ..Backlog::of_waiting(4) };
        let both = seen(&[("one", one), ("two", two)]);
        for (metric, expected) in [
            (Metric::Waiting, 7.0),
            (Metric::WaitingAndInProgress, 10.0),
            (Metric::InProgress, 3.0),
            (Metric::Latency, 90.0),
        ] {
            assert_eq!(reading(metric, both.clone()).await, Ok(expected), "{metric:?}");
        }
    }

    #[tokio::test]
    async fn what_one_queue_does_not_tell_is_no_number() {
        let told =
            Backlog { in_progress: Some(1), oldest: Oldest::Since(Duration::from_secs(9)), ..Backlog::of_waiting(1) };
        let both = seen(&[("told", told), ("untold", Backlog::of_waiting(1))]);
        assert_eq!(reading(Metric::Waiting, both.clone()).await, Ok(2.0));
        assert_eq!(reading(Metric::InProgress, both.clone()).await, Err("in_progress_unseen".to_owned()));
        assert_eq!(reading(Metric::WaitingAndInProgress, both.clone()).await, Err("in_progress_unseen".to_owned()));
        assert_eq!(reading(Metric::Latency, both).await, Err("no_stamp".to_owned()));
    }

    #[tokio::test]
    async fn an_empty_queue_is_0_by_every_metric() {
        let empty = seen(&[("celery", Backlog { in_progress: Some(0), ..Backlog::of_waiting(0) })]);
        for metric in [Metric::Waiting, Metric::WaitingAndInProgress, Metric::InProgress, Metric::Latency] {
            assert_eq!(reading(metric, empty.clone()).await, Ok(0.0), "{metric:?}");
        }
    }
}
