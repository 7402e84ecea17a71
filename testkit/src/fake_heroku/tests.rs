//! The fake as clients meet it: over HTTP on loopback, from the first byte to the broken last one.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;

const APP: &str = "/apps/dancing-forest-1234";

/// Much longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn setup() -> Setup {
    Setup::app("dancing-forest-1234").process("web", 1, "Standard-1X").process("celery", 1, "Standard-1X")
}

/// An answer, read to its end.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request as it is.
async fn send(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<hyper::Response<Incoming>, hyper::Error> {
    let address = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let stream = TcpStream::connect(&address).await.expect("the fake listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    timeout(PATIENCE, sender.send_request(request)).await.expect("an answer in time")
}

async fn read(response: hyper::Response<Incoming>) -> Result<Got, hyper::Error> {
    let (parts, body) = response.into_parts();
    let bytes = timeout(PATIENCE, body.collect()).await.expect("a whole answer in time")?.to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Ok(Got { status: parts.status.as_u16(), headers: parts.headers, text })
}

const ACCEPT: (&str, &str) = ("accept", "application/vnd.heroku+json; version=3");
const BEARER: (&str, &str) = ("authorization", "Bearer test-token");

/// A call as a usual client makes it, with these headers more.
async fn call_with(fake: &FakeHeroku, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Got {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers: Vec<_> = [ACCEPT, BEARER].iter().chain(headers).copied().collect();
    read(send(&fake.url(), method, path, &headers, &body).await.unwrap()).await.unwrap()
}

async fn call(fake: &FakeHeroku, method: &str, path: &str, body: Value) -> Got {
    call_with(fake, method, path, &[], body).await
}

async fn get(fake: &FakeHeroku, path: &str) -> Got {
    call(fake, "GET", path, Value::Null).await
}

/// A visit to the app through its router.
async fn visit(fake: &FakeHeroku, path: &str, headers: &[(&str, &str)]) -> Got {
    read(send(&fake.web_url(), "GET", path, headers, "").await.unwrap()).await.unwrap()
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

fn router_lines(fake: &FakeHeroku) -> Vec<String> {
    let lines = fake.log_lines().into_iter();
    lines.filter_map(|line| line.split_once(" heroku[router]: ").map(|(_, message)| message.to_owned())).collect()
}

/// A router line's fields.
fn fields(line: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = line;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => after.split_at(after.find(' ').unwrap_or(after.len())),
        };
        fields.insert(key.trim().to_owned(), value.to_owned());
        rest = next;
    }
    fields
}

/// An app that answers what this function says.
async fn app<F, A>(answer: F) -> String
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}

#[tokio::test]
async fn only_version_3_with_the_token_is_answered() {
    let fake = FakeHeroku::start(setup()).await;
    let basic = ("authorization", "Basic OnRlc3QtdG9rZW4=");
    let table = [
        ("version 3 and bearer", vec![ACCEPT, BEARER], 200, None),
        ("basic", vec![ACCEPT, basic], 200, None),
        ("a suffix", vec![("accept", "application/vnd.heroku+json; version=3.cedar-acm"), BEARER], 200, None),
        ("plain JSON", vec![("accept", "application/json"), BEARER], 406, Some("not_acceptable")),
        ("version 2", vec![("accept", "application/vnd.heroku+json; version=2"), BEARER], 406, Some("not_acceptable")),
        ("no version", vec![BEARER], 406, Some("not_acceptable")),
        ("no token", vec![ACCEPT], 401, Some("unauthorized")),
        ("another token", vec![ACCEPT, ("authorization", "Bearer x")], 401, Some("unauthorized")),
    ];
    for (name, headers, status, id) in table {
        let got = read(send(&fake.url(), "GET", "/apps", &headers, "").await.unwrap()).await.unwrap();
        assert_eq!((got.status, got.json()["id"].as_str()), (status, id), "{name}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_clients_read() {
    let fake = FakeHeroku::start(setup()).await;
    let own = "11111111-2222-4333-8444-555555555555";
    let got = call_with(&fake, "GET", APP, &[("request-id", own)], Value::Null).await;
    let ids: Vec<_> = got.header("request-id").unwrap().split(',').collect();
    assert!(ids.len() == 2 && ids[0].len() == 36 && ids[1] == own, "{ids:?}");
    assert_eq!(got.header("ratelimit-remaining"), Some("4499"));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("oauth-scope"), Some("global"));
    assert!(got.header("etag").is_some_and(|tag| tag.len() == 34));
    for name in ["x-runtime", "cache-control", "vary", "via", "date", "last-modified", "oauth-scope-accepted"] {
        assert!(got.header(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn an_app_and_a_process_answer_to_name_and_id() {
    let fake = FakeHeroku::start(setup()).await;
    let by_name = get(&fake, &format!("{APP}/formation/web")).await.json();
    let app = get(&fake, APP).await.json();
    let path = format!("/apps/{}/formation/{}", app["id"].as_str().unwrap(), by_name["id"].as_str().unwrap());
    assert_eq!(get(&fake, &path).await.json(), by_name);
    assert_eq!(by_name["quantity"], 1);
    assert_eq!(by_name["dyno_size"]["name"], "Standard-1X");
    assert_eq!(app["web_url"], fake.web_url());
    assert_eq!(app["generation"]["name"], "cedar");
    let missing = get(&fake, "/apps/no-such-app/formation").await;
    assert_eq!((missing.status, missing.json()["resource"].as_str()), (404, Some("app")));
}

#[tokio::test]
async fn a_batch_answers_the_touched_types_or_all_of_them() {
    let fake = FakeHeroku::start(setup()).await;
    let body = json!({ "updates": [{ "type": "celery", "quantity": 2 }] });
    let touched = call(&fake, "PATCH", &format!("{APP}/formation"), body.clone()).await.json();
    assert_eq!(touched.as_array().map(Vec::len), Some(1));
    assert_eq!(touched[0]["type"], "celery");
    fake.set_open_questions(OpenQuestions { batch_answers_all_types: true, ..OpenQuestions::default() });
    let all = call(&fake, "PATCH", &format!("{APP}/formation"), body).await.json();
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    assert_eq!((fake.patches(), fake.quantity("celery")), (2, 2));
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let fake = FakeHeroku::start(setup()).await;
    let body = json!({ "updates": [{ "type": "web", "quantity": 5 }, { "type": "celery", "size": "Basic" }] });
    let got = call(&fake, "PATCH", &format!("{APP}/formation"), body).await;
    assert_eq!(got.status, 422);
    assert_eq!(got.json()["message"], "Cannot use the following dyno types in the same app: Basic and Standard-1X");
    assert!(got.header("etag").is_some(), "errors have one too");
    assert_eq!((fake.quantity("web"), fake.dynos("web").len()), (1, 1));
    let broken = send(&fake.url(), "PATCH", &format!("{APP}/formation/web"), &[ACCEPT, BEARER], "{\"quantity\":").await;
    assert_eq!(read(broken.unwrap()).await.unwrap().status, 400);
}

#[tokio::test]
async fn dynos_start_and_stop_after_their_time_and_leave_herokus_lines() {
    let hour = Duration::from_secs(3600);
    let timings = Timings { dyno_start: hour, dyno_stop: Duration::from_secs(10), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());

    call(&fake, "PATCH", &format!("{APP}/formation/web"), json!({ "quantity": 3 })).await;
    assert_eq!(fake.dynos("web"), [state("web.1", "up"), state("web.2", "starting"), state("web.3", "starting")]);
    fake.advance(hour);
    assert_eq!(fake.dynos("web")[2], state("web.3", "up"));

    call(&fake, "PATCH", &format!("{APP}/formation/web"), json!({ "quantity": "-1" })).await;
    assert_eq!(fake.dynos("web"), [state("web.1", "up"), state("web.2", "up")], "the highest number goes first");
    fake.advance(Duration::from_secs(10));

    let log: Vec<String> = fake.log_lines().iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(
        log,
        [
            "app[api]: Scaled to web@3:Standard-1X by ops@example.com",
            "heroku[web.2]: Starting process with command `bin/web`",
            "heroku[web.3]: Starting process with command `bin/web`",
            "heroku[web.2]: State changed from starting to up",
            "heroku[web.3]: State changed from starting to up",
            "app[api]: Scaled to web@2:Standard-1X by ops@example.com",
            "heroku[web.3]: State changed from up to down",
            "heroku[web.3]: Stopping all processes with SIGTERM",
            "heroku[web.3]: Process exited with status 143",
        ]
    );
}

#[tokio::test]
async fn a_dyno_that_does_not_end_is_killed_after_30_seconds() {
    let timings = Timings { dyno_stop: Duration::from_secs(3600), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    fake.set_quantity("web", 0);
    fake.advance(Duration::from_secs(31));
    let log = fake.log_lines().join("\n");
    assert!(log.contains("Error R12 (Exit timeout)"), "{log}");
    assert!(log.ends_with("heroku[web.1]: Process exited with status 137"), "{log}");
}

#[tokio::test]
async fn a_dyno_that_cannot_boot_crashes_with_r10() {
    let fake = FakeHeroku::start(setup()).await;
    fake.can_boot("web", false);
    fake.set_quantity("web", 2);
    fake.advance(Duration::from_secs(59));
    assert_eq!(fake.dynos("web")[1].1, "starting");
    fake.advance(Duration::from_secs(2));
    assert_eq!(fake.dynos("web")[1].1, "crashed");
    assert!(fake.log_lines().iter().any(|line| line.contains("Error R10 (Boot timeout)")));
}

#[tokio::test]
async fn restarts_keep_names_and_change_ids() {
    let fake = FakeHeroku::start(setup().process("clock", 1, "Standard-1X")).await;
    let dynos = format!("{APP}/dynos");
    let ids = |got: &Got| -> Vec<String> {
        got.json().as_array().unwrap().iter().map(|dyno| dyno["id"].to_string()).collect()
    };
    let table = [
        ("one dyno", "DELETE", format!("{APP}/dynos/web.1"), 1),
        ("all dynos", "DELETE", dynos.clone(), 3),
        ("one type", "DELETE", format!("{APP}/formations/celery"), 1),
        ("stopping one", "POST", format!("{APP}/dynos/clock.1/actions/stop"), 1),
        ("stopping a type", "POST", format!("{APP}/formations/web/actions/stop"), 1),
    ];
    for (name, method, path, restarted) in table {
        let before = ids(&get(&fake, &dynos).await);
        let got = call(&fake, method, &path, Value::Null).await;
        assert_eq!((got.status, got.json()), (202, json!({})), "{name}");
        let after = ids(&get(&fake, &dynos).await);
        assert_eq!(after.len(), 3, "{name}");
        assert_eq!(after.iter().filter(|id| !before.contains(id)).count(), restarted, "{name}");
    }
    let missing = call(&fake, "DELETE", &format!("{APP}/dynos/web.9"), Value::Null).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_one_off_dyno_runs_beside_the_formation() {
    let fake = FakeHeroku::start(setup()).await;
    let got = call(&fake, "POST", &format!("{APP}/dynos"), json!({ "command": "bin/migrate" })).await;
    assert_eq!((got.status, got.json()["type"].as_str()), (201, Some("run")));
    let name = got.json()["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("run."), "{name}");
    assert_eq!(fake.quantity("web"), 1);
    let ended = call(&fake, "POST", &format!("{APP}/dynos/{name}/actions/stop"), Value::Null).await;
    assert_eq!(ended.status, 202);
    assert_eq!(get(&fake, &format!("{APP}/dynos/{name}")).await.status, 404);
}

#[tokio::test]
async fn formation_changes_are_refused_while_preboot_swaps_dynos() {
    let fake = FakeHeroku::start(setup()).await;
    fake.preboot_in_progress(true);
    let path = format!("{APP}/formation/web");
    let got = call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await;
    assert_eq!(got.status, 422);
    assert_eq!(got.json()["message"], "Cannot change formation for a preboot app until preboot is complete");
    fake.set_open_questions(OpenQuestions {
        preboot_refusal_status: 409,
        preboot_refusal_mentions_release_phase: true,
        ..OpenQuestions::default()
    });
    let got = call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await;
    assert_eq!(got.status, 409);
    assert!(got.json()["message"].as_str().unwrap().ends_with("until release phase and preboot complete"));
    fake.preboot_in_progress(false);
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 200);
}

#[tokio::test]
async fn a_release_with_preboot_refuses_changes_for_three_minutes() {
    let fake = FakeHeroku::start(setup()).await;
    let got = call(&fake, "PATCH", &format!("{APP}/features/preboot"), json!({ "enabled": true })).await;
    assert_eq!(got.json()["enabled"], true);
    fake.release();
    let path = format!("{APP}/formation/web");
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 422);
    fake.advance(Duration::from_secs(181));
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 200);
    let headers = [("range", "version ..; max=1, order=desc")];
    let newest = call_with(&fake, "GET", &format!("{APP}/releases"), &headers, Value::Null).await.json();
    assert_eq!((newest[0]["version"].as_u64(), newest[0]["current"].as_bool()), (Some(4), Some(true)));
}

#[tokio::test]
async fn the_rate_limit_is_told_kept_and_refilled() {
    let fake = FakeHeroku::start(setup()).await;
    fake.set_rate_remaining(1.0);
    assert_eq!(get(&fake, APP).await.header("ratelimit-remaining"), Some("0"));
    let refused = get(&fake, APP).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["id"], "rate_limit");
    assert_eq!(refused.header("retry-after"), None);
    let free = get(&fake, "/account/rate-limits").await;
    assert_eq!((free.status, free.json()), (200, json!({ "remaining": 0 })));
    fake.advance(Duration::from_secs(60));
    assert_eq!(get(&fake, "/account/rate-limits").await.json(), json!({ "remaining": 75 }));
    fake.set_rate_remaining(0.0);
    fake.set_open_questions(OpenQuestions {
        rate_limit_retry_after: Some(Duration::from_secs(9)),
        rate_limit_headers_on_429: false,
        ..OpenQuestions::default()
    });
    let refused = get(&fake, APP).await;
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-remaining")), (Some("9"), None));
}

#[tokio::test]
async fn tags_save_bodies_and_guard_changes() {
    let fake = FakeHeroku::start(setup()).await;
    let path = format!("{APP}/formation/web");
    let first = get(&fake, &path).await;
    let tag = first.header("etag").unwrap();
    let again = call_with(&fake, "GET", &path, &[("if-none-match", tag)], Value::Null).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let guarded = call_with(&fake, "PATCH", &path, &[("if-match", tag)], json!({ "quantity": 2 })).await;
    assert_eq!(guarded.status, 200);
    let late = call_with(&fake, "PATCH", &path, &[("if-match", tag)], json!({ "quantity": 3 })).await;
    assert_eq!((late.status, fake.quantity("web")), (412, 2));
    let changed = call_with(&fake, "GET", &path, &[("if-none-match", tag)], Value::Null).await;
    assert_eq!(changed.status, 200);
}

#[tokio::test]
async fn lists_come_in_pages_and_refuse_what_is_no_range() {
    let fake = FakeHeroku::start(setup()).await;
    let path = format!("{APP}/formation");
    let page = call_with(&fake, "GET", &path, &[("range", "type ..; max=1")], Value::Null).await;
    assert_eq!((page.status, page.json()[0]["type"].as_str()), (206, Some("celery")));
    assert_eq!(page.header("accept-ranges"), Some("id, type"));
    let next = page.header("next-range").unwrap();
    assert_eq!(next, "type ]celery..; max=1");
    let rest = call_with(&fake, "GET", &path, &[("range", next)], Value::Null).await;
    assert_eq!((rest.status, rest.json()[0]["type"].as_str(), rest.header("next-range")), (200, Some("web"), None));
    let refused = call_with(&fake, "GET", &path, &[("range", "price ..")], Value::Null).await;
    assert_eq!((refused.status, refused.json()["id"].as_str()), (416, Some("requested_range_not_satisfiable")));
    let ignored = call_with(&fake, "GET", APP, &[("range", "price ..")], Value::Null).await;
    assert_eq!(ignored.status, 200, "ranges mean nothing where there is no list");
}

#[tokio::test]
async fn faults_answer_what_heroku_would() {
    let fake = FakeHeroku::start(setup()).await;
    let table = [
        (Fault::rate_limited(), 429, "rate_limit"),
        (Fault::status(401), 401, "unauthorized"),
        (Fault::status(402), 402, "delinquent"),
        (Fault::TwoFactor, 403, "two_factor"),
        (Fault::status(409), 409, "conflict"),
        (Fault::status(500), 500, "internal_server_error"),
        (Fault::status(502), 502, "bad_gateway"),
        (Fault::status(503), 503, "service_unavailable"),
        (Fault::unprocessable("not today"), 422, "invalid_params"),
    ];
    for (fault, status, id) in table {
        fake.fail_matching("PATCH", "formation", fault, 1);
        let path = format!("{APP}/formation/web");
        assert_eq!(get(&fake, &path).await.status, 200, "{id}: the fault is for changes only");
        let got = call(&fake, "PATCH", &path, json!({ "quantity": 7 })).await;
        assert_eq!((got.status, got.json()["id"].as_str()), (status, Some(id)));
    }
    assert_eq!(fake.quantity("web"), 1);
    fake.fail_next(Fault::RateLimited { retry_after_seconds: Some(7) }, 1);
    assert_eq!(get(&fake, APP).await.header("retry-after"), Some("7"));
    fake.fail_next(Fault::EdgeHtml, 1);
    let page = get(&fake, APP).await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html")));
    fake.fail_next(Fault::NotJson, 1);
    let garbage = get(&fake, APP).await;
    assert!(garbage.status == 200 && serde_json::from_str::<Value>(&garbage.text).is_err());
    assert_eq!(get(&fake, APP).await.status, 200, "then it is over");
}

#[tokio::test]
async fn broken_answers_break_where_they_say_and_do_what_they_say() {
    let fake = FakeHeroku::start(setup()).await;
    let path = format!("{APP}/formation/web");
    let patch = |quantity: u32| {
        let (url, path) = (fake.url(), path.clone());
        async move { send(&url, "PATCH", &path, &[ACCEPT, BEARER], &json!({ "quantity": quantity }).to_string()).await }
    };

    fake.fail_next(Fault::Reset, 1);
    assert!(patch(2).await.is_err());
    assert_eq!(fake.quantity("web"), 1, "a reset request was not done");

    fake.fail_next(Fault::LostAnswer, 1);
    assert!(patch(3).await.is_err());
    assert_eq!(fake.quantity("web"), 3, "a lost answer was");

    fake.fail_next(Fault::TruncatedBody, 1);
    let response = patch(4).await.expect("the head of an answer");
    assert!(read(response).await.is_err());
    assert_eq!(fake.quantity("web"), 4);

    fake.fail_next(Fault::ResetMidAnswer, 1);
    let response = patch(5).await.expect("the head of an answer");
    let error = read(response).await.expect_err("half an answer");
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    assert_eq!(fake.quantity("web"), 5);

    fake.fail_next(Fault::SlowBody { milliseconds_per_byte: 0 }, 1);
    assert_eq!(call(&fake, "GET", &path, Value::Null).await.json()["quantity"], 5);

    fake.fail_next(Fault::EndlessBody, 1);
    let mut body = patch(6).await.expect("the head of an answer").into_body();
    let mut bytes = 0;
    while bytes < 10_000_000 {
        bytes += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }

    fake.fail_next(Fault::Hang, 1);
    assert!(timeout(Duration::from_millis(100), patch(7)).await.is_err());
    assert_eq!(fake.quantity("web"), 6);
    let statuses: Vec<u16> = fake.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [0, 0, 200, 200, 200, 200, 0]);
}

async fn open_session(fake: &FakeHeroku, body: Value) -> String {
    let got = call(fake, "POST", &format!("{APP}/log-sessions"), body).await;
    assert_eq!(got.status, 201);
    let url = got.json()["logplex_url"].as_str().unwrap().to_owned();
    url.strip_prefix(&fake.url()).unwrap().to_owned()
}

/// Reads until the text holds this.
async fn read_until(body: &mut Incoming, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let frame = timeout(PATIENCE, body.frame()).await.unwrap_or_else(|_| panic!("no {wanted} in {text}"));
        let piece = frame.unwrap_or_else(|| panic!("the end came before {wanted}: {text}")).unwrap();
        text.push_str(std::str::from_utf8(&piece.into_data().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn a_tailing_session_shows_lines_as_they_come_until_the_server_ends_it() {
    let fake = FakeHeroku::start(setup()).await;
    fake.push_log_line("heroku", "router", "before");
    let path = open_session(&fake, json!({ "tail": true, "dyno": "router", "source": "heroku", "lines": 10 })).await;
    let events = [("accept", "text/event-stream")];
    let response = send(&fake.url(), "GET", &path, &events, "").await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    assert!(read_until(&mut body, "before\n\n").await.starts_with("id: 1\ndata: "));
    fake.push_log_line("app", "web.1", "not for us");
    fake.push_log_line("heroku", "router", "after");
    let text = read_until(&mut body, "after\n\n").await;
    assert!(text.starts_with("id: 2\ndata: ") && !text.contains("not for us"), "{text}");
    fake.close_log_sessions();
    assert!(timeout(PATIENCE, body.frame()).await.unwrap().is_none(), "the end of the stream");
    assert_eq!(read(send(&fake.url(), "GET", &path, &events, "").await.unwrap()).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_session_without_tail_is_history_and_an_end() {
    let fake = FakeHeroku::start(setup()).await;
    for n in 0..5 {
        fake.push_log_line("app", "web.1", &n.to_string());
    }
    let path = open_session(&fake, json!({ "lines": 2, "dyno": "web" })).await;
    let got = read(send(&fake.url(), "GET", &path, &[], "").await.unwrap()).await.unwrap();
    assert_eq!(got.header("content-type"), Some("text/plain"));
    let messages: Vec<&str> = got.text.lines().map(|line| line.split_once("app[web.1]: ").unwrap().1).collect();
    assert_eq!(messages, ["3", "4"]);
}

#[tokio::test]
async fn a_session_expires_and_an_open_one_ends_after_its_lifetime() {
    let timings = Timings { log_session_lifetime: Some(Duration::from_secs(900)), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    let path = open_session(&fake, json!({ "tail": true })).await;
    let mut body = send(&fake.url(), "GET", &path, &[], "").await.unwrap().into_body();
    fake.push_log_line("app", "web.1", "hello");
    read_until(&mut body, "hello\n").await;
    fake.advance(Duration::from_secs(361));
    assert_eq!(read(send(&fake.url(), "GET", &path, &[], "").await.unwrap()).await.unwrap().status, 404);
    fake.push_log_line("app", "web.1", "still here");
    read_until(&mut body, "still here\n").await;
    fake.advance(Duration::from_secs(540));
    assert!(timeout(PATIENCE, body.frame()).await.unwrap().is_none());
}

#[tokio::test]
async fn fir_always_tails_and_puts_nothing_between_plain_records() {
    let fake = FakeHeroku::start(setup().generation(Generation::Fir).process("clock", 1, "dyno-1c-0.5gb")).await;
    fake.push_log_line("heroku", "router", "history that nobody gets");
    let path = open_session(&fake, json!({ "tail": false, "lines": 50, "dyno": "router" })).await;
    let mut body = send(&fake.url(), "GET", &path, &[], "").await.unwrap().into_body();
    fake.push_log_line("heroku", "router", "one");
    fake.push_log_line("heroku", "router", "two");
    let text = read_until(&mut body, "two").await;
    assert!(!text.contains('\n') && !text.contains("history"), "{text}");
    let dynos = fake.dynos("clock");
    assert!(dynos[0].0.starts_with("clock-") && !dynos[0].0.contains('.'), "{dynos:?}");
}

#[tokio::test]
async fn cedar_may_answer_events_with_text() {
    let fake = FakeHeroku::start(setup()).await;
    fake.set_open_questions(OpenQuestions { cedar_log_sessions_answer_events: false, ..OpenQuestions::default() });
    let path = open_session(&fake, json!({})).await;
    let got = send(&fake.url(), "GET", &path, &[("accept", "text/event-stream")], "").await.unwrap();
    assert_eq!(got.headers()["content-type"], "text/plain");
}

#[tokio::test]
async fn the_router_passes_requests_on_and_leaves_exactly_their_line() {
    let upstream = app(|request: Request| async move {
        let headers = request.headers().iter();
        let seen: BTreeMap<String, String> =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = json!({ "path": request.uri().to_string(), "headers": seen }).to_string();
        Response::new(Body::from(body))
    })
    .await;
    let fake = FakeHeroku::start(setup().upstream(upstream)).await;
    let id = "my-own-request-id-0001";
    let got = visit(&fake, "/m?x=1", &[("x-request-id", id), ("x-forwarded-for", "192.0.2.7")]).await;
    assert_eq!((got.status, got.header("via")), (200, Some("1.1 vegur")));
    let seen = got.json();
    assert_eq!(seen["path"], "/m?x=1");
    let headers = &seen["headers"];
    assert_eq!(headers["x-request-id"], id);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert!(headers["x-request-start"].as_str().unwrap().parse::<u64>().is_ok_and(|ms| ms > 1_700_000_000_000));

    let line = fields(&router_lines(&fake)[0]);
    assert_eq!((line["at"].as_str(), line["method"].as_str(), line["path"].as_str()), ("info", "GET", "/m?x=1"));
    assert_eq!((line["request_id"].as_str(), line["dyno"].as_str(), line["status"].as_str()), (id, "web.1", "200"));
    assert_eq!(line["fwd"], "192.0.2.7, 127.0.0.1");
    assert_eq!(line["bytes"], got.text.len().to_string());
    assert!(line["service"].ends_with("ms") && line["connect"].ends_with("ms"));

    visit(&fake, "/", &[("x-request-id", "too short")]).await;
    let made = fields(&router_lines(&fake)[1])["request_id"].clone();
    assert_eq!(made.len(), 36, "{made}");
}

#[tokio::test]
async fn service_is_the_time_of_the_app() {
    let upstream = app(|_| async {
        tokio::time::sleep(Duration::from_millis(120)).await;
        Response::new(Body::from("slow"))
    })
    .await;
    let fake = FakeHeroku::start(setup().upstream(upstream).router(RouterGeneration::Two)).await;
    visit(&fake, "/", &[]).await;
    let line = fields(&router_lines(&fake)[0]);
    let service: u64 = line["service"].trim_end_matches("ms").parse().unwrap();
    assert!((120..5000).contains(&service), "{line:?}");
    assert_eq!((line["protocol"].as_str(), line["tls"].as_str()), ("http1.1", "false"));
}

#[tokio::test]
async fn the_router_refuses_with_herokus_codes() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let hanging = app(|_| std::future::pending()).await;
    let closing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        format!("http://{address}")
    };
    let timings = Timings {
        request_timeout: Duration::from_millis(80),
        boot_wait: Duration::from_millis(80),
        dyno_start: Duration::from_secs(3600),
        ..Timings::default()
    };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    let mut codes = Vec::new();
    let mut refused = async |name: &str| {
        let got = visit(&fake, "/", &[]).await;
        let line = fields(router_lines(&fake).last().unwrap());
        assert_eq!((got.status, line["status"].as_str()), (503, "503"), "{name}");
        codes.push((line["code"].clone(), line["at"].clone(), line["desc"].clone()));
        line
    };

    fake.set_upstream(format!("http://{free}"));
    let line = refused("nobody listens").await;
    assert!(line["connect"].ends_with("ms") && line["service"].is_empty(), "{line:?}");
    fake.set_upstream(hanging);
    let line = refused("the app hangs").await;
    assert!(line["service"].trim_end_matches("ms").parse::<u64>().is_ok_and(|service| service >= 80), "{line:?}");
    assert_eq!((line["bytes"].as_str(), line["dyno"].as_str()), ("0", "web.1"));
    fake.set_upstream(closing);
    refused("the app closes").await;
    fake.set_quantity("web", 0);
    let line = refused("no web dyno").await;
    assert!(["dyno", "connect", "service", "bytes"].iter().all(|key| line[*key].is_empty()), "{line:?}");
    fake.set_quantity("web", 1);
    refused("booting for too long").await;
    fake.crash("web");
    refused("crashed").await;
    fake.set_maintenance(true);
    refused("maintenance").await;

    let expected = [
        ("H21", "error", "Backend connection refused"),
        ("H12", "error", "Request timeout"),
        ("H13", "error", "Connection closed without response"),
        ("H14", "error", "No web processes running"),
        ("H20", "error", "App boot timeout"),
        ("H10", "error", "App crashed"),
        ("H80", "info", "Maintenance mode"),
    ];
    let codes: Vec<_> = codes.iter().map(|(code, at, text)| (code.as_str(), at.as_str(), text.as_str())).collect();
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn a_visitor_who_leaves_is_h27_and_a_body_that_breaks_is_h18() {
    let hanging = app(|_| std::future::pending()).await;
    let fake = FakeHeroku::start(setup().upstream(hanging)).await;
    let gone = timeout(Duration::from_millis(100), send(&fake.web_url(), "GET", "/", &[], "")).await;
    assert!(gone.is_err());
    until("a line for the visitor who left", || !router_lines(&fake).is_empty()).await;
    assert!(router_lines(&fake)[0].starts_with("sock=client at=warning code=H27 "), "{:?}", router_lines(&fake));

    fake.set_upstream(half_an_answer(Duration::from_millis(50)).await);
    let response = send(&fake.web_url(), "GET", "/", &[], "").await.unwrap();
    assert!(read(response).await.is_err());
    until("a line for the broken answer", || router_lines(&fake).len() == 2).await;
    let line = &router_lines(&fake)[1];
    assert!(line.starts_with("sock=backend at=error code=H18 "), "{line}");
}

/// An app that sends half an answer, waits, and breaks off.
async fn half_an_answer(pause: Duration) -> String {
    app(move |_| async move {
        let pieces = futures_util::stream::unfold(true, move |first| async move {
            if first {
                return Some((Ok(Bytes::from("the first half")), false));
            }
            tokio::time::sleep(pause).await;
            Some((Err(std::io::Error::other("and no second one")), false))
        });
        Response::new(Body::from_stream(pieces))
    })
    .await
}

#[tokio::test]
async fn the_router_gives_up_on_idle_answers_late_connections_and_deep_backlogs() {
    let impatient = Timings { idle_timeout: Duration::from_millis(50), ..Timings::default() };
    let upstream = half_an_answer(Duration::from_secs(60)).await;
    let fake = FakeHeroku::start(setup().timings(impatient).upstream(upstream)).await;
    let response = send(&fake.web_url(), "GET", "/", &[], "").await.unwrap();
    assert!(read(response).await.is_err());
    until("a line for the idle answer", || !router_lines(&fake).is_empty()).await;
    assert_eq!(fields(&router_lines(&fake)[0])["code"], "H15");

    // One web dyno may have 200 requests waiting.
    fake.change(|world, _| world.apps[0].in_flight = 200);
    assert_eq!(visit(&fake, "/", &[]).await.status, 503);
    assert_eq!(fields(&router_lines(&fake)[1])["code"], "H11");

    // An app that accepts nobody: once its queue is full, connecting to it takes for ever.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let deaf = socket.listen(1).unwrap();
    let address = deaf.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    let impatient = Timings { connect_timeout: Duration::from_millis(50), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(impatient).upstream(format!("http://{address}"))).await;
    assert_eq!(visit(&fake, "/", &[]).await.status, 503);
    assert_eq!(fields(&router_lines(&fake)[0])["code"], "H19");
}

#[tokio::test]
async fn a_request_waits_for_a_dyno_that_is_booting() {
    let timings = Timings { dyno_start: Duration::from_millis(150), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    fake.set_quantity("web", 0);
    fake.set_quantity("web", 1);
    assert_eq!(visit(&fake, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn router_lines_can_be_lost_late_and_out_of_order() {
    let fake = FakeHeroku::start(setup()).await;
    let ids = |fake: &FakeHeroku| -> Vec<String> {
        router_lines(fake).iter().map(|line| fields(line)["path"].clone()).collect()
    };
    fake.spoil_router_log(RouterLogFaults { drop_next: 1, ..RouterLogFaults::default() });
    visit(&fake, "/lost", &[]).await;
    visit(&fake, "/kept", &[]).await;
    assert_eq!(ids(&fake), ["/kept"]);

    fake.spoil_router_log(RouterLogFaults { swap_pairs: true, ..RouterLogFaults::default() });
    visit(&fake, "/first", &[]).await;
    visit(&fake, "/second", &[]).await;
    assert_eq!(ids(&fake), ["/kept", "/second", "/first"]);

    let hour = Duration::from_secs(3600);
    fake.spoil_router_log(RouterLogFaults { delay: hour, ..RouterLogFaults::default() });
    visit(&fake, "/late", &[]).await;
    assert_eq!(ids(&fake).len(), 3);
    fake.advance(hour);
    assert_eq!(ids(&fake).last().map(String::as_str), Some("/late"));
}

#[tokio::test]
async fn outsiders_plan_trouble_and_count_requests_over_http() {
    let fake = FakeHeroku::start(setup()).await;
    let admin = async |method: &str, name: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        read(send(&fake.url(), method, &format!("/_fake/{name}"), &[], &body).await.unwrap()).await.unwrap()
    };
    let plan = json!({ "fault": "status", "status": 503, "method": "PATCH", "path": "formation" });
    assert_eq!(admin("POST", "faults", plan).await.status, 200);
    let path = format!("{APP}/formation/web");
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 503);
    let listed = admin("GET", "requests", Value::Null).await.json();
    assert_eq!(
        listed,
        json!([{ "method": "PATCH", "path": path, "query": "", "body": { "quantity": 2 }, "status": 503 }])
    );
    let scaled = admin("POST", "formation", json!({ "type": "web", "quantity": 4 })).await.json();
    assert_eq!(scaled, json!({ "web": 4, "celery": 1 }));
    admin("POST", "log", json!({ "source": "heroku", "dyno": "router", "message": "hello" })).await;
    assert_eq!(router_lines(&fake), ["hello"]);
    admin("POST", "rate", json!({ "remaining": 0 })).await;
    assert_eq!(get(&fake, APP).await.status, 429);
    admin("POST", "clock", json!({ "advance_seconds": 3600 })).await;
    assert_eq!(get(&fake, APP).await.status, 200);
    assert_eq!(admin("POST", "faults", json!({ "fault": "unheard-of" })).await.status, 400);
    assert_eq!(admin("POST", "formation", json!({ "type": "nobody", "quantity": 1 })).await.status, 400);
    assert_eq!(admin("GET", "nothing", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_token_that_may_only_read_cannot_scale() {
    let fake = FakeHeroku::start(setup().scope("read")).await;
    let path = format!("{APP}/formation/web");
    assert_eq!(get(&fake, &path).await.status, 200);
    let got = call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await;
    assert_eq!((got.status, got.json()["id"].as_str(), fake.quantity("web")), (403, Some("forbidden"), 1));
}

#[tokio::test]
async fn apps_share_the_account_and_nothing_else() {
    let fake = FakeHeroku::start(setup().and_app("quiet-meadow-1").process("web", 2, "Basic")).await;
    assert_eq!((fake.quantity("web"), fake.quantity_in("quiet-meadow-1", "web")), (1, 2));
    assert_ne!(fake.web_url(), fake.web_url_of("quiet-meadow-1"));
    call(&fake, "PATCH", "/apps/quiet-meadow-1/formation/web", json!({ "quantity": 0 })).await;
    assert_eq!((fake.quantity("web"), fake.quantity_in("quiet-meadow-1", "web")), (1, 0));
    assert_eq!(get(&fake, "/apps").await.header("ratelimit-remaining"), Some("4498"));
}

#[tokio::test]
async fn dropping_the_fake_closes_its_ports_and_connections() {
    let fake = FakeHeroku::start(setup()).await;
    let path = open_session(&fake, json!({ "tail": true })).await;
    let mut body = send(&fake.url(), "GET", &path, &[], "").await.unwrap().into_body();
    let (api, web) = (fake.api, fake.routers[0]);
    drop(fake);
    assert!(TcpStream::connect(api).await.is_err());
    assert!(TcpStream::connect(web).await.is_err());
    let rest = timeout(PATIENCE, body.frame()).await.expect("the connection ends");
    assert!(rest.is_none_or(|frame| frame.is_err()));
}

#[tokio::test]
async fn the_status_of_maintenance_is_the_apps() {
    let fake = FakeHeroku::start(setup()).await;
    let got = call(&fake, "PATCH", APP, json!({ "maintenance": true })).await;
    assert_eq!(got.json()["maintenance"], true);
    assert_eq!(visit(&fake, "/", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE.as_u16());
}
