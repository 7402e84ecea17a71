//! What would have happened with other settings, beside what did.
//!
//! The other policy decides on the recorded samples, with a count that follows its own orders; see the engine's `whatif`
//! for what that means and what it does not. Both sides are counted over the same ticks.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{
    decision::Direction,
    step::{Order, Outcome, Policy, Settled},
};
use autoscalebot_engine::{
    policy::PolicySpec,
    store::{WhatIf, WhatTick},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Asked, Wish, grouped, other, other::Others, ticks::Progress, ticks::Ticks};
use crate::{
    cli::Surroundings,
    command::{
        self,
        history::{
            self, Ended, History,
            table::{Cell, Table},
            time,
            words::json_time,
        },
    },
    exit::Exit,
};

/// Changes that are shown; `--json` has all.
const MOST_CHANGES: usize = 60;

/// A tick holds until the next one, but not for longer: while the program was down, nobody knows what ran.
const INTERVALS_THAT_A_TICK_HOLDS: u32 = 3;

/// The least time that a tick may hold, for intervals shorter than a measurement takes.
const LEAST_HOLD: Duration = Duration::from_secs(30);

/// One side, over all ticks.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Totals {
    up: u64,
    down: u64,
    process_seconds: f64,
    seconds_at_max: f64,
    highest: Option<u32>,
}

/// A moment at which one of both gave an order.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    at: Timestamp,
    did: Option<(u32, u32, &'static str)>,
    would: Option<(u32, u32, &'static str)>,
    why: String,
}

/// Both sides of one process.
#[derive(Debug, Default)]
struct Comparison {
    ticks: u64,
    unknown: u64,
    readings: u64,
    high: u64,
    did: Totals,
    would: Totals,
    changes: Vec<Change>,
    different_ticks: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    is_dry_run: bool,
}

/// Compares. Nothing that comes out is a failure.
pub async fn run(
    history: &History,
    asked: &Asked,
    others: &Others,
    wish: &Wish,
    around: &Surroundings,
) -> Result<Exit, Ended> {
    // Whoever names a process wants that one; else all that the other settings say something about.
    let named = |process: &&String| !wish.processes.is_empty() || others.knows(process);
    let chosen: Vec<&String> = asked.processes.iter().filter(named).collect();
    if chosen.is_empty() {
        let kept = asked.processes.join(", ");
        let problem = format!("{} names no process that history is kept of", others.name);
        return Err(history::refused(&problem, &format!("one of: {kept}")).into());
    }
    let mut progress = Progress::new();
    let mut all = Vec::new();
    for process in chosen {
        let (spec, policy) = others.of(process)?;
        all.push((process.as_str(), compare(history, process, asked, spec, policy, around, &mut progress).await?));
    }
    progress.clear();
    let text = if wish.json {
        let all: Vec<Value> = all.iter().map(|(process, comparison)| as_json(process, comparison)).collect();
        format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default())
    } else {
        in_words(&all, asked, others)
    };
    Ok(command::print(&text))
}

async fn compare(
    history: &History,
    process: &str,
    asked: &Asked,
    spec: &PolicySpec,
    policy: Arc<Policy>,
    around: &Surroundings,
    progress: &mut Progress,
) -> Result<Comparison, Ended> {
    let mut ticks = Ticks::open(history, process, asked.from, asked.to).await?;
    let mut comparison = Comparison::default();
    let mut what_if: Option<WhatIf> = None;
    let mut before: Option<WhatTick> = None;
    let (mut checked, mut has_begun) = (None, false);
    let interval = spec.signals.iter().map(|signal| signal.interval).max().unwrap_or_default();
    let hold = interval.saturating_mul(INTERVALS_THAT_A_TICK_HOLDS).max(LEAST_HOLD);
    let high = spec.signals.iter().map(|signal| signal.thresholds(&around.host).1).collect::<Vec<_>>();
    while let Some(tick) = ticks.next(progress).await? {
        let Some(at) = ticks.at(&tick) else { continue };
        if checked != Some(tick.version) {
            checked = Some(tick.version);
            let otherwise = ticks.version(tick.version).and_then(|row| other::measured_otherwise(row, spec));
            if let Some(problem) = otherwise.filter(|_| at >= asked.from) {
                let problem = format!("{process}: the recorded readings say nothing about these settings: {problem}");
                return Err(
                    history::refused(&problem, "the same measurements in the same order, or another --since").into()
                );
            }
        }
        // Until the range begins, what was in force leads to the state in which it begins.
        let in_force = if at < asked.from {
            ticks.policy(tick.version, around).map_err(|problem| history::failed(&format!("{process}: {problem}")))?
        } else {
            policy.clone()
        };
        let what_if = what_if.get_or_insert_with(|| WhatIf::new(in_force.clone()));
        if at < asked.from {
            what_if.set_policy(in_force);
        } else if !has_begun {
            has_begun = true;
            what_if.set_policy(in_force);
        }
        let step = what_if.step(&tick).unwrap_or_default();
        if at < asked.from {
            continue;
        }
        comparison.ticks += 1;
        let Some(step) = step else {
            comparison.unknown += 1;
            before = None;
            continue;
        };
        if let Some(before) = before.replace(step.clone()) {
            comparison.hold(&before, step.at.since(&before.at).min(hold));
        }
        if let Ok(input) = tick.input() {
            let numbers = input.samples.iter().filter_map(|(index, sample)| Some((*index, sample.number()?.get())));
            for (index, number) in numbers {
                comparison.readings += 1;
                let above = high.get(index).copied().flatten().is_some_and(|high| number > high);
                comparison.high += u64::from(above);
            }
        }
        comparison.learn(&step);
    }
    Ok(comparison)
}

