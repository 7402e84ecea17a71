//! How long the app takes to answer a request, in milliseconds: from the first step to the last byte of the body.
//!
//! This is what a visitor feels, so by default every measurement opens a connection of its own, as a new visitor does:
//! the time includes name lookup, connecting and TLS. It misleads when the URL is served from a cache or by something in
//! front of the app (then it stays fast whatever happens), when its own work varies from request to request, and from
//! far away, where the network's share is large. A time-out or a 5xx has no time but says that the app is overloaded; it
//! counts as high. Every other failure is unknown: no time is ever made up.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    sample::Reading,
    units::{Finite, Seconds},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Measured,
    url::{Asking, Body, Endpoint, OnTimeout, UrlText},
};
use crate::{secret::Secret, shared::Shared};

/// The longest body that is read, in bytes. A page that takes more is a download, and its time says more about the
/// network than about the app.
const LONGEST_BODY: usize = 8 << 20;

/// Settings of `ResponseTime`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The URL whose response time is measured: a path of the app, or a whole URL.
    pub measurement_url: UrlText,
    /// The app's address, to which a path in MEASUREMENT_URL belongs. Without it the platform is asked.
    pub base_url: Option<UrlText>,
    /// Headers to send, as in `{"Authorization": "Bearer …"}`. They are sent to the URL's own host only.
    pub headers: BTreeMap<String, Secret>,
    /// How long to wait for the complete answer.
    pub timeout_seconds: Seconds,
    /// Whether connections are kept open from one measurement to the next. Without it the time includes connecting, as
    /// for a new visitor.
    pub reuse_connections: bool,
    /// What a time-out or a 5xx says: `high` (the app has too little capacity) or `hold` (nothing).
    pub on_timeout: OnTimeout,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            measurement_url: UrlText::new("/autoscalebot/measurement/"),
            base_url: None,
            headers: BTreeMap::new(),
            timeout_seconds: Seconds::new(30),
            reuse_connections: false,
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
pub struct ResponseTime {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

impl Backend for ResponseTime {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "ResponseTime";

    fn validate(settings: &Settings) -> Vec<Problem> {
        settings.asking().problems()
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        Ok(Box::new(Self { endpoint: settings.asking().endpoint(context)?, shared: context.shared.clone() }))
    }
}

#[async_trait]
impl Measure for ResponseTime {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let target = self.endpoint.target().await?;
        let start = self.shared.clock.now().since_start;
        self.endpoint.get(target, Body::Forget(LONGEST_BODY)).await?;
        let took = self.shared.clock.now().since_start.saturating_sub(start);
        Ok(Reading::Number(milliseconds(took)).into())
    }

    fn unit(&self) -> Cow<'static, str> {
        Cow::Borrowed("ms")
    }
}

/// Whole milliseconds, as people read them; below ten also tenths, so that very fast apps can be told apart.
fn milliseconds(time: Duration) -> Finite {
    const COARSE: f64 = 10.0;
    let exact = time.as_secs_f64() * 1000.0;
    let rounded = if exact < COARSE { (exact * 10.0).round() / 10.0 } else { exact.round() };
    // A Duration is at most 2^64 seconds, far below what a float holds.
    Finite::new(rounded).unwrap_or(Finite::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::{
        app::{Answers, App},
        nasty::{Does, Nasty},
    };

    use super::*;
    use crate::measurement::url::tests::{Says, context};

    fn backend(url: &str) -> Box<dyn Measure> {
        let settings = json!({"measurement_url": format!("{url}/load"), "timeout_seconds": 5});
        let settings = autoscalebot_core::registry::parse(&settings).unwrap();
        ResponseTime::build(settings, &context(Says::this(Ok(None)))).map_err(|problem| problem.to_string()).unwrap()
    }

    async fn reading(backend: &dyn Measure) -> f64 {
        backend.measure().await.unwrap().reading.number().unwrap().get()
    }

    #[tokio::test]
    async fn the_time_is_what_the_app_takes_to_answer() {
        let app = App::start(Answers::After(Duration::from_millis(120), "x".repeat(100_000))).await;
        let backend = backend(&app.url());
        let slow = reading(&*backend).await;
        assert!((120.0..2000.0).contains(&slow), "{slow}");
        app.set(Answers::After(Duration::ZERO, String::new()));
        let fast = reading(&*backend).await;
        assert!(fast < 120.0, "{fast}");
        assert_eq!(backend.unit(), "ms");
    }

    #[tokio::test]
    async fn the_time_includes_the_whole_body_and_every_redirect() {
        let dawdling = Nasty::start(Does::Dawdles(Duration::from_millis(80))).await;
        let whole = reading(&*backend(&dawdling.url())).await;
        assert!(whole >= 80.0, "{whole}");

        let app = App::start(Answers::After(Duration::from_millis(60), "1".to_owned())).await;
        let server = Nasty::start(Does::redirect(&app.url())).await;
        let redirected = reading(&*backend(&server.url())).await;
        assert!(redirected >= 60.0, "{redirected}");
    }

    #[tokio::test]
    async fn the_time_that_the_platform_takes_to_name_the_app_is_not_the_apps() {
        struct Slow(url::Url);
        #[async_trait]
        impl crate::scaling::Scale for Slow {
            async fn count(&self) -> Result<u32, crate::scaling::ScaleError> {
                Ok(1)
            }
            async fn scale_to(
                &self,
                _: &autoscalebot_core::step::Order,
            ) -> Result<crate::scaling::Scaled, crate::scaling::ScaleError> {
                Ok(crate::scaling::Scaled::Done)
            }
            async fn web_url(&self) -> Result<Option<url::Url>, crate::scaling::ScaleError> {
                tokio::time::sleep(Duration::from_millis(400)).await;
                Ok(Some(self.0.clone()))
            }
        }
        let app = App::start(Answers::After(Duration::ZERO, "1".to_owned())).await;
        let context = context(Arc::new(Slow(app.url().parse().unwrap())));
        let backend = ResponseTime::build(Settings::default(), &context).map_err(|problem| problem.to_string());
        let time = reading(&*backend.unwrap()).await;
        assert!(time < 400.0, "{time}");
    }

    #[tokio::test]
    async fn a_body_of_ten_megabytes_is_no_number() {
        let app = App::start(Answers::Bytes(10 << 20)).await;
        let error = backend(&app.url()).measure().await.unwrap_err();
        assert_eq!(error.key, "too_long");
        app.set(Answers::Bytes(1 << 20));
        assert!(backend(&app.url()).measure().await.is_ok());
    }

    #[test]
    fn times_are_whole_milliseconds_and_tenths_only_when_tiny() {
        let shown = |micros| milliseconds(Duration::from_micros(micros)).to_string();
        assert_eq!(
            [shown(350_400), shown(10_499), shown(9_960), shown(1_234), shown(40)],
            ["350", "10", "10", "1.2", "0"]
        );
    }
}
