//! TOML as a tree with places.

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::Finding,
    tree::{Content, DEEPEST_LEVELS, Document, Key, Node, Span, too_deep},
};

/// The whole file as one table.
///
/// # Errors
/// When it is not TOML.
pub fn parse(document: &Document) -> Result<Node, Finding> {
    let table = DeTable::parse(&document.text).map_err(|error| {
        let span = error.span().map(Span::from);
        Finding::new(span, "", format!("this is not TOML: {}", error.message()), "")
    })?;
    let span = table.span();
    table_of(table.get_ref(), span, 0)
}

fn table_of(table: &DeTable<'_>, span: std::ops::Range<usize>, depth: usize) -> Result<Node, Finding> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let name = Key { name: key.get_ref().to_string(), span: key.span().into() };
        entries.push((name, value_of(value, depth + 1)?));
    }
    // In the order of the file, whatever the library keeps.
    entries.sort_by_key(|(key, _)| key.span.start);
    Ok(Node::new(Content::Table(entries), span))
}

fn value_of(value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Finding> {
    let span = value.span();
    if depth > DEEPEST_LEVELS {
        return Err(too_deep(span));
    }
    let wrong = |what: &str| Finding::new(Span::from(span.clone()), "", format!("{what} {}", &value_text(value)), "");
    let scalar = |value| Ok(Node::new(Content::Scalar(value), span.clone()));
    match value.get_ref() {
        DeValue::String(text) => scalar(Value::String(text.to_string())),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(whole) => scalar(Value::from(whole)),
            Err(_) => Err(wrong("this number is too large:")),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => scalar(Value::from(float)),
            _ => Err(wrong("this is not a finite number:")),
        },
        DeValue::Boolean(boolean) => scalar(Value::Bool(*boolean)),
        DeValue::Datetime(moment) => scalar(Value::String(moment.to_string())),
        DeValue::Array(items) => {
            let items: Result<Vec<Node>, Finding> = items.iter().map(|item| value_of(item, depth + 1)).collect();
            Ok(Node::new(Content::List(items?), span))
        }
        DeValue::Table(table) => table_of(table, span, depth),
    }
}

fn value_text(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        _ => String::new(),
    }
}
