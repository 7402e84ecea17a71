//! The JSON Schema of a whole settings file, for editors and for whoever writes settings by program.
//!
//! It is put together from the schemas of the backends' own structs. It knows one spelling, ours: what the original and
//! its version 3.0 wrote otherwise is read as well, but not offered to anybody who begins.

use autoscalebot_core::{busy, decision, registry::Entry};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::{measurement, notification, scaling};

/// JSON Schema 2020-12 of a settings file in TOML, YAML or JSON.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Definitions::default();
    let measurement =
        definitions.stage("measurement", measurement::BACKENDS, schema_for!(measurement::Common), Some("ResponseTime"));
    let decision =
        definitions.stage("decision", decision::BACKENDS, schema_for!(decision::Common), Some("ConsecutiveThreshold"));
    let scaling = definitions.stage("scaling", scaling::BACKENDS, Schema::default(), None);
    let notification = definitions.notification();
    let own = definitions.properties("process", schema_for!(busy::Settings));
    let mut all = definitions.0;
    all.insert("measurement".to_owned(), described(measurement, "How loaded is it?"));
    all.insert("decision".to_owned(), described(decision, "How many should run?"));
    all.insert("scaling".to_owned(), described(scaling, "The platform that runs them."));
    all.insert("notification".to_owned(), described(notification, "Whom to tell what."));
    all.insert("signal".to_owned(), signal());
    all.insert("process".to_owned(), process(own));
    all.insert("variable".to_owned(), variable());
    let processes = json!({
        "description": "One entry per process, by the name that the platform has for it.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^([A-Za-z0-9_-]{1,128}|\\..*)$"},
        "patternProperties": {"^(\\.|x-)": true},
        "additionalProperties": {"$ref": "#/$defs/process"},
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of autoscalebot",
        "description": "Processes by name, or inside `processes`. Keys that begin with `.` or `x-` are your own.",
        "type": "object",
        "properties": {
            "$schema": {"type": "string"},
            "time_zone": {"description": "The time zone of every process that names none.", "type": "string"},
            "processes": processes,
        },
        "patternProperties": {"^(\\.|x-)": true},
        "additionalProperties": {"$ref": "#/$defs/process"},
        "$defs": all,
    })
}

/// `own` are the settings that stand beside the stages.
fn process(own: Map<String, Value>) -> Value {
    let mut process = json!({
        "description": "One scaled process: its measurement and decision (or several signals), its platform, and whom to tell.",
        "type": "object",
        "properties": {
            "measurement": {"$ref": "#/$defs/measurement"},
            "decision": {"$ref": "#/$defs/decision"},
            "signals": {
                "description": "Several measurements, each with its decision. The highest count that is wanted wins.",
                "type": "array", "minItems": 1, "items": {"$ref": "#/$defs/signal"},
            },
            "scaling": {"$ref": "#/$defs/scaling"},
            "notification": {"$ref": "#/$defs/notification"},
        },
        "required": ["scaling"],
        "additionalProperties": false,
    });
    if let Some(properties) = process["properties"].as_object_mut() {
        properties.extend(own);
    }
    process
}

fn signal() -> Value {
    json!({
        "description": "One measurement with its decision.",
        "type": "object",
        "properties": {"measurement": {"$ref": "#/$defs/measurement"}, "decision": {"$ref": "#/$defs/decision"}},
        "additionalProperties": false,
    })
}

fn variable() -> Value {
    json!({
        "description": "The value of an environment variable.", "type": "string", "pattern": "^\\$\\{[^}]+\\}$",
    })
}

