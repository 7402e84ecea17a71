//! Settings: from a file to values that need no more checking.
//!
//! ```text
//!  load: find the file ─► toml | yaml | json | python ─► tree (with places) ─► original (old spellings) ─► assemble
//! ```
//!
//! Every format becomes one tree that knows where each value stands, so old spellings, `${VAR}`, the reading into types
//! and the errors are written once. All errors are told at once. A settings file with an error is never replaced by
//! defaults.

pub mod assemble;
pub mod changes;
pub mod error;
pub mod example;
mod json;
pub mod load;
pub mod original;
mod python;
pub mod schema;
#[cfg(test)]
mod tests;
mod toml;
pub mod tree;
mod yaml;

use std::{collections::BTreeMap, sync::Arc};

use autoscalebot_core::{busy, decision, names::ProcessName};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::error::ConfigErrors;
use self::error::did_you_mean;
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
    /// What is the process's own: how it is protected while it works.
    pub own: busy::Settings,
    /// All of this for people, without secrets; nothing when nobody asked for it.
    pub shown: Option<Arc<[ShownSetting]>>,
}

/// One setting in force, as it may be shown to anybody who may see settings at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownSetting {
    /// Which one: `decision.settings.min_processes`. Shared, because ten thousand processes have the same few.
    pub path: Arc<str>,
    /// Its value; fixed text when it is secret.
    pub value: Value,
    /// Where the value came from: `default`, `autoscale_settings.toml:12`, `$WEB_URL`.
    pub source: Arc<str>,
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

/// The time zone of a decision's time tables; without a setting, the machine's.
///
/// # Errors
/// A sentence when there is no such zone, with the nearest one.
pub fn resolve_time_zone(common: &decision::Common) -> Result<TimeZone, String> {
    let Some(name) = &common.time_zone else { return Ok(TimeZone::system()) };
    TimeZone::get(name).map_err(|_| no_time_zone(name))
}

fn no_time_zone(name: &str) -> String {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    format!("there is no time zone {name:?}{}", did_you_mean(name, names.iter().map(String::as_str)))
}
