//! Version 3.0's `notify_on: [SCALE, …]`: exactly these are told.

use std::collections::BTreeMap;

use autoscalebot_core::registry::in_short;
use serde_json::Value;

use crate::{
    config::{
        error::{Finding, Findings, did_you_mean},
        original::Notification,
        tree::{Content, Key, Node, Span},
    },
    notification::filter::NOTIFY_ON_WORDS,
};

/// Replaces the list by the settings that it stands for; what is set by its own name stays.
pub fn spell_out(process: &str, notification: &mut Notification, findings: &mut Findings) {
    let Some(index) = notification.settings.iter().position(|(key, _)| key.name == "notify_on") else { return };
    let (key, node) = notification.settings.remove(index);
    let path = format!("{process}.notification.settings.notify_on");
    let words = NOTIFY_ON_WORDS.iter().map(|(word, _)| *word);
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&node),
    };
    let mut fields: BTreeMap<&str, (bool, Span)> =
        NOTIFY_ON_WORDS.iter().map(|(_, field)| (*field, (false, key.span))).collect();
    for item in items {
        let text = item.as_text().unwrap_or_default().to_uppercase();
        match NOTIFY_ON_WORDS.iter().find(|(word, _)| *word == text) {
            Some((_, field)) => {
                fields.insert(field, (true, item.span));
            }
            None => {
                let finding = match &item.content {
                    Content::Unread(finding) => Finding { path: path.clone(), ..(**finding).clone() },
                    _ => {
                        let found =
                            format!("found {}{}", in_short(&item.to_value()), did_you_mean(&text, words.clone()));
                        let allowed = format!("a list of {}", words.clone().collect::<Vec<_>>().join(", "));
                        Finding::new(item.span, &path, found, allowed)
                    }
                };
                findings.error(finding);
            }
        }
    }
    for (field, (told, span)) in fields {
        if !notification.settings.iter().any(|(key, _)| key.name == field) {
            let node = Node::new(Content::Scalar(Value::Bool(told)), span.start..span.end);
            notification.settings.push((Key { name: field.to_owned(), span }, node));
        }
    }
}
