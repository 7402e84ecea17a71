//! From what the user named to settings: find the file, read it, put it together.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Config, ConfigErrors, ShownSetting,
    assemble::{Origin, Source, assemble, is_ours},
    error::{Finding, Findings},
    json, python, toml,
    tree::{Content, DEEPEST_LEVELS, Document, LARGEST_FILE_BYTES, MOST_NODES, Node},
    yaml,
};
use crate::{
    environment::{self, Environment},
    host::Host,
};

/// The endings of settings files, in the order in which they are looked for.
pub const ENDINGS: [&str; 5] = ["py", "toml", "yaml", "yml", "json"];

/// Names that are looked for in the current folder when nobody names the settings.
pub const USUAL_NAMES: [&str; 2] = ["autoscale_settings", "autoscalebot"];

/// Settings that were read.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What works but should be known.
    pub warnings: Vec<String>,
    /// The file they came from, unless the program was given them without one.
    pub path: Option<PathBuf>,
    /// What to call the place that they came from.
    pub name: String,
}

/// Settings with where each value came from.
#[derive(Debug)]
pub struct Explained {
    /// The settings.
    pub loaded: Loaded,
    /// Every effective setting.
    pub origins: Vec<Origin>,
    /// The file's text, to name lines.
    pub document: Document,
}

/// Reads the settings that `source` names: a path, or a module name such as `autoscale_settings`. Without it, those that
/// the program was given; without these, the variable `AUTOSCALEBOT_SETTINGS` names them; without that, the usual names
/// in `folder`.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(source: Option<&str>, folder: &Path, host: &Host) -> Result<Loaded, ConfigErrors> {
    read(source, folder, host, false).map(|explained| explained.loaded)
}

/// The same, and where each value came from.
///
/// # Errors
/// Everything that is wrong with them.
pub fn explain(source: Option<&str>, folder: &Path, host: &Host) -> Result<Explained, ConfigErrors> {
    read(source, folder, host, true)
}

/// The same as [`load`], with every process's settings for people.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load_with_words(source: Option<&str>, folder: &Path, host: &Host) -> Result<Loaded, ConfigErrors> {
    let mut explained = read(source, folder, host, true)?;
    let mut words: BTreeMap<&str, Vec<ShownSetting>> = BTreeMap::new();
    let mut said: HashSet<Arc<str>> = HashSet::new();
    let mut once = |text: &str| match said.get(text) {
        Some(text) => text.clone(),
        None => {
            let text: Arc<str> = text.into();
            said.insert(text.clone());
            text
        }
    };
    for origin in &explained.origins {
        if let Some((process, path)) = origin.path.split_once('.') {
            let (path, source) = (once(path), once(&explained.whence(origin)));
            words.entry(process).or_default().push(ShownSetting { path, value: origin.value.clone(), source });
        }
    }
    for (process, config) in &mut explained.loaded.config.processes {
        config.shown = Some(words.remove(process.as_str()).unwrap_or_default().into());
    }
    Ok(explained.loaded)
}

impl Explained {
    /// Where a setting came from, in words.
    #[must_use]
    pub fn whence(&self, origin: &Origin) -> String {
        let file = &self.document.file;
        match &origin.source {
            Source::Default => "default".to_owned(),
            Source::File(_) if !self.document.has_text => file.clone(),
            Source::File(byte) => format!("{file}:{}", self.document.line_and_column(*byte).0),
            Source::Environment(names) => names.iter().map(|name| format!("${name}")).collect::<Vec<_>>().join(", "),
        }
    }
}

