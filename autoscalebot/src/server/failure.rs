//! What the server answers when it does not do what was asked: one form for all of it, a stable key and a sentence.

use autoscalebot_engine::{command::CommandError, store::ReadError};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal or a failure, on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: StatusCode,
    /// Stable word.
    pub key: &'static str,
    /// What is wrong, and what to do; no secret in it.
    pub message: String,
    /// When to try again, in seconds.
    pub retry_after: Option<u64>,
}

/// The answer to whatever could not be done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorAnswer {
    /// What is wrong.
    pub error: Problem,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable word for programs: `not_found`, `bad_query`.
    pub key: String,
    /// What is wrong, and what to do, for people.
    pub message: String,
}

impl Failure {
    /// A failure that trying again does not mend.
    pub fn new(status: StatusCode, key: &'static str, message: impl Into<String>) -> Self {
        Self { status, key, message: message.into(), retry_after: None }
    }

    /// The query is not as it should be.
    pub fn query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", message)
    }

    /// The body is well-formed, and says something that cannot be.
    pub fn body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_command", message)
    }

    /// Too much at once.
    pub fn too_much(key: &'static str, message: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, key, message) }
    }

    /// What it says.
    #[must_use]
    pub fn problem(self) -> Problem {
        Problem { key: self.key.to_owned(), message: self.message }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error.key {
            "bad_cursor" => Self::new(StatusCode::BAD_REQUEST, "bad_cursor", error.message),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", error.message),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        match error {
            CommandError::NoSuchProcess => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            CommandError::Busy => Self::too_much("busy", message, 1),
            CommandError::NoAnswerYet => Self::new(StatusCode::ACCEPTED, "no_answer_yet", message),
            CommandError::Ended => Self::new(StatusCode::CONFLICT, "ended", message),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(ErrorAnswer { error: self.problem() })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
