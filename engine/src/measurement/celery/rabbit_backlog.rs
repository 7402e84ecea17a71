//! What RabbitMQ's books and the words of Celery's workers mean for each queue.
//!
//! RabbitMQ shows no message without taking it away. So of those that are ready only the number is known; of those that
//! were delivered the workers tell: what runs, what is held for a free place (it waits), what is held until its time comes.
//!
//! One trap needs a memory. When the last worker that holds planned tasks is stopped, RabbitMQ puts them back among the
//! ready ones. Whoever counts those starts a worker, which takes them and is idle, and is stopped: up and down without end.
//! What workers once told is remembered by the task's id; as long as nobody holds it and its time has not come, it is one
//! of the ready ones that cannot start. When there are fewer ready ones than that, the memory is wrong (somebody has purged
//! the queue) and is given up.

use std::collections::{BTreeMap, BTreeSet};

use autoscalebot_core::moment::Moment;
use jiff::Timestamp;

use super::answer::{Answer, Known, Running};
use crate::{
    broker::rabbitmq::queues::{Book, age_of},
    measurement::queue::{Backlog, Oldest},
};

/// The books are read a moment before the workers answer, so they may contradict once or twice without meaning it.
const MOST_CONTRADICTIONS: u32 = 3;

/// More planned tasks are not remembered; those that do not fit count as waiting when their worker is stopped.
const MOST_REMEMBERED: usize = 10_000;

/// Planned tasks that workers told of, by queue.
#[derive(Debug, Default)]
pub struct Memory {
    queues: BTreeMap<String, Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// When each may run, by its id.
    etas: BTreeMap<String, Timestamp>,
    contradictions: u32,
}

impl Memory {
    /// How many of a queue's ready tasks are planned, though no worker holds them any more.
    fn among_ready(&mut self, name: &str, told: &Told<'_>, ready: u64, now: Timestamp) -> u64 {
        let remembered = self.queues.entry(name.to_owned()).or_default();
        remembered.etas.retain(|id, eta| *eta > now && !told.begun.contains(id.as_str()));
        let held = |id: &String| told.planned.contains_key(id.as_str());
        let unseen = remembered.etas.keys().filter(|id| !held(id)).count();
        let unseen = u64::try_from(unseen).unwrap_or(u64::MAX);
        remembered.contradictions = if unseen > ready { remembered.contradictions + 1 } else { 0 };
        if remembered.contradictions >= MOST_CONTRADICTIONS {
            remembered.etas.retain(|id, _| held(id));
            remembered.contradictions = 0;
            return 0;
        }
        for (id, eta) in &told.planned {
            if remembered.etas.len() < MOST_REMEMBERED {
                remembered.etas.insert((*id).to_owned(), *eta);
            }
        }
        unseen.min(ready)
    }
}

/// What workers tell of one queue.
#[derive(Default)]
struct Told<'a> {
    running: u64,
    /// Of these, the broker still keeps so many.
    running_late: u64,
    /// Held for a free place, or due.
    reserved: u64,
    /// Whether all workers told what they hold for a free place.
    reserved_is_known: bool,
    /// Held until then.
    planned: BTreeMap<&'a str, Timestamp>,
    planned_is_known: bool,
    /// The ids of those that run or are reserved.
    begun: BTreeSet<&'a str>,
}

impl<'a> Told<'a> {
    fn of(name: &str, answer: &'a Answer, now: Timestamp) -> Self {
        let workers = || answer.workers.values();
        let mut told = Self {
            reserved_is_known: workers().all(|worker| worker.reserved.is_some()),
            planned_is_known: workers().all(|worker| worker.scheduled.is_some()),
            ..Self::default()
        };
        let here = |task: &Running| answer.queue_of(&task.exchange, &task.routing_key) == name;
        for task in workers().flat_map(|worker| &worker.active).filter(|task| here(task)) {
            told.running += 1;
            told.running_late += u64::from(!task.acknowledged);
            told.begun.insert(&task.id);
        }
        // Who moved on between two questions is told twice; then the later word counts.
        for task in workers().flat_map(|worker| worker.reserved.iter().flatten()).filter(|task| here(task)) {
            told.reserved += u64::from(told.begun.insert(&task.id));
        }
        for planned in workers().flat_map(|worker| worker.scheduled.iter().flatten()) {
            if !here(&planned.task) || told.begun.contains(planned.task.id.as_str()) {
                continue;
            }
            match planned.eta {
                Some(eta) if eta > now => {
                    told.planned.insert(&planned.task.id, eta);
                }
                // Its time has come; the worker is about to move it.
                _ => told.reserved += 1,
            }
        }
        told
    }
}

