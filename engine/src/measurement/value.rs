//! Where in a JSON document the reading is: the setting VALUE, and how a text becomes a reading.
//!
//! What it refuses: whatever is not certainly a number. A text such as `"42"` is one only where VALUE points at it,
//! because somebody has then said that a number stands there; NaN, the infinities and numbers beyond what a float holds
//! never are.

use std::fmt::Display;

use autoscalebot_core::{registry::Problem, sample::Reading, units::Finite};
use serde_json::{Map, Number, Value};
use serde_json_path::JsonPath;

use super::MeasureError;

/// Keys named when the one we look for is missing. More would not fit in a sentence.
const MOST_KEYS_NAMED: usize = 8;

/// The longest key that is named whole, in characters.
const LONGEST_KEY_NAMED: usize = 40;

/// What a usable VALUE looks like.
const ALLOWED: &str = "a JSON Pointer such as /queue/size, or a JSONPath such as $.queue.size";

/// Which part of a document is the reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    /// All of it.
    Whole,
    /// What this JSON Pointer (RFC 6901) finds.
    Pointer(Box<str>),
    /// The one thing that this JSONPath (RFC 9535) finds.
    Path(Box<(String, JsonPath)>),
}

impl Selector {
    /// Reads the setting VALUE.
    ///
    /// # Errors
    /// When it is neither a JSON Pointer nor a JSONPath.
    pub fn parse(value: Option<&str>) -> Result<Self, Problem> {
        let problem = |found: String| Problem::new("value", found, ALLOWED);
        let Some(text) = value else { return Ok(Self::Whole) };
        if text.starts_with('$') {
            return match JsonPath::parse(text) {
                Ok(path) => Ok(Self::Path(Box::new((text.to_owned(), path)))),
                Err(error) => Err(problem(format!("{text:?} is not a JSONPath: {error}"))),
            };
        }
        if !text.starts_with('/') {
            return Err(problem(format!("found {text:?}, which begins with neither / nor $")));
        }
        // RFC 6901 §3: `~` only occurs as `~0` or `~1`.
        if text.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
            return Err(problem(format!(
                "{text:?} is not a JSON Pointer: `~` must be written ~0, and `/` in a key ~1"
            )));
        }
        Ok(Self::Pointer(text.into()))
    }

    /// The reading in a JSON text. `source` names the text in errors: `the answer of https://…`.
    ///
    /// # Errors
    /// When the text is no JSON, or there is no number where one must be.
    pub fn read(&self, text: &[u8], source: impl Fn() -> String) -> Result<Reading, MeasureError> {
        if text.trim_ascii().is_empty() {
            return Err(MeasureError::unknown("empty", format!("{} is empty", source())));
        }
        let document: Value = serde_json::from_slice(text).map_err(|error| not_json(text, &error, &source()))?;
        self.select(document).map_err(|(key, what)| MeasureError::unknown(key, format!("{} {what}", source())))
    }

    /// The part of a document that it points at; nothing when there is none, or more than one.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Whole => Some(document),
            Self::Pointer(pointer) => document.pointer(pointer),
            Self::Path(path) => path.1.query(document).exactly_one().ok(),
        }
    }

    fn select(&self, document: Value) -> Result<Reading, (&'static str, String)> {
        match self {
            Self::Whole => match document {
                Value::Number(number) => finite(&number).ok_or_else(|| not_a_number("", &Value::Number(number))),
                Value::Null => Err(("not_a_number", "is null, which says nothing".to_owned())),
                document => Ok(Reading::Document(document)),
            },
            Self::Pointer(pointer) => {
                let found = document.pointer(pointer).ok_or_else(|| missing(pointer, &document))?;
                number(found).ok_or_else(|| not_a_number(pointer, found))
            }
            Self::Path(path) => {
                let (text, path) = &**path;
                let mut found = path.query(&document).all();
                match (found.pop(), found.len()) {
                    (None, _) => Err(missing(text, &document)),
                    (Some(only), 0) => number(only).ok_or_else(|| not_a_number(text, only)),
                    (Some(_), more) => {
                        Err(("ambiguous_value", format!("has {} values at {text}, where one is expected", more + 1)))
                    }
                }
            }
        }
    }
}

/// A JSON number, or a text that is one by JSON's own rules.
fn number(value: &Value) -> Option<Reading> {
    match value {
        Value::Number(number) => finite(number),
        Value::String(text) => finite(&serde_json::from_str::<Number>(text).ok()?),
        _ => None,
    }
}

fn finite(number: &Number) -> Option<Reading> {
    number.as_f64().and_then(Finite::new).map(Reading::Number)
}

fn not_json(text: &[u8], error: &serde_json::Error, source: &str) -> MeasureError {
    let hint = if text.trim_ascii_start().starts_with(b"<") { "; it looks like a web page" } else { "" };
    MeasureError::unknown("bad_json", format!("{source} is not JSON: {error}{hint}"))
}

