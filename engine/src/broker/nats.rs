//! NATS servers: how to reach one, and one connection for all bots that use it.
//!
//! One connection carries the questions of all bots, each with an inbox of its own. When it breaks, the client's library
//! tries each server once more and then gives up; from there on we connect, with growing pauses and only when a bot asks,
//! so that nothing goes on in the background for a server that is gone. Only JetStream's own questions are asked; they
//! change nothing and may be asked twice.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Request, RequestErrorKind, ServerAddr};
use autoscalebot_core::registry::Problem;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::Mutex, time::timeout};
use url::form_urlencoded;

use super::pause::{self, Pause};
use crate::{clock::Clock, http, measurement::MeasureError, secret::Secret, shared::Shared};

/// Servers of one cluster that are tried.
const MOST_SERVERS: usize = 16;

/// How to reach a NATS server; flattened into the settings of every backend that needs one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The server: `nats://host:4222`, or `tls://host:4222` for a connection that must be encrypted; several of one
    /// cluster with commas between. User and password, or a token, may stand before the host.
    pub url: Secret,
    /// The user, if not in the address.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// A token instead of user and password.
    pub token: Secret,
    /// A file of credentials (`.creds`) instead, as `nsc` writes it.
    pub credentials_file: String,
    /// The content of such a file instead.
    pub credentials: Secret,
    /// A file with certificates (PEM) that are trusted beside those of the machine.
    pub ca_file: String,
    /// The domain of JetStream, if it has one.
    pub domain: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: Secret::new("nats://localhost:4222"),
            user: String::new(),
            password: Secret::default(),
            token: Secret::default(),
            credentials_file: String::new(),
            credentials: Secret::default(),
            ca_file: String::new(),
            domain: String::new(),
        }
    }
}

impl Settings {
    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.place().err().into_iter().collect();
        let ways = [
            ("password", !self.user.is_empty() || !self.password.is_empty()),
            ("token", !self.token.is_empty()),
            ("credentials_file", !self.credentials_file.is_empty()),
            ("credentials", !self.credentials.is_empty()),
        ];
        if let Some((path, _)) = ways.iter().filter(|(_, given)| *given).nth(1) {
            let found = "more than one way to say who we are";
            problems.push(Problem::new(
                *path,
                found,
                "USER and PASSWORD, or TOKEN, or CREDENTIALS_FILE, or CREDENTIALS",
            ));
        }
        if !self.credentials.is_empty() && ConnectOptions::with_credentials(self.credentials.reveal()).is_err() {
            let allowed = "the whole text of a .creds file, with its two blocks";
            problems.push(Problem::new("credentials", "these are no credentials of NATS", allowed));
        }
        if !is_token(&self.domain) {
            problems.push(Problem::new("domain", format!("{:?} is no domain", self.domain), "a name such as hub"));
        }
        problems
    }

    fn place(&self) -> Result<Place, Problem> {
        let allowed = "nats://host:4222 or tls://host:4222";
        let wrong = || Problem::new("url", "this is no address of a NATS server", allowed);
        let mut place = Place { servers: Vec::new(), shown: Vec::new(), user: String::new(), password: None };
        for part in self.url.reveal().split(',').map(str::trim) {
            let with_scheme = if part.contains("://") { part.to_owned() } else { format!("nats://{part}") };
            let mut url: url::Url = with_scheme.parse().map_err(|_| wrong())?;
            let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
            place.shown.push(format!("{host}:{}", url.port().unwrap_or(4222)));
            if !url.username().is_empty() {
                (place.user, place.password) = (decoded(url.username()), url.password().map(decoded));
            }
            // Secrets are handed over apart, so that no error of the library can repeat them with the address.
            url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| wrong())?;
            place.servers.push(ServerAddr::from_url(url).map_err(|_| wrong())?);
        }
        let is_spoken = |server: &ServerAddr| matches!(server.scheme(), "nats" | "tls");
        if place.servers.is_empty() || place.servers.len() > MOST_SERVERS || !place.servers.iter().all(is_spoken) {
            return Err(wrong());
        }
        Ok(place)
    }

    async fn options(&self, place: &Place) -> Result<ConnectOptions, MeasureError> {
        let mut options = if !self.credentials.is_empty() {
            ConnectOptions::with_credentials(self.credentials.reveal()).map_err(|_| unreadable("CREDENTIALS"))?
        } else if !self.credentials_file.is_empty() {
            let read = ConnectOptions::with_credentials_file(PathBuf::from(&self.credentials_file)).await;
            read.map_err(|_| unreadable(&format!("the file {}", self.credentials_file)))?
        } else if !self.token.is_empty() {
            ConnectOptions::with_token(self.token.reveal().to_owned())
        } else if !self.user.is_empty() {
            ConnectOptions::with_user_and_password(self.user.clone(), self.password.reveal().to_owned())
        } else {
            match (place.user.as_str(), &place.password) {
                ("", _) => ConnectOptions::new(),
                (token, None) => ConnectOptions::with_token(token.to_owned()),
                (user, Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.clone()),
            }
        };
        if !self.ca_file.is_empty() {
            options = options.add_root_certificates(PathBuf::from(&self.ca_file));
        }
        // One try for each server; what comes after that is ours to decide.
        Ok(options.max_reconnects(place.servers.len()).ignore_discovered_servers().name("autoscalebot"))
    }

    /// Tells one server, and one way of reaching it, from another. Holds secrets.
    fn key(&self) -> String {
        let Self { url, user, password, token, credentials_file, credentials, ca_file, domain } = self;
        let secrets = [url, password, token, credentials].map(Secret::reveal);
        format!("{secrets:?} {:?}", [user, credentials_file, ca_file, domain])
    }
}

