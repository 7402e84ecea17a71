//! Readings, events and orders in the words of these commands.
//!
//! What an event is called comes from the one file that puts events into words, in the engine; here it is only laid out.

use std::time::Duration;

use autoscalebot_core::{
    bounds::Limit,
    decision::Direction,
    event::Event,
    moment::Moment,
    names::ProcessName,
    sample::{Reading, Sample},
    step::{Order, Settled},
    units::Finite,
};
use autoscalebot_engine::{
    notification::{Notice, text},
    store::Hole,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::Tone;

/// A number with its unit: `350 ms`.
#[must_use]
pub fn with_unit(number: f64, unit: &str) -> String {
    let number = Finite::new(number).map(|number| number.to_string()).unwrap_or_default();
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// A sample: `350 ms`, `a document`, `no answer: timeout`.
#[must_use]
pub fn sample(sample: &Sample, unit: &str) -> String {
    match &sample.outcome {
        Ok(Reading::Number(number)) => with_unit(number.get(), unit),
        Ok(Reading::Document(_)) => "a document".to_owned(),
        Err(failure) => format!("failed: {}", failure.key.replace('_', " ")),
    }
}

/// A sample as JSON: the reading and the failure, one of which is null.
#[must_use]
pub fn sample_json(sample: &Sample) -> (Value, Value) {
    match &sample.outcome {
        Ok(reading) => (json!(reading), Value::Null),
        Err(failure) => (Value::Null, json!({"key": failure.key, "message": failure.message})),
    }
}

/// Thresholds: `400 to 1200`.
#[must_use]
pub fn thresholds((low, high): (Option<f64>, Option<f64>)) -> Option<String> {
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{} to {}", with_unit(low, ""), with_unit(high, ""))),
        _ => None,
    }
}

/// An order and what became of it, to follow a process's name, and how much it matters.
#[must_use]
pub fn order(order: &Order, settled: Option<&Settled>) -> (String, Tone) {
    let (from, to) = (order.from, order.to);
    let way = if order.direction() == Direction::Up { "up" } else { "down" };
    let cut = match order.limit {
        Some(Limit::Max) => ", the max",
        Some(Limit::Min) => ", the min",
        None => "",
    };
    match settled {
        Some(Settled::Scaled) => (format!("scaled {way} {from} → {to}{cut}"), Tone::Good),
        Some(Settled::AlreadyThere) => {
            (format!("to be scaled {way} {from} → {to}, and was there already"), Tone::Plain)
        }
        Some(Settled::DryRun) => (format!("would scale {way} {from} → {to}{cut} (dry run)"), Tone::Warning),
        Some(Settled::Failed(failure)) => {
            (format!("could not be scaled {way} {from} → {to}: {}", text::one_line(&failure.message)), Tone::Bad)
        }
        None => (format!("to be scaled {way} {from} → {to}; what became of it was not seen"), Tone::Warning),
    }
}

/// An event in words: what happened, to follow the process's name, and the facts that explain it.
#[must_use]
pub fn event(process: &ProcessName, at: Timestamp, event: &Event) -> (String, Vec<(&'static str, String)>, Tone) {
    let at = Moment { since_start: Duration::ZERO, civil: at };
    let id = Default::default();
    let notice = Notice { process: process.clone(), at, event: event.clone(), id, lost_before: 0 };
    let told = text::Text::of(&notice);
    let happened = told.subject.strip_prefix(&format!("{process}: ")).unwrap_or(&told.subject).to_owned();
    let facts = told.facts.into_iter().filter(|(label, _)| !matches!(*label, "When" | "To do")).collect();
    let tone = match told.severity {
        text::Severity::Info if matches!(event, Event::ScaledUp { .. } | Event::ScaledDown { .. }) => Tone::Good,
        text::Severity::Info => Tone::Plain,
        text::Severity::Warning => Tone::Warning,
        text::Severity::Error => Tone::Bad,
    };
    (happened, facts, tone)
}

/// A time of which nothing is known, as JSON.
#[must_use]
pub fn hole_json(hole: &Hole) -> Value {
    json!({"from": json_time(hole.from), "to": json_time(hole.to), "begins": hole.begins, "why": hole.why()})
}

/// A moment for programs: RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn json_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
