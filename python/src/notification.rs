//! Notification backends that are Python classes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::registry::Problem;
use autoscalebot_engine::notification::{
    Context as Terms, Notice, Notify, NotifyError,
    text::{self, Text},
};
use serde_json::{Value, json};

use crate::{bridge, guests::Class, native, object::Object};

struct PythonNotify {
    class: &'static Class<dyn Notify, Terms>,
    object: Object,
    native: Option<Arc<dyn Notify>>,
}

/// The backend of a class.
///
/// # Errors
/// What the making of the object said.
pub fn build(
    class: &'static Class<dyn Notify, Terms>,
    settings: &Value,
    terms: &Terms,
) -> Result<Box<dyn Notify>, Problem> {
    let native = class.native_backend(settings, terms)?;
    let context = native::Context { notify: native.clone(), ..native::Context::default() };
    // Processes with the same backend and settings share one, so it has no process of its own.
    let object = class.object(settings, json!({}), "", context)?;
    Ok(Box::new(PythonNotify { class, object, native }))
}

/// A notice as Python code sees it.
pub fn event_of(notice: &Notice) -> Value {
    let mut event = text::as_json(notice);
    event["message"] = Text::of(notice).one_line().into();
    event
}

#[async_trait]
impl Notify for PythonNotify {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let (event, notice) = (event_of(notice).to_string(), native::Notice(notice.clone()));
        let said =
            self.object.call(move |object| bridge::ask(object.py(), "notify", (object, event, notice)).map(drop));
        said.await.map_err(|failure| NotifyError {
            message: format!("{}: {}", self.class.name, failure.message),
            retry: failure.key != "lasting",
            retry_after: failure.retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        })
    }

    fn remarks(&self) -> Vec<String> {
        self.native.as_ref().map_or_else(Vec::new, |native| native.remarks())
    }
}
