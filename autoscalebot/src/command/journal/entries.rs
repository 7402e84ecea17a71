//! Decisions and events as one list: each thing once, in the order of time, and what says the same folded.
//!
//! Pure, so that it can be shown to be right: rows of the store go in, entries come out.

use std::collections::BTreeMap;

use autoscalebot_core::{event::Event, step::Held};
use autoscalebot_engine::store::{DecisionRow, EventRow, Hole};
use jiff::{SignedDuration, Timestamp};

/// An order and the event that tells of it are this close: a platform that takes longer has failed before.
const TOGETHER: SignedDuration = SignedDuration::from_secs(120);

/// Something that is told on its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Of which process.
    pub process: String,
    /// What.
    pub told: Told,
    /// How many more of the same followed, and when the last of them was.
    pub more: Option<(usize, Timestamp)>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A decision.
    Decision(Box<DecisionRow>),
    /// An event.
    Event(Box<EventRow>),
    /// Nothing is known of the time before.
    Hole(Hole),
}

impl From<DecisionRow> for Entry {
    fn from(row: DecisionRow) -> Self {
        Self { at: row.at, process: row.process.clone(), told: Told::Decision(Box::new(row)), more: None }
    }
}

impl From<EventRow> for Entry {
    fn from(row: EventRow) -> Self {
        Self { at: row.at, process: row.process.to_string(), told: Told::Event(Box::new(row)), more: None }
    }
}

impl From<Hole> for Entry {
    fn from(hole: Hole) -> Self {
        Self { at: hole.to, process: hole.process.to_string(), told: Told::Hole(hole), more: None }
    }
}

impl Entry {
    /// What two decisions must share to be told as one: all but the numbers in their sentences. Nothing for what is always
    /// told alone.
    pub fn shape(&self) -> Option<String> {
        let Told::Decision(row) = &self.told else { return None };
        let outcome = &row.outcome;
        if outcome.order.is_some() {
            return None;
        }
        let held = match outcome.held {
            None => "",
            Some(Held::Waiting(_)) => "waiting",
            Some(Held::BackingOff(_)) => "backing off",
            Some(Held::Busy(_)) => "busy",
            Some(Held::Paused(_)) => "paused",
        };
        let (running, wanted, key) = (outcome.running, outcome.decision.wanted, &outcome.decision.reason.key);
        Some(format!("{} {running:?} {wanted} {key} {held}", self.process))
    }
}

/// Oldest first; an order that has a decision and an event here is told by its decision.
pub fn once_each(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|left, right| left.at.cmp(&right.at).then_with(|| rank(left).cmp(&rank(right))));
    let mut ordered: BTreeMap<(String, u32, u32), Vec<Timestamp>> = BTreeMap::new();
    for entry in &entries {
        if let Told::Decision(row) = &entry.told
            && let Some(order) = row.outcome.order.as_ref().filter(|_| row.settled.is_some())
        {
            ordered.entry((entry.process.clone(), order.from, order.to)).or_default().push(entry.at);
        }
    }
    entries.retain(|entry| {
        let Told::Event(row) = &entry.told else { return true };
        let (Event::ScaledUp { from, to, .. }
        | Event::ScaledDown { from, to, .. }
        | Event::WouldScale { from, to, .. }
        | Event::ScaleFailed { from, to, .. }) = row.event
        else {
            return true;
        };
        let moments = ordered.get(&(entry.process.clone(), from, to)).map(Vec::as_slice).unwrap_or_default();
        !moments.iter().any(|at| *at <= entry.at && entry.at.duration_since(*at) <= TOGETHER)
    });
    entries
}

/// A hole is before what is known again. A command comes before the decision that follows it, which comes before what is
/// told of it.
fn rank(entry: &Entry) -> u8 {
    match &entry.told {
        Told::Hole(_) => 0,
        Told::Event(row) if matches!(row.event, Event::Commanded { .. }) => 1,
        Told::Decision(_) => 2,
        Told::Event(_) => 3,
    }
}

/// Decisions of a process that follow each other and say the same are told as one.
pub fn folded(entries: Vec<Entry>) -> Vec<Entry> {
    let mut folded: Vec<Entry> = Vec::new();
    let mut open: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for entry in entries {
        let Some(shape) = entry.shape() else {
            open.remove(&entry.process);
            folded.push(entry);
            continue;
        };
        match open.get(&entry.process) {
            Some((same, index)) if *same == shape => {
                let more = folded[*index].more.map_or(0, |(count, _)| count);
                folded[*index].more = Some((more + 1, entry.at));
            }
            _ => {
                open.insert(entry.process.clone(), (shape, folded.len()));
                folded.push(entry);
            }
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::{
        bounds::Range,
        decision::{Decision, Direction, Reason},
        names::ProcessName,
        step::{Order, Outcome, Settled},
    };

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn decision(process: &str, second: i64, sentence: &str, order: Option<(u32, u32)>) -> Entry {
        let reason = Reason::new("between", sentence);
        let order = order.and_then(|(from, to)| Order::new(from, to, reason.clone(), None));
        let outcome = Outcome {
            running: Some(2),
            range: Range { min: 1, max: 5 },
            decision: Decision { wanted: 2, direction: Direction::Stay, reason },
            signal: 0,
            limit: None,
            held: None,
            order: order.clone(),
            events: Vec::new(),
        };
        let settled = order.map(|_| Settled::Scaled);
        let process = process.to_owned();
        Entry::from(DecisionRow { process, at: at(second), outcome, settled, samples: Vec::new(), version: 1 })
    }

    fn event(second: i64, event: Event) -> Entry {
        Entry::from(EventRow { id: 1, process: ProcessName::new("web").unwrap(), at: at(second), event })
    }

    fn scaled_up(second: i64) -> Entry {
        let reason = Reason::new("between", "because");
        event(second, Event::ScaledUp { from: 2, to: 3, reason, limit: None })
    }

    #[test]
    fn an_order_is_told_once_by_its_decision_and_old_ones_by_their_event() {
        let entries = vec![scaled_up(1), scaled_up(5_000), decision("web", 0, "because", Some((2, 3)))];
        let told: Vec<i64> = once_each(entries).iter().map(|entry| entry.at.as_second() - 1_800_000_000).collect();
        assert_eq!(told, [0, 5_000]);
    }

    #[test]
    fn decisions_that_say_the_same_are_folded_although_their_numbers_differ() {
        let entries = (0..35).map(|second| decision("web", second, &format!("{second} ms"), None)).collect();
        let folded = folded(entries);
        assert_eq!(folded.len(), 1);
        assert_eq!(folded[0].more, Some((34, at(34))));
    }

    #[test]
    fn another_process_in_between_does_not_unfold_but_an_event_of_the_same_does() {
        let recovered = || event(2, Event::ScaleRecovered { lasted: std::time::Duration::ZERO });
        let entries = vec![
            decision("web", 0, "a", None),
            decision("celery", 0, "a", None),
            decision("web", 1, "a", None),
            recovered(),
            decision("web", 3, "a", None),
            decision("celery", 3, "a", None),
        ];
        let more: Vec<_> = folded(entries).iter().map(|entry| entry.more.map_or(0, |(count, _)| count)).collect();
        assert_eq!(more, [1, 1, 0, 0]);
    }
}
