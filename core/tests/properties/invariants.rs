//! Promises that hold on any path, each checked over runs of thousands of ticks.
//!
//! They follow the list of what other autoscalers promise, or broke: never outside the bounds, never smaller on missing
//! data, no order for nothing, waits that begin with a success only, failures that back off, a dry run that is dry.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use autoscalebot_core::{
    bounds::Limit,
    busy::ScaleDownWhen,
    condition::{Condition, Phase},
    decision::Direction,
    event::Event,
    sample::{Reading, Sample},
    step::{Held, Settled},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    crew::{Busyness, Crew, Sight},
    world::{Chapter, Load, Log, Mood, Plan, Story, Tick, chapter, plan, play, play_and_store, stories, story},
};

/// Every key that a decision may carry; what reads them (metrics, docs) relies on the list.
const KEYS: [&str; 13] = [
    "all_high",
    "average_high",
    "average_low",
    "between",
    "consecutive_high",
    "consecutive_low",
    "count_unknown",
    "no_reading",
    "not_enough",
    "outside_bounds",
    "run_too_short",
    "unknown",
    "wake",
];

/// Whether the bounds or an item that waits decided, and not what was measured.
fn is_forced(tick: &Tick) -> bool {
    matches!(&*tick.outcome.decision.reason.key, "outside_bounds" | "wake")
}

/// Whether protection left more than was wanted.
fn is_left_standing(tick: &Tick) -> bool {
    tick.outcome.decision.reason.sentence.contains("; not below ")
}

/// The whole story with one kind of platform, and nobody else who touches the count.
fn undisturbed(story: Story, mood: Mood) -> Story {
    let calm = |chapter| Chapter { mood, meddling_percent: 0, ..chapter };
    Story { chapters: story.chapters.into_iter().map(calm).collect(), ..story }
}

/// The whole story with some kinds of load only, and thresholds that stay, lest yesterday's low become today's high.
fn under(story: Story, loads: &'static [Load]) -> impl Strategy<Value = Story> {
    let chapters = story.chapters.len();
    vec(vec(select(loads), 3), chapters).prop_map(move |loads| {
        let pairs = story.chapters.iter().cloned().zip(loads);
        Story {
            chapters: pairs.map(|(chapter, loads)| Chapter { loads, new_plan: None, ..chapter }).collect(),
            ..story.clone()
        }
    })
}

/// The same bounds all day, so that the wall clock has no say.
fn timeless(mut plan: Plan) -> Plan {
    for signal in &mut plan.signals {
        signal.min.truncate(1);
        signal.max.truncate(1);
    }
    plan
}

/// When an order succeeded, or was not given on purpose.
fn went_well(tick: &Tick) -> Option<Duration> {
    match &tick.settled {
        Some((then, Settled::Scaled | Settled::DryRun)) => Some(then.since_start),
        _ => None,
    }
}

