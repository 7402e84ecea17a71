//! Webhook and Slack against a real HTTP server on loopback.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use autoscalebot_core::{decision::Reason, event::Event, moment::Moment, names::ProcessName, registry::find};
use autoscalebot_engine::{
    clock::SystemClock,
    config::{BackendSettings, NotificationConfig},
    environment::Environment,
    notification::{BACKENDS, Common, Context, Notice, Notify, NotifyError, dispatch::Outlets},
    shared::Shared,
};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

/// Stands for a token in the path of a URL; must never be seen in an error.
const TOKEN: &str = "T0-very-secret";

/// What the server does with the next request; afterwards it says 200.
#[derive(Clone)]
enum Answer {
    Say(u16, &'static [(&'static str, &'static str)], String),
    Hang,
}

fn say(status: u16) -> Answer {
    Answer::Say(status, &[], String::new())
}

#[derive(Clone, Default)]
struct Receiver {
    script: Arc<Mutex<VecDeque<Answer>>>,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Receiver {
    /// A server on a free port, and the URL to post to.
    async fn start(script: impl IntoIterator<Item = Answer>) -> (Self, String) {
        let receiver = Self { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/{TOKEN}?key={TOKEN}", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        self.got.lock().unwrap().clone()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    receiver.got.lock().unwrap().push((headers, body));
    let answer = receiver.script.lock().unwrap().pop_front().unwrap_or_else(|| say(200));
    match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Say(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
    }
}

fn shared() -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), Environment::default())
}

fn build(backend: &str, settings: &Value) -> Box<dyn Notify> {
    let entry = find(BACKENDS, backend).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!((entry.check)(settings), []);
    (entry.build)(settings, &Context { shared: shared() }).map_err(|problem| problem.to_string()).unwrap()
}

fn web() -> ProcessName {
    ProcessName::new("web").unwrap()
}

fn moment() -> Moment {
    Moment { since_start: Duration::ZERO, civil: "2026-03-01T07:30:00Z".parse().unwrap() }
}

fn scaled() -> Event {
    Event::ScaledUp { from: 1, to: 2, reason: Reason::new("consecutive_high", "3 readings in a row <1>"), limit: None }
}

async fn send(backend: &dyn Notify) -> Result<(), NotifyError> {
    let notice = Notice { process: web(), at: moment(), event: scaled(), id: Uuid::from_u128(0x1234), lost_before: 0 };
    backend.notify(&notice).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("no header {name} in {headers:?}")).to_str().unwrap()
}

#[tokio::test]
async fn a_delivery_is_json_and_its_signature_verifies_as_documented() {
    let (receiver, url) = Receiver::start([]).await;
    let headers = json!({"Authorization": "Bearer x"});
    let backend = build("Webhook", &json!({"url": url, "secret": "correct horse", "headers": headers}));
    send(&*backend).await.unwrap();
    let (headers, body) = receiver.got().remove(0);
    assert_eq!(text(&headers, "content-type"), "application/json");
    assert_eq!(text(&headers, "authorization"), "Bearer x");
    assert_eq!(text(&headers, "autoscalebot-event"), "scaled_up");
    assert_eq!(text(&headers, "autoscalebot-delivery"), "00000000-0000-0000-0000-000000001234");
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&json["process"], &json["event"], &json["data"]["from"], &json["data"]["to"]),
        (&json!("web"), &json!("scaled_up"), &json!(1), &json!(2))
    );

    let signature = text(&headers, "autoscalebot-signature").strip_prefix("v1=").unwrap();
    let signature: Vec<u8> =
        (0..signature.len()).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap()).collect();
    let verify = |timestamp: &str, body: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"correct horse").unwrap();
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac.verify_slice(&signature).is_ok()
    };
    let timestamp = text(&headers, "autoscalebot-timestamp");
    assert!(verify(timestamp, &body));
    assert!(!verify("1", &body), "a delivery with another timestamp must not verify");
    assert!(!verify(timestamp, b"{}"), "another body must not verify");
}

#[tokio::test]
async fn the_page_about_it_verifies_a_delivery_and_refuses_a_changed_one() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/backends/notification/webhook.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```python\n").skip(1).filter_map(|block| block.split("```").next());
    let function = blocks.into_iter().find(|block| block.contains("def is_genuine")).expect("the example of the page");
    let (receiver, url) = Receiver::start([]).await;
    send(&*build("Webhook", &json!({"url": url, "secret": "pässword"}))).await.unwrap();
    let (headers, body) = receiver.got().remove(0);
    let headers = json!({
        "Autoscalebot-Timestamp": text(&headers, "autoscalebot-timestamp"),
        "Autoscalebot-Signature": text(&headers, "autoscalebot-signature"),
    });
    let genuine = async |body: &[u8]| {
        let call = format!(
            "{function}\nimport json, sys\nprint(is_genuine('pässword', json.loads(sys.argv[1]), sys.argv[2].encode()))"
        );
        let body = std::str::from_utf8(body).unwrap();
        let mut python = tokio::process::Command::new("python3");
        let output = python.args(["-c", &call, &headers.to_string(), body]).output().await.expect("python3");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(genuine(&body).await, ("True\n".to_owned(), String::new()));
    assert_eq!(genuine(b"{}").await, ("False\n".to_owned(), String::new()));
}

