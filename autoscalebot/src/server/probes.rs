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
    let stalled = site.stalled(&site.parts.clock.now());
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
    let glances = site.parts.board.glances();
    let waits = glances.iter().filter(|glance| glance.counts.decisions.is_empty() && glance.counts.crashes == 0);
    let waiting: Vec<_> = waits.map(|glance| glance.process.as_str()).collect();
    if waiting.is_empty() {
        return Json(json!({"status": "ready"})).into_response();
    }
    unready(json!({"status": "starting", "waiting": waiting}))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::testing::site;

    async fn seen(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_bot_that_does_not_move_is_named() {
        let (site, _fleet) = site(Duration::from_secs(3600)).await;
        // It runs once the test waits, and then has a next moment that is an hour too old.
        while site.stalled(&site.parts.clock.now()).is_empty() {
            tokio::task::yield_now().await;
        }
        let (status, body) = seen(healthz(State(site)).await).await;
        assert_eq!((status, body.as_str()), (503, r#"{"status":"stalled","stalled":["web"]}"#));
    }

    #[tokio::test]
    async fn a_program_that_stops_is_not_ready() {
        let (site, _fleet) = site(Duration::ZERO).await;
        assert_eq!(seen(healthz(State(site.clone())).await).await.0, 200);
        assert_eq!(seen(readyz(State(site.clone())).await).await.1, r#"{"status":"starting","waiting":["web"]}"#);
        site.stop.cancel();
        assert_eq!(seen(readyz(State(site)).await).await, (503, r#"{"status":"stopping"}"#.to_owned()));
    }
}
