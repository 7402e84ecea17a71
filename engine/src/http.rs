//! HTTP as every backend uses it: one client per way of connecting, a time-out on the whole exchange, a bounded body.
//!
//! Errors are sorted here, once, into the few kinds that matter to people and policies. Texts never contain a URL's
//! password or query string.

use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Certificate, Client, ClientBuilder, Request, RequestBuilder, Response, StatusCode, Url, header::HeaderMap, redirect,
};

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

/// A client that also trusts whom these certificates (PEM) vouch for, beside those whom the system trusts.
///
/// # Errors
/// When they are no certificates.
pub fn trusting(connecting: Connecting, certificates: &str) -> Result<Client, String> {
    let certificates = Certificate::from_pem_bundle(certificates.as_bytes()).map_err(|error| root_cause(&error))?;
    builder(connecting).tls_certs_merge(certificates).build().map_err(|error| root_cause(&error))
}

/// Makes TLS possible, for everything in the program that connects.
pub(crate) fn install_tls() {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // One TLS provider for the whole program. An error means that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn build(connecting: Connecting) -> Client {
    builder(connecting).build().expect("an HTTP client can be built from constant options")
}

fn builder(connecting: Connecting) -> ClientBuilder {
    install_tls();
    let redirects =
        if connecting.follow_redirects { redirect::Policy::limited(MAX_REDIRECTS) } else { redirect::Policy::none() };
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirects)
        .pool_max_idle_per_host(if connecting.reuse { MAX_IDLE_PER_HOST } else { 0 })
        .referer(false)
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
    /// Nobody listens there.
    #[error("{url} refuses connections: nobody listens there")]
    Refused {
        /// Whom we asked.
        url: String,
    },
    /// No connection for another reason: no route, no more ports.
    #[error("no connection to {url}: {cause}")]
    Connection {
        /// Whom we asked.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// The certificate or the handshake is not to be trusted, or the other side speaks no TLS.
    #[error("no safe connection to {url}: {cause}")]
    Tls {
        /// Whom we asked.
        url: String,
        /// What the TLS library said.
        cause: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {url} broke before the answer was complete: {cause}")]
    Broken {
        /// Whom we asked.
        url: String,
        /// What the system or the library said.
        cause: String,
    },
    /// What came is not HTTP.
    #[error("what {url} answers is not HTTP: {cause}")]
    NotHttp {
        /// Whom we asked.
        url: String,
        /// What the library said.
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
    /// It sends us on and on.
    #[error("{url} redirects more than {MAX_REDIRECTS} times")]
    Redirects {
        /// Whom we asked.
        url: String,
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
    /// The same error, told of `whom` instead of the URL, which may have a token in its path.
    #[must_use]
    pub fn of(mut self, whom: &str) -> Self {
        let (Self::Timeout { url, .. }
        | Self::Dns { url, .. }
        | Self::Refused { url }
        | Self::Connection { url, .. }
        | Self::Tls { url, .. }
        | Self::Broken { url, .. }
        | Self::NotHttp { url, .. }
        | Self::TooLong { url, .. }
        | Self::Redirects { url }
        | Self::Other { url, .. }) = &mut self;
        whom.clone_into(url);
        self
    }

    /// Stable word for the kind.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Dns { .. } => "dns",
            Self::Refused { .. } => "refused",
            Self::Connection { .. } => "connection",
            Self::Tls { .. } => "tls",
            Self::Broken { .. } => "connection_broken",
            Self::NotHttp { .. } => "not_http",
            Self::TooLong { .. } => "too_long",
            Self::Redirects { .. } => "redirects",
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
    let request = request.map_err(|error| FetchError::Other { url: "?".to_owned(), cause: root_cause(&error) })?;
    let url = request.url().clone();
    let exchange = async {
        let response = send(&client, request, &url).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, &url, longest_body).await?;
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Timeout { url: shown(&url), after: timeout }),
    }
}

/// Sends a request and waits for the head of the answer; its body is still to come. `url` is that of the request, for
/// errors. There is no time-out here: the caller puts one around the whole exchange.
///
/// # Errors
/// When no head comes. A 4xx or 5xx is an answer.
pub async fn send(client: &Client, request: Request, url: &Url) -> Result<Response, FetchError> {
    client.execute(request).await.map_err(|error| sort(url, &error))
}

/// Reads a body of at most `longest` bytes.
///
/// # Errors
/// When it is longer or does not come to its end.
pub async fn read(mut response: Response, url: &Url, longest: usize) -> Result<Bytes, FetchError> {
    refuse_announced(&response, url, longest)?;
    // Most answers come in one piece, which then need not be copied.
    let Some(first) = chunk(&mut response, url).await? else { return Ok(Bytes::new()) };
    if first.len() > longest {
        return Err(too_long(url, longest));
    }
    let Some(second) = chunk(&mut response, url).await? else { return Ok(first) };
    let mut body = Vec::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if body.len() + piece.len() > longest {
            return Err(too_long(url, longest));
        }
        body.extend_from_slice(&piece);
        next = chunk(&mut response, url).await?;
    }
    Ok(Bytes::from(body))
}

/// Reads a body of at most `longest` bytes and forgets it piece by piece; returns its length.
///
/// # Errors
/// When it is longer or does not come to its end.
pub async fn read_and_forget(mut response: Response, url: &Url, longest: usize) -> Result<usize, FetchError> {
    refuse_announced(&response, url, longest)?;
    let mut length = 0;
    while let Some(piece) = chunk(&mut response, url).await? {
        length += piece.len();
        if length > longest {
            return Err(too_long(url, longest));
        }
    }
    Ok(length)
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

async fn chunk(response: &mut Response, url: &Url) -> Result<Option<Bytes>, FetchError> {
    response.chunk().await.map_err(|error| sort(url, &error))
}

/// A body that announces that it is too long need not be read to find out.
fn refuse_announced(response: &Response, url: &Url, longest: usize) -> Result<(), FetchError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > longest as u64 { Err(too_long(url, longest)) } else { Ok(()) }
}

