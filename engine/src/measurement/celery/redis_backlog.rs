//! From what was read in Redis and what workers say to the backlog of each queue.
//!
//! ```text
//!  in its list ──────────────► waiting, or scheduled if its time has not come
//!  in `unacked`, and ─┬─ its time has not come ────────────► scheduled
//!                     ├─ a worker runs it (acks_late) ─────► in progress, as the worker says
//!                     ├─ a worker holds it ────────────────► waiting: it could start now if a worker were free
//!                     └─ nobody holds it ──┬─ its time at the broker is over ──► waiting: the next worker gets it
//!                                          └─ not yet ─────────────────────────► scheduled: it comes back then
//!  nowhere, and a worker runs it (early ack) ──► in progress
//! ```

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    answer::{Answer, Known},
    message::Task,
    redis_reading::{Element, List, Reading, Unacked},
    share::Estimate,
};
use crate::measurement::queue::{Backlog, Oldest};

/// A worker's book may be behind by so much: a task was delivered, or its time came, and the worker has not written it
/// down; or its clock is behind ours.
const JUST_NOW: Duration = Duration::from_secs(3);

/// What became of a task that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its time has not come.
    Scheduled,
    /// A worker runs it.
    Running,
    /// A worker holds it for a free place, or may hold it.
    Waiting,
    /// No worker that answered has it.
    Held(ByNobody),
}

/// See [`Fate::Held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByNobody {
    /// It is not known since when.
    Suspected,
    /// The broker gives it to the next worker that asks.
    Due,
    /// The broker keeps it until the visibility timeout is over.
    Later,
}

/// The delivered tasks of our queues: tag, queue, task and fate.
pub type Delivered<'a> = Vec<(&'a str, String, &'a Task, Fate)>;

/// Sorts what is delivered. `answer` is nothing when workers are not asked or could not be.
#[must_use]
pub fn delivered<'a>(
    unacked: &'a Unacked,
    answer: Option<&Answer>,
    is_ours: &impl Fn(&str) -> bool,
    now: Timestamp,
) -> Delivered<'a> {
    let known = answer.map(|answer| (answer, answer.known(is_ours)));
    let mut delivered = Vec::new();
    for (tag, task) in &unacked.tasks {
        let Some(task) = task else { continue };
        let queue =
            answer.map_or(task.routing_key.as_str(), |answer| answer.queue_of(&task.exchange, &task.routing_key));
        if !is_ours(queue) {
            continue;
        }
        let fate = match &known {
            _ if task.is_scheduled(now) => Fate::Scheduled,
            None => Fate::Waiting,
            Some((answer, known)) => fate(task, answer, known, queue, now),
        };
        delivered.push((tag.as_str(), queue.to_owned(), task, fate));
    }
    delivered
}

fn fate(task: &Task, answer: &Answer, known: &Known, queue: &str, now: Timestamp) -> Fate {
    let Some(id) = &task.id else { return Fate::Waiting };
    let workers = || answer.workers.values();
    if workers().any(|worker| worker.active.iter().any(|running| running.id == *id)) {
        return Fate::Running;
    }
    let all_told = match known {
        Known::All => workers().all(|worker| worker.reserved.is_some()),
        Known::But { queues, .. } => !queues.contains(queue) && workers().all(|worker| worker.reserved.is_some()),
        Known::Nothing => false,
    };
    let due_just_now = task.eta.is_some_and(|eta| eta + JUST_NOW > now);
    if !all_told || due_just_now || workers().any(|worker| worker.reserved.iter().flatten().any(|held| held.id == *id))
    {
        return Fate::Waiting;
    }
    Fate::Held(ByNobody::Suspected)
}

