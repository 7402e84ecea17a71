//! From the original's spelling to ours: one rule, and a short table of exceptions.
//!
//! The rule: lower-case a setting of the original and it is ours (`MIN_PROCESSES` → `min_processes`). It applies to the
//! keys of stages and of their settings, never to names of processes, to times of day, or inside a setting's value. What
//! does not follow the rule stands in [`RENAMED`], and nowhere else.

use std::collections::HashSet;

use super::{
    error::{Finding, Findings, did_you_mean},
    tree::{Content, Key, Node, Span},
};

/// A stage, as a key of a process's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// How loaded is it?
    Measurement,
    /// How many should run?
    Decision,
    /// Make it so.
    Scaling,
    /// Tell people.
    Notification,
}

/// A setting whose name is not just the original's in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renamed {
    /// The stage whose settings it stands in.
    pub stage: Stage,
    /// Its name there, in lower case.
    pub from: &'static str,
    /// The stage it belongs to.
    pub to_stage: Stage,
    /// Its name.
    pub to: &'static str,
    /// Why it is called otherwise, for people; a setting that moves to another stage is told.
    pub why: &'static str,
}

/// Every exception to the rule.
pub const RENAMED: &[Renamed] = &[
    Renamed {
        stage: Stage::Measurement,
        from: "min_time_ms",
        to_stage: Stage::Decision,
        to: "min_measurement_value",
        why: "the original's first example has it among the measurement's settings, where only its decision uses it",
    },
    Renamed {
        stage: Stage::Measurement,
        from: "max_time_ms",
        to_stage: Stage::Decision,
        to: "max_measurement_value",
        why: "the original's first example has it among the measurement's settings, where only its decision uses it",
    },
    Renamed {
        stage: Stage::Measurement,
        from: "seconds_between_measurement",
        to_stage: Stage::Measurement,
        to: "measurement_interval_in_seconds",
        why: "the original's unreleased version 3.0 calls it so",
    },
    Renamed {
        stage: Stage::Decision,
        from: "post_scale_delay_seconds",
        to_stage: Stage::Decision,
        to: "post_scale_wait_time_seconds",
        why: "the original's unreleased version 3.0 calls it so",
    },
];

/// The settings of one process, by stage, under our names; backends are not looked up yet.
#[derive(Debug)]
pub struct Process {
    /// Its name.
    pub name: Key,
    /// Each measurement with its decision, and the path of the pair.
    pub signals: Vec<Signal>,
    /// The platform, unless it is not set.
    pub scaling: Option<Block>,
    /// Whom to tell.
    pub notification: Option<Notification>,
    /// Settings beside the stages, under our names.
    pub own: Vec<(Key, Node)>,
}

/// One measurement with its decision.
#[derive(Debug, Default)]
pub struct Signal {
    /// The path in front of the stages: empty, or `signals[0]`.
    pub prefix: String,
    /// The measurement.
    pub measurement: Option<Block>,
    /// The decision.
    pub decision: Option<Block>,
}

impl Signal {
    /// What the paths of its settings begin with: `web`, or `web.signals[0]`.
    #[must_use]
    pub fn path_in(&self, process: &str) -> String {
        if self.prefix.is_empty() { process.to_owned() } else { format!("{process}.{}", self.prefix) }
    }
}

/// A backend with its settings.
#[derive(Debug, Clone)]
pub struct Block {
    /// The place of the whole.
    pub span: Span,
    /// The backend's name, unless it is not set; with its place, unless it stands there by default.
    pub backend: Option<(String, Option<Span>)>,
    /// Its settings, under our names.
    pub settings: Vec<(Key, Node)>,
    /// What is wrong with it was told already; more about it would only be noise.
    pub is_broken: bool,
}

impl Block {
    /// A block that says nothing.
    #[must_use]
    pub fn empty(span: Span) -> Self {
        Self { span, backend: None, settings: Vec::new(), is_broken: false }
    }
}

/// Backends with the settings that they share.
#[derive(Debug)]
pub struct Notification {
    /// The place of the whole.
    pub span: Span,
    /// The backends, each with settings of its own; an empty list tells nobody.
    pub backends: Option<Vec<Block>>,
    /// The settings for all of them.
    pub settings: Vec<(Key, Node)>,
}

