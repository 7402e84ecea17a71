//! The doors of the core: [`observe`] before the platform is asked, [`settle`] after it answered, and [`command`] for what
//! people say in between.
//!
//! ```text
//!  samples ─► history ─► decide ─► clamp ─► wait ─► order? ─► (engine asks the platform) ─► settle
//! ```
//!
//! All control flow is here; every other file computes. A count outside the bounds does not go through the decision: it
//! goes straight to the nearest bound, whatever was measured, and without waiting, because the bounds are the one thing
//! that a person has said outright. Several signals are one rule: each wants a count within its own bounds, the highest
//! wins, so any may grow the process and all must agree before it shrinks.

mod working;

use std::{borrow::Cow, cmp::Ordering, num::NonZeroUsize, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    bounds::{Bounds, Limit, Range},
    busy::Protection,
    condition::{Condition, Phase},
    control::{self, Commanded, Control, Mode, Scope},
    decision::{Decide, Decision, Direction, Reason, View},
    event::Event,
    history::History,
    moment::Moment,
    rapid::{RapidLimit, RapidWindow},
    sample::Sample,
    units::{in_brief, in_words},
    wait::{Backoff, Wait},
};

/// One measurement with its decision, as far as the core is concerned.
#[derive(Debug)]
pub struct Signal {
    /// Name of the measurement backend, for sentences.
    pub backend: Arc<str>,
    /// The decision backend.
    pub decide: Box<dyn Decide>,
    /// Least and most processes that this signal may ask for.
    pub bounds: Bounds,
    /// How many samples to keep.
    pub history_length: NonZeroUsize,
    /// Whether its measurement sees the work in a queue, so that the process can be protected while it works.
    pub sees_work: bool,
}

/// All that is fixed about one process until its settings change.
#[derive(Debug)]
pub struct Policy {
    /// At least one.
    pub signals: Vec<Signal>,
    /// How long to wait after a scale.
    pub wait_after_scale: Duration,
    /// How often a lasting condition is told again.
    pub repeat: Duration,
    /// What counts as too rapid.
    pub rapid: RapidLimit,
    /// How the process is protected while it works.
    pub protection: Protection,
}

/// All that is remembered about one process from tick to tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// One per signal, in the policy's order.
    pub signals: Vec<SignalState>,
    /// The count as we last saw or set it.
    pub expected: Option<u32>,
    /// What the last order asked for when it failed: the platform may have obeyed all the same.
    #[serde(default)]
    attempted: Option<u32>,
    /// The last order of a dry run that was told, and when.
    #[serde(default)]
    would: Option<(u32, u32, Duration)>,
    /// The wait after a scale.
    pub wait: Wait,
    /// The wait after refused scales.
    pub backoff: Backoff,
    /// Since when (of the monotonic clock) a shrink is held because somebody works.
    #[serde(default)]
    shrink_held_since: Option<Duration>,
    /// Recent scales.
    pub rapid: RapidWindow,
    /// Conditions that are told when they begin, persist and end.
    pub conditions: Conditions,
    /// What people have told it.
    #[serde(default)]
    pub control: Control,
}

/// What is remembered about one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalState {
    /// Its newest samples.
    pub history: History,
    /// Whether measuring fails.
    failing: Condition,
    failures: u32,
}

/// The lasting conditions of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    count_failing: Condition,
    scale_failing: Condition,
    needs_exceed_max: Condition,
    needs_below_min: Condition,
    too_rapid: Condition,
}

impl State {
    /// Nothing known yet.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let signal = |signal: &Signal| SignalState {
            history: History::new(signal.history_length),
            failing: Condition::default(),
            failures: 0,
        };
        Self {
            signals: policy.signals.iter().map(signal).collect(),
            expected: None,
            attempted: None,
            would: None,
            wait: Wait::default(),
            backoff: Backoff::default(),
            shrink_held_since: None,
            rapid: RapidWindow::default(),
            conditions: Conditions::default(),
            control: Control::default(),
        }
    }

    /// Nothing known any more, but what people have said still holds.
    #[must_use]
    pub fn begun_anew(&self, policy: &Policy) -> Self {
        Self { control: self.control.clone(), ..Self::new(policy) }
    }

    /// Takes what is known over to changed settings, as far as it still means the same: the histories only when every
    /// signal is measured as before, the wait and the conditions always.
    #[must_use]
    pub fn carried_over(mut self, policy: &Policy, measured_as_before: bool) -> Self {
        if measured_as_before && self.signals.len() == policy.signals.len() {
            for (state, signal) in self.signals.iter_mut().zip(&policy.signals) {
                state.history.resize(signal.history_length);
            }
        } else {
            self.signals = Self::new(policy).signals;
        }
        self
    }
}

