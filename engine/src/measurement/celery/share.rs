//! What some elements of a long list say of all of them, and how exactly.
//!
//! A list is read in pieces that lie evenly over it. Neighbours are alike (who sends a thousand tasks for tomorrow sends
//! them in a row), so each piece is one observation, however many elements it has: the error comes from how the pieces
//! differ among each other. When they hardly differ, that of single elements is the least error there can be.

/// An estimated count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// The count.
    pub count: f64,
    /// Its variance; 0 when it was counted.
    pub variance: f64,
}

impl Estimate {
    /// What was counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 items")]
    pub fn counted(count: u64) -> Self {
        Self { count: count as f64, variance: 0.0 }
    }

    /// Of `whole` elements, those like the ones that were hit: each piece as `(hit, looked at)`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 items")]
    pub fn of(whole: u64, pieces: &[(usize, usize)]) -> Self {
        let looked_at: f64 = pieces.iter().map(|(_, size)| *size as f64).sum();
        if looked_at == 0.0 {
            // Nothing was seen, so anything may be: the middle, with the error of an even chance.
            return Self { count: whole as f64 / 2.0, variance: (whole as f64 / 2.0).powi(2) };
        }
        let hits: f64 = pieces.iter().map(|(hits, _)| *hits as f64).sum();
        let share = hits / looked_at;
        let pieces_with_something: Vec<f64> =
            pieces.iter().filter(|(_, size)| *size > 0).map(|(hits, size)| *hits as f64 / *size as f64).collect();
        let count = pieces_with_something.len() as f64;
        let between = if count > 1.0 {
            pieces_with_something.iter().map(|piece| (piece - share).powi(2)).sum::<f64>() / (count - 1.0) / count
        } else {
            0.0
        };
        // One more of each kind than was seen: that none was seen does not prove that there is none.
        let smoothed = (hits + 1.0) / (looked_at + 2.0);
        let single = smoothed * (1.0 - smoothed) / looked_at;
        Self { count: whole as f64 * share, variance: (whole as f64).powi(2) * between.max(single) }
    }

    /// The count as a whole number.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate, as a count may")]
    pub fn rounded(&self) -> u64 {
        self.count.round() as u64
    }

    /// The standard error, as a whole number.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate, as a count may")]
    pub fn standard_error(&self) -> u64 {
        self.variance.sqrt().ceil() as u64
    }
}

impl std::ops::AddAssign for Estimate {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.variance += other.variance;
    }
}

/// Where pieces begin that lie evenly over `length` elements: `count` of them, each with `size` elements, none beyond the
/// end. `phase`, from 0 to 1, moves them all, so that what recurs in the list does not always meet the same pieces.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list"
)]
pub fn spread(length: u64, count: u64, size: u64, phase: f64) -> Vec<u64> {
    let room = length.saturating_sub(size) as f64;
    (0..count).map(|piece| ((piece as f64 + phase.fract()) / count as f64 * room) as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_has_no_error_and_errors_add_up_as_variances() {
        let mut sum = Estimate::counted(7);
        assert_eq!((sum.rounded(), sum.standard_error()), (7, 0));
        sum += Estimate { count: 3.0, variance: 9.0 };
        sum += Estimate { count: 3.0, variance: 16.0 };
        assert_eq!((sum.rounded(), sum.standard_error()), (13, 5));
    }

    #[test]
    fn pieces_that_agree_are_exact_and_pieces_that_differ_are_not() {
        let alike = Estimate::of(1_000_000, &[(16, 32); 16]);
        let apart = Estimate::of(1_000_000, &[[(0, 32); 8], [(32, 32); 8]].concat());
        assert_eq!((alike.rounded(), apart.rounded()), (500_000, 500_000));
        // 512 single throws of a coin, against 16.
        assert!((20_000..25_000).contains(&alike.standard_error()), "{}", alike.standard_error());
        assert!((125_000..135_000).contains(&apart.standard_error()), "{}", apart.standard_error());
    }

    #[test]
    fn none_seen_is_not_none_there_and_nothing_looked_at_says_nothing() {
        let none = Estimate::of(1_000_000, &[(0, 32); 16]);
        assert_eq!(none.rounded(), 0);
        assert!((1000..3000).contains(&none.standard_error()), "{}", none.standard_error());
        assert_eq!(Estimate::of(10, &[]).standard_error(), 5);
    }

    #[test]
    fn pieces_lie_evenly_and_inside() {
        assert_eq!(spread(100, 4, 10, 0.0), [0, 22, 45, 67]);
        assert_eq!(spread(100, 4, 10, 0.5), [11, 33, 56, 78]);
        for phase in [0.0, 0.3, 0.999, 7.618] {
            assert!(spread(1000, 16, 50, phase).iter().all(|start| start + 50 <= 1000), "{phase}");
        }
        assert_eq!(spread(3, 1, 5, 0.7), [0]);
    }
}
