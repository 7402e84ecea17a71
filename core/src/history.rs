//! The last N samples of one signal; a bounded ring.
//!
//! It keeps failures too: a run is broken by what went wrong in its middle, not only by what went right.

use std::{collections::VecDeque, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{moment::Moment, sample::Sample};

/// The newest samples of one signal, up to a fixed number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    capacity: NonZeroUsize,
    samples: VecDeque<Sample>,
}

impl History {
    /// An empty history that will hold `capacity` samples.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        // Room is taken as samples come: ten thousand bots that just started should cost nothing yet.
        Self { capacity, samples: VecDeque::new() }
    }

    /// A full history of one sample over and over.
    #[must_use]
    pub fn all_alike(capacity: NonZeroUsize, sample: &Sample) -> Self {
        Self { capacity, samples: std::iter::repeat_n(sample.clone(), capacity.get()).collect() }
    }

    /// Adds the newest sample; the oldest goes when there is no room.
    pub fn push(&mut self, sample: Sample) {
        while self.samples.len() >= self.capacity.get() {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Forgets everything, as after a scale: what was measured before says nothing about the new count.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// Takes over another capacity, dropping the oldest samples when it is smaller.
    pub fn resize(&mut self, capacity: NonZeroUsize) {
        self.capacity = capacity;
        let surplus = self.samples.len().saturating_sub(capacity.get());
        self.samples.drain(..surplus);
    }

    /// Forgets samples that are older than this: one that was taken regularly would have pushed them out by now.
    pub fn forget_older_than(&mut self, age: Duration, now: &Moment) {
        self.samples.retain(|sample| now.since(&sample.at) <= age);
    }

    /// Samples from the newest to the oldest.
    pub fn newest_first(&self) -> impl DoubleEndedIterator<Item = &Sample> + ExactSizeIterator + Clone {
        self.samples.iter().rev()
    }

    /// The newest sample.
    #[must_use]
    pub fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}