fn missing(at: &str, document: &Value) -> (&'static str, String) {
    let has = match document {
        Value::Object(map) if map.is_empty() => "is an empty table".to_owned(),
        Value::Object(map) => format!("has {}", keys(map)),
        other => format!("is {}", kind(other)),
    };
    ("missing_value", format!("has nothing at {at} (VALUE): it {has}"))
}

fn not_a_number(at: &str, found: &Value) -> (&'static str, String) {
    let at = if at.is_empty() { String::new() } else { format!(" at {at} (VALUE)") };
    ("not_a_number", format!("has {}{at}, where a number is expected", kind(found)))
}

fn keys(map: &Map<String, Value>) -> String {
    let named = map.keys().take(MOST_KEYS_NAMED).map(|key| key.chars().take(LONGEST_KEY_NAMED).collect::<String>());
    let mut named = named.collect::<Vec<_>>().join(", ");
    if map.len() > MOST_KEYS_NAMED {
        named.push_str(", …");
    }
    named
}

/// A value by its kind: what it holds may be nobody's business.
fn kind(value: &Value) -> impl Display {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number too large to hold",
        Value::String(_) => "a text that is not a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Option<&str>, text: &str) -> Result<Reading, String> {
        let selector = Selector::parse(value).map_err(|problem| problem.to_string())?;
        selector.read(text.as_bytes(), || "the answer".to_owned()).map_err(|error| format!("{}: {error}", error.key))
    }

    fn reads(number: f64) -> Result<Reading, String> {
        Ok(Reading::Number(Finite::new(number).unwrap()))
    }

    #[test]
    fn a_lone_number_is_the_reading_and_any_other_document_is_handed_on_whole() {
        assert_eq!(read(None, " 42\n"), reads(42.0));
        assert_eq!(read(None, r#"{"a": 1}"#), Ok(Reading::Document(json!({"a": 1}))));
        assert_eq!(read(None, r#""42""#), Ok(Reading::Document(json!("42"))));
    }

    #[test]
    fn value_selects_by_pointer_and_by_path() {
        let text = r#"{"queue": {"size": 7, "a/b": 8, "sizes": [1, "2.5", 3]}}"#;
        for (value, number) in [
            ("/queue/size", 7.0),
            ("/queue/a~1b", 8.0),
            ("/queue/sizes/2", 3.0),
            ("/queue/sizes/1", 2.5),
            ("$.queue.size", 7.0),
            ("$.queue.sizes[-1]", 3.0),
            ("$..size", 7.0),
        ] {
            assert_eq!(read(Some(value), text), reads(number), "{value}");
        }
        assert_eq!(read(Some("$"), "5"), reads(5.0));
    }

    #[test]
    fn what_is_not_certainly_a_number_is_a_failure() {
        for (value, text, key) in [
            (None, "", "empty"),
            (None, " \n", "empty"),
            (None, "NaN", "bad_json"),
            (None, "Infinity", "bad_json"),
            (None, "1e999", "bad_json"),
            (None, "null", "not_a_number"),
            (None, "42 43", "bad_json"),
            (None, "<html>", "bad_json"),
            (Some("/a"), r#"{"a": "NaN"}"#, "not_a_number"),
            (Some("/a"), r#"{"a": "1e999"}"#, "not_a_number"),
            (Some("/a"), r#"{"a": "42 tasks"}"#, "not_a_number"),
            (Some("/a"), r#"{"a": ""}"#, "not_a_number"),
            (Some("/a"), r#"{"a": true}"#, "not_a_number"),
            (Some("/a"), r#"{"a": null}"#, "not_a_number"),
            (Some("/a"), r#"{"a": [1]}"#, "not_a_number"),
            (Some("/a"), r#"{"b": 1}"#, "missing_value"),
            (Some("/a"), "5", "missing_value"),
            (Some("$.a"), r#"{"b": 1}"#, "missing_value"),
            (Some("$[*]"), "[1, 2]", "ambiguous_value"),
        ] {
            let error = read(value, text).expect_err(text);
            assert!(error.starts_with(&format!("{key}: the answer ")), "{value:?} {text}: {error}");
        }
    }

    #[test]
    fn a_missing_value_names_what_is_there_instead() {
        let error = read(Some("/queue"), r#"{"queues": 3, "workers": 2}"#).unwrap_err();
        assert_eq!(error, "missing_value: the answer has nothing at /queue (VALUE): it has queues, workers");
    }

    #[test]
    fn a_value_that_is_neither_pointer_nor_path_is_a_problem() {
        for value in ["queue", "", "$.", "$[", "/a~", "/a~2"] {
            let problem = Selector::parse(Some(value)).expect_err(value);
            assert_eq!((problem.path.as_str(), problem.allowed.as_str()), ("value", ALLOWED), "{value}");
        }
    }
}
