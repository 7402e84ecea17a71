//! Every address of the server, and what holds for all of them.
//!
//! ```text
//!  connection ─► security headers ─► access ─┬─► /healthz /readyz            probes
//!                                            ├─► /  /assets/…                the dashboard's files
//!                                            ├─► /api/v1/…                   the API and its document
//!                                            └─► /metrics                    for Prometheus
//! ```

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;

use super::{api, assets, failure::Failure, metrics, probes, site::Site};

/// The address of whoever is connected.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub IpAddr);

/// What a page from here may do: load its own files and ask its own server. Nothing may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// All of it.
pub fn router(site: Arc<Site>) -> Router {
    let (api, document) = api::routes();
    let document = Bytes::from(document.to_json().unwrap_or_default());
    api.route("/api/v1/openapi.json", get(async move || json(document.clone())))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(metrics::page))
        .route("/", get(assets::index))
        .route("/assets/{*name}", get(assets::file))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_this_way)
        .layer(from_fn_with_state(site.clone(), access))
        .layer(from_fn(headers))
        .with_state(site)
}

async fn access(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    // Whoever has no address (there is no such connection) shares one with all the others.
    let client = parts.extensions.get::<Client>().map_or(IpAddr::from([0, 0, 0, 0]), |client| client.0);
    match site.access.check(&parts, client) {
        Ok(role) => {
            parts.extensions.insert(role);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // The dashboard's files have said something else already; everything else is of this moment, and may be private.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn json(text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn nowhere() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing here; GET /api/v1/openapi.json lists what there is",
    )
}

async fn not_this_way() -> Failure {
    let message = "this cannot be done here; the Allow header says what can";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
