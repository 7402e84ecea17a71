//! stub
use crate::{config::NotificationConfig, shared::Shared};
use autoscalebot_core::{event::Event, moment::Moment, names::ProcessName, registry::Problem};
use std::{sync::Arc, time::Duration};
/// Stub.
#[derive(Clone, Default)]
pub struct Outlets {}
impl Outlets {
    /// Stub.
    pub fn build(_: &NotificationConfig, _: &Arc<Shared>) -> Result<Self, Problem> {
        Ok(Self {})
    }
    /// Stub.
    pub fn tell(&self, _: &ProcessName, _: Moment, _: &Event) {}
    /// Stub.
    pub async fn flush(&self, _: Duration) {}
    /// Stub.
    pub fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}
