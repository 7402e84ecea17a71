//! The Heroku backends against servers that misbehave, and what exactly they send.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use autoscalebot_core::{decision::Reason, names::ProcessName, registry::find, step::Order};
use autoscalebot_engine::{
    clock::SystemClock,
    environment::Environment,
    scaling::{self, Scale, ScaleError, Scaled},
    shared::Shared,
};
use serde_json::{Value, json};

use crate::wire::{Act, Request, Wire, json};

pub const APP: &str = "dancing-forest-1234";
pub const KEY: &str = "swordfish-0123456789";

pub fn shared() -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), Environment::default())
}

/// A bot's platform on that server.
pub fn platform(shared: &Arc<Shared>, url: &str, process: &str) -> Arc<dyn Scale> {
    platform_with(shared, url, process, json!({"timeout_seconds": 2}))
}

/// The same with other settings.
pub fn platform_with(shared: &Arc<Shared>, url: &str, process: &str, mut settings: Value) -> Arc<dyn Scale> {
    settings["app_name"] = json!(APP);
    settings["api_key"] = json!(KEY);
    settings["api_url"] = json!(url);
    let context = scaling::Context { process: ProcessName::new(process).unwrap(), shared: shared.clone() };
    let entry = find(scaling::BACKENDS, "autoscalebot.backends.scaling.HerokuBackend");
    let Ok(entry) = entry else { panic!("the backend is listed") };
    match (entry.build)(&settings, &context) {
        Ok(platform) => platform.into(),
        Err(problem) => panic!("{problem}"),
    }
}

pub fn order(from: u32, to: u32) -> Order {
    Order::new(from, to, Reason::new("test", "a test wants it"), None).unwrap()
}

/// A formation that obeys.
#[derive(Clone)]
struct Formation(Arc<Mutex<BTreeMap<String, u64>>>);

impl Formation {
    fn of(processes: &[(&str, u64)]) -> Self {
        let processes = processes.iter().map(|(name, quantity)| ((*name).to_owned(), *quantity));
        Self(Arc::new(Mutex::new(processes.collect())))
    }

    fn set(&self, process: &str, quantity: u64) {
        self.0.lock().unwrap().insert(process.to_owned(), quantity);
    }

    fn get(&self, process: &str) -> u64 {
        self.0.lock().unwrap()[process]
    }

    fn list(&self) -> Value {
        let processes = self.0.lock().unwrap();
        processes
            .iter()
            .rev()
            .map(|(name, quantity)| json!({"type": name, "quantity": quantity, "size": "Eco"}))
            .collect()
    }

    fn obey(&self, request: &Request) -> Act {
        if request.method == "PATCH" {
            match request.body.get("updates").and_then(Value::as_array) {
                Some(updates) => {
                    for update in updates {
                        self.set(update["type"].as_str().unwrap(), update["quantity"].as_u64().unwrap());
                    }
                }
                None => {
                    let process = request.path.rsplit('/').next().unwrap();
                    self.set(process, request.body["quantity"].as_u64().unwrap());
                    return json(200, json!({"type": process, "quantity": self.get(process), "size": "Eco"}));
                }
            }
        }
        json(200, self.list())
    }
}

/// Takes the first `n` requests that `which` picks to `act`, the others to the formation.
fn spoilt(
    formation: &Formation,
    n: usize,
    which: impl Fn(&Request) -> bool + Send + Sync + 'static,
    act: impl Fn(&Formation, &Request) -> Act + Send + Sync + 'static,
) -> impl Fn(&Request) -> Act + Send + Sync + 'static {
    let (formation, left) = (formation.clone(), Mutex::new(n));
    move |request| {
        let mut left = left.lock().unwrap();
        if *left > 0 && which(request) {
            *left -= 1;
            return act(&formation, request);
        }
        formation.obey(request)
    }
}

fn is(method: &'static str) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    move |request| request.method == method
}

async fn failing_count(act: impl Fn() -> Act + Send + Sync + 'static) -> (ScaleError, Wire) {
    let wire = Wire::start(move |_| act()).await;
    let error = platform(&shared(), &wire.url, "web").count().await.unwrap_err();
    (error, wire)
}

