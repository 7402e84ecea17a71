//! Measures how long the app itself took, by Heroku's router: the `service=` of our own request.
//!
//! A response time measured from outside holds the network between, DNS, TLS and the router's own queue. Heroku's router
//! writes for each request how long the dyno took (`service`) and how long it took to reach it (`connect`). That number is
//! in no header and no API, only in the app's log. So this backend requests MEASUREMENT_URL under an id of its own
//! (`X-Request-ID`, which the router adopts) and waits for exactly that request's line in a log stream.
//!
//! It misleads when MEASUREMENT_URL does other work than the app's visitors ask for, and it sees one dyno at a time, picked
//! at random. `service` includes waiting in the dyno's own queue, which is what grows when the app is too small.
//!
//! A 5xx of the app, and the router's errors that mean "too busy", count as high (see ON_TIMEOUT). Crashed, sleeping,
//! booting or absent dynos, maintenance, and a line that does not come are unknown: more processes would not help, or
//! nobody can tell.

use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    sample::{CountsAs, Reading},
    units::{Finite, Seconds, in_words},
};
use reqwest::{Client, header::LOCATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{
    Context, Measure, MeasureError, Measured,
    url::{OnTimeout, UrlText},
};
use crate::{
    heroku::{
        account::{account, address, app, app_name_problem},
        app::App,
        log_session::RouterLog,
        router_line::RouterLine,
    },
    http::{Answer, Connecting, FetchError, MAX_REDIRECTS, fetch, shown},
    scaling::heroku::timeout_problem,
    secret::Secret,
};

/// Longest page read. A longer one is not a page for measuring, and cutting it off would spoil the router's number.
const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// How long the app's web address may take to be found out.
const ADDRESS_LIMIT: Duration = Duration::from_secs(20);

/// Which of the router's times is the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// From the connection to the dyno to the end of its answer.
    Service,
    /// Until the connection to a dyno stood.
    Connect,
    /// Both together.
    Sum,
}

/// Settings of `HerokuServiceTime`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The page to request: a path of the app, or a whole address that Heroku routes to it.
    pub measurement_url: UrlText,
    /// What a path is relative to. Without it, the app's own web address as Heroku knows it.
    pub base_url: UrlText,
    /// The app. Without it, the one of the process's scaling settings.
    pub app_name: String,
    /// The API key. Without it, the one of the process's scaling settings, else the environment variable `HEROKU_API_KEY`.
    pub api_key: Secret,
    /// The address of Heroku's Platform API. Without it, the one of the process's scaling settings, else the environment
    /// variable `HEROKU_API_URL`, else `https://api.heroku.com`.
    pub api_url: String,
    /// Which of the router's times is the reading: `service`, `connect`, or the `sum` of both.
    pub reading: Times,
    /// How long the page may take. Heroku's router gives up after 30 seconds and says so in its log, so one more sees that.
    #[schemars(range(min = 1, max = 120))]
    pub timeout_seconds: Seconds,
    /// How long to wait for the router's line once the page is there. Lines usually come within a second; in busy logs they
    /// may lag.
    #[schemars(range(min = 1, max = 120))]
    pub log_line_timeout_seconds: Seconds,
    /// What an app that does not answer in time, or answers with a 5xx, tells about its load: `high` counts as a high
    /// reading, `hold` as unknown.
    pub on_timeout: OnTimeout,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            measurement_url: UrlText::new("/measurement"),
            base_url: UrlText::default(),
            app_name: String::new(),
            api_key: Secret::default(),
            api_url: String::new(),
            reading: Times::Service,
            timeout_seconds: Seconds::new(31),
            log_line_timeout_seconds: Seconds::new(10),
            on_timeout: OnTimeout::High,
        }
    }
}

/// The backend.
pub struct HerokuServiceTime {
    app: Arc<App>,
    log: Arc<RouterLog>,
    client: Client,
    settings: Settings,
}

