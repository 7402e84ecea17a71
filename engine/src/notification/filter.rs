//! What is told: one match from an event to the setting that asks for it.
//!
//! It is asked for every event of every bot, mostly to hear "no", so it looks and never copies. It does not count or
//! remember: that a lasting condition is told once and then now and then is the core's doing.

use std::time::Duration;

use autoscalebot_core::{event::Event, rapid::RapidLimit};

use super::Common;

/// The words of `NOTIFY_ON` (a list such as `[SCALE, NEEDS_EXCEED_MAX]`), each with the field of [`Common`] that it
/// turns on. A list turns off every field in this table that it does not name.
pub const NOTIFY_ON_WORDS: &[(&str, &str)] = &[
    ("MEASUREMENT", "notify_on_every_measurement"),
    ("SCALE", "notify_on_every_scale"),
    ("NEEDS_BELOW_MIN", "notify_if_needs_below_min"),
    ("BELOW_MIN", "notify_if_needs_below_min"),
    ("NEEDS_EXCEED_MAX", "notify_if_needs_exceed_max"),
    ("EXCEED_MAX", "notify_if_needs_exceed_max"),
    ("SCALING_IS_TOO_RAPID", "notify_if_scaling_is_too_rapid"),
    ("TOO_RAPID", "notify_if_scaling_is_too_rapid"),
    ("SCALE_FAILS", "notify_if_scale_fails"),
    ("MEASUREMENT_FAILS", "notify_if_measurement_fails"),
    ("COUNT_CHANGES_ELSEWHERE", "notify_if_count_changes_elsewhere"),
];

impl Common {
    /// Whether these settings ask for this event.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Measured { .. } => self.notify_on_every_measurement,
            Event::MeasurementFailed { .. } | Event::MeasurementRecovered { .. } => self.notify_if_measurement_fails,
            // A platform that does not say how many run cannot be scaled either.
            Event::CountFailed { .. }
            | Event::CountRecovered { .. }
            | Event::ScaleFailed { .. }
            | Event::ScaleRecovered { .. } => self.notify_if_scale_fails,
            Event::CountChangedElsewhere { .. } => self.notify_if_count_changes_elsewhere,
            Event::ScaledUp { .. } | Event::ScaledDown { .. } | Event::WouldScale { .. } => self.notify_on_every_scale,
            Event::NeedsExceededMax { .. } => self.notify_if_needs_exceed_max,
            Event::NeedsBelowMin { .. } => self.notify_if_needs_below_min,
            Event::ScalingTooRapid { .. } => self.notify_if_scaling_is_too_rapid,
            // Nobody can have wanted these, and somebody must act: no setting turns them off.
            Event::BotPanicked { .. } | Event::SettingsRejected { .. } => true,
            // A pause or a hold changes how a process is scaled as much as a scale does.
            Event::Commanded { .. } | Event::ControlExpired { .. } => self.notify_on_every_scale,
            // Whoever changed the settings knows, and in a large fleet it would be one notice per process.
            Event::SettingsReloaded { .. } => false,
        }
    }

    /// How often a lasting condition is told again.
    #[must_use]
    pub fn repeat(&self) -> Duration {
        minutes(self.notify_repeat_minutes.get())
    }

    /// What counts as too rapid.
    #[must_use]
    pub fn rapid_limit(&self) -> RapidLimit {
        RapidLimit {
            scales: self.notify_if_scaling_is_too_rapid_num_scales,
            period: minutes(self.notify_if_scaling_is_too_rapid_time_period_minutes.get()),
        }
    }
}

fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::notification::{testing::every_event, text};

    /// All that can be turned off, turned off.
    fn quiet() -> Common {
        let off: serde_json::Map<_, _> =
            NOTIFY_ON_WORDS.iter().map(|(_, field)| ((*field).to_owned(), false.into())).collect();
        serde_json::from_value(off.into()).expect("every word names a boolean field of Common")
    }

    fn told(common: &Common) -> Vec<&'static str> {
        let mut keys: Vec<_> =
            every_event().iter().filter(|event| common.wants(event)).map(|event| text::key(event)).collect();
        keys.dedup();
        keys
    }

    #[test]
    fn each_setting_turns_on_its_events_and_no_others() {
        let always = ["bot_panicked", "settings_rejected"];
        let table: [(&str, &[&str]); 8] = [
            ("notify_on_every_measurement", &["measured"]),
            ("notify_on_every_scale", &["commanded", "control_expired", "scaled_up", "scaled_down", "would_scale"]),
            ("notify_if_needs_below_min", &["needs_below_min"]),
            ("notify_if_needs_exceed_max", &["needs_exceeded_max"]),
            ("notify_if_scaling_is_too_rapid", &["scaling_too_rapid"]),
            ("notify_if_scale_fails", &["count_failed", "count_recovered", "scale_recovered", "scale_failed"]),
            ("notify_if_measurement_fails", &["measurement_failed", "measurement_recovered"]),
            ("notify_if_count_changes_elsewhere", &["count_changed_elsewhere"]),
        ];
        for (name, expected) in table {
            let mut settings = serde_json::to_value(quiet()).unwrap();
            settings[name] = true.into();
            let common: Common = serde_json::from_value(settings).unwrap();
            let expected: BTreeSet<_> = expected.iter().chain(&always).copied().collect();
            assert_eq!(told(&common).into_iter().collect::<BTreeSet<_>>(), expected, "{name}");
            assert!(NOTIFY_ON_WORDS.iter().any(|(_, field)| *field == name), "no word for {name}");
        }
    }

    #[test]
    fn the_page_about_notification_lists_every_word_with_its_setting() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/backends/notification/index.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (word, field) in NOTIFY_ON_WORDS {
            let (word, setting) = (format!("`{word}`"), format!("`{}`", field.to_uppercase()));
            assert!(page.lines().any(|line| line.contains(&word) && line.contains(&setting)), "{word}");
        }
    }

    #[test]
    fn crashes_and_bad_settings_are_told_with_everything_turned_off() {
        assert_eq!(told(&quiet()), ["bot_panicked", "settings_rejected"]);
    }

    #[test]
    fn without_settings_what_needs_a_person_is_told_and_what_works_is_not() {
        assert_eq!(
            told(&Common::default()),
            [
                "measurement_failed",
                "measurement_recovered",
                "count_failed",
                "count_recovered",
                "scale_recovered",
                "count_changed_elsewhere",
                "scale_failed",
                "needs_exceeded_max",
                "bot_panicked",
                "settings_rejected"
            ]
        );
    }

    #[test]
    fn the_defaults_of_the_original_hold() {
        let common = serde_json::to_value(Common::default()).unwrap();
        for (name, value) in [
            ("notify_on_every_measurement", serde_json::json!(false)),
            ("notify_on_every_scale", false.into()),
            ("notify_if_needs_below_min", false.into()),
            ("notify_if_needs_exceed_max", true.into()),
            ("notify_if_scaling_is_too_rapid", false.into()),
            ("notify_if_scaling_is_too_rapid_num_scales", 5.into()),
            ("notify_if_scaling_is_too_rapid_time_period_minutes", 1.into()),
        ] {
            assert_eq!(common[name], value, "{name}");
        }
        let limit = Common::default().rapid_limit();
        assert_eq!((limit.scales, limit.period), (5, Duration::from_secs(60)));
        assert_eq!(Common::default().repeat(), Duration::from_secs(3600));
    }
}