/// What becomes of a task that nobody seems to hold, delivered at this moment (seconds since 1970, nothing when it is not
/// delivered any more), when workers were asked at `asked`.
#[must_use]
pub fn judged(delivered: Option<f64>, asked: Timestamp, now: Timestamp, visibility: Duration) -> Option<Fate> {
    let since_epoch = |moment: Timestamp| moment.as_duration().as_secs_f64();
    let delivered = delivered?;
    Some(if delivered + visibility.as_secs_f64() <= since_epoch(now) {
        Fate::Held(ByNobody::Due)
    } else if delivered > since_epoch(asked) - JUST_NOW.as_secs_f64() {
        Fate::Waiting
    } else {
        Fate::Held(ByNobody::Later)
    })
}

/// The backlog of each queue; every queue that was read is there. `patterns` stands for them when there is none at all.
#[must_use]
pub fn backlogs(
    reading: &Reading,
    delivered: &Delivered<'_>,
    answer: Option<&Answer>,
    is_ours: &impl Fn(&str) -> bool,
    now: Timestamp,
    patterns: &str,
) -> BTreeMap<String, Backlog> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (queue, lists) in &reading.queues {
        let sum = sums.entry(queue.clone()).or_default();
        lists.iter().for_each(|list| sum.add_list(list, now));
    }
    let mut by_queue: BTreeMap<&str, Vec<(&Task, Fate)>> = BTreeMap::new();
    for (_, queue, task, fate) in delivered {
        by_queue.entry(queue).or_default().push((task, *fate));
    }
    for (queue, tasks) in by_queue {
        sums.entry(queue.to_owned()).or_default().add_delivered(&reading.unacked, &tasks, now);
    }
    let running = answer.map(|answer| (running(answer, is_ours), answer.known(is_ours)));
    if let Some((running, known)) = &running {
        // What a pattern means may be empty in Redis and busy all the same.
        let hidden = match known {
            Known::But { queues, .. } => Some(queues.iter().filter(|queue| is_ours(queue))),
            Known::All | Known::Nothing => None,
        };
        for queue in running.keys().chain(hidden.into_iter().flatten()) {
            sums.entry(queue.clone()).or_default();
        }
    }
    if sums.is_empty() {
        sums.entry(patterns.to_owned()).or_default();
    }
    let in_progress = |queue: &str| {
        let (running, known) = running.as_ref()?;
        let is_known = match known {
            Known::All => true,
            Known::But { queues, .. } => !queues.contains(queue),
            Known::Nothing => false,
        };
        is_known.then(|| running.get(queue).copied().unwrap_or(0))
    };
    sums.into_iter().map(|(queue, sum)| (queue.clone(), sum.backlog(in_progress(&queue)))).collect()
}

/// How many tasks run, by queue.
fn running(answer: &Answer, is_ours: &impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
    let mut running = BTreeMap::new();
    for task in answer.workers.values().flat_map(|worker| &worker.active) {
        let queue = answer.queue_of(&task.exchange, &task.routing_key);
        if is_ours(queue) {
            *running.entry(queue.to_owned()).or_default() += 1;
        }
    }
    running
}

struct Sum {
    waiting: Estimate,
    scheduled: Estimate,
    oldest: Oldest,
    /// How many were looked at, of how many, where not all were.
    looked_at: Option<(u64, u64)>,
    oldest_is_at_least: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            waiting: Estimate::default(),
            scheduled: Estimate::default(),
            oldest: Oldest::Nothing,
            looked_at: None,
            oldest_is_at_least: false,
        }
    }
}

