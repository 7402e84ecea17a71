//! What would have happened: recorded samples through other settings, with a count that obeys the other orders.
//!
//! ```text
//!  recorded samples, commands, failures ─► observe (other policy) ─► order ─► settle ─► the count of the next tick
//! ```
//!
//! The samples are those of the count that really ran. With another count they would have been others, and nothing here
//! pretends to know which: this compares decisions on the same load, it is no model of the app. Everything that was not
//! up to the policy happens here too: measurements and counts that failed, orders that the platform refused, people who
//! gave commands, and people who set the count elsewhere. So the settings that were in force come to exactly what was.

use std::sync::Arc;

use autoscalebot_core::{
    moment::Moment,
    step::{self, Outcome, Policy, ScaleFailure, Settled, State, observe, settle},
};

use super::record::Tick;

/// What a tick would have come to.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatTick {
    /// When it was decided.
    pub at: Moment,
    /// How many would have run when it was decided; nothing when the platform did not say.
    pub running: Option<u32>,
    /// What would have been decided.
    pub outcome: Outcome,
    /// What would have become of the order.
    pub settled: Option<Settled>,
    /// What was decided in truth.
    pub recorded: Outcome,
    /// What became of the order in truth.
    pub recorded_settled: Option<Settled>,
}

/// Ticks of one process in their order, under a policy that may be another one than theirs.
pub struct WhatIf {
    policy: Arc<Policy>,
    state: Option<State>,
    /// How many would run; nothing until it is known once.
    running: Option<u32>,
    /// How many should run in truth, by what was recorded so far.
    recorded: Option<u32>,
    /// Whether anything was ordered otherwise so far.
    has_diverged: bool,
}

impl WhatIf {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { policy, state: None, running: None, recorded: None, has_diverged: false }
    }

    /// Other settings from now on. What was measured is kept: whoever asks has made sure that it means the same.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        self.state = self.state.take().map(|state| state.carried_over(&policy, true));
        self.policy = policy;
    }

    /// The next tick; nothing as long as nothing is known of the state before it.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn step(&mut self, tick: &Tick) -> Result<Option<WhatTick>, serde_json::Error> {
        let kept: Option<State> = tick.state.as_deref().map(serde_json::from_str).transpose()?;
        let (input, recorded, result) = (tick.input()?, tick.outcome()?, tick.result()?);
        // A bot that began anew would have done so with other settings too. And as long as nothing was ordered otherwise,
        // what was known in truth after a break is what would have been known.
        let begins_anew = matches!(tick.begins.as_deref(), Some("start" | "crash"));
        let is_true = begins_anew || (tick.begins.is_some() && !self.has_diverged);
        let known = self.state.take().filter(|_| !is_true || kept.is_none());
        let begun = || kept.map(|kept| kept.carried_over(&self.policy, true));
        let Some(mut state) = known.or_else(begun) else {
            self.learn_truth(&recorded, result.as_ref().map(|result| &*result.settled));
            return Ok(None);
        };
        let running = self.count(&input.running);
        for commanded in &*input.commands {
            step::command(&mut state, commanded, &input.at);
        }
        let outcome = observe(&self.policy, &mut state, input.samples.into_owned(), running, &input.at);
        let mut settled = None;
        if let Some(order) = &outcome.order {
            let same = recorded.order.as_ref().is_some_and(|real| (real.from, real.to) == (order.from, order.to));
            let (became, at) = match &result {
                // The same order at the same moment: what became of it is known.
                Some(real) if same => (real.settled.clone().into_owned(), real.at),
                // The platform took no orders at that moment.
                Some(real) if matches!(&*real.settled, Settled::Failed(_)) => {
                    (real.settled.clone().into_owned(), real.at)
                }
                _ if state.control.dry_run => (Settled::DryRun, input.at),
                _ => (Settled::Scaled, input.at),
            };
            settle(&self.policy, &mut state, order, &became, &at);
            if matches!(became, Settled::Scaled | Settled::AlreadyThere) {
                self.running = Some(order.to);
            }
            settled = Some(became);
        }
        let orders = |outcome: &Outcome| outcome.order.as_ref().map(|order| (order.from, order.to));
        self.has_diverged |= orders(&outcome) != orders(&recorded);
        let recorded_settled = result.map(|result| result.settled.into_owned());
        self.learn_truth(&recorded, recorded_settled.as_ref());
        self.state = Some(state);
        let running = outcome.running;
        Ok(Some(WhatTick { at: input.at, running, outcome, settled, recorded, recorded_settled }))
    }

    /// The count that the platform would have said: that of the orders so far, unless somebody else set it.
    fn count(&mut self, real: &Result<u32, ScaleFailure>) -> Result<u32, ScaleFailure> {
        let real = *real.as_ref().map_err(Clone::clone)?;
        let elsewhere = self.recorded.is_some_and(|expected| expected != real);
        let running = match self.running {
            Some(running) if !elsewhere => running,
            _ => real,
        };
        self.running = Some(running);
        Ok(running)
    }

    fn learn_truth(&mut self, recorded: &Outcome, settled: Option<&Settled>) {
        let ordered =
            recorded.order.as_ref().filter(|_| matches!(settled, Some(Settled::Scaled | Settled::AlreadyThere)));
        self.recorded = ordered.map(|order| order.to).or(recorded.running).or(self.recorded);
    }
}
