//! Scales when the mean of the newest readings is high, or low.
//!
//! The mean sees a load that alternates around a threshold, which a run of readings misses; in return one extreme
//! reading can carry the others across. Every reading in the window must exist: with a failure inside there is no mean.
//! One case needs none: when every sample in the window is high by itself (also those where the app was too slow to
//! answer), so is any mean of them.

use std::num::NonZeroUsize;

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
    terms: Terms,
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
            terms: terms.clone(),
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
                return Decision::up(view.running, self.terms.increment, Reason::new("all_high", sentence));
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
                Decision::up(view.running, self.terms.increment, because("average_high", &format!("above {high}")))
            }
            Level::Low => {
                let reason = because("average_low", &format!("at or below {low}"));
                Decision::down(view.running, self.terms.increment, reason)
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
    let mut sum = 0.0;
    for sample in samples.clone() {
        sum += sample.number()?.get();
    }
    // Summing first keeps whole numbers exact: the mean of 20, 20, 20 must not come out above 20. Only a sum too large
    // for an f64 is made of parts.
    Finite::new(sum / length).or_else(|| {
        let parts: f64 = samples.filter_map(Sample::number).map(|number| number.get() / length).sum();
        Finite::new(parts.clamp(f64::MIN, f64::MAX))
    })
}
