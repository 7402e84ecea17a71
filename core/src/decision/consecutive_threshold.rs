//! Scales when several readings in a row are high, or several are low.
//!
//! It asks for patience rather than precision: one slow answer is an accident, three in a row are a state. Growing asks
//! for fewer readings than shrinking, because being too small hurts users while being too large only costs money. It
//! misleads when readings alternate around a threshold: then no run is ever long enough, and the mean (see
//! [`super::average_threshold`]) sees more.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Decide, Decision, Reason, Terms, View,
    thresholds::{Level, Thresholds, numbers, why_unknown},
};
use crate::{
    registry::{Backend, Problem},
    sample::Sample,
    units::Finite,
};

/// Settings of `ConsecutiveThreshold`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// So many high readings in a row add processes.
    #[schemars(range(min = 1))]
    pub number_of_fails_to_scale_up_after: NonZeroUsize,
    /// So many low readings in a row remove processes.
    #[schemars(range(min = 1))]
    pub number_of_passes_to_scale_down_after: NonZeroUsize,
    /// A reading at or below this is low.
    pub min_measurement_value: Finite,
    /// A reading above this is high.
    pub max_measurement_value: Finite,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            number_of_fails_to_scale_up_after: NonZeroUsize::MIN.saturating_add(2),
            number_of_passes_to_scale_down_after: NonZeroUsize::MIN.saturating_add(4),
            min_measurement_value: Finite::from(400),
            max_measurement_value: Finite::from(1200),
        }
    }
}

/// The backend.
#[derive(Debug, Clone)]
pub struct ConsecutiveThreshold {
    ups_after: NonZeroUsize,
    downs_after: NonZeroUsize,
    thresholds: Thresholds,
    terms: Terms,
}

impl Backend for ConsecutiveThreshold {
    type Stage = dyn Decide;
    type Context = Terms;
    type Settings = Settings;
    const NAME: &'static str = "ConsecutiveThreshold";

    fn validate(settings: &Settings) -> Vec<Problem> {
        super::crossed_thresholds(settings.min_measurement_value, settings.max_measurement_value)
    }

    fn build(settings: Settings, terms: &Terms) -> Result<Box<dyn Decide>, Problem> {
        Ok(Box::new(Self {
            ups_after: settings.number_of_fails_to_scale_up_after,
            downs_after: settings.number_of_passes_to_scale_down_after,
            thresholds: Thresholds {
                low: settings.min_measurement_value,
                high: settings.max_measurement_value,
                unit: terms.unit.clone(),
            },
            terms: terms.clone(),
        }))
    }
}

impl Decide for ConsecutiveThreshold {
    fn decide(&self, view: &View<'_>) -> Decision {
        let Some(newest) = view.history.newest() else {
            return Decision::stay(view.running, Reason::new("no_reading", "no reading yet"));
        };
        let level = self.thresholds.level(newest);
        let run = view.history.newest_first().take_while(|sample| self.thresholds.level(sample) == level).count();
        match level {
            Level::High if run >= self.ups_after.get() => {
                let reason = self.run_reason("consecutive_high", view, self.ups_after, "above", self.thresholds.high);
                Decision::up(view.running, self.terms.increment, reason)
            }
            Level::Low if run >= self.downs_after.get() => {
                let reason =
                    self.run_reason("consecutive_low", view, self.downs_after, "at or below", self.thresholds.low);
                Decision::down(view.running, self.terms.increment, reason)
            }
            _ => Decision::stay(view.running, self.patience(newest, level, run)),
        }
    }

    fn history_needed(&self) -> NonZeroUsize {
        self.ups_after.max(self.downs_after)
    }
}

impl ConsecutiveThreshold {
    /// `3 readings in a row above 1200 ms (1310, 1405, 1377)`.
    fn run_reason(
        &self,
        key: &'static str,
        view: &View<'_>,
        length: NonZeroUsize,
        relation: &str,
        threshold: Finite,
    ) -> Reason {
        let shown = numbers(view.history.newest_first().take(length.get()));
        let threshold = self.thresholds.with_unit(threshold);
        let readings = if length.get() == 1 { "1 reading".to_owned() } else { format!("{length} readings in a row") };
        Reason::new(key, format!("{readings} {relation} {threshold} ({shown})"))
    }

    /// Why nothing happens yet.
    fn patience(&self, newest: &Sample, level: Level, run: usize) -> Reason {
        let thresholds = &self.thresholds;
        let (relation, threshold, needed) = match level {
            Level::Unknown => return Reason::new("unknown", why_unknown(newest)),
            Level::Between => {
                let shown = newest.number().map(|number| thresholds.with_unit(number)).unwrap_or_default();
                let (low, high) = (thresholds.low, thresholds.with_unit(thresholds.high));
                return Reason::new("between", format!("the newest reading, {shown}, is between {low} and {high}"));
            }
            Level::High => ("above", thresholds.high, self.ups_after),
            Level::Low => ("at or below", thresholds.low, self.downs_after),
        };
        let threshold = thresholds.with_unit(threshold);
        let (verb, noun) = if run == 1 { ("is", "reading") } else { ("are", "readings") };
        Reason::new("run_too_short", format!("{run} {noun} in a row {verb} {relation} {threshold}, {needed} needed"))
    }
}
