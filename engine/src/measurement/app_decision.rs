//! A number, or a whole document, that the app itself gives as JSON at a URL.
//!
//! The app often knows best how loaded it is: jobs waiting, seconds until they are done. It misleads when that number
//! belongs to the one process that happens to answer instead of the whole app, or when it is cached. Connections are
//! kept, because nothing is timed here. A time-out or a 5xx counts as high; anything else but JSON with a number where
//! VALUE says is unknown, never zero.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Measured,
    url::{Asking, Body, Endpoint, OnTimeout, UrlText},
    value::Selector,
};
use crate::{http::shown, secret::Secret};

/// The longest document that is read, in bytes. A measurement is a few hundred; this leaves room for a whole status page.
const LONGEST_BODY: usize = 1 << 20;

/// Settings of `AppDecision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The URL that answers with JSON: a path of the app, or a whole URL.
    pub measurement_url: UrlText,
    /// Where in the document the number stands: a JSON Pointer (`/queue/size`) or a JSONPath (`$.queue.size`). A text
    /// that is a number is taken for one there. Without it, a lone number or else the whole document is the reading.
    pub value: Option<String>,
    /// The app's address, to which a path in MEASUREMENT_URL belongs. Without it the platform is asked.
    pub base_url: Option<UrlText>,
    /// Headers to send, as in `{"Authorization": "Bearer …"}`. They are sent to the URL's own host only.
    pub headers: BTreeMap<String, Secret>,
    /// How long to wait for the complete answer.
    pub timeout_seconds: Seconds,
    /// Whether connections are kept open from one measurement to the next.
    pub reuse_connections: bool,
    /// What a time-out or a 5xx says: `high` (the app has too little capacity) or `hold` (nothing).
    pub on_timeout: OnTimeout,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            measurement_url: UrlText::new("/measurement"),
            value: None,
            base_url: None,
            headers: BTreeMap::new(),
            timeout_seconds: Seconds::new(30),
            reuse_connections: true,
            on_timeout: OnTimeout::High,
        }
    }
}

impl Settings {
    fn asking(&self) -> Asking<'_> {
        Asking {
            measurement_url: &self.measurement_url,
            base_url: self.base_url.as_ref(),
            headers: &self.headers,
            timeout_seconds: self.timeout_seconds,
            reuse_connections: self.reuse_connections,
            on_timeout: self.on_timeout,
        }
    }
}

/// The backend.
pub struct AppDecision {
    endpoint: Endpoint,
    selector: Selector,
}

impl Backend for AppDecision {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "AppDecision";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.asking().problems();
        problems.extend(Selector::parse(settings.value.as_deref()).err());
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let selector = Selector::parse(settings.value.as_deref())?;
        Ok(Box::new(Self { endpoint: settings.asking().endpoint(context)?, selector }))
    }
}

#[async_trait]
impl Measure for AppDecision {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let target = self.endpoint.target().await?;
        let body = self.endpoint.get(target, Body::Keep(LONGEST_BODY)).await?;
        let reading = self.selector.read(&body, || format!("the answer of {}", shown(target.url())))?;
        Ok(reading.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use autoscalebot_core::{registry::entry, sample::Reading, units::Finite};
    use serde_json::{Value, json};
    use testkit::app::{Answers, App};

    use super::*;
    use crate::measurement::url::tests::{Says, context};

    async fn measure(app: &App, value: Option<&str>, body: &str) -> Result<Reading, MeasureError> {
        app.set(Answers::After(Duration::ZERO, body.to_owned()));
        let mut settings = json!({"measurement_url": "/measurement", "base_url": app.url(), "timeout_seconds": 5});
        if let Some(value) = value {
            settings["value"] = Value::from(value);
        }
        let backend =
            (entry::<AppDecision>().build)(&settings, &context(Says::this(Ok(None)))).map_err(|_| ()).unwrap();
        backend.measure().await.map(|measured| measured.reading)
    }

    fn number(number: f64) -> Reading {
        Reading::Number(Finite::new(number).unwrap())
    }

    #[tokio::test]
    async fn the_apps_own_number_is_the_reading() {
        let app = App::start(Answers::Hangs).await;
        assert_eq!(measure(&app, None, "12").await, Ok(number(12.0)));
        assert_eq!(measure(&app, Some("/queue/size"), r#"{"queue": {"size": 3.5}}"#).await, Ok(number(3.5)));
        assert_eq!(measure(&app, Some("$.queues[0].size"), r#"{"queues": [{"size": "4"}]}"#).await, Ok(number(4.0)));
    }

    #[tokio::test]
    async fn without_value_the_document_itself_is_the_reading() {
        let app = App::start(Answers::Hangs).await;
        let document = json!({"my_custom_key": "my_val", "another_key": "another_val"});
        assert_eq!(measure(&app, None, &document.to_string()).await, Ok(Reading::Document(document)));
    }

    #[tokio::test]
    async fn what_is_no_number_is_a_failure_that_names_the_url() {
        let app = App::start(Answers::Hangs).await;
        for (value, body, key) in [
            (None, "NaN", "bad_json"),
            (None, "<!doctype html>", "bad_json"),
            (None, "", "empty"),
            (Some("/size"), r#"{"sizes": 1}"#, "missing_value"),
            (Some("/size"), r#"{"size": "many"}"#, "not_a_number"),
        ] {
            let error = measure(&app, value, body).await.expect_err(body);
            assert_eq!(error.key, key, "{body}");
            assert!(error.message.starts_with(&format!("the answer of {}/measurement ", app.url())), "{error}");
        }
    }

    #[tokio::test]
    async fn a_document_of_more_than_a_megabyte_is_no_reading() {
        let app = App::start(Answers::Hangs).await;
        let padded = |length| format!("1{}", " ".repeat(length - 1));
        assert_eq!(measure(&app, None, &padded(LONGEST_BODY)).await, Ok(number(1.0)));
        assert_eq!(measure(&app, None, &padded(LONGEST_BODY + 1)).await.unwrap_err().key, "too_long");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let settings = json!({"measurement_url": "load", "value": "size", "timeout_seconds": 0});
        let problems = (entry::<AppDecision>().check)(&settings);
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["measurement_url", "timeout_seconds", "value"]);
    }
}
