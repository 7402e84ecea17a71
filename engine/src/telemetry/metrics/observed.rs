//! What several bots share and metrics tell of: a budget of calls, a queue of notices.
//!
//! Whoever has such a thing adds it once when it is made; it is held weakly, so it is told of as long as somebody uses it.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use autoscalebot_core::moment::Moment;

use super::{Family, Number};

/// Says how it is, when metrics are read. Called from outside of bots: it must not wait.
pub trait Observe: Send + Sync {
    /// Its numbers now. What it does not know it leaves out. No label holds a secret.
    fn observe(&self, now: &Moment) -> Vec<Observation>;
}

/// A number that something says about itself.
pub struct Observation {
    /// Of which family; one of [`super::FAMILIES`].
    pub family: &'static Family,
    /// The values of its labels, in the order of their names. No two observations of a family have the same.
    pub labels: Vec<String>,
    /// The number.
    pub number: Number<'static>,
}

/// All that lets itself be observed.
#[derive(Default)]
pub struct Observables {
    all: Mutex<Vec<Weak<dyn Observe>>>,
    numbers: AtomicUsize,
}

impl Observables {
    /// Observes this from now on, once, however often it is added.
    pub fn add<T: Observe + 'static>(&self, new: &Arc<T>) {
        let new: Weak<dyn Observe> = Arc::downgrade(&(new.clone() as Arc<dyn Observe>));
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        if !all.iter().any(|one| one.ptr_eq(&new)) {
            all.push(new);
        }
    }

    /// A number that no other call gets: for labels that tell things apart whose settings are secret.
    #[must_use]
    pub fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn observe(&self, now: &Moment) -> Vec<Observation> {
        // What is observed may take locks of its own, so ours is not held meanwhile.
        let all: Vec<_> = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.iter().filter_map(Weak::upgrade).flat_map(|one| one.observe(now)).collect()
    }
}
