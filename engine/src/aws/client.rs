//! A signed question to a service of AWS, as JSON over HTTP.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use autoscalebot_core::registry::Problem;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::{RequestBuilder, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use super::credentials::Source;
use crate::{
    clock::Clock,
    environment,
    http::{self, Answer, Connecting, FetchError},
    measurement::MeasureError,
    secret::Secret,
    shared::Shared,
};

/// Answers to our questions are a few hundred bytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Pauses before the second and the third try. A service that is overloaded for longer is asked again at the next tick.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// How AWS is reached; flattened into the settings of every backend that asks it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The region, such as `eu-central-1`. Without it, that of the queue's address, `AWS_REGION` or `AWS_DEFAULT_REGION`.
    pub region: String,
    /// Another address of the service, for servers that speak its language: `http://localhost:4566`.
    pub endpoint_url: String,
    /// The access key, if not from `AWS_ACCESS_KEY_ID` or the role of the container or machine.
    pub access_key_id: Secret,
    /// The secret of the access key.
    pub secret_access_key: Secret,
    /// The token of a key that was lent for some time.
    pub session_token: Secret,
}

impl Settings {
    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !self.endpoint_url.is_empty() && !self.endpoint_url.parse().is_ok_and(|url| is_http(&url)) {
            let found = "this is no address";
            problems.push(Problem::new("endpoint_url", found, "an address such as http://localhost:4566"));
        }
        if self.region.contains(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-') {
            problems.push(Problem::new("region", format!("{:?} is no region", self.region), "such as eu-central-1"));
        }
        if self.access_key_id.is_empty() != self.secret_access_key.is_empty() {
            let (path, found) = match self.access_key_id.is_empty() {
                true => ("access_key_id", "the secret of a key without the key"),
                false => ("secret_access_key", "a key without its secret"),
            };
            problems.push(Problem::new(path, found, "both ACCESS_KEY_ID and SECRET_ACCESS_KEY, or neither"));
        }
        problems
    }
}

/// One service in one region, asked as one user.
pub struct Client {
    /// `sqs`: what is signed for.
    service: &'static str,
    region: String,
    endpoint: Url,
    shown: String,
    given: Option<Credentials>,
    source: Arc<Source>,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
}

impl Client {
    /// A service as settings say; where they are silent, `endpoint` and `region` are what else is known, such as from the
    /// address of a queue.
    ///
    /// # Errors
    /// When nobody says in which region.
    pub fn new(
        service: &'static str,
        settings: &Settings,
        endpoint: Option<Url>,
        region: Option<String>,
        shared: &Shared,
    ) -> Result<Self, Problem> {
        let variable = |variable: environment::Variable| shared.host.environment.get(variable.name).map(str::to_owned);
        let region = Some(settings.region.clone()).filter(|region| !region.is_empty()).or(region);
        let region = region.or_else(|| variable(environment::AWS_REGION));
        let region = region.or_else(|| variable(environment::AWS_DEFAULT_REGION)).ok_or_else(|| {
            Problem::new("region", "nobody says in which region of AWS", "REGION, or the variable AWS_REGION")
        })?;
        let of_region = || {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://{service}.{region}.amazonaws.com{suffix}/")
        };
        let endpoint = match settings.endpoint_url.as_str() {
            "" => endpoint.map_or_else(|| of_region().parse(), Ok),
            given => given.parse(),
        };
        let wrong = |_| Problem::new("region", format!("{region:?} is no region"), "such as eu-central-1");
        let endpoint: Url = endpoint.map_err(wrong)?;
        let (id, secret) = (settings.access_key_id.reveal(), settings.secret_access_key.reveal());
        let token = Some(settings.session_token.reveal().to_owned()).filter(|token| !token.is_empty());
        let given = (!id.is_empty()).then(|| Credentials::new(id, secret, token, None, "settings"));
        let shown = format!("{} at {}", service.to_uppercase(), http::shown(&endpoint).trim_end_matches('/'));
        Ok(Self {
            service,
            region,
            endpoint,
            shown,
            given,
            source: Source::of(shared),
            clock: shared.clock.clone(),
            http: shared.http.get(Connecting { reuse: true, follow_redirects: false }),
        })
    }

