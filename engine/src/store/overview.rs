//! All processes at a glance, from the store alone: for a terminal beside a program that may be down.
//!
//! Three questions, however many processes there are: a thousand are no reason to ask a thousand times. What a running
//! program knows beside this (who waits for what right now) is on the [`crate::board`], and not here.

use std::{collections::BTreeMap, time::Duration};

use autoscalebot_core::{
    control::{Command, Control},
    decision::Reason,
    event::Event,
    moment::Moment,
    sample::Sample,
    step::{Outcome, Settled},
};
use jiff::Timestamp;

use super::{
    database::Row,
    read::{DecisionRow, DecisionsWish, ReadError, Reader, decision_row},
};
use crate::policy::PolicySpec;

/// What people have said is read back for so many commands. It is people who say them, so these are years.
const MOST_COMMANDS: i64 = 5_000;

/// So many decisions are looked back for the newest sample of a signal that is measured less often than another.
const LOOK_BACK: u32 = 100;

/// A process, as far as it was written down.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Its name.
    pub process: String,
    /// When it was decided last.
    pub at: Timestamp,
    /// What was decided.
    pub outcome: Outcome,
    /// What became of the order.
    pub settled: Option<Settled>,
    /// The newest sample of each signal.
    pub samples: Vec<Option<Sample>>,
    /// What it was decided by.
    pub spec: PolicySpec,
    /// The number of that version of the settings.
    pub version: i64,
    /// The newest change of the count that the bot made.
    pub last_scale: Option<Scale>,
    /// What people have told the bot, as far as it still holds. Times in it are counted since 1970.
    pub control: Control,
}

/// A change of the count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// When.
    pub at: Timestamp,
    /// Before.
    pub from: u32,
    /// After.
    pub to: u32,
    /// Why.
    pub reason: Reason,
}

impl Overview {
    /// How many run after what became of the newest order; nothing when it is not known.
    #[must_use]
    pub fn running(&self) -> Option<u32> {
        match (&self.outcome.order, &self.settled) {
            (Some(order), Some(Settled::Scaled | Settled::AlreadyThere)) => Some(order.to),
            _ => self.outcome.running,
        }
    }

    /// The longest of its intervals.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.spec.signals.iter().map(|signal| signal.interval).max().unwrap_or_default()
    }

    /// Whether it should have been decided again by now.
    #[must_use]
    pub fn is_silent(&self, now: Timestamp) -> bool {
        // Short intervals leave no room for a measurement that takes its time, nor for the writing.
        const LEAST: Duration = Duration::from_secs(10);
        let patience = self.interval().saturating_mul(3).max(LEAST);
        Duration::try_from(now.duration_since(self.at)).is_ok_and(|age| age > patience)
    }

    /// Whether the newest measurement of one of its signals failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.samples.iter().flatten().any(|sample| sample.outcome.is_err())
    }
}

impl Reader {
    /// Every process with its newest decision, in the order of their names. What another version has written and this
    /// one cannot read is left out.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn overview(&self) -> Result<Vec<Overview>, ReadError> {
        let rows = self.ask(NEWEST, &[]).await?;
        let scales = self.ask(LAST_SCALES, &[]).await?;
        let commands = self.ask(COMMANDS, &[MOST_COMMANDS.into()]).await?;
        let mut scales: BTreeMap<String, Scale> = scales.iter().filter_map(scale).collect();
        let mut controls = controls(&commands);
        let mut all = Vec::new();
        for row in &rows {
            let Some(mut overview) = overview(row) else { continue };
            overview.last_scale = scales.remove(&overview.process);
            overview.control = controls.remove(&overview.process).unwrap_or_default();
            overview.control.expire(&counted_since_1970(overview.at));
            if overview.samples.iter().any(Option::is_none) {
                self.look_back(&mut overview).await?;
            }
            all.push(overview);
        }
        all.sort_by(|left, right| left.process.cmp(&right.process));
        Ok(all)
    }

    /// Signals with intervals of their own are not all in the newest tick.
    async fn look_back(&self, overview: &mut Overview) -> Result<(), ReadError> {
        let process = Some(overview.process.clone());
        let wish = DecisionsWish { process, limit: LOOK_BACK, ..DecisionsWish::default() };
        for decision in self.decisions(&wish).await?.items {
            fill(&mut overview.samples, decision.samples);
            if overview.samples.iter().all(Option::is_some) {
                break;
            }
        }
        Ok(())
    }
}

