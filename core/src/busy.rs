//! Busy protection: how far a process may shrink without stopping somebody who works.
//!
//! A queue can be empty while every worker is in the middle of an item; whoever shrinks by the queue's length alone kills
//! running work. So a measurement of a queue brings home, beside its reading, what is known about the [`Work`]: how much
//! waits, how much is in progress, and which worker is busy. Here that becomes one number, the least count that is safe.
//!
//! What matters is *who goes*. Some platforms stop the highest number and nobody can choose ([`Victims::Highest`]: Heroku);
//! there, only as many may go as are free in a row from the top, and a count of busy workers would say nothing. Others let
//! us choose ([`Victims::Chosen`]: Local); there, as many may go as are free at all. Where it cannot be known who is busy or
//! who would go, the process may shrink only when nothing waits and nothing runs.
//!
//! Unknown is busy. A worker that did not answer, a process that no worker was seen for, a failed or an old measurement:
//! none of them is free. So that "never down" cannot last for ever, protection ends after `MAX_BUSY_WAIT`; that is decided
//! in [`crate::step`], which also keeps the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Seconds;

/// What is known about the work behind a reading of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Items that could start now if a worker were free.
    pub waiting: u64,
    /// Items that were delivered and are not finished.
    pub in_progress: InProgress,
    /// The workers that were seen. Nothing when this measurement cannot see workers at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<Worker>>,
}

/// How many items are in progress, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InProgress {
    /// It cannot be seen, or not completely.
    Unseen,
    /// So many, by the broker's books: all that were delivered to anybody.
    Items(u64),
    /// So many, by the word of the workers that were seen. It says nothing about workers that were not.
    ByWorkers(u64),
}

/// One worker that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The number of the process that it runs in: 3 for `celery.3`. Nothing when its name does not say.
    pub process: Option<u32>,
    /// Whether it works on something.
    pub busy: bool,
}

/// Which processes the platform stops when there should be fewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Victims {
    /// The highest numbers, and nobody can choose.
    Highest,
    /// Those that the order names as free, first.
    Chosen,
    /// Nobody knows.
    #[default]
    Unknown,
}

/// When a process may shrink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleDownWhen {
    /// Whenever the decision says so, whoever is busy.
    #[default]
    Always,
    /// Only processes that are known to be free go. Where that cannot be known: as `drained`.
    Idle,
    /// Only when nothing waits and nothing is in progress.
    Drained,
}

/// How a process is protected while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// When it may shrink.
    pub scale_down_when: ScaleDownWhen,
    /// So long a shrink is held at most.
    pub max_busy_wait: Duration,
    /// Who goes.
    pub victims: Victims,
}

impl Default for Protection {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            scale_down_when: settings.scale_down_when.unwrap_or_default(),
            max_busy_wait: settings.max_busy_wait.duration(),
            victims: Victims::default(),
        }
    }
}

/// The settings of a process that stand beside its stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// When the process may shrink: `always`; `idle`, only processes known to be free may go; or `drained`, only when
    /// nothing waits or runs. Without it, `idle` if one of its measurements sees work in a queue, else `always`.
    pub scale_down_when: Option<ScaleDownWhen>,
    /// So many seconds a shrink is held at most because of work in progress; then it happens all the same. 0 never holds.
    pub max_busy_wait: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self { scale_down_when: None, max_busy_wait: Seconds::new(3600) }
    }
}

/// How far down is safe, and why not further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// The least count that stops nobody who works; at most what runs.
    pub count: u32,
    /// Why it is not lower, as the end of a sentence; empty when it is what was wanted.
    pub because: String,
    /// The numbers of the processes that are known to be free, lowest first. Nothing when processes cannot be told apart.
    pub free: Option<Vec<u32>>,
}

