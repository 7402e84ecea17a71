//! Recomputes every tick from the log of everything that ever happened, in the simplest way that can be right.
//!
//! It shares no code with the core beyond plain data: no ring, no wait, no window, no time-zone library. Where the core
//! remembers, this looks back; where the core searches a table, this walks the minutes; where the core means, this adds.

use std::{collections::BTreeMap, time::Duration};

use autoscalebot_core::{
    bounds::Limit,
    condition::Phase,
    decision::Direction,
    event::Event,
    sample::{CountsAs, Reading, Sample},
    step::{Held, Settled},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use crate::{
    protection::{Wish, fresh_work, protect},
    world::{BackendPlan, Log, Plan, SignalPlan, Tick, crowd, play, stories, story},
};

/// What may stand in a sentence because of work.
const WORDS_ABOUT_WORK: [&str; 12] = [
    "the last one stays",
    "not below",
    "work was waited for",
    "nobody is waited for",
    "nobody knows at the moment who is busy",
    " is busy, and the platform stops",
    "no worker was seen in it",
    "processes are known to be free",
    "and it is not known which process is free",
    "in progress cannot be seen",
    "workers were seen in only",
    "; held for ",
];

proptest! {
    #![proptest_config(stories(48))]

    #[test]
    fn every_tick_is_what_the_whole_past_says_it_should_be(story in story()) {
        check(&play(&story))?;
    }
}

#[test]
fn the_made_up_world_has_everything_in_it() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut see = |what: String| *seen.entry(what).or_default() += 1;
    for _ in 0..40 {
        for tick in play(&story().new_tree(&mut runner).unwrap().current()).ticks {
            for event in tick.outcome.events.iter().chain(&tick.settle_events) {
                let words = describe(event);
                see(words.split(|letter: char| letter.is_ascii_digit()).next().unwrap_or_default().trim().to_owned());
                ["Began", "Persists", "Ended"]
                    .into_iter()
                    .filter(|phase| words.contains(phase))
                    .for_each(|phase| see(phase.into()));
            }
            see(tick.outcome.decision.reason.key.clone().into_owned());
            match tick.outcome.held {
                Some(Held::Waiting(_)) => see("waiting".into()),
                Some(Held::BackingOff(_)) => see("backing off".into()),
                Some(Held::Busy(_)) => see("busy".into()),
                Some(Held::Paused(_)) => see("paused".into()),
                None => {}
            }
            let sentence = &tick.outcome.decision.reason.sentence;
            for words in WORDS_ABOUT_WORK {
                if sentence.contains(words) {
                    see(words.into());
                }
            }
            tick.outcome.limit.iter().for_each(|limit| see(limit.to_string()));
        }
    }
    let all = "measured true, measured false, measurement failed, recovered, count failed Began, count recovered, \
        changed elsewhere, scaled, would scale, scale failed, needs exceeded max, needs below min, too rapid up, \
        too rapid down, Began, Persists, Ended, no_reading, consecutive_high, consecutive_low, run_too_short, between, \
        unknown, not_enough, all_high, average_high, average_low, outside_bounds, count_unknown, waiting, backing off, \
        min, max, busy, wake";
    for what in all.split(", ").map(str::trim).chain(WORDS_ABOUT_WORK) {
        let often = seen.get(what).copied().unwrap_or_default();
        assert!(often >= 20, "{what:?} happened {often} times, which proves little: {seen:#?}");
    }
}

proptest! {
    #![proptest_config(stories(1500))]

    // What goes wrong between signals takes the right settings rather than a long time.
    #[test]
    fn signals_that_want_different_things_come_to_what_the_rule_says(story in crowd()) {
        check(&play(&story))?;
    }
}

