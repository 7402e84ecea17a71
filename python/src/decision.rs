//! Decision backends that are Python classes.

use std::num::NonZeroUsize;

use autoscalebot_core::{
    bounds::Bounds,
    decision::{Decide, Decision, Direction, Reason, Terms, View},
    registry::Problem,
};
use autoscalebot_engine::config::resolve_time_zone;
use pyo3::types::PyAnyMethods;
use serde_json::Value;

use crate::{bridge, guests::Class, native::Context, object::Object};

struct PythonDecide {
    class: &'static Class<dyn Decide, Terms>,
    object: Object,
    bounds: Bounds,
    backend: &'static str,
    history_needed: NonZeroUsize,
}

impl std::fmt::Debug for PythonDecide {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PythonDecide").field("class", &self.class.name).finish_non_exhaustive()
    }
}

/// The backend of a class.
///
/// # Errors
/// What the making of the object said.
pub fn build(
    class: &'static Class<dyn Decide, Terms>,
    settings: &Value,
    terms: &Terms,
) -> Result<Box<dyn Decide>, Problem> {
    let native = class.native_backend(settings, terms)?;
    let zone = resolve_time_zone(&terms.common).map_err(|sentence| Problem::new("time_zone", sentence, ""))?;
    let (min, max) = (terms.common.min_processes.clone(), terms.common.max_processes.clone());
    let bounds = Bounds::new(min, max, zone).map_err(|sentence| Problem::new("min_processes", sentence, ""))?;
    let common = serde_json::to_value(&terms.common).unwrap_or_default();
    let context = Context { unit: terms.unit.to_string(), ..Context::default() };
    let object = class.object(settings, common, &terms.process, context)?;
    let history_needed = native.map_or(NonZeroUsize::MIN, |native| native.history_needed());
    Ok(Box::new(PythonDecide { class, object, bounds, backend: terms.backend, history_needed }))
}

impl Decide for PythonDecide {
    fn decide(&self, view: &View<'_>) -> Decision {
        let results = view.history.newest_first().rev().map(|sample| sample.as_result(self.backend));
        let results = Value::Array(results.collect()).to_string();
        let (range, running) = (self.bounds.at(view.now), view.running);
        let said = self.object.call_now(move |object| {
            let arguments = (object, results, running, range.min, range.max);
            bridge::ask(object.py(), "decide", arguments)?.extract::<(u32, String)>()
        });
        match said {
            // Nobody knows how many are wanted; those that run stay.
            Err(failure) => {
                let sentence = format!("{} failed: {}", self.class.name, failure.message);
                Decision::stay(running, Reason::new("backend_failed", sentence))
            }
            Ok((wanted, sentence)) => {
                let direction = match wanted.cmp(&running) {
                    std::cmp::Ordering::Greater => Direction::Up,
                    std::cmp::Ordering::Less => Direction::Down,
                    std::cmp::Ordering::Equal => Direction::Stay,
                };
                let short = format!("{} wants {wanted}", self.class.name);
                let sentence = if sentence.is_empty() { short } else { sentence };
                Decision { wanted, direction, reason: Reason::new("custom", sentence) }
            }
        }
    }

    fn history_needed(&self) -> NonZeroUsize {
        self.history_needed
    }
}
