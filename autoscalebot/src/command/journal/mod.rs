//! `autoscalebot journal`: what was decided and what happened, like a log, with the reason of each.
//!
//! Decisions and events come from two tables. An order that was carried out is in both; it is told once, by its decision,
//! which has the readings. Decisions are kept for a week and events for three months, so older orders are told by their
//! events.

mod entries;
mod show;

use std::time::Duration;

use autoscalebot_core::names::nearest;
use autoscalebot_engine::store::{DecisionsWish, EventsWish};
use jiff::{Timestamp, tz::TimeZone};

use self::entries::Entry;
use super::history::{self, Ended, History};
use crate::{cli::Surroundings, command, exit::Exit};

/// `--around` shows so much before and after.
const AROUND: Duration = Duration::from_secs(30 * 60);

/// Rows that are asked for at once.
const PAGE: u32 = 500;

/// So many pages are read at most, so that a day in which nothing changed does not read a week for fifty lines.
const MOST_PAGES: usize = 40;

/// The kinds of events that are kept, and `decision`.
const KINDS: &[&str] = &[
    "decision",
    "measurement_failed",
    "measurement_recovered",
    "count_failed",
    "count_recovered",
    "count_changed_elsewhere",
    "scaled_up",
    "scaled_down",
    "would_scale",
    "scale_failed",
    "scale_recovered",
    "needs_exceeded_max",
    "needs_below_min",
    "scaling_too_rapid",
    "bot_panicked",
    "settings_reloaded",
    "settings_rejected",
    "commanded",
    "control_expired",
];

/// Severities, the least first.
const SEVERITIES: &[&str] = &["info", "warning", "error"];

/// What exactly was asked for.
pub struct Wish {
    /// Where history is kept.
    pub store: Option<String>,
    /// Only these processes; all when empty.
    pub processes: Vec<String>,
    /// From then on.
    pub since: Option<String>,
    /// Until then.
    pub until: Option<String>,
    /// Around this time.
    pub around: Option<String>,
    /// The zone of times.
    pub time_zone: Option<String>,
    /// Every decision.
    pub all: bool,
    /// Only these kinds.
    pub kinds: Vec<String>,
    /// At least this severe.
    pub severity: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Print JSON.
    pub json: bool,
}

/// A wish that was understood.
struct Asked {
    processes: Vec<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    zone: TimeZone,
    with_decisions: bool,
    kinds: Vec<String>,
    severities: Vec<&'static str>,
}

/// Shows what happened.
pub fn run(wish: &Wish, around: &Surroundings) -> Exit {
    let zone = match history::zone(wish.time_zone.as_deref()) {
        Ok(zone) => zone,
        Err(code) => return code,
    };
    if let Err(code) = kinds_are_known(wish) {
        return code;
    }
    history::with(wish.store.as_deref(), around, async |history| {
        let asked = asked(wish, &history, zone)?;
        let (entries, has_more) = gather(&history, &asked, wish).await?;
        let text = if wish.json {
            show::lines_of_json(&entries)
        } else {
            let look = show::Look {
                zone: &asked.zone,
                width: history::width(),
                coloured: history::width().is_some() && history::may_colour(around),
                has_many: asked.processes.len() > 1,
            };
            show::text(&entries, &look)
        };
        let exit = command::print(&text);
        // Not on the standard output, which may be read by a program.
        if entries.is_empty() && !wish.json {
            eprintln!("{}", nothing(&asked, wish, &history));
        } else if has_more {
            let oldest = entries.first().map(|entry| history::time::with_date(entry.at, &asked.zone));
            let oldest = oldest.unwrap_or_default();
            let limit = wish.limit.saturating_mul(4);
            eprintln!("There is more before this: --limit {limit}, or --until \"{oldest}\".");
        }
        Ok(exit)
    })
}

fn kinds_are_known(wish: &Wish) -> Result<(), Exit> {
    for kind in &wish.kinds {
        if !KINDS.contains(&kind.as_str()) {
            let hint = nearest(kind, KINDS.iter().copied()).map(|meant| format!(", did you mean {meant}?"));
            let problem = format!("--kind: there is no kind {kind:?}{}", hint.unwrap_or_default());
            return Err(history::refused(&problem, &KINDS.join(", ")));
        }
    }
    match &wish.severity {
        Some(severity) if !SEVERITIES.contains(&severity.as_str()) => {
            Err(history::refused(&format!("--severity: there is no severity {severity:?}"), "info, warning or error"))
        }
        _ => Ok(()),
    }
}

