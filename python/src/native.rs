//! The engine's own backends, for the Python classes that stand for them.
//!
//! A subclass that is part of a bot uses the very backend that the bot has, with all that it shares with others. One that
//! a script made by hand gets one of its own.

use std::{
    borrow::Cow,
    num::NonZeroUsize,
    sync::{Arc, PoisonError},
};

use autoscalebot_core::{
    decision::{self, Reason, Terms, View},
    history::History,
    moment::Moment,
    registry::{Problem, property_names},
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    step::Order,
    units::Finite,
};
use autoscalebot_engine::{
    measurement::Measure,
    notification::{self, Notify},
    scaling::{Scale, ScaleError},
};
use pyo3::{exceptions::PyValueError, prelude::*};
use serde_json::Value;

use crate::{measurement::Seen, pool, standalone};

/// What the engine hands to a backend that it makes.
#[pyclass(frozen, module = "autoscalebot._native")]
#[derive(Default)]
pub struct Context {
    /// The engine's backend that the class stands on, if it measures.
    pub measure: Option<Arc<dyn Measure>>,
    /// Where that one's measurements leave what they saw.
    pub seen: Seen,
    /// The same, if it scales.
    pub scale: Option<Arc<dyn Scale>>,
    /// The same, if it notifies.
    pub notify: Option<Arc<dyn Notify>>,
    /// The unit of the readings, if it decides.
    pub unit: String,
}

/// One of the engine's measurement backends.
#[pyclass(frozen, module = "autoscalebot._native")]
pub struct Measurement {
    name: String,
    measure: Arc<dyn Measure>,
    seen: Seen,
}

#[pymethods]
impl Measurement {
    #[new]
    #[pyo3(signature = (name, settings, process, context))]
    fn new(py: Python<'_>, name: &str, settings: &str, process: &str, context: Option<&Context>) -> PyResult<Self> {
        let measure = match context.and_then(|context| context.measure.clone()) {
            Some(measure) => measure,
            None => py.detach(|| standalone::measurement(name, settings, process)).map_err(refused)?,
        };
        let seen = context.map(|context| context.seen.clone()).unwrap_or_default();
        Ok(Self { name: name.to_owned(), measure, seen })
    }

    /// Measures once; the result as JSON.
    fn measure(&self, py: Python<'_>) -> String {
        let measured = py.detach(|| pool::runtime().block_on(self.measure.measure()));
        let at = standalone::now();
        let sample = match measured {
            Ok(measured) => {
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = measured.work;
                Sample { at, outcome: Ok(measured.reading), detail: measured.detail, work: None }
            }
            Err(error) => Sample { at, outcome: Err(error.into()), detail: None, work: None },
        };
        sample.as_result(&self.name).to_string()
    }
}

/// One of the engine's platforms.
#[pyclass(module = "autoscalebot._native")]
pub struct Scaling {
    scale: Arc<dyn Scale>,
    /// The order that is being carried out, as JSON.
    #[pyo3(get, set)]
    order: Option<String>,
}

#[pymethods]
impl Scaling {
    #[new]
    #[pyo3(signature = (name, settings, process, context))]
    fn new(py: Python<'_>, name: &str, settings: &str, process: &str, context: Option<&Context>) -> PyResult<Self> {
        let scale = match context.and_then(|context| context.scale.clone()) {
            Some(scale) => scale,
            None => py.detach(|| standalone::scaling(name, settings, process)).map_err(refused)?,
        };
        Ok(Self { scale, order: None })
    }

    /// How many processes the platform is set to run.
    fn count(&self, py: Python<'_>) -> PyResult<u32> {
        py.detach(|| pool::runtime().block_on(self.scale.count())).map_err(|error| scaling_error(py, error))
    }

    /// Makes so many run.
    fn scale_to(&self, py: Python<'_>, wanted: u32) -> PyResult<()> {
        let order = self.order.as_deref().and_then(|json| serde_json::from_str::<Order>(json).ok());
        let scaled = py.detach(|| {
            pool::runtime().block_on(async {
                let order = match order {
                    // Whoever asks for another number than the engine goes on from the same count.
                    Some(order) => Some(Order { to: wanted, ..order }).filter(|order| order.from != order.to),
                    None => {
                        let reason = Reason::new("asked", "asked for by Python code");
                        Order::new(self.scale.count().await?, wanted, reason, None)
                    }
                };
                match order {
                    Some(order) => self.scale.scale_to(&order).await.map(drop),
                    None => Ok(()),
                }
            })
        });
        scaled.map_err(|error| scaling_error(py, error))
    }
}

