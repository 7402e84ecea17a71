//! Trouble on request: the next so many matching requests get one of these instead of, or on top of, their answer.
//!
//! Faults come before everything else: a request that is refused here needs no token and costs none. They hit the API and
//! the reading of log sessions, not the router, whose trouble comes from the upstream that a test gives it.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{errors::ApiError, server::Connection};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// An error of this status, with the JSON body that Heroku sends for it. Nothing was done.
    Status {
        /// 400-599.
        status: u16,
    },
    /// 429 with Heroku's text. Nothing was done.
    RateLimited {
        /// The `Retry-After` header, in seconds; none when absent, as at Heroku.
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// 503 with a page of HTML, as from a proxy at the edge. Nothing was done.
    EdgeHtml,
    /// No answer, ever. Nothing was done.
    Hang,
    /// The connection is reset without a byte of an answer. Nothing was done.
    Reset,
    /// What was asked **is done**; the connection is reset in the middle of the answer's body.
    ResetMidAnswer,
    /// What was asked **is done**; the connection is reset without a byte of an answer.
    LostAnswer,
    /// What was asked **is done**; the connection ends in the middle of the answer's body.
    TruncatedBody,
    /// What was asked **is done**; the answer's body comes byte by byte.
    SlowBody {
        /// Real time between two bytes.
        milliseconds_per_byte: u64,
    },
    /// What was asked **is done**; the answer's body never ends, and comes as fast as it is read.
    EndlessBody,
    /// What was asked **is done**; the answer is a 200 that is not JSON.
    NotJson,
    /// 403 `two_factor`. Nothing was done.
    TwoFactor,
    /// 422 `invalid_params` with this text. Nothing was done.
    Unprocessable {
        /// The text.
        message: String,
    },
}

impl Fault {
    /// An error of this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status }
    }

    /// 429 without a `Retry-After`.
    #[must_use]
    pub fn rate_limited() -> Self {
        Self::RateLimited { retry_after_seconds: None }
    }

    /// 422 with this text.
    #[must_use]
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::Unprocessable { message: message.into() }
    }

    /// The error that is answered instead, for the faults that are one.
    pub(crate) fn error(&self) -> Option<ApiError> {
        match self {
            Self::Status { status } => Some(ApiError::usual(*status)),
            Self::RateLimited { .. } => Some(ApiError::rate_limited()),
            Self::TwoFactor => Some(ApiError::two_factor()),
            Self::Unprocessable { message } => Some(ApiError::invalid(message.clone())),
            _ => None,
        }
    }

    /// Spoils an answer.
    pub(crate) async fn spoil(&self, response: Response, connection: &Connection) -> Response {
        match self {
            Self::RateLimited { retry_after_seconds: Some(seconds) } => {
                let mut response = response;
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                response
            }
            Self::Reset | Self::LostAnswer => {
                connection.reset();
                response
            }
            Self::ResetMidAnswer => cut_short(response, Some(connection.clone())).await,
            Self::TruncatedBody => cut_short(response, None).await,
            Self::SlowBody { milliseconds_per_byte } => slowly(response, *milliseconds_per_byte).await,
            Self::EndlessBody => endless(response),
            Self::NotJson => {
                let (mut parts, _) = response.into_parts();
                parts.status = StatusCode::OK;
                parts.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(parts, Body::from("\u{1f43b} this is not JSON {"))
            }
            _ => response,
        }
    }
}

/// A fault, whom it hits, and how often still.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct PlannedFault {
    /// Any method when absent.
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// A part of the path; empty fits every path.
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default = "once")]
    pub(crate) times: u32,
    #[serde(flatten)]
    pub(crate) fault: Fault,
}

fn once() -> u32 {
    1
}

/// Takes the first planned fault that fits this request.
pub(crate) fn take(planned: &mut Vec<PlannedFault>, method: &str, path: &str) -> Option<Fault> {
    let position = planned.iter().position(|plan| {
        plan.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method)) && path.contains(&plan.path)
    })?;
    let plan = &mut planned[position];
    let fault = plan.fault.clone();
    plan.times = plan.times.saturating_sub(1);
    if plan.times == 0 {
        planned.remove(position);
    }
    Some(fault)
}

/// The page that an edge proxy shows when it cannot reach the API.
pub(crate) fn edge_page() -> Response {
    let page = "<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n\
                <body><h1>503 Service Unavailable</h1><p>No server is available to handle this request.</p></body></html>\n";
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// The first half of the body, then the end of the connection, by a reset when there is somebody to reset it.
async fn cut_short(response: Response, reset: Option<Connection>) -> Response {
    let (mut parts, whole) = unpack(response).await;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len().max(2)));
    let half = whole.slice(..whole.len() / 2);
    let pieces = stream::unfold((Some(half), reset), |(half, reset)| async move {
        if let Some(half) = half {
            return Some((Ok(half), (None, reset)));
        }
        // The half must have left before the connection ends; the server sends what it has when it must wait.
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(connection) = &reset {
            connection.reset();
        }
        Some((Err(std::io::Error::other("the fake ends the connection here")), (None, reset)))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

async fn slowly(response: Response, milliseconds_per_byte: u64) -> Response {
    let (parts, whole) = unpack(response).await;
    let pause = Duration::from_millis(milliseconds_per_byte);
    let pieces = stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, std::io::Error>(byte), rest))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

fn endless(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let piece = Arc::new(Bytes::from(vec![b' '; 64 * 1024]));
    let pieces = stream::unfold(piece, |piece| async move { Some((Ok::<_, std::io::Error>((*piece).clone()), piece)) });
    Response::from_parts(parts, Body::from_stream(pieces))
}

async fn unpack(response: Response) -> (axum::http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    // Our own answers are whole and in memory; reading them cannot fail.
    (parts, axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(method: Option<&str>, path: &str, times: u32, status: u16) -> PlannedFault {
        let method = method.map(str::to_owned);
        PlannedFault { method, path: path.to_owned(), times, fault: Fault::status(status) }
    }

    #[test]
    fn a_fault_hits_the_requests_that_it_fits_as_often_as_it_says() {
        let mut planned = vec![plan(Some("patch"), "formation", 2, 503), plan(None, "", 1, 500)];
        assert_eq!(take(&mut planned, "PATCH", "/apps/a/formation/web"), Some(Fault::status(503)));
        assert_eq!(take(&mut planned, "GET", "/apps/a/formation/web"), Some(Fault::status(500)));
        assert_eq!(take(&mut planned, "GET", "/apps/a/formation/web"), None);
        assert_eq!(take(&mut planned, "PATCH", "/apps/a"), None);
        assert_eq!(take(&mut planned, "PATCH", "/apps/a/formation"), Some(Fault::status(503)));
        assert_eq!(take(&mut planned, "PATCH", "/apps/a/formation"), None);
    }

    #[test]
    fn faults_are_planned_by_json_too() {
        let table = [
            (r#"{"fault":"status","status":503,"method":"PATCH","path":"formation","times":3}"#, Fault::status(503)),
            (
                r#"{"fault":"rate_limited","retry_after_seconds":7}"#,
                Fault::RateLimited { retry_after_seconds: Some(7) },
            ),
            (r#"{"fault":"rate_limited"}"#, Fault::rate_limited()),
            (r#"{"fault":"hang"}"#, Fault::Hang),
            (r#"{"fault":"unprocessable","message":"no"}"#, Fault::unprocessable("no")),
        ];
        for (text, fault) in table {
            let plan: PlannedFault = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(plan.fault, fault, "{text}");
        }
    }
}