#[tokio::test]
async fn bots_of_an_app_that_ask_at_once_share_one_read() {
    let formation = Formation::of(&[("web", 2), ("worker", 5)]);
    let wire = Wire::start(move |request| formation.obey(request)).await;
    let shared = shared();
    let (web, worker) = (platform(&shared, &wire.url, "web"), platform(&shared, &wire.url, "worker"));
    assert_eq!(tokio::join!(web.count(), worker.count()), (Ok(2), Ok(5)));
    assert_eq!(wire.count("GET"), 1);
    assert_eq!(web.count().await, Ok(2));
    assert_eq!(wire.count("GET"), 2, "who asks later gets a fresh answer");
    assert_eq!(web.group(), worker.group());
}

#[tokio::test]
async fn an_order_is_one_patch_of_one_process_with_an_absolute_number_and_no_size() {
    let formation = Formation::of(&[("web", 2), ("worker", 5)]);
    let obeying = formation.clone();
    let wire = Wire::start(move |request| obeying.obey(request)).await;
    let web = platform(&shared(), &wire.url, "web");
    assert_eq!(web.count().await, Ok(2));
    assert_eq!(web.scale_to(&order(2, 3)).await, Ok(Scaled::Done));
    let seen = wire.seen();
    assert_eq!(seen.len(), 2, "the count of a moment ago is good enough: {seen:#?}");
    assert_eq!((seen[1].method.as_str(), seen[1].path.as_str()), ("PATCH", "/apps/dancing-forest-1234/formation/web"));
    assert_eq!(seen[1].body, json!({"quantity": 3}));
    for request in &seen {
        assert_eq!(request.header("accept"), Some("application/vnd.heroku+json; version=3"));
        assert_eq!(request.header("authorization"), Some("Bearer swordfish-0123456789"));
        assert!(request.header("user-agent").unwrap().starts_with("autoscalebot/"));
        assert!(request.header("request-id").is_some());
    }
    assert_eq!((formation.get("web"), formation.get("worker")), (3, 5));
}

#[tokio::test]
async fn nothing_is_sent_when_somebody_else_was_faster() {
    let formation = Formation::of(&[("web", 3)]);
    let wire = Wire::start(move |request| formation.obey(request)).await;
    let web = platform(&shared(), &wire.url, "web");
    assert_eq!(web.scale_to(&order(2, 3)).await, Ok(Scaled::AlreadyThere));
    let error = web.scale_to(&order(5, 4)).await.unwrap_err();
    assert_eq!(error.key, "changed_meanwhile");
    assert!(error.message.contains("from 5 to 3"), "{error}");
    assert_eq!(wire.count("PATCH"), 0);
}

#[tokio::test]
async fn orders_of_one_moment_travel_in_one_patch() {
    let formation = Formation::of(&[("web", 1), ("worker", 4), ("clock", 1)]);
    let obeying = formation.clone();
    let wire = Wire::start(move |request| obeying.obey(request)).await;
    let shared = shared();
    let (web, worker) = (platform(&shared, &wire.url, "web"), platform(&shared, &wire.url, "worker"));
    let (up, down) = (order(1, 2), order(4, 3));
    assert_eq!(tokio::join!(web.scale_to(&up), worker.scale_to(&down)), (Ok(Scaled::Done), Ok(Scaled::Done)));
    let patches: Vec<Request> = wire.seen().into_iter().filter(|request| request.method == "PATCH").collect();
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].path, "/apps/dancing-forest-1234/formation");
    let updates = json!({"updates": [{"type": "web", "quantity": 2}, {"type": "worker", "quantity": 3}]});
    assert_eq!(patches[0].body, updates);
    assert_eq!((formation.get("web"), formation.get("worker"), formation.get("clock")), (2, 3, 1));
}

