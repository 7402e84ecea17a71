//! The client of Heroku's Platform API, version 3: one call, its headers, its retries, its answer.
//!
//! It knows nothing of formations or apps. It never follows a redirect (the key would travel), never takes for JSON
//! what may be an edge proxy's HTML, and never waits without an end. A call is tried again only when that cannot do harm
//! and may help: see [`ApiError::may_pass`]. Calls that may have been obeyed although no answer came are not repeated
//! here; [`super::app`] looks first.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::moment::Moment;
use reqwest::{
    Client, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::budget::{Budget, Purpose, Scarce};
use crate::{
    clock::Clock,
    http::{Answer, Connecting, FetchError, HttpClients, fetch},
    secret::Secret,
    telemetry::metrics::{HEROKU_REQUESTS_REMAINING, Number, Observation, Observe},
};

/// Asks for version 3; without it Heroku answers 406.
const VERSION: &str = "application/vnd.heroku+json; version=3";

/// Tries of one call. The third rarely helps, a fourth only delays the bad news.
pub const MAX_TRIES: u32 = 3;

/// Mean pause before the second try, doubled for the third.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// Longest wait asked for by a 429 that is sat out within a call; anything longer is the bot's to wait for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Longest answer read. A formation of 200 process types is about 100 KB.
const LONGEST_BODY: usize = 2 * 1024 * 1024;

/// Longest part of a message of Heroku's that is shown.
const LONGEST_MESSAGE: usize = 400;

/// Letters that tell accounts apart in metrics: 32 bits, for a handful of accounts.
const SHORT_NAME: usize = 8;

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `PATCH`, `POST`.
    pub method: Method,
    /// Beginning with `/`, every part already checked.
    pub path: String,
    /// JSON to send.
    pub body: Option<Value>,
    /// The part of a list, as `Next-Range` of the part before named it.
    pub range: Option<HeaderValue>,
    /// How dear it is.
    pub purpose: Purpose,
    /// How often it may be sent, at most [`MAX_TRIES`]. 1 for what must not be repeated unseen.
    pub tries: u32,
}

impl Call {
    /// Reads.
    #[must_use]
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None, range: None, purpose: Purpose::Optional, tries: MAX_TRIES }
    }

    /// The same call, dearer or cheaper.
    #[must_use]
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// Changes; sent once.
    #[must_use]
    pub fn patch(path: String, body: Value) -> Self {
        let purpose = Purpose::Needed;
        Self { method: Method::PATCH, path, body: Some(body), range: None, purpose, tries: 1 }
    }

    /// Makes something that costs nothing but a token; sent once.
    #[must_use]
    pub fn post(path: String, body: Value) -> Self {
        Self { method: Method::POST, path, body: Some(body), range: None, purpose: Purpose::Optional, tries: 1 }
    }
}

/// What Heroku answered when it did what it was asked.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The JSON.
    pub body: Value,
    /// The rest of a list that did not fit (206).
    pub next_range: Option<HeaderValue>,
    /// Heroku's name for this exchange.
    pub request_id: String,
}

/// A refusal: a complete answer with a 4xx or 5xx.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Heroku's word for the error, `not_found`; empty when the body was not Heroku's JSON.
    pub id: String,
    /// Heroku's sentence; shortened, without the key.
    pub message: String,
    /// What was not found: `app`, `formation`; often empty.
    pub resource: String,
    /// Heroku's name for this exchange.
    pub request_id: String,
    /// The wait that it asks for, or that we impose on ourselves.
    pub retry_after: Option<Duration>,
}

/// Why a call has no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// Heroku refused.
    Refused(Refusal),
    /// No complete answer came.
    NoAnswer(FetchError),
    /// An answer came that is not what this call is answered with.
    Strange {
        /// What is odd about it.
        what: String,
        /// Heroku's name for this exchange.
        request_id: String,
    },
    /// It was not sent: too few calls are left.
    Scarce(Scarce),
}

