//! The oracle of busy protection: how far down is safe, worked out process by process.
//!
//! The core reckons with counts and sorted lists. This asks about one process after the other whether each look knows it
//! to be free, tries one count after the other, and looks back through the log for when a shrink began to be held.

use std::{collections::BTreeSet, time::Duration};

use autoscalebot_core::{
    busy::{InProgress, Protection, ScaleDownWhen, Victims, Work, floor},
    sample::{CountsAs, Sample},
    step::Settled,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    crew::{Crew, Processes, Sight, crew, look, protection},
    oracle::{newest_first, proposal},
    world::{BackendPlan, Log, Random, a_number, at_zero, stories},
};

/// What a tick meant for the time that a shrink is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// Nobody knew how many ran.
    CountUnknown,
    /// No shrink was wanted.
    None,
    /// None was wanted, only because measurements failed.
    InDoubt,
    /// A shrink was wanted, and nobody would be stopped who may work.
    Safe,
    /// A shrink was wanted further than was safe.
    TooFar,
}

/// What a measurement saw of the work, if that is news enough to act on.
pub fn fresh_work(newest: Option<&Sample>, now: Duration) -> Option<&Work> {
    let sample = newest?;
    let is_fresh = sample.at.since_start + Duration::from_secs(15) >= now;
    (sample.outcome.is_ok() && is_fresh).then_some(())?;
    sample.work.as_deref()
}

/// In how many processes of those that run a worker was seen at most.
fn seen_in(work: &Work, victims: Victims, running: u32) -> usize {
    let mut processes = Vec::new();
    for worker in work.workers.iter().flatten() {
        match worker.process {
            // A name is counted once, and not when it cannot run any more.
            Some(number) if processes.contains(&Some(number)) => {}
            Some(number) if victims == Victims::Highest && number > running => {}
            process => processes.push(process),
        }
    }
    processes.len()
}

/// Whether a look says that nothing waits and nothing runs.
pub fn is_drained(work: &Work, victims: Victims, running: u32) -> bool {
    let nobody_is_busy = work.workers.iter().flatten().all(|worker| !worker.busy);
    let nothing_runs = match work.in_progress {
        InProgress::Unseen => false,
        InProgress::Items(count) => count == 0,
        InProgress::ByWorkers(count) => count == 0 && seen_in(work, victims, running) >= running as usize,
    };
    work.waiting == 0 && nobody_is_busy && nothing_runs
}

/// Every number that a look has a worker for.
fn numbers(work: &Work) -> BTreeSet<u32> {
    work.workers.iter().flatten().filter_map(|worker| worker.process).collect()
}

/// Whether a worker was seen in this process, and each that was is free.
pub fn sees_free(work: &Work, number: u32) -> bool {
    let mut there = work.workers.iter().flatten().filter(|worker| worker.process == Some(number)).peekable();
    there.peek().is_some() && there.all(|worker| !worker.busy)
}

/// The processes to which no look objects that can tell processes apart. Who says that all is done does not object.
pub fn free(victims: Victims, looks: &[Option<&Work>], running: u32) -> BTreeSet<u32> {
    let can_tell = looks.iter().flatten().filter(|work| !numbers(work).is_empty());
    let at_work = looks.iter().flatten().any(|work| !is_drained(work, victims, running));
    let objects = can_tell.filter(|work| !at_work || !is_drained(work, victims, running)).collect::<Vec<_>>();
    let all = objects.iter().flat_map(|work| numbers(work));
    all.filter(|number| objects.iter().all(|work| sees_free(work, *number))).collect()
}

