//! Posts each notice as JSON to a URL, signed when there is a secret.
//!
//! ```text
//! POST <URL>
//! Content-Type: application/json
//! Autoscalebot-Delivery: <id>            the same however often it is tried
//! Autoscalebot-Event: scaled_up
//! Autoscalebot-Timestamp: <seconds>      Unix time of this attempt
//! Autoscalebot-Signature: v1=<hex>       HMAC-SHA256 of `<timestamp>.<body>`, with SECRET as the key
//! ```
//!
//! The timestamp is signed too, so that whoever overhears a delivery cannot send it again next week. A 2xx means
//! delivered; 429 and 5xx are tried again, as are time-outs and broken connections; any other answer is final, because a
//! repetition would be answered the same. Redirects are not followed: a signed body goes where the settings say, only.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    moment::Moment,
    registry::{Backend, Problem},
    units::Seconds,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{
    Client, RequestBuilder, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    Context, Notice, Notify, NotifyError,
    dispatch::DELIVERY_TIMEOUT,
    text::{as_json, key},
};
use crate::{
    http::{Answer, Connecting, FetchError, fetch},
    secret::Secret,
    shared::Shared,
};

/// The header with the notice's id.
pub const DELIVERY_HEADER: &str = "autoscalebot-delivery";
/// The header with the kind of event.
pub const EVENT_HEADER: &str = "autoscalebot-event";
/// The header with the Unix time of the attempt, in whole seconds.
pub const TIMESTAMP_HEADER: &str = "autoscalebot-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "autoscalebot-signature";

/// The longest answer that is read. Its content means nothing to us; receivers that answer with a page are fine.
const LONGEST_ANSWER: usize = 256 * 1024;

/// How deliveries connect: to the same few hosts again and again, and never elsewhere than the settings say.
const CONNECTING: Connecting = Connecting { reuse: true, follow_redirects: false };

/// Headers that the settings may not set, because they are made from the delivery.
const OWN_HEADERS: [&str; 8] = [
    DELIVERY_HEADER,
    EVENT_HEADER,
    TIMESTAMP_HEADER,
    SIGNATURE_HEADER,
    "content-type",
    "content-length",
    "transfer-encoding",
    "host",
];

/// Settings of `Webhook`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where notices are posted to: `https://…`. Kept secret, because such URLs often hold a token.
    pub url: Secret,
    /// The key of the signature, known to the receiver as well. Without it deliveries are not signed.
    pub secret: Option<Secret>,
    /// Further headers, such as `Authorization`. Their values are kept secret.
    pub headers: BTreeMap<String, Secret>,
    /// How long one attempt may take, in seconds; 60 at most.
    pub timeout: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: Secret::default(), secret: None, headers: BTreeMap::new(), timeout: Seconds::new(10) }
    }
}

/// The backend.
pub struct Webhook {
    post: Post,
    secret: Option<Secret>,
    headers: HeaderMap,
    shared: std::sync::Arc<Shared>,
}

impl Backend for Webhook {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Webhook";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(parse_url(&settings.url).err());
        problems.extend(timeout_problem(settings.timeout));
        if settings.secret.as_ref().is_some_and(Secret::is_empty) {
            let allowed = "a long random text, or leave it out for deliveries without a signature";
            problems.push(Problem::new("secret", "is empty", allowed));
        }
        problems.extend(settings.headers.iter().filter_map(|(name, value)| header(name, value).err()));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Notify>, Problem> {
        let headers = settings.headers.iter().map(|(name, value)| header(name, value)).collect::<Result<_, _>>()?;
        let post = Post::new(&settings.url, settings.timeout, &context.shared)?;
        Ok(Box::new(Self { post, secret: settings.secret, headers, shared: context.shared.clone() }))
    }
}

#[async_trait]
impl Notify for Webhook {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let (now, body) = (self.shared.clock.now(), as_json(notice).to_string());
        let timestamp = now.civil.as_second();
        let mut request = self
            .post
            .request()
            .headers(self.headers.clone())
            .header(DELIVERY_HEADER, notice.id.to_string())
            .header(EVENT_HEADER, key(&notice.event))
            .header(TIMESTAMP_HEADER, timestamp);
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE_HEADER, signature(secret, timestamp, &body)?);
        }
        let answer = self.post.send(request, body).await?;
        self.post.judge(&answer, &now)
    }

    fn remarks(&self) -> Vec<String> {
        self.post.remarks()
    }
}

