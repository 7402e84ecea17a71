//! The settings of one backend: those of its whole stage, its own, and the problems of both at their places.

use std::{any::type_name, collections::HashMap, rc::Rc};

use autoscalebot_core::{
    busy,
    registry::{self, Entry, Problem},
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Assembler, Origin, Source, secrets, variables};
use crate::config::{
    BackendSettings,
    error::{Finding, unknown_setting},
    original::Block,
    tree::{Content, Key, Node, Span},
};
use crate::host::{Host, Stage};

/// A schema and the names of its settings.
pub struct Known {
    pub schema: Schema,
    pub names: Vec<String>,
}

/// Schemas are slow to make, and ten thousand processes ask for the same few.
#[derive(Default)]
pub struct Cache {
    /// By the address of a stage's list and the backend's name.
    backends: HashMap<(usize, &'static str), Rc<Known>>,
    commons: HashMap<&'static str, Rc<Known>>,
}

impl Cache {
    pub fn of<S: ?Sized + 'static, C: ?Sized + 'static>(
        &mut self,
        stage: &Stage<S, C>,
        entry: &Entry<S, C>,
    ) -> Rc<Known> {
        let known = self.backends.entry((stage.entries.as_ptr().addr(), entry.name));
        Rc::clone(known.or_insert_with(|| Rc::new(Known::new((entry.schema)()))))
    }

    pub fn common<Common: JsonSchema>(&mut self) -> Rc<Known> {
        let known = self.commons.entry(type_name::<Common>());
        Rc::clone(known.or_insert_with(|| Rc::new(Known::new(schema_for!(Common)))))
    }
}

impl Known {
    fn new(schema: Schema) -> Self {
        Self { names: registry::property_names(&schema), schema }
    }
}

/// The settings of one block, as values with their places.
pub struct Given {
    pub path: String,
    /// The place of the whole block.
    pub span: Span,
    pub values: Vec<(Key, Node)>,
    /// The names of those that nobody gave: they are somebody's own defaults.
    pub assumed: Vec<String>,
}

/// What the values of a block have become.
struct Values {
    settings: Value,
    /// Settings without a value, for a reason that was told.
    failed: Vec<String>,
}

impl Values {
    /// Problems that only arise because a value is missing are none of the user's.
    fn is_consequence(&self, problem: &Problem) -> bool {
        let name = problem.path.split(['.', '[']).next().unwrap_or_default();
        self.failed.iter().any(|failed| failed == name) || (name.is_empty() && !self.failed.is_empty())
    }
}

impl Assembler<'_> {
    /// A backend whose settings stand beside those of its whole stage. `relations` finds what only shows when both are
    /// seen together; it is asked when the stage's are right, and told the backend when that is.
    pub fn with_common<Common, S: ?Sized + 'static, C: ?Sized + 'static>(
        &mut self,
        stage: &Stage<S, C>,
        path: &str,
        mut block: Block,
        relations: fn(&Host, Option<&BackendSettings>, &Common) -> Vec<Problem>,
    ) -> Option<(BackendSettings, Common)>
    where
        Common: Serialize + DeserializeOwned + JsonSchema + Default,
    {
        let known = self.cache.common::<Common>();
        let assumed = self.take_defaults(stage, &known.names, &mut block);
        let (common, own) =
            std::mem::take(&mut block.settings).into_iter().partition(|(key, _)| known.names.contains(&key.name));
        block.settings = own;
        let given = Given { path: format!("{path}.settings"), span: block.span, values: common, assumed };
        let (common, failed) = self.what_is_right_of::<Common>(&known, &given);
        let backend = self.backend(stage, path, block, &known.names);
        // What follows from a value that could not be read is none of the user's; the bounds are one problem of two.
        let is_right = |name: &str| !failed.iter().any(|failed| failed == name);
        let is_own = |problem: &Problem| match problem.path.as_str() {
            "min_processes" | "max_processes" => is_right("min_processes") && is_right("max_processes"),
            name => is_right(name),
        };
        for problem in common.iter().flat_map(|common| relations(self.host, backend.as_ref(), common)).filter(is_own) {
            self.problem(&given, &problem, false);
        }
        Some((backend?, common.filter(|_| failed.is_empty())?))
    }

    /// Somebody's own backend may have other defaults for what its whole stage has. None of ours does.
    fn take_defaults<S: ?Sized + 'static, C: ?Sized + 'static>(
        &self,
        stage: &Stage<S, C>,
        names: &[String],
        block: &mut Block,
    ) -> Vec<String> {
        let mut assumed = Vec::new();
        let Some((name, _)) = block.backend.as_ref().filter(|_| self.host.guests.is_some()) else { return assumed };
        let defaults = stage.find(self.host, name).map(|entry| (entry.defaults)());
        let Ok(Value::Object(defaults)) = defaults else { return assumed };
        for (name, value) in defaults.into_iter().filter(|(name, _)| names.contains(name)) {
            if !block.settings.iter().any(|(key, _)| key.name == name) {
                assumed.push(name.clone());
                block.settings.push((Key { name, span: block.span }, Node::of_value(value, block.span)));
            }
        }
        assumed
    }