/// How far down from `running` towards `wanted` is safe by what all signals know together. Each entry is what one signal
/// that sees work knows; nothing when its newest measurement failed or is too old.
#[must_use]
pub fn floor(protection: &Protection, known: &[Option<&Work>], running: u32, wanted: u32) -> Floor {
    let seen = || known.iter().flatten().copied();
    let at_work = || seen().filter_map(|work| Some((work, not_drained(work, protection.victims, running)?)));
    let undrained: Vec<&Work> = at_work().map(|(work, _)| work).collect();
    // Who says that nothing waits or runs has no objection to any process.
    let free = if undrained.is_empty() { free_by_all(seen()) } else { free_by_all(undrained.iter().copied()) };
    let allowed = |count: u32, because: String| Floor { count, because, free: free.clone() };
    if protection.scale_down_when == ScaleDownWhen::Always || wanted >= running {
        return allowed(wanted.min(running), String::new());
    }
    if known.iter().any(Option::is_none) {
        return allowed(running, "nobody knows at the moment who is busy".to_owned());
    }
    let Some((_, not_drained)) = at_work().next() else { return allowed(wanted, String::new()) };
    if protection.scale_down_when == ScaleDownWhen::Drained {
        return allowed(running, not_drained);
    }
    let all_can_tell = undrained.iter().all(|work| busy_by_number(work).is_some());
    let (count, because) = match (protection.victims, &free) {
        (Victims::Highest, Some(free)) if all_can_tell => free_from_the_top(&undrained, free, running, wanted),
        (Victims::Chosen, Some(free)) if all_can_tell => {
            let most = in_u32(free.len()).min(running.saturating_sub(seen_and_not_free(&undrained, free)));
            (wanted.max(running - most), format!("{most} of {running} processes are known to be free"))
        }
        _ => (running, format!("{not_drained}, and it is not known which process is free")),
    };
    allowed(count, if count == wanted { String::new() } else { because })
}

/// As many of the highest numbers as are free in a row.
fn free_from_the_top(known: &[&Work], free: &[u32], running: u32, wanted: u32) -> (u32, String) {
    let mut count = running;
    while count > wanted && free.binary_search(&count).is_ok() {
        count -= 1;
    }
    let is_busy = known.iter().any(|work| busy_by_number(work).is_some_and(|busy| busy.get(&count) == Some(&true)));
    let state = if is_busy { "is busy" } else { "is not known to be free, no worker was seen in it" };
    (count, format!("number {count} {state}, and the platform stops the highest number first"))
}

/// The processes that each of these knows to be free, lowest first. Nothing when none of them can tell processes apart; one
/// that cannot has no say.
fn free_by_all<'a>(known: impl Iterator<Item = &'a Work>) -> Option<Vec<u32>> {
    let free = |busy: BTreeMap<u32, bool>| busy.into_iter().filter(|(_, busy)| !busy).map(|(number, _)| number);
    known.filter_map(busy_by_number).map(|busy| free(busy).collect::<Vec<_>>()).reduce(|mut all, next| {
        all.retain(|number| next.binary_search(number).is_ok());
        all
    })
}

/// In how many processes a worker was seen, without all agreeing that it is free. When more were seen than run, some of
/// the free ones may have ended, and this many must be there when they are asked to go.
fn seen_and_not_free(known: &[&Work], free: &[u32]) -> u32 {
    let seen = known.iter().filter_map(|work| busy_by_number(work)).flat_map(BTreeMap::into_keys);
    in_u32(seen.filter(|number| free.binary_search(number).is_err()).collect::<BTreeSet<_>>().len())
}

/// Whether a worker that was seen in it is busy, for each process in which one was seen. Nothing when no worker's name says
/// which process it is.
fn busy_by_number(work: &Work) -> Option<BTreeMap<u32, bool>> {
    let mut busy_by_number = BTreeMap::<u32, bool>::new();
    for worker in work.workers.iter().flatten() {
        if let Some(number) = worker.process {
            *busy_by_number.entry(number).or_default() |= worker.busy;
        }
    }
    (!busy_by_number.is_empty()).then_some(busy_by_number)
}