/// Where servers are, and who may have been named in their addresses.
struct Place {
    servers: Vec<ServerAddr>,
    shown: Vec<String>,
    user: String,
    password: Option<String>,
}

/// A NATS server or cluster, shared by all bots that use it.
pub struct Server {
    settings: Settings,
    place: Place,
    shown: String,
    /// What questions to JetStream begin with.
    prefix: String,
    clock: Arc<dyn Clock>,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    client: Option<Client>,
    /// Which client it is, so that only the one who saw it break takes it away.
    number: u64,
    pause: Pause,
}

impl Server {
    /// The server that these settings reach; the same one for the same settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When the settings are no address.
    pub fn of(settings: &Settings, shared: &Shared) -> Result<Arc<Self>, Problem> {
        // The library's TLS uses the program's provider, which the first HTTP client installs.
        drop(shared.http.get(http::Connecting { reuse: true, follow_redirects: false }));
        shared.pool.get_or_try_make(&settings.key(), || {
            let place = settings.place()?;
            let prefix = match settings.domain.as_str() {
                "" => "$JS.API".to_owned(),
                domain => format!("$JS.{domain}.API"),
            };
            let shown = format!("NATS at {}", place.shown.join(", "));
            Ok(Self {
                settings: settings.clone(),
                place,
                shown,
                prefix,
                clock: shared.clock.clone(),
                link: Mutex::default(),
            })
        })
    }

    /// `NATS at localhost:4222`
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks JetStream, within `limit` in all: `CONSUMER.INFO.jobs.worker`.
    ///
    /// # Errors
    /// When nobody answers, or not with a JSON object. That the answer may be an error of JetStream's is for the caller.
    pub async fn ask(&self, question: &str, payload: &Value, limit: Duration) -> Result<Value, MeasureError> {
        let waits_for = AtomicU64::new(0);
        if let Ok(answer) = timeout(limit, self.ask_patiently(question, payload, limit, &waits_for)).await {
            return answer;
        }
        self.forget(waits_for.load(Ordering::Relaxed)).await;
        Err(self.too_slow(limit))
    }

