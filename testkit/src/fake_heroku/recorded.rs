//! A request as the fake saw it, for tests that count and compare.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// One request to the API or to a log session.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The method, upper case.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query string, empty when there was none.
    pub query: String,
    /// The body: JSON when it is JSON, else a string; null when it was empty.
    pub body: Value,
    /// The status that was answered; 0 while there is none, which stays so for hanging and reset requests.
    pub status: u16,
    /// The request's headers, names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Recorded {
    /// Whether this is a change of a formation, whatever was answered.
    #[must_use]
    pub fn is_formation_patch(&self) -> bool {
        let mut segments = self.path.trim_matches('/').split('/');
        self.method == "PATCH"
            && segments.next() == Some("apps")
            && segments.next().is_some()
            && segments.next() == Some("formation")
    }

    /// Without the headers, which hold the token.
    pub(crate) fn json(&self) -> Value {
        json!({
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "body": self.body,
            "status": self.status,
        })
    }
}
