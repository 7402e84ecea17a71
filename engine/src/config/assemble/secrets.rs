//! Which parts of a settings file must not be shown.
//!
//! A backend's schema says which of its settings are secret. A file with an error may name no backend that exists, or
//! misspell the setting, so that names count as well: rather too much is blanked than too little.

use std::sync::OnceLock;

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

/// Whether a setting, by its backend's schema or by its name, is secret or holds secrets.
pub fn is_secret(schema: &Schema, name: &str) -> bool {
    let property = schema.get("properties").and_then(|properties| properties.get(name));
    property.is_some_and(|property| property.to_string().contains("\"writeOnly\":true")) || sounds_secret(name)
}

fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 6] = ["key", "passw", "secret", "token", "credential", "auth"];
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
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
        Content::Scalar(_) if is_url_with_secret(node) => findings.hide(node.span),
        Content::Scalar(_) | Content::Unread(_) => {}
        Content::List(items) => items.iter().for_each(|item| hide(item, findings)),
        Content::Table(entries) => {
            for (key, node) in entries {
                let name = key.name.to_lowercase();
                // `api_kye` is not the name of a secret, but what stands there is one.
                if sounds_secret(&name) || nearest(&name, secret_names().iter().map(String::as_str)).is_some() {
                    findings.hide(node.span);
                } else {
                    hide(node, findings);
                }
            }
        }
    }
}

/// The names of all secret settings of all backends.
fn secret_names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    fn of<S: ?Sized, C: ?Sized>(entries: &[Entry<S, C>], names: &mut Vec<String>) {
        for entry in entries {
            let schema = (entry.schema)();
            names.extend(property_names(&schema).into_iter().filter(|name| is_secret(&schema, name)));
        }
    }
    NAMES.get_or_init(|| {
        let mut names = Vec::new();
        of(measurement::BACKENDS, &mut names);
        of(scaling::BACKENDS, &mut names);
        of(notification::BACKENDS, &mut names);
        names.sort();
        names.dedup();
        names
    })
}

/// Whether a text is an address with a password or a token in it.
pub fn is_url_with_secret(node: &Node) -> bool {
    node.as_text().is_some_and(|text| text.contains("://") && UrlText::new(text).to_string() != text)
}

/// The value to show for a setting.
pub fn shown(schema: &Schema, name: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if is_secret(schema, name) => Value::from(Secret::SHOWN),
        Value::String(text) if text.contains("://") => Value::from(UrlText::new(text).to_string()),
        other => other.clone(),
    }
}