impl Comparison {
    /// What a tick left running until the next one.
    fn hold(&mut self, tick: &WhatTick, length: Duration) {
        let real = after(tick.recorded.running, tick.recorded.order.as_ref(), tick.recorded_settled.as_ref());
        let other = after(tick.running, tick.outcome.order.as_ref(), tick.settled.as_ref());
        self.did.hold(real, tick.recorded.range.max, length);
        self.would.hold(other, tick.outcome.range.max, length);
    }

    fn learn(&mut self, tick: &WhatTick) {
        let at = tick.at.civil;
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.is_dry_run |= matches!(tick.recorded_settled, Some(Settled::DryRun));
        self.did.learn(&tick.recorded, tick.recorded_settled.as_ref());
        self.would.learn(&tick.outcome, tick.settled.as_ref());
        let did = said(tick.recorded.order.as_ref(), tick.recorded_settled.as_ref());
        let would = said(tick.outcome.order.as_ref(), tick.settled.as_ref());
        let orders = |outcome: &Outcome| outcome.order.as_ref().map(|order| (order.from, order.to));
        self.different_ticks += u64::from(orders(&tick.recorded) != orders(&tick.outcome));
        if did.is_some() || would.is_some() {
            // Why the other settings do what they do is the question; else why they do not.
            let why = tick.outcome.decision.reason.sentence.clone();
            self.changes.push(Change { at, did, would, why });
        }
    }
}

impl Totals {
    fn hold(&mut self, running: Option<u32>, max: u32, length: Duration) {
        let Some(running) = running else { return };
        self.process_seconds += f64::from(running) * length.as_secs_f64();
        if running >= max {
            self.seconds_at_max += length.as_secs_f64();
        }
    }

    fn learn(&mut self, outcome: &Outcome, settled: Option<&Settled>) {
        if let Some(order) = outcome.order.as_ref().filter(|_| matches!(settled, Some(Settled::Scaled))) {
            match order.direction() {
                Direction::Up => self.up += 1,
                Direction::Down => self.down += 1,
                Direction::Stay => {}
            }
        }
        self.highest = self.highest.max(after(outcome.running, outcome.order.as_ref(), settled));
    }
}

/// How many run after what became of an order.
fn after(running: Option<u32>, order: Option<&Order>, settled: Option<&Settled>) -> Option<u32> {
    let obeyed = matches!(settled, Some(Settled::Scaled | Settled::AlreadyThere));
    order.filter(|_| obeyed).map(|order| order.to).or(running)
}

fn said(order: Option<&Order>, settled: Option<&Settled>) -> Option<(u32, u32, &'static str)> {
    let became = match settled {
        Some(Settled::Scaled | Settled::AlreadyThere) => "",
        Some(Settled::DryRun) => " (dry run)",
        Some(Settled::Failed(_)) => " (failed)",
        None => " (unseen)",
    };
    order.map(|order| (order.from, order.to, became))
}

fn in_words(all: &[(&str, Comparison)], asked: &Asked, others: &Others) -> String {
    let mut text = String::new();
    for (process, comparison) in all {
        if !text.is_empty() {
            text.push('\n');
        }
        if comparison.ticks == 0 {
            text.push_str(&format!("{process}: no ticks are kept of this time\n"));
            continue;
        }
        let shown = |at: Option<Timestamp>| at.map(|at| time::with_date(at, &asked.zone)).unwrap_or_default();
        let (from, to) = (shown(comparison.first), shown(comparison.last));
        let ticks = grouped(comparison.ticks);
        text.push_str(&format!("{process}: {} on {ticks} recorded ticks, {from} to {to}\n\n", others.name));
        text.push_str(&changes(comparison, asked));
        text.push_str(&totals(comparison));
    }
    text.push_str(
        "\nBoth columns rest on the readings of what really ran. With other counts the app would have answered otherwise, \
         and\nthe readings, and what follows from them, would have been different.\n",
    );
    text
}