    /// The settings of a whole stage.
    pub fn common<Common>(&mut self, known: &Known, given: &Given) -> Option<Common>
    where
        Common: Serialize + DeserializeOwned + JsonSchema + Default,
    {
        let (common, failed) = self.what_is_right_of(known, given);
        common.filter(|_| failed.is_empty())
    }

    /// The settings of a whole stage, with defaults for those that are wrong, and the names of these: so that what is
    /// right can still be compared, and all problems are told at once.
    fn what_is_right_of<Common>(&mut self, known: &Known, given: &Given) -> (Option<Common>, Vec<String>)
    where
        Common: Serialize + DeserializeOwned + JsonSchema + Default,
    {
        let Values { mut settings, mut failed } = self.values(&known.schema, given);
        let mut parsed = registry::parse::<Common>(&settings);
        if let Err(problems) = &parsed {
            for problem in problems {
                self.problem(given, problem, false);
                let name = problem.path.split(['.', '[']).next().unwrap_or_default().to_owned();
                if let Some(settings) = settings.as_object_mut() {
                    settings.shift_remove(&name);
                }
                failed.push(name);
            }
            parsed = registry::parse::<Common>(&settings);
        }
        let common = parsed.ok();
        if self.origins.is_some()
            && let Some(common) = &common
        {
            let effective = serde_json::to_value(common).unwrap_or_default();
            self.explain(known, given, &effective, &[]);
        }
        (common, failed)
    }

    /// The backend of the stage at `path`, with settings of its own only. `beside` names what else may stand there.
    pub fn backend<S: ?Sized + 'static, C: ?Sized + 'static>(
        &mut self,
        stage: &Stage<S, C>,
        path: &str,
        block: Block,
        beside: &[String],
    ) -> Option<BackendSettings> {
        let (name, name_span) = self.named(stage.entries, path, &block)?;
        let entry = match stage.find(self.host, name) {
            Ok(entry) => entry,
            Err(problem) => {
                let Problem { found, allowed, .. } = problem;
                let place = name_span.unwrap_or(block.span);
                self.findings.error(Finding::new(place, format!("{path}.backend"), found, allowed));
                return None;
            }
        };
        let known = self.cache.of(stage, entry);
        let (own, unknown): (Vec<_>, Vec<_>) =
            block.settings.into_iter().partition(|(key, _)| known.names.contains(&key.name));
        let given = Given { path: format!("{path}.settings"), span: block.span, values: own, assumed: Vec::new() };
        for (key, node) in unknown {
            let all: Vec<&str> = beside.iter().chain(&known.names).map(String::as_str).collect();
            self.unknown(&key, &node, &given.path, &all);
        }
        let values = self.values(&known.schema, &given);
        let problems = (entry.check)(&values.settings);
        for problem in problems.iter().filter(|problem| !values.is_consequence(problem)) {
            let name = problem.path.split(['.', '[']).next().unwrap_or_default();
            self.problem(&given, problem, secrets::is_secret(&known.schema, name));
        }
        if !problems.is_empty() || !values.failed.is_empty() {
            return None;
        }
        let settings = values.settings;
        if self.origins.is_some() {
            let mut effective = (entry.defaults)();
            for (key, value) in settings.as_object().into_iter().flatten() {
                effective[key] = secrets::shown(&known.schema, key, value);
            }
            self.origin(&format!("{path}.backend"), Value::from(entry.name), name_span, Vec::new());
            self.explain(&known, &given, &effective, beside);
        }
        Some(BackendSettings { backend: entry.name, settings })
    }

    /// Notes a setting that none of the backends has.
    pub fn unknown(&mut self, key: &Key, node: &Node, block: &str, known: &[&str]) {
        // A text may be a secret under a misspelt name.
        if !matches!(node.content, Content::Scalar(Value::Number(_) | Value::Bool(_))) {
            self.findings.hide(node.span);
        }
        let is_of_the_process = self.cache.common::<busy::Settings>().names.contains(&key.name);
        self.findings.error(match block.split_once('.') {
            Some((process, _)) if is_of_the_process => {
                let allowed = format!("{process}.{}, beside measurement, decision, scaling and notification", key.name);
                Finding::new(key.span, format!("{block}.{}", key.name), "this is the process's, not a stage's", allowed)
            }
            _ => unknown_setting(key, block, known),
        });
    }

