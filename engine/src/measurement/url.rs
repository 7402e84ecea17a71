//! What measurements of a URL share: which address they ask, how they ask it, and what an answer that is none means.
//!
//! An address is settled when the backend is built, so that a measurement only has to send a request. The one exception
//! is a relative MEASUREMENT_URL without a BASE_URL: then the platform is asked where the app answers, once.
//!
//! Redirects are followed here and not by the HTTP library, because HEADERS may hold secrets: they go to the host that
//! they were written for and to no other. What is refused: any scheme but http and https, and any reading from an answer
//! that is not a success.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use autoscalebot_core::{
    registry::Problem,
    sample::CountsAs,
    units::{Seconds, in_words},
};
use bytes::Bytes;
use reqwest::{
    Client, Method, Request, Response, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::OnceCell;

use super::{Context, MeasureError};
use crate::{
    http::{self, Connecting, FetchError, MAX_REDIRECTS, shown},
    scaling::Scale,
    secret::Secret,
};

/// How long the platform may take to say where the app answers. Longer than any healthy API takes, and shorter than a
/// measurement's own time-out, which does not cover this question.
const WEB_URL_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers that would break the request's framing instead of describing it.
const NOT_YOURS: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// What a time-out or a 5xx says about the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OnTimeout {
    /// The app has too little capacity: the sample counts as high.
    #[default]
    High,
    /// Nothing: the sample is unknown.
    Hold,
}

/// A URL in settings, as it was written. It may hold a password or a token, so it is shown without.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct UrlText(String);

impl UrlText {
    /// The `format` by which its settings are known in a JSON Schema.
    pub const FORMAT: &'static str = "uri-reference";

    /// Takes a text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. To be called where it is parsed, nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UrlText {
    /// Without user, password, query and fragment; also when the text is no URL.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visible = self.0.split(['?', '#']).next().unwrap_or_default();
        let hidden = if visible.len() < self.0.len() { "?…" } else { "" };
        let (scheme, rest) = visible.split_at(visible.find("//").map_or(0, |slashes| slashes + 2));
        let end = rest.find(['/', '\\']).unwrap_or(rest.len());
        let host = rest[..end].rsplit('@').next().unwrap_or_default();
        write!(formatter, "{scheme}{host}{}{hidden}", &rest[end..])
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_string())
    }
}

impl Serialize for UrlText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for UrlText {
    fn schema_name() -> Cow<'static, str> {
        "Url".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": Self::FORMAT})
    }
}

/// The settings of a backend that decide how a URL is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// MEASUREMENT_URL.
    pub measurement_url: &'a UrlText,
    /// BASE_URL.
    pub base_url: Option<&'a UrlText>,
    /// HEADERS.
    pub headers: &'a BTreeMap<String, Secret>,
    /// TIMEOUT_SECONDS.
    pub timeout_seconds: Seconds,
    /// REUSE_CONNECTIONS.
    pub reuse_connections: bool,
    /// ON_TIMEOUT.
    pub on_timeout: OnTimeout,
}

impl Asking<'_> {
    /// Everything that is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.address().err().into_iter().collect::<Vec<_>>();
        if self.timeout_seconds.duration().is_zero() {
            problems.push(Problem::new("timeout_seconds", "found 0", "more than 0"));
        }
        problems.extend(self.headers.iter().filter_map(|(name, value)| header(name, value).err()));
        problems
    }

    /// The same, ready to be asked.
    ///
    /// # Errors
    /// The first of the problems.
    pub fn endpoint(&self, context: &Context) -> Result<Endpoint, Problem> {
        let headers = self.headers.iter().map(|(name, value)| header(name, value)).collect::<Result<HeaderMap, _>>()?;
        let client = |reuse| context.shared.http.get(Connecting { reuse, follow_redirects: false });
        let once = client(false);
        let address = match self.address()? {
            Address::Known(url) => Place::Known(Box::new(request(&once, url, &headers)?)),
            Address::OfPlatform(path) => Place::OfPlatform(Box::new(Unplaced {
                path,
                headers,
                platform: context.platform.clone(),
                found: OnceCell::new(),
            })),
        };
        Ok(Endpoint {
            client: if self.reuse_connections { client(true) } else { once.clone() },
            again: self.reuse_connections.then_some(once),
            place: address,
            timeout: self.timeout_seconds.duration(),
            on_timeout: self.on_timeout,
        })
    }

    fn address(&self) -> Result<Address, Problem> {
        let text = self.measurement_url.reveal();
        if text.starts_with('/') && !text.starts_with("//") {
            let Some(base) = self.base_url else { return Ok(Address::OfPlatform(text.to_owned())) };
            let base = web_url(base, "base_url", "the address of the app, as in https://www.example.com")?;
            let joined = base.join(text).map_err(|error| {
                Problem::new("measurement_url", format!("{} is no path: {error}", self.measurement_url), "")
            });
            return joined.map(Address::Known);
        }
        let allowed = "a path that begins with /, or a whole URL that begins with http:// or https://";
        web_url(self.measurement_url, "measurement_url", allowed).map(Address::Known)
    }
}