    /// `SQS at https://sqs.eu-central-1.amazonaws.com`
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks, within `limit` in all: a few times, when the service is overloaded.
    ///
    /// # Errors
    /// When there is no answer, or the service refuses.
    pub async fn ask(&self, target: &str, question: &Value, limit: Duration) -> Result<Value, MeasureError> {
        match timeout(limit, self.ask_patiently(target, question, limit)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.error("timeout", &format!("did not answer within {:.1} s", limit.as_secs_f64()))),
        }
    }

    async fn ask_patiently(&self, target: &str, question: &Value, limit: Duration) -> Result<Value, MeasureError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let (error, again) = match self.ask_once(target, question, limit).await? {
                Ok(answer) if answer.status.is_success() => {
                    let json = serde_json::from_slice(&answer.body);
                    return json.map_err(|_| self.error("bad_json", "answers with something that is no JSON"));
                }
                Ok(answer) => self.refused(&answer).await,
                Err(error) => {
                    let again = matches!(error, FetchError::Broken { .. } | FetchError::Connection { .. });
                    (MeasureError::unknown(error.key(), error.to_string()), again)
                }
            };
            match pauses.next() {
                Some(pause) if again => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    async fn ask_once(
        &self,
        target: &str,
        question: &Value,
        limit: Duration,
    ) -> Result<Result<Answer, FetchError>, MeasureError> {
        let credentials = match &self.given {
            Some(given) => given.clone(),
            None => self.source.get().await?,
        };
        let request = self.signed(target, question.to_string(), credentials);
        let request = request.ok_or_else(|| self.error("request_failed", "cannot be asked: nothing can be signed"))?;
        Ok(http::fetch(request, limit, LONGEST_ANSWER).await)
    }

    /// The whole request. Source of the protocol: AWS JSON 1.0, signature version 4.
    fn signed(&self, target: &str, body: String, credentials: Credentials) -> Option<RequestBuilder> {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        let identity = credentials.into();
        let seconds = u64::try_from(self.clock.now().civil.as_second()).ok()?;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_secs(seconds))
            .settings(SigningSettings::default())
            .build()
            .ok()?;
        let body_to_sign = SignableBody::Bytes(body.as_bytes());
        let to_sign = SignableRequest::new("POST", self.endpoint.as_str(), headers.into_iter(), body_to_sign).ok()?;
        let (instructions, _) = sign(to_sign, &parameters.into()).ok()?.into_parts();
        let mut request = self.http.post(self.endpoint.clone());
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        Some(request.body(body))
    }

    /// The error that an answer is, and whether to ask again. Its words may repeat an account or a key, so only the
    /// service's code is looked at.
    async fn refused(&self, answer: &Answer) -> (MeasureError, bool) {
        let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let code = json["__type"].as_str().unwrap_or_default();
        let code: String = code.rsplit(['#', '.']).next().unwrap_or_default().chars().take(60).collect();
        let status = answer.status.as_u16();
        let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
        if has(&["Throttl", "TooManyRequests", "RequestLimit", "SlowDown"]) || status == 429 {
            return (self.error("rate_limited", "wants to be asked less often"), true);
        }
        if answer.status.is_server_error() {
            return (self.error("server_error", &format!("has trouble of its own (status {status})")), true);
        }
        if has(&["ExpiredToken"]) && self.given.is_none() {
            self.source.forget().await;
            return (self.error("unauthorized", "says that our credentials have ended"), true);
        }
        let error = if has(&["NonExistentQueue", "QueueDoesNotExist"]) {
            self.error("missing", "has no such queue in this region and account")
        } else if has(&["RequestExpired", "TimeTooSkewed", "InvalidSignatureException"]) {
            self.error("unauthorized", "refuses the signature; are SECRET_ACCESS_KEY and this machine's clock right?")
        } else if has(&["AccessDenied", "NotAuthorized"]) {
            self.error("forbidden", "does not let these credentials ask that")
        } else if has(&["Token", "Signature", "Credential", "AccessKey", "Unrecognized", "OptInRequired"]) {
            self.error("unauthorized", &format!("refuses the credentials ({code})"))
        } else {
            self.error("refused_by_service", &format!("refuses the question (status {status} {code})"))
        };
        (error, false)
    }

    fn error(&self, key: &'static str, what: &str) -> MeasureError {
        MeasureError::unknown(key, format!("{} {what}", self.shown))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("at", &self.shown).finish_non_exhaustive()
    }
}
