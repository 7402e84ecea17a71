//! `autoscalebot check`: every error in the settings, or what they mean and where each value came from.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use autoscalebot_core::{bounds::Bounds, moment::Moment, names::ProcessName};
use autoscalebot_engine::{
    build::{self, Manner},
    clock::{Clock, SystemClock},
    config::{
        ProcessConfig,
        assemble::Origin,
        load::{self, Explained},
        resolve_time_zone,
    },
    shared::Shared,
};

use crate::{cli::Surroundings, command, exit::Exit};

/// Checks the settings; with `online` also tries each backend once.
pub fn run(settings: Option<&str>, online: bool, around: &Surroundings) -> Exit {
    let explained = match load::explain(settings, &around.folder, &around.host) {
        Ok(explained) => explained,
        Err(errors) => return command::refuse(&errors, around),
    };
    let built = match built(&explained, around) {
        Ok(built) => built,
        Err(code) => return code,
    };
    let mut text = describe(&explained, &built, &SystemClock::new().now());
    text.push_str(if online {
        "\nTrying each backend once; nothing is scaled and nobody is told:\n\n"
    } else {
        "\nThe settings are fine. `autoscalebot check --online` also tries the backends.\n"
    });
    let printed = command::print(&text);
    for warning in &explained.loaded.warnings {
        eprintln!("warning: {warning}");
    }
    if !online {
        return printed;
    }
    let wish = command::eval::Wish { samples: 1, json: false, processes: Vec::new() };
    command::eval::run(settings, &wish, around)
}

/// What only shows once a bot is made of the settings: how its process is protected, or why it cannot be made here. Nothing
/// is connected to. Fails with the exit code for wrong settings when they contradict each other.
fn built(explained: &Explained, around: &Surroundings) -> Result<BTreeMap<ProcessName, String>, Exit> {
    let shared = Shared::new(Arc::new(SystemClock::new()), around.host.clone());
    let manner = Manner { dry_run: true, ..Manner::default() };
    let runtime = command::runtime(1)?;
    let entered = runtime.enter();
    let mut words = BTreeMap::new();
    let mut is_fine = true;
    for (process, config) in &explained.loaded.config.processes {
        let bot = build::platform(process, config, &shared, &manner)
            .and_then(|platform| build::bot(process, config, platform, 0.0, &shared, &manner));
        match bot {
            Ok(bot) => {
                let lines: Vec<String> = bot.protection().into_iter().chain(bot.remarks).collect();
                words.extend((!lines.is_empty()).then(|| (process.clone(), lines.join("\n  "))));
            }
            Err(error) if error.stage == "scale_down_when" => {
                eprintln!("error: {}: {error}", explained.loaded.name);
                is_fine = false;
            }
            // What is missing here may be there where it runs: a Procfile, an API key.
            Err(error) => {
                words.insert(process.clone(), format!("cannot be run on this machine as it is: {error}"));
            }
        }
    }
    drop(entered);
    runtime.block_on(command::farewell(&around.host));
    runtime.shutdown_background();
    if is_fine { Ok(words) } else { Err(Exit::REFUSED) }
}

/// Every effective setting, by process and stage.
fn describe(explained: &Explained, built: &BTreeMap<ProcessName, String>, now: &Moment) -> String {
    let mut text = format!("{}\n", explained.document.file);
    // Sorted once: looking through all for each process takes minutes when there are ten thousand.
    let mut origins: BTreeMap<&str, Vec<(&str, &Origin)>> = BTreeMap::new();
    for origin in &explained.origins {
        if let Some((process, path)) = origin.path.split_once('.') {
            origins.entry(process).or_default().push((path, origin));
        }
    }
    for (process, config) in &explained.loaded.config.processes {
        let _ = writeln!(text, "\n{process}");
        let own = origins.remove(process.as_str()).unwrap_or_default();
        let width = own.iter().map(|(path, _)| path.len()).max().unwrap_or_default();
        let values: Vec<String> = own.iter().map(|(_, origin)| shown(origin)).collect();
        let value_width = values.iter().map(|value| value.chars().count()).max().unwrap_or_default().min(48);
        for ((path, origin), value) in own.iter().zip(&values) {
            let _ = writeln!(text, "  {path:<width$}  {value:<value_width$}  {}", explained.whence(origin));
        }
        text.push_str(&in_force(config, now));
        if let Some(words) = built.get(process) {
            let _ = writeln!(text, "  {words}");
        }
    }
    text
}

fn shown(origin: &Origin) -> String {
    match &origin.value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) if text.is_empty() => "-".to_owned(),
        value => value.to_string(),
    }
}

/// The bounds of this hour and the next ones, for time tables.
fn in_force(config: &ProcessConfig, now: &Moment) -> String {
    let mut text = String::new();
    for signal in &config.signals {
        let common = &signal.decision_common;
        let Ok(zone) = resolve_time_zone(common) else { continue };
        let name = zone.iana_name().unwrap_or("the machine's own").to_owned();
        let Ok(bounds) = Bounds::new(common.min_processes.clone(), common.max_processes.clone(), zone) else {
            continue;
        };
        let range = bounds.at(now);
        let _ = write!(text, "  now {} in {name}: {} to {} processes", bounds.local_time(now), range.min, range.max);
        match next_change(&bounds, now) {
            Some(then) => {
                let next = bounds.at(&then);
                let _ = writeln!(text, "; from {} on {} to {}", bounds.local_time(&then), next.min, next.max);
            }
            None => text.push('\n'),
        }
    }
    text
}

/// The next minute of the coming day at which the bounds are others.
fn next_change(bounds: &Bounds, now: &Moment) -> Option<Moment> {
    const MINUTES_OF_LONGEST_DAY: i64 = 25 * 60;
    if !bounds.vary() {
        return None;
    }
    let second = now.civil.as_second();
    let minute = second - second.rem_euclid(60);
    (1..=MINUTES_OF_LONGEST_DAY).find_map(|offset| {
        let civil = jiff::Timestamp::from_second(minute + offset * 60).ok()?;
        let then = Moment { civil, ..*now };
        (bounds.at(&then) != bounds.at(now)).then_some(then)
    })
}