/// The least count that stops nobody who may work, and no less than what is wanted.
fn least_safe(protection: &Protection, looks: &[Option<&Work>], running: u32, wanted: u32) -> u32 {
    let Protection { scale_down_when, victims, .. } = *protection;
    if scale_down_when == ScaleDownWhen::Always {
        return wanted;
    }
    let Some(looks) = looks.iter().copied().collect::<Option<Vec<&Work>>>() else { return running };
    let at_work: Vec<&Work> = looks.into_iter().filter(|work| !is_drained(work, victims, running)).collect();
    if at_work.is_empty() {
        return wanted;
    }
    if scale_down_when == ScaleDownWhen::Drained || at_work.iter().any(|work| numbers(work).is_empty()) {
        return running;
    }
    let is_free = |number: &u32| at_work.iter().all(|work| sees_free(work, *number));
    let mut seen: Vec<u32> =
        at_work.iter().flat_map(|work| numbers(work)).collect::<BTreeSet<_>>().into_iter().collect();
    // More were seen than run: with the worst of luck, those that are free are those that have ended.
    seen.sort_by_key(is_free);
    seen.truncate(running as usize);
    let may_go = seen.iter().filter(|number| is_free(number)).count() as u32;
    let is_safe = |count: &u32| match victims {
        Victims::Highest => (count + 1..=running).all(|number| is_free(&number)),
        Victims::Chosen => running - count <= may_go,
        Victims::Unknown => *count == running,
    };
    (wanted..=running).find(is_safe).unwrap()
}

/// What protection makes of a wish.
pub struct Shrink {
    pub to: u32,
    pub held_for: Option<Duration>,
    pub free: Vec<u32>,
}

pub fn protect(
    log: &Log,
    index: usize,
    running: u32,
    range: (u32, u32),
    ranges: &[(u32, u32)],
    wanted: u32,
    wishes: &mut Vec<Wish>,
) -> Shrink {
    let (tick, plan) = (&log.ticks[index], &log.plans[log.ticks[index].plan]);
    let samples = |number: usize| newest_first(log, index, number, plan.signals[number].history_length);
    let who_see = (0..plan.signals.len()).filter(|number| plan.signals[*number].sees_work);
    let looks: Vec<_> =
        who_see.map(|number| fresh_work(samples(number).first().copied(), tick.now.since_start)).collect();
    let unprotected = Shrink { to: wanted, held_for: None, free: Vec::new() };
    if looks.is_empty() || wanted >= running {
        let wants_fewer = |number: usize, samples: &[&Sample]| {
            proposal(&plan.signals[number], samples, running, range.0, ranges[number].1).wanted < running
        };
        let of_all = (0..plan.signals.len()).map(|number| {
            let samples = samples(number);
            let needed = match plan.signals[number].backend {
                BackendPlan::Consecutive { ups, downs } => ups.max(downs),
                BackendPlan::Average { window } => window,
            };
            let fails = samples.iter().take(needed).any(|sample| is_unknown(sample));
            // As if nothing but the newest had ever been measured; if that failed, nothing speaks against it.
            let fewer = match samples.first() {
                Some(newest) if fails => is_unknown(newest) || wants_fewer(number, &vec![*newest; needed]),
                Some(_) => wants_fewer(number, &samples),
                None => false,
            };
            (fails, fewer)
        });
        let of_all: Vec<(bool, bool)> = of_all.collect();
        let in_doubt = of_all.iter().any(|(fails, _)| *fails) && of_all.iter().all(|(_, fewer)| *fewer);
        let is_doubt = wanted == running && !looks.is_empty() && in_doubt;
        wishes.push(if is_doubt { Wish::InDoubt } else { Wish::None });
        return unprotected;
    }
    let free: Vec<u32> = free(plan.protection.victims, &looks, running).into_iter().collect();
    let least = least_safe(&plan.protection, &looks, running, wanted);
    wishes.push(if least > wanted { Wish::TooFar } else { Wish::Safe });
    let lasted = held_for(log, wishes, index);
    if least == wanted || lasted >= plan.protection.max_busy_wait {
        return Shrink { free, ..unprotected };
    }
    if least < running {
        return Shrink { to: least, held_for: None, free };
    }
    Shrink { to: wanted, held_for: Some(lasted), free: Vec::new() }
}

/// For how long a shrink that is wanted now has been further than was safe while somebody was to be waited for: since the
/// first such of the ticks in a row of which none scaled, none was content, and none could have shrunk.
fn held_for(log: &Log, wishes: &[Wish], index: usize) -> Duration {
    let waits_for_nobody = |tick: usize| log.plans[log.ticks[tick].plan].protection.max_busy_wait.is_zero();
    let mut since = index;
    for back in (0..index).rev() {
        if matches!(log.ticks[back].settled, Some((_, Settled::Scaled | Settled::DryRun))) {
            break;
        }
        match wishes[back] {
            Wish::None | Wish::Safe => break,
            Wish::TooFar if waits_for_nobody(back) => {}
            Wish::TooFar => since = back,
            Wish::CountUnknown | Wish::InDoubt => {}
        }
    }
    log.ticks[index].now.since_start - log.ticks[since].now.since_start
}

