//! A moment: both clocks in one value.
//!
//! Cool-downs and windows must not care when somebody sets the wall clock, so they use `since_start`, which only grows.
//! Schedules ("from 8:00 on") mean the wall clock of a time zone, so they use `civil`. Code that gets a `Moment` needs
//! no clock of its own, which is why nothing in this crate has one.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One point in time, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Time since the program started, on the monotonic clock. Never goes back.
    pub since_start: Duration,
    /// The wall clock. May jump either way; only schedules and people read it.
    pub civil: Timestamp,
}

impl Moment {
    /// How long ago `earlier` was, on the monotonic clock; zero when it lies in the future.
    #[must_use]
    pub fn since(&self, earlier: &Moment) -> Duration {
        self.since_start.saturating_sub(earlier.since_start)
    }
}
