//! The work of the made-up world: who is busy in truth, what each measurement sees of it, and whom the platform stops.
//!
//! What is seen differs from the truth in every way that real queues know: workers without names, processes that no
//! worker was seen for, workers that have ended and not signed off, two workers in one process, books without workers,
//! looks that are old, and plain nonsense. Which of these are honest is said by [`Sight::is_honest`]: an honest look may
//! leave out much, but what it says is so.

use std::{collections::BTreeSet, time::Duration};

use autoscalebot_core::{
    busy::{InProgress, Protection, ScaleDownWhen, Victims, Work, Worker},
    moment::Moment,
    sample::Sample,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::world::Random;

/// Who works during a chapter; thrown anew each tick.
#[derive(Debug, Clone, Copy)]
pub enum Busyness {
    Nobody,
    Few,
    Half,
    Everybody,
    /// Only the one with the lowest number.
    Lowest,
    /// Only the one with the highest number.
    Highest,
}

/// What a measurement can see of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Each process has one worker, and all are seen.
    Workers,
    /// So many workers that each process has one or two.
    Doubled,
    /// Each worker is seen or not.
    SomeUnseen,
    /// Workers whose names do not tell their process.
    Nameless,
    /// Some of the names tell it.
    SomeNameless,
    /// All workers, and some that have ended.
    Ghosts,
    /// The broker's books, without any worker.
    Books,
    /// The broker's books, and some of the workers.
    BooksAndWorkers,
    /// How much waits, and no more.
    WaitingOnly,
    /// A reading without a look at the work.
    NoWork,
    /// As it was some time ago, around the age at which a look is old.
    Old,
    /// Anything at all.
    Nonsense,
    /// Each time another one.
    Changing,
}

const EACH: [Sight; 12] = [
    Sight::Workers,
    Sight::Workers,
    Sight::Doubled,
    Sight::SomeUnseen,
    Sight::Nameless,
    Sight::SomeNameless,
    Sight::Ghosts,
    Sight::Books,
    Sight::BooksAndWorkers,
    Sight::WaitingOnly,
    Sight::NoWork,
    Sight::Old,
];

impl Sight {
    /// Whether nothing that it says is wrong at the time it is said.
    pub fn is_honest(self) -> bool {
        !matches!(self, Self::Ghosts | Self::Old | Self::Nonsense | Self::Changing)
    }
}

/// What there is to see during a chapter.
#[derive(Debug, Clone)]
pub struct Crew {
    pub busyness: Busyness,
    /// How often something waits.
    pub waiting_percent: u64,
    /// One per signal, over and over.
    pub sights: Vec<Sight>,
}

/// The processes that run: their numbers, and which of them work.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Processes {
    pub running: BTreeSet<u32>,
    pub busy: BTreeSet<u32>,
}

impl Processes {
    pub fn new(count: u32) -> Self {
        Self { running: (1..=count).collect(), busy: BTreeSet::new() }
    }

    pub fn count(&self) -> u32 {
        self.running.len() as u32
    }

    /// Time passes, items are finished and others begun.
    pub fn work(&mut self, busyness: Busyness, random: &mut Random) {
        let (first, last) = (self.running.first().copied(), self.running.last().copied());
        let is_busy = |number: &u32| match busyness {
            Busyness::Nobody => false,
            Busyness::Few => random.below(8) == 0,
            Busyness::Half => random.below(2) == 0,
            Busyness::Everybody => true,
            Busyness::Lowest => Some(*number) == first,
            Busyness::Highest => Some(*number) == last,
        };
        self.busy = self.running.iter().copied().filter(is_busy).collect();
    }

    /// Those that the platform stops when there should be `to`. Where nobody knows, it may be any, so `pick` says.
    pub fn victims(&self, rule: Victims, to: u32, free: &[u32], mut pick: impl FnMut(u64) -> u64) -> BTreeSet<u32> {
        let mut left = self.running.clone();
        while left.len() > to as usize {
            let highest = left.iter().copied().rev();
            let goes = match rule {
                Victims::Highest => highest.max(),
                Victims::Chosen => left.iter().copied().rev().find(|number| free.contains(number)).or(highest.max()),
                Victims::Unknown => left.iter().copied().nth(pick(left.len() as u64) as usize),
            };
            left.remove(&goes.unwrap());
        }
        self.running.difference(&left).copied().collect()
    }

    /// There are so many now.
    pub fn become_count(&mut self, rule: Victims, count: u32, free: &[u32], random: &mut Random) {
        for victim in self.victims(rule, count, free, |end| random.below(end)) {
            self.running.remove(&victim);
        }
        while self.count() < count {
            let missing = (1..).find(|number| !self.running.contains(number));
            self.running.extend(missing);
        }
        self.busy.retain(|number| self.running.contains(number));
    }

    /// On a platform that stops the highest number there are no gaps.
    pub fn renumber(&mut self) {
        *self = Self::new(self.count());
    }
}