impl Backend for HerokuServiceTime {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "HerokuServiceTime";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !settings.app_name.is_empty() {
            problems.extend(app_name_problem(&settings.app_name));
        }
        if !settings.api_url.is_empty() {
            problems.extend(address("api_url", &settings.api_url).err());
        }
        if !settings.base_url.reveal().is_empty() {
            problems.extend(web_address("base_url", &settings.base_url).err());
        }
        if settings.measurement_url.reveal().is_empty() {
            problems.push(Problem::new("measurement_url", "it is empty", "a path such as /measurement"));
        } else if settings.measurement_url.reveal().contains("://") {
            problems.extend(web_address("measurement_url", &settings.measurement_url).err());
        }
        problems.extend(timeout_problem("timeout_seconds", settings.timeout_seconds));
        problems.extend(timeout_problem("log_line_timeout_seconds", settings.log_line_timeout_seconds));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let scaling = context.scaling.settings.as_object().filter(|_| context.scaling.backend == "Heroku");
        let of_scaling = |own: &str, key: &str| {
            let theirs = scaling.and_then(|settings| settings.get(key)).and_then(Value::as_str).unwrap_or_default();
            if own.is_empty() { theirs.to_owned() } else { own.to_owned() }
        };
        let app_name = of_scaling(&settings.app_name, "app_name");
        if app_name.is_empty() {
            let found = "no app: APP_NAME is not set, and the process is not scaled by the Heroku backend";
            return Err(Problem::new("app_name", found, "the name of the app, such as dancing-forest-1234"));
        }
        let api_key = Secret::new(of_scaling(settings.api_key.reveal(), "api_key"));
        let api_url = of_scaling(&settings.api_url, "api_url");
        let shared = &context.shared;
        let account = account(shared, &api_key, &api_url)?;
        let app = app(shared, &account, &app_name);
        let log_key = format!("{}:{app_name}:router", account.fingerprint());
        let log = shared.pool.get_or_make(&log_key, || RouterLog::new(app.clone()));
        let client = shared.http.get(Connecting { reuse: true, follow_redirects: false });
        Ok(Box::new(Self { app, log, client, settings }))
    }
}

fn web_address(path: &'static str, text: &UrlText) -> Result<Url, Problem> {
    let allowed = "an address that begins with https:// or http://";
    match Url::parse(text.reveal()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) => Err(Problem::new(path, format!("found {text}"), allowed)),
        Err(error) => Err(Problem::new(path, format!("found {text}: {error}"), allowed)),
    }
}

#[async_trait]
impl Measure for HerokuServiceTime {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let mut url = self.url().await?;
        self.log.ready().await.map_err(|why| {
            let message = format!("the router's log of Heroku app {} cannot be read: {why}", self.app.name());
            MeasureError::unknown("no_log_session", message)
        })?;
        // A redirect is followed with a new id, so that the line is that of the page, not of the redirect.
        for _ in 0..=MAX_REDIRECTS {
            let id = Uuid::new_v4().to_string();
            let expected = self.log.expect(&id).map_err(|why| MeasureError::unknown("too_many_waiting", why))?;
            let request = self.client.get(url.clone()).header("X-Request-ID", &id);
            let answer = fetch(request, self.settings.timeout_seconds.duration(), LONGEST_BODY).await;
            let answer = answer.map_err(|error| self.no_answer(&error))?;
            if let Some(next) = redirect(&url, &answer)? {
                url = next;
                continue;
            }
            let limit = self.settings.log_line_timeout_seconds.duration();
            let Some(line) = expected.within(limit).await else {
                return Err(self.no_line(&url, &answer, limit));
            };
            return self.judge(&line, &url);
        }
        let message = format!("{} redirects more than {MAX_REDIRECTS} times", shown(&url));
        Err(MeasureError::unknown("redirect", message))
    }

    fn unit(&self) -> Cow<'static, str> {
        Cow::Borrowed("ms")
    }
}

impl HerokuServiceTime {
    /// The page's whole address.
    async fn url(&self) -> Result<Url, MeasureError> {
        let page = &self.settings.measurement_url;
        if page.reveal().contains("://") {
            return web_address("measurement_url", page)
                .map_err(|problem| MeasureError::unknown("no_address", problem.to_string()));
        }
        let base = if self.settings.base_url.reveal().is_empty() {
            let info = self.app.info(ADDRESS_LIMIT).await;
            let info =
                info.map_err(|error| MeasureError { key: error.key, ..MeasureError::unknown("", error.message) })?;
            info.web_url.clone().ok_or_else(|| {
                let message = format!("Heroku knows no web address of app {}; set BASE_URL", self.app.name());
                MeasureError::unknown("no_address", message)
            })?
        } else {
            web_address("base_url", &self.settings.base_url)
                .map_err(|problem| MeasureError::unknown("no_address", problem.to_string()))?
        };
        base.join(page.reveal()).map_err(|error| {
            MeasureError::unknown(
                "no_address",
                format!("MEASUREMENT_URL {page} is no path of {}: {error}", shown(&base)),
            )
        })
    }

