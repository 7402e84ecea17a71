//! The two questions of platforms: is it alive, and may it be relied on. Neither needs a token, neither tells a secret.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::site::Site;

/// `/healthz`: fails when a bot does not move. Then a restart may help, and nothing else will.
pub async fn healthz(State(site): State<Arc<Site>>) -> Response {
    let stalled = site.stalled(&site.clock.now());
    if stalled.is_empty() {
        return Json(json!({"status": "ok"})).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "stalled", "stalled": stalled}))).into_response()
}

/// `/readyz`: fails until every bot has decided or failed once, and when the program stops.
pub async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let unready = |body| (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    if site.stop.is_cancelled() {
        return unready(json!({"status": "stopping"}));
    }
    let glances = site.board.glances();
    let waits = glances.iter().filter(|glance| glance.counts.decisions.is_empty() && glance.counts.crashes == 0);
    let waiting: Vec<_> = waits.map(|glance| glance.process.as_str()).collect();
    if waiting.is_empty() {
        return Json(json!({"status": "ready"})).into_response();
    }
    unready(json!({"status": "starting", "waiting": waiting}))
}
