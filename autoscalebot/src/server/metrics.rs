//! `/metrics`: the page that Prometheus reads, for whoever may look.

use std::sync::Arc;

use autoscalebot_engine::telemetry::metrics::{CONTENT_TYPE, render};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{failure::Failure, site::Site};

/// Everything that is known now.
pub async fn page(State(site): State<Arc<Site>>) -> Response {
    let sources = site.parts.metrics.clone();
    // With thousands of processes it takes a while to write, and must not hold up bots.
    match tokio::task::spawn_blocking(move || render(&sources)).await {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(_) => {
            let message = "reading metrics panicked; this is a bug, please report it";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).into_response()
        }
    }
}
