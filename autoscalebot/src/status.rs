//! The one word for how a process is. It is worked out here and nowhere else, so that the dashboard, a script and a
//! person read the same.
//!
//! What is most urgent wins: a bot that does not move, then what is not known, then what a person said, then what is being
//! done, then what keeps it from being done.

use autoscalebot_core::{
    bounds::Limit,
    control::Mode,
    decision::Direction,
    moment::Moment,
    step::{Held, Order, Outcome},
};
use autoscalebot_engine::board::Glance;
use serde::Serialize;
use utoipa::ToSchema;

/// How a process is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its bot has not decided yet.
    Starting,
    /// As many run as are wanted.
    Steady,
    /// The newest decision is to start more.
    ScalingUp,
    /// The newest decision is to stop some.
    ScalingDown,
    /// Another count is wanted; the wait after the last scale is not over.
    Waiting,
    /// More are called for than are allowed.
    AtMax,
    /// Fewer are called for than are allowed.
    AtMin,
    /// Fewer are wanted; somebody works who would be stopped.
    HeldBusy,
    /// The platform refused the last order and is asked again later.
    BackingOff,
    /// A person has paused its orders, or those in one direction.
    Paused,
    /// A person holds its count.
    Held,
    /// The newest measurement of one of its signals failed.
    MeasurementFailing,
    /// The platform does not say how many run.
    CountUnknown,
    /// A tick should be over and is not.
    Stalled,
}

impl Status {
    /// The word for what a running program knows now.
    #[must_use]
    pub fn of(glance: &Glance, now: &Moment) -> Self {
        let is_failing = glance.failures().next().is_some();
        Self::by(glance.has_stalled(now), glance.outcome.as_ref(), &glance.control.mode, is_failing)
    }

