//! What a URL-based measurement makes of settings and of servers, tried on real connections; and what the tests of its
//! backends are built on.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use autoscalebot_core::{names::ProcessName, step::Order};
use serde_json::json;
use testkit::nasty::{Does, Nasty, refusing_url};

use super::*;
use crate::{
    clock::SystemClock,
    config::BackendSettings,
    environment::Environment,
    scaling::{ScaleError, Scaled},
    shared::Shared,
};

/// A platform that says this about the app's address.
pub(crate) struct Says {
    web_url: Mutex<Result<Option<Url>, ScaleError>>,
    asked: AtomicUsize,
}

impl Says {
    pub(crate) fn this(web_url: Result<Option<&str>, ScaleError>) -> Arc<Self> {
        let web_url = web_url.map(|url| url.map(|url| url.parse().unwrap()));
        Arc::new(Self { web_url: Mutex::new(web_url), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Scale for Says {
    async fn count(&self) -> Result<u32, ScaleError> {
        Err(ScaleError::new("scripted", "only the address is known"))
    }
    async fn scale_to(&self, _: &Order) -> Result<Scaled, ScaleError> {
        Err(ScaleError::new("scripted", "only the address is known"))
    }
    async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.web_url.lock().unwrap().clone()
    }
}

pub(crate) fn context(platform: Arc<dyn Scale>) -> Context {
    Context {
        process: ProcessName::new("web").unwrap(),
        platform,
        common: crate::measurement::Common::default(),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: Shared::new(Arc::new(SystemClock::new()), Environment::default()),
    }
}

/// Settings as every test begins with them.
struct Given {
    measurement_url: UrlText,
    base_url: Option<UrlText>,
    headers: BTreeMap<String, Secret>,
    timeout_seconds: Seconds,
    reuse_connections: bool,
    on_timeout: OnTimeout,
}

impl Given {
    fn url(url: &str) -> Self {
        Self {
            measurement_url: UrlText::new(url),
            base_url: None,
            headers: BTreeMap::new(),
            timeout_seconds: Seconds::new(1),
            reuse_connections: false,
            on_timeout: OnTimeout::High,
        }
    }

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

    fn endpoint(&self) -> Endpoint {
        self.endpoint_on(Says::this(Ok(None)))
    }

    fn endpoint_on(&self, platform: Arc<dyn Scale>) -> Endpoint {
        self.asking().endpoint(&context(platform)).unwrap()
    }
}

async fn ask(endpoint: &Endpoint) -> Result<Bytes, MeasureError> {
    let target = endpoint.target().await?;
    endpoint.get(target, Body::Keep(1000)).await
}

async fn failure(given: &Given) -> (String, CountsAs) {
    let error = ask(&given.endpoint()).await.unwrap_err();
    (error.key.into_owned(), error.counts_as)
}

#[tokio::test]
async fn a_path_is_asked_at_the_base_url_or_else_where_the_platform_says() {
    let server = Nasty::start(Does::answer("200 OK", "1")).await;
    let mut given = Given::url("/load?deep=1");
    let platform = Says::this(Ok(Some(&server.url())));
    let endpoint = given.endpoint_on(platform.clone());
    for _ in 0..3 {
        assert_eq!(ask(&endpoint).await.unwrap(), "1");
    }
    assert_eq!(platform.asked.load(Ordering::Relaxed), 1, "the platform is asked once");
    given.base_url = Some(UrlText::new(server.url()));
    let silent = Says::this(Ok(None));
    assert_eq!(ask(&given.endpoint_on(silent.clone())).await.unwrap(), "1");
    assert_eq!(silent.asked.load(Ordering::Relaxed), 0);
    assert!(server.heads().iter().all(|head| head.starts_with("GET /load?deep=1 HTTP/1.1\r\n")));
}

#[tokio::test]
async fn an_unknown_address_is_unknown_and_asked_for_again() {
    let given = Given::url("/load");
    let error = ask(&given.endpoint()).await.unwrap_err();
    assert_eq!((&*error.key, error.counts_as), ("no_base_url", CountsAs::Unknown));
    assert!(error.message.contains("set BASE_URL"), "{error}");

    let platform = Says::this(Err(ScaleError::new("unauthorized", "the API key is not accepted")));
    let endpoint = given.endpoint_on(platform.clone());
    let error = ask(&endpoint).await.unwrap_err();
    assert!(error.message.contains("the API key is not accepted"), "{error}");
    let server = Nasty::start(Does::answer("200 OK", "1")).await;
    *platform.web_url.lock().unwrap() = Ok(Some(server.url().parse().unwrap()));
    assert_eq!(ask(&endpoint).await.unwrap(), "1");
}

#[test]
fn addresses_and_headers_that_cannot_work_are_problems() {
    let problem = |given: &Given| {
        let problems = given.asking().problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    };
    for url in ["", "load", "//host/load", "localhost:8000/load", "ftp://host/", "http://", "http://[::1/"] {
        assert!(problem(&Given::url(url)).starts_with("measurement_url: "), "{url}");
    }
    let with_base = |base| Given { base_url: Some(UrlText::new(base)), ..Given::url("/load") };
    for base in ["", "/x", "www.example.com", "file:///x", "localhost:8000"] {
        assert!(problem(&with_base(base)).starts_with("base_url: "), "{base}");
    }
    let with_header = |name: &str, value: &str| Given {
        headers: BTreeMap::from([(name.to_owned(), Secret::new(value))]),
        ..Given::url("/load")
    };
    assert!(problem(&with_header("X Y", "1")).contains("\"X Y\" is not the name of a header"));
    assert!(problem(&with_header("Content-Length", "1")).starts_with("headers.Content-Length: "));
    let broken = problem(&with_header("X-Key", "hunter2\n"));
    assert!(broken.starts_with("headers.X-Key: ") && !broken.contains("hunter2"), "{broken}");
    let hasty = Given { timeout_seconds: Seconds::new(0), ..Given::url("/load") };
    assert_eq!(problem(&hasty), "timeout_seconds: found 0; expected more than 0");
    assert_eq!(Given::url("/load").asking().problems(), []);
}

#[tokio::test]
async fn headers_stay_with_their_host_when_it_redirects_elsewhere() {
    let elsewhere = Nasty::start(Does::answer("200 OK", "1")).await;
    let server = Nasty::start(Does::redirect(&format!("{}/there", elsewhere.url()))).await;
    let mut given = Given::url(&server.url().replace("http://", "http://user:hunter2@"));
    given.headers.insert("X-Key".to_owned(), Secret::new("hunter3"));
    assert_eq!(ask(&given.endpoint()).await.unwrap(), "1");
    let (own, other) = (server.heads().remove(0), elsewhere.heads().remove(0));
    assert!(own.contains("x-key: hunter3") && own.contains("authorization: Basic dXNlcjpodW50ZXIy"), "{own}");
    assert!(own.contains(&format!("user-agent: {}", http::USER_AGENT)), "{own}");
    assert!(!other.contains("hunter3") && !other.contains("authorization"), "{other}");

    // On the same host they come along.
    server.set(Does::redirect("/again"));
    ask(&given.endpoint()).await.unwrap_err();
    assert!(server.heads().last().unwrap().contains("x-key: hunter3"));
}

#[tokio::test]
async fn five_redirects_are_followed_and_the_sixth_is_too_many() {
    let server = Nasty::start(Does::redirect("http://{address}/")).await;
    let error = ask(&Given::url(&server.url()).endpoint()).await.unwrap_err();
    assert_eq!((&*error.key, error.counts_as), ("redirects", CountsAs::Unknown));
    assert!(error.message.contains("more than 5 times"), "{error}");
    assert_eq!(server.heads().len(), 6);
    server.set(Does::redirect("file:///etc/passwd"));
    assert_eq!(failure(&Given::url(&server.url())).await, ("bad_redirect".to_owned(), CountsAs::Unknown));
}

#[tokio::test]
async fn a_time_out_or_a_5xx_counts_as_high_unless_told_to_hold_and_nothing_else_does() {
    let server = Nasty::start(Does::Hangs).await;
    let high = Given::url(&server.url());
    let hold = Given { on_timeout: OnTimeout::Hold, ..Given::url(&server.url()) };
    for (does, key, is_high) in [
        (Does::Hangs, "timeout", true),
        (Does::Trickles, "timeout", true),
        (Does::answer("500 Internal Server Error", "5"), "server_error", true),
        (Does::answer("503 Service Unavailable", "5"), "server_error", true),
        (Does::answer("404 Not Found", "5"), "client_error", false),
        (Does::answer("429 Too Many Requests", "5"), "client_error", false),
        (Does::answer("304 Not Modified", ""), "unexpected_status", false),
        (Does::Closes, "connection_broken", false),
        (Does::Resets, "connection_broken", false),
        (Does::Truncates, "connection_broken", false),
        (Does::Floods, "too_long", false),
        (Does::answer("200 OK", &"1".repeat(1001)), "too_long", false),
        (Does::Says("SSH-2.0-OpenSSH\r\n".to_owned()), "not_http", false),
    ] {
        server.set(does.clone());
        let counts_as = if is_high { CountsAs::High } else { CountsAs::Unknown };
        assert_eq!(failure(&high).await, (key.to_owned(), counts_as), "{does:?}");
        assert_eq!(failure(&hold).await, (key.to_owned(), CountsAs::Unknown), "{does:?}");
    }
    assert_eq!(failure(&Given::url(&refusing_url())).await, ("refused".to_owned(), CountsAs::Unknown));
    // A name with a part of more than 63 letters cannot exist, which the resolver knows without asking anybody.
    let nowhere = format!("http://{}.localhost/", "x".repeat(64));
    assert_eq!(failure(&Given::url(&nowhere)).await, ("dns".to_owned(), CountsAs::Unknown));
    let not_tls = Given::url(&server.url().replace("http:", "https:"));
    assert_eq!(failure(&not_tls).await, ("tls".to_owned(), CountsAs::Unknown));
}

#[tokio::test]
async fn no_secret_is_in_any_failure_nor_in_debug() {
    let server = Nasty::start(Does::Hangs).await;
    let address = server.url().replace("http://", "");
    let text = format!("http://user:hunter2@{address}/load?token=hunter2#hunter2");
    let mut given = Given::url(&text);
    given.headers.insert("X-Key".to_owned(), Secret::new("hunter2"));
    for does in [
        Does::Hangs,
        Does::Closes,
        Does::Resets,
        Does::answer("404 Not Found", ""),
        Does::redirect("/load?token=hunter2"),
        Does::redirect("ftp://user:hunter2@host/"),
        Does::answer("200 OK", &"1".repeat(1001)),
        Does::Says("nonsense\r\n\r\n".to_owned()),
    ] {
        server.set(does.clone());
        let error = format!("{:?}", ask(&given.endpoint()).await.unwrap_err());
        assert!(!error.contains("hunter2") && error.contains("127.0.0.1"), "{does:?}: {error}");
    }
    let shown = format!("{:?} {}", given.asking(), serde_json::to_string(&given.measurement_url).unwrap());
    assert!(!shown.contains("hunter2") && shown.contains("/load"), "{shown}");
    for wrong in ["ftp://user:hunter2@host/?hunter2", "user:hunter2@host", "http://user:hunter2@[/?hunter2"] {
        let problems = format!("{:?}", Given::url(wrong).asking().problems());
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_and_not_taken_for_a_failure() {
    let alive = Does::SaysAndStays("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1".to_owned());
    let server = Nasty::start(alive.clone()).await;
    let given = Given { reuse_connections: true, ..Given::url(&server.url()) };
    let endpoint = given.endpoint();
    for _ in 0..3 {
        ask(&endpoint).await.unwrap();
    }
    assert_eq!(server.connections(), 1, "connections are kept");
    // The server reads the next request on the kept connection and closes instead of answering.
    server.set(Does::Closes);
    assert_eq!(&*ask(&endpoint).await.unwrap_err().key, "connection_broken");
    assert_eq!(server.connections(), 2, "a new connection was tried");
    server.set(alive);
    ask(&endpoint).await.unwrap();

    let fresh = Given::url(&server.url()).endpoint();
    let before = server.connections();
    for _ in 0..3 {
        ask(&fresh).await.unwrap();
    }
    assert_eq!(server.connections(), before + 3, "every measurement opens its own");
}