#[tokio::test]
async fn one_order_that_heroku_refuses_does_not_spoil_the_others() {
    let formation = Formation::of(&[("web", 1), ("worker", 1)]);
    let text = "Cannot update to more than 1 Basic size dynos per process type.";
    let refuses = |request: &Request| request.method == "PATCH" && request.body.to_string().contains("7");
    let script =
        spoilt(&formation, 9, refuses, move |_, _| json(422, json!({"id": "invalid_params", "message": text})));
    let wire = Wire::start(script).await;
    let shared = shared();
    let (web, worker) = (platform(&shared, &wire.url, "web"), platform(&shared, &wire.url, "worker"));
    let (good, bad) = (order(1, 2), order(1, 7));
    let (web, worker) = tokio::join!(web.scale_to(&good), worker.scale_to(&bad));
    assert_eq!(web, Ok(Scaled::Done));
    let error = worker.unwrap_err();
    assert_eq!(error.key, "quantity_limit");
    assert!(error.message.contains("process worker") && error.message.contains(text), "{error}");
    assert_eq!((formation.get("web"), formation.get("worker")), (2, 1));
    assert_eq!(wire.count("PATCH"), 3);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_looked_after_and_not_repeated() {
    let formation = Formation::of(&[("web", 1)]);
    let script = spoilt(&formation, 1, is("PATCH"), |formation, request| {
        formation.obey(request);
        Act::Close
    });
    let wire = Wire::start(script).await;
    let web = platform(&shared(), &wire.url, "web");
    assert_eq!(web.scale_to(&order(1, 2)).await, Ok(Scaled::Done));
    assert_eq!(wire.count("PATCH"), 1);
}

#[tokio::test]
async fn a_change_that_was_not_made_is_sent_again() {
    let formation = Formation::of(&[("web", 1)]);
    let page = "<html><title>Application Error</title></html>".to_owned();
    let script =
        spoilt(&formation, 1, is("PATCH"), move |_, _| Act::Answer(503, "Content-Type: text/html\r\n", page.clone()));
    let wire = Wire::start(script).await;
    let web = platform(&shared(), &wire.url, "web");
    assert_eq!(web.scale_to(&order(1, 2)).await, Ok(Scaled::Done));
    assert_eq!((wire.count("PATCH"), formation.get("web")), (2, 2));
}

#[tokio::test]
async fn a_read_survives_two_bad_answers_and_gives_up_after_three() {
    let formation = Formation::of(&[("web", 4)]);
    let wire = Wire::start(spoilt(&formation, 2, is("GET"), |_, _| Act::Close)).await;
    assert_eq!(platform(&shared(), &wire.url, "web").count().await, Ok(4));
    assert_eq!(wire.count("GET"), 3);

    let (error, wire) = failing_count(|| json(503, json!({"id": "maintenance", "message": "back soon"}))).await;
    assert_eq!(error.key, "platform_error");
    assert_eq!(wire.count("GET"), 3);
}

#[tokio::test]
async fn every_way_of_not_answering_is_an_error_and_never_a_count() {
    let truncated = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{\"type\":\"web\",\"quantity\":1";
    type Row = (&'static str, fn() -> Act, &'static str);
    let rows: Vec<Row> = vec![
        ("closes", || Act::Close, "connection_broken"),
        ("hangs", || Act::Hang, "timeout"),
        ("no HTTP", || Act::Raw("SSH-2.0-OpenSSH_9.9\r\n".to_owned()), "not_http"),
        ("not JSON", || Act::Answer(200, "", "<html>".to_owned()), "bad_answer"),
        ("no formation", || json(200, json!("web")), "bad_answer"),
        ("a text for a number", || json(200, json!([{"type": "web", "quantity": "2"}])), "bad_answer"),
        ("another process", || json(200, json!([{"type": "worker", "quantity": 2}])), "no_such_process"),
        ("redirect", || Act::Answer(302, "Location: http://127.0.0.1:1/\r\n", String::new()), "bad_answer"),
        ("10 MB", || Act::Answer(200, "", "x".repeat(10_000_000)), "too_long"),
        ("teapot", || Act::Answer(418, "", String::new()), "refused"),
    ];
    for (name, act, key) in rows {
        let (error, _wire) = failing_count(act).await;
        assert_eq!(error.key, key, "{name}: {error}");
        assert!(error.message.contains(APP) && error.message.contains("web"), "{name}: {error}");
        assert!(!error.message.contains(KEY), "{name}: {error}");
    }
    let cut = Wire::start(move |_| Act::Raw(truncated.to_owned())).await;
    let error = platform(&shared(), &cut.url, "web").count().await.unwrap_err();
    assert_eq!(error.key, "connection_broken", "{error}");
}

#[tokio::test]
async fn a_refusal_that_cannot_pass_is_asked_once_and_told_with_herokus_words() {
    let words = json!({"id": "unauthorized", "message": format!("Invalid credentials provided: {KEY}")});
    let answer = words.to_string();
    let (error, wire) = failing_count(move || Act::Answer(401, "Request-Id: r-77\r\n", answer.clone())).await;
    assert_eq!(error.key, "unauthorized");
    for part in [APP, "web", "401", "Invalid credentials provided", "r-77", "HEROKU_API_KEY"] {
        assert!(error.message.contains(part), "{part} is missing: {error}");
    }
    assert!(!error.message.contains(KEY), "{error}");
    assert_eq!(wire.count("GET"), 1);
}

#[tokio::test]
async fn after_a_429_no_bot_of_the_key_sends_anything_until_it_is_time() {
    let script = |_: &Request| Act::Answer(429, "Retry-After: 60\r\n", json!({"id": "rate_limit"}).to_string());
    let wire = Wire::start(script).await;
    let shared = shared();
    let (web, worker) = (platform(&shared, &wire.url, "web"), platform(&shared, &wire.url, "worker"));
    let error = web.count().await.unwrap_err();
    assert_eq!(error.key, "rate_limited");
    assert!(error.retry_after > Some(Duration::from_secs(55)), "{:?}", error.retry_after);
    let error = worker.scale_to(&order(1, 2)).await.unwrap_err();
    assert_eq!(error.key, "rate_budget");
    assert!(error.retry_after > Some(Duration::from_secs(55)), "{:?}", error.retry_after);
    assert_eq!(wire.seen().len(), 1);
}

#[tokio::test]
async fn when_calls_run_low_counts_come_from_memory_but_a_change_looks_first() {
    let formation = Formation::of(&[("web", 2)]);
    let low = formation.clone();
    let wire = Wire::start(move |request| match low.obey(request) {
        Act::Answer(status, _, body) => Act::Answer(status, "RateLimit-Remaining: 300\r\n", body),
        other => other,
    })
    .await;
    let web = platform(&shared(), &wire.url, "web");
    assert_eq!(web.count().await, Ok(2));
    formation.set("web", 6);
    assert_eq!(web.count().await, Ok(2), "from memory");
    assert_eq!(wire.count("GET"), 1);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let error = web.scale_to(&order(2, 3)).await.unwrap_err();
    assert_eq!(error.key, "changed_meanwhile");
    assert_eq!((wire.count("GET"), wire.count("PATCH")), (2, 0));
    assert_eq!(web.count().await, Ok(6));
}

#[tokio::test]
async fn an_answer_that_shows_another_number_is_not_taken_for_success() {
    let formation = Formation::of(&[("web", 2)]);
    let script = spoilt(&formation, 1, is("PATCH"), |_, _| json(200, json!({"type": "web", "quantity": 2})));
    let wire = Wire::start(script).await;
    let error = platform(&shared(), &wire.url, "web").scale_to(&order(2, 3)).await.unwrap_err();
    assert_eq!(error.key, "not_taken");
}

#[tokio::test]
async fn a_formation_in_parts_is_read_to_its_end() {
    let wire = Wire::start(|request| {
        if request.header("range").is_none() {
            let part = json!([{"type": "clock", "quantity": 1}]).to_string();
            return Act::Answer(206, "Next-Range: id ]a..; max=1\r\n", part);
        }
        json(200, json!([{"type": "web", "quantity": 3}]))
    })
    .await;
    assert_eq!(platform(&shared(), &wire.url, "web").count().await, Ok(3));
    assert_eq!(wire.seen()[1].header("range"), Some("id ]a..; max=1"));
}

#[tokio::test]
async fn the_web_address_is_asked_for_once() {
    let wire = Wire::start(|_| json(200, json!({"web_url": "https://x.herokuapp.com/"}))).await;
    let web = platform(&shared(), &wire.url, "web");
    for _ in 0..3 {
        let url = web.web_url().await.unwrap().unwrap();
        assert_eq!(url.as_str(), "https://x.herokuapp.com/");
    }
    assert_eq!(wire.seen().len(), 1);
}

#[tokio::test]
async fn basic_dynos_are_explained_once_they_are_known() {
    let wire = Wire::start(|_| json(200, json!([{"type": "web", "quantity": 1, "size": "Basic"}]))).await;
    let web = platform(&shared(), &wire.url, "web");
    assert_eq!(web.remarks(), Vec::<String>::new());
    web.count().await.unwrap();
    assert!(web.remarks()[0].contains("Basic dynos: Heroku allows one"), "{:?}", web.remarks());
}
