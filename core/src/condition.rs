//! Something that lasts: told when it begins, again every so often, and when it ends; not on every tick.
//!
//! A condition that flickers would still fill a mailbox with pairs of "began" and "ended". So a condition that begins
//! again soon after it was last told is kept quiet until [`Condition::QUIET`] has passed, and an end is told only when
//! its beginning was.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// What to tell about a condition now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It began.
    Began,
    /// It still holds, and has for so long.
    Persists(Duration),
    /// It is over, and lasted so long.
    Ended(Duration),
}

/// The memory of one condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    since: Option<Duration>,
    told: Option<Duration>,
    announced: bool,
}

impl Condition {
    /// How long a condition that flickers stays quiet between two beginnings.
    pub const QUIET: Duration = Duration::from_secs(300);

    /// Learns whether it holds now; returns what should be told, if anything.
    pub fn update(&mut self, holds: bool, repeat: Duration, now: &Moment) -> Option<Phase> {
        let now = now.since_start;
        match (self.since, holds) {
            (None, false) => None,
            (None, true) => {
                self.since = Some(now);
                let quiet = repeat.min(Self::QUIET);
                self.announced = self.told.is_none_or(|told| now.saturating_sub(told) >= quiet);
                self.announced.then(|| {
                    self.told = Some(now);
                    Phase::Began
                })
            }
            (Some(since), true) => {
                let pause = if self.announced { repeat } else { repeat.min(Self::QUIET) };
                let due = self.told.is_none_or(|told| now.saturating_sub(told) >= pause);
                due.then(|| {
                    self.told = Some(now);
                    let first = !std::mem::replace(&mut self.announced, true);
                    if first { Phase::Began } else { Phase::Persists(now.saturating_sub(since)) }
                })
            }
            (Some(since), false) => {
                self.since = None;
                std::mem::take(&mut self.announced).then(|| Phase::Ended(now.saturating_sub(since)))
            }
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn told(condition: &mut Condition, second: u64, holds: bool) -> Option<Phase> {
        let now = Moment { since_start: Duration::from_secs(second), civil: jiff::Timestamp::UNIX_EPOCH };
        condition.update(holds, HOUR, &now)
    }

    #[test]
    fn a_lasting_condition_is_told_at_its_start_every_hour_and_at_its_end() {
        let mut condition = Condition::default();
        let phases: Vec<_> = (0..=130)
            .map(|minute| minute * 60)
            .filter_map(|second| told(&mut condition, second, second < 7700).map(|phase| (second, phase)))
            .collect();
        assert_eq!(
            phases,
            [
                (0, Phase::Began),
                (3600, Phase::Persists(HOUR)),
                (7200, Phase::Persists(HOUR * 2)),
                (7740, Phase::Ended(Duration::from_secs(7740))),
            ]
        );
    }

    #[test]
    fn a_flickering_condition_is_told_at_most_once_in_five_minutes() {
        let mut condition = Condition::default();
        let beginnings = (0..3600).step_by(10).filter(|second| {
            let phase = told(&mut condition, *second, second % 20 == 0);
            phase == Some(Phase::Began)
        });
        assert_eq!(beginnings.count(), 12);
    }

    #[test]
    fn an_end_is_told_only_when_the_beginning_was() {
        let mut condition = Condition::default();
        assert_eq!(told(&mut condition, 0, true), Some(Phase::Began));
        assert!(matches!(told(&mut condition, 1, false), Some(Phase::Ended(_))));
        assert_eq!(told(&mut condition, 2, true), None);
        assert_eq!(told(&mut condition, 3, false), None);
    }
}
