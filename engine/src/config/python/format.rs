//! Python's ways of putting texts together, as far as everybody expects the same of them.
//!
//! Widths, precisions, attributes and conversions are refused: whoever needs them can run Python.

use serde_json::Value;

use crate::config::tree::{Content, Node};

/// What `str()` makes of it, for the values whose text everybody expects.
pub fn as_python_text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Some(text.clone()),
        Content::Scalar(Value::Number(number)) => Some(number.to_string()),
        Content::Scalar(Value::Bool(true)) => Some("True".to_owned()),
        Content::Scalar(Value::Bool(false)) => Some("False".to_owned()),
        _ => None,
    }
}

/// `pattern % arguments`, for `%s`, `%d` and `%%`; `None` when Python would have to do it.
pub fn percent_format(pattern: &str, arguments: &[&Node]) -> Option<String> {
    let (mut text, mut rest, mut arguments) = (String::new(), pattern, arguments.iter());
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let mut letters = after.chars();
        match letters.next()? {
            '%' => text.push('%'),
            's' => text.push_str(&as_python_text(arguments.next()?)?),
            'd' => {
                let argument = arguments.next()?;
                matches!(argument.content, Content::Scalar(Value::Number(_))).then_some(())?;
                text.push_str(&as_python_text(argument)?);
            }
            _ => return None,
        }
        rest = letters.as_str();
    }
    text.push_str(rest);
    arguments.next().is_none().then_some(text)
}

/// `pattern.format(…)`, for `{}`, `{0}` and `{name}`; `None` when Python would have to do it.
pub fn brace_format(pattern: &str, positional: &[Node], named: &[(Option<&str>, Node)]) -> Option<String> {
    let (mut text, mut letters, mut next) = (String::new(), pattern.chars().peekable(), 0);
    while let Some(letter) = letters.next() {
        match letter {
            '{' | '}' if letters.peek() == Some(&letter) => {
                letters.next();
                text.push(letter);
            }
            '{' => {
                let name: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
                let node = if name.is_empty() {
                    next += 1;
                    positional.get(next - 1)?
                } else if let Ok(index) = name.parse::<usize>() {
                    positional.get(index)?
                } else {
                    named.iter().find(|(key, _)| *key == Some(name.as_str())).map(|(_, node)| node)?
                };
                text.push_str(&as_python_text(node)?);
            }
            '}' => return None,
            other => text.push(other),
        }
    }
    Some(text)
}
