//! The load of the demo: real requests through the router, whether or not the app keeps up.
//!
//! Visitors do not wait for each other, so a request is sent when its moment has come, not when the one before was
//! answered. The moments are those of a random arrival process with a fixed seed. What waits for an answer is bounded;
//! beyond that a visitor is counted as lost and not sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::moment::Moment;
use autoscalebot_engine::{
    http::{Connecting, fetch},
    shared::Shared,
};
use tokio::sync::Semaphore;

use super::pace::Pace;

/// A visitor leaves after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests under way at a time; five overloaded processes hold 100.
const MOST_UNDER_WAY: usize = 400;

/// The answers of the demo's app are a few bytes.
const LONGEST_ANSWER: usize = 4096;

/// Any number does; this one makes the same demo every time.
const SEED: u64 = 2012;

/// What became of the visitors so far.
#[derive(Debug, Default)]
pub struct Visitors {
    served: AtomicU64,
    turned_away: AtomicU64,
}

impl Visitors {
    /// Got an answer with status 200.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Got another answer, or none in time.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// Sends requests to `url` until it is dropped.
pub async fn send(url: reqwest::Url, pace: Pace, start: Moment, shared: Arc<Shared>, visitors: Arc<Visitors>) {
    let client = shared.http.get(Connecting { reuse: true, follow_redirects: false });
    let room = Arc::new(Semaphore::new(MOST_UNDER_WAY));
    let mut chance = Chance(SEED);
    let mut due = Duration::ZERO;
    loop {
        due += Duration::from_secs_f64(chance.gap() / pace.load_at(due));
        shared.clock.sleep_until(start.since_start + due).await;
        let Ok(place) = room.clone().try_acquire_owned() else {
            visitors.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (request, visitors) = (client.get(url.clone()), visitors.clone());
        tokio::spawn(async move {
            let answer = fetch(request, PATIENCE, LONGEST_ANSWER).await;
            let served = answer.is_ok_and(|answer| answer.status.is_success());
            let count = if served { &visitors.served } else { &visitors.turned_away };
            count.fetch_add(1, Ordering::Relaxed);
            drop(place);
        });
    }
}

/// A sequence of random numbers that is the same every time (Knuth's linear congruential generator, MMIX constants).
struct Chance(u64);

impl Chance {
    /// Time to the next arrival, in units of the mean time between two: exponentially distributed.
    fn gap(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The upper half of the bits; the lower ones are hardly random. Never zero, whose logarithm has no end.
        let uniform = (f64::from(u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)) + 1.0) / (f64::from(u32::MAX) + 1.0);
        -uniform.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_are_one_on_average_and_never_without_end() {
        let mut chance = Chance(SEED);
        let gaps: Vec<f64> = (0..10_000).map(|_| chance.gap()).collect();
        let mean = gaps.iter().sum::<f64>() / 10_000.0;
        assert!((0.95..1.05).contains(&mean), "{mean}");
        assert!(gaps.iter().all(|gap| (0.0..25.0).contains(gap)));
    }
}