    /// The word for what is known by whatever way.
    #[must_use]
    pub fn by(has_stalled: bool, outcome: Option<&Outcome>, mode: &Mode, is_failing: bool) -> Self {
        if has_stalled {
            return Self::Stalled;
        }
        let Some(outcome) = outcome else { return Self::Starting };
        if outcome.running.is_none() {
            return Self::CountUnknown;
        }
        match mode {
            Mode::Held { .. } => return Self::Held,
            Mode::Paused { .. } => return Self::Paused,
            Mode::Automatic => {}
        }
        match outcome.order.as_ref().map(Order::direction) {
            Some(Direction::Up) => return Self::ScalingUp,
            Some(Direction::Down) => return Self::ScalingDown,
            Some(Direction::Stay) | None => {}
        }
        if matches!(outcome.held, Some(Held::BackingOff(_))) {
            return Self::BackingOff;
        }
        if is_failing {
            return Self::MeasurementFailing;
        }
        match (outcome.held, outcome.limit) {
            (Some(Held::Busy(_)), _) => Self::HeldBusy,
            (Some(Held::Paused(_)), _) => Self::Paused,
            (Some(Held::Waiting(_)), _) => Self::Waiting,
            (_, Some(Limit::Max)) => Self::AtMax,
            (_, Some(Limit::Min)) => Self::AtMin,
            _ => Self::Steady,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use autoscalebot_core::{
        bounds::Range,
        busy::Protection,
        control::{Control, Scope},
        decision::{Decision, Reason},
        names::ProcessName,
        rapid::RapidLimit,
        sample::{CountsAs, MeasureFailure, Sample},
        step::{Order, Outcome},
    };
    use autoscalebot_engine::{
        board::{Counts, SignalGlance},
        policy::PolicySpec,
    };

    use super::*;

    fn now() -> Moment {
        Moment { since_start: Duration::from_secs(1000), civil: "2026-03-01T12:00:00Z".parse().unwrap() }
    }

    fn outcome() -> Outcome {
        Outcome {
            running: Some(2),
            range: Range { min: 1, max: 5 },
            decision: Decision::stay(2, Reason::new("steady", "all is well")),
            signal: 0,
            limit: None,
            held: None,
            order: None,
            events: Vec::new(),
        }
    }

    fn glance(outcome: Option<Outcome>) -> Glance {
        let spec = PolicySpec {
            signals: Vec::new(),
            wait_after_scale: Duration::from_secs(30),
            repeat: Duration::from_secs(60),
            rapid: RapidLimit { scales: 3, period: Duration::from_secs(60) },
            protection: Protection::default(),
            is_dry_run: false,
        };
        Glance {
            process: ProcessName::new("web").unwrap(),
            spec: Arc::new(spec),
            settings: None,
            signals: vec![SignalGlance { newest: None, low: None, high: None }],
            decided_at: None,
            outcome,
            running: Some(2),
            control: Control::default(),
            last_scale: None,
            is_dry_run: false,
            next_due: Some(now().since_start),
            busy_since: None,
            counts: Counts::default(),
        }
    }

    fn status(change: impl FnOnce(&mut Glance)) -> Status {
        let mut glance = glance(Some(outcome()));
        change(&mut glance);
        Status::of(&glance, &now())
    }

    fn decided(change: impl FnOnce(&mut Outcome)) -> Status {
        status(|glance| change(glance.outcome.as_mut().unwrap()))
    }

    fn order(from: u32, to: u32) -> Option<Order> {
        Order::new(from, to, Reason::new("asked", "because"), None)
    }

    fn fail(glance: &mut Glance) {
        let failure = MeasureFailure { key: "timeout".into(), message: String::new(), counts_as: CountsAs::Unknown };
        glance.signals[0].newest = Some(Sample { at: now(), outcome: Err(failure), detail: None, work: None });
    }

    #[test]
    fn a_process_is_one_word() {
        assert_eq!(Status::of(&glance(None), &now()), Status::Starting);
        assert_eq!(decided(|_| {}), Status::Steady);
        assert_eq!(decided(|outcome| outcome.running = None), Status::CountUnknown);
        assert_eq!(decided(|outcome| outcome.order = order(2, 3)), Status::ScalingUp);
        assert_eq!(decided(|outcome| outcome.order = order(2, 1)), Status::ScalingDown);
        assert_eq!(decided(|outcome| outcome.limit = Some(Limit::Max)), Status::AtMax);
        assert_eq!(decided(|outcome| outcome.limit = Some(Limit::Min)), Status::AtMin);
        assert_eq!(status(fail), Status::MeasurementFailing);
        for (held, word) in [
            (Held::Waiting(Duration::ZERO), Status::Waiting),
            (Held::BackingOff(Duration::ZERO), Status::BackingOff),
            (Held::Busy(Duration::ZERO), Status::HeldBusy),
            (Held::Paused(Scope::Up), Status::Paused),
        ] {
            assert_eq!(decided(|outcome| outcome.held = Some(held)), word);
        }
        assert_eq!(status(|glance| glance.next_due = Some(Duration::ZERO)), Status::Stalled);
    }

    #[test]
    fn a_persons_word_comes_before_what_is_measured() {
        let paused = Mode::Paused { scope: Scope::Down, until: None, reason: "deploy".to_owned() };
        let held = Mode::Held { count: 3, until: None, reason: "sale".to_owned() };
        for (mode, word) in [(paused, Status::Paused), (held, Status::Held)] {
            let of = status(|glance| {
                fail(glance);
                glance.control.mode = mode;
            });
            assert_eq!(of, word);
        }
    }

    #[test]
    fn a_failing_measurement_comes_before_a_wait_and_after_a_platform_that_refuses() {
        let with = |held| {
            status(|glance| {
                fail(glance);
                glance.outcome.as_mut().unwrap().held = Some(held);
            })
        };
        assert_eq!(with(Held::Waiting(Duration::ZERO)), Status::MeasurementFailing);
        assert_eq!(with(Held::BackingOff(Duration::ZERO)), Status::BackingOff);
    }
}