/// Why it cannot be said that nothing waits and nothing runs; nothing when it can.
fn not_drained(work: &Work, victims: Victims, running: u32) -> Option<String> {
    let busy = work.workers.iter().flatten().filter(|worker| worker.busy).count();
    match (work.waiting, work.in_progress) {
        (1.., _) => Some(format!("{} waiting", work.waiting)),
        (0, InProgress::Items(count @ 1..) | InProgress::ByWorkers(count @ 1..)) => {
            Some(format!("{count} in progress"))
        }
        // The books of a broker do not hold what was acknowledged before it was done.
        (0, _) if busy > 0 => Some(format!("{busy} {} busy", if busy == 1 { "worker is" } else { "workers are" })),
        (0, InProgress::Unseen) => Some("what is in progress cannot be seen".to_owned()),
        (0, InProgress::ByWorkers(0)) => {
            let seen = processes_with_workers(work, victims, running);
            (seen < running).then(|| format!("workers were seen in only {seen} of {running} processes"))
        }
        (0, InProgress::Items(0)) => None,
    }
}

/// In how many processes of those that run a worker was seen, at most: one without a name is taken for one of its own.
fn processes_with_workers(work: &Work, victims: Victims, running: u32) -> u32 {
    let workers = || work.workers.iter().flatten();
    let numbers: BTreeSet<u32> = workers().filter_map(|worker| worker.process).collect();
    // Where the highest numbers go first, nothing above the count runs any more; it has merely not signed off.
    let runs = |number: &u32| victims != Victims::Highest || *number <= running;
    let nameless = workers().filter(|worker| worker.process.is_none()).count();
    in_u32(numbers.into_iter().filter(runs).count() + nameless)
}