impl ApiError {
    /// Whether trying again soon may help: nobody answered, Heroku has trouble of its own, or another change is under way.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.status, 409 | 429 | 500 | 502 | 503 | 504),
            // Who answers too much, or something else than HTTP, will do so again.
            Self::NoAnswer(error) => {
                !matches!(error, FetchError::TooLong { .. } | FetchError::NotHttp { .. } | FetchError::Tls { .. })
            }
            Self::Strange { .. } | Self::Scarce(_) => false,
        }
    }

    /// Whether a change may have been made all the same.
    #[must_use]
    pub fn may_have_been_obeyed(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.status >= 500,
            Self::Scarce(_) => false,
            // These never got as far as a request.
            Self::NoAnswer(FetchError::Dns { .. } | FetchError::Refused { .. } | FetchError::Tls { .. }) => false,
            Self::NoAnswer(_) | Self::Strange { .. } => true,
        }
    }

    /// The pause before the next try, after `tries` tries; `None` when there should be no other.
    #[must_use]
    pub fn pause(&self, tries: u32) -> Option<Duration> {
        if tries >= MAX_TRIES || !self.may_pass() {
            return None;
        }
        let own = jittered(FIRST_PAUSE * 2_u32.saturating_pow(tries.saturating_sub(1)));
        match self {
            Self::Refused(Refusal { retry_after: Some(asked), .. }) if *asked > LONGEST_PAUSE => None,
            // A little more than asked, so that bots that were refused together do not come back together.
            Self::Refused(Refusal { retry_after: Some(asked), .. }) => Some(*asked + own / 4),
            _ => Some(own),
        }
    }
}

/// An account at an address; see [`super::account::account`].
pub struct Api {
    base: Url,
    authorization: HeaderValue,
    key: Secret,
    fingerprint: String,
    client: Client,
    clock: Arc<dyn Clock>,
    budget: Mutex<Budget>,
}

impl Observe for Api {
    fn observe(&self, now: &Moment) -> Vec<Observation> {
        let left = self.budget().known_tokens(now.since_start);
        let labels = vec![self.short_name().to_owned()];
        let seen = |left| Observation { family: &HEROKU_REQUESTS_REMAINING, labels, number: Number::Gauge(left) };
        left.map(seen).into_iter().collect()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Api").field("base", &self.shown_url()).finish_non_exhaustive()
    }
}

impl Api {
    /// A client for a key that fits into a header.
    #[must_use]
    pub fn new(base: Url, key: Secret, fingerprint: String, clients: &HttpClients, clock: Arc<dyn Clock>) -> Self {
        // A key that does not fit was refused when the settings were read; an empty header is answered 401.
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
            .unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
        authorization.set_sensitive(true);
        let client = clients.get(Connecting { reuse: true, follow_redirects: false });
        let budget = Mutex::new(Budget::new(clock.now().since_start));
        Self { base, authorization, key, fingerprint, client, clock, budget }
    }

    /// Stands for address and key.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Tells accounts apart for people: the beginning of that, from which no key can be found, for keys are long and random.
    fn short_name(&self) -> &str {
        let digest = self.fingerprint.split_once(':').map_or(self.fingerprint.as_str(), |(_, digest)| digest);
        digest.get(..SHORT_NAME).unwrap_or(digest)
    }

    /// The address, for people.
    #[must_use]
    pub fn shown_url(&self) -> String {
        crate::http::shown(&self.base)
    }