fn is_unknown(sample: &Sample) -> bool {
    matches!(&sample.outcome, Err(failure) if failure.counts_as == CountsAs::Unknown)
}

/// Up to three looks at the same processes, as different as can be.
fn looks() -> impl Strategy<Value = (u32, Vec<Option<Work>>)> {
    let seen = (crew(), 0..9_u32, 0..4_usize, any::<u64>());
    seen.prop_map(|(crew, running, signals, seed)| {
        let mut random = Random(seed);
        let mut processes = Processes::new(running);
        processes.work(crew.busyness, &mut random);
        let see = |signal| {
            let fails = random.below(12) == 0;
            let sample = look(a_number(at_zero(), 0.0), &crew, signal, &processes, &mut random);
            sample.work.map(|work| *work).filter(|_| !fails)
        };
        (running, (0..signals).map(see).collect())
    })
}

proptest! {
    #![proptest_config(stories(20_000))]

    #[test]
    fn how_far_down_is_safe_is_what_a_question_about_each_process_says(
        protection in protection(), (running, looks) in looks(), wanted in 0..9_u32,
    ) {
        let looks: Vec<Option<&Work>> = looks.iter().map(Option::as_ref).collect();
        let found = floor(&protection, &looks, running, wanted);
        let expected = if wanted < running { least_safe(&protection, &looks, running, wanted) } else { running };
        prop_assert_eq!(found.count, expected, "{:?}", found);
        prop_assert_eq!(found.because.is_empty(), found.count == wanted.min(running), "{:?}", found);
        let can_tell = looks.iter().flatten().any(|work| !numbers(work).is_empty());
        let free = free(protection.victims, &looks, running);
        let named: BTreeSet<u32> = found.free.iter().flatten().copied().collect();
        prop_assert_eq!(&named, &free);
        prop_assert!(can_tell || found.free.is_none());
        prop_assert!(found.free.unwrap_or_default().is_sorted_by(|one, next| one < next));
    }

    // The platform does as it says here, and what is seen is true: then nobody who works is stopped, seen or not.
    #[test]
    fn where_looks_are_honest_nobody_is_stopped_who_works_in_truth(
        protection in protection(), crew in crew(), running in 1..9_u32, wanted in 0..8_u32, gaps in vec(0..9_u32, 0..4),
        seed in any::<u64>(),
    ) {
        let sights: Vec<Sight> = crew.sights.iter().copied().filter(|sight| sight.is_honest()).collect();
        // Without an honest look, no look: that is honest too.
        let sights = if sights.is_empty() { vec![Sight::NoWork] } else { sights };
        let scale_down_when = match protection.scale_down_when {
            ScaleDownWhen::Always => ScaleDownWhen::Idle,
            other => other,
        };
        let protection = Protection { scale_down_when, ..protection };
        let (crew, wanted) = (Crew { sights, ..crew }, wanted % running);
        let mut random = Random(seed);
        let mut processes = Processes::new(running);
        if protection.victims != Victims::Highest {
            let most = running + gaps.len() as u32;
            processes.become_count(Victims::Highest, most, &[], &mut random);
            processes.become_count(Victims::Chosen, running, &gaps, &mut random);
        }
        processes.work(crew.busyness, &mut random);
        let mut see = |signal| look(a_number(at_zero(), 0.0), &crew, signal, &processes, &mut random).work;
        let looks = [see(0), see(1)];
        let looks: Vec<Option<&Work>> = looks.iter().map(Option::as_deref).collect();
        let found = floor(&protection, &looks, running, wanted);
        let stopped = processes.victims(protection.victims, found.count, &found.free.unwrap_or_default(), |end| {
            random.below(end)
        });
        prop_assert!(stopped.is_disjoint(&processes.busy), "{:?} of {:?} by {:?}", stopped, processes, looks);
    }
}
