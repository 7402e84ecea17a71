//! Scaling backends that are Python classes.

use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{busy::Victims, registry::Problem, step::Order};
use autoscalebot_engine::scaling::{Context as Terms, Scale, ScaleError, Scaled, Whose};
use pyo3::types::PyAnyMethods;
use serde_json::{Value, json};
use url::Url;

use crate::{
    bridge::{self, Failure},
    guests::Class,
    native::Context,
    object::Object,
};

struct PythonScale {
    class: &'static Class<dyn Scale, Terms>,
    object: Object,
    native: Option<Arc<dyn Scale>>,
}

/// The backend of a class.
///
/// # Errors
/// What the making of the object said.
pub fn build(
    class: &'static Class<dyn Scale, Terms>,
    settings: &Value,
    terms: &Terms,
) -> Result<Box<dyn Scale>, Problem> {
    let native = class.native_backend(settings, terms)?;
    let context = Context { scale: native.clone(), ..Context::default() };
    let object = class.object(settings, json!({}), terms.process.as_str(), context)?;
    Ok(Box::new(PythonScale { class, object, native }))
}

#[async_trait]
impl Scale for PythonScale {
    async fn count(&self) -> Result<u32, ScaleError> {
        let said = self.object.call(|object| bridge::ask(object.py(), "count", (object,))?.extract::<u32>());
        said.await.map_err(|failure| self.error(failure))
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        let (to, json) = (order.to, serde_json::to_string(order).unwrap_or_default());
        let said = self.object.call(move |object| bridge::ask(object.py(), "scale_to", (object, to, json)).map(drop));
        said.await.map(|()| Scaled::Done).map_err(|failure| self.error(failure))
    }

    async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
        match &self.native {
            Some(native) => native.web_url().await,
            None => Ok(None),
        }
    }

    fn group(&self) -> Option<String> {
        self.native.as_ref().and_then(|native| native.group())
    }

    fn victims(&self) -> Victims {
        self.native.as_ref().map_or(Victims::Unknown, |native| native.victims())
    }

    fn whose(&self, name: &str) -> Whose {
        self.native.as_ref().map_or(Whose::Unknown, |native| native.whose(name))
    }

    fn remarks(&self) -> Vec<String> {
        self.native.as_ref().map_or_else(Vec::new, |native| native.remarks())
    }

    async fn shutdown(&self, limit: Duration) {
        if let Some(native) = &self.native {
            native.shutdown(limit).await;
        }
    }
}

impl PythonScale {
    fn error(&self, failure: Failure) -> ScaleError {
        let Failure { key, message, retry_after, .. } = failure;
        let retry_after = retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        ScaleError { key: Cow::Owned(key), message: format!("{}: {message}", self.class.name), retry_after }
    }
}