/// Puts what it sees of the work into a sample; into a failed one as well, where it does not count.
pub fn look(sample: Sample, crew: &Crew, signal: usize, processes: &Processes, random: &mut Random) -> Sample {
    let sight = match crew.sights[signal % crew.sights.len()] {
        Sight::Changing => {
            let nonsense = random.below(10) == 0;
            if nonsense { Sight::Nonsense } else { random.one_of(&EACH) }
        }
        sight => sight,
    };
    if sight == Sight::NoWork {
        return sample;
    }
    let waiting = if random.below(100) < crew.waiting_percent { 1 + random.below(9) } else { 0 };
    let at = if sight == Sight::Old { before(&sample.at, random) } else { sample.at };
    Sample { at, work: Some(Box::new(seen(sight, waiting, processes, random))), ..sample }
}

fn before(now: &Moment, random: &mut Random) -> Moment {
    let age = Duration::from_millis(random.one_of(&[14_999, 15_000, 15_001, 16_000, 100_000]));
    Moment { since_start: now.since_start.saturating_sub(age), ..*now }
}

fn seen(sight: Sight, waiting: u64, processes: &Processes, random: &mut Random) -> Work {
    if sight == Sight::Nonsense {
        return nonsense(waiting, random);
    }
    let mut workers: Vec<Worker> = processes
        .running
        .iter()
        .map(|number| Worker { process: Some(*number), busy: processes.busy.contains(number) })
        .collect();
    let in_truth = processes.busy.len() as u64;
    match sight {
        Sight::Doubled => {
            let second = |worker: &Worker| Worker { busy: false, ..*worker };
            let seconds: Vec<Worker> = workers.iter().filter(|_| random.below(2) == 0).map(second).collect();
            workers.extend(seconds);
        }
        Sight::SomeUnseen | Sight::BooksAndWorkers => workers.retain(|_| random.below(3) > 0),
        Sight::Nameless => workers.iter_mut().for_each(|worker| worker.process = None),
        Sight::SomeNameless => {
            workers.iter_mut().filter(|_| random.below(2) == 0).for_each(|worker| worker.process = None);
        }
        Sight::Ghosts => {
            let ghost = |_| Worker { process: Some(1 + random.below(10) as u32), busy: random.below(4) == 0 };
            let ghosts: Vec<Worker> = (0..3).map(ghost).collect();
            let are_there = |ghost: &Worker| ghost.process.is_none_or(|number| !processes.running.contains(&number));
            workers.extend(ghosts.into_iter().filter(are_there));
        }
        _ => {}
    }
    // The order in which workers are seen means nothing.
    if random.below(2) == 0 {
        workers.reverse();
    }
    let by_workers = InProgress::ByWorkers(workers.iter().filter(|worker| worker.busy).count() as u64);
    let (in_progress, workers) = match sight {
        Sight::Books => (InProgress::Items(in_truth), None),
        Sight::BooksAndWorkers => (InProgress::Items(in_truth), Some(workers)),
        Sight::WaitingOnly => (InProgress::Unseen, None),
        // Who is busy is seen, and how many items that makes is not.
        Sight::Doubled if random.below(3) == 0 => (InProgress::Unseen, Some(workers)),
        // Acknowledged before it is done: the books do not hold it. The workers do.
        Sight::Workers if random.below(3) == 0 => (InProgress::Items(0), Some(workers)),
        _ => (by_workers, Some(workers)),
    };
    Work { waiting, in_progress, workers }
}

fn nonsense(waiting: u64, random: &mut Random) -> Work {
    let in_progress = match random.below(3) {
        0 => InProgress::Unseen,
        1 => InProgress::Items(random.below(3)),
        _ => InProgress::ByWorkers(random.below(3)),
    };
    let mut worker = || {
        let process = (random.below(5) > 0).then(|| random.below(10) as u32);
        Worker { process, busy: random.below(4) == 0 }
    };
    let workers: Vec<Worker> = (0..8).map(|_| worker()).collect();
    let length = random.below(9) as usize;
    let workers = (random.below(4) > 0).then(|| workers[..length].to_vec());
    Work { waiting, in_progress, workers }
}

pub fn crew() -> impl Strategy<Value = Crew> {
    let busyness = select(vec![
        Busyness::Nobody,
        Busyness::Nobody,
        Busyness::Few,
        Busyness::Half,
        Busyness::Everybody,
        Busyness::Lowest,
        Busyness::Highest,
    ]);
    let sights = [
        &EACH[..],
        &[Sight::Workers, Sight::SomeUnseen, Sight::SomeUnseen, Sight::Changing, Sight::Changing, Sight::Nonsense],
    ]
    .concat();
    (busyness, select(vec![0, 0, 20, 100]), vec(select(sights), 3))
        .prop_map(|(busyness, waiting_percent, sights)| Crew { busyness, waiting_percent, sights })
}

pub fn protection() -> impl Strategy<Value = Protection> {
    let scale_down_when =
        select(vec![ScaleDownWhen::Always, ScaleDownWhen::Idle, ScaleDownWhen::Idle, ScaleDownWhen::Drained]);
    let victims = select(vec![Victims::Highest, Victims::Highest, Victims::Chosen, Victims::Chosen, Victims::Unknown]);
    let wait = prop_oneof![1 => Just(0), 2 => Just(60_000), 2 => Just(3_600_000), 2 => 0..900_000_u64];
    (scale_down_when, victims, wait.prop_map(Duration::from_millis))
        .prop_map(|(scale_down_when, victims, max_busy_wait)| Protection { scale_down_when, max_busy_wait, victims })
}
