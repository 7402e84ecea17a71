//! Scales when the mean of the newest readings is high, or low.
//!
//! The mean sees a load that alternates around a threshold, which a run of readings misses; in return one extreme
//! reading can carry the others across. Every reading in the window must exist: with a failure inside there is no mean.
//! One case needs none: when every sample in the window is high by itself (also those where the app was too slow to
//! answer), so is any mean of them.

use std::num::{NonZeroU32, NonZeroUsize};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Decide, Decision, Reason, Terms, View,
    thresholds::{Level, Thresholds, numbers},
};
use crate::{
    registry::{Backend, Problem},
    sample::Sample,
    units::Finite,
};

/// Settings of `AverageThreshold`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many of the newest readings the mean is made of.
    #[schemars(range(min = 1))]
    pub number_of_measurements_to_average: NonZeroUsize,
    /// A mean at or below this removes processes.
    pub min_measurement_value: Finite,
    /// A mean above this adds processes.
    pub max_measurement_value: Finite,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            number_of_measurements_to_average: NonZeroUsize::MIN.saturating_add(2),
            min_measurement_value: Finite::from(0),
            max_measurement_value: Finite::from(20),
        }
    }
}

/// The backend.
#[derive(Debug, Clone)]
pub struct AverageThreshold {
    window: NonZeroUsize,
    thresholds: Thresholds,
    increment: NonZeroU32,
}

impl Backend for AverageThreshold {
    type Stage = dyn Decide;
    type Context = Terms;
    type Settings = Settings;
    const NAME: &'static str = "AverageThreshold";

    fn validate(settings: &Settings) -> Vec<Problem> {
        super::crossed_thresholds(settings.min_measurement_value, settings.max_measurement_value)
    }

    fn build(settings: Settings, terms: &Terms) -> Result<Box<dyn Decide>, Problem> {
        Ok(Box::new(Self {
            window: settings.number_of_measurements_to_average,
            thresholds: Thresholds {
                low: settings.min_measurement_value,
                high: settings.max_measurement_value,
                unit: terms.unit.clone(),
            },
            increment: terms.common.increment,
        }))
    }
}

impl Decide for AverageThreshold {
    fn decide(&self, view: &View<'_>) -> Decision {
        let window = || view.history.newest_first().take(self.window.get());
        let (have, need) = (window().len(), self.window.get());
        if have < need {
            let sentence = format!("{have} of the {need} readings that a mean needs");
            return Decision::stay(view.running, Reason::new("not_enough", sentence));
        }
        let shown = || numbers(window());
        let Some(mean) = mean(window()) else {
            if window().all(|sample| self.thresholds.level(sample) == Level::High) {
                let high = self.thresholds.with_unit(self.thresholds.high);
                let sentence = format!("each of the newest {need} measurements is above {high} ({})", shown());
                return Decision::up(view.running, self.increment, Reason::new("all_high", sentence));
            }
            let sentence = format!("no mean of the newest {need} measurements: not all are numbers ({})", shown());
            return Decision::stay(view.running, Reason::new("unknown", sentence));
        };
        let (level, low, high) = (self.thresholds.level_of(mean), self.thresholds.low, self.thresholds.high);
        let because = |key, relation: &str| {
            let mean = self.thresholds.with_unit(mean);
            Reason::new(key, format!("the mean of the newest {need} readings, {mean}, is {relation} ({})", shown()))
        };
        match level {
            Level::High => {
                Decision::up(view.running, self.increment, because("average_high", &format!("above {high}")))
            }
            Level::Low => {
                let reason = because("average_low", &format!("at or below {low}"));
                Decision::down(view.running, self.increment, reason)
            }
            Level::Between | Level::Unknown => {
                Decision::stay(view.running, because("between", &format!("between {low} and {high}")))
            }
        }
    }

    fn history_needed(&self) -> NonZeroUsize {
        self.window
    }
}