impl Sum {
    fn add_list(&mut self, list: &List, now: Timestamp) {
        let is_scheduled = |element: &Element| element.as_ref().is_some_and(|task| task.is_scheduled(now));
        let of = |piece: &[Element]| piece.iter().filter(|element| is_scheduled(element)).count();
        let mut scheduled = Estimate::counted(of(&list.oldest) as u64);
        if list.is_whole() {
            scheduled += Estimate::counted(list.pieces.iter().map(|piece| of(piece) as u64).sum());
        } else {
            let pieces: Vec<(usize, usize)> = list.pieces.iter().map(|piece| (of(piece), piece.len())).collect();
            scheduled += Estimate::of(list.rest(), &pieces);
            self.looked_at(list.looked_at(), list.length);
        }
        #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 items")]
        let waiting = Estimate { count: (list.length as f64 - scheduled.count).max(0.0), variance: scheduled.variance };
        self.waiting += waiting;
        self.scheduled += scheduled;
        // The newest come first in the rest.
        let due = |element: &&Element| !is_scheduled(element);
        let oldest_seen = list.oldest.iter().filter(due);
        let then = list.pieces.iter().rev().flat_map(|piece| piece.iter().rev()).filter(due);
        self.oldest_is_at_least |= !list.is_whole() && list.oldest.iter().all(is_scheduled) && waiting.rounded() > 0;
        self.oldest = self.oldest.older(oldest(oldest_seen.chain(then), now));
    }

    fn add_delivered(&mut self, unacked: &Unacked, tasks: &[(&Task, Fate)], now: Timestamp) {
        let count = |is: fn(Fate) -> bool| tasks.iter().filter(|(_, fate)| is(*fate)).count();
        let looked_at = unacked.tasks.len();
        let estimate = |count: usize| {
            if unacked.is_whole {
                Estimate::counted(count as u64)
            } else {
                Estimate::of(unacked.length.max(looked_at as u64), &[(count, looked_at)])
            }
        };
        let waits = |fate| matches!(fate, Fate::Waiting | Fate::Held(ByNobody::Due | ByNobody::Suspected));
        self.waiting += estimate(count(waits));
        self.scheduled += estimate(count(|fate| matches!(fate, Fate::Scheduled | Fate::Held(ByNobody::Later))));
        if !unacked.is_whole {
            self.looked_at(looked_at as u64, unacked.length);
        }
        let ages = tasks.iter().filter(|(_, fate)| waits(*fate)).map(|(task, _)| age(Some(task), now));
        self.oldest = ages.fold(self.oldest, Oldest::older);
    }

    fn looked_at(&mut self, looked_at: u64, of: u64) {
        let (before, before_of) = self.looked_at.unwrap_or_default();
        self.looked_at = Some((before + looked_at, before_of + of));
    }

    fn backlog(self, in_progress: Option<u64>) -> Backlog {
        let estimate = self.looked_at.map(|(looked_at, of)| {
            let error = self.waiting.standard_error();
            let at_least = if self.oldest_is_at_least { "; the latency is at least this" } else { "" };
            format!(
                "{looked_at} of {of} tasks were looked at; waiting is within {error} (one standard error){at_least}"
            )
        });
        let waiting = self.waiting.rounded();
        // Of an estimate, one that was seen to wait waits.
        let waiting = if waiting == 0 && self.oldest != Oldest::Nothing { 1 } else { waiting };
        let oldest = if waiting > 0 && self.oldest == Oldest::Nothing { Oldest::NoStamp } else { self.oldest };
        Backlog { waiting, in_progress, scheduled: Some(self.scheduled.rounded()), oldest, estimate }
    }
}

/// The oldest of a list's elements that are due, the oldest first. What was sent with a time of its own may be younger than
/// what was sent after it; so it is the first one without that tells.
fn oldest<'a>(due: impl Iterator<Item = &'a Element>, now: Timestamp) -> Oldest {
    let mut oldest = Oldest::Nothing;
    for element in due {
        oldest = oldest.older(age(element.as_ref(), now));
        if element.as_ref().is_none_or(|task| task.eta.is_none()) {
            break;
        }
    }
    oldest
}

