//! The annotated settings file that people begin with, in every format.
//!
//! What a setting means and what it is by default comes from its struct, so that the example cannot say anything else
//! than the program does. Written here is only which backends it shows and which settings it sets.
//!
//! In formats with comments, `# text` explains and `#name = value` (no space) is a setting to uncomment.

mod write;

use autoscalebot_core::{
    busy, decision,
    registry::{Entry, find, property_names},
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{measurement, notification, scaling};

/// A format that an example can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// JSON, which has no comments: every setting with its default.
    Json,
    /// The original's Python module, in its spelling.
    Python,
    /// A part of Django's `settings.py`, in the original's spelling.
    Django,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Toml, Self::Yaml, Self::Json, Self::Python, Self::Django];

    /// The name of the file that the example is for.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Toml => "autoscale_settings.toml",
            Self::Yaml => "autoscale_settings.yaml",
            Self::Json => "autoscale_settings.json",
            Self::Python => "autoscale_settings.py",
            Self::Django => "settings.py",
        }
    }
}

/// A settings file for a web process on Heroku. It loads once the app's name is right and `HEROKU_API_KEY` is set.
#[must_use]
pub fn text(format: Format) -> String {
    let (own, stages) = (own(), stages(format));
    match format {
        Format::Toml => write::toml(&own, &stages),
        Format::Yaml => write::yaml(&own, &stages),
        Format::Json => write::json(&own, &stages),
        Format::Python => write::python(&own, &stages, false),
        Format::Django => write::python(&own, &stages, true),
    }
}

/// A stage of the example.
struct Stage {
    /// Its name, which is also its key.
    name: &'static str,
    /// The backend that it shows.
    backend: &'static str,
    /// All settings that may stand there.
    settings: Vec<Setting>,
}

/// A setting of the example.
struct Setting {
    name: String,
    /// What it means, in one line.
    meaning: String,
    value: Value,
    kind: Kind,
}

/// What the value of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has to be given: it is set in the example.
    Set,
    /// It is the default, and need not stand there.
    Default,
    /// There is no default; it only shows what a value looks like.
    Sample,
}

/// What the example sets.
const SET: &[(&str, &str, &str)] =
    &[("scaling", "app_name", "dancing-forest-1234"), ("scaling", "api_key", "${HEROKU_API_KEY}")];

/// What a setting without a default looks like.
fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "time_zone" => json!("America/Vancouver"),
        "base_url" => json!("https://www.example.com"),
        "headers" => json!({"Accept": "text/html"}),
        "api_url" => json!("https://api.heroku.com"),
        "process" => json!("web"),
        "email_host_user" => json!("autoscalebot"),
        "email_host_password" => json!("${EMAIL_HOST_PASSWORD}"),
        "email_timeout" => json!(10),
        "server_email" | "default_from_email" => json!("autoscalebot@example.com"),
        "scale_down_when" => json!("always"),
        "admins" => json!([["Operations", "operations@example.com"]]),
        _ => return None,
    })
}

fn stages(format: Format) -> Vec<Stage> {
    let notifier = if format == Format::Django { "DjangoEmail" } else { "Console" };
    vec![
        stage::<measurement::Common, _, _>("measurement", measurement::BACKENDS, "ResponseTime"),
        stage::<decision::Common, _, _>("decision", decision::BACKENDS, "ConsecutiveThreshold"),
        stage::<Nothing, _, _>("scaling", scaling::BACKENDS, "Heroku"),
        stage::<notification::Common, _, _>("notification", notification::BACKENDS, notifier),
    ]
}

/// The settings that stand beside the stages.
fn own() -> Vec<Setting> {
    let defaults = serde_json::to_value(busy::Settings::default()).unwrap_or_default();
    settings("", &schema_for!(busy::Settings), &defaults)
}

/// A stage without common settings.
#[derive(Default, Serialize, JsonSchema)]
struct Nothing {}

fn stage<Common: Default + Serialize + JsonSchema, S: ?Sized + 'static, C: ?Sized + 'static>(
    stage: &'static str,
    entries: &'static [Entry<S, C>],
    backend: &'static str,
) -> Stage {
    let common = serde_json::to_value(Common::default()).unwrap_or_default();
    let mut all = settings(stage, &schema_for!(Common), &common);
    if let Ok(entry) = find(entries, backend) {
        all.extend(settings(stage, &(entry.schema)(), &(entry.defaults)()));
    }
    // What is set comes first; the order is otherwise that of the structs.
    all.sort_by_key(|setting| setting.kind != Kind::Set);
    Stage { name: stage, backend, settings: all }
}