enum Address {
    Known(Url),
    OfPlatform(String),
}

/// An http or https URL from settings.
fn web_url(text: &UrlText, path: &str, allowed: &str) -> Result<Url, Problem> {
    let url = Url::parse(text.reveal())
        .map_err(|error| Problem::new(path, format!("{:?} is no URL: {error}", text.to_string()), allowed))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Problem::new(path, format!("{:?} is neither http nor https", text.to_string()), allowed));
    }
    Ok(url)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), Problem> {
    let path = format!("headers.{name}");
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(Problem::new("headers", format!("{name:?} is not the name of a header"), "a name such as Accept"));
    };
    if NOT_YOURS.contains(&parsed.as_str()) {
        return Err(Problem::new(path, "this header is set by the connection itself", "any other header"));
    }
    let Ok(mut value) = HeaderValue::from_str(value.reveal()) else {
        return Err(Problem::new(path, "its value holds a character that no header may hold", "visible ASCII"));
    };
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// A request that is sent as often as wanted. The library moves user and password of the URL into a header.
fn request(client: &Client, url: Url, headers: &HeaderMap) -> Result<Request, Problem> {
    let visible = shown(&url);
    let built = client.get(url).headers(headers.clone()).build();
    built.map_err(|_| Problem::new("measurement_url", format!("{visible} cannot be asked"), "an http or https URL"))
}

/// A URL, ready to be asked again and again.
pub struct Endpoint {
    client: Client,
    /// For a second try when a kept connection turned out dead; its connections are new.
    again: Option<Client>,
    place: Place,
    timeout: Duration,
    on_timeout: OnTimeout,
}

enum Place {
    Known(Box<Request>),
    OfPlatform(Box<Unplaced>),
}

/// A path of an app whose address only the platform knows.
struct Unplaced {
    path: String,
    headers: HeaderMap,
    platform: std::sync::Arc<dyn Scale>,
    found: OnceCell<Request>,
}

/// What to do with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Read it, at most so many bytes.
    Keep(usize),
    /// Read it, at most so many bytes, and keep nothing of it.
    Forget(usize),
}

impl Endpoint {
    /// The request to send. Asks the platform for the app's address when nobody did so yet.
    ///
    /// # Errors
    /// When the platform does not know or does not say. That is never a sign of load.
    pub async fn target(&self) -> Result<&Request, MeasureError> {
        match &self.place {
            Place::Known(request) => Ok(request),
            Place::OfPlatform(unplaced) => unplaced.found.get_or_try_init(|| self.ask_platform(unplaced)).await,
        }
    }

    async fn ask_platform(&self, unplaced: &Unplaced) -> Result<Request, MeasureError> {
        let Unplaced { path, headers, platform, .. } = unplaced;
        let path = UrlText::new(path.as_str());
        let advice = "set BASE_URL to the app's address, or MEASUREMENT_URL to a whole URL";
        let unknown = |why: String| {
            MeasureError::unknown("no_base_url", format!("MEASUREMENT_URL {path} is relative, and {why}; {advice}"))
        };
        let base = match tokio::time::timeout(WEB_URL_TIMEOUT, platform.web_url()).await {
            Ok(Ok(Some(base))) => base,
            Ok(Ok(None)) => return Err(unknown("the platform knows no address of the app".to_owned())),
            Ok(Err(error)) => return Err(unknown(format!("the platform did not say where the app answers: {error}"))),
            Err(_) => {
                let limit = in_words(WEB_URL_TIMEOUT);
                return Err(unknown(format!("the platform did not say within {limit} where the app answers")));
            }
        };
        let of_app = format!("the platform says that the app answers at {}", shown(&base));
        let url = base.join(path.reveal()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| unknown(of_app.clone()))?;
        request(&self.client, url, headers).map_err(|_| unknown(of_app))
    }

