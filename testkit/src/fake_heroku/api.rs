//! The envelope of every API call: recording, faults, `Accept`, credentials, rate limit, ranges, ETags, headers.
//!
//! What a call does is in `routes.rs`; everything that is the same for all calls is here, in the order in which it
//! happens.

use std::sync::Arc;

use autoscalebot_core::moment::Moment;
use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use serde_json::Value;

use super::{
    admin, auth,
    clock::{Stopwatch, http_time},
    errors::ApiError,
    faults::{self, Fault, edge_page},
    identity::{fingerprint, new_id},
    log_sessions,
    ranges::Range,
    recorded::Recorded,
    routes,
    server::Connection,
    state::{Shared, World},
};

/// Largest body of a request. The real limit is not known; nothing legitimate comes near.
const LARGEST_BODY_BYTES: usize = 1024 * 1024;

/// A request, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// A header as text.
    pub(crate) fn header(&self, name: impl axum::http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; null when it is empty.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| ApiError::of_status(400, "The request body is not valid JSON."))
    }
}

/// What a route gives.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// For lists, the fields by which they can be sorted; the first is the default.
    pub(crate) sortable: Option<&'static [&'static str]>,
}

impl Answer {
    /// 200 with this object.
    pub(crate) fn ok(body: Value) -> Self {
        Self::of(StatusCode::OK, body)
    }

    /// This status with this object.
    pub(crate) fn of(status: StatusCode, body: Value) -> Self {
        Self { status, body, sortable: None }
    }

    /// 200 or 206 with a page of these rows.
    pub(crate) fn list(rows: Vec<Value>, sortable: &'static [&'static str]) -> Self {
        Self { status: StatusCode::OK, body: Value::Array(rows), sortable: Some(sortable) }
    }
}

/// Answers everything that comes to the API's address.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let stopwatch = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY_BYTES).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large.\n");
    };
    let mut call = Call {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        headers: parts.headers,
        body,
    };
    if call.path.starts_with("/_fake/") {
        return admin::answer(&shared, &call);
    }
    if let Some(method) = overriding_method(&call) {
        call.method = method;
    }
    let (number, fault) = shared.look(|world, _| {
        world.recorded.push(record(&call));
        let fault = faults::take(&mut world.faults, call.method.as_str(), &call.path);
        (world.recorded.len() - 1, fault)
    });
    let response = match &fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::EdgeHtml) => edge_page(),
        Some(Fault::Reset) => Response::default(),
        Some(fault) if let Some(error) = fault.error() => {
            shared.look(|world, now| dress(world, now, &call, Err(error), stopwatch))
        }
        _ if call.path.starts_with("/sessions/") => log_sessions::read(&shared, &call),
        _ => shared.with(|world, now| {
            let result = answer(world, now, &call);
            dress(world, now, &call, result, stopwatch)
        }),
    };
    let response = match &fault {
        Some(fault) => fault.spoil(response, &connection).await,
        None => response,
    };
    let answered = !matches!(fault, Some(Fault::Reset | Fault::LostAnswer));
    note_status(&shared, number, if answered { response.status().as_u16() } else { 0 });
    response
}

fn overriding_method(call: &Call) -> Option<Method> {
    if call.method == Method::HEAD {
        return Some(Method::GET);
    }
    if call.method != Method::POST {
        return None;
    }
    call.header("x-http-method-override").and_then(|method| method.parse().ok())
}

fn record(call: &Call) -> Recorded {
    let text = || String::from_utf8_lossy(&call.body).into_owned();
    let headers = call.headers.iter();
    Recorded {
        method: call.method.to_string(),
        path: call.path.clone(),
        query: call.query.clone(),
        body: call.json().unwrap_or_else(|_| Value::String(text())),
        status: 0,
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
    }
}

fn note_status(shared: &Shared, number: usize, status: u16) {
    let recorded = shared.look(|world, _| {
        // It may be gone: a test can clear what was recorded at any time.
        let recorded = world.recorded.get_mut(number)?;
        recorded.status = status;
        Some(recorded.clone())
    });
    if let (Some(recorded), Some(callback)) = (recorded, &shared.on_request) {
        callback(&recorded);
    }
}

/// Everything between the request and what it does.
fn answer(world: &mut World, now: Moment, call: &Call) -> Result<Answer, ApiError> {
    check_version(call)?;
    auth::check_token(&call.headers, &world.token)?;
    let path = decode_segments(&call.path);
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let free = segments == ["account", "rate-limits"];
    if !free && !world.pool.take(now.since_start) {
        return Err(ApiError::rate_limited());
    }
    auth::check_scope(&world.scope, auth::accepted_scopes(&call.method, &segments))?;
    if let Some(wanted) = call.header(header::IF_MATCH).filter(|_| call.method != Method::GET) {
        let current = routes::route(world, now, &Method::GET, &segments, call)?;
        let current = page(current, call, world.page_size)?.0;
        if !names_tag(wanted, &tag_of(&current.body)) {
            return Err(ApiError::of_status(412, "The resource has changed since."));
        }
    }
    routes::route(world, now, &call.method, &segments, call)
}

