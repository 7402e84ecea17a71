//! Measurement backends that are Python classes.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Work,
    registry::Problem,
    sample::{CountsAs, Reading},
    units::Finite,
};
use autoscalebot_engine::measurement::{Context as Terms, Measure, MeasureError, Measured, Sight};
use pyo3::types::PyAnyMethods;
use serde_json::Value;

use crate::{
    bridge::{self, Failure},
    guests::Class,
    native::Context,
    object::Object,
};

/// What the last measurement of the engine's own backend saw of the work, on its way past Python.
pub type Seen = Arc<Mutex<Option<Box<Work>>>>;

struct PythonMeasure {
    class: &'static Class<dyn Measure, Terms>,
    object: Object,
    native: Option<Arc<dyn Measure>>,
    seen: Seen,
}

/// The backend of a class.
///
/// # Errors
/// What the making of the object said.
pub fn build(
    class: &'static Class<dyn Measure, Terms>,
    settings: &Value,
    terms: &Terms,
) -> Result<Box<dyn Measure>, Problem> {
    let native = class.native_backend(settings, terms)?;
    let seen = Seen::default();
    let context = Context { measure: native.clone(), seen: seen.clone(), ..Context::default() };
    let common = serde_json::to_value(&terms.common).unwrap_or_default();
    let object = class.object(settings, common, terms.process.as_str(), context)?;
    Ok(Box::new(PythonMeasure { class, object, native, seen }))
}

/// A number, a document as JSON, a failed result as JSON: one of the three; and more for people, as JSON.
type Said = (Option<f64>, Option<String>, Option<String>, Option<String>);

#[async_trait]
impl Measure for PythonMeasure {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        self.seen().take();
        let said = self.object.call(|object| bridge::ask(object.py(), "measure", (object,))?.extract::<Said>());
        let (number, document, failure, detail) = said.await.map_err(|failure| self.error(failure))?;
        if let Some(failure) = failure {
            return Err(failed(&failure));
        }
        let number = number.and_then(Finite::new).map(Reading::Number);
        let document = document.and_then(|json| serde_json::from_str(&json).ok()).map(Reading::Document);
        let reading = number.or(document);
        let reading =
            reading.ok_or_else(|| self.error(Failure::new("bad_value", "measure() returned nothing usable")))?;
        let detail = detail.and_then(|json| serde_json::from_str(&json).ok()).map(Box::new);
        Ok(Measured { reading, detail, work: self.seen().take() })
    }

    fn sight(&self) -> Sight {
        self.native.as_ref().map_or(Sight::NoWork, |native| native.sight())
    }

    fn unit(&self) -> Cow<'static, str> {
        match &self.native {
            Some(native) if self.class.unit.is_empty() => native.unit(),
            _ => Cow::Borrowed(&self.class.unit),
        }
    }
}

impl PythonMeasure {
    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Box<Work>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, failure: Failure) -> MeasureError {
        let Failure { key, message, .. } = failure;
        let message = format!("{}: {message}", self.class.name);
        MeasureError { key: Cow::Owned(key), message, counts_as: CountsAs::Unknown }
    }
}

/// A result without success, as the class said it.
fn failed(json: &str) -> MeasureError {
    let said: Value = serde_json::from_str(json).unwrap_or_default();
    let word = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let counts_as = if said["counts_as"] == "high" { CountsAs::High } else { CountsAs::Unknown };
    MeasureError { key: Cow::Owned(word("key")), message: word("message"), counts_as }
}
