//! Every stage's list of backends: one entry each, and finding one by any of its names.
//!
//! A stage keeps a plain const slice of [`Entry`]s. An entry is made by [`entry`] from a type that implements
//! [`Backend`]; it holds the names and four functions that no longer mention that type. So the lists can be read,
//! searched and tested as tables, and nothing is collected behind the reader's back. A program that runs somebody's own
//! backends (Python classes) makes entries for them as it meets them; those stand in no list.

use std::fmt;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::names::nearest;

/// What a backend says about itself.
pub trait Backend: 'static {
    /// The stage it belongs to, as a trait object: `dyn Decide`.
    type Stage: ?Sized;
    /// What its stage hands to every backend when it is built.
    type Context: ?Sized;
    /// Its settings. `Default` holds every default.
    type Settings: Serialize + DeserializeOwned + JsonSchema + Default;

    /// Its name in settings: `ConsecutiveThreshold`.
    const NAME: &'static str;
    /// Other names that the original used, beside `NAME` and `NAME` + `Backend`.
    const ORIGINAL_NAMES: &'static [&'static str] = &[];

    /// Problems that only show when fields are seen together, or that a field's type cannot express.
    fn validate(_settings: &Self::Settings) -> Vec<Problem> {
        Vec::new()
    }

    /// Builds it from settings without problems.
    ///
    /// # Errors
    /// The one thing that validation could not foresee.
    fn build(settings: Self::Settings, context: &Self::Context) -> Result<Box<Self::Stage>, Problem>;
}

/// One thing that is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, relative to its block: `min_measurement_value`, `headers.Accept`; empty for the block itself.
    pub path: String,
    /// What is wrong, with what was found.
    pub found: String,
    /// What would be right, or the way out; may be empty.
    pub allowed: String,
}

impl Problem {
    /// A problem at a path.
    pub fn new(path: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { path: path.into(), found: found.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, allowed } = self;
        let separator = if path.is_empty() { "" } else { ": " };
        write!(formatter, "{path}{separator}{found}")?;
        if allowed.is_empty() { Ok(()) } else { write!(formatter, "; expected {allowed}") }
    }
}

/// One backend of a stage.
pub struct Entry<Stage: ?Sized + 'static, Context: ?Sized + 'static> {
    /// Its name in settings.
    pub name: &'static str,
    /// Other names of the original.
    pub original_names: &'static [&'static str],
    /// Everything that is wrong with these settings; empty when they can be built from.
    pub check: &'static Check,
    /// Builds the backend. `check` must have found nothing.
    pub build: &'static Build<Stage, Context>,
    /// JSON Schema of its settings, with docs and defaults.
    pub schema: &'static (dyn Fn() -> Schema + Send + Sync),
    /// Its default settings; fields without a default value are null.
    pub defaults: &'static (dyn Fn() -> Value + Send + Sync),
}

/// See [`Entry::check`].
pub type Check = dyn Fn(&Value) -> Vec<Problem> + Send + Sync;
/// See [`Entry::build`].
pub type Build<Stage, Context> = dyn Fn(&Value, &Context) -> Result<Box<Stage>, Problem> + Send + Sync;

/// The entry of one backend.
#[must_use]
pub const fn entry<B: Backend>() -> Entry<B::Stage, B::Context> {
    Entry {
        name: B::NAME,
        original_names: B::ORIGINAL_NAMES,
        check: &|settings| match parse::<B::Settings>(settings) {
            Ok(settings) => B::validate(&settings),
            Err(problems) => problems,
        },
        build: &|settings, context| {
            let settings = parse(settings).map_err(|mut problems| problems.swap_remove(0))?;
            B::build(settings, context)
        },
        schema: &|| schema_for!(B::Settings),
        defaults: &|| serde_json::to_value(B::Settings::default()).unwrap_or(Value::Null),
    }
}

