//! Settings: from a file to values that need no more checking.

use std::collections::BTreeMap;

use autoscalebot_core::{decision, names::ProcessName};
use serde_json::Value;

use crate::{measurement, notification};

/// All settings of one program.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// One entry per process, in the order of their names.
    pub processes: BTreeMap<ProcessName, ProcessConfig>,
}

/// The settings of one process. Every backend in it exists and its settings have no problem.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessConfig {
    /// At least one.
    pub signals: Vec<SignalConfig>,
    /// The platform.
    pub scaling: BackendSettings,
    /// Whom to tell.
    pub notification: NotificationConfig,
}

/// One measurement with its decision.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalConfig {
    /// The measurement backend and its own settings.
    pub measurement: BackendSettings,
    /// What every measurement has.
    pub measurement_common: measurement::Common,
    /// The decision backend and its own settings.
    pub decision: BackendSettings,
    /// What every decision has.
    pub decision_common: decision::Common,
}

/// Which backends to tell what.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationConfig {
    /// The backends and their own settings.
    pub backends: Vec<BackendSettings>,
    /// What to tell them.
    pub common: notification::Common,
}

/// A backend by its canonical name, with its own settings (lower-case keys, environment already filled in).
#[derive(Clone, PartialEq)]
pub struct BackendSettings {
    /// The `NAME` of its registry entry.
    pub backend: &'static str,
    /// Its own settings, without those that its whole stage has. May hold secrets: never show it.
    pub settings: Value,
}

impl std::fmt::Debug for BackendSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BackendSettings").field("backend", &self.backend).finish_non_exhaustive()
    }
}
/// stub
pub fn resolve_time_zone(_: &decision::Common) -> Result<jiff::tz::TimeZone, String> {
    Ok(jiff::tz::TimeZone::UTC)
}
pub mod load;
/// tmp
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<String>);
impl ConfigErrors {
    /// tmp
    pub fn lines(&self) -> Vec<String> {
        self.0.clone()
    }
    /// tmp
    pub fn render(&self, _: bool) -> String {
        self.0.join("\n")
    }
}