    /// Asks once, and once more if the connection was an old one that broke. `waits_for` is the number of the client that
    /// has the question.
    async fn ask_patiently(
        &self,
        question: &str,
        payload: &Value,
        limit: Duration,
        waits_for: &AtomicU64,
    ) -> Result<Value, MeasureError> {
        let payload = if payload.is_null() { Bytes::new() } else { Bytes::from(payload.to_string()) };
        let subject = format!("{}.{question}", self.prefix);
        loop {
            let (client, number, is_new) = self.client(limit).await?;
            waits_for.store(number, Ordering::Relaxed);
            let request = Request::new().payload(payload.clone()).timeout(None);
            match client.send_request(subject.clone(), request).await {
                Ok(message) => {
                    let answer = serde_json::from_slice::<Value>(&message.payload).ok().filter(Value::is_object);
                    let what = "answers with something that is no answer of JetStream";
                    return answer.ok_or_else(|| self.error("broker_error", what));
                }
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                    let what = "has no JetStream for us; is it enabled for this account, and is DOMAIN right?";
                    return Err(self.error("no_jetstream", what));
                }
                Err(_) => {
                    self.forget(number).await;
                    if is_new {
                        return Err(self.error("connection", "closed the connection"));
                    }
                }
            }
        }
    }

    async fn client(&self, limit: Duration) -> Result<(Client, u64, bool), MeasureError> {
        let mut link = self.link.lock().await;
        if let Some(client) = &link.client {
            return Ok((client.clone(), link.number, false));
        }
        link.pause.check(&self.clock.now())?;
        let patience = pause::patience(limit);
        let connecting = async {
            let options = self.settings.options(&self.place).await?.connection_timeout(patience);
            options.connect(&self.place.servers[..]).await.map_err(|error| self.failed(&error))
        };
        let connected = timeout(patience, connecting).await.unwrap_or_else(|_| Err(self.too_slow(patience)));
        match connected {
            Ok(client) => {
                link.pause.succeeded();
                link.number += 1;
                link.client = Some(client.clone());
                Ok((client, link.number, true))
            }
            Err(error) => {
                link.pause.failed(&error, &self.clock.now());
                Err(error)
            }
        }
    }

    async fn forget(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.number == number {
            link.client = None;
        }
    }

    fn failed(&self, error: &async_nats::ConnectError) -> MeasureError {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
        let is_refused = source.is_some_and(|source| source.kind() == std::io::ErrorKind::ConnectionRefused);
        // A handshake that fails is told as input or output that failed.
        let is_tls = source.and_then(std::io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>());
        match error.kind() {
            _ if is_refused => self.error("refused", "refuses connections; does it run, and is URL right?"),
            kind if is_tls || kind == ConnectErrorKind::Tls => {
                self.error("tls", "offers no safe connection; check URL and CA_FILE")
            }
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                self.error("unauthorized", "refuses who we say we are, or wants to know it; check the credentials")
            }
            ConnectErrorKind::Dns => self.error("dns", "has no address; check URL"),
            ConnectErrorKind::TimedOut => self.error("timeout", "did not answer in time"),
            _ => self.error("connection", "did not take the connection"),
        }
    }

    fn too_slow(&self, limit: Duration) -> MeasureError {
        self.error("timeout", &format!("did not answer within {:.1} s", limit.as_secs_f64()))
    }

    fn error(&self, key: &'static str, what: &str) -> MeasureError {
        MeasureError::unknown(key, format!("{} {what}", self.shown))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("at", &self.shown).finish_non_exhaustive()
    }
}

/// Whether a name may be a part of a subject: no dot, wildcard or space.
#[must_use]
pub fn is_token(name: &str) -> bool {
    !name.contains(|letter: char| letter.is_whitespace() || letter.is_control() || ".*>/\\".contains(letter))
}

fn unreadable(what: &str) -> MeasureError {
    MeasureError::unknown("unauthorized", format!("{what} holds no credentials of NATS that can be read"))
}

/// What an address escapes as `%40`.
fn decoded(text: &str) -> String {
    let pair = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_without_keeping_its_secrets_in_sight() {
        let place = |url: &str| Settings { url: Secret::new(url), ..Settings::default() }.place();
        let one = place("nats://app:p%40ss+word@a.example.com,tls://b.example.com:4333").unwrap();
        assert_eq!(one.shown, ["a.example.com:4222", "b.example.com:4333"]);
        assert_eq!((one.user.as_str(), one.password.as_deref()), ("app", Some("p@ss+word")));
        assert!(!format!("{:?}", one.servers).contains("ss+word"));
        assert_eq!(place("localhost").unwrap().shown, ["localhost:4222"]);
        for url in ["", "http://localhost", "nats://", "nats://app:hunter2@host:port", "ws://localhost"] {
            let problem = place(url).err().unwrap_or_else(|| panic!("{url}"));
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn there_is_one_way_to_say_who_we_are() {
        let both = Settings { token: Secret::new("t"), user: "app".to_owned(), ..Settings::default() };
        assert_eq!(both.problems().len(), 1);
        let wrong = Settings { credentials: Secret::new("hunter2"), domain: "a.b".to_owned(), ..Settings::default() };
        let problems: Vec<String> = wrong.problems().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2);
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
    }
}