impl<Stage: ?Sized + 'static, Context: ?Sized + 'static> Entry<Stage, Context> {
    /// Whether a name in settings means this backend: its own, with or without `Backend` at the end, one of the
    /// original's, each also as the last segment of one of the original's dotted paths.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        let last = name.rsplit('.').next().unwrap_or(name);
        let stem = last.strip_suffix("Backend").unwrap_or(last);
        stem == self.name || last == self.name || self.original_names.contains(&last)
    }
}

/// The entry that a name means.
///
/// # Errors
/// A problem that lists what there is and guesses what was meant.
pub fn find<'a, Stage: ?Sized + 'static, Context: ?Sized + 'static>(
    entries: &'a [Entry<Stage, Context>],
    name: &str,
) -> Result<&'a Entry<Stage, Context>, Problem> {
    // A dotted path that is not the original's own is somebody's Python class, even if it ends like one of ours.
    let foreign = name.contains('.') && !name.starts_with("autoscalebot.");
    if !foreign && let Some(entry) = entries.iter().find(|entry| entry.is_named(name)) {
        return Ok(entry);
    }
    let all = entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    if foreign {
        let found = format!("{name:?} is a Python class, and this program runs without Python");
        return Err(Problem::new("", found, format!("one of {all}; the Python package can run classes of your own")));
    }
    let meant = nearest(name.rsplit('.').next().unwrap_or(name), entries.iter().map(|entry| entry.name));
    let hint = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
    Err(Problem::new("", format!("there is no backend {name:?}{hint}"), format!("one of {all}")))
}

/// Reads settings into their type; finds every problem, not only the first.
///
/// # Errors
/// All problems with single fields: unknown keys with the nearest right one, wrong types, values out of range.
pub fn parse<Settings: DeserializeOwned + JsonSchema>(settings: &Value) -> Result<Settings, Vec<Problem>> {
    // The usual case needs none of what follows. Unknown keys are no success: every settings struct denies them.
    if let Ok(parsed) = Settings::deserialize(settings)
        && settings.is_object()
    {
        return Ok(parsed);
    }
    let Value::Object(given) = settings else {
        return Err(vec![Problem::new("", format!("found {}", in_short(settings)), "a table of settings")]);
    };
    let schema = schema_for!(Settings);
    let known = property_names(&schema);
    let mut problems = Vec::new();
    // Every field has a default, so each can be read alone; that finds the wrong ones, where serde stops at the first.
    for (key, value) in given {
        if !known.contains(key) {
            let meant = nearest(key, known.iter().map(String::as_str));
            let hint = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
            let allowed = if known.is_empty() { "no settings at all".to_owned() } else { known.join(", ") };
            problems.push(Problem::new(key, format!("unknown setting{hint}"), allowed));
            continue;
        }
        let alone = Value::Object([(key.clone(), value.clone())].into_iter().collect());
        if let Err(error) = serde_path_to_error::deserialize::<_, Settings>(alone) {
            // Inside flattened settings serde forgets the path.
            let path = Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_else(|| key.clone());
            let (found, allowed) = split_message(&error.into_inner().to_string());
            let found = match &allowed {
                // A key written without quotes is a number, and no less a secret.
                _ if may_be_secret(&schema, key) => "found something else".to_owned(),
                // Saying what stands there is worth more than naming its type.
                Some(_) => lookup(given, &path).map_or(found, |value| format!("found {}", in_short(value))),
                None => found,
            };
            problems.push(Problem::new(path, found, allowed.unwrap_or_default()));
        }
    }
    if problems.is_empty() {
        Settings::deserialize(settings).map_err(|error| vec![Problem::new("", error.to_string(), "")])
    } else {
        Err(problems)
    }
}

/// The settings that a schema of a struct names, in the struct's order.
#[must_use]
pub fn property_names(schema: &Schema) -> Vec<String> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// Whether a setting is a secret or holds some.
fn may_be_secret(schema: &Schema, field: &str) -> bool {
    fn holds_secret(schema: &Value) -> bool {
        match schema {
            Value::Object(map) => map.get("writeOnly") == Some(&Value::Bool(true)) || map.values().any(holds_secret),
            Value::Array(items) => items.iter().any(holds_secret),
            _ => false,
        }
    }
    schema.get("properties").and_then(|properties| properties.get(field)).is_some_and(holds_secret)
}

