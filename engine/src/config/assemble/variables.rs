//! `${NAME}` in settings: the environment's values, where they are asked for.

use serde_json::{Map, Value};

use crate::{
    config::tree::{Content, Node},
    environment::Environment,
};

/// A text that is one `${NAME}`.
pub fn is_one_variable(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}

/// A value with every `${NAME}` replaced by the environment variable; `$${` stands for a plain `${`. What was made of
/// the environment already stays as it is: a password may hold anything.
///
/// # Errors
/// What was found and what is allowed.
pub fn filled_in(node: &Node, environment: &Environment) -> Result<Value, (String, String)> {
    Ok(match &node.content {
        Content::Scalar(Value::String(text)) if node.environment.is_empty() => {
            Value::String(filled(text, environment)?)
        }
        Content::Scalar(_) | Content::Unread(_) => node.to_value(),
        Content::List(items) => items.iter().map(|item| filled_in(item, environment)).collect::<Result<_, _>>()?,
        Content::Table(entries) => {
            let mut filled = Map::new();
            for (key, node) in entries {
                filled.insert(key.name.clone(), filled_in(node, environment)?);
            }
            Value::Object(filled)
        }
    })
}

fn filled(text: &str, environment: &Environment) -> Result<String, (String, String)> {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        let Some((name, after)) = after.split_once('}') else {
            return Err(("a ${ without its }".to_owned(), "${NAME}, or $${ for a plain ${".to_owned()));
        };
        let Some(value) = environment.get(name) else {
            let found = format!("the environment variable {name} is not set");
            return Err((found, format!("{name} to be set, or $${{ for a plain ${{")));
        };
        result.push_str(before);
        result.push_str(value);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}
