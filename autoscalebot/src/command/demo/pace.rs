//! How fast everything in the demo goes: one number, the length, from which all others follow.
//!
//! The demo must always go up and come down again, on any machine, and look the same each time. So the load follows a
//! fixed curve and its arrivals a fixed sequence of random numbers, and work is measured in waiting rather than in
//! computing, which a slow machine does as fast as a quick one. A shorter demo has shorter requests and more of them.

use std::time::Duration;

/// The length that the other figures were chosen for.
const USUAL_SECONDS: f64 = 120.0;

/// A demo is not made quicker than this, whatever its length: requests of a few milliseconds would measure the machine.
const QUICKEST: f64 = 1.0 / 3.0;

/// Work of one request at the usual length; alone in a process it is answered after this.
const WORK: Duration = Duration::from_millis(120);

/// The load at the foot and at the peak, in requests per second at the usual length. One process can do eight or so.
const FOOT: f64 = 2.0;
const PEAK: f64 = 28.0;

/// The figures of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How long the load rises and falls.
    pub length: Duration,
    /// How much quicker than usual things happen: 1 for the usual length, less for a shorter one.
    factor: f64,
}

impl Pace {
    /// For a run of so many seconds.
    #[must_use]
    pub fn new(seconds: u32) -> Self {
        let factor = (f64::from(seconds) / USUAL_SECONDS).clamp(QUICKEST, 1.0);
        Self { length: Duration::from_secs(seconds.into()), factor }
    }

    /// The work of one request.
    #[must_use]
    pub fn work(&self) -> Duration {
        WORK.mul_f64(self.factor)
    }

    /// At or below this many milliseconds a reading is low.
    #[must_use]
    pub fn low_ms(&self) -> f64 {
        // The fixed part is what a request costs beside its work, on a machine that has other things to do.
        (180.0 * self.factor + 20.0).round()
    }

    /// Above this many milliseconds a reading is high.
    #[must_use]
    pub fn high_ms(&self) -> f64 {
        (500.0 * self.factor).round()
    }

    /// Between two measurements.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(750).mul_f64(self.factor)
    }

    /// After a scale.
    #[must_use]
    pub fn wait_after_scale(&self) -> Duration {
        Duration::from_millis(2500).mul_f64(self.factor)
    }

    /// How much longer than its length a run may take until it is down again.
    #[must_use]
    pub fn grace(&self) -> Duration {
        (self.length / 2).max(Duration::from_secs(20))
    }

    /// Requests per second at a moment of the run.
    ///
    /// ```text
    ///             ___________  peak
    ///           /             \
    ///         /                 \
    ///  ____ /                     \________________  foot
    ///  0   0.08     0.40    0.55  0.75             1
    /// ```
    #[must_use]
    pub fn load_at(&self, since_start: Duration) -> f64 {
        let place = since_start.as_secs_f64() / self.length.as_secs_f64();
        let height = match place {
            ..0.08 => 0.0,
            ..0.40 => (place - 0.08) / 0.32,
            ..0.55 => 1.0,
            ..0.75 => (0.75 - place) / 0.20,
            _ => 0.0,
        };
        (FOOT + (PEAK - FOOT) * height) / self.factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_rises_to_its_peak_and_falls_to_where_it_began() {
        let pace = Pace::new(120);
        let load = |second| pace.load_at(Duration::from_secs(second)).round();
        assert_eq!([load(0), load(60), load(95), load(500)], [2.0, 28.0, 2.0, 2.0]);
        assert!(load(20) < load(30) && load(70) > load(80));
    }

    #[test]
    fn a_shorter_demo_asks_as_much_of_a_process_as_the_usual_one() {
        for seconds in [10, 20, 60, 120, 3600] {
            let pace = Pace::new(seconds);
            let busy = pace.load_at(pace.length / 2) * pace.work().as_secs_f64();
            assert!((busy - 3.36).abs() < 0.01, "{seconds} s: {busy} processes' worth of work at the peak");
            assert!(pace.low_ms() > pace.work().as_secs_f64() * 1000.0 * 1.5);
        }
    }
}
