//! From a tree under our names to settings that need no more checking.
//!
//! Two steps: a backend's name is looked up, then its settings are read into its own type. Before that, what its whole
//! stage has (the interval, the bounds, what to tell) is taken out, by the names in the two schemas. Every problem gets
//! the place of the setting it is about; what a secret holds is never repeated.
//!
//! Here is the way through a process; [`block`] reads the settings of one backend.

mod block;
mod notify_on;
mod secrets;
mod top;
mod variables;

pub use self::secrets::sounds_secret;

use std::collections::BTreeMap;

use autoscalebot_core::{
    bounds::Bounds,
    busy,
    decision::{self, Terms},
    names::ProcessName,
    registry::{self, Backend, Problem},
};
use serde_json::Value;

use self::block::{Cache, Given};
pub use self::top::is_ours;
use super::{
    BackendSettings, Config, NotificationConfig, ProcessConfig, SignalConfig,
    error::{Finding, Findings},
    original::{self, Block, Signal},
    resolve_time_zone,
    tree::{Key, Node, Span},
};
use crate::{
    environment,
    host::{DECISION, Host, MEASUREMENT, NOTIFICATION, SCALING},
    measurement, notification,
    scaling::heroku::Heroku,
    schedule::Schedule,
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
pub fn assemble(root: &Node, host: &Host, explain: bool, findings: &mut Findings) -> Assembled {
    let top = top::Top::of(root, findings);
    let mut assembler =
        Assembler { host, findings, top: &top, origins: explain.then(Vec::new), cache: Cache::default() };
    let mut processes = BTreeMap::new();
    for (key, node) in &top.processes {
        match ProcessName::new(key.name.as_str()) {
            Err(sentence) => assembler.findings.error(Finding::new(key.span, "", sentence, "")),
            Ok(name) => {
                if let Some(config) = assembler.process(key, node) {
                    processes.insert(name, config);
                }
            }
        }
    }
    let origins = assembler.origins.unwrap_or_default();
    if !findings.is_fine() {
        secrets::hide_all(root, &host.environment, findings);
    }
    Assembled { config: Config { processes }, origins }
}

struct Assembler<'a> {
    host: &'a Host,
    findings: &'a mut Findings,
    top: &'a top::Top<'a>,
    origins: Option<Vec<Origin>>,
    cache: Cache,
}

