//! Scales when several readings in a row are high, or several are low.
//!
//! It asks for patience rather than precision: one slow answer is an accident, three in a row are a state. Growing asks
//! for fewer readings than shrinking, because being too small hurts users while being too large only costs money. It
//! misleads when readings alternate around a threshold: then no run is ever long enough, and the mean (see
//! [`super::average_threshold`]) sees more.

use std::num::{NonZeroU32, NonZeroUsize};

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
    increment: NonZeroU32,
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
            increment: terms.common.increment,
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
                Decision::up(view.running, self.increment, reason)
            }
            Level::Low if run >= self.downs_after.get() => {
                let reason =
                    self.run_reason("consecutive_low", view, self.downs_after, "at or below", self.thresholds.low);
                Decision::down(view.running, self.increment, reason)
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
                let shown = newest.number().map(|number| thresholds.with_unit(number).to_string()).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        decision::Direction,
        examples::{self, failed},
        sample::CountsAs,
    };

    fn decide(words: &str) -> Decision {
        examples::decide("ConsecutiveThreshold", json!({}), 1, words)
    }

    #[test]
    fn only_an_unbroken_run_of_the_newest_readings_scales() {
        use Direction::{Down, Stay, Up};
        let table = [
            // name, oldest to newest, direction, wanted of 5, key
            ("nothing measured yet", "", Stay, 5, "no_reading"),
            ("two highs are too few", "1201 1201", Stay, 5, "run_too_short"),
            ("three highs", "1201 1201 1201", Up, 6, "consecutive_high"),
            ("more highs than needed", "1201 1201 1201 1201", Up, 6, "consecutive_high"),
            ("at the upper value is not above it", "1200 1200 1200", Stay, 5, "between"),
            ("one at the upper value breaks the run", "1201 1200 1201 1201", Stay, 5, "run_too_short"),
            ("an old low does not matter", "10 1201 1201 1201", Up, 6, "consecutive_high"),
            ("the newest counts, not the oldest", "1201 1201 1201 800", Stay, 5, "between"),
            ("four lows are too few", "10 10 10 10", Stay, 5, "run_too_short"),
            ("five lows", "10 10 10 10 10", Down, 4, "consecutive_low"),
            ("at the lower value is low", "400 400 400 400 400", Down, 4, "consecutive_low"),
            ("just above the lower value is not", "401 401 401 401 401", Stay, 5, "between"),
            ("one above the lower value breaks the run", "10 10 401 10 10", Stay, 5, "run_too_short"),
            ("negative readings are low", "-1 -1 -1 -1 -1", Down, 4, "consecutive_low"),
            ("a time-out counts as high", "timeout timeout timeout", Up, 6, "consecutive_high"),
            ("time-outs and highs are one run", "1201 timeout 1201", Up, 6, "consecutive_high"),
            ("a time-out breaks a run of lows", "10 10 timeout 10 10", Stay, 5, "run_too_short"),
            ("a failure is not high", "refused refused refused refused refused", Stay, 5, "unknown"),
            ("a failure breaks a run of highs", "1201 1201 refused 1201", Stay, 5, "run_too_short"),
            ("a failure breaks a run of lows", "10 10 10 10 refused 10", Stay, 5, "run_too_short"),
            ("a failure at the end of a run", "10 10 10 10 10 refused", Stay, 5, "unknown"),
            ("a failure before the run does not matter", "refused 10 10 10 10 10", Down, 4, "consecutive_low"),
            ("a document is not a number", "10 10 10 10 10 document", Stay, 5, "unknown"),
            ("a document breaks a run", "10 10 document 10 10 10", Stay, 5, "run_too_short"),
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
            ("", "no reading yet"),
            ("1310", "1 reading in a row is above 1200 ms, 3 needed"),
            ("1310 1405", "2 readings in a row are above 1200 ms, 3 needed"),
            ("1310 1405 1377", "3 readings in a row above 1200 ms (1310, 1405, 1377)"),
            ("9000 1310 1405 1377", "3 readings in a row above 1200 ms (1310, 1405, 1377)"),
            ("1310.25 timeout 1377", "3 readings in a row above 1200 ms (1310.25, timeout, 1377)"),
            ("9 8 7 6", "4 readings in a row are at or below 400 ms, 5 needed"),
            ("9 8 7 6 0", "5 readings in a row at or below 400 ms (9, 8, 7, 6, 0)"),
            ("800", "the newest reading, 800 ms, is between 400 and 1200 ms"),
            ("refused", "the newest measurement failed: https://example.org/ refused the connection"),
            ("document", "the newest reading is a document, not a number; set VALUE to select a number in it"),
        ];
        for (words, sentence) in table {
            assert_eq!(decide(words).reason.sentence, sentence, "{words:?}");
        }
    }

    #[test]
    fn a_run_of_one_is_spoken_of_as_one() {
        let settings = json!({"number_of_fails_to_scale_up_after": 1});
        let decision = examples::decide("ConsecutiveThreshold", settings, 1, "1310");
        assert_eq!(decision.reason.sentence, "1 reading above 1200 ms (1310)");
    }

    #[test]
    fn a_long_run_is_cut_in_the_middle_of_its_sentence() {
        let settings = json!({"number_of_fails_to_scale_up_after": 10});
        let words = "2001 2002 2003 2004 2005 2006 2007 2008 2009 2010";
        let decision = examples::decide("ConsecutiveThreshold", settings, 1, words);
        assert_eq!(
            decision.reason.sentence,
            "10 readings in a row above 1200 ms (2001, 2002, …, 2006, 2007, 2008, 2009, 2010)"
        );
    }

    #[test]
    fn a_sentence_stays_short_however_long_the_failures_message_is() {
        let sentence = why_unknown(&failed("html", &"wörter ".repeat(10_000), CountsAs::Unknown));
        assert!(sentence.chars().count() < 400, "{}", sentence.len());
        assert!(sentence.ends_with('…'), "{sentence}");
    }

    #[test]
    fn the_increment_is_the_size_of_a_step_and_never_goes_below_none() {
        let wanted = |increment, words| examples::decide("ConsecutiveThreshold", json!({}), increment, words).wanted;
        assert_eq!(wanted(2, "1201 1201 1201"), 7);
        assert_eq!(wanted(2, "1 1 1 1 1"), 3);
        assert_eq!(wanted(9, "1 1 1 1 1"), 0);
        assert_eq!(wanted(u32::MAX, "1201 1201 1201"), u32::MAX);
    }

    #[test]
    fn the_history_must_hold_the_longer_of_the_two_runs() {
        let needed = |ups: usize, downs: usize| {
            let settings: Value = json!({
                "number_of_fails_to_scale_up_after": ups, "number_of_passes_to_scale_down_after": downs
            });
            examples::build("ConsecutiveThreshold", settings, 1, "ms").history_needed().get()
        };
        assert_eq!([needed(3, 5), needed(7, 2)], [5, 7]);
    }
}
