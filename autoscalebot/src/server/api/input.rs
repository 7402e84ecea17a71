//! What comes in, read strictly: a parameter or a field that is not known is refused by its name, and so is a value out
//! of its range. Whatever is wrong is the asker's error with our form of answer, never a crash and never ignored.

use std::{ops::RangeInclusive, time::Duration};

use autoscalebot_core::names::{ProcessName, nearest};
use autoscalebot_engine::board::Board;
use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Number;

use crate::server::failure::Failure;

/// The largest body, in bytes: a command with its reason is less than two thousand.
pub const LARGEST_BODY: usize = 16 * 1024;

/// A body that is not here within this time does not come.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// The longest text in a query that is looked for: longer than every key and cursor there is.
const LONGEST_WORD: usize = 100;

/// Names that are all listed in an error.
const MOST_NAMES: usize = 8;

/// A query, read strictly.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejection| {
            let text = rejection.body_text();
            Failure::query(text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text))
        })
    }
}

/// No query at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A body of JSON, read strictly.
pub struct Told<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Told<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            // Also what keeps a foreign page's form from being obeyed.
            let message = "a command is JSON: send Content-Type: application/json";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
        }
        let reading = tokio::time::timeout(BODY_LIMIT, to_bytes(request.into_body(), LARGEST_BODY)).await;
        let Ok(read) = reading else {
            let message = "the body did not arrive in time";
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", message));
        };
        let body = read.map_err(|_| {
            let message = format!("the body has more than {LARGEST_BODY} bytes, or broke off");
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Failure::body(error.to_string()),
            _ => Failure::new(StatusCode::BAD_REQUEST, "bad_json", format!("the body is no JSON: {error}")),
        })
    }
}

/// A number within its range.
///
/// # Errors
/// A sentence that names it and its range.
pub fn within(name: &str, number: u32, range: RangeInclusive<u32>) -> Result<u32, String> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(format!("{name} is {number}, and must be {} to {}", range.start(), range.end()))
}

/// A whole number, however it is written: `3`, and `3.0`, which is the same to JSON.
///
/// # Errors
/// When it is none, or far too large.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    as_whole(&Number::deserialize(deserializer)?)
}

/// The same for a number that may be missing.
///
/// # Errors
/// When it is there, and no whole number.
pub fn whole_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Option::<Number>::deserialize(deserializer)?.as_ref().map(as_whole).transpose()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at just before")]
fn as_whole<E: serde::de::Error>(number: &Number) -> Result<u32, E> {
    let written =
        number.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
    let wrong = if number.as_f64().is_some_and(|number| number > f64::from(u32::MAX)) {
        "is too large"
    } else {
        "is no whole number from 0 on"
    };
    written.map(|number| number as u32).ok_or_else(|| E::custom(format!("{number} {wrong}")))
}

/// A word to look for in the store.
///
/// # Errors
/// When no store could hold it.
pub fn word(name: &str, word: Option<String>) -> Result<Option<String>, Failure> {
    let fits =
        |word: &String| (1..=LONGEST_WORD).contains(&word.chars().count()) && !word.chars().any(char::is_control);
    match word {
        Some(word) if !fits(&word) => {
            Err(Failure::query(format!("{name} must be 1 to {LONGEST_WORD} printable letters")))
        }
        word => Ok(word),
    }
}

/// The name of a process to look for, which need not run any more.
///
/// # Errors
/// When no process can have this name.
pub fn process(name: Option<String>) -> Result<Option<String>, Failure> {
    let checked = name.map(|name| ProcessName::new(name).map(|name| name.to_string())).transpose();
    checked.map_err(|problem| Failure::query(format!("process: {problem}")))
}

/// A range of time that is one.
///
/// # Errors
/// When it ends before it begins.
pub fn range(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Failure> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err(Failure::query(format!("from, {from}, must be before to, {to}"))),
        _ => Ok(()),
    }
}

/// The failure of asking for a process that is not there.
#[must_use]
pub fn no_process(name: &str, board: &Board) -> Failure {
    let names = board.names();
    let all: Vec<&str> = names.iter().map(ProcessName::as_str).collect();
    let hint = match (nearest(name, all.iter().copied()), all.as_slice()) {
        (Some(near), _) => format!(", did you mean {near}?"),
        (None, few) if few.len() <= MOST_NAMES => format!("; there are {}", few.join(", ")),
        (None, _) => "; GET /api/v1/processes lists them".to_owned(),
    };
    Failure::new(StatusCode::NOT_FOUND, "not_found", format!("there is no process {name:?}{hint}"))
}
