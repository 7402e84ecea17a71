//! How much of Heroku's rate limit is left, and who may still spend it.
//!
//! An account may make 4500 calls; the pool refills at 4500 an hour, steadily, and all apps, tokens and people of the
//! account drink from it (Platform API reference, "Rate limits"). Every answer tells what is left in
//! `RateLimit-Remaining`. So that a fleet neither starves its owner's deployments nor, worse, its own orders, reads give way
//! first: below [`PLENTY`] a formation may be served from memory, the longer the scarcer tokens are, and below [`RESERVE`]
//! only changes are sent, and reads without which nothing could be decided. After a 429 nobody sends anything until Heroku's `Retry-After`, or our own wait, is over.
//!
//! Pure: the time is handed in.

use std::time::Duration;

/// Most calls that the pool holds. Source: Platform API reference; `Ratelimit-Remaining: 4497` seen in a real answer.
pub const CAPACITY: f64 = 4500.0;

/// Calls per second that flow back: [`CAPACITY`] an hour.
pub const REFILL_PER_SECOND: f64 = CAPACITY / 3600.0;

/// While this share of the pool is left, every read is fresh. Half: one app read every second uses 3600 of 4500 an hour and
/// never comes below it on its own.
const PLENTY: f64 = 0.5;

/// Calls kept for what is needed: enough for the orders of a hundred processes at once.
const RESERVE: f64 = 100.0;

/// Oldest formation served when the pool is nearly empty. Reading 300 apps every 5 minutes costs 3600 calls an hour,
/// which the refill can bear.
const OLDEST: Duration = Duration::from_secs(300);

/// Wait after the first 429 without `Retry-After`, doubled with each in a row: by then two tokens have flowed back, and if
/// somebody else drinks all that flows back, the doubling soon gets out of the way.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Longest wait of our own; by then a quarter of the pool is back.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// How dear a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It gives way when tokens are scarce.
    Optional,
    /// It may spend the last token: a change, or a read without which nothing can be decided.
    Needed,
}

/// Why a call must not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scarce {
    /// When to try again.
    pub wait: Duration,
    /// Whether Heroku itself said so (429), rather than our own counting.
    pub told: bool,
}

/// The pool of one account, as far as we know it.
#[derive(Debug)]
pub struct Budget {
    tokens: f64,
    /// Some accounts have more; learnt from answers.
    capacity: f64,
    /// Whether any answer has told what is left; before that, `tokens` is a guess.
    is_known: bool,
    counted_at: Duration,
    silent_until: Duration,
    refusals_in_a_row: u32,
    /// A 429 says that the pool is empty and not when it will be full: one call after the silence asks.
    may_ask: bool,
}

