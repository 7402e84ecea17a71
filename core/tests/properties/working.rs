//! Promises about work that hold on any path: who works is not stopped, nobody waits for ever, who waits is woken.
//!
//! The platform of these runs really stops processes by its rule, so it is seen who goes and not only how many. What
//! people were promised is asked of the log directly; that every tick is right in each detail is for the oracle.

use std::{collections::BTreeSet, time::Duration};

use autoscalebot_core::{
    busy::{Protection, ScaleDownWhen, Victims, Work},
    event::Event,
    sample::Sample,
    step::{Held, Settled},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    crew::{Busyness, Crew, Sight},
    oracle::newest_first,
    protection::{fresh_work, is_drained, sees_free},
    world::{Chapter, Load, Log, Mood, Plan, SignalPlan, Story, Tick, chapter, crowd, plan, play, stories, story},
};

/// What each signal that sees work has seen newly at this tick.
fn looks(log: &Log, index: usize) -> Vec<Option<&Work>> {
    let tick = &log.ticks[index];
    let signals = log.plans[tick.plan].signals.iter().enumerate().filter(|(_, signal)| signal.sees_work);
    let newest = |(number, signal): (usize, &SignalPlan)| {
        let samples = newest_first(log, index, number, signal.history_length);
        fresh_work(samples.first().copied(), tick.now.since_start)
    };
    signals.map(newest).collect()
}

/// Whether a shrink that is ordered here may have been held as long as is allowed.
fn may_be_over(log: &Log, index: usize) -> bool {
    let is_scaled = |tick: &&Tick| matches!(tick.settled, Some((_, Settled::Scaled | Settled::DryRun)));
    let since_scaled = log.ticks[..index].iter().rev().take_while(|tick| !is_scaled(tick));
    let was_held = |tick: &&Tick| {
        matches!(tick.outcome.held, Some(Held::Busy(_)))
            || tick.outcome.decision.reason.sentence.contains("; not below ")
    };
    let first = since_scaled.filter(was_held).last().map_or(log.ticks[index].now, |tick| tick.now);
    log.ticks[index].now.since(&first) >= log.plans[log.ticks[index].plan].protection.max_busy_wait
}

/// Whether every process that a look tells of runs.
fn names_only_who_runs(work: &Work, running: &BTreeSet<u32>) -> bool {
    work.workers.iter().flatten().all(|worker| worker.process.is_none_or(|number| running.contains(&number)))
}

