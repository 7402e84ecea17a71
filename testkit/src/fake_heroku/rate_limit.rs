//! The account's pool of API calls.
//!
//! One pool for all apps and tokens of the account: 4500 tokens at most, refilled continuously at 4500 an hour, one
//! token a call. An empty pool answers 429 and is not charged.

use std::time::Duration;

/// The pool's size, and what comes back in an hour.
pub(crate) const TOKENS_PER_HOUR: f64 = 4500.0;

/// A pool of tokens that refills as time passes.
#[derive(Debug, Clone)]
pub(crate) struct TokenPool {
    tokens: f64,
    capacity: f64,
    per_second: f64,
    counted_at: Duration,
}

impl TokenPool {
    /// A full pool.
    pub(crate) fn full(capacity: f64, per_hour: f64) -> Self {
        Self { tokens: capacity, capacity, per_second: per_hour / 3600.0, counted_at: Duration::ZERO }
    }

    /// Takes one token; false when there is none.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        self.refill(now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// Gives one token back.
    pub(crate) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.capacity);
    }

    /// Whole tokens left.
    pub(crate) fn remaining(&mut self, now: Duration) -> u64 {
        self.refill(now);
        // Tokens are never negative and never above the capacity, a small number.
        self.tokens.floor() as u64
    }

    /// Sets what is left, as if other programs of the account had used the rest.
    pub(crate) fn set(&mut self, tokens: f64, now: Duration) {
        self.refill(now);
        self.tokens = tokens.clamp(0.0, self.capacity);
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.counted_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
        self.counted_at = self.counted_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_empties_call_by_call_and_then_refuses() {
        let mut pool = TokenPool::full(2.0, TOKENS_PER_HOUR);
        assert!(pool.take(Duration::ZERO));
        assert!(pool.take(Duration::ZERO));
        assert!(!pool.take(Duration::ZERO));
        assert_eq!(pool.remaining(Duration::ZERO), 0);
    }

    #[test]
    fn a_token_comes_back_after_eight_tenths_of_a_second_and_not_before() {
        let mut pool = TokenPool::full(TOKENS_PER_HOUR, TOKENS_PER_HOUR);
        pool.set(0.0, Duration::ZERO);
        assert!(!pool.take(Duration::from_millis(799)));
        assert!(pool.take(Duration::from_millis(801)));
        assert!(!pool.take(Duration::from_millis(802)));
    }

    #[test]
    fn an_hour_fills_the_pool_and_more_time_does_not_overfill_it() {
        let mut pool = TokenPool::full(TOKENS_PER_HOUR, TOKENS_PER_HOUR);
        pool.set(0.0, Duration::ZERO);
        assert_eq!(pool.remaining(Duration::from_secs(1800)), 2250);
        assert_eq!(pool.remaining(Duration::from_secs(86_400)), 4500);
    }
}
