//! A process as the API shows it: what is on the board, in the words of the contract.

use autoscalebot_core::{
    control::{self, Scope as CoreScope},
    decision,
    moment::Moment,
};
use autoscalebot_engine::board::{Glance, SignalGlance};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::{Time, civil};
use crate::status::Status;

/// A process, now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// How many run; null when nobody knows.
    pub running: Option<u32>,
    /// How many are wanted by the newest decision, within the bounds.
    pub wanted: Option<u32>,
    /// The least allowed at present.
    pub min: u32,
    /// The most allowed at present.
    pub max: u32,
    /// How it is, in one word.
    pub status: Status,
    /// Who has the say.
    pub mode: Mode,
    /// Whether orders are only told, by the way the program was started or because somebody said so.
    pub dry_run: bool,
    /// Why as many are wanted.
    pub reason: Option<Reason>,
    /// What is measured, in the order of the settings.
    pub signals: Vec<Signal>,
    /// When it was last decided.
    pub last_tick_at: Option<Time>,
    /// When it is measured next.
    pub next_tick_at: Option<Time>,
    /// The newest change of the count that its bot made.
    pub last_scale: Option<LastScale>,
    /// The version of its settings that is in force, by the store.
    pub settings_version: Option<i64>,
}

/// Who has the say about a process.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mode {
    /// The decisions, nobody or a person.
    pub kind: ModeKind,
    /// Of a pause: which orders.
    pub scope: Option<Scope>,
    /// Of a hold: the count.
    pub count: Option<u32>,
    /// When it ends by itself.
    pub until: Option<Time>,
    /// What its author gave as the reason.
    pub reason: Option<String>,
}

/// Who has the say, in a word.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeKind {
    /// Decisions are carried out.
    Automatic,
    /// Decisions are made, and some or all are not carried out.
    Paused,
    /// A person's count is kept.
    Held,
}

/// Which orders a pause is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// Those for more processes.
    Up,
    /// Those for fewer.
    Down,
}

/// Why, for programs and for people.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reason {
    /// Stable word.
    pub key: String,
    /// A sentence with the numbers in it.
    pub sentence: String,
}

/// One measurement of a process.
#[derive(Debug, Serialize, ToSchema)]
pub struct Signal {
    /// Its number, in the order of the settings.
    pub index: usize,
    /// The name of its backend.
    pub backend: String,
    /// The unit of its readings; empty when there is none.
    pub unit: String,
    /// The newest reading, if it is a number and the newest measurement did not fail.
    pub reading: Option<f64>,
    /// Why the newest measurement failed, if it did.
    pub failure: Option<SignalFailure>,
    /// When the newest measurement was over.
    pub at: Option<Time>,
    /// A reading at or below this is low.
    pub low: Option<f64>,
    /// A reading above this is high.
    pub high: Option<f64>,
    /// How often it is measured.
    pub interval_seconds: f64,
}

/// Why there is no reading.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignalFailure {
    /// Stable word.
    pub key: String,
    /// What failed, and what to do.
    pub message: String,
}

/// A change of the count.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastScale {
    /// When.
    pub at: Time,
    /// Before.
    pub from: u32,
    /// After.
    pub to: u32,
    /// Why.
    pub sentence: String,
}

/// A change of a count that was ordered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Order {
    /// Before.
    pub from: u32,
    /// After.
    pub to: u32,
}

impl Process {
    /// What is on the board; the version of its settings is what the store says.
    #[must_use]
    pub fn of(glance: &Glance, version: Option<i64>, now: &Moment) -> Self {
        let outcome = glance.outcome.as_ref();
        let range = outcome.map(|outcome| outcome.range).or_else(|| glance.spec.range(now));
        let decided = outcome.filter(|outcome| outcome.running.is_some());
        let last_scale = glance.last_scale.as_ref().map(|scale| LastScale {
            at: scale.at.into(),
            from: scale.from,
            to: scale.to,
            sentence: scale.reason.sentence.clone(),
        });
        let specs = glance.spec.signals.iter().zip(&glance.signals).enumerate();
        Self {
            name: glance.process.to_string(),
            running: outcome.map_or(glance.running, |outcome| outcome.running.and(glance.running)),
            wanted: decided.map(|outcome| outcome.decision.wanted),
            min: range.map_or(0, |range| range.min),
            max: range.map_or(u32::MAX, |range| range.max),
            status: Status::of(glance, now),
            mode: Mode::of(&glance.control.mode, now),
            dry_run: glance.is_dry_run || glance.control.dry_run,
            reason: outcome.map(|outcome| Reason::of(&outcome.decision.reason)),
            signals: specs.map(|(index, (spec, signal))| Signal::of(index, spec, signal)).collect(),
            last_tick_at: glance.decided_at.map(Time::from),
            next_tick_at: glance.next_due.and_then(|due| civil(due, now)),
            last_scale,
            settings_version: version,
        }
    }
}

impl Signal {
    fn of(index: usize, spec: &autoscalebot_engine::policy::SignalSpec, signal: &SignalGlance) -> Self {
        let newest = signal.newest.as_ref();
        let failure = newest.and_then(|sample| sample.outcome.as_ref().err());
        Self {
            index,
            backend: spec.measurement.clone(),
            unit: spec.unit.clone(),
            reading: newest.and_then(|sample| sample.number()).map(|number| number.get()),
            failure: failure
                .map(|failure| SignalFailure { key: failure.key.to_string(), message: failure.message.clone() }),
            at: newest.map(|sample| sample.at.into()),
            low: signal.low,
            high: signal.high,
            interval_seconds: spec.interval.as_secs_f64(),
        }
    }
}

impl Mode {
    fn of(mode: &control::Mode, now: &Moment) -> Self {
        let (kind, scope, count) = match mode {
            control::Mode::Automatic => (ModeKind::Automatic, None, None),
            control::Mode::Paused { scope, .. } => (ModeKind::Paused, Some((*scope).into()), None),
            control::Mode::Held { count, .. } => (ModeKind::Held, None, Some(*count)),
        };
        let until = mode.until().and_then(|until| civil(until, now));
        Self { kind, scope, count, until, reason: mode.reason().map(str::to_owned) }
    }
}

impl Reason {
    /// A reason of the core.
    #[must_use]
    pub fn of(reason: &decision::Reason) -> Self {
        Self { key: reason.key.to_string(), sentence: reason.sentence.clone() }
    }
}

impl From<&autoscalebot_core::step::Order> for Order {
    fn from(order: &autoscalebot_core::step::Order) -> Self {
        Self { from: order.from, to: order.to }
    }
}

impl From<CoreScope> for Scope {
    fn from(scope: CoreScope) -> Self {
        match scope {
            CoreScope::All => Self::All,
            CoreScope::Up => Self::Up,
            CoreScope::Down => Self::Down,
        }
    }
}

impl From<Scope> for CoreScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::All => Self::All,
            Scope::Up => Self::Up,
            Scope::Down => Self::Down,
        }
    }
}