/// The columns of a decision, and what it rested on; one row per process, found by the index, a seek each.
const NEWEST: &str = "SELECT p.name, d.at, d.run_id, d.seq, t.input, t.outcome, t.settled, v.number, v.spec \
     FROM autoscalebot_processes p \
     JOIN autoscalebot_decisions d ON d.process_id = p.id \
      AND d.at = (SELECT max(n.at) FROM autoscalebot_decisions n WHERE n.process_id = p.id) \
     JOIN autoscalebot_ticks t ON t.process_id = d.process_id AND t.run_id = d.run_id AND t.seq = d.seq \
     JOIN autoscalebot_versions v ON v.id = t.version_id ORDER BY p.name, d.run_id, d.seq";
const LAST_SCALES: &str = "SELECT p.name, e.at, e.body FROM autoscalebot_processes p \
     JOIN autoscalebot_events e ON e.id = (SELECT n.id FROM autoscalebot_events n WHERE n.process_id = p.id \
      AND n.kind IN ('scaled_up', 'scaled_down') ORDER BY n.at DESC, n.id DESC LIMIT 1)";
const COMMANDS: &str = "SELECT p.name, e.at, e.body FROM autoscalebot_events e \
     JOIN autoscalebot_processes p ON p.id = e.process_id WHERE e.kind IN ('commanded', 'control_expired') \
     ORDER BY e.at DESC, e.id DESC LIMIT $1";

fn overview(row: &Row) -> Option<Overview> {
    let spec: PolicySpec = serde_json::from_str(row.text(8)?).ok()?;
    let DecisionRow { process, at, outcome, settled, samples: new, version } = decision_row(row)?;
    let mut samples = vec![None; spec.signals.len()];
    fill(&mut samples, new);
    Some(Overview {
        process,
        at,
        outcome,
        settled,
        samples,
        spec,
        version,
        last_scale: None,
        control: Control::default(),
    })
}

fn fill(samples: &mut [Option<Sample>], newer: Vec<(usize, Sample)>) {
    for (index, sample) in newer {
        if let Some(place) = samples.get_mut(index) {
            place.get_or_insert(sample);
        }
    }
}

fn named_event(row: &Row) -> Option<(String, Timestamp, Event)> {
    let event = serde_json::from_str(row.text(2)?).ok()?;
    Some((row.text(0)?.to_owned(), Timestamp::from_microsecond(row.int(1)?).ok()?, event))
}

fn scale(row: &Row) -> Option<(String, Scale)> {
    let (process, at, event) = named_event(row)?;
    match event {
        Event::ScaledUp { from, to, reason, .. } | Event::ScaledDown { from, to, reason, .. } => {
            Some((process, Scale { at, from, to, reason }))
        }
        _ => None,
    }
}

/// What people said, learnt again in its order.
fn controls(newest_first: &[Row]) -> BTreeMap<String, Control> {
    let mut controls: BTreeMap<String, Control> = BTreeMap::new();
    for (process, at, event) in newest_first.iter().rev().filter_map(named_event) {
        let control = controls.entry(process).or_default();
        match event {
            // Once is over with the tick that followed.
            Event::Commanded { commanded } if !matches!(commanded.command, Command::Scale { .. }) => {
                control.learn(&commanded, &counted_since_1970(at));
            }
            Event::ControlExpired { then, .. } => {
                // Its end is on the clock of the run, unlike that of what was learnt here.
                let known = control.before.pop().filter(|_| !then.is_automatic());
                control.mode = known.unwrap_or_default();
            }
            _ => {}
        }
    }
    controls
}

/// A moment whose monotonic side is the civil one, for what is only shown.
fn counted_since_1970(at: Timestamp) -> Moment {
    let since_start = Duration::from_micros(u64::try_from(at.as_microsecond()).unwrap_or_default());
    Moment { since_start, civil: at }
}
