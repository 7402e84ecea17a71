//! What a bot decides by, as a value: it can be stored beside what was decided, and made into the very policy again.
//!
//! A policy of the core holds backends, which are code. This is what they are made from, without what is secret and
//! without what only measuring needs. There is one way from settings to a policy, and it leads through here; so a
//! decision of last week is replayed by what was in force last week, whatever the settings say today.

use std::{borrow::Cow, sync::Arc, time::Duration};

use autoscalebot_core::{
    bounds::{Bounds, Range},
    busy::Protection,
    decision::{self, Terms},
    moment::Moment,
    rapid::RapidLimit,
    registry::Problem,
    step::{Policy, Signal},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    config::{assemble::sounds_secret, resolve_time_zone},
    host::{DECISION, Host, MEASUREMENT},
    measurement::url::UrlText,
    secret::Secret,
};

/// What a bot decides by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySpec {
    /// In the order of the settings.
    pub signals: Vec<SignalSpec>,
    /// How long to wait after a scale.
    pub wait_after_scale: Duration,
    /// How often a lasting condition is told again.
    pub repeat: Duration,
    /// What counts as too rapid.
    pub rapid: RapidLimit,
    /// How the process is protected while it works.
    pub protection: Protection,
    /// Whether orders are only told, by the way the program was started. It changes no decision.
    #[serde(default)]
    pub is_dry_run: bool,
}

/// One measurement with its decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalSpec {
    /// Name of the measurement backend.
    pub measurement: String,
    /// The unit of its readings; empty when there is none.
    pub unit: String,
    /// Whether it sees the work in a queue.
    pub sees_work: bool,
    /// How often it is measured.
    pub interval: Duration,
    /// Name of the decision backend.
    pub decision: String,
    /// Its own settings.
    pub settings: Value,
    /// What every decision has. Its time zone is always named here, as far as the machine's has a name.
    pub common: decision::Common,
}

impl PolicySpec {
    /// The policy for a process of this name.
    ///
    /// # Errors
    /// What the backends do not accept, with the stage that it is about.
    pub fn build(&self, process: &str, host: &Host) -> Result<Policy, (&'static str, Problem)> {
        let signals = self.signals.iter().map(|signal| signal.build(process, host)).collect::<Result<_, _>>()?;
        Ok(Policy {
            signals,
            wait_after_scale: self.wait_after_scale,
            repeat: self.repeat,
            rapid: self.rapid,
            protection: self.protection,
        })
    }

    /// The bounds of a moment, all signals together: the same that the core would say. Nothing when they cannot be.
    #[must_use]
    pub fn range(&self, now: &Moment) -> Option<Range> {
        let bounds = |signal: &SignalSpec| signal.bounds().ok();
        let ranges = self.signals.iter().map(|signal| bounds(signal).map(|bounds| bounds.at(now)));
        let ranges: Option<Vec<Range>> = ranges.collect();
        let both = |left: Range, right: Range| Range { min: left.min.max(right.min), max: left.max.max(right.max) };
        ranges?.into_iter().reduce(both)
    }
}

impl PolicySpec {
    /// The same as it may be kept. Our own decisions have no secrets; somebody's own backend may have any setting.
    #[must_use]
    pub fn storable(&self) -> Self {
        let mut storable = self.clone();
        storable.signals.iter_mut().for_each(|signal| signal.settings = without_secrets("", &signal.settings));
        storable
    }
}

fn without_secrets(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), without_secrets(name, value))).collect(),
        Value::Array(items) => items.iter().map(|item| without_secrets(name, item)).collect(),
        Value::String(text) if !text.is_empty() && sounds_secret(name) => Value::from(Secret::SHOWN),
        Value::String(text) if text.contains("://") => Value::from(UrlText::new(text.as_str()).to_string()),
        other => other.clone(),
    }
}

impl SignalSpec {
    fn build(&self, process: &str, host: &Host) -> Result<Signal, (&'static str, Problem)> {
        let in_decision = |problem| ("decision", problem);
        let measurement = MEASUREMENT.find(host, &self.measurement).map_err(|problem| ("measurement", problem))?.name;
        let entry = DECISION.find(host, &self.decision).map_err(in_decision)?;
        let terms = Terms {
            common: self.common.clone(),
            unit: Cow::Owned(self.unit.clone()),
            backend: measurement,
            process: process.to_owned(),
        };
        Ok(Signal {
            backend: Arc::from(measurement),
            decide: (entry.build)(&self.settings, &terms).map_err(in_decision)?,
            bounds: self.bounds().map_err(in_decision)?,
            history_length: self.common.history_length,
            sees_work: self.sees_work,
        })
    }

    fn bounds(&self) -> Result<Bounds, Problem> {
        let zone = resolve_time_zone(&self.common).map_err(|text| Problem::new("time_zone", text, ""))?;
        let (min, max) = (self.common.min_processes.clone(), self.common.max_processes.clone());
        Bounds::new(min, max, zone).map_err(|text| Problem::new("min_processes", text, ""))
    }

    /// The two thresholds that its readings are held against, if its decision backend has such settings: at or below
    /// the first is low, above the second is high.
    #[must_use]
    pub fn thresholds(&self, host: &Host) -> (Option<f64>, Option<f64>) {
        let defaults = DECISION.find(host, &self.decision).map(|entry| (entry.defaults)()).unwrap_or_default();
        let of = |name: &str| self.settings.get(name).or_else(|| defaults.get(name)).and_then(Value::as_f64);
        (of("min_measurement_value"), of("max_measurement_value"))
    }
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::busy::Protection;
    use serde_json::json;

    use super::*;

    fn spec(settings: Value) -> PolicySpec {
        PolicySpec {
            signals: vec![SignalSpec {
                measurement: "ResponseTime".to_owned(),
                unit: "ms".to_owned(),
                sees_work: false,
                interval: Duration::from_secs(10),
                decision: "ConsecutiveThreshold".to_owned(),
                settings,
                common: decision::Common::default(),
            }],
            wait_after_scale: Duration::from_secs(5),
            repeat: Duration::from_secs(3600),
            rapid: RapidLimit { scales: 5, period: Duration::from_secs(60) },
            protection: Protection::default(),
            is_dry_run: false,
        }
    }

    #[test]
    fn what_is_kept_builds_the_same_policy() {
        let spec = spec(json!({"max_measurement_value": 900.5}));
        let kept: PolicySpec = serde_json::from_str(&serde_json::to_string(&spec.storable()).unwrap()).unwrap();
        assert_eq!(kept, spec);
        let host = Host::default();
        assert_eq!(spec.signals[0].thresholds(&host), (Some(400.0), Some(900.5)));
        assert!(kept.build("web", &host).is_ok());
    }

    #[test]
    fn secrets_of_somebodys_own_backend_are_not_kept() {
        let spec = spec(json!({
            "api_token": "hunter2", "nested": {"passwords": ["hunter2"]}, "model_url": "https://me:hunter2@host/m",
            "limit": 5, "plain": "kept",
        }));
        let kept = serde_json::to_string(&spec.storable()).unwrap();
        assert!(!kept.contains("hunter2") && kept.contains("\"plain\":\"kept\""), "{kept}");
    }
}
