//! The wait after a scale, and the growing wait after a refused one.
//!
//! Both use the monotonic clock, so that setting the wall clock neither ends nor stretches them. The two are different
//! things: the first begins on success only and gives new processes time to show; the second begins on failure only and
//! spares the platform.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The wait after a successful scale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    until: Option<Duration>,
}

impl Wait {
    /// Starts (or restarts) the wait.
    pub fn begin(&mut self, length: Duration, now: &Moment) {
        self.until = Some(now.since_start.saturating_add(length));
    }

    /// What is left of it; `None` when it is over.
    #[must_use]
    pub fn left(&self, now: &Moment) -> Option<Duration> {
        self.until?.checked_sub(now.since_start).filter(|left| !left.is_zero())
    }
}

/// The wait after scale calls that failed: doubles with each failure, ends with the first success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    failures: u32,
    until: Option<Duration>,
}

impl Backoff {
    /// After the first failure. Short, because a lost packet should not cost a scale-up a minute.
    pub const FIRST: Duration = Duration::from_secs(2);
    /// The longest. Long enough to be harmless to any API, short enough that recovery needs no person.
    pub const LONGEST: Duration = Duration::from_secs(60);
    /// A platform may ask for longer ("Retry-After"), but not for ever: an hour, then we ask again.
    pub const LONGEST_ASKED: Duration = Duration::from_secs(3600);
    /// A failure so long after the last try is a first one again: what failed then was another day's trouble.
    pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

    /// Counts a failure and waits; at least as long as the platform asked for.
    pub fn failed(&mut self, asked: Option<Duration>, now: &Moment) -> Duration {
        if self.until.is_some_and(|until| now.since_start.saturating_sub(until) >= Self::FORGOTTEN_AFTER) {
            self.failures = 0;
        }
        let doublings = self.failures.min(10);
        self.failures = self.failures.saturating_add(1);
        let own = Self::FIRST.saturating_mul(1 << doublings).min(Self::LONGEST);
        let length = asked.map_or(own, |asked| asked.min(Self::LONGEST_ASKED).max(own));
        self.until = Some(now.since_start.saturating_add(length));
        length
    }

    /// Ends it.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What is left before the next try; `None` when it may be made.
    #[must_use]
    pub fn left(&self, now: &Moment) -> Option<Duration> {
        self.until?.checked_sub(now.since_start).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { since_start: Duration::from_secs(seconds), civil: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_wait_is_over_exactly_at_its_end() {
        let mut wait = Wait::default();
        assert_eq!(wait.left(&at(0)), None);
        wait.begin(Duration::from_secs(5), &at(10));
        assert_eq!(wait.left(&at(14)), Some(Duration::from_secs(1)));
        assert_eq!(wait.left(&at(15)), None);
    }

    #[test]
    fn backoff_doubles_up_to_its_cap_and_respects_what_was_asked() {
        let mut backoff = Backoff::default();
        let lengths: Vec<u64> = (0..7).map(|_| backoff.failed(None, &at(0)).as_secs()).collect();
        assert_eq!(lengths, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.failed(Some(Duration::from_secs(120)), &at(0)).as_secs(), 120);
        assert_eq!(backoff.failed(Some(Duration::MAX), &at(0)), Backoff::LONGEST_ASKED);
        assert_eq!(
            backoff.failed(None, &at(3600 + 3599)),
            Backoff::LONGEST,
            "nearly an hour after the end of the last"
        );
        assert_eq!(backoff.failed(None, &at(3600 + 3599 + 60 + 3600)), Backoff::FIRST, "an hour after it");
        backoff.succeeded();
        assert_eq!(backoff.left(&at(0)), None);
        assert_eq!(backoff.failed(Some(Duration::from_secs(1)), &at(0)).as_secs(), 2);
    }
}
