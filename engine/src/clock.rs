//! The only file that reads the time.
//!
//! Everything else is handed a [`Moment`], or a [`Clock`] that it may ask for one. Tests hand in a clock that they set.

use std::time::Duration;

use async_trait::async_trait;
use autoscalebot_core::moment::Moment;
use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time and waits for it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, on both clocks.
    fn now(&self) -> Moment;

    /// Returns when the monotonic clock has reached `since_start`; at once when it already has.
    async fn sleep_until(&self, since_start: Duration);

    /// Returns after `length` on the monotonic clock.
    async fn sleep(&self, length: Duration) {
        self.sleep_until(self.now().since_start.saturating_add(length)).await;
    }
}

/// The machine's clocks. The monotonic one is tokio's, so a test that pauses tokio's time pauses this one too.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    /// What the monotonic side showed when this clock was made.
    from: Duration,
}

impl SystemClock {
    /// A clock whose monotonic side starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the front door of time")]
    pub fn new() -> Self {
        Self { started: Instant::now(), from: Duration::ZERO }
    }

    /// A clock that goes on where another one of this machine or another was at a moment: what has passed since is what
    /// the wall clock says, if that was not set back. So a wait that began before a restart ends when it should.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the front door of time")]
    pub fn after(reached: &Moment) -> Self {
        let passed = Timestamp::now().duration_since(reached.civil);
        let passed = Duration::try_from(passed).unwrap_or_default();
        Self { started: Instant::now(), from: reached.since_start.saturating_add(passed) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this file is the front door of time")]
    fn now(&self) -> Moment {
        Moment { since_start: self.from + self.started.elapsed(), civil: Timestamp::now() }
    }

    async fn sleep_until(&self, since_start: Duration) {
        tokio::time::sleep_until(self.started + since_start.saturating_sub(self.from)).await;
    }
}
