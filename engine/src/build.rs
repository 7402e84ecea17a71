//! From the settings of one process to a bot that can run.
//!
//! Settings are checked before they come here; what can still fail is what only the making of a backend finds out.

use std::sync::Arc;

use autoscalebot_core::{
    busy::{Protection, ScaleDownWhen},
    names::ProcessName,
    registry::Problem,
};
use jiff::tz::TimeZone;

use crate::{
    bot::{Bot, Measuring, Watch},
    config::{ProcessConfig, SignalConfig},
    host::{DECISION, Host, MEASUREMENT, SCALING},
    measurement::{self, Measure, Sight},
    notification::dispatch::Outlets,
    policy::{PolicySpec, SignalSpec},
    scaling::{self, Scale, dry_run},
    schedule::Schedule,
    shared::Shared,
    store::Store,
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
    /// See everything that happens.
    pub watchers: Vec<Arc<dyn Watch>>,
    /// Keeps what happens beyond this program's end.
    pub store: Option<Arc<Store>>,
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
        signals.push(signal_spec(signal, &*measure));
        remarks.extend(thresholds_of_another_unit(signal, &*measure, &shared.host));
        let interval = signal.measurement_common.measurement_interval_in_seconds.duration();
        measuring.push(Measuring { measure, schedule: Schedule::new(interval, start, share) });
    }
    let wait = |signal: &SignalConfig| signal.decision_common.post_scale_wait_time_seconds.duration();
    let told = &config.notification.common;
    let scale_down_when = scale_down_when(config, signals.iter().any(|signal| signal.sees_work));
    let spec = PolicySpec {
        wait_after_scale: config.signals.iter().map(wait).max().unwrap_or_default(),
        signals,
        repeat: told.repeat(),
        rapid: told.rapid_limit(),
        protection: Protection {
            scale_down_when: scale_down_when.map_err(error("scale_down_when"))?,
            max_busy_wait: config.own.max_busy_wait.duration(),
            victims: platform.victims(),
        },
        is_dry_run: manner.dry_run,
    };
    let policy = spec.build(process.as_str(), &shared.host).map_err(|(stage, problem)| error(stage)(problem))?;
    let outlets = Outlets::build(&config.notification, shared).map_err(error("notification"))?;
    Ok(Bot {
        process: process.clone(),
        spec: Arc::new(spec),
        policy,
        measuring,
        platform,
        outlets,
        remarks,
        shown: config.shown.clone(),
        is_dry_run: manner.dry_run,
        watchers: manner.watchers.clone(),
        recorder: None,
        unsettled: None,
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

fn signal_spec(signal: &SignalConfig, measure: &dyn Measure) -> SignalSpec {
    let mut common = signal.decision_common.clone();
    if common.time_zone.is_none() {
        common.time_zone = TimeZone::system().iana_name().map(str::to_owned);
    }
    SignalSpec {
        measurement: signal.measurement.backend.to_owned(),
        unit: measure.unit().into_owned(),
        sees_work: measure.sight() != Sight::NoWork,
        interval: signal.measurement_common.measurement_interval_in_seconds.duration(),
        decision: signal.decision.backend.to_owned(),
        settings: signal.decision.settings.clone(),
        common,
    }
}
