//! Where the lines of a grid stand: at numbers and times that people count in.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// Steps between times, in seconds: those of a clock.
const TIME_STEPS: &[i64] = &[
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000,
];

/// Numbers from 0 or below to `highest` or above, about `count` of them.
#[must_use]
pub fn numbers(lowest: f64, highest: f64, count: u32, whole: bool) -> Vec<f64> {
    let range = (highest - lowest).max(f64::MIN_POSITIVE);
    let rough = range / f64::from(count.max(1));
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|factor| factor * magnitude).find(|step| *step >= rough);
    let mut step = step.unwrap_or(10.0 * magnitude);
    if whole {
        step = step.ceil().max(1.0);
    }
    let first = (lowest / step).floor();
    let last = (highest / step).ceil().min(first + 1_000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a thousand")]
    let steps = (last - first).max(1.0) as u32;
    (0..=steps).map(|index| (first + f64::from(index)) * step).collect()
}

/// Times in a range, at most about `count`, with what is written below each.
#[must_use]
pub fn times(from: Timestamp, to: Timestamp, zone: &TimeZone, count: i64) -> Vec<(Timestamp, String)> {
    let range = (to.as_second() - from.as_second()).max(1);
    let step = TIME_STEPS.iter().copied().find(|step| range / step <= count).unwrap_or(range / count.max(1));
    // Counted on the clock of the place, so that six o'clock is six o'clock also on days that have 25 hours.
    let here: DateTime = from.to_zoned_datetime(zone.clone()).datetime();
    let Ok(midnight) = here.with().time(jiff::civil::Time::midnight()).build() else { return Vec::new() };
    let mut marks: Vec<(Timestamp, String)> = Vec::new();
    let steps = (range + 2 * 86_400 + 3_600) / step;
    for index in 0..=steps {
        let Ok(civil) = midnight.checked_add(SignedDuration::from_secs(index * step)) else { break };
        let Ok(zoned) = civil.to_zoned_datetime(zone.clone()) else { continue };
        let at = zoned.timestamp();
        if at < from || at > to || marks.last().is_some_and(|(last, _)| *last >= at) {
            continue;
        }
        let is_midnight = civil.hour() == 0 && civil.minute() == 0 && civil.second() == 0;
        let format = if is_midnight {
            "%b %-d"
        } else if step < 60 {
            "%H:%M:%S"
        } else {
            "%H:%M"
        };
        marks.push((at, zoned.strftime(format).to_string()));
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_round_and_enclose_the_range() {
        assert_eq!(numbers(0.0, 1310.0, 5, false), [0.0, 500.0, 1000.0, 1500.0]);
        assert_eq!(numbers(0.0, 3.0, 5, true), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(numbers(0.0, 0.0, 5, true), [0.0, 1.0]);
        assert_eq!(numbers(-7.0, 7.0, 4, false), [-10.0, -5.0, 0.0, 5.0, 10.0]);
    }

    #[test]
    fn times_stand_on_the_clock_of_the_place_also_when_it_is_turned_back() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let times = times("2026-10-24T20:00:00Z".parse().unwrap(), "2026-10-25T20:00:00Z".parse().unwrap(), &zone, 10);
        let labels: Vec<&str> = times.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["Oct 25", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]);
    }
}
