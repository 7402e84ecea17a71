//! Recorded ticks through the core once more: to prove them, and to know after a restart what was known before.
//!
//! A replay takes the state where a row of ticks begins, hands each tick's input to the same doors as the bot did, and
//! holds what comes out against what was kept, text against text. A restart does the same with the few ticks since the
//! last kept state; so what a bot resumes with is, by construction, what a replay proves.

use std::sync::Arc;

use autoscalebot_core::{
    event::Event,
    moment::Moment,
    step::{self, Order, Policy, Settled, State, observe, settle},
};

use super::record::{OrderResult, Tick, is_kept, outcome_text, result_text, text};

/// What a tick came to, once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The same, to the last digit.
    Same,
    /// Something else.
    Different(Difference),
    /// It cannot be said: nothing is known of the state before it.
    Unknown,
}

/// Where a replay and the record part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs: `state`, `decision`, `result`.
    pub what: &'static str,
    /// As it was kept.
    pub recorded: String,
    /// As it came out now.
    pub replayed: String,
}

/// An order of which the record does not say what became of it.
#[derive(Debug, Clone)]
pub struct Unsettled {
    /// The order.
    pub order: Order,
    /// The state after it was decided.
    pub state: State,
    /// When it was given.
    pub at: Moment,
}

/// Replays the ticks of one process, in their order.
pub struct Replayer {
    policy: Arc<Policy>,
    state: Option<State>,
    unsettled: Option<Unsettled>,
}

impl Replayer {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { policy, state: None, unsettled: None }
    }

    /// The settings are others from now on.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// The state after the newest tick, and the order whose end was not seen. The state is then the one before that tick.
    #[must_use]
    pub fn finish(self) -> (Option<State>, Option<Unsettled>) {
        (self.state, self.unsettled)
    }

    /// The next tick.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn step(&mut self, tick: &Tick) -> Result<Step, serde_json::Error> {
        let kept: Option<State> = tick.state.as_deref().map(serde_json::from_str).transpose()?;
        // Nothing follows from a tick whose end was not seen.
        let follows = tick.begins.is_none() && self.unsettled.take().is_none();
        let (before, difference) = match (self.state.take().filter(|_| follows), kept) {
            (None, None) => return Ok(Step::Unknown),
            (None, Some(kept)) => (kept, None),
            (Some(known), None) => (known, None),
            (Some(known), Some(kept)) => {
                let difference = (known != kept).then(|| Difference {
                    what: "state",
                    recorded: text(&kept),
                    replayed: text(&known),
                });
                (kept, difference)
            }
        };
        let mut state = before.clone();
        let input = tick.input()?;
        for commanded in &*input.commands {
            step::command(&mut state, commanded, &input.at);
        }
        let (samples, running) = (input.samples.into_owned(), input.running.into_owned());
        let mut outcome = observe(&self.policy, &mut state, samples, running, &input.at);
        let events = std::mem::take(&mut outcome.events).into_iter().filter(is_kept).collect();
        let replayed = outcome_text(&outcome, events);
        let difference = difference.or_else(|| {
            (replayed != tick.outcome).then(|| Difference {
                what: "decision",
                recorded: tick.outcome.clone(),
                replayed,
            })
        });
        // What was ordered in truth is what was settled.
        let recorded_order = if difference.is_some() { tick.order()? } else { outcome.order };
        let difference = match (recorded_order, tick.result()?) {
            (Some(order), Some(OrderResult { settled, at, .. })) => {
                let events: Vec<Event> = settle(&self.policy, &mut state, &order, &settled, &at);
                let replayed = result_text(&settled, &at, &events);
                let recorded = tick.settled.clone().unwrap_or_default();
                let differs = replayed != recorded;
                self.state = Some(state);
                difference.or_else(|| differs.then_some(Difference { what: "result", recorded, replayed }))
            }
            (Some(order), None) => {
                self.unsettled = Some(Unsettled { order, state, at: input.at });
                self.state = Some(before);
                difference
            }
            (None, _) => {
                self.state = Some(state);
                difference
            }
        };
        Ok(difference.map_or(Step::Same, Step::Different))
    }
}

impl Unsettled {
    /// What is known if the order was obeyed, and what is to be told then.
    #[must_use]
    pub fn obeyed(mut self, policy: &Policy) -> (State, Vec<Event>) {
        let events = settle(policy, &mut self.state, &self.order, &Settled::Scaled, &self.at);
        (self.state, events)
    }
}