proptest! {
    #![proptest_config(stories(48))]

    #[test]
    fn nobody_goes_who_is_busy_or_not_known_to_be_free_before_the_longest_wait_is_over(story in story()) {
        let log = play(&story);
        for (index, tick) in log.ticks.iter().enumerate() {
            let protection = log.plans[tick.plan].protection;
            let shrinks = tick.outcome.order.as_ref().filter(|order| order.to < order.from);
            let Some(order) = shrinks.filter(|_| protection.scale_down_when != ScaleDownWhen::Always) else { continue };
            if may_be_over(&log, index) {
                continue;
            }
            let victims = match protection.victims {
                // It may be anybody.
                Victims::Unknown => tick.processes.running.clone(),
                rule => tick.processes.victims(rule, order.to, &order.free, |_| 0),
            };
            for look in looks(&log, index) {
                let Some(work) = look else { panic!("{order:?} though nothing was seen at {:?}", tick.now) };
                // A platform that lets us choose does not say which numbers run, so one that has ended may pass for one that
                // was not seen; only where nobody has ended this can be promised.
                if is_drained(work, protection.victims, order.from)
                    || (protection.victims == Victims::Chosen && !names_only_who_runs(work, &tick.processes.running))
                {
                    continue;
                }
                prop_assert_eq!(protection.scale_down_when, ScaleDownWhen::Idle);
                for victim in &victims {
                    prop_assert!(sees_free(work, *victim), "{victim} goes by {order:?}, seen was {work:?}");
                }
            }
        }
    }

    #[test]
    fn an_order_calls_nobody_free_who_is_not_known_to_be_free(story in story()) {
        let log = play(&story);
        for (index, tick) in log.ticks.iter().enumerate() {
            let Some(order) = &tick.outcome.order else { continue };
            prop_assert!(order.free.is_empty() || order.to < order.from);
            for work in looks(&log, index).into_iter().flatten() {
                let can_tell = work.workers.iter().flatten().any(|worker| worker.process.is_some());
                let victims = log.plans[tick.plan].protection.victims;
                for number in &order.free {
                    let is_free = sees_free(work, *number) || is_drained(work, victims, order.from);
                    prop_assert!(!can_tell || is_free, "{order:?}, seen was {work:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_held_longer_than_the_longest_wait(story in story()) {
        let log = play(&story);
        let mut row: Option<Duration> = None;
        for tick in &log.ticks {
            let now = tick.now.since_start;
            match tick.outcome.held {
                Some(Held::Busy(lasted)) => {
                    let begun = *row.get_or_insert(now);
                    let longest = log.plans[tick.plan].protection.max_busy_wait;
                    prop_assert!(lasted >= now - begun && lasted < longest, "{lasted:?} since {begun:?} at {now:?}");
                    prop_assert!(tick.outcome.running.is_some_and(|running| tick.outcome.decision.wanted < running));
                    prop_assert_ne!(log.plans[tick.plan].protection.scale_down_when, ScaleDownWhen::Always);
                }
                _ if tick.count.is_err() => {}
                _ => row = None,
            }
        }
    }

    #[test]
    fn where_none_runs_and_something_waits_one_is_woken_in_the_same_tick(story in story()) {
        let log = play(&story);
        for tick in log.ticks.iter().filter(|tick| tick.count == Ok(0)) {
            let newest = |number| tick.samples.iter().rev().find(|(signal, _)| *signal == number).map(|(_, sample)| sample);
            let waits = log.plans[tick.plan].signals.iter().enumerate().any(|(number, signal)| {
                let waiting = |sample: &Sample| fresh_work(Some(sample), tick.now.since_start).is_some_and(|work| work.waiting > 0);
                newest(number).is_some_and(waiting) && signal.bounds().at(&tick.now).max > 0
            });
            if waits {
                let is_woken = tick.outcome.order.as_ref().is_some_and(|order| order.to > 0);
                let backs_off = matches!(tick.outcome.held, Some(Held::BackingOff(_)));
                prop_assert!(is_woken || backs_off, "{:?}", tick.outcome);
            }
        }
    }

    #[test]
    fn the_last_one_does_not_go_while_something_waits(story in story()) {
        let log = play(&story);
        for (index, tick) in log.ticks.iter().enumerate() {
            if tick.outcome.order.as_ref().is_some_and(|order| order.to == 0) {
                for (number, signal) in log.plans[tick.plan].signals.iter().enumerate() {
                    let samples = newest_first(&log, index, number, signal.history_length);
                    let waiting = fresh_work(samples.first().copied(), tick.now.since_start).map_or(0, |work| work.waiting);
                    prop_assert!(waiting == 0 || signal.bounds().at(&tick.now).max == 0, "{waiting} at {:?}", tick.now);
                }
            }
        }
    }

    #[test]
    fn who_works_in_truth_is_never_stopped_where_looks_are_honest_and_the_wait_has_no_end(
        story in story(), sights in vec(select(&HONEST[..]), 3), drained in any::<bool>(),
        victims in select(&[Victims::Highest, Victims::Chosen, Victims::Unknown][..]),
    ) {
        let scale_down_when = if drained { ScaleDownWhen::Drained } else { ScaleDownWhen::Idle };
        let protection = Protection { scale_down_when, max_busy_wait: Duration::MAX, victims };
        let watched = |mut plan: Plan| {
            plan.signals[0].sees_work = true;
            Plan { protection, ..plan }
        };
        // Each look is of its own tick: what was seen in the one before may be otherwise now.
        let chapters = story.chapters.iter().cloned().map(|chapter| Chapter {
            crew: Crew { sights: sights.clone(), ..chapter.crew },
            interval: Duration::from_secs(30),
            irregular: false,
            new_plan: chapter.new_plan.map(|(plan, as_before)| (watched(plan), as_before)),
            ..chapter
        });
        let story = Story { chapters: chapters.collect(), plan: watched(story.plan.clone()), ..story };
        for tick in play(&story).ticks {
            if let Some(order) = tick.outcome.order.filter(|order| order.to < order.from) {
                let stopped = match victims {
                    Victims::Unknown => tick.processes.running,
                    rule => tick.processes.victims(rule, order.to, &order.free, |_| 0),
                };
                prop_assert!(stopped.is_disjoint(&tick.processes.busy), "{stopped:?}, busy {:?}", tick.processes.busy);
            }
        }
    }
}

const HONEST: [Sight; 9] = [
    Sight::Workers,
    Sight::Doubled,
    Sight::SomeUnseen,
    Sight::Nameless,
    Sight::SomeNameless,
    Sight::Books,
    Sight::BooksAndWorkers,
    Sight::WaitingOnly,
    Sight::NoWork,
];

proptest! {
    #![proptest_config(stories(1500))]

    // The first tick of a run, so that both have the same past.
    #[test]
    fn protection_only_ever_raises_a_wish_to_have_fewer(story in crowd()) {
        let first = |protection: Protection| {
            let chapters = story.chapters.iter().cloned().map(|chapter| Chapter { ticks: 1, ..chapter }).collect();
            let plan = Plan { protection, ..story.plan.clone() };
            play(&Story { plan, chapters, ..story.clone() }).ticks.remove(0)
        };
        let own = story.plan.protection;
        let protected = first(own);
        let unprotected = first(Protection { scale_down_when: ScaleDownWhen::Always, ..own });
        let Some(running) = unprotected.outcome.running else { return Ok(()) };
        let (wanted, found) = (unprotected.outcome.decision.wanted, protected.outcome.decision.wanted);
        if wanted >= running {
            prop_assert_eq!(&protected.outcome, &unprotected.outcome);
        }
        prop_assert!(found == wanted || (wanted < found && found < running), "{found} of {running}, wanted {wanted}");
        prop_assert!(protected.outcome.order.as_ref().is_none_or(|order| order.to >= wanted));
        prop_assert_eq!(protected.outcome.decision.direction, unprotected.outcome.decision.direction);
        let told = |tick: &Tick| tick.outcome.events.iter().map(Event::clone).collect::<Vec<_>>();
        prop_assert_eq!(told(&protected), told(&unprotected), "what was measured and needed is the same");
    }
}

proptest! {
    #![proptest_config(stories(96))]

    #[test]
    fn whoever_works_without_end_is_waited_for_so_long_and_no_longer(
        plan in plan(), running in 2..9_u32, chapter in chapter(), minutes in 1..40_u64, sight in select(&HONEST[..]),
        load in select(&[Load::Low, Load::AtLow][..]), drained in any::<bool>(),
    ) {
        let longest = Duration::from_secs(60 * minutes);
        let scale_down_when = if drained { ScaleDownWhen::Drained } else { ScaleDownWhen::Idle };
        let mut plan = Plan { wait: Duration::ZERO, ..plan };
        plan.protection = Protection { scale_down_when, max_busy_wait: longest, ..plan.protection };
        for signal in &mut plan.signals {
            (signal.min, signal.max, signal.sees_work) = (vec![(0, 0)], vec![(0, 9)], true);
        }
        let interval = Duration::from_secs(30);
        let crew = Crew { busyness: Busyness::Everybody, waiting_percent: 0, sights: vec![sight] };
        let chapter = Chapter {
            ticks: 400, interval, irregular: false, loads: vec![load], crew, mood: Mood::Obeys, meddling_percent: 0,
            new_plan: None, ..chapter
        };
        let log = play(&Story { plan, running, start: "2026-06-15T12:00:00Z", chapters: vec![chapter] });
        let (mut begun, mut waits) = (None, 0);
        for tick in &log.ticks {
            let now = tick.now.since_start;
            if matches!(tick.outcome.held, Some(Held::Busy(_))) {
                begun.get_or_insert(now);
            }
            if let Some(order) = &tick.outcome.order {
                prop_assert!(order.to < order.from);
                let lasted = now - begun.take().unwrap_or(now);
                // An order takes a moment itself.
                prop_assert!((longest..=longest + interval + Duration::from_secs(2)).contains(&lasted), "{lasted:?}");
                waits += 1;
            }
        }
        prop_assert!(waits > 0);
    }
}
