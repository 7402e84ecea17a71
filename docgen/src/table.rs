//! A settings struct as a Markdown table, from its JSON Schema and its default values.

use serde_json::{Map, Value};

/// The table of a settings struct. `defaults` are the struct's default values, as serde writes them.
pub fn table(schema: &Value, defaults: &Value) -> String {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    if properties.is_empty() {
        return "It has no settings of its own.\n".to_owned();
    }
    let mut text =
        String::from("| setting | original's spelling | value | default | meaning |\n|---|---|---|---|---|\n");
    for (name, property) in properties {
        let line = [
            code(name),
            code(&name.to_uppercase()),
            kind(property, schema),
            default(defaults.get(name)),
            meaning(property),
        ];
        text += &format!("| {} |\n", line.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn default(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "empty".to_owned(),
        Some(Value::Object(items)) if items.is_empty() => "empty".to_owned(),
        Some(value) => code(&value.to_string()),
    }
}

/// The doc comment in one line; its lines were broken for the source's sake.
fn meaning(property: &Value) -> String {
    let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What may stand there, in words.
fn kind(property: &Value, schema: &Value) -> String {
    let property = resolve(property, schema);
    if let Some(values) = fixed_values(property) {
        return values.iter().map(|value| code(&value.to_string())).collect::<Vec<_>>().join(", ");
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(cases)) = property.get(key) {
            let mut kinds: Vec<String> =
                cases.iter().filter(|case| !is_null(case)).map(|case| kind(case, schema)).collect();
            kinds.dedup();
            return kinds.join(", or ");
        }
    }
    if property.get("patternProperties").is_some() {
        return "table by time of day".to_owned();
    }
    let words = match type_name(property) {
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "`true` or `false`",
        "string" if property.get("writeOnly").is_some() => "secret text",
        "string" if property.get("format").and_then(Value::as_str) == Some("uri") => "URL",
        "string" => "text",
        "array" => {
            let items = property.get("items").map(|items| kind(items, schema)).unwrap_or_default();
            return if items.is_empty() { "list".to_owned() } else { format!("list of: {items}") };
        }
        "object" => "table",
        _ => "anything",
    };
    format!("{words}{}", range(property))
}

fn range(property: &Value) -> String {
    // What fits into 32 bits and more is no limit that a person would meet.
    let number =
        |key: &str| property.get(key).and_then(Value::as_f64).filter(|number| number.abs() < f64::from(u32::MAX));
    let exclusive = number("exclusiveMinimum").map(|least| format!(", more than {least}"));
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!("{}, at most {most}", exclusive.unwrap_or_default()),
        (None, None) => exclusive.unwrap_or_default(),
    }
}

/// The values of an enum, however schemars wrote it: as `enum`, as `const`, or as cases with one of these each.
fn fixed_values(property: &Value) -> Option<Vec<&Value>> {
    if let Some(value) = property.get("const") {
        return Some(vec![value]);
    }
    if let Some(Value::Array(values)) = property.get("enum") {
        return Some(values.iter().collect());
    }
    let Some(Value::Array(cases)) = property.get("oneOf") else { return None };
    cases.iter().map(fixed_values).collect::<Option<Vec<_>>>().map(|cases| cases.concat())
}

/// The type beside `null`, which only says that the setting may be left out.
fn type_name(property: &Value) -> &str {
    match property.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

fn is_null(case: &Value) -> bool {
    case.get("type").and_then(Value::as_str) == Some("null")
}

/// Follows `$ref` into the schema's definitions.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let target = property.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    target.and_then(|path| schema.pointer(path)).map_or(property, |found| resolve(found, schema))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_setting_is_a_line_with_both_spellings_range_default_and_meaning() {
        let schema = json!({"properties": {
            "increment": {"type": "integer", "minimum": 1, "description": "How many\nat once."},
        }});
        let text = table(&schema, &json!({"increment": 2}));
        assert_eq!(
            text.lines().last(),
            Some("| `increment` | `INCREMENT` | whole number, 1 or more | `2` | How many at once. |")
        );
    }

    #[test]
    fn kinds_are_told_in_words() {
        let schema = json!({"$defs": {"Mode": {"oneOf": [{"const": "high"}, {"const": "hold"}]}}});
        for (property, words) in [
            (json!({"type": ["string", "null"]}), "text"),
            (json!({"type": "string", "writeOnly": true}), "secret text"),
            (json!({"type": "number", "minimum": 0.05}), "number, 0.05 or more"),
            (json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}), "whole number, 0 or more"),
            (json!({"$ref": "#/$defs/Mode"}), "`\"high\"`, `\"hold\"`"),
            (json!({"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]}), "`\"high\"`, `\"hold\"`"),
            (json!({"type": "array", "items": {"type": "string"}}), "list of: text"),
        ] {
            assert_eq!(kind(&property, &schema), words, "{property}");
        }
    }

    #[test]
    fn a_pipe_in_a_doc_comment_does_not_break_the_table() {
        let schema = json!({"properties": {"a": {"type": "string", "description": "this | that"}}});
        assert!(table(&schema, &json!({})).contains("this \\| that"));
    }
}