fn settings(stage: &str, schema: &Schema, defaults: &Value) -> Vec<Setting> {
    let setting = |name: String| {
        let property = schema.get("properties").and_then(|properties| properties.get(&name));
        let meaning = property.and_then(|property| property.get("description")).and_then(Value::as_str);
        let meaning = meaning.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let set = SET.iter().find(|(of, set, _)| (*of, *set) == (stage, &name));
        let default = defaults.get(&name).cloned().unwrap_or_default();
        let (value, kind) = match (set, is_empty(&default), sample(&name)) {
            (Some((_, _, value)), ..) => (Value::from(*value), Kind::Set),
            (None, true, Some(sample)) => (sample, Kind::Sample),
            (None, ..) => (default, Kind::Default),
        };
        Setting { name, meaning, value, kind }
    };
    property_names(schema).into_iter().map(setting).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::load::{Explained, from_text},
        environment::Environment,
    };

    fn load(format: Format, text: &str) -> Explained {
        let environment = Environment::from_iter([("HEROKU_API_KEY", "hunter2"), ("EMAIL_HOST_PASSWORD", "hunter3")]);
        from_text(format.file_name(), text, &environment)
            .unwrap_or_else(|errors| panic!("{format:?}\n{}\n{text}", errors.render(false)))
    }

    /// A line that is a setting in a comment, without what makes it one.
    fn uncommented(line: &str) -> Option<String> {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let setting = rest.strip_prefix('#')?;
        (!setting.is_empty() && !setting.starts_with([' ', '#'])).then(|| format!("{indent}{setting}"))
    }

    #[test]
    fn every_example_loads_and_all_mean_the_same() {
        let toml = load(Format::Toml, &text(Format::Toml)).loaded;
        assert_eq!(toml.warnings, Vec::<String>::new());
        let web = &toml.config.processes["web"];
        assert_eq!(web.scaling.settings["api_key"], "hunter2");
        for format in [Format::Yaml, Format::Python] {
            assert_eq!(load(format, &text(format)).loaded.config, toml.config, "{format:?}");
        }
        // JSON spells the defaults out; they are the same settings once they are read.
        let json = load(Format::Json, &text(Format::Json)).loaded.config;
        let json = &json.processes["web"];
        assert_eq!(json.signals[0].decision_common, web.signals[0].decision_common);
        assert_eq!(json.signals[0].measurement_common, web.signals[0].measurement_common);
        assert_eq!(json.notification.common, web.notification.common);
        assert_eq!(json.own, web.own);
        let django = load(Format::Django, &text(Format::Django)).loaded.config;
        assert_eq!(django.processes["web"].notification.backends[0].backend, "DjangoEmail");
    }

    #[test]
    fn every_setting_in_a_comment_can_be_uncommented() {
        for format in Format::ALL.into_iter().filter(|format| *format != Format::Json) {
            let example = text(format);
            let mut count = 0;
            let all: Vec<String> = example
                .lines()
                .map(|line| {
                    let setting = uncommented(line);
                    count += usize::from(setting.is_some());
                    setting.unwrap_or_else(|| line.to_owned())
                })
                .collect();
            assert!(count > 20, "{format:?}: {count}");
            load(format, &all.join("\n"));
        }
    }

    #[test]
    fn every_setting_of_the_shown_backends_is_there_with_its_meaning() {
        for format in Format::ALL {
            let example = text(format);
            let all = stages(format).into_iter().map(|stage| stage.settings).chain([own()]);
            for settings in all {
                for setting in settings {
                    let name =
                        if example.contains("AUTOSCALE_SETTINGS") { setting.name.to_uppercase() } else { setting.name };
                    let is_shown = format == Format::Json && setting.kind == Kind::Sample || example.contains(&name);
                    assert!(is_shown, "{format:?} does not show {name}");
                    assert!(!setting.meaning.is_empty(), "{name} has no meaning");
                    assert!(format == Format::Json || !is_empty(&setting.value), "{name} has no sample");
                }
            }
        }
    }

    #[test]
    fn lines_fit_on_a_page() {
        for format in Format::ALL {
            for line in text(format).lines() {
                assert!(line.chars().count() <= 100, "{format:?}: {line}");
            }
        }
    }
}
