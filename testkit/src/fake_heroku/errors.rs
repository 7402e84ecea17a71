//! The API's errors: status, id, message, and how they look on the wire.
//!
//! Texts here are Heroku's own wherever one was seen in public, because clients match on them. Those that nobody has
//! seen are marked so.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// Where Heroku explains its rate limits.
const RATE_LIMITS_PAGE: &str = "https://devcenter.heroku.com/articles/platform-api-reference#rate-limits";

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) resource: Option<&'static str>,
    pub(crate) url: Option<&'static str>,
}

impl ApiError {
    /// An error of this status and text.
    pub(crate) fn new(status: StatusCode, id: &str, message: impl Into<String>) -> Self {
        Self { status, id: id.to_owned(), message: message.into(), resource: None, url: None }
    }

    /// 422 `invalid_params`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", message)
    }

    /// 404 for an app that is not there.
    pub(crate) fn no_such_app() -> Self {
        Self { resource: Some("app"), ..Self::of_status(404, "Couldn't find that app.") }
    }

    /// 404 for a process type that is not there.
    pub(crate) fn no_such_process(name: &str) -> Self {
        Self {
            resource: Some("formation"),
            ..Self::of_status(404, format!("Couldn't find that process type ({name})."))
        }
    }

    /// 404 for anything else. The wording after "Couldn't find that" is ours for most things.
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self { resource: Some(what), ..Self::of_status(404, format!("Couldn't find that {what}.")) }
    }

    /// 401 for a missing or wrong token.
    pub(crate) fn unauthorized() -> Self {
        Self::of_status(401, "Invalid credentials provided.")
    }

    /// 429, with Heroku's text.
    pub(crate) fn rate_limited() -> Self {
        let message = "Your account reached the API rate limit\nPlease wait a few minutes before making new requests";
        Self { url: Some(RATE_LIMITS_PAGE), ..Self::of_status(429, message) }
    }

    /// 403 that asks for the second factor.
    pub(crate) fn two_factor() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "two_factor",
            "A second authentication factor or pre-authorization is required.",
        )
    }

    /// 416.
    pub(crate) fn range_not_satisfiable() -> Self {
        Self::of_status(416, "The requested range is not satisfiable.")
    }

    /// An error of this status with the id that belongs to it. The ids of 409, 412, 500, 502 and 503 are not verified.
    pub(crate) fn of_status(status: u16, message: impl Into<String>) -> Self {
        let id = match status {
            400 => "bad_request",
            401 => "unauthorized",
            402 => "delinquent",
            403 => "forbidden",
            404 => "not_found",
            406 => "not_acceptable",
            409 => "conflict",
            412 => "precondition_failed",
            416 => "requested_range_not_satisfiable",
            422 => "invalid_params",
            429 => "rate_limit",
            502 => "bad_gateway",
            503 => "service_unavailable",
            504 => "gateway_timeout",
            _ => "internal_server_error",
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, id, message)
    }

    /// The text that goes with a status when a fault asks for no more than the status.
    pub(crate) fn usual(status: u16) -> Self {
        match status {
            401 => Self::unauthorized(),
            402 => Self::of_status(402, "You must pay your outstanding balance before using this resource."),
            403 => Self::of_status(403, "You do not have access to the app."),
            404 => Self::no_such_app(),
            409 => Self::of_status(409, "Another operation is in progress."),
            429 => Self::rate_limited(),
            500 => Self::of_status(500, "Internal server error."),
            503 => Self::of_status(503, "The API is temporarily unavailable."),
            other => Self::of_status(other, format!("The fake was asked to answer {other}.")),
        }
    }

    /// The JSON body.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({ "id": self.id, "message": self.message });
        if let Some(resource) = self.resource {
            body["resource"] = resource.into();
        }
        if let Some(url) = self.url {
            body["url"] = url.into();
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_the_texts_that_clients_match_on() {
        let table = [
            (ApiError::unauthorized(), 401, "unauthorized", "Invalid credentials provided."),
            (ApiError::no_such_app(), 404, "not_found", "Couldn't find that app."),
            (ApiError::no_such_process("web"), 404, "not_found", "Couldn't find that process type (web)."),
        ];
        for (error, status, id, message) in table {
            assert_eq!(error.status.as_u16(), status, "{message}");
            assert_eq!(error.body()["id"], id, "{message}");
            assert_eq!(error.body()["message"], message);
        }
        assert_eq!(ApiError::no_such_process("web").body()["resource"], "formation");
        assert_eq!(ApiError::rate_limited().body()["url"], RATE_LIMITS_PAGE);
    }
}
