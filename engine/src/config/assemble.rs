//! From a tree under our names to settings that need no more checking.
//!
//! Two steps: a backend's name is looked up, then its settings are read into its own type. Before that, what its whole
//! stage has (the interval, the bounds, what to tell) is taken out, by the names in the two schemas. Every problem gets
//! the place of the setting it is about; what a secret holds is never repeated.

use std::collections::BTreeMap;

use autoscalebot_core::{
    bounds::Bounds,
    decision::{self, Terms},
    names::{ProcessName, nearest},
    registry::{self, Entry, Problem, find},
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    BackendSettings, Config, NotificationConfig, ProcessConfig, SignalConfig,
    error::{Finding, Findings},
    original::{self, Block},
    resolve_time_zone,
    tree::{Content, Key, Node, Span},
};
use crate::{
    environment::Environment,
    measurement::{self, url::UrlText},
    notification::{self, django_email::DJANGO_NAMES, filter::NOTIFY_ON_WORDS},
    scaling,
};

/// One effective setting and where its value came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The setting: `web.decision.settings.min_processes`.
    pub path: String,
    /// Its value, as JSON; secrets are fixed text.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
}

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The settings file, at a byte.
    File(usize),
    /// Environment variables, named in the settings file.
    Environment(Vec<String>),
}

/// Settings put together from a tree.
pub struct Assembled {
    /// The settings.
    pub config: Config,
    /// Where each came from; empty when nobody asked.
    pub origins: Vec<Origin>,
}

/// Puts settings together. When `findings` holds errors afterwards, the result is not to be used.
pub fn assemble(root: &Node, environment: &Environment, explain: bool, findings: &mut Findings) -> Assembled {
    let file = File::of(root, findings);
    let mut assembler = Assembler { environment, findings, file: &file, origins: explain.then(Vec::new) };
    let mut processes = BTreeMap::new();
    for (key, node) in &file.processes {
        match ProcessName::new(key.name.as_str()) {
            Err(sentence) => assembler.findings.error(Finding::new(key.span, &key.name, sentence, "")),
            Ok(name) => {
                if let Some(config) = assembler.process(key, node) {
                    processes.insert(name, config);
                }
            }
        }
    }
    Assembled { config: Config { processes }, origins: assembler.origins.unwrap_or_default() }
}

/// What stands at the top of a file.
struct File<'a> {
    processes: Vec<(&'a Key, &'a Node)>,
    time_zone: Option<&'a Node>,
    /// Django's names for mail, in lower case.
    django: Vec<(Key, &'a Node)>,
}

impl<'a> File<'a> {
    fn of(root: &'a Node, findings: &mut Findings) -> Self {
        let entries = root.as_table().unwrap_or_default();
        let is = |key: &Key, names: &[&str]| names.iter().any(|name| key.name.eq_ignore_ascii_case(name));
        let is_django = |key: &Key| DJANGO_NAMES.iter().any(|name| key.name.eq_ignore_ascii_case(name));
        let time_zone = entries.iter().find(|(key, node)| is(key, &["time_zone"]) && !is_process(node));
        let django = entries.iter().filter(|(key, _)| is_django(key));
        let django = django.map(|(key, node)| (Key { name: key.name.to_lowercase(), span: key.span }, node)).collect();
        let holder = entries.iter().find(|(key, _)| is(key, &["autoscale_settings", "processes"]));
        let (place, table) = match holder {
            Some((_, node)) => (node.span, node),
            None => (root.span, root),
        };
        let mut processes = Vec::new();
        match &table.content {
            Content::Table(entries) => {
                let mut names = std::collections::HashSet::new();
                for (key, node) in entries {
                    let is_extra = holder.is_none() && !is_process(node) && (is(key, &["time_zone"]) || is_django(key));
                    if is_extra {
                        continue;
                    }
                    if names.insert(&key.name) {
                        processes.push((key, node));
                    } else {
                        findings.error(Finding::new(
                            key.span,
                            &key.name,
                            "this process stands here a second time",
                            "each process once",
                        ));
                    }
                }
                if processes.is_empty() {
                    let allowed = "at least one process; `autoscalebot example` prints a file to begin with";
                    findings.error(Finding::new(place, "", "there is no process in these settings", allowed));
                }
            }
            Content::Unread(finding) => findings.error((**finding).clone()),
            _ => findings.error(Finding::new(place, "", format!("found {}", table.kind()), "a table of processes")),
        }
        Self { processes, time_zone: time_zone.map(|(_, node)| node), django }
    }
}