    /// Asks `target` (from [`Endpoint::target`]) once and returns the body of a successful answer; an empty one when it
    /// is to be forgotten.
    ///
    /// # Errors
    /// Everything but a complete, successful answer in time.
    pub async fn get(&self, target: &Request, body: Body) -> Result<Bytes, MeasureError> {
        let failure = match tokio::time::timeout(self.timeout, self.exchange(target, body)).await {
            Ok(Ok(body)) => return Ok(body),
            Ok(Err(failure)) => failure,
            Err(_) => FetchError::Timeout { url: shown(target.url()), after: self.timeout }.into(),
        };
        Err(self.judge(failure))
    }

    async fn exchange(&self, target: &Request, body: Body) -> Result<Bytes, Failure> {
        let mut redirected: Option<Request> = None;
        for _ in 0..=MAX_REDIRECTS {
            let current = redirected.as_ref().unwrap_or(target);
            let response = self.send(current).await?;
            if response.status().is_success() {
                let read = match body {
                    Body::Keep(longest) => http::read(response, current.url(), longest).await?,
                    Body::Forget(longest) => {
                        http::read_and_forget(response, current.url(), longest).await?;
                        Bytes::new()
                    }
                };
                return Ok(read);
            }
            redirected = Some(redirect(current, &response)?);
        }
        Err(FetchError::Redirects { url: shown(target.url()) }.into())
    }

    /// Sends a request. A kept connection may be closed by the other side in the very moment it is used again (most
    /// servers close idle ones after a few seconds); that says nothing about the app, so it is asked anew.
    async fn send(&self, request: &Request) -> Result<Response, FetchError> {
        let first = http::send(&self.client, copy(request), request.url()).await;
        match (&first, &self.again) {
            (Err(FetchError::Broken { .. }), Some(client)) => http::send(client, copy(request), request.url()).await,
            _ => first,
        }
    }

    fn judge(&self, failure: Failure) -> MeasureError {
        let sign_of_load = match &failure {
            Failure::Fetch(error) => matches!(error, FetchError::Timeout { .. }),
            Failure::Status { status, .. } => status.is_server_error(),
            Failure::BadRedirect { .. } => false,
        };
        let counts_as =
            if sign_of_load && self.on_timeout == OnTimeout::High { CountsAs::High } else { CountsAs::Unknown };
        MeasureError { key: Cow::Borrowed(failure.key()), message: failure.to_string(), counts_as }
    }
}

/// The same request once more.
fn copy(request: &Request) -> Request {
    let mut copy = Request::new(Method::GET, request.url().clone());
    request.headers().clone_into(copy.headers_mut());
    copy
}

/// Where an answer that is no success sends us. Headers of the settings stay with their host.
fn redirect(from: &Request, response: &Response) -> Result<Request, Failure> {
    let (url, status) = (shown(from.url()), response.status());
    let followed = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| followed) else {
        return Err(Failure::Status { url, status });
    };
    let next = location.to_str().ok().and_then(|location| from.url().join(location).ok());
    let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https") && next.has_host()) else {
        return Err(Failure::BadRedirect { url, status });
    };
    let mut next = next;
    // Whoever answers does not get to say as whom we ask. Both fail only where there is nothing to remove.
    let _ = next.set_username("");
    let _ = next.set_password(None);
    let mut request = Request::new(Method::GET, next);
    if stays_with_host(from.url(), request.url()) {
        from.headers().clone_into(request.headers_mut());
    }
    Ok(request)
}

/// The same host and port, or the same host by TLS instead of plain.
fn stays_with_host(from: &Url, to: &Url) -> bool {
    let upgraded = from.scheme() == "http" && to.scheme() == "https" && from.port().is_none() && to.port().is_none();
    let same_door = from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    from.host() == to.host() && (same_door || upgraded)
}

/// Why there is no complete, successful answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{url} answers {status}{}", advice(*.status))]
    Status { url: String, status: StatusCode },
    #[error("{url} answers {status} and redirects to something that is no http or https URL")]
    BadRedirect { url: String, status: StatusCode },
}

impl Failure {
    fn key(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.key(),
            Self::Status { status, .. } if status.is_server_error() => "server_error",
            Self::Status { status, .. } if status.is_client_error() => "client_error",
            Self::Status { .. } => "unexpected_status",
            Self::BadRedirect { .. } => "bad_redirect",
        }
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => ": does the app accept requests for this host (ALLOWED_HOSTS in Django)?",
        401 | 403 => ": it wants to know who asks; set HEADERS (Authorization, say)",
        404 | 410 => ": is MEASUREMENT_URL right?",
        405 => ": it does not answer GET; is MEASUREMENT_URL right?",
        429 => ": it is asked too often; raise MEASUREMENT_INTERVAL_IN_SECONDS",
        _ => "",
    }
}

#[cfg(test)]
pub(crate) mod tests;