    /// Reads what the router wrote.
    fn judge(&self, line: &RouterLine, url: &Url) -> Result<Measured, MeasureError> {
        let page = shown(url);
        if let Some(code) = line.code() {
            return Err(self.router_error(code, line, &page));
        }
        match line.status() {
            Some(status @ 500..=599) => {
                let message = format!("{page} was answered with {status} by the app itself");
                return Err(MeasureError {
                    counts_as: self.overload(),
                    ..MeasureError::unknown("server_error", message)
                });
            }
            Some(status @ 400..=499) => {
                let message = format!(
                    "{page} was answered with {status} by the app itself: set MEASUREMENT_URL to a page that anybody may see"
                );
                return Err(MeasureError::unknown("client_error", message));
            }
            Some(200..=299) => {}
            status => {
                let status = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
                let message = format!("the router's line for {page} has {status}, which says nothing about its load");
                return Err(MeasureError::unknown("bad_router_line", message));
            }
        }
        let time = match self.settings.reading {
            Times::Service => line.service(),
            Times::Connect => line.connect(),
            Times::Sum => line.service().zip(line.connect()).map(|(service, connect)| service.saturating_add(connect)),
        };
        let milliseconds = time.and_then(|time| Finite::new(time.as_secs_f64() * 1000.0)).ok_or_else(|| {
            let message = format!("the router's line for {page} does not tell the time that is asked for");
            MeasureError::unknown("bad_router_line", message)
        })?;
        let number = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let detail = json!({
            "connect": number(line.connect()),
            "service": number(line.service()),
            "dyno": line.get("dyno"),
            "status": line.status(),
        });
        Ok(Measured { reading: Reading::Number(milliseconds), detail: Some(Box::new(detail)), work: None })
    }

    /// An error that the router itself made up. Source of the codes: Dev Center, "Heroku Error Codes".
    fn router_error(&self, code: &str, line: &RouterLine, page: &str) -> MeasureError {
        let meaning = match code {
            "H10" => "the app crashed: more processes would crash as well",
            "H11" => "too many requests wait for the app's dynos",
            "H12" => "the app did not answer within the router's 30 seconds",
            "H13" => "the dyno closed the connection without an answer",
            "H14" => "no web process runs: set MIN_PROCESSES to 1 or more",
            "H19" | "H22" => "the app's dynos take no more connections",
            "H20" => "the app is still starting",
            "H21" => "the dyno refused the connection: it is starting or broken",
            "H80" => "the app is in maintenance mode",
            "H81" => "nothing was deployed to the app yet",
            "H82" => "the account's dyno hours are used up",
            "H83" => "Heroku has reduced its service as announced",
            "H99" => "Heroku itself has trouble",
            _ => line.get("desc").unwrap_or("see Heroku's list of error codes"),
        };
        // Only these say that more dynos would have helped.
        let is_overload = matches!(code, "H11" | "H12" | "H19" | "H22");
        let key = if code == "H12" { "timeout" } else { "router_error" };
        let counts_as = if is_overload { self.overload() } else { CountsAs::Unknown };
        let code: String = code.chars().take(8).collect();
        let meaning: String = meaning.chars().take(200).collect();
        MeasureError {
            counts_as,
            ..MeasureError::unknown(key, format!("{page}: Heroku's router says {code}, {meaning}"))
        }
    }

    fn no_answer(&self, error: &FetchError) -> MeasureError {
        let counts_as = if matches!(error, FetchError::Timeout { .. }) { self.overload() } else { CountsAs::Unknown };
        MeasureError { counts_as, ..MeasureError::unknown(error.key(), error.to_string()) }
    }

    fn no_line(&self, url: &Url, answer: &Answer, limit: Duration) -> MeasureError {
        let message = format!(
            "{} was answered with {}, but its line did not come in the router's log of Heroku app {} within {}: is this \
             address one of that app's, and does nothing in between change X-Request-ID?",
            shown(url),
            answer.status.as_u16(),
            self.app.name(),
            in_words(limit)
        );
        MeasureError::unknown("no_router_line", message)
    }

    fn overload(&self) -> CountsAs {
        match self.settings.on_timeout {
            OnTimeout::High => CountsAs::High,
            OnTimeout::Hold => CountsAs::Unknown,
        }
    }
}

/// Where an answer sends us, if it does.
fn redirect(url: &Url, answer: &Answer) -> Result<Option<Url>, MeasureError> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let place = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let next = place.and_then(|text| url.join(text).ok()).filter(|next| matches!(next.scheme(), "http" | "https"));
    let message = || format!("{} redirects to no place ({})", shown(url), answer.status);
    next.map(Some).ok_or_else(|| MeasureError::unknown("redirect", message()))
}
