//! Where two JSON documents differ, field by field.

use serde_json::Value;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As people write it: `decision.reason.sentence`, `events[1].to`.
    pub path: String,
    /// What was recorded.
    pub recorded: String,
    /// What came out.
    pub replayed: String,
}

/// What stands for a field that is not there.
const ABSENT: &str = "(absent)";

/// All fields that differ, in the order of the record.
pub fn fields(recorded: &Value, replayed: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    walk(String::new(), Some(recorded), Some(replayed), &mut found);
    found
}

fn walk(path: String, recorded: Option<&Value>, replayed: Option<&Value>, found: &mut Vec<Field>) {
    match (recorded, replayed) {
        (left, right) if left == right => {}
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let more = right.keys().filter(|key| !left.contains_key(*key));
            for key in left.keys().chain(more) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(path, left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                walk(format!("{path}[{index}]"), left.get(index), right.get(index), found);
            }
        }
        (left, right) => {
            let text = |value: Option<&Value>| value.map_or(ABSENT.to_owned(), ToString::to_string);
            let path = if path.is_empty() { "all of it".to_owned() } else { path };
            found.push(Field { path, recorded: text(left), replayed: text(right) });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named_with_its_whole_path() {
        let recorded = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": null});
        let replayed = json!({"a": 1, "b": {"c": [1, 3, 4], "d": "y"}, "f": true});
        let found: Vec<_> = fields(&recorded, &replayed)
            .into_iter()
            .map(|field| (field.path, field.recorded, field.replayed))
            .collect();
        let expected = [
            ("b.c[1]", "2", "3"),
            ("b.c[2]", "(absent)", "4"),
            ("b.d", "\"x\"", "\"y\""),
            ("e", "null", "(absent)"),
            ("f", "(absent)", "true"),
        ];
        assert_eq!(found, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
        assert_eq!(fields(&recorded, &recorded), []);
    }
}