    /// The client, for what Heroku keeps elsewhere. It sends no key by itself.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Time since the program started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now().since_start
    }

    /// How old a formation may be to be served without a call.
    #[must_use]
    pub fn oldest_allowed(&self) -> Duration {
        let now = self.now();
        self.budget().oldest_allowed(now)
    }

    /// Makes a call and all its tries, within `limit`.
    ///
    /// # Errors
    /// Why there is no good answer; of the last try, if there were several.
    pub async fn call(&self, call: &Call, limit: Duration) -> Result<Reply, ApiError> {
        let mut last = None;
        let tries = async {
            let mut tries = 0;
            loop {
                let error = match self.send(call, limit).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => error,
                };
                tries += 1;
                match error.pause(tries).filter(|_| tries < call.tries) {
                    None => return Err(error),
                    Some(pause) => {
                        last = Some(error);
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        };
        match tokio::time::timeout(limit, tries).await {
            Ok(result) => result,
            Err(_) => Err(last.unwrap_or_else(|| {
                ApiError::NoAnswer(FetchError::Timeout { url: self.url(&call.path).to_string(), after: limit })
            })),
        }
    }

    /// One try. It gets half the time of the whole call when there may be another, so that one hang is survived.
    async fn send(&self, call: &Call, limit: Duration) -> Result<Reply, ApiError> {
        let now = self.now();
        self.budget().take(call.purpose, now).map_err(ApiError::Scarce)?;
        let own_id = Uuid::new_v4().to_string();
        let mut request = self
            .client
            .request(call.method.clone(), self.url(&call.path))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, VERSION)
            .header(REQUEST_ID, &own_id);
        if let Some(range) = &call.range {
            request = request.header(RANGE, range);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let patience = if call.method == Method::POST { limit } else { limit / 2 };
        let answer = fetch(request, patience, LONGEST_BODY).await.map_err(ApiError::NoAnswer)?;
        self.read(&answer, own_id)
    }

    fn read(&self, answer: &Answer, own_id: String) -> Result<Reply, ApiError> {
        let request_id = text_of(&answer.headers, REQUEST_ID).map_or(own_id, |id| self.presentable(&id));
        let now = self.now();
        if answer.status != StatusCode::TOO_MANY_REQUESTS {
            self.budget().accepted(now);
        }
        if let Some(left) = text_of(&answer.headers, REMAINING).and_then(|left| left.trim().parse::<f64>().ok()) {
            self.budget().learn(left, now);
        }
        let body = serde_json::from_slice::<Value>(&answer.body);
        let status = answer.status;
        if status.is_client_error() || status.is_server_error() {
            return Err(ApiError::Refused(self.refusal(answer, body.ok(), request_id)));
        }
        let strange = |what: String| Err(ApiError::Strange { what, request_id: request_id.clone() });
        if status.is_redirection() {
            let place = text_of(&answer.headers, LOCATION)
                .and_then(|text| self.base.join(&text).ok())
                .map_or_else(String::new, |url| format!(" to {}", crate::http::shown(&url)));
            return strange(format!("it is a redirect ({status}{place}), and the API key is not taken elsewhere"));
        }
        match body {
            Err(_) if answer.body.is_empty() => strange(format!("status {status} with an empty body")),
            Err(error) => strange(format!("status {status} with a body that is not JSON ({error})")),
            Ok(body) => {
                let next_range =
                    answer.headers.get(NEXT_RANGE).filter(|_| status == StatusCode::PARTIAL_CONTENT).cloned();
                Ok(Reply { body, next_range, request_id })
            }
        }
    }

    fn refusal(&self, answer: &Answer, body: Option<Value>, request_id: String) -> Refusal {
        let field = |name: &str| {
            let text = body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str).unwrap_or_default();
            self.presentable(text)
        };
        let asked = text_of(&answer.headers, RETRY_AFTER).and_then(|text| self.retry_after(&text));
        let retry_after = if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let now = self.now();
            Some(self.budget().refused(asked, now))
        } else {
            asked
        };
        Refusal {
            status: answer.status.as_u16(),
            id: field("id"),
            message: field("message"),
            resource: field("resource"),
            request_id,
            retry_after,
        }
    }

    /// Seconds, or a date (RFC 9110, section 10.2.3).
    fn retry_after(&self, text: &str) -> Option<Duration> {
        if let Ok(seconds) = text.trim().parse::<u32>() {
            return Some(Duration::from_secs(seconds.into()));
        }
        let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
        let wait = date.duration_since(self.clock.now().civil);
        Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
    }

    /// Somebody else's words, fit to be shown: short, on one line, without the key.
    fn presentable(&self, text: &str) -> String {
        let without_key = text.replace(self.key.reveal(), Secret::SHOWN);
        let one_line = without_key.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut short: String = one_line.chars().filter(|letter| !letter.is_control()).take(LONGEST_MESSAGE).collect();
        if short.len() < one_line.len() {
            short.push('…');
        }
        short
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        url
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Between half and one and a half times as long, so that bots that failed together do not come back together.
#[must_use]
pub fn jittered(length: Duration) -> Duration {
    // A version 4 UUID is random where it does not say that it is one; 16 bits of that are plenty here.
    let [.., high, low] = Uuid::new_v4().into_bytes();
    let share = f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX);
    length.mul_f64(0.5 + share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn api() -> Api {
        let base = Url::parse("http://127.0.0.1:9/prefix/").unwrap();
        let clock = Arc::new(SystemClock::new());
        Api::new(base, Secret::new("swordfish"), "f".to_owned(), &HttpClients::default(), clock)
    }

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
    }

    fn read(api: &Api, answer: &Answer) -> Result<Reply, ApiError> {
        api.read(answer, "own".to_owned())
    }

    #[test]
    fn an_address_with_a_path_keeps_it() {
        assert_eq!(api().url("/apps/a").as_str(), "http://127.0.0.1:9/prefix/apps/a");
    }

    #[test]
    fn a_page_from_an_edge_proxy_is_a_refusal_without_words() {
        let error = read(&api(), &answer(503, &[], "<html>Application Error</html>")).unwrap_err();
        let ApiError::Refused(refusal) = error else { panic!("{error:?}") };
        assert_eq!((refusal.status, refusal.id.as_str(), refusal.message.as_str()), (503, "", ""));
        assert_eq!(refusal.request_id, "own");
    }

    #[test]
    fn a_good_status_without_json_is_no_answer() {
        for body in ["", "<html>", "{\"quantity\":"] {
            let error = read(&api(), &answer(200, &[("request-id", "r1")], body)).unwrap_err();
            assert!(matches!(&error, ApiError::Strange { request_id, .. } if request_id == "r1"), "{error:?}");
            assert!(!error.may_pass());
        }
    }

    #[test]
    fn a_redirect_is_named_and_not_followed() {
        let error = read(&api(), &answer(302, &[("location", "https://elsewhere.example/x?token=1")], "")).unwrap_err();
        let ApiError::Strange { what, .. } = error else { panic!("{error:?}") };
        assert!(what.contains("https://elsewhere.example/x") && !what.contains("token"), "{what}");
    }

    #[test]
    fn a_server_that_repeats_the_key_does_not_make_us_show_it() {
        let body = r#"{"id":"unauthorized","message":"no such key: swordfish\nsorry"}"#;
        let ApiError::Refused(refusal) = read(&api(), &answer(401, &[], body)).unwrap_err() else { panic!() };
        assert_eq!(refusal.message, "no such key: (secret) sorry");
    }

    #[test]
    fn every_answer_tells_the_budget_what_is_left() {
        let api = api();
        read(&api, &answer(200, &[("ratelimit-remaining", "17")], "{}")).unwrap();
        let now = api.now();
        assert!(api.budget().tokens(now) < 18.0);
        assert!(matches!(api.budget().take(Purpose::Optional, now), Err(Scarce { told: false, .. })));
    }

    #[test]
    fn retry_after_is_read_in_both_spellings() {
        let api = api();
        assert_eq!(api.retry_after("12"), Some(Duration::from_secs(12)));
        assert_eq!(api.retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = api.clock.now().civil + jiff::SignedDuration::from_secs(90);
        let text = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let wait = api.retry_after(&text).unwrap();
        assert!((Duration::from_secs(85)..=Duration::from_secs(91)).contains(&wait), "{wait:?}");
        assert_eq!(api.retry_after("soon"), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_never_a_fourth_time() {
        let refused = |status, retry_after| ApiError::Refused(Refusal { status, retry_after, ..Refusal::default() });
        for status in [500, 502, 503, 504, 409, 429] {
            assert!(refused(status, None).pause(1).is_some(), "{status}");
            assert!(refused(status, None).pause(MAX_TRIES).is_none(), "{status}");
        }
        for status in [400, 401, 402, 403, 404, 406, 412, 422, 501] {
            assert!(refused(status, None).pause(1).is_none(), "{status}");
        }
        assert!(refused(429, Some(Duration::from_secs(2))).pause(1) >= Some(Duration::from_secs(2)));
        assert!(refused(429, Some(Duration::from_secs(60))).pause(1).is_none());
    }
}