fn too_long(url: &Url, limit: usize) -> FetchError {
    FetchError::TooLong { url: shown(url), limit }
}

/// Finds the kind of a failure by what lies beneath the library's error.
fn sort(url: &Url, error: &reqwest::Error) -> FetchError {
    let (url, cause) = (shown(url), root_cause(error));
    if error.is_redirect() {
        return FetchError::Redirects { url };
    }
    let causes = || std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    if causes().any(is_tls) {
        return FetchError::Tls { url, cause };
    }
    // The library's own type for this is private; its words are all it shows.
    if cause.contains("dns error") || cause.contains("failed to lookup address") {
        return FetchError::Dns { url, cause };
    }
    if let Some(error) = causes().find_map(|error| error.downcast_ref::<hyper::Error>()) {
        return if error.is_parse() { FetchError::NotHttp { url, cause } } else { FetchError::Broken { url, cause } };
    }
    match causes().find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => FetchError::Refused { url },
        Some(_) if !error.is_connect() => FetchError::Broken { url, cause },
        _ if error.is_connect() => FetchError::Connection { url, cause },
        _ if error.is_body() => FetchError::Broken { url, cause },
        _ => FetchError::Other { url, cause },
    }
}

/// TLS errors travel inside I/O errors, sometimes two deep, which do not name them as their source.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}

/// What lies beneath the library's error, in its words. The outermost repeats the URL, which may hold secrets; the next
/// one only says that a client failed.
fn root_cause(error: &reqwest::Error) -> String {
    let Some(source) = error.source() else {
        return error.to_string().split(" for url").next().unwrap_or_default().to_owned();
    };
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(source);
    while let Some(error) = next {
        next = error.source();
        let says_nothing = error.is::<hyper_util::client::legacy::Error>() && next.is_some();
        let text = error.to_string();
        if !says_nothing && words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use testkit::nasty::{Does, Nasty, refusing_url};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn client() -> Client {
        HttpClients::default().get(Connecting { reuse: false, follow_redirects: true })
    }

    async fn key(client: &Client, url: &str) -> &'static str {
        fetch(client.get(url), PATIENCE, 1000).await.unwrap_err().key()
    }

    #[tokio::test]
    async fn any_complete_answer_is_an_answer_whatever_its_status() {
        let (server, client) = (Nasty::start(Does::answer("404 Not Found", "no such page")).await, client());
        let answer = fetch(client.get(server.url()), PATIENCE, 12).await.unwrap();
        assert_eq!((answer.status.as_u16(), &*answer.body), (404, &b"no such page"[..]));
        assert_eq!(answer.headers["content-length"], "12");
        // In pieces it is the same.
        let pieces = "HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n";
        server.set(Does::Says(pieces.to_owned()));
        assert_eq!(fetch(client.get(server.url()), PATIENCE, 6).await.unwrap().body, "abcdef");
        let error = fetch(client.get(server.url()), PATIENCE, 5).await.unwrap_err();
        assert_eq!(error, FetchError::TooLong { url: format!("{}/", server.url()), limit: 5 });
    }

    #[tokio::test]
    async fn each_kind_of_failure_has_its_key() {
        let (server, client) = (Nasty::start(Does::Hangs).await, client());
        for (does, expected) in [
            (Does::Hangs, "timeout"),
            (Does::Trickles, "timeout"),
            (Does::Closes, "connection_broken"),
            (Does::Resets, "connection_broken"),
            (Does::Truncates, "connection_broken"),
            (Does::Floods, "too_long"),
            (Does::answer("200 OK", &"1".repeat(1001)), "too_long"),
            (Does::redirect("/again"), "redirects"),
            (Does::Says("hello\r\n\r\n".to_owned()), "not_http"),
        ] {
            server.set(does.clone());
            assert_eq!(key(&client, &server.url()).await, expected, "{does:?}");
        }
        assert_eq!(key(&client, &refusing_url()).await, "refused");
        assert_eq!(key(&client, &server.url().replace("http:", "https:")).await, "tls");
        // A name with a part of more than 63 letters cannot exist, which the resolver knows without asking anybody.
        assert_eq!(key(&client, &format!("http://{}.localhost", "x".repeat(64))).await, "dns");
        assert_eq!(key(&client, "ftp://localhost/").await, "request_failed");
    }

    #[tokio::test]
    async fn a_body_that_nobody_needs_is_counted_and_not_kept() {
        let (server, client) = (Nasty::start(Does::answer("200 OK", &"1".repeat(1000))).await, client());
        let url: Url = server.url().parse().unwrap();
        let response = async || send(&client, Request::new(reqwest::Method::GET, url.clone()), &url).await.unwrap();
        assert_eq!(read_and_forget(response().await, &url, 1000).await, Ok(1000));
        assert_eq!(read_and_forget(response().await, &url, 999).await, Err(too_long(&url, 999)));
    }

    #[tokio::test]
    async fn an_error_shows_neither_password_nor_query() {
        let url = refusing_url().replace("http://", "http://user:hunter2@");
        let error = fetch(client().get(format!("{url}/?token=hunter2#hunter2")), PATIENCE, 0).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
    }
}
