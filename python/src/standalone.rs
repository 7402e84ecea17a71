//! What Python asks of the engine without a bot: the command line, a check of settings, and backends made by hand.

use std::{
    ffi::OsString,
    sync::{Arc, LazyLock},
};

use autoscalebot::cli;
use autoscalebot_core::{
    decision,
    moment::Moment,
    names::ProcessName,
    registry::{self, Entry, Problem, property_names},
};
use autoscalebot_engine::{
    clock::SystemClock,
    config::{BackendSettings, load},
    environment::Environment,
    host::Host,
    measurement::{self, Measure},
    notification::{self, Notify},
    scaling::{self, Scale},
    shared::Shared,
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};
use serde_json::{Value, json};

use crate::{guests::PythonGuests, log, modules::PythonModules, pool};

/// Classes that were met once are known in the whole program.
static GUESTS: LazyLock<Arc<PythonGuests>> = LazyLock::new(Arc::default);
/// What backends made by hand share.
static SHARED: LazyLock<Arc<Shared>> =
    LazyLock::new(|| Shared::new(Arc::new(SystemClock::new()), host(PythonModules::default(), Vec::new())));

/// The process of a backend made by hand that was given none.
const USUAL_PROCESS: &str = "web";

/// Python, as what the program runs in.
pub fn host(modules: PythonModules, launcher: Vec<String>) -> Host {
    Host {
        environment: Environment::of_this_program(),
        guests: Some(GUESTS.clone()),
        modules: Some(Arc::new(modules)),
        launcher,
    }
}

/// Runs a command line; returns its exit code.
#[pyfunction]
#[pyo3(signature = (arguments, settings, origin, launcher))]
pub fn main(
    py: Python<'_>,
    arguments: Vec<OsString>,
    settings: Option<&Bound<'_, PyDict>>,
    origin: &str,
    launcher: Vec<String>,
) -> u8 {
    let host = host(PythonModules::given(settings, origin), launcher);
    py.detach(|| cli::main(arguments, host, Some(log::lines())).0)
}

/// Everything that is wrong with settings, errors first, then warnings: path, what was found, what is right, whether it
/// is a warning.
#[pyfunction]
pub fn check(
    py: Python<'_>,
    settings: &Bound<'_, PyDict>,
    origin: &str,
) -> PyResult<Vec<(String, String, String, bool)>> {
    let host = host(PythonModules::given(Some(settings), origin), Vec::new());
    let folder = std::env::current_dir().unwrap_or_default();
    Ok(match py.detach(|| load::load(None, &folder, &host)) {
        Ok(loaded) => {
            let warning = |text| (String::new(), text, String::new(), true);
            loaded.warnings.into_iter().map(warning).collect()
        }
        Err(errors) => errors.errors.into_iter().map(|error| (error.path, error.found, error.allowed, false)).collect(),
    })
}

/// The settings that the engine gives to a stage and to one of its backends there, with their defaults, as JSON.
#[pyfunction]
#[pyo3(signature = (stage, name))]
pub fn defaults(stage: &str, name: Option<&str>) -> PyResult<String> {
    fn of<S: ?Sized, C: ?Sized>(entries: &[Entry<S, C>], name: Option<&str>) -> Option<Value> {
        name.and_then(|name| entries.iter().find(|entry| entry.name == name)).map(|entry| (entry.defaults)())
    }
    let json = |common: serde_json::Result<Value>| common.unwrap_or_default();
    let (mut all, own) = match stage {
        "measurement" => (json(serde_json::to_value(measurement::Common::default())), of(measurement::BACKENDS, name)),
        "decision" => (json(serde_json::to_value(decision::Common::default())), of(decision::BACKENDS, name)),
        "scaling" => (json!({}), of(scaling::BACKENDS, name)),
        // What is told at all is decided before a backend is asked.
        "notification" => (json!({}), of(notification::BACKENDS, name)),
        other => return Err(PyValueError::new_err(format!("there is no stage {other:?}"))),
    };
    if let (Some(all), Some(Value::Object(own))) = (all.as_object_mut(), own) {
        all.extend(own);
    }
    Ok(all.to_string())
}

/// Whether a call into Python has not come back.
#[pyfunction]
pub fn has_calls_in_flight() -> bool {
    pool::in_flight() > 0
}

/// Now.
pub fn now() -> Moment {
    SHARED.clock.now()
}

/// A measurement backend made by hand.
pub fn measurement(name: &str, settings: &str, process: &str) -> Result<Arc<dyn Measure>, Problem> {
    log::to_python();
    let _entered = pool::runtime().enter();
    let (entry, settings, all) = find(measurement::BACKENDS, name, settings)?;
    let process = named(process)?;
    let platform = scaling::Context { process: process.clone(), shared: SHARED.clone() };
    let nowhere = BackendSettings { backend: "DryRun", settings: json!({}) };
    let dry_run = registry::find(scaling::BACKENDS, nowhere.backend)?;
    let context = measurement::Context {
        process,
        platform: (dry_run.build)(&nowhere.settings, &platform)?.into(),
        common: parsed(&all).map_err(|sentence| Problem::new("", sentence, ""))?,
        scaling: nowhere,
        shared: SHARED.clone(),
    };
    (entry.build)(&settings, &context).map(Arc::from)
}

/// A platform made by hand.
pub fn scaling(name: &str, settings: &str, process: &str) -> Result<Arc<dyn Scale>, Problem> {
    log::to_python();
    let _entered = pool::runtime().enter();
    let (entry, settings, _) = find(scaling::BACKENDS, name, settings)?;
    (entry.build)(&settings, &scaling::Context { process: named(process)?, shared: SHARED.clone() }).map(Arc::from)
}

/// A way of telling people made by hand.
pub fn notification(name: &str, settings: &str) -> Result<Arc<dyn Notify>, Problem> {
    log::to_python();
    let _entered = pool::runtime().enter();
    let (entry, settings, _) = find(notification::BACKENDS, name, settings)?;
    (entry.build)(&settings, &notification::Context { shared: SHARED.clone() }).map(Arc::from)
}

fn named(process: &str) -> Result<ProcessName, Problem> {
    let name = if process.is_empty() { USUAL_PROCESS } else { process };
    ProcessName::new(name).map_err(|sentence| Problem::new("process", sentence, ""))
}

/// A backend of a list, its own settings out of all (JSON), and all.
fn find<S: ?Sized, C: ?Sized>(
    entries: &'static [Entry<S, C>],
    name: &str,
    settings: &str,
) -> Result<(&'static Entry<S, C>, Value, Value), Problem> {
    let all: Value = serde_json::from_str(settings).map_err(|error| Problem::new("", error.to_string(), ""))?;
    let entry = registry::find(entries, name)?;
    let own = only(&all, &property_names(&(entry.schema)()));
    match (entry.check)(&own).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok((entry, own, all)),
    }
}

/// Those settings that have one of these names.
pub fn only(settings: &Value, names: &[String]) -> Value {
    let all = settings.as_object().into_iter().flatten();
    Value::Object(
        all.filter(|(name, _)| names.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect(),
    )
}

/// What every decision has, out of all settings.
///
/// # Errors
/// A sentence.
pub fn common(settings: &Value) -> Result<decision::Common, String> {
    parsed(settings)
}

/// The settings of a whole stage, out of all settings.
fn parsed<Common: serde::de::DeserializeOwned + schemars::JsonSchema>(settings: &Value) -> Result<Common, String> {
    let names = property_names(&schemars::schema_for!(Common));
    registry::parse::<Common>(&only(settings, &names))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
