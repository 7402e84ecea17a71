//! Two values that part readings into low, between and high; shared by the threshold backends.
//!
//! *Low* is at or below the lower value, so that an empty queue scales down with `MIN_MEASUREMENT_VALUE: 0`; *high* is
//! above the upper one. A failed measurement is neither, unless its backend knows that the app was too slow to answer.

use std::{
    borrow::Cow,
    fmt::{self, Display as _, Write as _},
};

use crate::{
    sample::{CountsAs, Sample},
    units::{Finite, in_brief},
};

/// Where a sample lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// At or below the lower threshold.
    Low,
    /// Above the lower threshold, and not above the upper one.
    Between,
    /// Above the upper threshold, or too slow to be measured at all.
    High,
    /// Nobody knows.
    Unknown,
}

/// The two values, and their unit for sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// At or below this a reading is low.
    pub low: Finite,
    /// Above this a reading is high.
    pub high: Finite,
    /// The readings' unit; may be empty.
    pub unit: Cow<'static, str>,
}

impl Thresholds {
    /// Where a number lies.
    #[must_use]
    pub fn level_of(&self, number: Finite) -> Level {
        if number <= self.low {
            Level::Low
        } else if number > self.high {
            Level::High
        } else {
            Level::Between
        }
    }

    /// Where a sample lies.
    #[must_use]
    pub fn level(&self, sample: &Sample) -> Level {
        match (&sample.outcome, sample.number()) {
            (Err(failure), _) if failure.counts_as == CountsAs::High => Level::High,
            (_, Some(number)) => self.level_of(number),
            _ => Level::Unknown,
        }
    }

    /// `1200 ms`.
    #[must_use]
    pub fn with_unit(&self, number: Finite) -> impl fmt::Display + use<'_> {
        fmt::from_fn(move |formatter| match &*self.unit {
            "" => number.fmt(formatter),
            unit => write!(formatter, "{number} {unit}"),
        })
    }
}

/// The samples' numbers, oldest first, as `1310, 1405, timeout`; long lists are cut in the middle.
#[must_use]
pub fn numbers<'a>(newest_first: impl DoubleEndedIterator<Item = &'a Sample> + ExactSizeIterator) -> String {
    // More numbers than this make no sentence.
    const SHOWN: usize = 8;
    let count = newest_first.len();
    let left_out = if count > SHOWN { 2..count - 5 } else { 0..0 };
    // Written into one text, because an idle process at its min says this on every tick.
    let mut words = String::new();
    for (index, sample) in newest_first.rev().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let _ = match (&sample.outcome, sample.number()) {
            _ if index == left_out.start && !left_out.is_empty() => write!(words, "{separator}…"),
            _ if left_out.contains(&index) => Ok(()),
            (Err(failure), _) => write!(words, "{separator}{}", failure.key.replace('_', " ")),
            (Ok(_), Some(number)) => write!(words, "{separator}{number}"),
            (Ok(_), None) => write!(words, "{separator}a document"),
        };
    }
    words
}

/// What is wrong with a sample that has no level, for a sentence.
#[must_use]
pub fn why_unknown(sample: &Sample) -> String {
    match &sample.outcome {
        Err(failure) => format!("the newest measurement failed: {}", in_brief(&failure.message)),
        Ok(_) => "the newest reading is a document, not a number; set VALUE to select a number in it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{document, number, refused, timeout};

    fn thresholds(low: u32, high: u32) -> Thresholds {
        Thresholds { low: Finite::from(low), high: Finite::from(high), unit: Cow::Borrowed("") }
    }

    #[test]
    fn low_is_at_or_below_and_high_is_above() {
        let table = [
            ("far below", number(-1e300), Level::Low),
            ("below", number(399.999), Level::Low),
            ("at the lower value", number(400.0), Level::Low),
            ("just above the lower value", number(400.001), Level::Between),
            ("at the upper value", number(1200.0), Level::Between),
            ("just above the upper value", number(1200.001), Level::High),
            ("far above", number(1e300), Level::High),
            ("too slow to answer", timeout(), Level::High),
            ("failed", refused(), Level::Unknown),
            ("not a number", document(), Level::Unknown),
        ];
        for (name, sample, level) in table {
            assert_eq!(thresholds(400, 1200).level(&sample), level, "{name}");
        }
    }

    #[test]
    fn an_empty_queue_is_low_with_a_lower_value_of_0() {
        assert_eq!(thresholds(0, 10).level(&number(0.0)), Level::Low);
        assert_eq!(thresholds(0, 10).level(&number(-0.0)), Level::Low);
    }

    #[test]
    fn equal_thresholds_leave_nothing_between() {
        assert_eq!(thresholds(5, 5).level(&number(5.0)), Level::Low);
        assert_eq!(thresholds(5, 5).level(&number(5.001)), Level::High);
    }
}
