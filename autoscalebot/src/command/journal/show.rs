//! Entries of the journal as lines for people, and as JSON for programs.

use autoscalebot_core::{decision::Direction, units::in_words};
use autoscalebot_engine::{
    notification::text::{self, one_line},
    store::{DecisionRow, EventRow},
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::entries::{Entry, Told};
use crate::command::history::{
    table::{Tone, shown_width, wrapped},
    time, words,
};

/// A line is not longer than this also where it may be: nobody reads wider.
const WIDEST: usize = 160;

/// Where why begins, so that times stand alone at the left.
const INDENT: usize = 10;

/// Lines of one reason. Errors that quote whole pages are in `--json`.
const MOST_LINES: usize = 3;

/// How it is looked at.
pub struct Look<'a> {
    pub zone: &'a TimeZone,
    pub width: Option<usize>,
    pub coloured: bool,
    pub has_many: bool,
}

/// Like a log: the time, the process, what happened, and below it why.
pub fn text(entries: &[Entry], look: &Look<'_>) -> String {
    let mut text = String::new();
    let mut day = String::new();
    let names = entries.iter().map(|entry| shown_width(&entry.process));
    let width = if look.has_many { names.max().unwrap_or_default() } else { 0 };
    for entry in entries {
        let today = time::day(entry.at, look.zone);
        if today != day {
            let zone = time::zone_name(entry.at, look.zone);
            let gap = if day.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{}\n", Tone::Bold.paint(&format!("{today} ({zone})"), look.coloured)));
            day = today;
        }
        one(entry, look, width, &mut text);
    }
    text
}

fn one(entry: &Entry, look: &Look<'_>, width: usize, text: &mut String) {
    let (what, why, tone) = match &entry.told {
        Told::Decision(row) => decision(row),
        Told::Event(row) => event(row),
        Told::Hole(hole) => {
            let what = format!("nothing is known of the {} before", in_words(hole.length()));
            (what, vec![hole.why().to_owned()], Tone::Warning)
        }
    };
    let process = if look.has_many {
        format!("{}{}  ", entry.process, " ".repeat(width.saturating_sub(shown_width(&entry.process))))
    } else {
        String::new()
    };
    let clock = time::clock(entry.at, look.zone);
    let more =
        entry.more.map(|(count, until)| format!("  … {count} more like this, until {}", time::clock(until, look.zone)));
    let more = Tone::Dim.paint(&more.unwrap_or_default(), look.coloured);
    text.push_str(&format!("{clock}  {process}{}{more}\n", tone.paint(&what, look.coloured)));
    let room = look.width.unwrap_or(WIDEST).min(WIDEST).saturating_sub(INDENT).max(30);
    for sentence in why {
        let lines = wrapped(&one_line(&sentence), room);
        for line in lines.iter().take(MOST_LINES) {
            text.push_str(&format!("{}{}\n", " ".repeat(INDENT), Tone::Dim.paint(line, look.coloured)));
        }
    }
}

fn decision(row: &DecisionRow) -> (String, Vec<String>, Tone) {
    let outcome = &row.outcome;
    let reason = outcome.decision.reason.sentence.clone();
    let Some(order) = &outcome.order else {
        let wanted = outcome.decision.wanted;
        let what = match outcome.running {
            None => "count unknown, nothing ordered".to_owned(),
            Some(running) if running != wanted => format!("stays at {running}, wants {wanted}"),
            Some(running) => format!("stays at {running}"),
        };
        let limit = outcome.limit.filter(|_| outcome.decision.direction != Direction::Stay);
        let limit = limit.map(|limit| format!("; it is at the {limit}")).unwrap_or_default();
        return (what, vec![format!("{reason}{limit}")], Tone::Plain);
    };
    let (what, tone) = words::order(order, row.settled.as_ref());
    (what, vec![reason], tone)
}

/// Facts that speak for themselves: told without their labels.
const PLAIN_FACTS: &[&str] = &["Why", "Failure", "Problem", "Reason"];

/// Facts that are of use in a mail, and none in a log that shows the same all around.
const LEFT_OUT: &[&str] = &["Measurement", "Meanwhile", "Failures in a row", "Now"];

fn event(row: &EventRow) -> (String, Vec<String>, Tone) {
    let (what, facts, tone) = words::event(&row.process, row.at, &row.event);
    let facts = facts.into_iter().filter(|(label, fact)| !what.contains(fact.as_str()) && !LEFT_OUT.contains(label));
    let words = |(label, fact): (&str, String)| {
        if PLAIN_FACTS.contains(&label) { fact } else { format!("{}: {fact}", label.to_lowercase()) }
    };
    let why: Vec<String> = facts.map(words).collect();
    (what, if why.is_empty() { why } else { vec![why.join("; ")] }, tone)
}

/// One object per line.
pub fn lines_of_json(entries: &[Entry]) -> String {
    entries.iter().map(|entry| format!("{}\n", as_json(entry))).collect()
}

fn as_json(entry: &Entry) -> Value {
    match &entry.told {
        Told::Decision(row) => decision_json(row),
        Told::Hole(hole) => {
            let mut told = words::hole_json(hole);
            told["type"] = "hole".into();
            told["process"] = hole.process.as_str().into();
            told["at"] = told["to"].clone();
            told
        }
        Told::Event(row) => {
            let (subject, facts, _) = words::event(&row.process, row.at, &row.event);
            let facts: Vec<Value> = facts.iter().map(|(label, text)| json!({"label": label, "text": text})).collect();
            json!({
                "type": "event", "process": row.process.as_str(), "at": words::json_time(row.at),
                "id": row.id.to_string(), "kind": text::key(&row.event), "severity": text::severity(&row.event).key(),
                "subject": format!("{}: {subject}", row.process), "facts": facts,
            })
        }
    }
}

fn decision_json(row: &DecisionRow) -> Value {
    use autoscalebot_core::step::{Held, Settled};
    let outcome = &row.outcome;
    let settled = row.settled.as_ref().map(|settled| match settled {
        Settled::Scaled => "scaled",
        Settled::AlreadyThere => "already_there",
        Settled::DryRun => "dry_run",
        Settled::Failed(_) => "failed",
    });
    let held = outcome.held.map(|held| match held {
        Held::Waiting(_) => "waiting",
        Held::BackingOff(_) => "backing_off",
        Held::Busy(_) => "busy",
        Held::Paused(_) => "paused",
    });
    let readings: Vec<Value> = row
        .samples
        .iter()
        .map(|(index, sample)| {
            let (reading, failure) = words::sample_json(sample);
            json!({"signal": index, "reading": reading, "failure": failure})
        })
        .collect();
    json!({
        "type": "decision", "process": row.process, "at": words::json_time(row.at),
        "running": outcome.running, "wanted": outcome.running.map(|_| outcome.decision.wanted),
        "min": outcome.range.min, "max": outcome.range.max, "direction": outcome.decision.direction,
        "order": outcome.order.as_ref().map(|order| json!({"from": order.from, "to": order.to})),
        "settled": settled, "limit": outcome.limit, "held": held, "reason": outcome.decision.reason,
        "readings": readings, "settings_version": row.version,
    })
}
