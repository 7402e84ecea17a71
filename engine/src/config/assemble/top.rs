//! What stands at the top of a settings file: the processes, and a few things for all of them.

use std::collections::HashSet;

use jiff::tz::TimeZone;

use crate::{
    config::{
        error::{Finding, Findings, did_you_mean},
        no_time_zone,
        tree::{Content, Key, Node},
    },
    notification::django_email::DJANGO_NAMES,
};

/// Under one of these names the processes may stand; else they stand at the top themselves.
const HOLDERS: [&str; 2] = ["autoscale_settings", "processes"];
/// The time zone of all processes that name none.
const TIME_ZONE: &str = "time_zone";

/// What stands at the top of a file.
pub struct Top<'a> {
    /// Names and settings.
    pub processes: Vec<(&'a Key, &'a Node)>,
    /// The time zone for all, or why there is none.
    pub time_zone: Option<Result<(&'a Key, &'a Node), Finding>>,
    /// Django's names for mail, in lower case.
    pub django: Vec<(Key, &'a Node)>,
}

/// Whether a name at the top of a module means something here; a module has many others.
pub fn is_ours(name: &str) -> bool {
    let is = |ours: &str| name.eq_ignore_ascii_case(ours);
    HOLDERS.into_iter().any(is) || is(TIME_ZONE) || DJANGO_NAMES.iter().any(|ours| is(ours))
}

impl<'a> Top<'a> {
    /// Sorts what stands at the top.
    pub fn of(root: &'a Node, findings: &mut Findings) -> Self {
        let entries = root.as_table().unwrap_or_default();
        let is_holder = |key: &Key| HOLDERS.iter().any(|name| key.name.eq_ignore_ascii_case(name));
        let holder = entries.iter().find(|(key, _)| is_holder(key));
        let mut top = Self { processes: Vec::new(), time_zone: None, django: Vec::new() };
        let mut beside = Vec::new();
        for (key, node) in entries.iter().filter(|(key, _)| !is_holder(key)) {
            let is_table = matches!(node.content, Content::Table(_));
            // A process may have any name, and a table is none of these.
            if is_table && holder.is_none() && !is_apart(key) {
                beside.push((key, node));
            } else if key.name.eq_ignore_ascii_case(TIME_ZONE) {
                top.time_zone = Some(time_zone(key, node));
            } else if DJANGO_NAMES.iter().any(|name| key.name.eq_ignore_ascii_case(name)) {
                top.django.push((Key { name: key.name.to_lowercase(), span: key.span }, node));
            } else if !is_apart(key) {
                beside.push((key, node));
            }
        }
        match holder {
            None if root.as_table().is_some() => top.processes(beside, root, findings),
            None => top.no_table(root, findings),
            Some((holder, node)) => {
                for (key, _) in beside {
                    let guess = did_you_mean(&key.name, HOLDERS.into_iter().chain([TIME_ZONE]));
                    let found = format!("{:?} stands beside {}{guess}", key.name, holder.name);
                    let allowed = format!("processes inside {}, and time_zone beside it", holder.name);
                    findings.error(Finding::new(key.span, &key.name, found, allowed));
                }
                match &node.content {
                    Content::Table(entries) => {
                        top.processes(entries.iter().map(|(key, node)| (key, node)).collect(), node, findings)
                    }
                    _ => top.no_table(node, findings),
                }
            }
        }
        top
    }

    fn processes(&mut self, entries: Vec<(&'a Key, &'a Node)>, place: &Node, findings: &mut Findings) {
        let mut names = HashSet::new();
        for (key, node) in entries {
            if is_apart(key) {
                continue;
            }
            if names.insert(&key.name) {
                self.processes.push((key, node));
            } else {
                let found = "this process stands here a second time";
                findings.error(Finding::new(key.span, &key.name, found, "each process once"));
            }
        }
        if self.processes.is_empty() {
            let allowed = "at least one process; `autoscalebot example` prints a file to begin with";
            findings.error(Finding::new(place.span, "", "there is no process in these settings", allowed));
        }
    }

    fn no_table(&mut self, node: &Node, findings: &mut Findings) {
        findings.error(match &node.content {
            Content::Unread(finding) => (**finding).clone(),
            _ => Finding::new(node.span, "", format!("found {}", node.kind()), "a table of processes"),
        });
    }
}

/// Keys with a dot or `x-` in front are the author's own: a place for YAML's anchors. `$schema` is for editors.
fn is_apart(key: &Key) -> bool {
    key.name.starts_with('.') || key.name.starts_with("x-") || key.name == "$schema"
}

fn time_zone<'a>(key: &'a Key, node: &'a Node) -> Result<(&'a Key, &'a Node), Finding> {
    let at = |finding: Finding| Finding { path: key.name.clone(), ..finding };
    match (&node.content, node.as_text()) {
        (Content::Unread(finding), _) => Err(at((**finding).clone())),
        (_, Some(name)) if !name.contains("${") && TimeZone::get(name).is_err() => {
            Err(at(Finding::new(node.span, "", no_time_zone(name), "a name such as America/Vancouver or UTC")))
        }
        _ => Ok((key, node)),
    }
}