/// An instruction for the platform. It always changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What runs.
    pub from: u32,
    /// What should run. Never equal to `from`.
    pub to: u32,
    /// Why.
    pub reason: Reason,
    /// The bound that cut the wish short.
    pub limit: Option<Limit>,
    /// The numbers of the processes that are known to be free, lowest first. A platform that can choose stops these before
    /// any other. Empty when nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<u32>,
}

impl Order {
    /// `None` when there is nothing to change.
    #[must_use]
    pub fn new(from: u32, to: u32, reason: Reason, limit: Option<Limit>) -> Option<Self> {
        (from != to).then_some(Self { from, to, reason, limit, free: Vec::new() })
    }

    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.to > self.from { Direction::Up } else { Direction::Down }
    }
}

/// Why an order is not given although the decision differs from what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The wait after the last scale is not over.
    Waiting(Duration),
    /// The platform refused the last order; it is asked again later.
    BackingOff(Duration),
    /// Somebody works who would be stopped; for so long already.
    Busy(Duration),
    /// People have paused these orders.
    Paused(Scope),
}

/// What one observation led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How many processes run, when that is known. When it is not, the decision's count is only the last one known.
    pub running: Option<u32>,
    /// The bounds of this moment.
    pub range: Range,
    /// The winning decision. Its count is already clamped; its direction is that of the wish, also when the clamp left
    /// nothing of it.
    pub decision: Decision,
    /// Which signal it came from.
    pub signal: usize,
    /// The bound that the winning wish hit.
    pub limit: Option<Limit>,
    /// Why there is no order although the decision differs from what runs.
    pub held: Option<Held>,
    /// What to tell the platform, if anything.
    pub order: Option<Order>,
    /// What people may want to know.
    pub events: Vec<Event>,
}

/// Why the platform did not answer or obey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleFailure {
    /// Stable word: `unauthorized`, `rate_limited`.
    pub key: Cow<'static, str>,
    /// What failed, for which process, and what to do; no secret in it.
    pub message: String,
    /// The platform asked not to be asked again before this.
    pub retry_after: Option<Duration>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// The platform took it.
    Scaled,
    /// Nothing had to change; someone else was faster. Neither success nor failure.
    AlreadyThere,
    /// It was not given to the platform, on purpose.
    DryRun,
    /// The platform did not take it.
    Failed(ScaleFailure),
}

/// The door for people: learns a command. The next observation goes by it, so that one should follow at once.
pub fn command(state: &mut State, commanded: &Commanded, now: &Moment) -> Vec<Event> {
    state.control.learn(commanded, now);
    vec![Event::Commanded { commanded: commanded.clone() }]
}

/// First door: learns new samples and the running count, and decides.
///
/// `samples` holds the new samples with the index of their signal; there may be none, and one of a signal that the policy
/// no longer has is dropped. `running` is the platform's word.
pub fn observe(
    policy: &Policy,
    state: &mut State,
    samples: impl IntoIterator<Item = (usize, Sample)>,
    running: Result<u32, ScaleFailure>,
    now: &Moment,
) -> Outcome {
    let mut events = Vec::new();
    match state.control.expire(now) {
        None | Some(Mode::Automatic) => {}
        Some(mode) => events.push(Event::ControlExpired { mode, then: state.control.mode.clone() }),
    }
    for (signal, sample) in samples {
        learn_sample(policy, state, signal, sample, now, &mut events);
    }
    let range = combined_range(policy, now);
    let running = match running {
        Ok(running) => running,
        Err(failure) => {
            if let Some(phase) = state.conditions.count_failing.update(true, policy.repeat, now) {
                events.push(Event::CountFailed { failure: failure.clone(), phase });
            }
            return unknown_count(state, range, &failure, events);
        }
    };
    learn_count(policy, state, running, now, &mut events);

    let choice = choose(policy, state, running, range, now);
    learn_needs(policy, state, &choice, running, range, now, &mut events);
    learn_rapid(policy, state, now, &mut events);

    let Choice { mut decision, limit, signal, at_once, .. } = choice;
    let unprotected = decision.wanted;
    // Whoever asks for a count now has been told what it stops.
    let longest = if state.control.once.is_some() { Duration::ZERO } else { policy.protection.max_busy_wait };
    let shrink = working::protect(policy, state, running, range, &mut decision, longest, now);
    let held = match decision.wanted.cmp(&running) {
        Ordering::Equal => None,
        differs => {
            let direction = if differs.is_gt() { Direction::Up } else { Direction::Down };
            let paused = state.control.pause(direction).map(Held::Paused);
            paused.or(shrink.held).or_else(|| held(state, at_once, now))
        }
    };
    if decision.wanted == running {
        state.control.once = None;
    }
    if let Some(held) = held {
        decision.reason.sentence.push_str(&held.in_words());
    }
    let order = match held {
        None => {
            // What protection left standing was not cut short by a bound.
            let limit = limit.filter(|_| decision.wanted == unprotected);
            Order::new(running, decision.wanted, decision.reason.clone(), limit)
        }
        Some(_) => None,
    };
    let order = order.map(|order| Order { free: shrink.free, ..order });
    Outcome { running: Some(running), range, decision, signal, limit, held, order, events }
}

