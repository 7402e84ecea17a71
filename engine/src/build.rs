//! From the settings of one process to a bot that can run.
//!
//! Settings are checked before they come here; what can still fail is what only the making of a backend finds out.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{
    bounds::Bounds,
    busy::{Protection, ScaleDownWhen},
    decision::Terms,
    names::ProcessName,
    rapid::RapidLimit,
    registry::Problem,
    step::{Policy, Signal},
};

use crate::{
    bot::{Bot, Measuring, Watch},
    config::{ProcessConfig, SignalConfig, resolve_time_zone},
    host::{DECISION, Host, MEASUREMENT, SCALING},
    measurement::{self, Measure, Sight},
    notification::dispatch::Outlets,
    scaling::{self, Scale, dry_run},
    schedule::Schedule,
    shared::Shared,
};

/// A process's backends could not be made from its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{process}.{stage}: {problem}")]
pub struct BuildError {
    /// The process.
    pub process: ProcessName,
    /// The stage or the process's own setting, as in settings: `scaling`.
    pub stage: &'static str,
    /// What is wrong.
    pub problem: Problem,
}

/// How bots are built, whatever their settings.
#[derive(Clone, Default)]
pub struct Manner {
    /// Decide and tell, but never scale.
    pub dry_run: bool,
    /// Sees everything that happens.
    pub watcher: Option<Arc<dyn Watch>>,
}

/// The platform of a process.
///
/// # Errors
/// When its backend cannot be made.
pub fn platform(
    process: &ProcessName,
    config: &ProcessConfig,
    shared: &Arc<Shared>,
    manner: &Manner,
) -> Result<Arc<dyn Scale>, BuildError> {
    let error = |problem| BuildError { process: process.clone(), stage: "scaling", problem };
    let entry = SCALING.find(&shared.host, config.scaling.backend).map_err(error)?;
    let context = scaling::Context { process: process.clone(), shared: shared.clone() };
    let platform: Arc<dyn Scale> = (entry.build)(&config.scaling.settings, &context).map_err(error)?.into();
    Ok(if manner.dry_run { dry_run::never_scaling(platform) } else { platform })
}

/// The bot of a process on its platform. Its first tick comes after `share` (0 to 1) of its interval.
///
/// # Errors
/// When a backend cannot be made.
pub fn bot(
    process: &ProcessName,
    config: &ProcessConfig,
    platform: Arc<dyn Scale>,
    share: f64,
    shared: &Arc<Shared>,
    manner: &Manner,
) -> Result<Bot, BuildError> {
    let error = |stage| move |problem| BuildError { process: process.clone(), stage, problem };
    let start = shared.clock.now().since_start;
    let (mut signals, mut measuring, mut remarks) = (Vec::new(), Vec::new(), Vec::new());
    for signal in &config.signals {
        let entry = MEASUREMENT.find(&shared.host, signal.measurement.backend).map_err(error("measurement"))?;
        let context = measurement::Context {
            process: process.clone(),
            platform: platform.clone(),
            common: signal.measurement_common.clone(),
            scaling: config.scaling.clone(),
            shared: shared.clone(),
        };
        let measure = (entry.build)(&signal.measurement.settings, &context).map_err(error("measurement"))?;
        signals.push(policy_signal(process, signal, &*measure, &shared.host).map_err(error("decision"))?);
        remarks.extend(thresholds_of_another_unit(signal, &*measure, &shared.host));
        let interval = signal.measurement_common.measurement_interval_in_seconds.duration();
        measuring.push(Measuring { measure, schedule: Schedule::new(interval, start, share) });
    }
    let wait = |signal: &SignalConfig| signal.decision_common.post_scale_wait_time_seconds.duration();
    let told = &config.notification.common;
    let scale_down_when = scale_down_when(config, signals.iter().any(|signal| signal.sees_work));
    let policy = Policy {
        wait_after_scale: config.signals.iter().map(wait).max().unwrap_or_default(),
        signals,
        repeat: minutes(told.notify_repeat_minutes.get()),
        rapid: RapidLimit {
            scales: told.notify_if_scaling_is_too_rapid_num_scales,
            period: minutes(told.notify_if_scaling_is_too_rapid_time_period_minutes.get()),
        },
        protection: Protection {
            scale_down_when: scale_down_when.map_err(error("scale_down_when"))?,
            max_busy_wait: config.own.max_busy_wait.duration(),
            victims: platform.victims(),
        },
    };
    let outlets = Outlets::build(&config.notification, shared).map_err(error("notification"))?;
    Ok(Bot {
        process: process.clone(),
        policy,
        measuring,
        platform,
        outlets,
        remarks,
        watcher: manner.watcher.clone(),
        shared: shared.clone(),
    })
}

/// Who can see work does not stop it, unless told to; and who relies on that is told when nobody can see any.
fn scale_down_when(config: &ProcessConfig, sees_work: bool) -> Result<ScaleDownWhen, Problem> {
    match config.own.scale_down_when {
        None if sees_work => Ok(ScaleDownWhen::Idle),
        None | Some(ScaleDownWhen::Always) => Ok(ScaleDownWhen::Always),
        Some(protected) if sees_work => Ok(protected),
        Some(_) => {
            let found = "none of the measurements sees work in a queue, so nobody knows who is busy";
            Err(Problem::new("", found, "always, or a measurement of a queue among the signals"))
        }
    }
}

/// The thresholds' defaults are the original's, milliseconds of a web process. For the length of a queue they are a slip.
fn thresholds_of_another_unit(signal: &SignalConfig, measure: &dyn Measure, host: &Host) -> Option<String> {
    let given = |name: &str| signal.decision.settings.get(name).is_some();
    let defaults = DECISION.find(host, signal.decision.backend).map(|entry| (entry.defaults)()).ok()?;
    let highest = defaults.get("max_measurement_value").filter(|_| !given("max_measurement_value"))?;
    (measure.sight() != Sight::NoWork).then(|| {
        let (backend, unit) = (signal.measurement.backend, measure.unit());
        format!(
            "{backend} measures {unit}, and MAX_MEASUREMENT_VALUE is not set: {highest} {unit} are needed to scale up"
        )
    })
}

fn policy_signal(
    process: &ProcessName,
    signal: &SignalConfig,
    measure: &dyn Measure,
    host: &Host,
) -> Result<Signal, Problem> {
    let common = &signal.decision_common;
    let entry = DECISION.find(host, signal.decision.backend)?;
    let (unit, backend, process) = (measure.unit(), signal.measurement.backend, process.to_string());
    let terms = Terms { common: common.clone(), unit, backend, process };
    let zone = resolve_time_zone(common).map_err(|text| Problem::new("time_zone", text, ""))?;
    let (min, max) = (common.min_processes.clone(), common.max_processes.clone());
    Ok(Signal {
        backend: Arc::from(signal.measurement.backend),
        decide: (entry.build)(&signal.decision.settings, &terms)?,
        bounds: Bounds::new(min, max, zone).map_err(|text| Problem::new("min_processes", text, ""))?,
        history_length: common.history_length,
        sees_work: measure.sight() != Sight::NoWork,
    })
}

fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}
