//! What differs between the settings of before and those of now, in words for people.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ShownSetting;

/// More than this is not told one by one; nobody would read it.
const MOST_TOLD: usize = 20;

/// Every setting whose value is another one now, one each: `decision.settings.max_processes: 5 (was 2)`. Secrets that
/// changed are not among them, because they look alike.
#[must_use]
pub fn changes(before: &[ShownSetting], now: &[ShownSetting]) -> Vec<String> {
    let (old, new) = (by_path(before), by_path(now));
    let changed = new.iter().filter_map(|(path, value)| match old.get(path) {
        Some(was) if was == value => None,
        Some(was) => Some(format!("{path}: {value} (was {was})")),
        None => Some(format!("{path}: {value} (was not set)")),
    });
    let gone = old.iter().filter(|(path, _)| !new.contains_key(*path));
    let mut all: Vec<String> =
        changed.chain(gone.map(|(path, was)| format!("{path}: not set any more (was {was})"))).collect();
    if all.len() > MOST_TOLD {
        let more = all.len() - MOST_TOLD;
        all.truncate(MOST_TOLD);
        all.push(format!("and {more} more"));
    }
    all
}

fn by_path(settings: &[ShownSetting]) -> BTreeMap<&str, &Value> {
    settings.iter().map(|setting| (&*setting.path, &setting.value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(settings: &[(&str, Value)]) -> Vec<ShownSetting> {
        let one = |(path, value): &(&str, Value)| ShownSetting {
            path: (*path).into(),
            value: value.clone(),
            source: "a.toml:1".into(),
        };
        settings.iter().map(one).collect()
    }

    #[test]
    fn what_is_other_new_or_gone_is_told_and_what_is_the_same_is_not() {
        let before = shown(&[("a", json!(1)), ("b", json!("x")), ("c", json!([1])), ("key", json!("(secret)"))]);
        let now = shown(&[("a", json!(2)), ("b", json!("x")), ("d", json!(true)), ("key", json!("(secret)"))]);
        assert_eq!(changes(&before, &now), ["a: 2 (was 1)", "d: true (was not set)", "c: not set any more (was [1])"]);
        assert_eq!(changes(&now, &now), [""; 0]);
    }

    #[test]
    fn of_very_many_only_some_are_told() {
        let names: Vec<String> = (0..50).map(|index| format!("setting_{index}")).collect();
        let with = |value: i32| shown(&names.iter().map(|name| (&**name, json!(value))).collect::<Vec<_>>());
        let told = changes(&with(1), &with(2));
        assert_eq!((told.len(), &*told[20]), (21, "and 30 more"));
    }
}