    /// The name of a block's backend.
    fn named<'b, S: ?Sized + 'static, C: ?Sized + 'static>(
        &mut self,
        entries: &[Entry<S, C>],
        path: &str,
        block: &'b Block,
    ) -> Option<(&'b str, Option<Span>)> {
        if block.is_broken {
            return None;
        }
        if let Some((name, span)) = &block.backend {
            return Some((name, *span));
        }
        let all = entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        let finding =
            Finding::new(block.span, format!("{path}.backend"), "there is no backend", format!("one of {all}"));
        self.findings.error(finding);
        None
    }

    /// The given values with the environment filled in.
    fn values(&mut self, schema: &Schema, given: &Given) -> Values {
        let (mut values, mut failed) = (Map::new(), Vec::new());
        for (key, node) in &given.values {
            match self.value(schema, &key.name, node, &format!("{}.{}", given.path, key.name)) {
                Some(value) => {
                    values.insert(key.name.clone(), value);
                }
                None => failed.push(key.name.clone()),
            }
        }
        Values { settings: Value::Object(values), failed }
    }

    fn value(&mut self, schema: &Schema, name: &str, node: &Node, path: &str) -> Option<Value> {
        if secrets::is_secret(schema, name) || secrets::is_url_with_secret(schema, name, node) {
            self.findings.hide(node.span);
        }
        let mut is_readable = true;
        node.for_each_unread(&mut |finding| {
            is_readable = false;
            self.findings.error(Finding { path: path.to_owned(), ..finding.clone() });
        });
        node.for_each_duplicate(path, &mut |key, path| {
            self.findings.error(Finding::new(key.span, path, "this key stands here a second time", "each key once"));
        });
        if !is_readable {
            return None;
        }
        match variables::filled_in(node, &self.host.environment) {
            Err((found, allowed)) => {
                self.findings.error(Finding::new(node.span, path, found, allowed));
                None
            }
            Ok(value) => {
                let is_variable =
                    node.as_text().is_some_and(variables::is_one_variable) || !node.environment.is_empty();
                let meant = value.as_str().filter(|_| is_variable).and_then(|text| typed(schema, name, text));
                Some(meant.unwrap_or(value))
            }
        }
    }

    /// Notes a problem of a block at the place of the setting that it is about.
    pub fn problem(&mut self, given: &Given, problem: &Problem, is_secret: bool) {
        let span = place_of(given, &problem.path);
        let separator = if problem.path.is_empty() { "" } else { "." };
        let path = format!("{}{separator}{}", given.path, problem.path);
        let found =
            if is_secret && problem.found.starts_with("found ") { "found something else" } else { &problem.found };
        self.findings.error(Finding::new(span, path, found, &problem.allowed));
    }

    /// Says where each setting came from, but those that are told elsewhere.
    fn explain(&mut self, known: &Known, given: &Given, effective: &Value, elsewhere: &[String]) {
        for name in known.names.iter().filter(|name| !elsewhere.contains(name)) {
            let node = given.values.iter().find(|(key, _)| key.name == *name);
            let mut variables = Vec::new();
            if let Some((_, node)) = node {
                node.for_each_variable(&mut |name| variables.push(name.to_owned()));
            }
            let value = effective.get(name).cloned().unwrap_or_default();
            let place = node.filter(|_| !given.assumed.contains(name)).map(|(key, _)| key.span);
            self.origin(&format!("{}.{name}", given.path), value, place, variables);
        }
    }

    /// Notes where a value came from: without a place, nobody set it.
    fn origin(&mut self, path: &str, value: Value, span: Option<Span>, variables: Vec<String>) {
        let Some(origins) = &mut self.origins else { return };
        let source = match span {
            _ if !variables.is_empty() => Source::Environment(variables),
            Some(span) => Source::File(span.start),
            None => Source::Default,
        };
        origins.push(Origin { path: path.to_owned(), value, source });
    }
}

/// The place of a setting inside a block: of the part that is meant, else of its key, else of the block.
fn place_of(given: &Given, path: &str) -> Span {
    let mut parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    let first = parts.next().unwrap_or_default();
    // The two bounds are one problem, and it stands where somebody set one.
    let or = if first == "min_processes" { "max_processes" } else { first };
    let entry = |name: &str| given.values.iter().find(|(key, _)| key.name == name);
    let Some((key, node)) = entry(first).or_else(|| entry(or)) else { return given.span };
    let (mut span, mut node) = (if path == first { node.span } else { key.span }, node);
    for part in parts {
        let inner = match &node.content {
            Content::Table(entries) => entries.iter().find(|(key, _)| key.name == part).map(|(_, node)| node),
            Content::List(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let Some(inner) = inner else { break };
        node = inner;
        span = inner.span;
    }
    span
}

/// The value that a text from the environment means for a setting that is not a text.
fn typed(schema: &Schema, name: &str, text: &str) -> Option<Value> {
    let property = schema.get("properties")?.get(name)?;
    if property.to_string().contains("\"string\"") {
        return None;
    }
    let text = text.trim();
    serde_json::from_str::<Value>(&text.to_lowercase()).ok().filter(|value| value.is_number() || value.is_boolean())
}