/// Version 3, with any suffix (`3.sdk`, `3.cedar-acm`).
fn check_version(call: &Call) -> Result<(), ApiError> {
    let accept = call.header(header::ACCEPT).unwrap_or_default();
    let fits = accept.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let known = parts.next() == Some("application/vnd.heroku+json");
        known && parts.any(|part| part == "version=3" || part.starts_with("version=3."))
    });
    if fits {
        return Ok(());
    }
    Err(ApiError::of_status(406, "Send the header Accept: application/vnd.heroku+json; version=3."))
}

/// Headers to be.
type Headers = Vec<(&'static str, String)>;

/// Cuts lists into pages.
fn page(mut answer: Answer, call: &Call, page_size: usize) -> Result<(Answer, Headers), ApiError> {
    let Some(sortable) = answer.sortable.filter(|_| call.method == Method::GET) else {
        return Ok((answer, Vec::new()));
    };
    let rows = match answer.body {
        Value::Array(rows) => rows,
        other => vec![other],
    };
    let page = Range::parse(call.header(header::RANGE), sortable)
        .and_then(|range| range.page(rows, page_size))
        .map_err(|_| ApiError::range_not_satisfiable())?;
    let mut headers = vec![("accept-ranges", sortable.join(", ")), ("content-range", page.content_range)];
    if let Some(next) = page.next_range {
        headers.push(("next-range", next));
        answer.status = StatusCode::PARTIAL_CONTENT;
    }
    answer.body = Value::Array(page.rows);
    Ok((answer, headers))
}

/// Puts the headers on that every answer has.
fn dress(
    world: &mut World,
    now: Moment,
    call: &Call,
    result: Result<Answer, ApiError>,
    stopwatch: Stopwatch,
) -> Response {
    let page_size = world.page_size;
    let (answer, mut headers) = match result.and_then(|answer| page(answer, call, page_size)) {
        Ok(paged) => paged,
        Err(error) => (Answer::of(error.status, error.body()), Vec::new()),
    };
    let tag = tag_of(&answer.body);
    let wanted = call.header(header::IF_NONE_MATCH).filter(|_| call.method == Method::GET);
    let unchanged = answer.status.is_success() && wanted.is_some_and(|wanted| names_tag(wanted, &tag));
    let status = if unchanged { StatusCode::NOT_MODIFIED } else { answer.status };
    if unchanged && !world.open.not_modified_costs_a_token {
        world.pool.give_back();
    }
    let refused = status == StatusCode::TOO_MANY_REQUESTS;
    if !refused || world.open.rate_limit_headers_on_429 {
        headers.push(("ratelimit-remaining", world.pool.remaining(now.since_start).to_string()));
        headers.push(("ratelimit-multiplier", "1".to_owned()));
    }
    if let Some(after) = world.open.rate_limit_retry_after.filter(|_| refused) {
        headers.push(("retry-after", after.as_secs().to_string()));
    }
    let segments = decode_segments(&call.path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    // A client's own id comes second in the list.
    let own_id = call.header("request-id").map(|id| format!(",{id}")).unwrap_or_default();
    headers.extend([
        ("cache-control", "private, no-cache".to_owned()),
        ("etag", tag),
        ("last-modified", http_time(now.civil)),
        ("oauth-scope", world.scope.clone()),
        ("oauth-scope-accepted", auth::accepted_scopes(&call.method, &segments).to_owned()),
        ("request-id", format!("{}{own_id}", new_id())),
        ("vary", "Authorization,Accept-Encoding".to_owned()),
        ("via", "1.1 spaces-router (fake), 1.1 spaces-router (fake)".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-runtime", format!("{:.9}", stopwatch.elapsed().as_secs_f64())),
    ]);
    let body = if unchanged { Body::empty() } else { Body::from(answer.body.to_string()) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if !unchanged {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in headers {
        // A client's own Request-Id is the only text from outside; one that is no header value is left out.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// The tag of a body: opaque, 32 hexadecimal digits.
fn tag_of(body: &Value) -> String {
    format!("\"{:032x}\"", fingerprint(body.to_string().as_bytes()))
}

fn names_tag(header: &str, tag: &str) -> bool {
    header.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// The path's parts, percent-decoded.
fn decode_segments(path: &str) -> Vec<String> {
    path.trim_matches('/').split('/').map(decode).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// An answer that is not the API's.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