/// Second door: learns what became of an order.
///
/// Only success clears the histories and begins the wait. A failure backs off and leaves everything else as it was.
pub fn settle(policy: &Policy, state: &mut State, order: &Order, settled: &Settled, now: &Moment) -> Vec<Event> {
    let Order { from, to, limit, .. } = *order;
    let reason = order.reason.clone();
    let mut events = Vec::new();
    match settled {
        Settled::Scaled => {
            state.expected = Some(to);
            state.control.once = None;
            state.rapid.push(order.direction(), now);
            begin_anew(policy, state, now);
            events.push(match order.direction() {
                Direction::Down => Event::ScaledDown { from, to, reason, limit },
                Direction::Up | Direction::Stay => Event::ScaledUp { from, to, reason, limit },
            });
            learn_obedience(policy, state, now, &mut events);
            learn_rapid(policy, state, now, &mut events);
        }
        Settled::DryRun => {
            state.control.once = None;
            begin_anew(policy, state, now);
            learn_obedience(policy, state, now, &mut events);
            let told = state.would.filter(|(told_from, told_to, _)| (*told_from, *told_to) == (from, to));
            // As nothing changes, the same wish comes back again and again.
            if told.is_none_or(|(_, _, at)| now.since_start.saturating_sub(at) >= policy.repeat) {
                state.would = Some((from, to, now.since_start));
                events.push(Event::WouldScale { from, to, reason });
            }
        }
        Settled::AlreadyThere => {
            state.expected = Some(to);
            state.control.once = None;
            learn_obedience(policy, state, now, &mut events);
        }
        Settled::Failed(failure) => {
            let retry_in = state.backoff.failed(failure.retry_after, now);
            state.attempted = Some(to);
            if state.backoff.failures() == 1 {
                // The first of a new row; an earlier row may have ended because nothing was asked any more.
                state.conditions.scale_failing.update(false, policy.repeat, now);
            }
            if let Some(phase) = state.conditions.scale_failing.update(true, policy.repeat, now) {
                let (in_a_row, failure) = (state.backoff.failures(), failure.clone());
                events.push(Event::ScaleFailed { from, to, reason, failure, in_a_row, retry_in, phase });
            }
        }
    }
    events
}

/// After a scale: what was measured before says nothing about the new count, and new processes need time to show.
fn begin_anew(policy: &Policy, state: &mut State, now: &Moment) {
    for signal in &mut state.signals {
        signal.history.clear();
    }
    state.shrink_held_since = None;
    state.wait.begin(policy.wait_after_scale, now);
}

/// The platform did not refuse.
fn learn_obedience(policy: &Policy, state: &mut State, now: &Moment, events: &mut Vec<Event>) {
    state.backoff.succeeded();
    if let Some(Phase::Ended(lasted)) = state.conditions.scale_failing.update(false, policy.repeat, now) {
        events.push(Event::ScaleRecovered { lasted });
    }
}

