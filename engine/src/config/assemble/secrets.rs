//! Which parts of a settings file must not be shown.
//!
//! A backend's schema says which of its settings are secret. A file with an error may name no backend that exists, or
//! misspell the setting, so that names count as well: rather too much is blanked than too little.

use std::{collections::BTreeSet, sync::OnceLock};

use autoscalebot_core::{
    names::nearest,
    registry::{Entry, property_names},
};
use schemars::Schema;
use serde_json::Value;

use crate::{
    config::{
        error::Findings,
        tree::{Content, Node},
    },
    environment::Environment,
    measurement::{self, url::UrlText},
    notification, scaling,
    secret::Secret,
};

/// Whether a setting is secret or holds secrets: by its backend's schema, or by its name when the schema does not know it.
pub fn is_secret(schema: &Schema, name: &str) -> bool {
    let property = schema.get("properties").and_then(|properties| properties.get(name));
    property.map_or_else(|| sounds_secret(name), |property| property.to_string().contains("\"writeOnly\":true"))
}

/// Whether a setting that nobody knows is secret, by its name: `api_key`, `smtp_password`.
#[must_use]
pub fn sounds_secret(name: &str) -> bool {
    const PARTS: [&str; 7] = ["key", "passw", "passphrase", "secret", "token", "credential", "auth"];
    // Only as whole words: there are settings about passes.
    const WORDS: [&str; 4] = ["pass", "pwd", "cookie", "cookies"];
    let name = name.to_lowercase();
    PARTS.iter().any(|part| name.contains(part)) || name.split('_').any(|word| WORDS.contains(&word))
}

/// Hides everything in a file that may be secret. For a file with errors: it is slow, and looks at every key.
pub fn hide_all(root: &Node, environment: &Environment, findings: &mut Findings) {
    root.for_each_variable(&mut |name| {
        if let Some(value) = environment.get(name) {
            findings.hide_variable(name, value);
        }
    });
    hide(root, findings);
}

fn hide(node: &Node, findings: &mut Findings) {
    match &node.content {
        Content::Scalar(_) if looks_like_url(node) && holds_more_than_shown(node) => findings.hide(node.span),
        Content::Scalar(_) | Content::Unread(_) => {}
        Content::List(items) => items.iter().for_each(|item| hide(item, findings)),
        Content::Table(entries) => {
            for (key, node) in entries {
                let name = key.name.to_lowercase();
                let Names { secret, plain, urls } = names();
                let is_like = |names: &BTreeSet<String>| nearest(&name, names.iter().map(String::as_str)).is_some();
                // `api_kye` is not the name of a secret, but what stands there is one.
                let may_be = (sounds_secret(&name) || is_like(secret)) && !plain.contains(&name);
                if may_be || is_like(urls) && holds_more_than_shown(node) {
                    findings.hide(node.span);
                } else {
                    hide(node, findings);
                }
            }
        }
    }
}

/// The names of all settings of all backends.
#[derive(Default)]
struct Names {
    /// Those that are secret somewhere.
    secret: BTreeSet<String>,
    /// Those that are secret nowhere.
    plain: BTreeSet<String>,
    /// Those that are addresses.
    urls: BTreeSet<String>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    fn of<S: ?Sized + 'static, C: ?Sized + 'static>(entries: &[Entry<S, C>], names: &mut Names) {
        for entry in entries {
            let schema = (entry.schema)();
            for name in property_names(&schema) {
                if is_url(&schema, &name) {
                    names.urls.insert(name.clone());
                }
                if is_secret(&schema, &name) { &mut names.secret } else { &mut names.plain }.insert(name);
            }
        }
    }
    NAMES.get_or_init(|| {
        let mut names = Names::default();
        of(measurement::BACKENDS, &mut names);
        of(scaling::BACKENDS, &mut names);
        of(notification::BACKENDS, &mut names);
        let Names { secret, plain, .. } = &mut names;
        plain.retain(|name| !secret.contains(name));
        names
    })
}

/// Whether a setting is an address, whole or relative to another one, that may hold a password or a token.
pub fn is_url_with_secret(schema: &Schema, name: &str, node: &Node) -> bool {
    (is_url(schema, name) || looks_like_url(node)) && holds_more_than_shown(node)
}

/// Whether a setting is an address by its backend's schema: `measurement_url` may be `/load?token=…`, which nobody would
/// take for one.
fn is_url(schema: &Schema, name: &str) -> bool {
    let property = schema.get("properties").and_then(|properties| properties.get(name));
    property.is_some_and(|property| property.to_string().contains(&format!("\"{}\"", UrlText::FORMAT)))
}

fn looks_like_url(node: &Node) -> bool {
    node.as_text().is_some_and(|text| text.contains("://"))
}

fn holds_more_than_shown(node: &Node) -> bool {
    node.as_text().is_some_and(|text| UrlText::new(text).to_string() != text)
}

/// The value to show for a setting.
pub fn shown(schema: &Schema, name: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if is_secret(schema, name) => Value::from(Secret::SHOWN),
        // Somebody's own table, of which no schema says what is in it.
        Value::Object(map) => {
            let entry = |(name, value): (&String, &Value)| {
                let is_text = value.as_str().is_some_and(|text| !text.is_empty());
                let is_hidden = is_text && sounds_secret(name);
                (name.clone(), if is_hidden { Secret::SHOWN.into() } else { shown(schema, name, value) })
            };
            Value::Object(map.iter().map(entry).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| shown(schema, name, item)).collect()),
        Value::String(text) if text.contains("://") || is_url(schema, name) => {
            Value::from(UrlText::new(text).to_string())
        }
        other => other.clone(),
    }
}
