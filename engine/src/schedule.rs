//! When a signal is measured: every interval, from an offset that spreads the bots of a fleet.
//!
//! Moments lie on a grid of the monotonic clock. After a slow measurement the next moment is the next line of the grid,
//! so missed ones are skipped and nothing piles up.

use std::time::Duration;

/// A grid of moments on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From one moment to the next. Never zero.
    pub interval: Duration,
    /// The first moment, since the program's start.
    pub first: Duration,
}

impl Schedule {
    /// The shortest interval; below it a bot would do nothing but measure.
    pub const SHORTEST: Duration = Duration::from_millis(50);

    /// Every `interval` from `start` on, shifted by `share` (0 to 1) of an interval.
    #[must_use]
    pub fn new(interval: Duration, start: Duration, share: f64) -> Self {
        let interval = interval.max(Self::SHORTEST);
        Self { interval, first: start + interval.mul_f64(share.clamp(0.0, 1.0)) }
    }

    /// The first moment at or after `from`.
    #[must_use]
    pub fn next(&self, from: Duration) -> Duration {
        let Some(passed) = from.checked_sub(self.first) else { return self.first };
        let lines = passed.as_nanos().div_ceil(self.interval.as_nanos());
        let shift = lines.saturating_mul(self.interval.as_nanos());
        self.first.saturating_add(Duration::from_nanos(u64::try_from(shift).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_moments_are_skipped_and_the_grid_stays() {
        let schedule = Schedule::new(Duration::from_secs(10), Duration::from_secs(3), 0.2);
        let next = |seconds| schedule.next(Duration::from_secs(seconds)).as_secs();
        assert_eq!([next(0), next(5), next(6), next(15), next(16), next(38)], [5, 5, 15, 15, 25, 45]);
    }

    #[test]
    fn an_interval_of_nothing_is_still_a_pause() {
        let schedule = Schedule::new(Duration::ZERO, Duration::ZERO, 0.0);
        assert_eq!(schedule.next(Duration::from_nanos(1)), Schedule::SHORTEST);
    }
}
