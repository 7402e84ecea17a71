//! Metrics on their way to an OpenTelemetry collector, when the environment says where one is.
//!
//! A program that was built without the feature `otlp` sends none, and says so when it should.

use std::time::Duration;

use autoscalebot_engine::{
    environment::{Environment, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, Variable},
    telemetry::metrics::Sources,
};
use tracing::warn;

/// From the stop to the last message. The program has five seconds in all, and bots come first.
const LAST_MESSAGE: Duration = Duration::from_secs(2);

/// What sends metrics, if anything does.
pub struct Exporting(#[cfg(feature = "otlp")] Option<autoscalebot_engine::telemetry::otlp::Export>);

impl Exporting {
    /// Whether the environment says that metrics are to be sent.
    #[must_use]
    pub fn is_wanted(environment: &Environment) -> bool {
        endpoint_variable(environment).is_some()
    }
}

fn endpoint_variable(environment: &Environment) -> Option<Variable> {
    let endpoints = [OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
    endpoints.into_iter().find(|variable| environment.get(variable.name).is_some())
}

#[cfg(feature = "otlp")]
impl Exporting {
    /// Begins. What is wrong with the environment is said, and is no reason not to scale.
    #[must_use]
    pub fn start(sources: &Sources) -> Self {
        let export = autoscalebot_engine::telemetry::otlp::Export::start(sources.clone());
        let export = export.unwrap_or_else(|problem| {
            warn!("metrics are not sent: {problem}");
            None
        });
        if let Some(export) = &export {
            tracing::info!(endpoint = export.endpoint(), seconds = export.interval().as_secs_f64(), "metrics are sent");
        }
        Self(export)
    }

    /// Sends once more and ends.
    pub async fn finish(self) {
        if let Some(export) = self.0 {
            export.finish(LAST_MESSAGE).await;
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Exporting {
    /// Says what it cannot do.
    #[must_use]
    pub fn start(sources: &Sources) -> Self {
        if let Some(variable) = endpoint_variable(&sources.shared.host.environment) {
            warn!("metrics are not sent: {} is set, and this program was built without otlp", variable.name);
        }
        Self()
    }

    /// Nothing to end.
    pub async fn finish(self) {
        // So that both forms are called alike.
        let _ = LAST_MESSAGE;
    }
}
