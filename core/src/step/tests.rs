//! What the two doors promise, one claim each.

mod commanding;
mod learning;
mod ordering;
mod settling;
mod signals;
mod storing;
mod working;

use serde_json::json;

use super::*;
use crate::examples::{
    at, at_millis, bounds, document, number, policy, queue, refused, response_time, samples, scale_failure, timeout,
};

/// A process with its platform, measured every 30 s.
struct Bot {
    policy: Policy,
    state: State,
    running: u32,
    second: u64,
}

impl Bot {
    fn new(signals: impl Into<Vec<Signal>>, running: u32) -> Self {
        let policy = policy(signals);
        Self { state: State::new(&policy), policy, running, second: 0 }
    }

    /// One signal that is high above 10 and low at 0, within bounds, one reading being enough.
    fn with_bounds(min: u32, max: u32, running: u32) -> Self {
        Self::new([within(queue(), min, max)], running)
    }

    fn observe(&mut self, samples: impl IntoIterator<Item = (usize, Sample)>) -> Outcome {
        let now = at(self.second);
        observe(&self.policy, &mut self.state, samples, Ok(self.running), &now)
    }

    /// Observes one sample per signal, without carrying any order out.
    fn look(&mut self, words: &str) -> Outcome {
        self.observe(samples(words).into_iter().enumerate())
    }

    fn settle(&mut self, order: &Order, settled: &Settled) -> Vec<Event> {
        settle(&self.policy, &mut self.state, order, settled, &at(self.second))
    }

    /// Observes, and the platform obeys; then 30 s pass.
    fn tick(&mut self, words: &str) -> Outcome {
        let mut outcome = self.look(words);
        if let Some(order) = outcome.order.clone() {
            self.running = order.to;
            outcome.events.extend(self.settle(&order, &Settled::Scaled));
        }
        self.second += 30;
        outcome
    }
}

fn within(mut signal: Signal, min: u32, max: u32) -> Signal {
    signal.bounds = bounds(json!(min), json!(max), "UTC");
    signal
}

fn order_of(outcome: &Outcome) -> Option<(u32, u32)> {
    outcome.order.as_ref().map(|order| (order.from, order.to))
}

fn has(events: &[Event], matching: impl Fn(&Event) -> bool) -> bool {
    events.iter().any(matching)
}

fn needs_exceeded_max(outcome: &Outcome) -> Option<(u32, u32, Phase)> {
    outcome.events.iter().find_map(|event| match event {
        Event::NeedsExceededMax { wanted, max, phase, .. } => Some((*wanted, *max, *phase)),
        _ => None,
    })
}

fn needs_below_min(outcome: &Outcome) -> Option<(u32, u32, Phase)> {
    outcome.events.iter().find_map(|event| match event {
        Event::NeedsBelowMin { wanted, min, phase, .. } => Some((*wanted, *min, *phase)),
        _ => None,
    })
}

fn changed_elsewhere(outcome: &Outcome) -> Option<(u32, u32)> {
    outcome.events.iter().find_map(|event| match event {
        Event::CountChangedElsewhere { from, to } => Some((*from, *to)),
        _ => None,
    })
}