/// What schemas refer to, by name: `measurement.ResponseTime` for the settings of a backend.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    /// A stage with one backend: its name, or a table. `default` may stay without a name.
    fn stage<S: ?Sized + 'static, C: ?Sized + 'static>(
        &mut self,
        stage: &str,
        entries: &[Entry<S, C>],
        common: Schema,
        default: Option<&str>,
    ) -> Value {
        let common = self.properties(&format!("{stage}.common"), common);
        let mut cases = vec![json!({"enum": entries.iter().flat_map(names).collect::<Vec<_>>()})];
        cases.extend(entries.iter().map(|entry| self.backend(stage, entry, &common, default)));
        json!({"anyOf": cases})
    }

    /// A table of one backend with its settings.
    fn backend<S: ?Sized + 'static, C: ?Sized + 'static>(
        &mut self,
        stage: &str,
        entry: &Entry<S, C>,
        common: &Map<String, Value>,
        default: Option<&str>,
    ) -> Value {
        let name = format!("{stage}.{}", entry.name);
        let schema = (entry.schema)();
        let description = schema.get("description").cloned().unwrap_or_default();
        let mut properties = common.clone();
        properties.extend(self.properties(&name, schema));
        let settings = json!({
            "description": description, "type": "object", "properties": properties, "additionalProperties": false,
        });
        let reference = json!({"$ref": format!("#/$defs/{name}")});
        self.0.insert(name, settings);
        let required: &[&str] = if default == Some(entry.name) { &[] } else { &["backend"] };
        json!({
            "type": "object",
            "properties": {"backend": {"enum": names(entry)}, "settings": reference},
            "required": required,
            "additionalProperties": false,
        })
    }

    /// The stage with several backends. Settings of a backend may also stand among those for all.
    fn notification(&mut self) -> Value {
        let none = Map::new();
        let entries = notification::BACKENDS;
        let mut cases = vec![json!({"enum": entries.iter().flat_map(names).collect::<Vec<_>>()})];
        cases.extend(entries.iter().map(|entry| self.backend("notification", entry, &none, None)));
        self.0.insert("notifier".to_owned(), json!({"anyOf": cases}));
        let mut properties = Map::new();
        for entry in entries {
            let settings = self.0.get(&format!("notification.{}", entry.name));
            let own = settings.and_then(|settings| settings.get("properties")).and_then(Value::as_object);
            for (name, property) in own.into_iter().flatten() {
                // Backends may mean different things by one name; either is right.
                match properties.get_mut(name) {
                    None => drop(properties.insert(name.clone(), property.clone())),
                    Some(known) if *known == *property => {}
                    Some(known) => *known = json!({"anyOf": [known.take(), property]}),
                }
            }
        }
        properties.extend(self.properties("notification.common", schema_for!(notification::Common)));
        let words: Vec<&str> = notification::filter::NOTIFY_ON_WORDS.iter().map(|(word, _)| *word).collect();
        properties.insert(
            "notify_on".to_owned(),
            json!({"description": "Exactly these are told.", "type": "array", "items": {"enum": words}}),
        );
        json!({
            "type": "object",
            "properties": {
                "backends": {"type": "array", "items": {"$ref": "#/$defs/notifier"}},
                "settings": {"type": "object", "properties": properties, "additionalProperties": false},
            },
            "additionalProperties": false,
        })
    }

    /// The settings of a schema; what it defines itself moves here, under names of its own.
    fn properties(&mut self, owner: &str, schema: Schema) -> Map<String, Value> {
        let mut schema = Value::from(schema);
        rename_references(&mut schema, owner);
        if let Some(Value::Object(inner)) = schema.get_mut("$defs").map(Value::take) {
            self.0.extend(inner.into_iter().map(|(name, definition)| (format!("{owner}.{name}"), definition)));
        }
        let Some(Value::Object(mut properties)) = schema.get_mut("properties").map(Value::take) else {
            return Map::new();
        };
        properties.values_mut().for_each(allow_variable);
        properties
    }
}