fn changes(comparison: &Comparison, asked: &Asked) -> String {
    if comparison.changes.is_empty() {
        return "Nothing was scaled, and nothing would have been.\n\n".to_owned();
    }
    if comparison.different_ticks == 0 {
        let count = comparison.changes.len();
        let orders =
            if count == 1 { "the one order".to_owned() } else { format!("all {} orders", grouped(count as u64)) };
        return format!("No difference: {orders} would have been the same.\n\n");
    }
    let words = |order: Option<(u32, u32, &str)>| {
        order.map_or("–".to_owned(), |(from, to, became)| format!("{from} → {to}{became}"))
    };
    let mut table = Table::new(vec!["WHEN", "DID", "WOULD", "WHY"], 3);
    for change in comparison.changes.iter().take(MOST_CHANGES) {
        let row: [Cell; 4] = [
            time::with_date(change.at, &asked.zone).into(),
            words(change.did).into(),
            words(change.would).into(),
            change.why.clone().into(),
        ];
        table.push(row.into());
    }
    let mut text = table.lines(history::width(), false).join("\n");
    if comparison.changes.len() > MOST_CHANGES {
        let more = grouped((comparison.changes.len() - MOST_CHANGES) as u64);
        text.push_str(&format!("\n… and {more} more: --json shows all, --since and --until a part"));
    }
    format!("{text}\n\n")
}

fn totals(comparison: &Comparison) -> String {
    let Comparison { did, would, .. } = comparison;
    let mut table = Table::new(vec!["", "DID", "WOULD"], 0);
    let mut row = |name: &str, value: &dyn Fn(&Totals) -> String| {
        table.push(vec![name.into(), Cell::from(value(did)).right(), Cell::from(value(would)).right()]);
    };
    row("scales up", &|side| side.up.to_string());
    row("scales down", &|side| side.down.to_string());
    row("process-hours", &|side| format!("{:.2}", side.process_seconds / 3600.0));
    row("minutes at max", &|side| format!("{:.1}", side.seconds_at_max / 60.0));
    row("most at once", &|side| side.highest.map_or("?".to_owned(), |highest| highest.to_string()));
    let mut text = table.lines(None, false).join("\n");
    text.push('\n');
    if comparison.readings > 0 {
        let percent = 100.0 * share(comparison);
        text.push_str(&format!(
            "\n{percent:.1} % of {} readings are above the upper threshold of these settings, for both.\n",
            grouped(comparison.readings)
        ));
    }
    if comparison.unknown > 0 {
        let unknown = grouped(comparison.unknown);
        text.push_str(&format!("{unknown} ticks are left out: no state was kept before them.\n"));
    }
    if comparison.is_dry_run {
        text.push_str(
            "It was recorded in a dry run: nothing was scaled, so the orders of both columns are only told.\n",
        );
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(comparison: &Comparison) -> f64 {
    if comparison.readings == 0 { 0.0 } else { comparison.high as f64 / comparison.readings as f64 }
}

fn as_json(process: &str, comparison: &Comparison) -> Value {
    let side = |totals: &Totals| {
        json!({
            "scales_up": totals.up, "scales_down": totals.down, "process_hours": totals.process_seconds / 3600.0,
            "minutes_at_max": totals.seconds_at_max / 60.0, "highest": totals.highest,
        })
    };
    let order = |order: Option<(u32, u32, &str)>| {
        order.map(|(from, to, became)| {
            let became = became.trim().trim_matches(['(', ')']);
            json!({"from": from, "to": to, "settled": if became.is_empty() { "scaled" } else { became }})
        })
    };
    let changes = comparison.changes.iter().map(|change| {
        json!({"at": json_time(change.at), "did": order(change.did), "would": order(change.would), "why": change.why})
    });
    json!({
        "process": process, "ticks": comparison.ticks, "unknown": comparison.unknown,
        "from": comparison.first.map(json_time), "to": comparison.last.map(json_time),
        "ticks_with_other_orders": comparison.different_ticks,
        "did": side(&comparison.did), "would": side(&comparison.would),
        "share_of_readings_above_upper_threshold": share(comparison),
        "recorded_in_dry_run": comparison.is_dry_run,
        "changes": changes.collect::<Vec<_>>(),
    })
}