fn learn_sample(
    policy: &Policy,
    state: &mut State,
    index: usize,
    sample: Sample,
    now: &Moment,
    events: &mut Vec<Event>,
) {
    // A measurement that began before a change of settings may end after it; its signal may be gone.
    let (Some(settings), Some(signal)) = (policy.signals.get(index), state.signals.get_mut(index)) else { return };
    let backend = settings.backend.clone();
    events.push(Event::Measured { backend: backend.clone(), sample: sample.clone() });
    let phase = signal.failing.update(sample.outcome.is_err(), policy.repeat, now);
    match &sample.outcome {
        Err(failure) => {
            signal.failures = signal.failures.saturating_add(1);
            if let Some(phase) = phase {
                let (failure, in_a_row) = (failure.clone(), signal.failures);
                events.push(Event::MeasurementFailed { backend, failure, in_a_row, phase });
            }
        }
        Ok(_) => {
            let failures = std::mem::take(&mut signal.failures);
            if let Some(Phase::Ended(lasted)) = phase {
                events.push(Event::MeasurementRecovered { backend, failures, lasted });
            }
        }
    }
    signal.history.push(sample);
}

fn learn_count(policy: &Policy, state: &mut State, running: u32, now: &Moment, events: &mut Vec<Event>) {
    if let Some(Phase::Ended(lasted)) = state.conditions.count_failing.update(false, policy.repeat, now) {
        events.push(Event::CountRecovered { lasted });
    }
    // A call that timed out may have been obeyed. That is our doing, and shows in the next count if at all.
    let by_us = state.attempted.take() == Some(running);
    match state.expected.replace(running) {
        Some(expected) if expected != running && !by_us => {
            events.push(Event::CountChangedElsewhere { from: expected, to: running });
        }
        _ => {}
    }
}

/// With several signals, the least is the highest of their leasts and the most the highest of their mosts.
fn combined_range(policy: &Policy, now: &Moment) -> Range {
    let ranges = policy.signals.iter().map(|signal| signal.bounds.at(now));
    ranges
        .reduce(|left, right| Range { min: left.min.max(right.min), max: left.max.max(right.max) })
        .unwrap_or(Range { min: 0, max: u32::MAX })
}

fn unknown_count(state: &State, range: Range, failure: &ScaleFailure, events: Vec<Event>) -> Outcome {
    // Nothing is ordered, so the number in this decision is only shown; the last count known is the honest one.
    let shown = state.expected.unwrap_or(range.min);
    let sentence = format!("nobody knows how many processes run: {}", in_brief(&failure.message));
    let decision = Decision::stay(shown, Reason::new("count_unknown", sentence));
    Outcome { running: None, range, decision, signal: 0, limit: None, held: None, order: None, events }
}

/// A decision, clamped, with what it was before the clamp.
struct Choice {
    decision: Decision,
    signal: usize,
    unclamped: u32,
    limit: Option<Limit>,
    at_once: bool,
}

fn choose(policy: &Policy, state: &State, running: u32, range: Range, now: &Moment) -> Choice {
    if let (nearest, Some(limit)) = range.clamp(running) {
        return back_inside(policy, running, nearest, limit, now);
    }
    if let Some(wish) = state.control.wish() {
        return told(wish, running, range);
    }
    let signals = policy.signals.iter().zip(&state.signals).enumerate();
    let proposals = signals
        .map(|(index, (signal, known))| Choice { signal: index, ..wish(signal, &known.history, running, range, now) });
    let nothing = || Choice {
        decision: Decision::stay(running, Reason::new("no_signal", "nothing is measured")),
        signal: 0,
        unclamped: running,
        limit: None,
        at_once: false,
    };
    let choice = highest(proposals, running).unwrap_or_else(nothing);
    match working::waiting(policy, state, now) {
        Some(waiting) if running == 0 => working::wake(choice, waiting),
        Some((_, waiting)) if choice.decision.wanted == 0 => working::last_one_stays(choice, waiting),
        _ => choice,
    }
}

/// What a person wants, within the bounds.
fn told(wish: control::Wish, running: u32, range: Range) -> Choice {
    let (wanted, limit) = range.clamp(wish.count);
    let direction = match wanted.cmp(&running) {
        Ordering::Greater => Direction::Up,
        Ordering::Less => Direction::Down,
        Ordering::Equal => Direction::Stay,
    };
    let decision = Decision { wanted, direction, reason: Reason::new(wish.key, wish.sentence) };
    Choice { decision, signal: 0, unclamped: wish.count, limit, at_once: true }
}

/// What one signal wants by these samples, within its own bounds.
fn wish(signal: &Signal, history: &History, running: u32, range: Range, now: &Moment) -> Choice {
    let decision = signal.decide.decide(&View { history, running, now });
    let (unclamped, own) = (decision.wanted, signal.bounds.at(now));
    let (wanted, limit) = Range { min: own.min.max(range.min), max: own.max.max(range.min) }.clamp(unclamped);
    Choice { decision: Decision { wanted, ..decision }, signal: 0, unclamped, limit, at_once: false }
}

