//! The pause after a connection that failed, and what to say meanwhile.
//!
//! When a broker is down, all its bots ask at once, and again and again. One of them tries; until the pause after that
//! is over, the others get its error without a try of their own.

use std::time::Duration;

use autoscalebot_core::moment::Moment;

use crate::measurement::MeasureError;

/// Short enough that a restarted broker is found again within a tick of most bots.
const FIRST: Duration = Duration::from_millis(250);

/// See [`patience`].
const SHARE_OF_THE_LIMIT: f64 = 0.9;

/// A broker that comes back is not kept waiting for longer.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a try to connect may take for a question that has `limit`: a little less than all of it, so that a server that
/// does not answer is remembered before the question is given up.
#[must_use]
pub fn patience(limit: Duration) -> Duration {
    limit.mul_f64(SHARE_OF_THE_LIMIT)
}

/// The pauses between tries to connect.
#[derive(Debug, Default)]
pub struct Pause {
    failures: u32,
    last: Option<(Duration, MeasureError)>,
}

impl Pause {
    /// A try failed; how that is told until the pause is over.
    pub fn failed(&mut self, error: &MeasureError, now: &Moment) {
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.last = Some((now.since_start + pause, error.clone()));
    }

    /// A try succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The error of the last try, while it is too early for the next.
    ///
    /// # Errors
    /// That error.
    pub fn check(&self, now: &Moment) -> Result<(), MeasureError> {
        match &self.last {
            Some((until, error)) if now.since_start < *until => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment { since_start: Duration::from_millis(milliseconds), civil: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn pauses_grow_to_their_limit_and_a_success_forgets_them() {
        let error = MeasureError::unknown("refused", "nobody listens");
        let mut pause = Pause::default();
        assert_eq!(pause.check(&at(0)), Ok(()));
        for expected in [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000] {
            pause.failed(&error, &at(1000));
            assert_eq!(pause.check(&at(1000 + expected - 1)), Err(error.clone()));
            assert_eq!(pause.check(&at(1000 + expected)), Ok(()));
        }
        pause.succeeded();
        pause.failed(&error, &at(0));
        assert_eq!(pause.check(&at(250)), Ok(()));
    }
}