/// `v1=` and the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`.
fn signature(secret: &Secret, timestamp: i64, body: &str) -> Result<String, NotifyError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .map_err(|_| NotifyError::lasting("SECRET cannot be used as a key; set another one"))?;
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("v1={hex}"))
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), Problem> {
    let path = format!("headers.{name}");
    let parsed = HeaderName::try_from(name)
        .map_err(|_| Problem::new(&path, "not a header name", "letters, digits and `-`, such as `Authorization`"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(Problem::new(&path, "this header is made from the delivery", "a header of another name"));
    }
    let mut value = HeaderValue::try_from(value.reveal()).map_err(|_| {
        Problem::new(&path, "the value has letters that a header cannot hold", "text without line breaks")
    })?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// A URL to post to; what all backends that speak HTTP have in common.
pub(super) struct Post {
    client: Client,
    url: Url,
    timeout: Duration,
}

impl Post {
    pub(super) fn new(url: &Secret, timeout: Seconds, shared: &Shared) -> Result<Self, Problem> {
        Ok(Self { client: shared.http.get(CONNECTING), url: parse_url(url)?, timeout: timeout.duration() })
    }

    pub(super) fn request(&self) -> RequestBuilder {
        self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json")
    }

    pub(super) async fn send(&self, request: RequestBuilder, body: String) -> Result<Answer, NotifyError> {
        let whom = self.whom();
        fetch(request.body(body), self.timeout, LONGEST_ANSWER).await.map_err(|error| {
            // Trying again helps against whatever may pass, and not against an answer that no receiver of notices gives.
            let lasting = matches!(error, FetchError::TooLong { .. } | FetchError::NotHttp { .. });
            // The URL may have a token in its path, so the error is told of the host alone.
            let message = error.of(&whom).to_string();
            if lasting { NotifyError::lasting(message + "; check the URL") } else { NotifyError::passing(message) }
        })
    }

    /// What an answer means for the delivery.
    pub(super) fn judge(&self, answer: &Answer, now: &Moment) -> Result<(), NotifyError> {
        let (whom, status) = (self.whom(), answer.status);
        let code = status.as_u16();
        if status.is_success() {
            return Ok(());
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) || status.is_server_error() {
            let retry_after = retry_after(&answer.headers, now);
            return Err(NotifyError { retry_after, ..NotifyError::passing(format!("{whom} answers {code}")) });
        }
        let advice = match code {
            300..=399 => "set the URL that it redirects to; redirects are not followed",
            401 | 403 => "it does not accept who we are; check the URL, and the token in it or in HEADERS",
            404 | 410 => "nobody receives notices at this URL; check it, or get a new one",
            _ => "it does not take what we send; check that the URL is for this purpose",
        };
        Err(NotifyError::lasting(format!("{whom} answers {code}: {advice}")))
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let loopback = match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if self.url.scheme() == "https" || loopback {
            return Vec::new();
        }
        vec![format!("notices to {} travel unencrypted, for anyone on the way to read; use https", self.whom())]
    }

    /// The receiver for people: without path and query, which may hold tokens.
    fn whom(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// # Errors
/// When it is not a URL to post to. The URL is not shown: it may hold a token.
pub(super) fn parse_url(url: &Secret) -> Result<Url, Problem> {
    let allowed = "an address such as https://example.org/hooks/1";
    if url.is_empty() {
        return Err(Problem::new("url", "is missing", allowed));
    }
    let parsed = Url::parse(url.reveal())
        .map_err(|error| Problem::new("url", format!("is not a URL ({error}; it is not shown here)"), allowed))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(Problem::new("url", format!("begins with {}:", parsed.scheme()), allowed));
    }
    Ok(parsed)
}

/// Time-outs must be something, and shorter than what the dispatcher allows a delivery.
pub(super) fn timeout_problem(timeout: Seconds) -> Option<Problem> {
    let limit = DELIVERY_TIMEOUT.as_secs();
    let fine = !timeout.duration().is_zero() && timeout.duration() <= DELIVERY_TIMEOUT;
    (!fine).then(|| {
        let found = format!("found {}", timeout.duration().as_secs_f64());
        Problem::new("timeout", found, format!("a number of seconds above 0, {limit} at most"))
    })
}

/// `Retry-After` as a span: whole seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: &Moment) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(now.civil)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::testing::{moment, shared};

    fn settings(value: serde_json::Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    fn problems(value: serde_json::Value) -> Vec<String> {
        Webhook::validate(&settings(value)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        // printf '1772350200.{"a":1}' | openssl dgst -sha256 -hmac 'correct horse'
        let made = signature(&Secret::new("correct horse"), 1_772_350_200, r#"{"a":1}"#).unwrap();
        assert_eq!(made, "v1=5ea25a3b5b18cf3294a0771cb6c499640df9050725cf9b4a4bd3158b1c00bfd1");
    }

    #[test]
    fn all_problems_are_found_and_none_shows_the_url() {
        let found = problems(json!({
            "url": "ftp://user:hunter2@example.org/token", "secret": "", "timeout": 61,
            "headers": {"Host": "x", "a b": "x", "Authorization": "Bearer hunter2\r\nX: y"},
        }));
        assert_eq!(found.len(), 6, "{found:#?}");
        assert!(found.iter().all(|problem| !problem.contains("hunter2") && !problem.contains("token")), "{found:#?}");
        assert_eq!(problems(json!({})), ["url: is missing; expected an address such as https://example.org/hooks/1"]);
        assert_eq!(problems(json!({"url": "https://example.org", "headers": {"Authorization": "Bearer x"}})), [""; 0]);
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date_and_nonsense_is_nothing() {
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers, &moment())
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 01 Mar 2026 07:30:20 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(asked("Sun, 01 Mar 2026 07:29:00 GMT"), None);
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn plain_http_is_remarked_upon_unless_it_stays_on_this_machine() {
        let remarks = |url: &str| {
            let settings = settings(json!({"url": url}));
            Webhook::build(settings, &Context { shared: shared() }).ok().unwrap().remarks()
        };
        let found = remarks("http://hooks.example.org/token");
        assert_eq!(
            found,
            ["notices to http://hooks.example.org travel unencrypted, for anyone on the way to read; use https"]
        );
        for url in ["https://hooks.example.org/", "http://localhost:1/", "http://127.0.0.1:1/", "http://[::1]:1/"] {
            assert_eq!(remarks(url), [""; 0], "{url}");
        }
    }
}
