//! The "scaling is too rapid" window: how often one process was scaled in one direction lately.
//!
//! It never stops a scale. It tells people that something swings, which only they can mend.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{decision::Direction, moment::Moment};

/// More scales than `scales` in one direction within `period` are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RapidLimit {
    /// How many are fine.
    pub scales: u32,
    /// Within this time.
    pub period: Duration,
}

/// The scales that the limit may still ask about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RapidWindow {
    scales: VecDeque<(Duration, Direction)>,
}

impl RapidWindow {
    /// No limit needs more; a window of a year at one scale a second must not eat the memory.
    const LONGEST: usize = 1024;

    /// Remembers a scale.
    pub fn push(&mut self, direction: Direction, now: &Moment) {
        if self.scales.len() >= Self::LONGEST {
            self.scales.pop_front();
        }
        self.scales.push_back((now.since_start, direction));
    }

    /// The direction and number of scales when they are too many now.
    pub fn exceeded(&mut self, limit: &RapidLimit, now: &Moment) -> Option<(Direction, u32)> {
        let expired = |at: &Duration| now.since_start.saturating_sub(*at) >= limit.period;
        while self.scales.front().is_some_and(|(at, _)| expired(at)) {
            self.scales.pop_front();
        }
        let count = |wanted| self.scales.iter().filter(|(_, direction)| *direction == wanted).count();
        [Direction::Up, Direction::Down]
            .map(|direction| (direction, u32::try_from(count(direction)).unwrap_or(u32::MAX)))
            .into_iter()
            .find(|(_, scales)| *scales > limit.scales)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_allowed_scales_in_one_direction_are_too_many_until_they_age() {
        let limit = RapidLimit { scales: 2, period: Duration::from_secs(60) };
        let at = |second| Moment { since_start: Duration::from_secs(second), civil: jiff::Timestamp::UNIX_EPOCH };
        let mut window = RapidWindow::default();
        for (second, direction) in [(0, Direction::Up), (10, Direction::Down), (20, Direction::Up)] {
            window.push(direction, &at(second));
            assert_eq!(window.exceeded(&limit, &at(second)), None);
        }
        window.push(Direction::Up, &at(30));
        assert_eq!(window.exceeded(&limit, &at(59)), Some((Direction::Up, 3)));
        assert_eq!(window.exceeded(&limit, &at(60)), None);
    }
}
