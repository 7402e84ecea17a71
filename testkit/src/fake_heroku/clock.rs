//! The fake's own time: the machine's clock, times a scale, plus what a test added to it.
//!
//! Rate limits refill, sessions expire and dynos start by this clock, so a test that calls `advance` sees an hour pass
//! at once. It is the only file of the fake that reads the time. It refuses to go back.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use autoscalebot_core::moment::Moment;
use jiff::{SignedDuration, Timestamp};

/// Tells the fake's time.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    began_civil: Timestamp,
    scale: f64,
    ahead_nanos: AtomicU64,
}

impl Clock {
    /// A clock that starts now; `scale` fake seconds pass in a real one.
    #[expect(clippy::disallowed_methods, reason = "the fake is a server of its own, with a clock of its own: this one")]
    pub(crate) fn start(scale: f64) -> Self {
        Self { began: Instant::now(), began_civil: Timestamp::now(), scale, ahead_nanos: AtomicU64::new(0) }
    }

    /// The fake's present.
    pub(crate) fn moment(&self) -> Moment {
        let ahead = Duration::from_nanos(self.ahead_nanos.load(Ordering::Relaxed));
        let since_start = self.began.elapsed().mul_f64(self.scale) + ahead;
        let civil = SignedDuration::try_from(since_start)
            .ok()
            .and_then(|passed| self.began_civil.checked_add(passed).ok())
            .unwrap_or(Timestamp::MAX);
        Moment { since_start, civil }
    }

    /// Lets this much fake time pass at once.
    pub(crate) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.ahead_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How long this much fake time lasts for the machine.
    pub(crate) fn real(&self, fake: Duration) -> Duration {
        fake.div_f64(self.scale)
    }
}

/// Measures real time, whatever the scale; the router's `connect` and `service` are such times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "see Clock::start")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// What has passed since.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A timestamp as the Platform API writes it: UTC, whole seconds, `Z`.
pub(crate) fn api_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A timestamp as log lines carry it: microseconds and `+00:00`.
pub(crate) fn log_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// A timestamp as HTTP headers carry it.
pub(crate) fn http_time(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_heroku_writes_them() {
        let at: Timestamp = "2024-05-06T07:08:09.123456Z".parse().unwrap();
        assert_eq!(api_time(at), "2024-05-06T07:08:09Z");
        assert_eq!(log_time(at), "2024-05-06T07:08:09.123456+00:00");
        assert_eq!(http_time(at), "Mon, 06 May 2024 07:08:09 GMT");
        let whole: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        assert_eq!(log_time(whole), "2024-05-06T07:08:09.000000+00:00");
    }

    #[test]
    fn advancing_moves_both_clocks_of_the_moment() {
        let clock = Clock::start(1.0);
        let before = clock.moment();
        clock.advance(Duration::from_secs(3600));
        let after = clock.moment();
        assert!(after.since(&before) >= Duration::from_secs(3600));
        assert!(after.civil.as_second() - before.civil.as_second() >= 3600);
    }
}
