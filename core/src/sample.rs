//! What a measurement got: a reading, or a failure that stays a failure.
//!
//! The costliest accident of autoscalers is an unknown read as zero: the app looks idle while it burns, and is shrunk.
//! So a failure here has no number at all, and a reading that is NaN or infinite cannot be built.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{busy::Work, moment::Moment, units::Finite};

/// What a measurement got when it worked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading {
    /// A finite number, in the unit of its backend.
    Number(Finite),
    /// A whole JSON document, for decision backends that look inside.
    Document(Value),
}

impl Reading {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<Finite> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Document(_) => None,
        }
    }
}

/// What a failed measurement still tells about the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountsAs {
    /// The app could not answer in time: it has too little capacity. May grow a process, never shrinks one.
    High,
    /// Nothing. It breaks a run of lows and of highs, is never counted, and never scales anything.
    Unknown,
}

/// Why there is no reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureFailure {
    /// Stable word for metrics and docs: `timeout`, `refused`, `bad_json`.
    pub key: Cow<'static, str>,
    /// What failed, for whom, and what to do, in a sentence; no secret in it.
    pub message: String,
    /// What it says about the load.
    pub counts_as: CountsAs,
}

/// One measurement, at its moment, whatever came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the measurement was over.
    pub at: Moment,
    /// A reading, or why there is none.
    pub outcome: Result<Reading, MeasureFailure>,
    /// More that the backend knows, for people: the parts of a sum, the server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<Value>>,
    /// What was seen of the work itself, when it is a queue that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Box<Work>>,
}

impl Sample {
    /// The number it got, if it got one.
    #[must_use]
    pub fn number(&self) -> Option<Finite> {
        self.outcome.as_ref().ok().and_then(Reading::number)
    }

    /// The result as the original hands it out: `{"backend", "data", "success"}`, and why when it failed.
    #[must_use]
    pub fn as_result(&self, backend: &str) -> Value {
        let mut result = match &self.outcome {
            Ok(reading) => serde_json::json!({"backend": backend, "data": reading, "success": true}),
            Err(failure) => serde_json::json!({
                "backend": backend, "data": null, "success": false,
                "error": {"key": failure.key, "message": failure.message, "counts_as": failure.counts_as},
            }),
        };
        if let Some(detail) = &self.detail {
            result["detail"] = (**detail).clone();
        }
        result
    }
}