fn read(source: Option<&str>, folder: &Path, host: &Host, explain: bool) -> Result<Explained, ConfigErrors> {
    if source.is_none()
        && let Some((name, tree)) = host.modules.as_ref().and_then(|modules| modules.given())
    {
        let document = Document::without_text(name);
        let tree = tree.and_then(|names| settings_of_module(names, &document));
        return put_together(tree, document, host, explain, None);
    }
    let path = find(source, folder, host)?;
    let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
    if path.extension().is_some_and(|ending| ending == "py")
        && let Some(modules) = &host.modules
    {
        let document = Document::without_text(shown);
        let tree = modules.run(&path).and_then(|names| settings_of_module(names, &document));
        return put_together(tree, document, host, explain, Some(path));
    }
    let failed = |what: String| ConfigErrors::without_place(&shown, what, "a readable settings file");
    let size = std::fs::metadata(&path).map_err(|error| failed(format!("it cannot be read: {error}")))?.len();
    if size > LARGEST_FILE_BYTES as u64 {
        return Err(failed(format!("{size} bytes are more than settings need ({LARGEST_FILE_BYTES} at most)")));
    }
    let bytes = std::fs::read(&path).map_err(|error| failed(format!("it cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    parse(&ending, Document::new(shown, text), host, explain, path)
}

/// Reads settings from a text. The ending of `name` says the format.
///
/// # Errors
/// Everything that is wrong with them.
pub fn from_text(name: &str, text: &str, environment: &Environment) -> Result<Explained, ConfigErrors> {
    let path = PathBuf::from(name);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    parse(&ending, Document::new(name, text), &Host::from(environment.clone()), true, path)
}

/// Reads a text in the format of this ending.
fn parse(
    ending: &str,
    document: Document,
    host: &Host,
    explain: bool,
    path: PathBuf,
) -> Result<Explained, ConfigErrors> {
    let tree = match ending {
        "py" => python::parse(&document, &host.environment).and_then(|names| settings_of_module(names, &document)),
        "toml" => toml::parse(&document),
        "yaml" | "yml" => yaml::parse(&document),
        "json" => json::parse(&document),
        other => Err(Finding::new(
            None,
            "",
            format!("the ending {other:?} is no format of settings"),
            "one of .py, .toml, .yaml, .json",
        )),
    };
    put_together(tree, document, host, explain, Some(path))
}

/// From a tree, or why there is none, to settings.
fn put_together(
    tree: Result<Node, Finding>,
    document: Document,
    host: &Host,
    explain: bool,
    path: Option<PathBuf>,
) -> Result<Explained, ConfigErrors> {
    let mut findings = Findings::default();
    let assembled = match tree.and_then(bounded) {
        Err(finding) => {
            findings.error(finding);
            None
        }
        Ok(root) => Some(assemble(&root, host, explain, &mut findings)),
    };
    let warnings = findings.finish(&document)?;
    let Some(assembled) = assembled else {
        return Err(ConfigErrors::without_place(&document.file, "it could not be read", ""));
    };
    let loaded = Loaded { config: assembled.config, warnings, path, name: document.file.clone() };
    Ok(Explained { loaded, origins: assembled.origins, document })
}

/// A module assigns many names; those that mean something here are kept.
fn settings_of_module(names: Node, document: &Document) -> Result<Node, Finding> {
    let Content::Table(mut entries) = names.content else { return Ok(names) };
    if !entries.iter().any(|(key, _)| key.name == python::SETTINGS_NAME) {
        let allowed = format!("{} = {{'web': {{…}}}}", python::SETTINGS_NAME);
        let found = format!("{} does not assign {}", document.file, python::SETTINGS_NAME);
        return Err(Finding::new(None, "", found, allowed));
    }
    // Python's names are spelt exactly; `processes` or `time_zone` are the module's own affair.
    entries.retain(|(key, _)| key.name != "PROCESSES" && key.name.to_uppercase() == key.name && is_ours(&key.name));
    Ok(Node::new(Content::Table(entries), names.span.start..names.span.end))
}

fn bounded(root: Node) -> Result<Node, Finding> {
    let (size, depth) = root.size_and_depth();
    if size > MOST_NODES || depth > DEEPEST_LEVELS {
        let found = format!("{size} values on {depth} levels are more than settings need");
        return Err(Finding::new(None, "", found, format!("at most {MOST_NODES} values on {DEEPEST_LEVELS} levels")));
    }
    Ok(root)
}

/// The file that is meant.
fn find(source: Option<&str>, folder: &Path, host: &Host) -> Result<PathBuf, ConfigErrors> {
    let environment = &host.environment;
    let (named, whence) = match source {
        Some(source) => (Some(source), "--settings"),
        None => (environment.get(environment::SETTINGS.name), environment::SETTINGS.name),
    };
    let mut looked = Vec::new();
    let Some(named) = named else {
        for name in USUAL_NAMES {
            if let Some(path) = with_ending(folder, name, &mut looked) {
                return Ok(path);
            }
        }
        let found = format!(
            "no settings: neither --settings nor {} is given, and there is none of {}",
            environment::SETTINGS.name,
            looked.join(", ")
        );
        let allowed = "a settings file; `autoscalebot example > autoscale_settings.toml` begins one, and `autoscalebot demo` \
                       needs none";
        return Err(ConfigErrors::without_place("", found, allowed));
    };
    let direct = folder.join(named);
    if direct.is_file() {
        return Ok(direct);
    }
    looked.push(direct.display().to_string());
    // A module name, as the original takes it: dots are folders, and PYTHONPATH says where to look besides.
    let is_module = named.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-'));
    if is_module {
        let module = named.replace('.', "/");
        let python_path = environment.get("PYTHONPATH").unwrap_or_default();
        let folders = std::env::split_paths(python_path).filter(|path| !path.as_os_str().is_empty());
        for place in std::iter::once(folder.to_owned()).chain(folders.map(|path| folder.join(path))) {
            if let Some(path) = with_ending(&place, &module, &mut looked) {
                return Ok(path);
            }
        }
        if let Some(path) = host.modules.as_ref().and_then(|modules| modules.find(named)) {
            return Ok(path);
        }
    }
    let found =
        format!("{whence} names {named:?}, and there is no such file or module; looked for {}", looked.join(", "));
    Err(ConfigErrors::without_place("", found, "a path, or a module name such as autoscale_settings"))
}

fn with_ending(folder: &Path, name: &str, looked: &mut Vec<String>) -> Option<PathBuf> {
    let candidates = ENDINGS.iter().map(|ending| folder.join(format!("{name}.{ending}")));
    for path in candidates {
        if path.is_file() {
            return Some(path);
        }
        looked.push(path.display().to_string());
    }
    None
}
