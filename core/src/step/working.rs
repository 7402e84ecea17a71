//! What the work in a queue has to say: an item that waits wakes a process, and a shrink stops nobody who works.
//!
//! Both rest on what was seen in this tick ([`fresh_work`]): what failed or is old wakes nobody and leaves nobody free. What
//! is safe is computed in [`crate::busy`]; here it meets the decision, and the time that a shrink has been held.

use std::time::Duration;

use super::{Choice, Held, Policy, Signal, SignalState, State, wish};
use crate::{
    bounds::Range,
    busy::{self, Work},
    decision::{Decision, Direction, Reason},
    history::History,
    moment::Moment,
    sample::{CountsAs, Sample},
    units::in_words,
};

/// What was seen of the work counts for so long. Longer than a measurement and a slow platform take, shorter than the
/// interval of most bots, so that it is nearly always what was seen in this very tick.
const WORK_IS_FRESH_FOR: Duration = Duration::from_secs(15);

/// The signal that sees most items waiting, and how many, among those that may have a process for them.
pub fn waiting(policy: &Policy, state: &State, now: &Moment) -> Option<(usize, u64)> {
    let signals = policy.signals.iter().zip(&state.signals).enumerate();
    let waits = |(index, (signal, known)): (usize, (&Signal, &SignalState))| {
        let waiting = fresh_work(known, now)?.waiting;
        (waiting > 0 && signal.bounds.at(now).max > 0).then_some((index, waiting))
    };
    // The first of equals, so that the same signal speaks each time.
    signals.filter_map(waits).reduce(|most, next| if next.1 > most.1 { next } else { most })
}

/// Nothing runs and something waits: whoever waits need not wait for thresholds, nor for the time after the last scale.
pub fn wake(choice: Choice, (signal, waiting): (usize, u64)) -> Choice {
    if choice.decision.wanted > 0 {
        return Choice { at_once: true, ..choice };
    }
    let reason = Reason::new("wake", format!("no process runs and {waiting} waiting"));
    let decision = Decision { wanted: 1, direction: Direction::Up, reason };
    Choice { decision, signal, unclamped: 1, limit: None, at_once: true }
}

/// None at all while something waits would be woken in the next tick. The last process stays instead.
pub fn last_one_stays(mut choice: Choice, waiting: u64) -> Choice {
    choice.decision.wanted = 1;
    choice.limit = None;
    choice.decision.reason.sentence.push_str(&format!("; the last one stays, {waiting} waiting"));
    choice
}

/// What became of the wish to have fewer.
#[derive(Default)]
pub struct Shrink {
    /// Why none goes for now.
    pub held: Option<Held>,
    /// The numbers of those that are known to be free.
    pub free: Vec<u32>,
}

/// Raises a wish to have fewer to what is safe, and says why. Holds it altogether when nobody may go, but not for longer
/// than `longest`.
pub fn protect(
    policy: &Policy,
    state: &mut State,
    running: u32,
    range: Range,
    decision: &mut Decision,
    longest: Duration,
    now: &Moment,
) -> Shrink {
    let watched: Vec<_> = policy.signals.iter().zip(&state.signals).filter(|(signal, _)| signal.sees_work).collect();
    let wanted = decision.wanted;
    if wanted >= running || watched.is_empty() {
        if wanted != running || watched.is_empty() || !is_in_doubt(policy, state, running, range, now) {
            state.shrink_held_since = None;
        }
        return Shrink::default();
    }
    let known: Vec<_> = watched.into_iter().map(|(_, known)| fresh_work(known, now)).collect();
    let busy::Floor { count, because, free } = busy::floor(&policy.protection, &known, running, wanted);
    let free = free.unwrap_or_default();
    if count <= wanted {
        state.shrink_held_since = None;
        return Shrink { held: None, free };
    }
    let sentence = &mut decision.reason.sentence;
    if longest.is_zero() {
        // Nothing is held, so no time begins that could be over when somebody is to be waited for again.
        sentence.push_str(&format!("; {because}, and nobody is waited for"));
        return Shrink { held: None, free };
    }
    let since = *state.shrink_held_since.get_or_insert(now.since_start);
    let lasted = now.since_start.saturating_sub(since);
    if lasted >= longest {
        let waited = in_words(lasted);
        sentence.push_str(&format!("; {because}, but work was waited for {waited} already, as long as is allowed"));
        return Shrink { held: None, free };
    }
    if count < running {
        decision.wanted = count;
        sentence.push_str(&format!("; not below {count}, {because}"));
        return Shrink { held: None, free };
    }
    sentence.push_str(&format!("; {because}"));
    Shrink { held: Some(Held::Busy(lasted)), free }
}

/// Whether no shrink is wanted only because of measurements that failed: nobody knows, and everybody who knows wants one.
/// A time that runs goes on then, lest a queue that cannot be asked now and then is waited for without end.
fn is_in_doubt(policy: &Policy, state: &State, running: u32, range: Range, now: &Moment) -> bool {
    if state.shrink_held_since.is_none() {
        return false;
    }
    let mut in_doubt = false;
    let wants_fewer = |(signal, known): (&Signal, &SignalState)| {
        let fewer = |history: &History| wish(signal, history, running, range, now).decision.wanted < running;
        let Some(newest) = known.history.newest() else { return false };
        let needed = signal.decide.history_needed();
        if !known.history.newest_first().take(needed.get()).any(is_unknown) {
            return fewer(&known.history);
        }
        in_doubt = true;
        // As far as is known again: what would come of it if it stayed like this.
        is_unknown(newest) || fewer(&History::all_alike(needed, newest))
    };
    policy.signals.iter().zip(&state.signals).all(wants_fewer) && in_doubt
}

fn is_unknown(sample: &Sample) -> bool {
    sample.outcome.as_ref().is_err_and(|failure| failure.counts_as == CountsAs::Unknown)
}

/// What the newest measurement of a signal has seen; nothing when it failed or is old.
fn fresh_work<'a>(signal: &'a SignalState, now: &Moment) -> Option<&'a Work> {
    let newest = signal.history.newest_first().next()?;
    if newest.outcome.is_err() || now.since(&newest.at) > WORK_IS_FRESH_FOR {
        return None;
    }
    newest.work.as_deref()
}
