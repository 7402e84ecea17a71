//! Decision backends: from a history and a running count to how many processes are wanted, and why.
//!
//! A backend answers one question, [`Decide::decide`], and is handed nothing with which it could do more: no clock, no
//! log, no network. It need not know the bounds either; the clamp comes after it and says which bound it hit, so that
//! "needs exceed max" works for every policy.

pub mod average_threshold;
pub mod consecutive_threshold;
pub mod thresholds;

use std::{
    borrow::Cow,
    fmt,
    num::{NonZeroU32, NonZeroUsize},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    bounds::ByTimeOfDay,
    history::History,
    moment::Moment,
    registry::{Entry, entry},
    units::Seconds,
};

/// Every decision backend, in the order of the docs.
pub const BACKENDS: &[Entry<dyn Decide, Terms>] =
    &[entry::<consecutive_threshold::ConsecutiveThreshold>(), entry::<average_threshold::AverageThreshold>()];

/// Which way a decision points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More processes.
    Up,
    /// Fewer.
    Down,
    /// As many as now.
    Stay,
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stay => "stay",
        })
    }
}

/// Why, for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable word: `consecutive_high`.
    pub key: Cow<'static, str>,
    /// A sentence with the numbers in it, without a full stop.
    pub sentence: String,
}

impl Reason {
    /// A reason from its two parts.
    pub fn new(key: &'static str, sentence: impl Into<String>) -> Self {
        Self { key: Cow::Borrowed(key), sentence: sentence.into() }
    }
}

/// How many processes are wanted, before the bounds have their say, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The count.
    pub wanted: u32,
    /// Which way it points from what runs now.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// As many as now.
    #[must_use]
    pub fn stay(running: u32, reason: Reason) -> Self {
        Self { wanted: running, direction: Direction::Stay, reason }
    }

    /// More by `increment`.
    #[must_use]
    pub fn up(running: u32, increment: NonZeroU32, reason: Reason) -> Self {
        Self { wanted: running.saturating_add(increment.get()), direction: Direction::Up, reason }
    }

    /// Fewer by `increment`, not below none.
    #[must_use]
    pub fn down(running: u32, increment: NonZeroU32, reason: Reason) -> Self {
        Self { wanted: running.saturating_sub(increment.get()), direction: Direction::Down, reason }
    }
}

/// All that a decision may rest on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The newest samples of this signal.
    pub history: &'a History,
    /// How many processes run, by the platform's word.
    pub running: u32,
    /// Now.
    pub now: &'a Moment,
}

/// A decision backend.
pub trait Decide: Send + Sync + fmt::Debug {
    /// How many processes are wanted. Called after each new sample.
    fn decide(&self, view: &View<'_>) -> Decision;

    /// How many samples it looks back; the history must hold that many.
    fn history_needed(&self) -> NonZeroUsize;
}

/// What a decision backend is told when it is built, beside its own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What every decision of its stage is told as well. The bounds in it are for somebody's own backend that wants to
    /// look at them; whatever is decided is held to them by the core.
    pub common: Common,
    /// The unit of the readings, for sentences: `ms`, `tasks`; empty when there is none.
    pub unit: Cow<'static, str>,
    /// Name of the measurement backend whose readings it decides on.
    pub backend: &'static str,
    /// The name of the process; empty when only settings are checked.
    pub process: String,
}

/// The settings that every decision backend has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// The least number of processes: a number, or a table such as `{"8:00": 3, "18:00": 1}`.
    pub min_processes: ByTimeOfDay<u32>,
    /// The most processes: a number, or a table such as `{"9:00": 5, "17:00": 2}`.
    pub max_processes: ByTimeOfDay<u32>,
    /// Time zone of the tables, such as `America/Vancouver`. Without it, the machine's.
    pub time_zone: Option<String>,
    /// How many processes one step adds or removes.
    #[schemars(range(min = 1))]
    pub increment: NonZeroU32,
    /// How long to wait after a scale before the next one. Measuring goes on meanwhile.
    pub post_scale_wait_time_seconds: Seconds,
    /// How many samples to keep. Must hold the longest run that the backend asks for.
    #[schemars(range(min = 1))]
    pub history_length: NonZeroUsize,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            min_processes: ByTimeOfDay::always(1),
            max_processes: ByTimeOfDay::always(3),
            time_zone: None,
            increment: NonZeroU32::MIN,
            post_scale_wait_time_seconds: Seconds::new(5),
            history_length: NonZeroUsize::MIN.saturating_add(9),
        }
    }
}

/// The lower threshold must not exceed the upper one.
fn crossed_thresholds(low: crate::units::Finite, high: crate::units::Finite) -> Vec<crate::registry::Problem> {
    if low <= high {
        return Vec::new();
    }
    vec![crate::registry::Problem::new(
        "min_measurement_value",
        format!("{low} exceeds max_measurement_value {high}"),
        "a number at or below max_measurement_value",
    )]
}