/// A notice on its way through Python.
#[pyclass(frozen, module = "autoscalebot._native")]
pub struct Notice(pub notification::Notice);

/// One of the engine's ways of telling people.
#[pyclass(frozen, module = "autoscalebot._native")]
pub struct Notification {
    notify: Arc<dyn Notify>,
}

#[pymethods]
impl Notification {
    #[new]
    #[pyo3(signature = (name, settings, process, context))]
    fn new(py: Python<'_>, name: &str, settings: &str, process: &str, context: Option<&Context>) -> PyResult<Self> {
        // A way of telling people serves all processes.
        let _ = process;
        let notify = match context.and_then(|context| context.notify.clone()) {
            Some(notify) => notify,
            None => py.detach(|| standalone::notification(name, settings)).map_err(refused)?,
        };
        Ok(Self { notify })
    }

    /// Delivers a notice.
    fn notify(&self, py: Python<'_>, notice: &Notice) -> PyResult<()> {
        let told = py.detach(|| pool::runtime().block_on(self.notify.notify(&notice.0)));
        told.map_err(|error| {
            let key = if error.retry { "passing" } else { "lasting" };
            let retry_after = error.retry_after.map(|wait| wait.as_secs_f64());
            raised(py, "notification", "NotificationError", (error.message, key, retry_after))
        })
    }
}

/// What one of the engine's decision backends makes of results (JSON): `up`, `down` or `stay`, and why.
#[pyfunction]
#[pyo3(signature = (name, settings, results, running, context))]
pub fn decide(
    py: Python<'_>,
    name: &str,
    settings: &str,
    results: &str,
    running: u32,
    context: Option<&Context>,
) -> PyResult<(String, String)> {
    let unit = context.map(|context| context.unit.clone()).unwrap_or_default();
    py.detach(|| {
        let settings: Value = serde_json::from_str(settings).map_err(|error| error.to_string())?;
        let results: Vec<Value> = serde_json::from_str(results).map_err(|error| error.to_string())?;
        let entry =
            autoscalebot_core::registry::find(decision::BACKENDS, name).map_err(|problem| problem.to_string())?;
        let terms = Terms {
            common: standalone::common(&settings)?,
            unit: Cow::Owned(unit),
            backend: "",
            process: String::new(),
        };
        let own = standalone::only(&settings, &property_names(&(entry.schema)()));
        if let Some(problem) = (entry.check)(&own).first() {
            return Err(problem.to_string());
        }
        let decide = (entry.build)(&own, &terms).map_err(|problem| problem.to_string())?;
        let now = standalone::now();
        let mut history = History::new(NonZeroUsize::new(results.len()).unwrap_or(NonZeroUsize::MIN));
        results.iter().for_each(|result| history.push(sample(result, now)));
        let said = decide.decide(&View { history: &history, running, now: &now });
        Ok((said.direction.to_string(), said.reason.sentence))
    })
    .map_err(PyValueError::new_err)
}

/// A result as a sample.
fn sample(result: &Value, at: Moment) -> Sample {
    let data = &result["data"];
    let outcome = if result["success"] == false {
        let error = &result["error"];
        let word = |name: &str, other: &str| error[name].as_str().unwrap_or(other).to_owned();
        let counts_as = if error["counts_as"] == "high" { CountsAs::High } else { CountsAs::Unknown };
        Err(MeasureFailure { key: Cow::Owned(word("key", "failed")), message: word("message", ""), counts_as })
    } else if let Some(number) = data.as_f64().and_then(Finite::new) {
        Ok(Reading::Number(number))
    } else {
        Ok(Reading::Document(data.clone()))
    };
    Sample { at, outcome, detail: None, work: None }
}

fn refused(problem: Problem) -> PyErr {
    PyValueError::new_err(problem.to_string())
}

fn scaling_error(py: Python<'_>, error: ScaleError) -> PyErr {
    let retry_after = error.retry_after.map(|wait| wait.as_secs_f64());
    raised(py, "scaling", "ScalingError", (error.message, error.key.into_owned(), retry_after))
}

/// One of the package's own exceptions.
fn raised(py: Python<'_>, stage: &str, name: &str, words: (String, impl Into<String>, Option<f64>)) -> PyErr {
    let (message, key, retry_after) = (words.0, words.1.into(), words.2);
    let class = py.import(format!("autoscalebot.backends.{stage}")).and_then(|module| module.getattr(name));
    match class.and_then(|class| class.call1((message, key, retry_after))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