fn asked(wish: &Wish, history: &History, zone: TimeZone) -> Result<Asked, Exit> {
    let (from, to) = match &wish.around {
        Some(text) => {
            let middle = history::moment("around", text, history.now, &zone)?;
            let (from, to) = (middle.checked_sub(AROUND), middle.checked_add(AROUND));
            (from.ok(), to.ok())
        }
        None => history::range(wish.since.as_deref(), wish.until.as_deref(), history.now, &zone)?,
    };
    let severities = match wish.severity.as_deref().and_then(|least| SEVERITIES.iter().position(|one| *one == least)) {
        Some(least) => SEVERITIES[least..].to_vec(),
        None => Vec::new(),
    };
    let wants_decisions = wish.kinds.iter().any(|kind| kind == "decision");
    Ok(Asked {
        processes: history.chosen(&wish.processes)?,
        from,
        to,
        zone,
        with_decisions: if wish.kinds.is_empty() { severities.is_empty() } else { wants_decisions },
        kinds: wish.kinds.iter().filter(|kind| *kind != "decision").cloned().collect(),
        severities,
    })
}

/// The newest entries, oldest first, and whether there are older ones.
async fn gather(history: &History, asked: &Asked, wish: &Wish) -> Result<(Vec<Entry>, bool), Ended> {
    // One more than is shown, to know whether there is more.
    let enough = wish.limit.saturating_add(1);
    let mut entries = Vec::new();
    if asked.with_decisions {
        entries.extend(decisions(history, asked, wish, enough).await?);
    }
    let only_decisions = !wish.kinds.is_empty() && asked.kinds.is_empty();
    if !only_decisions {
        entries.extend(events(history, asked, enough).await?);
    }
    if wish.kinds.is_empty() && (asked.severities.is_empty() || asked.severities.contains(&"warning")) {
        for process in questions(history, asked) {
            let holes = history.reader.holes(process.as_deref(), asked.from, asked.to).await?;
            entries.extend(holes.into_iter().map(Entry::from));
        }
    }
    let mut entries = entries::once_each(entries);
    if !wish.json {
        entries = entries::folded(entries);
    }
    let has_more = entries.len() > wish.limit;
    entries.drain(..entries.len().saturating_sub(wish.limit));
    Ok((entries, has_more))
}

/// One process at a time when only some are asked for, else all at once.
fn questions(history: &History, asked: &Asked) -> Vec<Option<String>> {
    if asked.processes.len() == history.processes.len() && asked.processes.len() > 1 {
        vec![None]
    } else {
        asked.processes.iter().cloned().map(Some).collect()
    }
}

async fn decisions(history: &History, asked: &Asked, wish: &Wish, enough: usize) -> Result<Vec<Entry>, Ended> {
    let mut all = Vec::new();
    for process in questions(history, asked) {
        let mut before = None;
        let mut lines = 0;
        let (mut last, mut found) = (None::<String>, Vec::new());
        for _ in 0..MOST_PAGES {
            let question = DecisionsWish {
                process: process.clone(),
                from: asked.from,
                to: asked.to,
                only_orders: !wish.all,
                limit: PAGE,
                before: before.take(),
                ..DecisionsWish::default()
            };
            let page = history.reader.decisions(&question).await?;
            for row in page.items {
                let entry = Entry::from(row);
                // What will be folded takes no line of its own.
                let shape = entry.shape();
                lines += usize::from(wish.json || shape.is_none() || shape != last);
                last = shape;
                found.push(entry);
            }
            before = page.next;
            if before.is_none() || lines > enough {
                break;
            }
        }
        all.append(&mut found);
    }
    Ok(all)
}

async fn events(history: &History, asked: &Asked, enough: usize) -> Result<Vec<Entry>, Ended> {
    let one_or_none =
        |list: &[String]| if list.is_empty() { vec![None] } else { list.iter().cloned().map(Some).collect() };
    let severities: Vec<String> = asked.severities.iter().map(|&severity| severity.to_owned()).collect();
    let limit = u32::try_from(enough).unwrap_or(u32::MAX).min(100_000);
    let mut all = Vec::new();
    for process in questions(history, asked) {
        for kind in one_or_none(&asked.kinds) {
            for severity in one_or_none(&severities) {
                let question = EventsWish {
                    process: process.clone(),
                    from: asked.from,
                    to: asked.to,
                    kind: kind.clone(),
                    severity,
                    limit,
                    before: None,
                };
                all.extend(history.reader.events(&question).await?.items.into_iter().map(Entry::from));
            }
        }
    }
    Ok(all)
}

fn nothing(asked: &Asked, wish: &Wish, history: &History) -> String {
    let shown = |at: Option<Timestamp>| at.map(|at| history::time::with_date(at, &asked.zone));
    let when = match (shown(asked.from), shown(asked.to)) {
        (Some(from), Some(to)) => format!(" from {from} to {to}"),
        (Some(from), None) => format!(" since {from}"),
        (None, Some(to)) => format!(" before {to}"),
        (None, None) => String::new(),
    };
    let hint = if wish.all || !asked.with_decisions { "" } else { " --all also shows decisions that changed nothing." };
    format!("Nothing happened{when}, as far as is kept in {}.{hint}", history.shown)
}