/// The highest of all counts, said by the signal that explains it best.
///
/// The count and the speaker are two questions. A signal that merely may not have what runs (its own max is lower) does
/// not explain why others shrink it; and of two that end at the same max, the one that wanted more has something to tell.
fn highest(proposals: impl Iterator<Item = Choice>, running: u32) -> Option<Choice> {
    let rank = |choice: &Choice| {
        let merely_capped = choice.limit == Some(Limit::Max) && choice.decision.wanted < running;
        (!merely_capped, choice.decision.wanted, choice.unclamped)
    };
    let mut wanted = 0;
    let proposals = proposals.inspect(|choice| wanted = wanted.max(choice.decision.wanted));
    let mut speaker = proposals.reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })?;
    if speaker.decision.wanted < wanted {
        speaker.decision.wanted = wanted;
        speaker.limit = None;
    }
    Some(speaker)
}

/// What runs is outside the bounds: straight to the nearest one. The signal whose bound it is speaks.
fn back_inside(policy: &Policy, running: u32, nearest: u32, limit: Limit, now: &Moment) -> Choice {
    let is_bound = |signal: &Signal| match limit {
        Limit::Min => signal.bounds.at(now).min == nearest,
        Limit::Max => signal.bounds.at(now).max == nearest,
    };
    let signal = policy.signals.iter().position(is_bound).unwrap_or_default();
    let bounds = &policy.signals[signal].bounds;
    let when = if bounds.vary() { format!(" at {}", bounds.local_time(now)) } else { String::new() };
    let (relation, direction) = match limit {
        Limit::Min => ("below", Direction::Up),
        Limit::Max => ("above", Direction::Down),
    };
    let sentence = format!("{running} running is {relation} the {limit} of {nearest}{when}");
    let decision = Decision { wanted: nearest, direction, reason: Reason::new("outside_bounds", sentence) };
    Choice { decision, signal, unclamped: nearest, limit: Some(limit), at_once: true }
}

/// "More is called for, but we are at the max" and its counterpart.
fn learn_needs(
    policy: &Policy,
    state: &mut State,
    choice: &Choice,
    running: u32,
    range: Range,
    now: &Moment,
    events: &mut Vec<Event>,
) {
    let at = |limit| choice.limit == Some(limit) && choice.decision.wanted == running && !choice.at_once;
    let (wanted, reason) = (choice.unclamped, &choice.decision.reason);
    let (at_max, at_min) = (at(Limit::Max), at(Limit::Min));
    if let Some(phase) = state.conditions.needs_exceed_max.update(at_max, policy.repeat, now) {
        // Whoever was clamped to what runs was clamped to its own max, which may be lower than the highest of all.
        let max = if at_max { running } else { range.max };
        events.push(Event::NeedsExceededMax { wanted, max, reason: reason.clone(), phase });
    }
    if let Some(phase) = state.conditions.needs_below_min.update(at_min, policy.repeat, now) {
        events.push(Event::NeedsBelowMin { wanted, min: range.min, reason: reason.clone(), phase });
    }
}

fn learn_rapid(policy: &Policy, state: &mut State, now: &Moment, events: &mut Vec<Event>) {
    let exceeded = state.rapid.exceeded(&policy.rapid, now);
    if let Some(phase) = state.conditions.too_rapid.update(exceeded.is_some(), policy.repeat, now) {
        let (direction, scales) = exceeded.unwrap_or((Direction::Stay, 0));
        events.push(Event::ScalingTooRapid { direction, scales, period: policy.rapid.period, phase });
    }
}

fn held(state: &State, at_once: bool, now: &Moment) -> Option<Held> {
    let waiting = if at_once { None } else { state.wait.left(now).map(Held::Waiting) };
    waiting.or_else(|| state.backoff.left(now).map(Held::BackingOff))
}

impl Held {
    fn in_words(self) -> String {
        match self {
            Self::Waiting(left) => format!("; held, the wait after the last scale takes {} more", in_words(left)),
            Self::BackingOff(left) => {
                format!("; held, the platform refused and is asked again in {}", in_words(left))
            }
            Self::Busy(lasted) => format!("; held for {} so far, nobody is stopped who may work", in_words(lasted)),
            Self::Paused(Scope::All) => "; paused, nothing is ordered".to_owned(),
            Self::Paused(Scope::Up) => "; paused, it does not grow".to_owned(),
            Self::Paused(Scope::Down) => "; paused, it does not shrink".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