fn in_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection(scale_down_when: ScaleDownWhen, victims: Victims) -> Protection {
        Protection { scale_down_when, max_busy_wait: Duration::from_secs(3600), victims }
    }

    /// Workers 1, 2, … with a letter each: `b`usy, `f`ree, `-` not seen.
    fn workers(letters: &str) -> Work {
        let seen = letters.chars().enumerate().filter(|(_, letter)| *letter != '-');
        let worker = |(index, letter)| Worker { process: u32::try_from(index + 1).ok(), busy: letter == 'b' };
        let busy = letters.chars().filter(|letter| *letter == 'b').count() as u64;
        Work { waiting: 0, in_progress: InProgress::ByWorkers(busy), workers: Some(seen.map(worker).collect()) }
    }

    #[test]
    fn on_a_platform_that_stops_the_highest_number_only_the_free_ones_in_a_row_from_the_top_go() {
        for (name, letters, wanted, floor_expected) in [
            ("all free", "fffff", 1, 1),
            ("the highest is busy", "ffffb", 1, 5),
            ("two at the top are free", "fbbff", 1, 3),
            ("one free in the middle does not help", "bbfbb", 1, 5),
            ("no further than wanted", "fffff", 3, 3),
            ("one that was not seen is not free", "ffff-", 1, 5),
            ("nobody was seen", "-----", 1, 5),
        ] {
            let protection = protection(ScaleDownWhen::Idle, Victims::Highest);
            let found = floor(&protection, &[Some(&workers(letters))], 5, wanted);
            assert_eq!(found.count, floor_expected, "{name}: {found:?}");
            assert_eq!(found.because.is_empty(), found.count == wanted, "{name}: {found:?}");
        }
    }

    #[test]
    fn where_the_platform_lets_us_choose_all_that_are_free_may_go() {
        for (name, letters, wanted, floor_expected) in [
            ("all free", "fffff", 1, 1),
            ("the highest is busy", "ffffb", 1, 1),
            ("three busy", "bfbfb", 1, 3),
            ("all busy", "bbbbb", 1, 5),
            ("not seen is not free", "f---f", 1, 3),
        ] {
            let protection = protection(ScaleDownWhen::Idle, Victims::Chosen);
            let found = floor(&protection, &[Some(&workers(letters))], 5, wanted);
            assert_eq!(found.count, floor_expected, "{name}: {found:?}");
        }
    }

    #[test]
    fn where_it_cannot_be_known_who_is_busy_the_process_shrinks_only_when_drained() {
        let nameless = |busy: [bool; 2]| {
            let in_progress = InProgress::ByWorkers(busy.iter().filter(|busy| **busy).count() as u64);
            let workers = busy.map(|busy| Worker { process: None, busy }).to_vec();
            Work { waiting: 0, in_progress, workers: Some(workers) }
        };
        let counted = |waiting, in_progress| Work { waiting, in_progress, workers: None };
        for (name, work, floor_expected) in [
            ("a nameless worker is busy", nameless([false, true]), 2),
            ("two nameless workers are free", nameless([false, false]), 0),
            ("nothing waits or runs", counted(0, InProgress::Items(0)), 0),
            ("something waits", counted(1, InProgress::Items(0)), 2),
            ("something runs", counted(0, InProgress::Items(1)), 2),
            ("what runs cannot be seen", counted(0, InProgress::Unseen), 2),
            ("no worker was seen", counted(0, InProgress::ByWorkers(0)), 2),
        ] {
            for victims in [Victims::Highest, Victims::Chosen, Victims::Unknown] {
                let found = floor(&protection(ScaleDownWhen::Idle, victims), &[Some(&work)], 2, 0);
                assert_eq!(found.count, floor_expected, "{name}, {victims:?}: {found:?}");
            }
            let found = floor(&protection(ScaleDownWhen::Drained, Victims::Chosen), &[Some(&work)], 2, 0);
            assert_eq!(found.count, floor_expected, "{name}, drained: {found:?}");
        }
    }

    #[test]
    fn drained_holds_the_free_ones_too_and_always_holds_nobody() {
        let work = workers("ffb");
        assert_eq!(floor(&protection(ScaleDownWhen::Drained, Victims::Chosen), &[Some(&work)], 3, 1).count, 3);
        assert_eq!(floor(&protection(ScaleDownWhen::Always, Victims::Chosen), &[Some(&work)], 3, 1).count, 1);
    }

    #[test]
    fn a_measurement_that_failed_leaves_nobody_free() {
        for scale_down_when in [ScaleDownWhen::Idle, ScaleDownWhen::Drained] {
            assert_eq!(floor(&protection(scale_down_when, Victims::Chosen), &[None], 3, 1).count, 3);
        }
    }

    #[test]
    fn of_two_workers_in_one_process_both_must_be_free() {
        let both = |busy| Worker { process: Some(2), busy };
        let work = Work {
            waiting: 0,
            in_progress: InProgress::ByWorkers(1),
            workers: Some(vec![both(true), both(false), Worker { process: Some(1), busy: false }]),
        };
        let found = floor(&protection(ScaleDownWhen::Idle, Victims::Highest), &[Some(&work)], 2, 1);
        assert_eq!((found.count, found.free), (2, Some(vec![1])));
    }

    #[test]
    fn a_busy_worker_is_work_even_if_the_brokers_books_hold_nothing() {
        let early_acknowledged = Work {
            waiting: 0,
            in_progress: InProgress::Items(0),
            workers: Some(vec![Worker { process: None, busy: true }]),
        };
        for scale_down_when in [ScaleDownWhen::Idle, ScaleDownWhen::Drained] {
            for victims in [Victims::Highest, Victims::Chosen, Victims::Unknown] {
                let found = floor(&protection(scale_down_when, victims), &[Some(&early_acknowledged)], 1, 0);
                assert_eq!((found.count, found.because.contains("1 worker is busy")), (1, true), "{found:?}");
            }
        }
    }

    #[test]
    fn two_workers_in_one_process_do_not_vouch_for_another_process() {
        let free_in = |process| Worker { process, busy: false };
        let of = |workers: &[Worker]| Work {
            waiting: 0,
            in_progress: InProgress::ByWorkers(0),
            workers: Some(workers.to_vec()),
        };
        for (name, work, victims, floor_expected) in [
            ("both in number 1", of(&[free_in(Some(1)), free_in(Some(1))]), Victims::Chosen, 2),
            ("both in number 1", of(&[free_in(Some(1)), free_in(Some(1))]), Victims::Unknown, 2),
            ("one in each", of(&[free_in(Some(1)), free_in(Some(2))]), Victims::Unknown, 0),
            ("one has gone already", of(&[free_in(Some(2)), free_in(Some(3))]), Victims::Unknown, 0),
            ("one above those that run", of(&[free_in(Some(1)), free_in(Some(3))]), Victims::Highest, 2),
        ] {
            for scale_down_when in [ScaleDownWhen::Drained, ScaleDownWhen::Idle] {
                let found = floor(&protection(scale_down_when, victims), &[Some(&work)], 2, 0);
                let at_most_one_free = scale_down_when == ScaleDownWhen::Idle && victims == Victims::Chosen;
                let expected = if at_most_one_free { 1 } else { floor_expected };
                assert_eq!(found.count, expected, "{name}, {scale_down_when:?}, {victims:?}: {found:?}");
            }
        }
    }

    #[test]
    fn by_two_signals_a_process_is_free_only_if_both_know_it() {
        let idle = |victims| protection(ScaleDownWhen::Idle, victims);
        for (name, one, other, victims, expected) in [
            ("both know one of three", "ff-", "-ff", Victims::Chosen, (2, vec![2])),
            ("they know none in common", "f--", "-ff", Victims::Chosen, (3, vec![])),
            ("both know the highest", "bbf", "fff", Victims::Highest, (2, vec![3])),
            ("the second knows better", "fff", "fbf", Victims::Highest, (2, vec![1, 3])),
        ] {
            let [mut one, mut other] = [workers(one), workers(other)];
            (one.waiting, other.waiting) = (1, 1);
            for known in [[Some(&one), Some(&other)], [Some(&other), Some(&one)]] {
                let found = floor(&idle(victims), &known, 3, 0);
                assert_eq!((found.count, found.free.clone().unwrap()), expected, "{name}: {found:?}");
            }
        }
        let (drained, at_work) = (Work { in_progress: InProgress::Items(0), ..workers("f--") }, workers("bbf"));
        let found = floor(&idle(Victims::Chosen), &[Some(&drained), Some(&at_work)], 3, 0);
        assert_eq!((found.count, found.free), (2, Some(vec![3])), "a queue without work has no objection");
        let nameless = Work { waiting: 1, in_progress: InProgress::Items(1), workers: None };
        let found = floor(&idle(Victims::Chosen), &[Some(&nameless), Some(&workers("fbf"))], 3, 0);
        assert_eq!((found.count, found.free), (3, Some(vec![1, 3])), "what one cannot see, the other does not know");
        let found = floor(&idle(Victims::Chosen), &[Some(&workers("fff")), None], 3, 0);
        assert_eq!(found.count, 3, "one of two failed: {found:?}");
    }

    #[test]
    fn who_is_known_to_be_busy_stays_however_many_are_free() {
        // Number 4 has ended and not signed off.
        let work = workers("b--f");
        let found = floor(&protection(ScaleDownWhen::Idle, Victims::Chosen), &[Some(&work)], 1, 0);
        assert_eq!(found.count, 1, "{found:?}");
    }

    #[test]
    fn who_is_free_by_one_of_two_signals_only_stays_however_many_are_free_by_both() {
        // Of four one has ended and not signed off; if it is number 1, only number 2 is free by both.
        let (one, other) = (Work { waiting: 1, ..workers("fff-") }, Work { waiting: 1, ..workers("ff-f") });
        let found = floor(&protection(ScaleDownWhen::Idle, Victims::Chosen), &[Some(&one), Some(&other)], 3, 0);
        assert_eq!((found.count, found.free), (2, Some(vec![1, 2])));
    }
}
