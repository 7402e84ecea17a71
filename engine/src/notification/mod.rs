//! Notification: telling people.
//!
//! A backend gets a finished [`Notice`] and delivers it. It knows nothing of bots and cannot slow one down: notices wait
//! in a bounded queue per backend, and each delivery has a time-out and a few retries.

pub mod console;
pub mod dispatch;
pub mod django_email;
pub mod email;
pub mod filter;
pub mod logger;
pub mod memory;
pub mod slack;
#[cfg(test)]
mod testing;
pub mod text;
pub mod webhook;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    event::Event,
    moment::Moment,
    names::ProcessName,
    registry::{Entry, entry},
};
use uuid::Uuid;

use crate::shared::Shared;

/// Every notification backend, in the order of the docs.
pub const BACKENDS: &[Entry<dyn Notify, Context>] = &[
    entry::<console::Console>(),
    entry::<logger::Logger>(),
    entry::<email::Email>(),
    entry::<django_email::DjangoEmail>(),
    entry::<webhook::Webhook>(),
    entry::<slack::Slack>(),
    entry::<memory::Memory>(),
];

/// A notification backend.
#[async_trait]
pub trait Notify: Send + Sync {
    /// Delivers one notice. After an error that can be retried, the same notice may come again, with the same `id`.
    ///
    /// # Errors
    /// Why it was not delivered; `retry` says whether trying again can help.
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError>;

    /// What people should know about these settings before they rely on them; shown at start and by `check`. No secrets.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Something to tell, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The process it is about.
    pub process: ProcessName,
    /// When it happened.
    pub at: Moment,
    /// What happened, as data.
    pub event: Event,
    /// Stays the same however often delivery is tried, so that the other side can tell a repetition from news.
    pub id: Uuid,
    /// Notices lost on the way to this backend since the last one that got through: too many at once, or undeliverable.
    pub lost_before: u64,
}

/// Why a notice was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotifyError {
    /// What failed and what to do; no secret in it.
    pub message: String,
    /// Whether trying again can help.
    pub retry: bool,
    /// The other side asked not to be asked again before this.
    pub retry_after: Option<Duration>,
}

impl NotifyError {
    /// Trying again may help: the network, a server in trouble.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: true, retry_after: None }
    }

    /// Trying again cannot help until somebody changes something: a wrong password, a URL that is gone.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: false, retry_after: None }
    }
}

/// What a notification backend is told when it is built, beside its own settings. It names no process: processes with
/// the same backend and settings share one.
pub struct Context {
    /// What all bots share.
    pub shared: Arc<Shared>,
}

/// The settings that say what is told; shared by all backends of one process.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// Tell the result of every measurement.
    pub notify_on_every_measurement: bool,
    /// Tell every scale.
    pub notify_on_every_scale: bool,
    /// Tell when fewer processes are called for, but the process is at its min.
    pub notify_if_needs_below_min: bool,
    /// Tell when more processes are called for, but the process is at its max.
    pub notify_if_needs_exceed_max: bool,
    /// Tell when the process is scaled too often in one direction.
    pub notify_if_scaling_is_too_rapid: bool,
    /// So many scales in one direction are fine within the time below.
    pub notify_if_scaling_is_too_rapid_num_scales: u32,
    /// The time, in minutes, within which scales are counted.
    #[schemars(range(min = 1))]
    pub notify_if_scaling_is_too_rapid_time_period_minutes: std::num::NonZeroU32,
    /// Tell when the platform does not take an order, or does not say how many processes run.
    pub notify_if_scale_fails: bool,
    /// Tell when measuring fails, and when it works again.
    pub notify_if_measurement_fails: bool,
    /// Tell when someone else changes the count.
    pub notify_if_count_changes_elsewhere: bool,
    /// How often a condition that lasts is told again.
    #[schemars(range(min = 1))]
    pub notify_repeat_minutes: std::num::NonZeroU32,
}

impl Default for Common {
    fn default() -> Self {
        let minutes = |minutes: u32| std::num::NonZeroU32::MIN.saturating_add(minutes - 1);
        Self {
            notify_on_every_measurement: false,
            notify_on_every_scale: false,
            notify_if_needs_below_min: false,
            notify_if_needs_exceed_max: true,
            notify_if_scaling_is_too_rapid: false,
            notify_if_scaling_is_too_rapid_num_scales: 5,
            notify_if_scaling_is_too_rapid_time_period_minutes: minutes(1),
            notify_if_scale_fails: true,
            notify_if_measurement_fails: true,
            notify_if_count_changes_elsewhere: true,
            notify_repeat_minutes: minutes(60),
        }
    }
}