/// The backlog of each queue, and what people should know.
pub fn backlogs(
    books: &BTreeMap<String, Book>,
    answer: Option<&Answer>,
    memory: &mut Memory,
    now: &Moment,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Backlog> {
    let is_ours = |name: &str| books.contains_key(name);
    let known = answer.map(|answer| (answer, answer.known(&is_ours)));
    let mut backlogs = BTreeMap::new();
    for (name, book) in books {
        let backlog = match &known {
            None => of_books(name, book, now, notes),
            Some((answer, known)) => {
                let is_known = match known {
                    Known::All => true,
                    Known::But { queues, .. } => !queues.contains(name),
                    Known::Nothing => false,
                };
                told_by_workers(name, book, &Told::of(name, answer, now.civil), is_known, memory, now)
            }
        };
        backlogs.insert(name.clone(), backlog);
    }
    backlogs
}

/// A queue of which no worker tells: what is ready, and nothing else for sure.
fn of_books(name: &str, book: &Book, now: &Moment, notes: &mut Vec<String>) -> Backlog {
    let unacknowledged = book.counts.map_or(0, |counts| counts.unacknowledged);
    if unacknowledged > 0 {
        notes.push(format!(
            "{unacknowledged} tasks of queue {name:?} are with workers, not counted: fetched, planned or running"
        ));
    }
    let (oldest, estimate) = age_of(book, book.ready, unacknowledged > 0, now);
    Backlog { waiting: book.ready, in_progress: None, scheduled: None, oldest, estimate }
}

fn told_by_workers(
    name: &str,
    book: &Book,
    told: &Told<'_>,
    is_known: bool,
    memory: &mut Memory,
    now: &Moment,
) -> Backlog {
    // A silent worker may hold what is remembered, so that it is not among the ready ones.
    let set_aside = if is_known { memory.among_ready(name, told, book.ready, now.civil) } else { 0 };
    let waiting = (book.ready - set_aside).saturating_add(told.reserved);
    let planned = set_aside.saturating_add(u64::try_from(told.planned.len()).unwrap_or(u64::MAX));
    let is_planned_known = is_known && told.planned_is_known;
    // A planned task keeps its stamp, so as soon as there is one, the oldest stamp may be its.
    let (oldest, mut estimate) = if is_planned_known && planned == 0 {
        age_of(book, waiting, told.running_late > 0, now)
    } else {
        (Backlog::of_waiting(waiting).oldest, None)
    };
    if !is_known || !told.reserved_is_known {
        estimate = Some("waiting is at least this: not all workers told what they have fetched".to_owned());
    }
    Backlog {
        waiting,
        in_progress: is_known.then_some(told.running),
        scheduled: is_planned_known.then_some(planned),
        oldest: if waiting == 0 { Oldest::Nothing } else { oldest },
        estimate,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{
        super::answer::{Planned, Route, Worker},
        *,
    };
    use crate::broker::rabbitmq::Counts;

    fn now() -> Moment {
        Moment { since_start: Duration::from_secs(100), civil: "2026-11-23T12:00:00Z".parse().unwrap() }
    }

    fn task(id: &str, acknowledged: bool) -> Running {
        Running { id: id.to_owned(), exchange: String::new(), routing_key: "mail".to_owned(), acknowledged }
    }

    /// One worker that serves `mail`.
    fn answer(active: &[(&str, bool)], reserved: &[&str], planned: &[(&str, i64)]) -> Answer {
        let route =
            Route { queue: "mail".into(), exchange: "mail".into(), is_topic: false, routing_key: "mail".into() };
        let eta = |seconds: i64| now().civil + jiff::SignedDuration::from_secs(seconds);
        let worker = Worker {
            active: active.iter().map(|(id, acknowledged)| task(id, *acknowledged)).collect(),
            reserved: Some(reserved.iter().map(|id| task(id, false)).collect()),
            scheduled: Some(
                planned.iter().map(|(id, at)| Planned { task: task(id, false), eta: Some(eta(*at)) }).collect(),
            ),
            routes: Some(Arc::new([route])),
        };
        Answer { workers: BTreeMap::from([("worker@a".to_owned(), worker)]), listeners: Some(1), ..Answer::default() }
    }

    fn nobody() -> Answer {
        Answer { listeners: Some(0), ..Answer::default() }
    }

    fn mail(ready: u64, counts: Option<Counts>, answer: Option<&Answer>, memory: &mut Memory) -> Backlog {
        let books = BTreeMap::from([("mail".to_owned(), Book { ready, counts })]);
        backlogs(&books, answer, memory, &now(), &mut Vec::new()).remove("mail").unwrap()
    }

    /// Waiting, in progress, scheduled.
    fn counts(ready: u64, answer: &Answer, memory: &mut Memory) -> (u64, Option<u64>, Option<u64>) {
        let backlog = mail(ready, None, Some(answer), memory);
        (backlog.waiting, backlog.in_progress, backlog.scheduled)
    }

    #[test]
    fn what_workers_hold_waits_runs_or_is_planned_as_they_say() {
        let answer = answer(&[("1", true), ("2", false)], &["3", "4", "5"], &[("6", 60), ("7", -1)]);
        assert_eq!(counts(10, &answer, &mut Memory::default()), (14, Some(2), Some(1)));
        let silent = Answer { silent: 1, ..answer.clone() };
        assert_eq!(counts(10, &silent, &mut Memory::default()), (14, None, None));
        assert_eq!(mail(10, None, Some(&silent), &mut Memory::default()).oldest, Oldest::NoStamp);
    }

    #[test]
    fn without_a_word_of_workers_only_what_is_ready_is_counted_and_the_rest_is_told() {
        let books = Book { ready: 2, counts: Some(Counts { unacknowledged: 7, head: None }) };
        let mut notes = Vec::new();
        let books = BTreeMap::from([("mail".to_owned(), books)]);
        let backlog = &backlogs(&books, None, &mut Memory::default(), &now(), &mut notes)["mail"];
        assert_eq!((backlog.waiting, backlog.in_progress, backlog.scheduled), (2, None, None));
        assert!(notes[0].starts_with("7 tasks of queue \"mail\""), "{notes:?}");
    }

    #[test]
    fn planned_tasks_that_come_back_from_a_stopped_worker_do_not_wait() {
        let mut memory = Memory::default();
        let holding = answer(&[], &[], &[("1", 60), ("2", 60)]);
        assert_eq!(counts(0, &holding, &mut memory), (0, Some(0), Some(2)));
        // The worker was stopped after the books were read, and before the workers answered.
        assert_eq!(counts(0, &nobody(), &mut memory), (0, Some(0), Some(0)));
        assert_eq!(counts(2, &nobody(), &mut memory), (0, Some(0), Some(2)));
        // One more was sent, and somebody begins.
        assert_eq!(counts(3, &nobody(), &mut memory), (1, Some(0), Some(2)));
        assert_eq!(
            counts(0, &answer(&[("3", true)], &[], &[("1", 60), ("2", 60)]), &mut memory),
            (0, Some(1), Some(2))
        );
        // One is due, and runs: it does not come back.
        assert_eq!(counts(1, &answer(&[("1", true)], &[], &[]), &mut memory), (0, Some(1), Some(1)));
        assert_eq!(counts(1, &nobody(), &mut memory), (0, Some(0), Some(1)));
    }

    #[test]
    fn a_planned_task_waits_when_its_time_has_come() {
        let mut memory = Memory::default();
        counts(0, &answer(&[], &[], &[("1", 60)]), &mut memory);
        let books = BTreeMap::from([("mail".to_owned(), Book { ready: 1, counts: None })]);
        let later = Moment { civil: now().civil + Duration::from_secs(60), ..now() };
        let backlog = &backlogs(&books, Some(&nobody()), &mut memory, &later, &mut Vec::new())["mail"];
        assert_eq!((backlog.waiting, backlog.scheduled), (1, Some(0)));
    }

    #[test]
    fn a_memory_that_the_books_contradict_is_given_up() {
        let mut memory = Memory::default();
        counts(0, &answer(&[], &[], &[("1", 60), ("2", 60)]), &mut memory);
        assert_eq!(counts(2, &nobody(), &mut memory), (0, Some(0), Some(2)));
        // The queue was purged, and one task was sent.
        for _ in 1..MOST_CONTRADICTIONS {
            assert_eq!(counts(1, &nobody(), &mut memory), (0, Some(0), Some(1)));
        }
        assert_eq!(counts(1, &nobody(), &mut memory), (1, Some(0), Some(0)));
        assert_eq!(counts(2, &nobody(), &mut memory), (2, Some(0), Some(0)));
    }

    #[test]
    fn the_oldest_stamp_counts_when_it_cannot_be_that_of_a_planned_task() {
        let stamped = |unacknowledged| {
            let head = Some(now().civil - Duration::from_secs(30));
            Some(Counts { unacknowledged, head })
        };
        let oldest = |answer: Option<&Answer>| {
            let backlog = mail(1, stamped(1), answer, &mut Memory::default());
            (backlog.oldest, backlog.estimate.is_some_and(|estimate| estimate.contains("latency is less")))
        };
        let age = Oldest::Since(Duration::from_secs(30));
        assert_eq!(oldest(Some(&answer(&[], &["1"], &[]))), (age, false));
        assert_eq!(oldest(Some(&answer(&[("1", false)], &[], &[]))), (age, true));
        assert_eq!(oldest(Some(&answer(&[], &[], &[("1", 60)]))), (Oldest::NoStamp, false));
        assert_eq!(oldest(None), (age, true));
        let empty = mail(0, stamped(0), Some(&nobody()), &mut Memory::default());
        assert_eq!(empty.oldest, Oldest::Nothing);
    }
}
