//! HTTP as every backend uses it: one client per way of connecting, a time-out on the whole exchange, a bounded body.
//!
//! Errors are sorted here, once, into the few kinds that matter to people and policies. Texts never contain a URL's
//! password or query string.

use std::{
    collections::HashMap,
    error::Error as _,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Client, RequestBuilder, StatusCode, Url, header::HeaderMap, redirect};

/// How we introduce ourselves.
pub const USER_AGENT: &str = concat!("autoscalebot/", env!("CARGO_PKG_VERSION"));

/// Redirects followed before we give up; more are a loop in practice.
pub const MAX_REDIRECTS: usize = 5;

/// Idle connections kept per host. More help only when more bots than this measure one host in the same moment.
const MAX_IDLE_PER_HOST: usize = 32;

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connecting {
    /// Whether connections are kept for the next request. Without it every request pays for its own, as a new visitor.
    pub reuse: bool,
    /// Whether redirects are followed, up to [`MAX_REDIRECTS`].
    pub follow_redirects: bool,
}

/// Clients by how they connect; made when first asked for.
#[derive(Debug, Default)]
pub struct HttpClients {
    clients: Mutex<HashMap<Connecting, Client>>,
}

impl HttpClients {
    /// The client that connects this way.
    ///
    /// # Panics
    /// When the machine offers no TLS at all, which the first call in the program finds out.
    pub fn get(&self, connecting: Connecting) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(connecting).or_insert_with(|| build(connecting)).clone()
    }
}

fn build(connecting: Connecting) -> Client {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // One TLS provider for the whole program. An error means that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let redirects =
        if connecting.follow_redirects { redirect::Policy::limited(MAX_REDIRECTS) } else { redirect::Policy::none() };
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirects)
        .pool_max_idle_per_host(if connecting.reuse { MAX_IDLE_PER_HOST } else { 0 })
        .referer(false)
        .build()
        .expect("an HTTP client can be built from constant options")
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no complete answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It took too long.
    #[error("no complete answer from {url} within {} s", .after.as_secs_f64())]
    Timeout {
        /// Whom we asked.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// The host has no address.
    #[error("the host of {url} has no address: {cause}")]
    Dns {
        /// Whom we asked.
        url: String,
        /// What the resolver said.
        cause: String,
    },
    /// Nobody answers there, or the connection broke.
    #[error("no connection to {url}: {cause}")]
    Connection {
        /// Whom we asked.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// The body is longer than we read.
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLong {
        /// Whom we asked.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// Anything else.
    #[error("the request to {url} failed: {cause}")]
    Other {
        /// Whom we asked.
        url: String,
        /// What the library said.
        cause: String,
    },
}

impl FetchError {
    /// Stable word for the kind.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Dns { .. } => "dns",
            Self::Connection { .. } => "connection",
            Self::TooLong { .. } => "too_long",
            Self::Other { .. } => "request_failed",
        }
    }
}

/// Sends a request and reads the whole answer, within `timeout` in all and at most `longest_body` bytes.
///
/// # Errors
/// When there is no complete answer. A 4xx or 5xx is an answer.
pub async fn fetch(request: RequestBuilder, timeout: Duration, longest_body: usize) -> Result<Answer, FetchError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| other("?", &error))?;
    let url = shown(request.url());
    let exchange = async {
        let mut response = client.execute(request).await.map_err(|error| sort(&url, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| sort(&url, &error))? {
            if body.len() + chunk.len() > longest_body {
                return Err(FetchError::TooLong { url: url.clone(), limit: longest_body });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: Bytes::from(body) })
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Timeout { url: url.clone(), after: timeout }),
    }
}

/// A URL for people: without user, password, query and fragment, any of which may hold a secret.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have a user, and those have none to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn sort(url: &str, error: &reqwest::Error) -> FetchError {
    let (url, cause) = (url.to_owned(), root_cause(error));
    if cause.contains("dns error") || cause.contains("failed to lookup address") {
        FetchError::Dns { url, cause }
    } else if error.is_connect() || error.is_body() || is_broken_connection(error) {
        FetchError::Connection { url, cause }
    } else {
        FetchError::Other { url, cause }
    }
}

fn other(url: &str, error: &reqwest::Error) -> FetchError {
    FetchError::Other { url: url.to_owned(), cause: root_cause(error) }
}

fn is_broken_connection(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<std::io::Error>() || error.is::<hyper::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The innermost words: the outer ones repeat the URL, which may hold secrets.
fn root_cause(error: &reqwest::Error) -> String {
    let mut words = match error.source() {
        None => return error.to_string().split(" for url").next().unwrap_or_default().to_owned(),
        Some(source) => vec![source.to_string()],
    };
    let mut source = error.source().and_then(std::error::Error::source);
    while let Some(error) = source {
        let text = error.to_string();
        if words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
        source = error.source();
    }
    words.join(": ")
}
