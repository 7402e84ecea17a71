//! A clock that stands still until it is told otherwise: for tests and scripts that step through time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::moment::Moment;
use autoscalebot_engine::clock::Clock;
use jiff::Timestamp;

/// Both clocks, moved by hand.
pub struct StillClock {
    start: Timestamp,
    since_start: Mutex<Duration>,
}

impl StillClock {
    /// A clock that stands at this time.
    pub fn at(start: Timestamp) -> Self {
        Self { start, since_start: Mutex::default() }
    }

    /// Moves on to this moment; never back.
    pub fn move_to(&self, since_start: Duration) {
        let mut now = self.since_start.lock().unwrap_or_else(PoisonError::into_inner);
        *now = since_start.max(*now);
    }
}

#[async_trait]
impl Clock for StillClock {
    fn now(&self) -> Moment {
        let since_start = *self.since_start.lock().unwrap_or_else(PoisonError::into_inner);
        let civil = self.start.checked_add(jiff::SignedDuration::try_from(since_start).unwrap_or_default());
        Moment { since_start, civil: civil.unwrap_or(Timestamp::MAX) }
    }

    /// Whoever waits makes the time pass: nobody else would.
    async fn sleep_until(&self, since_start: Duration) {
        self.move_to(since_start);
    }
}