#[tokio::test]
async fn without_a_secret_there_is_no_signature() {
    let (receiver, url) = Receiver::start([]).await;
    send(&*build("Webhook", &json!({"url": url}))).await.unwrap();
    assert!(receiver.got()[0].0.get("autoscalebot-signature").is_none());
}

#[tokio::test]
async fn answers_are_sorted_into_delivered_later_and_never() {
    let table = [
        ("created", 201, Some(true), None),
        ("no content", 204, Some(true), None),
        ("moved", 308, None, Some("redirects are not followed")),
        ("bad request", 400, None, Some("answers 400")),
        ("unauthorized", 401, None, Some("HEADERS")),
        ("not found", 404, None, Some("nobody receives notices")),
        ("request time-out", 408, Some(false), Some("answers 408")),
        ("gone", 410, None, Some("nobody receives notices")),
        ("too many", 429, Some(false), Some("answers 429")),
        ("server error", 500, Some(false), Some("answers 500")),
        ("unavailable", 503, Some(false), Some("answers 503")),
    ];
    for backend in ["Webhook", "Slack"] {
        for (name, status, outcome, words) in table {
            let elsewhere: &[_] = if status == 308 { &[("location", "/elsewhere")] } else { &[] };
            let answer = Answer::Say(status, elsewhere, format!("<html>{TOKEN}</html>"));
            let (receiver, url) = Receiver::start([answer]).await;
            let result = send(&*build(backend, &json!({"url": url}))).await;
            match (outcome, &result) {
                (Some(true), Ok(())) => {}
                (Some(false), Err(error)) if error.retry => {}
                (None, Err(error)) if !error.retry => {}
                _ => panic!("{backend}, {name}: {result:?}"),
            }
            if let (Some(words), Err(error)) = (words, &result) {
                assert!(error.message.contains(words), "{backend}, {name}: {error}");
                assert!(!error.message.contains(TOKEN), "{backend}, {name}: {error}");
            }
            assert_eq!(receiver.got().len(), 1, "{backend}, {name}: one request, no redirect");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_gone_is_tried_later_and_its_token_is_not_shown() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for backend in ["Webhook", "Slack"] {
        let (_receiver, url) = Receiver::start([Answer::Hang]).await;
        for (url, words) in [(url, "within 0.2 s"), (format!("http://{gone}/{TOKEN}"), "refuses connections")] {
            let error = send(&*build(backend, &json!({"url": url, "timeout": 0.2}))).await.unwrap_err();
            assert!(error.retry && error.message.contains(words), "{backend}: {error}");
            assert!(!error.message.contains(TOKEN), "{backend}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_does_not_fill_the_memory() {
    let (_receiver, url) = Receiver::start([Answer::Say(200, &[], "x".repeat(10_000_000))]).await;
    let error = send(&*build("Webhook", &json!({"url": url}))).await.unwrap_err();
    assert!(!error.retry && error.message.contains("bytes"), "{error}");
}

#[tokio::test]
async fn a_busy_receiver_gets_the_same_delivery_again_when_it_asked_for_it() {
    let busy = Answer::Say(429, &[("retry-after", "1")], String::new());
    let (receiver, url) = Receiver::start([busy]).await;
    let config = NotificationConfig {
        backends: vec![BackendSettings { backend: "Webhook", settings: json!({"url": url, "secret": "s"}) }],
        common: Common { notify_on_every_scale: true, ..Common::default() },
    };
    let outlets = Outlets::build(&config, &shared()).unwrap();
    outlets.tell(&web(), moment(), &scaled());
    let twice = async {
        while receiver.got().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), twice).await.expect("it is tried again");
    assert!(outlets.flush(Duration::from_secs(30)).await);
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].1, got[1].1);
    assert_eq!(text(&got[0].0, "autoscalebot-delivery"), text(&got[1].0, "autoscalebot-delivery"));
}

#[tokio::test]
async fn the_wish_to_wait_is_handed_on() {
    for backend in ["Webhook", "Slack"] {
        let busy = Answer::Say(429, &[("retry-after", "17")], String::new());
        let (_receiver, url) = Receiver::start([busy]).await;
        let error = send(&*build(backend, &json!({"url": url}))).await.unwrap_err();
        assert_eq!(error.retry_after, Some(Duration::from_secs(17)), "{backend}");
    }
}

#[tokio::test]
async fn slack_gets_an_escaped_text_and_its_own_word_for_an_error_is_repeated() {
    let (receiver, url) = Receiver::start([say(200), Answer::Say(410, &[], "channel_is_archived".to_owned())]).await;
    let backend = build("Slack", &json!({"url": url}));
    send(&*backend).await.unwrap();
    let body: Value = serde_json::from_slice(&receiver.got()[0].1).unwrap();
    assert_eq!(
        body,
        json!({"text": "*web: scaled up from 1 to 2*\nWhy: 3 readings in a row &lt;1&gt;\nWhen: 2026-03-01T07:30:00Z"})
    );
    let error = send(&*backend).await.unwrap_err();
    assert!(error.message.contains("(Slack says channel_is_archived)"), "{error}");
}
