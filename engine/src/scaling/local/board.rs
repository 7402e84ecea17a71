//! The board that says which processes of an entry there are and what state each is in; the router reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

/// Counts every start of a process on a platform; tells two lives of `web.1` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNumber(pub u64);

impl RunNumber {
    /// What the variable that marks a process begins with.
    #[must_use]
    pub fn mark(self) -> String {
        format!("{}:", self.0)
    }
}

/// What a process is doing. A stopping one is no longer on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Does not accept connections yet.
    Starting,
    /// Does.
    Up,
    /// Ended by itself and waits to be started again.
    Crashed,
}

/// One process on the board.
#[derive(Debug, Clone)]
pub struct Member {
    /// `web.1`
    pub name: Arc<str>,
    /// What it is doing.
    pub phase: Phase,
    /// Where it accepts connections, once it does.
    pub address: Option<SocketAddr>,
    /// Requests that it is working on.
    pub outstanding: Arc<AtomicUsize>,
}

impl Member {
    /// Without any request yet.
    #[must_use]
    pub fn new(name: Arc<str>, phase: Phase, address: Option<SocketAddr>) -> Self {
        Self { name, phase, address, outstanding: Arc::default() }
    }

    /// Requests that it is working on.
    #[must_use]
    pub fn load(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }
}

/// What is on the board.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// The numbers that should be there: 1 and 3 for `web.1` and `web.3`.
    pub wanted: BTreeSet<u32>,
    /// Those that are there, in the order of their starts.
    pub present: BTreeMap<RunNumber, Member>,
}

/// The board of one entry.
#[derive(Debug)]
pub struct Board(watch::Sender<Members>);

impl Default for Board {
    fn default() -> Self {
        Self(watch::Sender::new(Members::default()))
    }
}

impl Board {
    /// A process is there, or in another state.
    pub fn join(&self, run: RunNumber, member: Member) {
        self.0.send_modify(|members| {
            members.present.insert(run, member);
        });
    }

    /// A process is no longer there for new requests.
    pub fn leave(&self, run: RunNumber) {
        self.0.send_if_modified(|members| members.present.remove(&run).is_some());
    }

    /// So many should be there from now on; of those that have to go, the `free` ones go first, and the highest number
    /// before the others. Whether that is news.
    pub fn want(&self, count: u32, free: &[u32]) -> bool {
        self.0.send_if_modified(|members| {
            let wanted = &mut members.wanted;
            let before = wanted.len();
            while wanted.len() < count as usize {
                // The lowest number that is missing; there is one, as no more numbers are taken than there are.
                let missing = (1..).find(|number| !wanted.contains(number));
                wanted.extend(missing);
            }
            while wanted.len() > count as usize {
                let goes = wanted.iter().rev().find(|number| free.contains(number)).or(wanted.last()).copied();
                goes.map(|number| wanted.remove(&number));
            }
            wanted.len() != before
        })
    }

    /// So many should be there.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        u32::try_from(self.0.borrow().wanted.len()).unwrap_or(u32::MAX)
    }

    /// Whether the process with this number should be there.
    #[must_use]
    pub fn wants(&self, number: u32) -> bool {
        self.0.borrow().wanted.contains(&number)
    }

    /// To read the board and be told of changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Members> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_go_first_and_the_lowest_missing_number_comes_back_first() {
        let board = Board::default();
        let numbers = || board.0.borrow().wanted.iter().copied().collect::<Vec<_>>();
        assert!(board.want(5, &[]));
        assert_eq!(numbers(), [1, 2, 3, 4, 5]);
        assert!(board.want(3, &[1, 2]));
        assert_eq!(numbers(), [3, 4, 5], "both that are free");
        assert!(board.want(2, &[1, 9]));
        assert_eq!(numbers(), [3, 4], "nobody who is there is free, so the highest");
        assert!(!board.want(2, &[3]), "no news");
        assert!(board.want(4, &[]));
        assert_eq!(numbers(), [1, 2, 3, 4]);
        assert!(board.want(0, &[]));
        assert_eq!(numbers(), [0; 0]);
    }
}