/// Reads the settings of one process; `None` when it is no table.
///
/// `own` are the names of the settings that stand beside the stages.
pub fn process(name: &Key, node: &Node, own: &[String], findings: &mut Findings) -> Option<Process> {
    let mut process =
        Process { name: name.clone(), signals: Vec::new(), scaling: None, notification: None, own: Vec::new() };
    let mut single = Signal::default();
    let entries = table(node, &name.name, "a table with measurement, decision, scaling, notification", findings)?;
    for (key, value) in entries {
        let path = format!("{}.{}", name.name, key.name.to_lowercase());
        match key.name.to_lowercase().as_str() {
            "measurement" => single.measurement = Some(block(value, Stage::Measurement, &path, findings)),
            "decision" => single.decision = Some(block(value, Stage::Decision, &path, findings)),
            "scaling" => process.scaling = Some(block(value, Stage::Scaling, &path, findings)),
            "notification" => process.notification = Some(notification(value, &path, findings)),
            "signals" => process.signals = signals(value, &path, findings),
            ours if own.iter().any(|own| own == ours) => {
                process.own.push((Key { name: ours.to_owned(), span: key.span }, value.clone()));
            }
            _ => {
                let stages = ["measurement", "decision", "signals", "scaling", "notification"];
                let all: Vec<&str> = stages.into_iter().chain(own.iter().map(String::as_str)).collect();
                findings.error(unknown(key, &path, "part of a process", &all));
            }
        }
    }
    if process.signals.is_empty() {
        process.signals.push(single);
    } else if single.measurement.is_some() || single.decision.is_some() {
        let found = "measurement or decision stands beside signals";
        findings.error(Finding::new(name.span, &name.name, found, "one of the two: put it into the list of signals"));
    }
    for signal in &mut process.signals {
        let path = signal.path_in(&name.name);
        move_between_stages(&path, signal, findings);
    }
    Some(process)
}

fn signals(node: &Node, path: &str, findings: &mut Findings) -> Vec<Signal> {
    let Content::List(items) = &node.content else {
        findings.error(Finding::new(node.span, path, format!("found {}", node.kind()), "a list of signals"));
        return Vec::new();
    };
    let mut signals = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut signal = Signal { prefix: format!("signals[{index}]"), ..Signal::default() };
        for (key, value) in table(item, &path, "a table with measurement and decision", findings).unwrap_or_default() {
            let path = format!("{path}.{}", key.name.to_lowercase());
            match key.name.to_lowercase().as_str() {
                "measurement" => signal.measurement = Some(block(value, Stage::Measurement, &path, findings)),
                "decision" => signal.decision = Some(block(value, Stage::Decision, &path, findings)),
                _ => findings.error(unknown(key, &path, "part of a signal", &["measurement", "decision"])),
            }
        }
        signals.push(signal);
    }
    if signals.is_empty() {
        findings.error(Finding::new(node.span, path, "an empty list", "at least one signal"));
    }
    signals
}

/// `{backend, settings}`, or version 3.0's flatter form with the settings beside the backend, or just a name.
fn block(node: &Node, stage: Stage, path: &str, findings: &mut Findings) -> Block {
    if let Some(name) = node.as_text() {
        return Block { backend: Some((name.to_owned(), Some(node.span))), ..Block::empty(node.span) };
    }
    let broken = Block { is_broken: true, ..Block::empty(node.span) };
    let Some(entries) = table(node, path, "a table with backend and settings", findings) else { return broken };
    let (mut backend, mut settings, mut beside) = (None, None, Vec::new());
    for (key, value) in entries {
        match key.name.to_lowercase().as_str() {
            "backend" => backend = Some(text(value, &format!("{path}.backend"), findings)),
            "settings" => settings = Some(value),
            _ => beside.push((key, value)),
        }
    }
    let settings = settings_of(settings, beside, "backend", path, findings);
    let is_broken = settings.is_none() || backend == Some(None);
    let settings = rename(settings.unwrap_or_default(), stage, path, findings);
    Block { span: node.span, backend: backend.flatten(), settings, is_broken }
}