fn age(task: Option<&Task>, now: Timestamp) -> Oldest {
    task.and_then(|task| task.age(now)).map_or(Oldest::NoStamp, Oldest::Since)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::answer::{Route, Running, Worker},
        *,
    };

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn ago(seconds: u64) -> Timestamp {
        now() - Duration::from_secs(seconds)
    }

    fn task(id: &str, queue: &str) -> Task {
        Task { id: Some(id.to_owned()), routing_key: queue.to_owned(), ..Task::default() }
    }

    fn later(id: &str, queue: &str) -> Task {
        Task { eta: Some(now() + Duration::from_secs(60)), ..task(id, queue) }
    }

    fn unacked(tasks: &[Task]) -> Unacked {
        let tagged = tasks.iter().map(|task| (task.id.clone().unwrap(), Some(task.clone())));
        Unacked { length: tasks.len() as u64, tasks: tagged.collect(), is_whole: true }
    }

    /// One worker that serves `mail` and runs and holds these.
    fn answer(active: &[&str], reserved: &[&str]) -> Answer {
        let running = |id: &&str| Running {
            id: (*id).to_owned(),
            exchange: String::new(),
            routing_key: "mail".to_owned(),
            acknowledged: false,
        };
        let route =
            Route { queue: "mail".into(), exchange: "mail".into(), is_topic: false, routing_key: "mail".into() };
        let worker = Worker {
            active: active.iter().map(running).collect(),
            reserved: Some(reserved.iter().map(running).collect()),
            scheduled: None,
            routes: Some(Arc::new([route])),
        };
        Answer { workers: BTreeMap::from([("worker@a".to_owned(), worker)]), listeners: Some(1), ..Answer::default() }
    }

    fn fates(tasks: &[Task], answer: Option<&Answer>) -> Vec<Fate> {
        let unacked = unacked(tasks);
        delivered(&unacked, answer, &|name| name == "mail", now()).iter().map(|(.., fate)| *fate).collect()
    }

    #[test]
    fn each_delivered_task_has_the_fate_that_a_worker_gives_it() {
        let tasks = [task("1", "mail"), task("2", "mail"), task("3", "mail"), later("4", "mail"), task("5", "video")];
        let suspected = Fate::Held(ByNobody::Suspected);
        let told = answer(&["1"], &["2"]);
        assert_eq!(fates(&tasks, Some(&told)), [Fate::Running, Fate::Waiting, suspected, Fate::Scheduled]);
        assert_eq!(fates(&tasks, None), [Fate::Waiting, Fate::Waiting, Fate::Waiting, Fate::Scheduled]);
        // When somebody was not heard, nobody is accused.
        let silent = Answer { silent: 1, ..told.clone() };
        assert_eq!(fates(&tasks[2..3], Some(&silent)), [Fate::Waiting]);
        // Its time came this second; the worker is about to write it down.
        let just_due = Task { eta: Some(ago(1)), ..task("6", "mail") };
        assert_eq!(fates(&[just_due], Some(&told)), [Fate::Waiting]);
    }

    #[test]
    fn a_task_of_nobody_waits_when_the_broker_gives_it_to_the_next() {
        let hour = Duration::from_secs(3600);
        let fate = |seconds_ago: u64| judged(Some(ago(seconds_ago).as_duration().as_secs_f64()), ago(1), now(), hour);
        assert_eq!(fate(3600), Some(Fate::Held(ByNobody::Due)));
        assert_eq!(fate(3599), Some(Fate::Held(ByNobody::Later)));
        assert_eq!(fate(2), Some(Fate::Waiting));
        assert_eq!(judged(None, ago(1), now(), hour), None);
    }

    fn mail(reading: &Reading, answer: Option<&Answer>) -> Backlog {
        let is_ours = |name: &str| name == "mail";
        let delivered = delivered(&reading.unacked, answer, &is_ours, now());
        backlogs(reading, &delivered, answer, &is_ours, now(), "").remove("mail").unwrap()
    }

    fn list(oldest: Vec<Element>) -> List {
        List { length: oldest.len() as u64, oldest, pieces: Vec::new() }
    }

    #[test]
    fn lists_and_delivered_tasks_add_up_and_the_oldest_of_all_counts() {
        let sent = |id: &str, seconds: u64| Task { sent: Some(ago(seconds)), ..task(id, "mail") };
        let lists = vec![list(vec![Some(later("1", "mail")), Some(sent("2", 30))]), list(vec![Some(sent("3", 90))])];
        let mut reading = Reading { queues: BTreeMap::from([("mail".to_owned(), lists)]), ..Reading::default() };
        reading.unacked = unacked(&[sent("4", 200), sent("5", 120)]);
        let backlog = mail(&reading, Some(&answer(&["4"], &["5"])));
        let expected = Backlog {
            waiting: 3,
            in_progress: Some(1),
            scheduled: Some(1),
            oldest: Oldest::Since(Duration::from_secs(120)),
            estimate: None,
        };
        assert_eq!(backlog, expected);
        assert_eq!(mail(&reading, None).in_progress, None);
    }

    #[test]
    fn an_eta_that_came_late_does_not_hide_who_waits_longer_behind_it() {
        let due = Task { eta: Some(ago(5)), sent: Some(ago(500)), ..task("1", "mail") };
        let behind = Task { sent: Some(ago(60)), ..task("2", "mail") };
        let unstamped = task("3", "mail");
        let oldest = |tasks: &[&Task]| {
            let elements: Vec<Element> = tasks.iter().map(|task| Some((*task).clone())).collect();
            super::oldest(elements.iter(), now())
        };
        assert_eq!(oldest(&[&due, &behind, &unstamped]), Oldest::Since(Duration::from_secs(60)));
        assert_eq!(oldest(&[&due]), Oldest::Since(Duration::from_secs(5)));
        assert_eq!(oldest(&[&due, &unstamped, &behind]), Oldest::NoStamp);
        assert_eq!(oldest(&[]), Oldest::Nothing);
        assert_eq!(super::oldest([None].iter(), now()), Oldest::NoStamp);
    }

    #[test]
    fn a_list_of_which_pieces_were_seen_is_an_estimate_that_says_so() {
        let (due, planned) = (Some(task("1", "mail")), Some(later("2", "mail")));
        let piece = vec![due.clone(), planned.clone()];
        let long = List { length: 1000, oldest: vec![planned; 10], pieces: vec![piece; 10] };
        let reading = Reading { queues: BTreeMap::from([("mail".to_owned(), vec![long])]), ..Reading::default() };
        let backlog = mail(&reading, None);
        assert_eq!((backlog.waiting, backlog.scheduled), (495, Some(505)));
        let words = backlog.estimate.unwrap();
        assert!(words.starts_with("30 of 1000 tasks were looked at; waiting is within 1"), "{words}");
        assert!(words.ends_with("the latency is at least this"), "{words}");
    }

    #[test]
    fn a_part_of_what_is_delivered_stands_for_all_of_it() {
        let mut reading = Reading { unacked: unacked(&[task("1", "mail"), later("2", "mail")]), ..Reading::default() };
        reading.unacked.tasks.extend([("x".to_owned(), None), ("y".to_owned(), Some(task("y", "video")))]);
        reading.unacked.length = 400;
        reading.unacked.is_whole = false;
        let backlog = mail(&reading, None);
        assert_eq!((backlog.waiting, backlog.scheduled), (100, Some(100)));
        assert!(backlog.estimate.is_some());
    }

    #[test]
    fn patterns_that_find_nothing_are_an_empty_queue_whose_work_is_unknown_when_nobody_was_asked() {
        let found =
            |answer: Option<&Answer>| backlogs(&Reading::default(), &Vec::new(), answer, &|_| false, now(), "a*");
        assert_eq!(found(None)["a*"].in_progress, None);
        assert_eq!(found(Some(&Answer::default()))["a*"].in_progress, Some(0));
        assert_eq!(found(Some(&Answer { silent: 1, ..Answer::default() }))["a*"].in_progress, None);
    }
}