proptest! {
    #![proptest_config(stories(24))]

    #[test]
    fn whatever_happens_what_is_wanted_lies_within_the_bounds(story in story()) {
        for tick in play(&story).ticks {
            let (range, wanted) = (tick.outcome.range, tick.outcome.decision.wanted);
            prop_assert!(range.min <= range.max);
            // Outside, it is only on the way back, as far as is safe for now.
            let on_the_way = is_left_standing(&tick) && tick.outcome.running.is_some_and(|running| wanted < running);
            if tick.count.is_ok() && !(on_the_way && wanted > range.max) {
                prop_assert!((range.min..=range.max).contains(&wanted), "{wanted} {range:?}");
            }
            if let Some((_, Settled::Scaled)) = &tick.settled {
                prop_assert!(
                    (range.min..=range.max).contains(&tick.truth) || (on_the_way && tick.truth == wanted),
                    "{} {range:?}",
                    tick.truth
                );
            }
        }
    }

    #[test]
    fn a_count_outside_the_bounds_is_corrected_at_once_unless_the_platform_refuses_or_somebody_works(story in story()) {
        for tick in play(&story).ticks {
            let (Ok(running), range) = (tick.count.clone(), tick.outcome.range) else { continue };
            let nearest = running.clamp(range.min, range.max);
            if nearest != running {
                let left_standing = is_left_standing(&tick);
                let ordered = tick.outcome.order.map(|order| order.to);
                let backs_off = matches!(tick.outcome.held, Some(Held::BackingOff(_)));
                let busy = matches!(tick.outcome.held, Some(Held::Busy(_))) && running > nearest;
                let part_of_the_way = left_standing && ordered.is_some_and(|to| to < running && to > nearest);
                prop_assert!(
                    ordered == Some(nearest) || part_of_the_way || (ordered.is_none() && (backs_off || busy)),
                    "{running} {range:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_shrinks_while_a_signal_that_may_hold_it_does_not_know(story in story()) {
        let log = play(&story);
        let mut newest: BTreeMap<usize, Sample> = BTreeMap::new();
        for tick in &log.ticks {
            if tick.changed == Some(false) {
                newest.clear();
            }
            newest.extend(tick.samples.iter().cloned());
            let shrinks = |order: &&autoscalebot_core::step::Order| order.to < order.from && !is_forced(tick);
            if let Some(order) = tick.outcome.order.as_ref().filter(shrinks) {
                for (index, signal) in log.plans[tick.plan].signals.iter().enumerate() {
                    // Whatever it measures, a signal that may have `to` at most cannot keep more.
                    let most = signal.bounds().at(&tick.now).max.max(tick.outcome.range.min);
                    let knows = newest.get(&index).is_some_and(|sample| matches!(sample.outcome, Ok(Reading::Number(_))));
                    prop_assert!(knows || most <= order.to, "signal {index} of {order:?} at {:?}", tick.now);
                }
            }
            if went_well(tick).is_some() {
                newest.clear();
            }
        }
    }

    #[test]
    fn nothing_shrinks_without_a_low_reading(
        story in story().prop_flat_map(|story| under(story, &[
            Load::High, Load::Timeouts, Load::Refused, Load::Documents, Load::Silent,
        ])),
    ) {
        for tick in play(&story).ticks {
            prop_assert!(is_forced(&tick) || tick.outcome.order.is_none_or(|order| order.to > order.from));
        }
    }

    #[test]
    fn nothing_grows_without_a_high_reading(
        story in story().prop_flat_map(|story| under(story, &[
            Load::Low, Load::AtLow, Load::Between, Load::AtHigh, Load::Refused, Load::Documents, Load::Silent,
        ])),
    ) {
        for tick in play(&story).ticks {
            prop_assert!(is_forced(&tick) || tick.outcome.order.is_none_or(|order| order.to < order.from));
        }
    }

    #[test]
    fn an_order_changes_something_and_starts_from_what_the_platform_said(story in story()) {
        for tick in play(&story).ticks {
            let Some(order) = &tick.outcome.order else { continue };
            prop_assert_ne!(order.from, order.to);
            prop_assert_eq!(&Ok(order.from), &tick.count);
            prop_assert_eq!((order.to, &order.reason), (tick.outcome.decision.wanted, &tick.outcome.decision.reason));
            prop_assert_eq!(order.direction(), tick.outcome.decision.direction);
            prop_assert_eq!(tick.outcome.held, None);
        }
    }

    #[test]
    fn what_is_wanted_and_not_held_is_ordered(story in story()) {
        for tick in play(&story).ticks {
            let wants = tick.count.as_ref().is_ok_and(|running| *running != tick.outcome.decision.wanted);
            prop_assert_eq!(wants, tick.outcome.order.is_some() || tick.outcome.held.is_some());
        }
    }

    #[test]
    fn at_most_one_measured_order_is_carried_out_per_wait(story in story()) {
        let log = play(&story);
        let mut free_at = Duration::ZERO;
        for tick in &log.ticks {
            // None at all, and something waits: no wait holds that either.
            if tick.outcome.order.as_ref().is_some_and(|order| order.from > 0) && !is_forced(tick) {
                prop_assert!(tick.now.since_start >= free_at, "{:?} before {free_at:?}", tick.now);
            }
            free_at = went_well(tick).map_or(free_at, |then| then + log.plans[tick.plan].wait);
        }
    }

    #[test]
    fn a_wait_began_with_a_success_and_ends_when_it_said(story in story()) {
        let log = play(&story);
        let mut ends = None;
        for tick in &log.ticks {
            if let Some(Held::Waiting(left)) = tick.outcome.held {
                prop_assert_eq!(Some(tick.now.since_start + left), ends);
            }
            ends = went_well(tick).map(|then| then + log.plans[tick.plan].wait).or(ends);
        }
    }

    #[test]
    fn a_platform_that_refuses_is_asked_less_and_less_but_for_ever(story in story(), seed in any::<bool>()) {
        let mood = if seed { Mood::Refuses } else { Mood::RefusesAndAsksForPatience };
        let log = play(&undisturbed(story, mood));
        let mut last: Option<Duration> = None;
        let mut calls = Vec::new();
        for tick in &log.ticks {
            let now = tick.now.since_start;
            if let Some(then) = last {
                prop_assert!(tick.outcome.order.is_none() || now >= then + Duration::from_secs(2));
            }
            if let Some(Held::BackingOff(left)) = tick.outcome.held {
                prop_assert!(left <= Duration::from_secs(3600), "{left:?}");
            }
            if let Some((then, _)) = &tick.settled {
                last = Some(then.since_start);
                calls.push(then.since_start);
            }
        }
        // 2 + 4 + 8 + 16 + 32 > 60
        for window in calls.windows(7) {
            prop_assert!(window[6] - window[0] > Duration::from_secs(60), "{window:?}");
        }
    }

    #[test]
    fn a_dry_run_changes_nothing(story in story()) {
        let log = play(&undisturbed(story.clone(), Mood::DryRun));
        for tick in &log.ticks {
            prop_assert_eq!(tick.truth, story.running);
            let scaled = |event: &Event| {
                matches!(event, Event::ScaledUp { .. } | Event::ScaledDown { .. } | Event::CountChangedElsewhere { .. })
            };
            let any = tick.outcome.events.iter().chain(&tick.settle_events).any(scaled);
            prop_assert!(!any);
        }
    }

    #[test]
    fn nobody_else_is_blamed_for_what_we_did(
        story in story(), mood in select(&[Mood::Obeys, Mood::SomeoneWasFaster, Mood::Refuses, Mood::ObeysInSecret][..]),
    ) {
        for tick in play(&undisturbed(story, mood)).ticks {
            let blames = tick.outcome.events.iter().any(|event| matches!(event, Event::CountChangedElsewhere { .. }));
            prop_assert!(!blames, "at {:?}", tick.now);
        }
    }

    #[test]
    fn setting_the_wall_clock_changes_no_decision_that_does_not_ask_for_it(
        story in story(), jumps in vec(-3000..3000_i64, 40),
    ) {
        let with = |jumps: &[i64]| {
            let chapters = story.chapters.iter().cloned().zip(jumps).map(|(chapter, jump)| Chapter {
                wall_jump_minutes: *jump,
                new_plan: chapter.new_plan.clone().map(|(plan, as_before)| (timeless(plan), as_before)),
                ..chapter
            });
            play(&Story { chapters: chapters.collect(), plan: timeless(story.plan.clone()), ..story.clone() })
        };
        let (jumping, steady) = (with(&jumps), with(&[0; 40]));
        for (one, other) in jumping.ticks.iter().zip(&steady.ticks) {
            let told = |tick: &Tick| tick.outcome.events.iter().chain(&tick.settle_events).map(crate::oracle::describe).collect::<Vec<_>>();
            prop_assert_eq!(&one.outcome.decision, &other.outcome.decision);
            prop_assert_eq!((&one.outcome.order, one.outcome.held), (&other.outcome.order, other.outcome.held));
            prop_assert_eq!(told(one), told(other));
        }
    }

    #[test]
    fn a_process_decides_the_same_whatever_another_one_does(story in story(), other in story()) {
        let alone = play(&story);
        let disturbed = std::thread::scope(|scope| {
            let other = scope.spawn(|| play(&other));
            let log = play(&story);
            other.join().map(|_| log)
        });
        prop_assert_eq!(alone.ticks, disturbed.unwrap().ticks);
    }

    #[test]
    fn a_state_that_was_stored_at_any_point_goes_on_identically(story in story(), every in 11..19_usize) {
        let (kept, stored) = (play(&story), play_and_store(&story, every));
        prop_assert_eq!(kept.last_state, stored.last_state);
        prop_assert_eq!(kept.ticks, stored.ticks);
    }

    #[test]
    fn every_decision_has_a_reason_that_a_person_can_read(story in story()) {
        for tick in play(&story).ticks {
            let reason = &tick.outcome.decision.reason;
            prop_assert!(KEYS.contains(&&*reason.key), "{reason:?}");
            let length = reason.sentence.chars().count();
            prop_assert!((5..400).contains(&length) && !reason.sentence.contains('\n'), "{reason:?}");
            prop_assert!(!reason.sentence.ends_with(['.', ' ', ',']) && !reason.sentence.contains("  "), "{reason:?}");
            prop_assert!(!reason.sentence.contains("NaN") && !reason.sentence.contains("()"), "{reason:?}");
            prop_assert_eq!(["; held, ", "; held for "].iter().any(|held| reason.sentence.contains(held)), tick.outcome.held.is_some(), "{:?}", reason);
        }
    }

    #[test]
    fn every_change_of_the_count_is_told_and_nothing_else_is(story in story()) {
        let log = play(&story);
        for tick in &log.ticks {
            let scales = tick.settle_events.iter().filter_map(|event| match event {
                Event::ScaledUp { from, to, .. } if from < to => Some((*from, *to)),
                Event::ScaledDown { from, to, .. } if from > to => Some((*from, *to)),
                Event::ScaledUp { .. } | Event::ScaledDown { .. } => Some((0, 0)),
                _ => None,
            });
            let done = tick.outcome.order.iter().filter(|_| matches!(tick.settled, Some((_, Settled::Scaled))));
            let done: Vec<_> = done.map(|order| (order.from, order.to)).collect();
            prop_assert_eq!(scales.collect::<Vec<_>>(), done);
        }
    }

    #[test]
    fn needs_above_max_are_told_only_when_no_more_may_run_and_more_is_wanted(story in story()) {
        for tick in play(&story).ticks {
            for event in &tick.outcome.events {
                match event {
                    Event::NeedsExceededMax { phase: Phase::Ended(_), .. } => {}
                    Event::NeedsExceededMax { wanted, max, .. } => {
                        prop_assert!(wanted > max && tick.outcome.running == Some(*max));
                        prop_assert_eq!(tick.outcome.limit, Some(Limit::Max));
                        prop_assert_eq!(tick.outcome.decision.direction, Direction::Up);
                    }
                    Event::NeedsBelowMin { phase: Phase::Ended(_), .. } => {}
                    Event::NeedsBelowMin { wanted, min, .. } => {
                        prop_assert!(wanted < min && tick.outcome.running == Some(*min));
                        prop_assert_eq!(tick.outcome.limit, Some(Limit::Min));
                        prop_assert_eq!(tick.outcome.decision.direction, Direction::Down);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_condition_is_told_at_most_once_per_quiet_time(story in story()) {
        check_quiet(&play(&story))?;
    }
}

proptest! {
    #![proptest_config(stories(256))]

    #[test]
    fn a_steady_load_leads_where_it_should_and_stays_there(
        plan in plan(), running in 0..9_u32, chapter in chapter(),
        load in select(&[Load::Between, Load::AtHigh, Load::High, Load::Timeouts, Load::Low, Load::AtLow, Load::Refused, Load::Silent][..]),
    ) {
        let mut plan = timeless(plan);
        // With no room between the thresholds there is no "between".
        plan.signals.iter_mut().for_each(|signal| signal.high += 0.5);
        // Where nobody looks for work, it has no say.
        let crew = Crew { busyness: Busyness::Nobody, waiting_percent: 0, sights: vec![Sight::NoWork] };
        plan.protection.scale_down_when = ScaleDownWhen::Always;
        let min = plan.signals.iter().map(|signal| signal.min[0].1).max().unwrap();
        let max = plan.signals.iter().map(|signal| signal.max[0].1).max().unwrap();
        // Longest run 7 or wait of 120 s, 8 steps: 8 * (7 + 4) ticks of 30 s are enough.
        let chapter = Chapter {
            ticks: 120, interval: Duration::from_secs(30), irregular: false, loads: vec![load], crew, mood: Mood::Obeys,
            meddling_percent: 0, new_plan: None, ..chapter
        };
        let story = Story { plan, running, start: "2026-06-15T12:00:00Z", chapters: vec![chapter] };
        let end = match load {
            Load::High | Load::Timeouts => max,
            Load::Low | Load::AtLow => min,
            _ => running.clamp(min, max),
        };
        let log = play(&story);
        for tick in &log.ticks[100..] {
            prop_assert_eq!(tick.truth, end);
        }
        let away = log.ticks.windows(2).any(|pair| pair[0].truth.abs_diff(end) < pair[1].truth.abs_diff(end));
        prop_assert!(!away, "it went away from {end} on the way");
    }
}

fn check_quiet(log: &Log) -> Result<(), TestCaseError> {
    let mut told: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for tick in &log.ticks {
        let repeat = log.plans[tick.plan].repeat;
        // Which measurement fails is not in this event's name; one signal is enough to see.
        let one_signal =
            log.plans.iter().all(|plan| plan.signals.len() == 1) && log.ticks.iter().all(|tick| tick.changed.is_none());
        let settled_at = tick.settled.as_ref().map(|(then, _)| then.since_start);
        let events = tick.outcome.events.iter().map(|event| (tick.now.since_start, event));
        let settle_events = tick.settle_events.iter().map(|event| (settled_at.unwrap_or_default(), event));
        for (now, event) in events.chain(settle_events) {
            let (name, phase) = match event {
                Event::MeasurementFailed { phase, .. } if one_signal => ("measurement", *phase),
                Event::MeasurementRecovered { lasted, .. } if one_signal => ("measurement", Phase::Ended(*lasted)),
                Event::CountFailed { phase, .. } => ("count", *phase),
                Event::CountRecovered { lasted } => ("count", Phase::Ended(*lasted)),
                Event::NeedsExceededMax { phase, .. } => ("max", *phase),
                Event::NeedsBelowMin { phase, .. } => ("min", *phase),
                Event::ScalingTooRapid { phase, .. } => ("rapid", *phase),
                Event::ScaleFailed { phase, .. } => ("scale", *phase),
                Event::ScaleRecovered { lasted } => ("scale", Phase::Ended(*lasted)),
                _ => continue,
            };
            let pause = match phase {
                Phase::Began => repeat.min(Condition::QUIET),
                Phase::Persists(_) => repeat,
                Phase::Ended(_) => {
                    prop_assert!(open.remove(name), "{name} ended and had not begun");
                    continue;
                }
            };
            // The end of refusals is told by the scale that follows.
            prop_assert!(
                open.insert(name) != matches!(phase, Phase::Persists(_)) || name == "scale",
                "{name} {phase:?}"
            );
            if let Some(before) = told.insert(name, now) {
                prop_assert!(now - before >= pause, "{name} told at {before:?} and {now:?}");
            }
        }
    }
    Ok(())
}