/// serde's "invalid type: string \"x\", expected u32" in its two halves.
fn split_message(message: &str) -> (String, Option<String>) {
    let words = |expected: &str| match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a nonzero u32" | "a nonzero usize" | "a nonzero u64" => "a whole number, 1 or more".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other => other.to_owned(),
    };
    let standard = ["invalid type: ", "invalid value: ", "unknown variant "];
    match message.split_once(", expected ") {
        Some((found, expected)) if standard.iter().any(|start| found.starts_with(start)) => {
            (found.to_owned(), Some(words(expected)))
        }
        _ => (message.to_owned(), None),
    }
}

fn lookup<'a>(settings: &'a serde_json::Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    let mut value = settings.get(parts.next()?)?;
    for part in parts {
        value = match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(value)
}

/// A value as a person would point at it, cut when long.
#[must_use]
pub fn in_short(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Object(_) => "a table".to_owned(),
        Value::Null => "nothing".to_owned(),
        other => {
            let text = other.to_string();
            if text.chars().count() <= LONGEST {
                return text;
            }
            text.chars().take(LONGEST).chain(['…']).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decision::{BACKENDS, Common, consecutive_threshold};

    #[test]
    fn the_originals_dotted_paths_and_short_names_find_their_backend() {
        for name in [
            "ConsecutiveThreshold",
            "ConsecutiveThresholdBackend",
            "autoscalebot.backends.decision.ConsecutiveThresholdBackend",
        ] {
            assert_eq!(find(BACKENDS, name).map(|entry| entry.name).ok(), Some("ConsecutiveThreshold"), "{name}");
        }
    }

    #[test]
    fn a_misspelt_backend_gets_a_guess_and_the_list() {
        let problem = find(BACKENDS, "ConsecutiveTreshold").map(|_| ()).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "there is no backend \"ConsecutiveTreshold\" (did you mean ConsecutiveThreshold?); \
             expected one of ConsecutiveThreshold, AverageThreshold"
        );
    }

    #[test]
    fn a_dotted_path_of_a_user_is_not_taken_for_ours() {
        let problem = find(BACKENDS, "myapp.scaling.AverageThresholdBackend").map(|_| ()).unwrap_err();
        assert!(problem.found.contains("Python class"), "{problem}");
    }

    #[test]
    fn all_problems_of_a_block_are_found_at_once() {
        let settings = json!({"min_proceses": 1, "max_processes": "many", "increment": 0, "history_length": -4});
        let problems: Vec<String> = parse::<Common>(&settings).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(problems[0].starts_with("min_proceses: unknown setting, did you mean min_processes?"));
        assert_eq!(
            problems[1],
            "max_processes: found \"many\"; expected a whole number, or a table such as {\"8:00\": 3, \"18:00\": 1}"
        );
        assert_eq!(problems[2], "increment: found 0; expected a whole number, 1 or more");
        assert_eq!(problems[3], "history_length: found -4; expected a whole number, 1 or more");
    }

    #[test]
    fn crossed_thresholds_are_a_problem_of_the_block() {
        let settings = json!({"min_measurement_value": 5, "max_measurement_value": 4});
        let problems = (entry::<consecutive_threshold::ConsecutiveThreshold>().check)(&settings);
        assert_eq!(
            problems[0].to_string(),
            "min_measurement_value: 5 exceeds max_measurement_value 4; expected a number at or below max_measurement_value"
        );
    }

    #[test]
    fn default_settings_serialise_parse_back_and_equal_themselves() {
        for entry in BACKENDS {
            let defaults = (entry.defaults)();
            assert_eq!((entry.check)(&defaults), [], "{}", entry.name);
        }
    }
}
