//! `autoscalebot eval`: measures, decides, prints the decision and its reason, and changes nothing.

use std::{collections::BTreeSet, sync::Arc};

use autoscalebot_core::names::{ProcessName, nearest};
use autoscalebot_engine::{
    bot::Tick,
    build::{self, BuildError, Manner},
    clock::SystemClock,
    config::{ProcessConfig, load},
    shared::Shared,
};
use serde_json::{Value, json};

use crate::{cli::Surroundings, command, exit::Exit};

/// What exactly was asked for.
pub struct Wish {
    /// How often to measure before deciding.
    pub samples: usize,
    /// Print JSON instead of sentences.
    pub json: bool,
    /// Only these processes; all when empty.
    pub processes: Vec<String>,
}

/// Evaluates each process once. Fails (1) when something could not be measured or counted.
pub fn run(settings: Option<&str>, wish: &Wish, around: &Surroundings) -> Exit {
    let mut loaded = match load::load(settings, &around.folder, &around.host) {
        Ok(loaded) => loaded,
        Err(errors) => return command::refuse(&errors, around),
    };
    let known: BTreeSet<_> = loaded.config.processes.keys().map(ToString::to_string).collect();
    for name in &wish.processes {
        if !known.contains(name) {
            let meant = nearest(name, known.iter().map(String::as_str));
            let hint = meant.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
            let all = known.iter().cloned().collect::<Vec<_>>().join(", ");
            eprintln!("error: there is no process {name:?} in {}{hint}\nexpected one of: {all}", loaded.name);
            return Exit::REFUSED;
        }
    }
    if !wish.processes.is_empty() {
        loaded.config.processes.retain(|process, _| wish.processes.iter().any(|name| name == process.as_str()));
    }
    command::keep_output_for_the_answer(&mut loaded.config);
    let runtime = match command::runtime(1) {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(evaluate_all(loaded, wish, around));
    runtime.shutdown_background();
    code
}

async fn evaluate_all(loaded: load::Loaded, wish: &Wish, around: &Surroundings) -> Exit {
    let shared = Shared::new(Arc::new(SystemClock::new()), around.host.clone());
    let processes: Vec<_> = loaded.config.processes.into_iter().collect();
    let ticks = processes.iter().map(|(process, config)| evaluate(process, config, &shared, wish.samples));
    let ticks = futures_util::future::join_all(ticks).await;
    command::farewell(&around.host).await;
    let (mut rows, mut text, mut whole) = (Vec::new(), String::new(), true);
    for ((process, config), tick) in processes.iter().zip(ticks) {
        match tick {
            Err(error) => {
                eprintln!("error: {}: {error}", loaded.name);
                return Exit::REFUSED;
            }
            Ok(tick) => {
                let failed = tick.samples.iter().any(|(_, sample)| sample.outcome.is_err());
                whole &= !failed && tick.outcome.running.is_some();
                if wish.json {
                    rows.push(as_json(process, config, &tick));
                } else {
                    text.push_str(&as_text(process, config, &tick));
                }
            }
        }
    }
    if wish.json {
        text = format!("{:#}\n", Value::Array(rows));
    }
    let printed = command::print(&text);
    if whole { printed } else { Exit::FAILED }
}

async fn evaluate(
    process: &ProcessName,
    config: &ProcessConfig,
    shared: &Arc<Shared>,
    samples: usize,
) -> Result<Tick, BuildError> {
    // Nothing is ordered anyway; a dry platform makes that certain.
    let manner = Manner { dry_run: true, ..Manner::default() };
    let platform = build::platform(process, config, shared, &manner)?;
    let bot = build::bot(process, config, platform, 0.0, shared, &manner)?;
    Ok(bot.evaluate(samples).await)
}

fn as_json(process: &ProcessName, config: &ProcessConfig, tick: &Tick) -> Value {
    let outcome = &tick.outcome;
    let results: Vec<Value> = tick
        .samples
        .iter()
        .map(|(signal, sample)| sample.as_result(config.signals[*signal].measurement.backend))
        .collect();
    let mut row = json!({
        "process": process,
        "sample": results.get(outcome.signal),
        "running": outcome.running,
        "wanted": outcome.running.map(|_| outcome.decision.wanted),
        "order": outcome.order.as_ref().map(|order| json!({"from": order.from, "to": order.to})),
        "limit": outcome.limit,
        "reason": outcome.decision.reason,
    });
    if results.len() > 1 {
        row["samples"] = Value::Array(results);
    }
    row
}

fn as_text(process: &ProcessName, config: &ProcessConfig, tick: &Tick) -> String {
    let mut text = format!("{process}\n");
    for (signal, sample) in &tick.samples {
        let backend = config.signals[*signal].measurement.backend;
        let result = match (&sample.outcome, sample.number()) {
            (Err(failure), _) => format!("failed ({}): {}", failure.key, failure.message),
            (Ok(_), Some(number)) => number.to_string(),
            (Ok(_), None) => "a document".to_owned(),
        };
        text.push_str(&format!("  measured  {backend}: {result}\n"));
    }
    let outcome = &tick.outcome;
    match outcome.running {
        None => text.push_str("  running   unknown\n"),
        Some(running) => {
            text.push_str(&format!("  running   {running} (min {}, max {})\n", outcome.range.min, outcome.range.max));
            let limit = outcome.limit.map(|limit| format!(", cut by the {limit}")).unwrap_or_default();
            text.push_str(&format!("  wanted    {}{limit}\n", outcome.decision.wanted));
        }
    }
    text.push_str(&format!("  because   {}\n", outcome.decision.reason.sentence));
    text
}