fn notification(node: &Node, path: &str, findings: &mut Findings) -> Notification {
    let all = |node: &Node, findings: &mut Findings| -> Vec<Block> {
        let items = match &node.content {
            Content::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let path = |index: usize| format!("{path}.backends[{index}]");
        let blocks = items.iter().enumerate();
        blocks.map(|(index, item)| block(item, Stage::Notification, &path(index), findings)).collect()
    };
    if !matches!(node.content, Content::Table(_) | Content::Scalar(serde_json::Value::Null)) {
        return Notification { span: node.span, backends: Some(all(node, findings)), settings: Vec::new() };
    }
    let (mut backends, mut settings, mut beside) = (None, None, Vec::new());
    for (key, value) in table(node, path, "a table with backends and settings", findings).unwrap_or_default() {
        match key.name.to_lowercase().as_str() {
            "backends" | "backend" if backends.is_some() => {
                findings.error(twice(key, path, "backends"));
            }
            "backends" | "backend" => backends = Some(all(value, findings)),
            "settings" => settings = Some(value),
            _ => beside.push((key, value)),
        }
    }
    let settings = settings_of(settings, beside, "backends", path, findings).unwrap_or_default();
    let settings = rename(settings, Stage::Notification, path, findings);
    Notification { span: node.span, backends, settings }
}

/// The settings of a stage: those under `settings`, or without that key, as in version 3.0, all that stands beside the
/// backend.
fn settings_of<'a>(
    settings: Option<&'a Node>,
    beside: Vec<(&'a Key, &'a Node)>,
    backend: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Vec<(&'a Key, &'a Node)>> {
    let Some(settings) = settings else { return Some(beside) };
    for (key, _) in beside {
        let path = format!("{path}.{}", key.name.to_lowercase());
        findings.error(unknown(key, &path, "part of a stage", &[backend, "settings"]));
    }
    table(settings, &format!("{path}.settings"), "a table of settings", findings)
}

/// The rule, and the exceptions that stay in their stage.
fn rename(entries: Vec<(&Key, &Node)>, stage: Stage, path: &str, findings: &mut Findings) -> Vec<(Key, Node)> {
    let ours = |name: String| {
        let exception =
            RENAMED.iter().find(|entry| entry.stage == stage && entry.to_stage == stage && entry.from == name);
        exception.map_or(name, |entry| entry.to.to_owned())
    };
    let (mut renamed, mut names) = (Vec::new(), HashSet::new());
    for (key, node) in entries {
        let name = ours(key.name.to_lowercase());
        if names.insert(name.clone()) {
            renamed.push((Key { name, span: key.span }, node.clone()));
        } else {
            findings.error(twice(key, &format!("{path}.settings"), &name));
        }
    }
    renamed
}

/// One setting under two names.
fn twice(key: &Key, block: &str, name: &str) -> Finding {
    Finding::new(
        key.span,
        format!("{block}.{name}"),
        "this setting stands here already, under another name",
        "one of the two",
    )
}

/// The exceptions that change their stage.
fn move_between_stages(path: &str, signal: &mut Signal, findings: &mut Findings) {
    let Some(measurement) = &mut signal.measurement else { return };
    for entry in RENAMED.iter().filter(|entry| entry.stage == Stage::Measurement && entry.to_stage == Stage::Decision) {
        let Some(index) = measurement.settings.iter().position(|(key, _)| key.name == entry.from) else { continue };
        let (key, node) = measurement.settings.remove(index);
        let decision = signal.decision.get_or_insert_with(|| Block::empty(key.span));
        if decision.settings.iter().any(|(known, _)| known.name == entry.to) {
            findings.error(twice(&key, &format!("{path}.decision.settings"), entry.to));
            continue;
        }
        let (from, to) = (entry.from.to_uppercase(), entry.to.to_uppercase());
        let sentence = format!("{path}: {from} is taken as {to} of the decision: {}", entry.why);
        findings.warn(key.span, sentence);
        decision.settings.push((Key { name: entry.to.to_owned(), span: key.span }, node));
    }
}

/// The entries of a table; of two with one name the first, and an error for the second. `None`, and an error, when it is
/// no table.
fn table<'a>(node: &'a Node, path: &str, allowed: &str, findings: &mut Findings) -> Option<Vec<(&'a Key, &'a Node)>> {
    let entries = match &node.content {
        Content::Table(entries) => entries,
        Content::Scalar(serde_json::Value::Null) => return Some(Vec::new()),
        Content::Unread(_) => {
            node.for_each_unread(&mut |finding| findings.error(Finding { path: path.to_owned(), ..finding.clone() }));
            return None;
        }
        _ => {
            findings.error(Finding::new(node.span, path, format!("found {}", node.kind()), allowed));
            return None;
        }
    };
    let (mut first, mut names) = (Vec::new(), HashSet::new());
    for (key, value) in entries {
        if !names.insert(key.name.to_lowercase()) {
            let path = format!("{path}{}{}", if path.is_empty() { "" } else { "." }, key.name.to_lowercase());
            findings.error(Finding::new(key.span, path, "this key stands here a second time", "each key once"));
        } else {
            first.push((key, value));
        }
    }
    Some(first)
}

fn text(node: &Node, path: &str, findings: &mut Findings) -> Option<(String, Option<Span>)> {
    if let Content::Unread(finding) = &node.content {
        findings.error(Finding { path: path.to_owned(), ..(**finding).clone() });
        return None;
    }
    let text = node.as_text().map(|text| (text.to_owned(), Some(node.span)));
    if text.is_none() {
        findings.error(Finding::new(node.span, path, format!("found {}", node.kind()), "the name of a backend"));
    }
    text
}

fn unknown(key: &Key, path: &str, what: &str, known: &[&str]) -> Finding {
    let found = format!("{:?} is no {what}{}", key.name, did_you_mean(&key.name, known.iter().copied()));
    Finding::new(key.span, path, found, format!("one of {}", known.join(", ")))
}