/// The mean, when every sample has a number.
fn mean<'a>(samples: impl ExactSizeIterator<Item = &'a Sample> + Clone) -> Option<Finite> {
    #[expect(clippy::cast_precision_loss, reason = "windows are far below 2^52 samples")]
    let length = samples.len() as f64;
    let (mut sum, mut parts, mut least, mut most) = (0.0, 0.0, f64::MAX, f64::MIN);
    for sample in samples {
        let number = sample.number()?.get();
        (sum, parts) = (sum + number, parts + number / length);
        (least, most) = (number.min(least), number.max(most));
    }
    // Summing first keeps whole numbers exact: the mean of 20, 20, 20 must not come out above 20. Only a sum too large
    // for an f64 is made of parts. Either may round, but no mean lies outside of its readings.
    let mean = if f64::is_finite(sum) { sum / length } else { parts };
    Finite::new(mean.max(least).min(most))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{decision::Direction, examples};

    fn decide(words: &str) -> Decision {
        examples::decide("AverageThreshold", json!({}), 1, words)
    }

    #[test]
    fn the_mean_of_the_newest_readings_scales() {
        use Direction::{Down, Stay, Up};
        let table = [
            // name, oldest to newest, direction, wanted of 5, key
            ("nothing measured yet", "", Stay, 5, "not_enough"),
            ("two readings are too few, however high", "900 900", Stay, 5, "not_enough"),
            ("mean above", "20 20 21", Up, 6, "average_high"),
            ("mean at the upper value is not above it", "20 20 20", Stay, 5, "between"),
            ("one extreme reading carries the others", "0 0 61", Up, 6, "average_high"),
            ("only the newest three count", "900 20 20 20", Stay, 5, "between"),
            ("mean at the lower value is low", "0 0 0", Down, 4, "average_low"),
            ("mean just above the lower value is not", "0 0 1", Stay, 5, "between"),
            ("negative mean is low", "-5 0 1", Down, 4, "average_low"),
            ("a failure in the window leaves no mean", "0 refused 0", Stay, 5, "unknown"),
            ("also when the others are high", "900 refused 900", Stay, 5, "unknown"),
            ("a failure before the window does not matter", "refused 0 0 0", Down, 4, "average_low"),
            ("a document in the window leaves no mean", "0 0 document", Stay, 5, "unknown"),
            ("a time-out has no number", "0 timeout 0", Stay, 5, "unknown"),
            ("a time-out among readings that are not high", "20 timeout 900", Stay, 5, "unknown"),
            ("nothing but time-outs is high", "timeout timeout timeout", Up, 6, "all_high"),
            ("time-outs among highs are high", "21 timeout 21", Up, 6, "all_high"),
            ("a failure among time-outs is unknown", "timeout refused timeout", Stay, 5, "unknown"),
        ];
        for (name, words, direction, wanted, key) in table {
            let decision = decide(words);
            let found = (decision.direction, decision.wanted, &*decision.reason.key);
            assert_eq!(found, (direction, wanted, key), "{name}");
        }
    }

    #[test]
    fn the_sentence_has_the_numbers_in_it() {
        let table = [
            ("30", "1 of the 3 readings that a mean needs"),
            ("30 20 25", "the mean of the newest 3 readings, 25 ms, is above 20 (30, 20, 25)"),
            ("0 0 0", "the mean of the newest 3 readings, 0 ms, is at or below 0 (0, 0, 0)"),
            ("10 11 11", "the mean of the newest 3 readings, 10.667 ms, is between 0 and 20 (10, 11, 11)"),
            ("10 refused 11", "no mean of the newest 3 measurements: not all are numbers (10, refused, 11)"),
            ("21 timeout 30", "each of the newest 3 measurements is above 20 ms (21, timeout, 30)"),
        ];
        for (words, sentence) in table {
            assert_eq!(decide(words).reason.sentence, sentence, "{words:?}");
        }
    }

    #[test]
    fn the_mean_lies_between_its_readings_also_when_floats_round() {
        // 0.1 + 0.1 + 0.1 is more than 0.3 in floats; a steady reading at the threshold is still not above it.
        let settings = json!({"min_measurement_value": 0, "max_measurement_value": 0.1});
        let decision = examples::decide("AverageThreshold", settings, 1, "0.1 0.1 0.1");
        assert_eq!(decision.direction, Direction::Stay, "{}", decision.reason.sentence);
        let huge = vec![examples::number(f64::MAX); 3];
        assert_eq!(mean(huge.iter()).map(Finite::get), Some(f64::MAX));
        let huge = vec![examples::number(f64::MIN); 7];
        assert_eq!(mean(huge.iter()).map(Finite::get), Some(f64::MIN));
    }

    #[test]
    fn the_history_must_hold_the_window() {
        let settings = json!({"number_of_measurements_to_average": 7});
        assert_eq!(examples::build("AverageThreshold", settings, 1, "").history_needed().get(), 7);
    }
}