impl Budget {
    /// A full pool: the first answer corrects it.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            tokens: CAPACITY,
            capacity: CAPACITY,
            is_known: false,
            counted_at: now,
            silent_until: Duration::ZERO,
            refusals_in_a_row: 0,
            may_ask: false,
        }
    }

    /// What is left, by the last answer, our own calls since, and the refill.
    #[must_use]
    pub fn tokens(&self, now: Duration) -> f64 {
        let refilled = now.saturating_sub(self.counted_at).as_secs_f64() * REFILL_PER_SECOND;
        (self.tokens + refilled).min(self.capacity)
    }

    /// The same for people: nothing before an answer has told.
    #[must_use]
    pub fn known_tokens(&self, now: Duration) -> Option<f64> {
        self.is_known.then(|| self.tokens(now))
    }

    /// Spends one token on a call that is about to be sent.
    ///
    /// # Errors
    /// When it must not be sent now.
    pub fn take(&mut self, purpose: Purpose, now: Duration) -> Result<(), Scarce> {
        if now < self.silent_until {
            return Err(Scarce { wait: self.silent_until.saturating_sub(now), told: true });
        }
        let tokens = self.tokens(now);
        if std::mem::take(&mut self.may_ask) {
            self.count((tokens - 1.0).max(0.0), now);
            return Ok(());
        }
        let needed = match purpose {
            Purpose::Optional => RESERVE + 1.0,
            Purpose::Needed => 1.0,
        };
        if tokens < needed {
            let wait = Duration::from_secs_f64((needed - tokens) / REFILL_PER_SECOND);
            return Err(Scarce { wait, told: false });
        }
        self.count(tokens - 1.0, now);
        Ok(())
    }

    /// Learns what an answer says is left. That is the truth: others spend from the same pool.
    pub fn learn(&mut self, remaining: f64, now: Duration) {
        if remaining.is_finite() && remaining >= 0.0 {
            self.capacity = self.capacity.max(remaining);
            self.is_known = true;
            self.count(remaining, now);
        }
    }

    /// An answer that was not a 429. Should it not tell what is left (`learn`), there is at least enough to go on.
    pub fn accepted(&mut self, now: Duration) {
        if std::mem::take(&mut self.refusals_in_a_row) > 0 {
            self.count(self.tokens(now).max(RESERVE * 2.0), now);
        }
    }

    /// A 429. Returns how long nobody sends anything.
    pub fn refused(&mut self, retry_after: Option<Duration>, now: Duration) -> Duration {
        self.count(0.0, now);
        self.is_known = true;
        self.may_ask = true;
        // Calls that were under way together are refused together; that is one refusal.
        if now >= self.silent_until {
            self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
        }
        let doublings = self.refusals_in_a_row.saturating_sub(1).min(10);
        let own = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        let wait = retry_after.map_or(own, |asked| asked.min(Duration::from_secs(3600)));
        self.silent_until = self.silent_until.max(now + wait);
        self.silent_until.saturating_sub(now)
    }

    /// How old a formation may be to be served without a call. Zero while there is plenty.
    #[must_use]
    pub fn oldest_allowed(&self, now: Duration) -> Duration {
        let left = self.tokens(now) / self.capacity;
        // The square keeps reads nearly fresh just below PLENTY and saves in earnest when it is nearly gone.
        let pressure = ((PLENTY - left) / PLENTY).clamp(0.0, 1.0);
        OLDEST.mul_f64(pressure * pressure)
    }

    fn count(&mut self, tokens: f64, now: Duration) {
        self.tokens = tokens;
        self.counted_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn later(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_pool_refills_at_4500_an_hour_and_never_overflows() {
        let mut budget = Budget::new(START);
        budget.learn(100.0, START);
        assert_eq!(budget.tokens(later(80)), 200.0);
        assert_eq!(budget.tokens(later(100_000)), CAPACITY);
    }

    #[test]
    fn before_an_answer_nobody_knows_what_is_left() {
        let mut budget = Budget::new(START);
        assert_eq!(budget.known_tokens(START), None);
        budget.learn(100.0, START);
        assert_eq!(budget.known_tokens(later(80)), Some(200.0));
    }

    #[test]
    fn optional_calls_leave_the_reserve_to_needed_ones() {
        let mut budget = Budget::new(START);
        budget.learn(RESERVE, START);
        let scarce = budget.take(Purpose::Optional, START).unwrap_err();
        assert!(!scarce.told);
        assert_eq!(budget.take(Purpose::Needed, START), Ok(()));
        let again = START + scarce.wait + Duration::from_secs(1);
        assert_eq!(
            budget.take(Purpose::Optional, again),
            Ok(()),
            "one second later than told, for the needed one spent a token"
        );
    }

    #[test]
    fn an_empty_pool_stops_needed_calls_too_until_a_token_is_back() {
        let mut budget = Budget::new(START);
        budget.learn(0.0, START);
        let scarce = budget.take(Purpose::Needed, START).unwrap_err();
        assert_eq!(scarce.wait, Duration::from_millis(800));
        assert_eq!(budget.take(Purpose::Needed, later(1)), Ok(()));
    }

    #[test]
    fn reads_are_fresh_while_there_is_plenty_and_older_the_less_is_left() {
        let mut budget = Budget::new(START);
        let mut allowed = |remaining: f64| {
            budget.learn(remaining, START);
            budget.oldest_allowed(START)
        };
        assert_eq!(allowed(4500.0), Duration::ZERO);
        assert_eq!(allowed(2250.0), Duration::ZERO);
        let (some, few, none) = (allowed(2000.0), allowed(500.0), allowed(0.0));
        assert!(Duration::ZERO < some && some < few && few < none, "{some:?} {few:?} {none:?}");
        assert_eq!(none, OLDEST);
    }

    #[test]
    fn refusals_in_a_row_wait_longer_and_longer_but_refusals_at_once_are_one() {
        let mut budget = Budget::new(START);
        assert_eq!(budget.refused(None, START), FIRST_WAIT);
        assert_eq!(budget.refused(None, START), FIRST_WAIT, "a call that was under way");
        assert_eq!(budget.refused(None, later(2)), FIRST_WAIT * 2);
        assert_eq!(budget.refused(None, later(40)), FIRST_WAIT * 4);
        budget.accepted(later(900));
        assert_eq!(budget.refused(None, later(1000)), FIRST_WAIT);
        let mut now = later(2000);
        for _ in 0..20 {
            now += budget.refused(None, now);
        }
        assert_eq!(budget.refused(None, now), LONGEST_WAIT);
    }

    #[test]
    fn after_the_silence_one_read_asks_how_things_stand_and_its_answer_opens_the_way() {
        let mut budget = Budget::new(START);
        let silence = budget.refused(None, START);
        let after = START + silence;
        assert_eq!(budget.take(Purpose::Optional, after), Ok(()));
        assert!(budget.take(Purpose::Optional, after).is_err(), "one is enough to ask");
        budget.accepted(after);
        assert_eq!(budget.take(Purpose::Optional, after), Ok(()));
    }

    #[test]
    fn after_a_429_nobody_sends_anything_before_the_time_heroku_asked_for() {
        let mut budget = Budget::new(START);
        budget.refused(Some(Duration::from_secs(60)), START);
        assert_eq!(budget.take(Purpose::Needed, later(50)), Err(Scarce { wait: Duration::from_secs(10), told: true }));
        assert_eq!(budget.take(Purpose::Needed, later(61)), Ok(()));
    }
}