fn is_process(node: &Node) -> bool {
    matches!(node.content, Content::Table(_))
}

struct Assembler<'a> {
    environment: &'a Environment,
    findings: &'a mut Findings,
    file: &'a File<'a>,
    origins: Option<Vec<Origin>>,
}

/// The settings of one block, as values with their places.
struct Given {
    path: String,
    /// The place of the whole block.
    span: Span,
    values: Vec<(Key, Node)>,
}

impl Assembler<'_> {
    fn process(&mut self, key: &Key, node: &Node) -> Option<ProcessConfig> {
        let process = original::process(key, node, self.findings);
        let name = &process.name.name;
        let mut signals = Vec::new();
        for signal in process.signals {
            let prefix = if signal.prefix.is_empty() { name.clone() } else { format!("{name}.{}", signal.prefix) };
            signals.push(self.signal(&prefix, key.span, signal.measurement, signal.decision));
        }
        let scaling = match process.scaling {
            Some(block) => self.backend(scaling::BACKENDS, &format!("{name}.scaling"), key.span, block, &[]),
            None => {
                let all = scaling::BACKENDS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
                let allowed = format!("a backend that runs the processes: one of {all}");
                self.findings.error(Finding::new(key.span, format!("{name}.scaling"), "there is no scaling", allowed));
                None
            }
        };
        let notification = self.notification(name, key.span, process.notification);
        Some(ProcessConfig {
            signals: signals.into_iter().collect::<Option<_>>()?,
            scaling: scaling?,
            notification: notification?,
        })
    }

    fn signal(
        &mut self,
        prefix: &str,
        span: Span,
        measurement: Option<Block>,
        decision: Option<Block>,
    ) -> Option<SignalConfig> {
        let named = |block: Option<Block>, name: &str| {
            let mut block = block.unwrap_or(Block { span, backend: None, settings: Vec::new() });
            block.backend.get_or_insert_with(|| (name.to_owned(), span));
            block
        };
        let (measurement, mut decision) = (named(measurement, "ResponseTime"), named(decision, "ConsecutiveThreshold"));
        if let Some(zone) = self.file.time_zone
            && !decision.settings.iter().any(|(key, _)| key.name == "time_zone")
        {
            decision.settings.push((Key { name: "time_zone".to_owned(), span: zone.span }, zone.clone()));
        }
        let (measurement, measurement_common) = self.with_common::<measurement::Common, _, _>(
            measurement::BACKENDS,
            &format!("{prefix}.measurement"),
            span,
            measurement,
        );
        let decision_block = decision.clone();
        let (decision, decision_common) = self.with_common::<decision::Common, _, _>(
            decision::BACKENDS,
            &format!("{prefix}.decision"),
            span,
            decision,
        );
        let (measurement_common, decision_common) = (measurement_common?, decision_common?);
        let given = Given {
            path: format!("{prefix}.decision.settings"),
            span: decision_block.span,
            values: decision_block.settings,
        };
        for problem in relations(decision.as_ref(), &decision_common) {
            self.problem(&given, &problem, false);
        }
        let interval = measurement_common.measurement_interval_in_seconds;
        if interval.duration() < crate::schedule::Schedule::SHORTEST {
            let found = format!("an interval of {} s", interval.duration().as_secs_f64());
            let path = format!("{prefix}.measurement.settings.measurement_interval_in_seconds");
            self.findings.error(Finding::new(span, path, found, "at least 0.05 s"));
        }
        Some(SignalConfig { measurement: measurement?, measurement_common, decision: decision?, decision_common })
    }

    /// A backend whose settings stand beside those of its whole stage.
    fn with_common<Common, S: ?Sized, C: ?Sized>(
        &mut self,
        entries: &'static [Entry<S, C>],
        path: &str,
        span: Span,
        mut block: Block,
    ) -> (Option<BackendSettings>, Option<Common>)
    where
        Common: Serialize + DeserializeOwned + JsonSchema + Default,
    {
        let schema = schema_for!(Common);
        let names = registry::property_names(&schema);
        let (common, own) =
            std::mem::take(&mut block.settings).into_iter().partition(|(key, _)| names.contains(&key.name));
        block.settings = own;
        let given = Given { path: format!("{path}.settings"), span: block.span, values: common };
        let parsed = self.common::<Common>(&schema, &given);
        (self.backend(entries, path, span, block, &names), parsed)
    }

    /// The settings of a whole stage.
    fn common<Common>(&mut self, schema: &Schema, given: &Given) -> Option<Common>
    where
        Common: Serialize + DeserializeOwned + JsonSchema + Default,
    {
        let values = self.values(schema, given);
        match registry::parse::<Common>(&values) {
            Ok(common) => {
                let effective = serde_json::to_value(&common).unwrap_or_default();
                self.explain(schema, given, &effective);
                Some(common)
            }
            Err(problems) => {
                for problem in problems {
                    self.problem(given, &problem, false);
                }
                None
            }
        }
    }

    /// The backend of the stage at `path`, with settings of its own only. `beside` names what else may stand there.
    fn backend<S: ?Sized, C: ?Sized>(
        &mut self,
        entries: &'static [Entry<S, C>],
        path: &str,
        span: Span,
        block: Block,
        beside: &[String],
    ) -> Option<BackendSettings> {
        let Some((name, name_span)) = &block.backend else {
            let all = entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
            self.findings.error(Finding::new(
                block.span,
                format!("{path}.backend"),
                "there is no backend",
                format!("one of {all}"),
            ));
            return None;
        };
        let entry = match find(entries, name) {
            Ok(entry) => entry,
            Err(problem) => {
                self.findings.error(Finding::new(
                    *name_span,
                    format!("{path}.backend"),
                    problem.found,
                    problem.allowed,
                ));
                return None;
            }
        };
        let schema = (entry.schema)();
        let known = registry::property_names(&schema);
        let mut given = Given { path: format!("{path}.settings"), span: block.span, values: block.settings };
        if given.span == Span::default() {
            given.span = span;
        }
        let (own, unknown): (Vec<_>, Vec<_>) = given.values.into_iter().partition(|(key, _)| known.contains(&key.name));
        given.values = own;
        for (key, node) in unknown {
            let all: Vec<&str> = beside.iter().chain(&known).map(String::as_str).collect();
            let meant = nearest(&key.name, all.iter().copied());
            // The value of a secret is one under a misspelt name, too.
            if [Some(&*key.name), meant]
                .into_iter()
                .flatten()
                .any(|name| is_secret(&schema, name) || names_a_secret(name))
            {
                self.findings.hide(node.span);
            }
            let meant = meant.map(|meant| format!(", did you mean {meant}?"));
            let found = format!("unknown setting{}", meant.unwrap_or_default());
            let allowed = if all.is_empty() { "no settings at all".to_owned() } else { all.join(", ") };
            self.findings.error(Finding::new(key.span, format!("{}.{}", given.path, key.name), found, allowed));
        }
        let settings = self.values(&schema, &given);
        for problem in (entry.check)(&settings) {
            let is_secret = is_secret(&schema, problem.path.split(['.', '[']).next().unwrap_or_default());
            self.problem(&given, &problem, is_secret);
        }
        if self.origins.is_some() {
            let mut effective = (entry.defaults)();
            for (key, value) in settings.as_object().into_iter().flatten() {
                let hidden = is_secret(&schema, key) || names_a_secret(key);
                effective[key] = match value.as_str().filter(|_| is_url(&schema, key)) {
                    _ if hidden => Value::from(crate::secret::Secret::SHOWN),
                    Some(url) => Value::from(UrlText::new(url).to_string()),
                    None => value.clone(),
                };
            }
            self.origin(&format!("{path}.backend"), Value::from(entry.name), Some(*name_span), &[], *name_span == span);
            self.explain(&schema, &given, &effective);
        }
        Some(BackendSettings { backend: entry.name, settings })
    }

    fn notification(
        &mut self,
        process: &str,
        span: Span,
        notification: Option<original::Notification>,
    ) -> Option<NotificationConfig> {
        let mut notification =
            notification.unwrap_or(original::Notification { span, backends: Vec::new(), settings: Vec::new() });
        if notification.backends.is_empty() {
            let backend = Some(("Console".to_owned(), notification.span));
            notification.backends.push(Block { span: notification.span, backend, settings: Vec::new() });
        }
        let schema = schema_for!(notification::Common);
        let common_names = registry::property_names(&schema);
        self.spell_out_notify_on(process, &mut notification);
        let path = format!("{process}.notification.settings");
        let (common, shared): (Vec<_>, Vec<_>) =
            notification.settings.into_iter().partition(|(key, _)| common_names.contains(&key.name));
        let common =
            self.common::<notification::Common>(&schema, &Given { path, span: notification.span, values: common });
        // What is not for all is for those backends that know it; somebody must.
        let mut taken = vec![false; shared.len()];
        let mut backends = Vec::new();
        for (index, mut block) in notification.backends.into_iter().enumerate() {
            let entry = block.backend.as_ref().and_then(|(name, _)| find(notification::BACKENDS, name).ok());
            if let Some(entry) = entry {
                let known = registry::property_names(&(entry.schema)());
                for ((key, node), taken) in shared.iter().zip(&mut taken) {
                    if known.contains(&key.name) {
                        *taken = true;
                        if !block.settings.iter().any(|(own, _)| own.name == key.name) {
                            block.settings.push((key.clone(), node.clone()));
                        }
                    }
                }
                if entry.name == "DjangoEmail" {
                    for (key, node) in &self.file.django {
                        let is_new = !block.settings.iter().any(|(own, _)| own.name == key.name);
                        if is_new && known.contains(&key.name) && !matches!(node.content, Content::Unread(_)) {
                            block.settings.push((key.clone(), (*node).clone()));
                        }
                    }
                }
            }
            let path = format!("{process}.notification.backends[{index}]");
            backends.push(self.backend(notification::BACKENDS, &path, span, block, &[]));
        }
        for ((key, _), _) in shared.iter().zip(taken).filter(|(_, taken)| !taken) {
            let of_backends = backends.iter().flatten().flat_map(|backend: &BackendSettings| {
                let entry = find(notification::BACKENDS, backend.backend).ok();
                entry.map(|entry| registry::property_names(&(entry.schema)())).unwrap_or_default()
            });
            let all: Vec<String> =
                common_names.iter().cloned().chain(of_backends).chain(["notify_on".to_owned()]).collect();
            let meant =
                nearest(&key.name, all.iter().map(String::as_str)).map(|meant| format!(", did you mean {meant}?"));
            let found = format!("unknown setting{}", meant.unwrap_or_default());
            let path = format!("{process}.notification.settings.{}", key.name);
            self.findings.error(Finding::new(key.span, path, found, all.join(", ")));
        }
        Some(NotificationConfig { backends: backends.into_iter().collect::<Option<_>>()?, common: common? })
    }

    /// Version 3.0's `notify_on: [SCALE, …]`: exactly these are told.
    fn spell_out_notify_on(&mut self, process: &str, notification: &mut original::Notification) {
        let Some(index) = notification.settings.iter().position(|(key, _)| key.name == "notify_on") else { return };
        let (key, node) = notification.settings.remove(index);
        let path = format!("{process}.notification.settings.notify_on");
        let words = NOTIFY_ON_WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let items = match &node.content {
            Content::List(items) => items.clone(),
            _ => vec![node.clone()],
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
                    let meant = nearest(&text, NOTIFY_ON_WORDS.iter().map(|(word, _)| *word));
                    let hint = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
                    let found = format!("found {}{hint}", registry::in_short(&item.to_value()));
                    self.findings.error(Finding::new(item.span, &path, found, format!("a list of {words}")));
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

    /// The given values with the environment filled in.
    fn values(&mut self, schema: &Schema, given: &Given) -> Value {
        let mut values = Map::new();
        for (key, node) in &given.values {
            let path = format!("{}.{}", given.path, key.name);
            let mut readable = true;
            node.for_each_unread(&mut |finding| {
                readable = false;
                self.findings.error(Finding { path: path.clone(), ..finding.clone() });
            });
            let holds_secret = |url: &str| UrlText::new(url).to_string() != url;
            if is_secret(schema, &key.name)
                || names_a_secret(&key.name)
                || is_url(schema, &key.name) && node.as_text().is_some_and(holds_secret)
            {
                self.findings.hide(node.span);
            }
            if !readable {
                continue;
            }
            let mut value = node.to_value();
            let whole_variable = node.as_text().is_some_and(is_one_variable) || !node.environment.is_empty();
            if let Err((found, allowed)) = fill_in(&mut value, self.environment) {
                self.findings.error(Finding::new(node.span, path, found, allowed));
                continue;
            }
            if whole_variable && let Some(text) = value.as_str() {
                value = typed(schema, &key.name, text).unwrap_or(value);
            }
            values.insert(key.name.clone(), value);
        }
        Value::Object(values)
    }

    fn problem(&mut self, given: &Given, problem: &Problem, is_secret: bool) {
        let span = place_of(given, &problem.path);
        let separator = if problem.path.is_empty() { "" } else { "." };
        let path = format!("{}{separator}{}", given.path, problem.path);
        let found =
            if is_secret && problem.found.starts_with("found ") { "found something else" } else { &problem.found };
        self.findings.error(Finding::new(span, path, found, &problem.allowed));
    }

    fn explain(&mut self, schema: &Schema, given: &Given, effective: &Value) {
        if self.origins.is_none() {
            return;
        }
        for name in registry::property_names(schema) {
            let node = given.values.iter().find(|(key, _)| key.name == name);
            let (span, variables) = match node {
                Some((key, node)) => (Some(key.span), variables_of(node)),
                None => (None, Vec::new()),
            };
            let value = effective.get(&name).cloned().unwrap_or_default();
            self.origin(&format!("{}.{name}", given.path), value, span, &variables, span.is_none());
        }
    }

    fn origin(&mut self, path: &str, value: Value, span: Option<Span>, variables: &[String], is_default: bool) {
        let Some(origins) = &mut self.origins else { return };
        let source = match span {
            _ if !variables.is_empty() => Source::Environment(variables.to_vec()),
            Some(span) if !is_default => Source::File(span.start),
            _ => Source::Default,
        };
        origins.push(Origin { path: path.to_owned(), value, source });
    }
}

/// What only shows when a decision's settings are seen together.
fn relations(decision: Option<&BackendSettings>, common: &decision::Common) -> Vec<Problem> {
    let mut problems = Vec::new();
    match resolve_time_zone(common) {
        Err(sentence) => problems.push(Problem::new("time_zone", sentence, "a name such as America/Vancouver or UTC")),
        Ok(zone) => {
            if let Err(sentence) = Bounds::new(common.min_processes.clone(), common.max_processes.clone(), zone) {
                problems.push(Problem::new("min_processes", sentence, "at most max_processes, at every time of day"));
            }
        }
    }
    let terms = Terms { increment: common.increment, unit: "".into() };
    let built = decision.and_then(|decision| {
        let entry = find(decision::BACKENDS, decision.backend).ok()?;
        if !(entry.check)(&decision.settings).is_empty() {
            return None;
        }
        (entry.build)(&decision.settings, &terms).ok()
    });
    if let Some(decide) = built
        && decide.history_needed() > common.history_length
    {
        let (has, needs) = (common.history_length, decide.history_needed());
        let found = format!("{has} samples are kept, and the decision looks back {needs}");
        problems.push(Problem::new("history_length", found, format!("{needs} or more")));
    }
    problems
}

/// The place of a setting inside a block: of the part that is meant, else of its key, else of the block.
fn place_of(given: &Given, path: &str) -> Span {
    let mut parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    let first = parts.next().unwrap_or_default();
    let Some((key, node)) = given.values.iter().find(|(key, _)| key.name == first) else { return given.span };
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

fn is_secret(schema: &Schema, name: &str) -> bool {
    let property = schema.get("properties").and_then(|properties| properties.get(name));
    property.and_then(|property| property.get("writeOnly")).and_then(Value::as_bool).unwrap_or(false)
}

/// Settings whose text is an address, which may have a password or a token inside.
fn is_url(schema: &Schema, name: &str) -> bool {
    let property = schema.get("properties").and_then(|properties| properties.get(name));
    let format = property.and_then(|property| property.get("format"));
    format.and_then(Value::as_str) == Some(UrlText::FORMAT)
}

/// Settings that may hold secrets inside: headers, an environment.
fn names_a_secret(name: &str) -> bool {
    ["key", "password", "secret", "token", "headers", "env"]
        .iter()
        .any(|word| name.split('_').any(|part| part == *word))
}

/// A text that is one `${NAME}`.
fn is_one_variable(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
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

fn variables_of(node: &Node) -> Vec<String> {
    let mut variables = node.environment.clone();
    let mut rest = node.as_text().unwrap_or_default();
    while let Some((before, after)) = rest.split_once("${") {
        if !before.ends_with('$')
            && let Some((name, _)) = after.split_once('}')
        {
            variables.push(name.to_owned());
        }
        rest = after;
    }
    variables
}

/// Replaces `${NAME}` in every text by the environment variable; `$${` stands for a plain `${`.
fn fill_in(value: &mut Value, environment: &Environment) -> Result<(), (String, String)> {
    match value {
        Value::String(text) => {
            if text.contains("${") {
                *text = filled(text, environment)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_in(item, environment)),
        Value::Object(entries) => entries.values_mut().try_for_each(|item| fill_in(item, environment)),
        _ => Ok(()),
    }
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
            return Err((found, format!("set {name}, or write $${{ for a plain ${{")));
        };
        result.push_str(before);
        result.push_str(value);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}