fn check(log: &Log) -> Result<(), TestCaseError> {
    let mut diary = Diary::default();
    for (index, tick) in log.ticks.iter().enumerate() {
        let expected = expect(log, index, &mut diary);
        let outcome = &tick.outcome;
        let found = Expected {
            running: outcome.running,
            range: (outcome.range.min, outcome.range.max),
            wanted: outcome.decision.wanted,
            direction: outcome.decision.direction,
            key: outcome.decision.reason.key.clone().into_owned(),
            signal: outcome.signal,
            limit: outcome.limit,
            held: outcome.held,
            order: outcome.order.as_ref().map(|order| (order.from, order.to, order.limit, order.free.clone())),
            events: outcome.events.iter().map(describe).collect(),
            settle_events: tick.settle_events.iter().map(describe).collect(),
        };
        prop_assert_eq!(found, expected, "tick {} at {:?}", index, tick.now);
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Expected {
    running: Option<u32>,
    range: (u32, u32),
    wanted: u32,
    direction: Direction,
    key: String,
    signal: usize,
    limit: Option<Limit>,
    held: Option<Held>,
    order: Option<(u32, u32, Option<Limit>, Vec<u32>)>,
    events: Vec<String>,
    settle_events: Vec<String>,
}

/// When, whether the condition held, and what was told.
type Entry = (Duration, bool, Option<Phase>);

/// Everything that was ever true or told about each condition.
#[derive(Default)]
pub struct Diary {
    pages: BTreeMap<(&'static str, usize, usize), Vec<Entry>>,
    would: Vec<(u32, u32, Duration)>,
    wishes: Vec<Wish>,
}

fn expect(log: &Log, index: usize, diary: &mut Diary) -> Expected {
    let (tick, past) = (&log.ticks[index], &log.ticks[..index]);
    let plan = &log.plans[tick.plan];
    let now = tick.now.since_start;
    let mut events = Vec::new();
    let generation = log.ticks[..=index].iter().filter(|tick| starts_anew(log, tick)).count();
    for (nth, (signal, sample)) in tick.samples.iter().enumerate() {
        let fails = sample.outcome.is_err();
        let told = diary.write(("failing", generation, *signal), fails, plan.repeat, now);
        events.push(format!("measured {}", !fails));
        match told {
            Some(Phase::Ended(lasted)) => {
                let failures = failures_before(log, index, *signal, nth);
                events.push(format!("recovered {failures} {lasted:?}"));
            }
            Some(phase) => {
                let failures = failures_before(log, index, *signal, nth) + 1;
                events.push(format!("measurement failed {failures} {phase:?}"));
            }
            None => {}
        }
    }
    let ranges: Vec<(u32, u32)> = plan.signals.iter().map(|signal| range_of(signal, tick)).collect();
    let range = (ranges.iter().map(|range| range.0).max().unwrap(), ranges.iter().map(|range| range.1).max().unwrap());
    let told = diary.write(("count", 0, 0), tick.count.is_err(), plan.repeat, now);
    let Ok(running) = tick.count else {
        events.extend(told.map(|phase| format!("count failed {phase:?}")));
        diary.wishes.push(Wish::CountUnknown);
        return Expected {
            running: None,
            range,
            wanted: last_count(past).map_or(range.0, |(count, _)| count),
            direction: Direction::Stay,
            key: "count_unknown".to_owned(),
            signal: 0,
            limit: None,
            held: None,
            order: None,
            events,
            settle_events: Vec::new(),
        };
    };
    if let Some(Phase::Ended(lasted)) = told {
        events.push(format!("count recovered {lasted:?}"));
    }
    if let Some((count, attempted)) = last_count(past)
        && count != running
        && attempted != Some(running)
    {
        events.push(format!("changed elsewhere {count} {running}"));
    }

    let choice = choose(log, index, running, range, &ranges);
    let needs = |limit| !choice.forced && choice.wanted == running && choice.limit == Some(limit);
    if let Some(phase) = diary.write(("max", 0, 0), needs(Limit::Max), plan.repeat, now) {
        let max = if needs(Limit::Max) { running } else { range.1 };
        events.push(format!("needs exceeded max {} {max} {phase:?}", choice.unclamped));
    }
    if let Some(phase) = diary.write(("min", 0, 0), needs(Limit::Min), plan.repeat, now) {
        events.push(format!("needs below min {} {} {phase:?}", choice.unclamped, range.0));
    }
    events.extend(too_rapid(past, None, plan, now, diary));
    let shrink = protect(log, index, running, range, &ranges, choice.wanted, &mut diary.wishes);
    let wanted = shrink.to;
    let held = match shrink.held_for {
        Some(lasted) => Some(Held::Busy(lasted)),
        None if wanted == running => None,
        None => held(log, past, choice.forced, now),
    };
    let ordered = wanted != running && held.is_none();
    let limit = if wanted == choice.wanted { choice.limit } else { None };
    let settle_events = match &tick.settled {
        Some((then, settled)) => settle(past, tick, plan, settled, then.since_start, wanted, running, diary),
        None => Vec::new(),
    };
    Expected {
        running: Some(running),
        range,
        wanted,
        direction: choice.direction,
        key: choice.key.to_owned(),
        signal: choice.signal,
        limit: choice.limit,
        held,
        order: ordered.then_some((running, wanted, limit, shrink.free)),
        events,
        settle_events,
    }
}

pub struct Choice {
    pub wanted: u32,
    unclamped: u32,
    direction: Direction,
    key: &'static str,
    signal: usize,
    limit: Option<Limit>,
    forced: bool,
}

fn choose(log: &Log, index: usize, running: u32, range: (u32, u32), ranges: &[(u32, u32)]) -> Choice {
    let forced = |wanted, direction, signal: Option<usize>, limit| Choice {
        wanted,
        unclamped: wanted,
        direction,
        key: "outside_bounds",
        signal: signal.unwrap(),
        limit: Some(limit),
        forced: true,
    };
    if running < range.0 {
        let whose = ranges.iter().position(|own| own.0 == range.0);
        return forced(range.0, Direction::Up, whose, Limit::Min);
    }
    if running > range.1 {
        let whose = ranges.iter().position(|own| own.1 == range.1);
        return forced(range.1, Direction::Down, whose, Limit::Max);
    }
    let plan = &log.plans[log.ticks[index].plan];
    let of_signal = |(number, signal): (usize, &SignalPlan)| {
        let samples = newest_first(log, index, number, signal.history_length);
        Choice { signal: number, ..proposal(signal, &samples, running, range.0, ranges[number].1) }
    };
    let wishes: Vec<Choice> = plan.signals.iter().enumerate().map(of_signal).collect();
    // Any may grow; all must agree to shrink.
    let wanted = wishes.iter().map(|wish| wish.wanted).max().unwrap();
    let speaks = |wish: &Choice| match wanted < running {
        true => wish.direction == Direction::Down && wish.limit != Some(Limit::Max),
        false => wish.wanted == wanted,
    };
    let mut speakers: Vec<Choice> = wishes.into_iter().filter(speaks).collect();
    speakers.sort_by_key(|wish| std::cmp::Reverse((wish.wanted, wish.unclamped)));
    let mut speaker = speakers.swap_remove(0);
    if speaker.wanted < wanted {
        (speaker.wanted, speaker.limit) = (wanted, None);
    }
    let mut waits = Vec::new();
    for (number, signal) in plan.signals.iter().enumerate() {
        let samples = newest_first(log, index, number, signal.history_length);
        let work = fresh_work(samples.first().copied(), log.ticks[index].now.since_start);
        waits.push(if ranges[number].1 > 0 { work.map_or(0, |work| work.waiting) } else { 0 });
    }
    let most = *waits.iter().max().unwrap();
    match (most, running, speaker.wanted) {
        (1.., 0, 0) => {
            let signal = waits.iter().position(|waiting| *waiting == most).unwrap();
            let (direction, limit) = (Direction::Up, None);
            return Choice { wanted: 1, unclamped: 1, direction, key: "wake", signal, limit, forced: true };
        }
        (1.., 0, _) => speaker.forced = true,
        (1.., _, 0) => (speaker.wanted, speaker.limit) = (1, None),
        _ => {}
    }
    speaker
}

/// What one signal wants by these samples.
pub fn proposal(signal: &SignalPlan, samples: &[&Sample], running: u32, least: u32, own_most: u32) -> Choice {
    let (direction, key) = wish(signal, samples);
    let unclamped = match direction {
        Direction::Up => running + signal.increment,
        Direction::Down => running.saturating_sub(signal.increment),
        Direction::Stay => running,
    };
    let most = own_most.max(least);
    let wanted = unclamped.max(least).min(most);
    let limit = match unclamped {
        below if below < least => Some(Limit::Min),
        above if above > most => Some(Limit::Max),
        _ => None,
    };
    Choice { wanted, unclamped, direction, key, signal: 0, limit, forced: false }
}

/// What a backend says to samples, newest first.
pub fn wish(signal: &SignalPlan, samples: &[&Sample]) -> (Direction, &'static str) {
    let number = |sample: &Sample| match &sample.outcome {
        Ok(Reading::Number(number)) => Some(number.get()),
        _ => None,
    };
    let is_high = |sample: &&Sample| match &sample.outcome {
        Err(failure) => failure.counts_as == CountsAs::High,
        Ok(_) => number(sample).is_some_and(|number| number > signal.high),
    };
    let is_low = |sample: &&Sample| number(sample).is_some_and(|number| number <= signal.low);
    match signal.backend {
        BackendPlan::Consecutive { ups, downs } => {
            if samples.is_empty() {
                (Direction::Stay, "no_reading")
            } else if samples.len() >= ups && samples[..ups].iter().all(is_high) {
                (Direction::Up, "consecutive_high")
            } else if samples.len() >= downs && samples[..downs].iter().all(is_low) {
                (Direction::Down, "consecutive_low")
            } else if is_high(&samples[0]) || is_low(&samples[0]) {
                (Direction::Stay, "run_too_short")
            } else if number(samples[0]).is_some() {
                (Direction::Stay, "between")
            } else {
                (Direction::Stay, "unknown")
            }
        }
        BackendPlan::Average { window } => {
            if samples.len() < window {
                return (Direction::Stay, "not_enough");
            }
            let window = &samples[..window];
            let numbers: Vec<f64> = window.iter().filter_map(|sample| number(sample)).collect();
            if numbers.len() < window.len() {
                let all_high = window.iter().all(is_high);
                return if all_high { (Direction::Up, "all_high") } else { (Direction::Stay, "unknown") };
            }
            // Made-up readings are quarters: sums and products of them are exact.
            let (sum, length) = (numbers.iter().sum::<f64>(), numbers.len() as f64);
            if sum > signal.high * length {
                (Direction::Up, "average_high")
            } else if sum <= signal.low * length {
                (Direction::Down, "average_low")
            } else {
                (Direction::Stay, "between")
            }
        }
    }
}

/// Whether the histories were thrown away just before this tick because the settings changed.
fn starts_anew(log: &Log, tick: &Tick) -> bool {
    tick.changed.is_some_and(|measured_as_before| {
        !measured_as_before || log.plans[tick.plan].signals.len() != log.plans[tick.plan - 1].signals.len()
    })
}

/// The samples of a signal since the last scale, newest first.
pub fn newest_first(log: &Log, index: usize, signal: usize, history_length: usize) -> Vec<&Sample> {
    let mut found = Vec::new();
    let mut room = history_length;
    for back in (0..=index).rev() {
        let tick = &log.ticks[back];
        let scaled = matches!(tick.settled, Some((_, Settled::Scaled | Settled::DryRun)));
        if back < index && scaled {
            break;
        }
        for (number, sample) in tick.samples.iter().rev() {
            if *number == signal && found.len() < room {
                found.push(sample);
            }
        }
        if found.len() >= room || starts_anew(log, tick) {
            break;
        }
        if tick.changed.is_some() {
            // Before, the history may have been shorter.
            room = room.min(found.len() + log.plans[tick.plan - 1].signals[signal].history_length);
        }
    }
    found
}

/// How many measurements of a signal had failed in a row before the nth sample of a tick.
fn failures_before(log: &Log, index: usize, signal: usize, nth: usize) -> u32 {
    let mut failures = 0;
    for back in (0..=index).rev() {
        let tick = &log.ticks[back];
        let until = if back == index { nth } else { tick.samples.len() };
        for (number, sample) in tick.samples[..until].iter().rev() {
            if *number == signal {
                if sample.outcome.is_ok() {
                    return failures;
                }
                failures += 1;
            }
        }
        if starts_anew(log, tick) {
            break;
        }
    }
    failures
}

/// The count as last seen or set, and what a failed order would have made of it.
fn last_count(past: &[Tick]) -> Option<(u32, Option<u32>)> {
    let tick = past.iter().rev().find(|tick| tick.count.is_ok())?;
    let count = tick.count.clone().ok()?;
    let Some((order, (_, settled))) = tick.outcome.order.as_ref().zip(tick.settled.as_ref()) else {
        return Some((count, None));
    };
    Some(match settled {
        Settled::Scaled | Settled::AlreadyThere => (order.to, None),
        Settled::DryRun => (count, None),
        Settled::Failed(_) => (count, Some(order.to)),
    })
}

fn held(log: &Log, past: &[Tick], forced: bool, now: Duration) -> Option<Held> {
    let scaled = past.iter().rev().find_map(|tick| match &tick.settled {
        Some((then, Settled::Scaled | Settled::DryRun)) => Some(then.since_start + log.plans[tick.plan].wait),
        _ => None,
    });
    if let Some(until) = scaled
        && !forced
        && now < until
    {
        return Some(Held::Waiting(until - now));
    }
    let (_, until) = refusals(past.iter())?;
    (now < until).then(|| Held::BackingOff(until - now))
}

/// How often the platform has refused in a row, and until when we leave it alone.
fn refusals<'a>(ticks: impl DoubleEndedIterator<Item = &'a Tick>) -> Option<(u32, Duration)> {
    let mut row = Vec::new();
    for tick in ticks.rev() {
        match &tick.settled {
            Some((then, Settled::Failed(failure))) => row.push((then.since_start, failure.retry_after)),
            Some(_) => break,
            None => {}
        }
    }
    let mut result: Option<(u32, Duration)> = None;
    for (then, asked) in row.into_iter().rev() {
        let before = match result {
            Some((in_a_row, until)) if then.saturating_sub(until) < Duration::from_secs(3600) => in_a_row,
            _ => 0,
        };
        let own = [2, 4, 8, 16, 32].get(before as usize).copied().unwrap_or(60);
        let length = own.max(asked.map_or(0, |asked| asked.as_secs().min(3600)));
        result = Some((before + 1, then + Duration::from_secs(length)));
    }
    result
}

#[expect(clippy::too_many_arguments, reason = "the whole tick is what it is about")]
fn settle(
    past: &[Tick],
    tick: &Tick,
    plan: &Plan,
    settled: &Settled,
    now: Duration,
    to: u32,
    from: u32,
    diary: &mut Diary,
) -> Vec<String> {
    let failing = ("scale", 0, 0);
    let mut events = Vec::new();
    let obeyed = |diary: &mut Diary| match diary.write(failing, false, plan.repeat, now) {
        Some(Phase::Ended(lasted)) => Some(format!("scale recovered {lasted:?}")),
        _ => None,
    };
    match settled {
        Settled::Scaled => {
            events.push(format!("scaled {from} {to}"));
            events.extend(obeyed(diary));
            events.extend(too_rapid(past, Some(to > from), plan, now, diary));
        }
        Settled::AlreadyThere => events.extend(obeyed(diary)),
        Settled::DryRun => {
            events.extend(obeyed(diary));
            let told = diary.would.last().is_some_and(|(told_from, told_to, then)| {
                (*told_from, *told_to) == (from, to) && now - *then < plan.repeat
            });
            if !told {
                diary.would.push((from, to, now));
                events.push(format!("would scale {from} {to}"));
            }
        }
        Settled::Failed(_) => {
            let (in_a_row, until) = refusals(past.iter().chain([tick])).unwrap();
            if in_a_row == 1 {
                diary.write(failing, false, plan.repeat, now);
            }
            if let Some(phase) = diary.write(failing, true, plan.repeat, now) {
                events.push(format!("scale failed {from} {to} {in_a_row} {:?} {phase:?}", until - now));
            }
        }
    }
    events
}

/// `latest` is a scale of this very moment, and whether it goes up.
fn too_rapid(past: &[Tick], latest: Option<bool>, plan: &Plan, now: Duration, diary: &mut Diary) -> Option<String> {
    let (mut ups, mut downs) = (0, 0);
    let mut add = |up: bool| if up { ups += 1 } else { downs += 1 };
    latest.into_iter().for_each(&mut add);
    // A tick settles before the next one begins, so the first that is too old ends the search.
    for tick in past.iter().rev().take_while(|tick| now < tick.now.since_start + plan.rapid.period * 2) {
        if let Some((order, (then, Settled::Scaled))) = tick.outcome.order.as_ref().zip(tick.settled.as_ref())
            && now < then.since_start + plan.rapid.period
        {
            add(order.to > order.from);
        }
    }
    let limit = plan.rapid.scales;
    let (direction, scales) = match () {
        () if ups > limit => (Direction::Up, ups),
        () if downs > limit => (Direction::Down, downs),
        () => (Direction::Stay, 0),
    };
    let phase = diary.write(("rapid", 0, 0), scales > 0, plan.repeat, now)?;
    Some(format!("too rapid {direction} {scales} {phase:?}"))
}

impl Diary {
    /// Notes whether a condition holds now, and says what should be told: its beginning, unless something was told about
    /// it within five minutes; that it persists, every `repeat`; its end, if its beginning was told.
    pub fn write(
        &mut self,
        name: (&'static str, usize, usize),
        holds: bool,
        repeat: Duration,
        now: Duration,
    ) -> Option<Phase> {
        let page = self.pages.entry(name).or_default();
        let streak = page.iter().rev().take_while(|(_, held, _)| *held).count();
        let streak = &page[page.len() - streak..];
        let began = streak.first().map_or(now, |(then, _, _)| *then);
        let told_in_streak = streak.iter().any(|(_, _, told)| told.is_some());
        let told = if holds {
            let last_told = page
                .iter()
                .rev()
                .find_map(|(then, _, told)| matches!(told, Some(Phase::Began | Phase::Persists(_))).then_some(*then));
            let pause = if told_in_streak { repeat } else { repeat.min(Duration::from_secs(300)) };
            let due = last_told.is_none_or(|then| now - then >= pause);
            due.then_some(if told_in_streak { Phase::Persists(now - began) } else { Phase::Began })
        } else {
            told_in_streak.then(|| Phase::Ended(now - began))
        };
        page.push((now, holds, told));
        told
    }
}

/// Offsets from UTC in minutes, each from a moment of 2026 on (source: the tz database, release 2025b).
fn offset(zone: &str, utc: &str) -> i64 {
    let table: &[(&str, i64)] = match zone {
        "UTC" => &[("2026-01-01T00:00:00Z", 0)],
        "Europe/Berlin" => &[("2026-01-01T00:00:00Z", 60), ("2026-03-29T01:00:00Z", 120), ("2026-10-25T01:00:00Z", 60)],
        "America/New_York" => {
            &[("2026-01-01T00:00:00Z", -300), ("2026-03-08T07:00:00Z", -240), ("2026-11-01T06:00:00Z", -300)]
        }
        "Australia/Lord_Howe" => {
            &[("2026-01-01T00:00:00Z", 660), ("2026-04-04T15:00:00Z", 630), ("2026-10-03T15:30:00Z", 660)]
        }
        "America/St_Johns" => {
            &[("2026-01-01T00:00:00Z", -210), ("2026-03-08T05:30:00Z", -150), ("2026-11-01T04:30:00Z", -210)]
        }
        "Asia/Kathmandu" => &[("2026-01-01T00:00:00Z", 345)],
        other => panic!("{other}"),
    };
    // Moments written alike sort as text.
    table.iter().rev().find(|(from, _)| *from <= utc).unwrap().1
}

fn range_of(signal: &SignalPlan, tick: &Tick) -> (u32, u32) {
    let utc = format!("{:.0}", tick.now.civil);
    let minute = (tick.now.civil.as_second().div_euclid(60) + offset(signal.zone, &utc)).rem_euclid(1440);
    (value_at(&signal.min, minute as u32), value_at(&signal.max, minute as u32))
}

/// Walks back minute by minute until a line of the table is met, if need be through midnight into yesterday.
pub fn value_at(table: &[(u32, u32)], minute: u32) -> u32 {
    let mut at = minute;
    loop {
        if let Some((_, value)) = table.iter().find(|(from, _)| *from == at) {
            return *value;
        }
        at = at.checked_sub(1).unwrap_or(1439);
    }
}

/// An event in short, as the oracle writes it.
pub fn describe(event: &Event) -> String {
    match event {
        Event::Measured { sample, .. } => format!("measured {}", sample.outcome.is_ok()),
        Event::MeasurementFailed { in_a_row, phase, .. } => format!("measurement failed {in_a_row} {phase:?}"),
        Event::MeasurementRecovered { failures, lasted, .. } => format!("recovered {failures} {lasted:?}"),
        Event::CountFailed { phase, .. } => format!("count failed {phase:?}"),
        Event::CountRecovered { lasted } => format!("count recovered {lasted:?}"),
        Event::CountChangedElsewhere { from, to } => format!("changed elsewhere {from} {to}"),
        Event::ScaledUp { from, to, .. } if to > from => format!("scaled {from} {to}"),
        Event::ScaledDown { from, to, .. } if to < from => format!("scaled {from} {to}"),
        Event::WouldScale { from, to, .. } => format!("would scale {from} {to}"),
        Event::ScaleFailed { from, to, in_a_row, retry_in, phase, .. } => {
            format!("scale failed {from} {to} {in_a_row} {retry_in:?} {phase:?}")
        }
        Event::ScaleRecovered { lasted } => format!("scale recovered {lasted:?}"),
        Event::NeedsExceededMax { wanted, max, phase, .. } => format!("needs exceeded max {wanted} {max} {phase:?}"),
        Event::NeedsBelowMin { wanted, min, phase, .. } => format!("needs below min {wanted} {min} {phase:?}"),
        Event::ScalingTooRapid { direction, scales, phase, .. } => format!("too rapid {direction} {scales} {phase:?}"),
        other => format!("unexpected {other:?}"),
    }
}