/// A value that is no text may come from the environment too.
fn allow_variable(property: &mut Value) {
    if property.to_string().contains("\"string\"") {
        return;
    }
    let mut value = property.take();
    let mut wrapped = json!({});
    for key in ["description", "default"] {
        if let Some(part) = value.as_object_mut().and_then(|value| value.remove(key)) {
            wrapped[key] = part;
        }
    }
    wrapped["anyOf"] = json!([value, {"$ref": "#/$defs/variable"}]);
    *property = wrapped;
}

fn rename_references(value: &mut Value, owner: &str) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        *reference = reference.replace("#/$defs/", &format!("#/$defs/{owner}."));
                    }
                    other => rename_references(other, owner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, owner)),
        _ => {}
    }
}

/// Every name that means this backend.
fn names<S: ?Sized + 'static, C: ?Sized + 'static>(entry: &Entry<S, C>) -> Vec<String> {
    let mut names = vec![entry.name.to_owned(), format!("{}Backend", entry.name)];
    names.extend(entry.original_names.iter().map(|name| (*name).to_owned()));
    names.dedup();
    names
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        example::{self, Format},
        tree::Document,
    };

    /// What is wrong with a value by a schema, as far as ours use the language.
    fn problem(value: &Value, schema: &Value, root: &Value) -> Option<String> {
        if schema == &Value::Bool(true) {
            return None;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.strip_prefix("#/$defs/").unwrap_or_else(|| panic!("{reference}"));
            let target = root["$defs"].get(name).unwrap_or_else(|| panic!("{reference} leads nowhere"));
            return problem(value, target, root);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(cases) = schema.get(key).and_then(Value::as_array) {
                let problems: Vec<_> = cases.iter().map(|case| problem(value, case, root)).collect();
                if problems.iter().all(Option::is_some) {
                    return Some(format!("{value}: {problems:?}"));
                }
            }
        }
        let allowed = schema.get("enum").and_then(Value::as_array);
        if allowed.is_some_and(|allowed| !allowed.contains(value)) {
            return Some(format!("{value} is none of {allowed:?}"));
        }
        if schema.get("pattern").is_some() && !value.as_str().is_some_and(|text| text.starts_with("${")) {
            return Some(format!("{value} is no variable"));
        }
        let types = match schema.get("type") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = |name: &&str| match *name {
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("{other} is no type"),
        };
        if !types.is_empty() && !types.iter().any(is) {
            return Some(format!("{value} is no {types:?}"));
        }
        if let (Some(least), Some(number)) = (schema.get("minimum").and_then(Value::as_f64), value.as_f64())
            && number < least
        {
            return Some(format!("{value} is below {least}"));
        }
        if let Some(entries) = value.as_object() {
            for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                if !entries.contains_key(name.as_str().unwrap()) {
                    return Some(format!("{name} is missing"));
                }
            }
            for (name, value) in entries {
                let property = schema.get("properties").and_then(|properties| properties.get(name));
                let is_pattern = schema.get("patternProperties").is_some();
                let other =
                    schema.get("additionalProperties").filter(|_| !is_pattern || name.starts_with(char::is_alphabetic));
                match property.or(other) {
                    Some(Value::Bool(false)) => return Some(format!("{name} is not known")),
                    Some(schema) => {
                        if let Some(problem) = problem(value, schema, root) {
                            return Some(format!("{name}: {problem}"));
                        }
                    }
                    None => {}
                }
            }
        }
        let items = schema.get("items");
        value.as_array().into_iter().flatten().find_map(|item| problem(item, items?, root))
    }

    fn value_of(name: &str, text: &str) -> Value {
        let document = Document::new(name, text);
        let tree = match name.rsplit('.').next().unwrap() {
            "toml" => crate::config::toml::parse(&document),
            "yaml" => crate::config::yaml::parse(&document),
            _ => crate::config::json::parse(&document),
        };
        tree.unwrap_or_else(|finding| panic!("{name}: {finding:?}")).to_value()
    }

    #[test]
    fn files_that_load_are_valid_by_the_schema() {
        let schema = schema();
        let fixture = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/fixtures/settings");
            value_of(name, &std::fs::read_to_string(format!("{folder}/{name}")).unwrap())
        };
        let yaml = fixture("original_web.yaml");
        assert_eq!(problem(&yaml, &schema, &schema), None);
        assert_eq!(problem(&fixture("original_web.json")["AUTOSCALE_SETTINGS"], &schema, &schema), None);
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let value = value_of(format.file_name(), &example::text(format));
            // `settings:` with comments only is nothing in YAML, as good as an empty table.
            let value = serde_json::from_str(&value.to_string().replace("null", "{}")).unwrap();
            assert_eq!(problem(&value, &schema, &schema), None, "{format:?}");
        }
    }

    #[test]
    fn what_the_loader_refuses_is_not_valid_by_the_schema() {
        let schema = schema();
        for text in [
            r#"{"web": {}}"#,
            r#"{"web": {"scaling": "Herku"}}"#,
            r#"{"web": {"scaling": "DryRun", "decison": "AverageThreshold"}}"#,
            r#"{"web": {"scaling": "DryRun", "decision": {"settings": {"min_proceses": 1}}}}"#,
            r#"{"web": {"scaling": "DryRun", "decision": {"settings": {"max_processes": "many"}}}}"#,
            r#"{"web": {"scaling": "DryRun", "decision": {"backend": "AverageThreshold", "settings": {"number_of_fails_to_scale_up_after": 1}}}}"#,
            r#"{"web": {"scaling": "DryRun", "measurement": {"settings": {"measurement_interval_in_seconds": 0.01}}}}"#,
            r#"{"web": {"scaling": {"settings": {}}}}"#,
            r#"{"web": {"scaling": "DryRun", "notification": {"backends": ["Consol"]}}}"#,
            r#"{"web": {"scaling": "DryRun", "notification": {"settings": {"notify_on": ["NOTHING"]}}}}"#,
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(problem(&value, &schema, &schema).is_some(), "{text}");
            assert!(
                crate::config::load::from_text("a.json", text, &crate::environment::Environment::default()).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn every_backend_is_in_it_with_its_defaults_valid() {
        fn check<S: ?Sized + 'static, C: ?Sized + 'static>(stage: &str, entries: &[Entry<S, C>], root: &Value) {
            for entry in entries {
                let settings = &root["$defs"][format!("{stage}.{}", entry.name)];
                assert!(settings.is_object(), "{stage}.{}", entry.name);
                let mut defaults = (entry.defaults)();
                defaults.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                assert_eq!(problem(&defaults, settings, root), None, "{stage}.{}", entry.name);
                let stage = if stage == "notification" { "notifier" } else { stage };
                assert!(root["$defs"][stage].to_string().contains(&format!("{}\"", entry.name)), "{}", entry.name);
            }
        }
        let root = schema();
        check("measurement", measurement::BACKENDS, &root);
        check("decision", decision::BACKENDS, &root);
        check("scaling", scaling::BACKENDS, &root);
        check("notification", notification::BACKENDS, &root);
    }

    #[test]
    fn a_number_may_come_from_the_environment() {
        let schema = schema();
        let text = r#"{"web": {"scaling": "DryRun", "decision": {"settings": {"max_processes": "${MOST}"}}}}"#;
        assert_eq!(problem(&serde_json::from_str(text).unwrap(), &schema, &schema), None);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn follow(value: &Value, root: &Value) {
            match value {
                Value::Object(entries) => {
                    if let Some(reference) = entries.get("$ref").and_then(Value::as_str) {
                        let name = reference.strip_prefix("#/$defs/").unwrap();
                        assert!(root["$defs"].get(name).is_some(), "{reference}");
                    }
                    entries.values().for_each(|value| follow(value, root));
                }
                Value::Array(items) => items.iter().for_each(|item| follow(item, root)),
                _ => {}
            }
        }
        let schema = schema();
        follow(&schema, &schema);
    }
}
