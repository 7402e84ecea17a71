//! The page of each backend: prose by hand, and between two marks its settings, from the code.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow};
use autoscalebot_core::{decision, registry::Entry};
use autoscalebot_engine::{
    measurement, notification, scaling,
    telemetry::metrics::{FAMILIES, Family, Kind},
};
use serde_json::Value;

use crate::{Generated, table::table};

/// The mark around a backend's settings on its page.
const SETTINGS: &str = "settings";
/// The mark around the list of backends on the first page.
const LIST: &str = "backends";

/// The mark around the list of metrics on their page.
const METRICS: &str = "metrics";

/// What the docs need to know about a backend.
pub struct Described {
    /// Its name in settings.
    pub name: &'static str,
    /// Other names that mean it.
    pub original_names: &'static [&'static str],
    /// Its settings as a table.
    pub table: String,
}

/// A stage and its backends.
pub struct Stage {
    /// Its name, which is also that of its folder of pages.
    pub name: &'static str,
    /// Its backends, in the order of the registry.
    pub backends: Vec<Described>,
}

/// All stages in the order of a tick.
pub fn stages() -> Vec<Stage> {
    vec![
        Stage { name: "measurement", backends: described(measurement::BACKENDS) },
        Stage { name: "decision", backends: described(decision::BACKENDS) },
        Stage { name: "scaling", backends: described(scaling::BACKENDS) },
        Stage { name: "notification", backends: described(notification::BACKENDS) },
    ]
}

fn described<S: ?Sized + 'static, C: ?Sized + 'static>(entries: &[Entry<S, C>]) -> Vec<Described> {
    let describe = |entry: &Entry<S, C>| {
        let schema = Value::from((entry.schema)());
        Described { name: entry.name, original_names: entry.original_names, table: table(&schema, &(entry.defaults)()) }
    };
    entries.iter().map(describe).collect()
}

/// Every page with its table filled in.
pub fn all(root: &Path) -> Result<Vec<Generated>> {
    let mut pages = Vec::new();
    for stage in stages() {
        for backend in stage.backends {
            let path = format!("docs/backends/{}/{}.md", stage.name, snake_case(backend.name));
            let text = fs::read_to_string(root.join(&path))
                .with_context(|| format!("{path}: write this page about {}, then try again", backend.name))?;
            let text = filled(&text, SETTINGS, &backend.table).with_context(|| path.clone())?;
            pages.push(Generated { path: path.into(), text });
        }
    }
    pages.push(index(root)?);
    pages.push(monitoring(root)?);
    Ok(pages)
}

/// The first page, with a link to every backend.
fn index(root: &Path) -> Result<Generated> {
    let path = Path::new("docs/index.md");
    let mut list = String::new();
    for Stage { name, backends } in stages() {
        let link =
            |backend: &Described| format!("[{0}](backends/{name}/{1}.md)", backend.name, snake_case(backend.name));
        list += &format!("- {name}: {}\n", backends.iter().map(link).collect::<Vec<_>>().join(", "));
    }
    let text = filled(&fs::read_to_string(root.join(path))?, LIST, &list)?;
    Ok(Generated { path: path.to_owned(), text })
}

/// The page about metrics, with all there are.
fn monitoring(root: &Path) -> Result<Generated> {
    let path = Path::new("docs/monitoring.md");
    let mut table = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for Family { name, help, kind, labels, .. } in FAMILIES {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        table += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "));
    }
    let text = filled(&fs::read_to_string(root.join(path))?, METRICS, &table)?;
    Ok(Generated { path: path.to_owned(), text })
}

/// A page with a generated part between its marks, `<!-- mark -->` and `<!-- /mark -->`.
fn filled(page: &str, mark: &str, part: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"));
    let missing = || anyhow!("the page needs the lines {begin} and {end}, where the {mark} go");
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n\n{part}\n{end}{after}"))
}

/// `HerokuServiceTime` → `heroku_service_time`.
pub fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = "# A\n\n<!-- x -->\nold\n<!-- /x -->\n\nmore\n";
        let once = filled(page, "x", "new\n").unwrap();
        assert_eq!(once, "# A\n\n<!-- x -->\n\nnew\n\n<!-- /x -->\n\nmore\n");
        assert_eq!(filled(&once, "x", "new\n").unwrap(), once, "writing twice changes nothing");
    }

    #[test]
    fn a_page_without_marks_is_an_error_that_says_so() {
        assert!(filled("# A\n", "x", "t").unwrap_err().to_string().contains("<!-- x -->"));
    }

    #[test]
    fn pages_are_named_like_the_backends_files() {
        assert_eq!(snake_case("HerokuServiceTime"), "heroku_service_time");
        assert_eq!(snake_case("Command"), "command");
    }
}