impl Assembler<'_> {
    fn process(&mut self, key: &Key, node: &Node) -> Option<ProcessConfig> {
        let all = self.cache.common::<busy::Settings>();
        let process = original::process(key, node, &all.names, self.findings)?;
        let name = &process.name.name;
        let signals: Vec<_> =
            process.signals.into_iter().map(|signal| self.signal(&signal.path_in(name), key.span, signal)).collect();
        let scaling = match self.heroku_of_environment(process.scaling, key.span) {
            Some(block) => self.backend(&SCALING, &format!("{name}.scaling"), block, &[]),
            None => {
                let all = SCALING.entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
                let allowed = format!(
                    "a backend that runs the processes: one of {all}; or, for Heroku, the environment variable {}",
                    environment::HEROKU_APP_NAME.name
                );
                self.findings.error(Finding::new(key.span, format!("{name}.scaling"), "there is no scaling", allowed));
                None
            }
        };
        let notification = self.notification(name, key.span, process.notification);
        let own = Given { path: name.clone(), span: key.span, values: process.own, assumed: Vec::new() };
        let own = self.common::<busy::Settings>(&all, &own);
        let signals = signals.into_iter().collect::<Option<_>>()?;
        Some(ProcessConfig { signals, scaling: scaling?, notification: notification?, own: own?, shown: None })
    }

    /// On Heroku the environment says which app this is: for a process without a platform, and for Heroku without a name.
    fn heroku_of_environment(&self, scaling: Option<Block>, span: Span) -> Option<Block> {
        let variable = environment::HEROKU_APP_NAME.name;
        if self.host.environment.get(variable).is_none() {
            return scaling;
        }
        let mut block = or_default(scaling, span, Heroku::NAME);
        let is_named = block.settings.iter().any(|(key, _)| key.name == "app_name");
        let is_heroku = block.backend.as_ref().is_some_and(|(name, _)| {
            registry::find(SCALING.entries, name).is_ok_and(|entry| entry.name == Heroku::NAME)
        });
        if is_heroku && !is_named && !block.is_broken {
            let key = Key { name: "app_name".to_owned(), span: block.span };
            block.settings.push((key, Node::text(format!("${{{variable}}}"), block.span)));
        }
        Some(block)
    }

    fn signal(&mut self, prefix: &str, span: Span, signal: Signal) -> Option<SignalConfig> {
        let measurement = or_default(signal.measurement, span, "ResponseTime");
        let mut decision = or_default(signal.decision, span, "ConsecutiveThreshold");
        self.take_time_zone(&mut decision);
        let measurement = self.with_common(&MEASUREMENT, &format!("{prefix}.measurement"), measurement, interval);
        let decision = self.with_common(&DECISION, &format!("{prefix}.decision"), decision, relations);
        let ((measurement, measurement_common), (decision, decision_common)) = (measurement?, decision?);
        Some(SignalConfig { measurement, measurement_common, decision, decision_common })
    }

    /// A decision without a time zone has that of the file.
    fn take_time_zone(&mut self, decision: &mut Block) {
        if decision.settings.iter().any(|(key, _)| key.name == "time_zone") {
            return;
        }
        match &self.top.time_zone {
            None => {}
            Some(Err(finding)) => self.findings.error(finding.clone()),
            Some(Ok((key, zone))) => {
                let key = Key { name: "time_zone".to_owned(), span: key.span };
                decision.settings.push((key, (*zone).clone()));
            }
        }
    }

    fn notification(
        &mut self,
        process: &str,
        span: Span,
        notification: Option<original::Notification>,
    ) -> Option<NotificationConfig> {
        let nothing = original::Notification { span, backends: None, settings: Vec::new() };
        let mut notification = notification.unwrap_or(nothing);
        let on_the_console = || vec![or_default(None, notification.span, "Console")];
        let blocks = notification.backends.take().unwrap_or_else(on_the_console);
        notify_on::spell_out(process, &mut notification, self.findings);
        let all = self.cache.common::<notification::Common>();
        let path = format!("{process}.notification.settings");
        let (common, shared): (Vec<_>, Vec<_>) =
            notification.settings.into_iter().partition(|(key, _)| all.names.contains(&key.name));
        let given = Given { path: path.clone(), span: notification.span, values: common, assumed: Vec::new() };
        let common = self.common::<notification::Common>(&all, &given);
        // What is not for all is for those backends that know it; somebody must.
        let mut known_names = all.names.clone();
        known_names.push("notify_on".to_owned());
        let mut backends = Vec::new();
        for (index, mut block) in blocks.into_iter().enumerate() {
            let name = block.backend.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default();
            if let Ok(entry) = NOTIFICATION.find(self.host, name) {
                let known = self.cache.of(&NOTIFICATION, entry);
                let is_django = entry.name == "DjangoEmail";
                let django = self.top.django.iter().filter(|_| is_django).map(|(key, node)| (key, *node));
                for (key, node) in shared.iter().map(|(key, node)| (key, node)).chain(django) {
                    let is_new = !block.settings.iter().any(|(own, _)| own.name == key.name);
                    if is_new && known.names.contains(&key.name) {
                        block.settings.push((key.clone(), node.clone()));
                    }
                }
                known_names.extend(known.names.iter().cloned());
            }
            let path = format!("{process}.notification.backends[{index}]");
            backends.push(self.backend(&NOTIFICATION, &path, block, &[]));
        }
        let known_names: Vec<&str> = known_names.iter().map(String::as_str).collect();
        for (key, node) in shared.iter().filter(|(key, _)| !known_names.contains(&key.name.as_str())) {
            self.unknown(key, node, &path, &known_names);
        }
        Some(NotificationConfig { backends: backends.into_iter().collect::<Option<_>>()?, common: common? })
    }
}

/// A block with a backend's name; this one by default.
fn or_default(block: Option<Block>, span: Span, name: &str) -> Block {
    let mut block = block.unwrap_or(Block::empty(span));
    if !block.is_broken {
        block.backend.get_or_insert_with(|| (name.to_owned(), None));
    }
    block
}

/// The schedule cannot do what is too short for it.
fn interval(_: &Host, _: Option<&BackendSettings>, common: &measurement::Common) -> Vec<Problem> {
    let interval = common.measurement_interval_in_seconds.duration();
    if interval >= Schedule::SHORTEST {
        return Vec::new();
    }
    let found = format!("an interval of {} s", interval.as_secs_f64());
    let allowed = format!("at least {} s", Schedule::SHORTEST.as_secs_f64());
    vec![Problem::new("measurement_interval_in_seconds", found, allowed)]
}

/// What only shows when a decision's settings are seen together.
fn relations(host: &Host, decision: Option<&BackendSettings>, common: &decision::Common) -> Vec<Problem> {
    let mut problems = Vec::new();
    let zone = resolve_time_zone(common).unwrap_or_else(|sentence| {
        problems.push(Problem::new("time_zone", sentence, "a name such as America/Vancouver or UTC"));
        // Bounds cross at the same local time in any zone.
        jiff::tz::TimeZone::UTC
    });
    if let Err(sentence) = Bounds::new(common.min_processes.clone(), common.max_processes.clone(), zone) {
        problems.push(Problem::new("min_processes", sentence, "at most max_processes, at every time of day"));
    }
    let terms = Terms { common: common.clone(), unit: "".into(), backend: "", process: String::new() };
    let built = decision.and_then(|decision| {
        let entry = DECISION.find(host, decision.backend).ok()?;
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
