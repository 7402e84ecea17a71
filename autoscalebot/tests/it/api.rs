//! The API as its users reach it: a real run on a free port, asked over a real connection, with what browsers, scripts,
//! careless people and attackers send.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use testkit::{
    app::{Answers, App},
    program::{Folder, Program},
};

use crate::{
    autoscalebot,
    http::{Answer, Stream, Wish, ask},
};

const PATIENCE: Duration = Duration::from_secs(30);
const READ: &str = "planted-read-token-0001";
const OPERATE: &str = "planted-operate-token-0001";
/// Whatever must be seen nowhere holds this.
const PLANTED: &str = "planted-";

/// A run that serves, with two processes whose load an app tells.
struct Served {
    program: Program,
    address: String,
    app: App,
    folder: Folder,
}

fn settings(app: &App) -> String {
    let url = app.url().replace("http://", "http://user:planted-in-the-url@");
    let process = |name: &str| {
        format!(
            r#"
[{name}.measurement]
backend = "AppDecision"
[{name}.measurement.settings]
measurement_url = "{url}/{name}?key=planted-in-the-query"
headers = {{ X-Key = "planted-in-a-header" }}
measurement_interval_in_seconds = 0.2
timeout_seconds = 2
[{name}.decision.settings]
max_processes = 9
min_measurement_value = 1
max_measurement_value = 100
post_scale_wait_time_seconds = 0.1
[{name}.scaling]
backend = "DryRun"
[{name}.notification]
backends = ["Webhook"]
[{name}.notification.settings]
url = "http://127.0.0.1:1/planted-in-a-webhook"
secret = "planted-secret-of-a-webhook"
"#
        )
    };
    process("web") + &process("worker")
}

impl Served {
    async fn start(tokens: &[(&str, &str)], arguments: &[&str]) -> Self {
        let app = App::start(Answers::After(Duration::ZERO, "50".to_owned())).await;
        let folder = Folder::new();
        folder.write("autoscale_settings.toml", &settings(&app));
        let mut command = autoscalebot();
        command.current_dir(folder.path()).args(["run", "--listen", "127.0.0.1:0"]).args(arguments);
        let program = Program::start(command.envs(tokens.iter().copied()));
        let mut address = None;
        let found = program.until(PATIENCE, |output| {
            address = output
                .split("the dashboard is at this address address=\"http://")
                .nth(1)
                .and_then(|rest| Some(rest.split_once("/\"")?.0.to_owned()));
            address.is_some()
        });
        assert!(found.await, "{}", program.output());
        let served = Self { program, address: address.unwrap(), app, folder };
        served.until("/readyz", |answer| answer.status == 200).await;
        served
    }

    async fn open(arguments: &[&str]) -> Self {
        Self::start(&[], arguments).await
    }

    async fn with_tokens() -> Self {
        Self::start(&[("AUTOSCALEBOT_READ_TOKEN", READ), ("AUTOSCALEBOT_OPERATE_TOKEN", OPERATE)], &[]).await
    }

    async fn ask(&self, wish: Wish) -> Answer {
        ask(&self.address, wish).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Wish::get(path)).await
    }

    async fn command(&self, process: &str, body: Value) -> Answer {
        self.ask(Wish::post(&format!("/api/v1/processes/{process}/commands"), &body.to_string())).await
    }

    /// Asks again and again until the answer is right.
    async fn until(&self, path: &str, is_right: impl Fn(&Answer) -> bool) -> Answer {
        for _ in 0..PATIENCE.as_millis() / 100 {
            let answer = self.get(path).await;
            if is_right(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} is {:?}\n{}", self.get(path).await, self.program.output());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_shows_what_bots_do_and_why() {
    let served = Served::open(&[]).await;
    let health = served.get("/api/v1/health").await.json();
    assert_eq!(
        (&health["status"], &health["role"], &health["processes"]),
        (&json!("ok"), &json!("operate"), &json!(2))
    );
    assert_eq!((&health["store"]["kind"], &health["store"]["state"]), (&json!("sqlite"), &json!("ok")));
    let all = served.get("/api/v1/processes").await.json();
    assert_eq!(all["processes"].as_array().unwrap().len(), 2);
    let web = served.get("/api/v1/processes/web").await.json();
    assert_eq!((&web["status"], &web["running"], &web["max"]), (&json!("steady"), &json!(1), &json!(9)));
    assert_eq!(web["signals"][0]["reading"], json!(50.0));
    served.app.set(Answers::After(Duration::ZERO, "500".to_owned()));
    let grown = served.until("/api/v1/processes/web", |answer| answer.json()["running"] == 3).await.json();
    assert!(grown["last_scale"]["sentence"].as_str().unwrap().contains("above 100"), "{grown}");
    let missing = served.get("/api/v1/processes/wrker").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["message"], "there is no process \"wrker\", did you mean worker?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_changes_what_is_decided_and_stands_in_the_journal() {
    let served = Served::open(&[]).await;
    let held =
        served.command("web", json!({"command": "hold", "count": 4, "for_seconds": 600, "reason": "a sale"})).await;
    assert_eq!(held.status, 200, "{held:?}");
    let held = held.json();
    assert_eq!(held["decision"]["order"], json!({"from": 1, "to": 4}));
    assert_eq!((&held["process"]["status"], &held["process"]["mode"]["count"]), (&json!("held"), &json!(4)));
    let journal = served
        .until("/api/v1/events?kind=commanded&process=web", |answer| answer.json()["events"][0].is_object())
        .await
        .json();
    assert_eq!(journal["events"][0]["subject"], "web: held at 4 for 10 min");
    assert_eq!(journal["events"][0]["facts"], json!([{"label": "Reason given", "text": "a sale"}]));

    // Paused in one direction, it no longer grows; the decision says so.
    served.command("worker", json!({"command": "pause", "scope": "up", "reason": "no more"})).await;
    served.app.set(Answers::After(Duration::ZERO, "500".to_owned()));
    let paused = "/api/v1/decisions?process=worker&direction=up";
    let decision = served.until(paused, |answer| answer.json()["decisions"][0]["held"] == "paused").await.json();
    assert_eq!(decision["decisions"][0]["order"], Value::Null);
    assert_eq!(served.get("/api/v1/processes/worker").await.json()["running"], 1);

    let all = served.ask(Wish::post("/api/v1/commands", r#"{"command": "resume", "reason": "over"}"#)).await;
    assert_eq!(all.json(), json!({"processes": 2, "failed": []}));
    served.until("/api/v1/processes/worker", |answer| answer.json()["running"].as_u64() > Some(1)).await;
    let asked = served.command("web", json!({"command": "scale", "count": 100, "reason": "all of them"})).await.json();
    assert_eq!(asked["decision"]["wanted"], 9, "bounds hold for commands too: {asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_cannot_be_is_refused_with_a_reason() {
    let served = Served::open(&[]).await;
    let path = "/api/v1/processes/web/commands";
    let json = "application/json";
    let fine = r#"{"command": "evaluate", "reason": "x"}"#;
    for (kind, body, status, words) in [
        (json, "{", 400, "no JSON"),
        (json, r#"{"command": "explode", "reason": "x"}"#, 422, "explode"),
        (json, r#"{"command": "scale", "count": 100001, "reason": "x"}"#, 422, "count"),
        (json, r#"{"command": "resume", "reason": "x", "surplus": 1}"#, 422, "surplus"),
        (json, r#"{"command": "resume"}"#, 422, "reason"),
        ("text/plain", fine, 415, "application/json"),
        ("application/x-www-form-urlencoded", "command=resume&reason=x", 415, "application/json"),
    ] {
        let answer = served.ask(Wish::post(path, body).header("content-type", kind)).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(words), "{body}: {answer:?}");
        // Commands are limited to some a second.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let long = format!(r#"{{"command": "evaluate", "reason": "{}"}}"#, "x".repeat(20_000));
    assert_eq!(served.ask(Wish::post(path, &long)).await.status, 413);
    assert_eq!(served.ask(Wish::post("/api/v1/processes/no/commands", fine)).await.status, 404);
    let all = served.ask(Wish::post(path, fine).header("content-type", "application/json; charset=utf-8")).await;
    assert_eq!(all.status, 200, "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_in_a_query_is_named() {
    let served = Served::open(&[]).await;
    for (path, words) in [
        ("/api/v1/decisions?lmit=1", "lmit"),
        ("/api/v1/decisions?limit=0", "limit"),
        ("/api/v1/decisions?limit=x", "limit"),
        ("/api/v1/decisions?limit=1&limit=2", "limit"),
        ("/api/v1/decisions?from=yesterday", "from"),
        ("/api/v1/decisions?direction=sideways", "sideways"),
        ("/api/v1/decisions?before=x", "cursor"),
        ("/api/v1/events?severity=fatal", "fatal"),
        ("/api/v1/events?process=we%20b", "process"),
        ("/api/v1/events?kind=%00", "kind"),
        ("/api/v1/processes/web/series?points=5001", "points"),
        ("/api/v1/processes/web/series?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "before"),
        ("/api/v1/processes?x=1", "x"),
        ("/api/v1/health?verbose", "verbose"),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(words), "{path}: {answer:?}");
    }
    let nowhere = served.get("/api/v1/nothing").await;
    assert_eq!((nowhere.status, nowhere.json()["error"]["key"].clone()), (404, json!("not_found")));
    let wrong_way = served.ask(Wish::get("/api/v1/commands")).await;
    assert_eq!((wrong_way.status, wrong_way.header("allow")), (405, Some("POST")));
    assert_eq!(wrong_way.json()["error"]["key"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_decide_who_looks_and_who_commands() {
    let served = Served::with_tokens().await;
    let command = r#"{"command": "evaluate", "reason": "x"}"#;
    let get = |token: &str| Wish::get("/api/v1/health").header("authorization", &format!("Bearer {token}"));
    let post = |token: &str| {
        Wish::post("/api/v1/processes/web/commands", command).header("authorization", &format!("Bearer {token}"))
    };
    let none = served.get("/api/v1/health").await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(served.ask(get("planted-wrong-token-0001")).await.status, 401);
    assert_eq!(served.ask(get(READ)).await.json()["role"], "read");
    assert_eq!(served.ask(get(OPERATE)).await.json()["role"], "operate");
    let refused = served.ask(post(READ)).await;
    assert_eq!((refused.status, refused.json()["error"]["key"].clone()), (403, json!("read_only")));
    assert_eq!(served.ask(post(OPERATE)).await.status, 200);
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/assets/app.js", 200), ("/api/v1/openapi.json", 401)]
    {
        assert_eq!(served.get(path).await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_can_neither_read_nor_command() {
    let served = Served::open(&[]).await;
    let command = || Wish::post("/api/v1/commands", r#"{"command": "evaluate", "reason": "x"}"#);
    let own = format!("http://{}", served.address);
    for (headers, status) in [
        (vec![("origin", "http://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")], 403),
        (vec![("sec-fetch-site", "same-origin"), ("origin", own.as_str())], 200),
        (vec![], 200),
    ] {
        let wish = headers.iter().fold(command(), |wish, (name, value)| wish.header(name, value));
        let answer = served.ask(wish).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    // A name that was made to mean this machine.
    for path in ["/api/v1/processes", "/", "/healthz"] {
        let rebound = served.ask(Wish::get(path).header("host", "evil.example")).await;
        assert_eq!(rebound.status, 403, "{path}");
    }
    let local = format!("localhost:{}", served.address.rsplit(':').next().unwrap());
    assert_eq!(served.ask(Wish::get("/api/v1/processes").header("host", &local)).await.status, 200);
    let preflight =
        served.ask(Wish::method("OPTIONS", "/api/v1/commands").header("origin", "http://evil.example")).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (405, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_this_machine_it_listens_only_with_a_token_or_when_told_to() {
    let folder = Folder::new();
    folder.write("autoscale_settings.toml", "[web]\nscaling = \"DryRun\"\n");
    let run = |arguments: &[&str], tokens: &[(&str, &str)]| {
        let mut command = autoscalebot();
        command.current_dir(folder.path()).args(["run", "--store", "none"]).args(arguments);
        command.envs(tokens.iter().copied());
        command
    };
    let output = run(&["--listen", "0.0.0.0:0"], &[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("AUTOSCALEBOT_OPERATE_TOKEN") && error.contains("--insecure"), "{error}");
    let output = run(&["--listen", "0"], &[("AUTOSCALEBOT_READ_TOKEN", "planted-short")]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("AUTOSCALEBOT_READ_TOKEN is too short") && !error.contains(PLANTED), "{error}");
    for (arguments, tokens) in [
        (vec!["--listen", "0.0.0.0:0", "--insecure"], vec![]),
        (vec!["--listen", "0.0.0.0:0"], vec![("AUTOSCALEBOT_READ_TOKEN", READ)]),
    ] {
        let program = Program::start(&mut run(&arguments, &tokens));
        let serves = program.until(PATIENCE, |output| output.contains("the dashboard is at this address")).await;
        assert!(serves, "{}", program.output());
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address], &[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on {address}")) && error.contains("--listen"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_too_much_is_told_when_to_come_back() {
    let served = Served::open(&[]).await;
    let command = || Wish::post("/api/v1/processes/web/commands", "{");
    let mut refused = None;
    for _ in 0..40 {
        let answer = served.ask(command()).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("commands are limited");
    assert_eq!((refused.header("retry-after"), refused.json()["error"]["key"].clone()), (Some("1"), json!("too_many")));
    // Probes are answered all the same.
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_secret_is_seen_anywhere() {
    let mut served = Served::with_tokens().await;
    // Also errors must not tell.
    served.app.set(Answers::Status(500));
    let operate = |wish: Wish| wish.header("authorization", &format!("Bearer {OPERATE}"));
    let evaluate = Wish::post("/api/v1/processes/web/commands", r#"{"command": "evaluate", "reason": "x"}"#);
    assert_eq!(served.ask(operate(evaluate)).await.status, 200);
    let failing = |answer: &Answer| answer.body.contains("measurement_failed");
    for _ in 0..100 {
        if failing(&served.ask(operate(Wish::get("/api/v1/events"))).await) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut seen = String::new();
    for path in [
        "/api/v1/health",
        "/api/v1/processes",
        "/api/v1/processes/web",
        "/api/v1/processes/web/series",
        "/api/v1/decisions",
        "/api/v1/events",
        "/api/v1/settings",
        "/api/v1/openapi.json",
        "/metrics",
        "/healthz",
        "/",
        "/api/v1/nothing",
    ] {
        let answer = served.ask(operate(Wish::get(path))).await;
        assert!(!answer.text().contains(PLANTED), "{path}: {answer:?}");
        seen.push_str(&answer.body);
    }
    assert!(seen.contains("(secret)") && seen.contains("measurement_url"), "the settings are shown: {seen}");
    served.program.signal("TERM");
    assert!(served.program.end(Duration::from_secs(5)).await.is_some());
    assert!(!served.program.output().contains(PLANTED), "{}", served.program.output());
    let kept = std::fs::read_dir(served.folder.path().join("autoscalebot-data")).unwrap();
    for file in kept {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let is_seen = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!is_seen, "{} holds a secret", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_what_happens_and_ends_with_the_program() {
    let mut served = Served::open(&[]).await;
    let mut stream = Stream::open(&served.address, "/api/v1/stream?process=web").await;
    assert_eq!(stream.head.status, 200);
    assert_eq!(stream.head.header("content-type"), Some("text/event-stream"));
    let (event, data) = stream.next().await.unwrap();
    assert!(event == "hello" && data["now"].is_string(), "{event} {data}");
    served.command("web", json!({"command": "scale", "count": 3, "reason": "now"})).await;
    let (mut processes, mut happened) = (0, BTreeSet::new());
    while !(happened.contains("commanded") && happened.contains("scaled_up") && processes > 0) {
        let (event, data) = stream.next().await.expect("the stream goes on");
        match event.as_str() {
            "process" => {
                assert_eq!(data["name"], "web");
                processes += 1;
            }
            "event" => {
                assert_eq!(data["process"], "web");
                happened.insert(data["kind"].as_str().unwrap().to_owned());
            }
            other => panic!("{other}: {data}"),
        }
    }
    let unknown = served.get("/api/v1/stream?process=wbe").await;
    assert_eq!(unknown.status, 404);
    served.program.signal("TERM");
    while stream.next().await.is_some() {}
    assert!(served.program.end(Duration::from_secs(5)).await.is_some_and(|status| status.success()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_comes_in_pages_and_in_steps() {
    let served = Served::open(&[]).await;
    let enough = |answer: &Answer| answer.json()["decisions"].as_array().is_some_and(|all| all.len() >= 10);
    served.until("/api/v1/decisions?process=web&limit=10", enough).await;
    let first = served.get("/api/v1/decisions?process=web&limit=4").await.json();
    let next = first["next"].as_str().expect("there are more");
    let second = served.get(&format!("/api/v1/decisions?process=web&limit=4&before={next}")).await.json();
    let times = |page: &Value| -> Vec<String> {
        let rows = page["decisions"].as_array().unwrap();
        rows.iter().map(|row| row["at"].as_str().unwrap().to_owned()).collect()
    };
    let (first, second) = (times(&first), times(&second));
    assert_eq!((first.len(), second.len()), (4, 4));
    assert!(first.is_sorted_by(|left, right| left > right) && first.last() > second.first(), "{first:?} {second:?}");

    for reason in ["one", "two", "three"] {
        served.command("web", json!({"command": "evaluate", "reason": reason})).await;
    }
    let path = "/api/v1/events?kind=commanded&limit=2";
    let page = served.until(path, |answer| answer.json()["next"].is_string()).await.json();
    let rest = served.get(&format!("{path}&before={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((page["events"].as_array().unwrap().len(), rest["events"].as_array().unwrap().len()), (2, 1));
    assert_eq!(rest["next"], Value::Null);

    let series = served.get("/api/v1/processes/web/series?points=5000").await.json();
    let length = series["at_ms"].as_array().unwrap().len();
    assert!(length > 0, "{series}");
    for list in ["running", "wanted", "min", "max"] {
        assert_eq!(series[list].as_array().unwrap().len(), length, "{list}");
    }
    for list in ["mean", "lowest", "highest", "failures"] {
        assert_eq!(series["readings"][0][list].as_array().unwrap().len(), length, "{list}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_history_says_that_there_is_none() {
    let served = Served::open(&["--store", "none"]).await;
    for path in ["/api/v1/decisions", "/api/v1/events", "/api/v1/processes/web/series"] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, answer.json()["error"]["key"].clone()), (503, json!("store_off")), "{path}");
    }
    assert_eq!(served.get("/api/v1/health").await.json()["store"]["state"], "off");
    assert_eq!(served.get("/api/v1/settings").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_every_bot_has_decided() {
    let app = App::start(Answers::Hangs).await;
    let folder = Folder::new();
    folder.write("autoscale_settings.toml", &settings(&app));
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let mut command = autoscalebot();
    command.current_dir(folder.path()).args(["run", "--listen", &address, "--store", "none"]);
    let program = Program::start(&mut command);
    assert!(program.until(PATIENCE, |output| output.contains("the dashboard is at this address")).await);
    let waiting = ask(&address, Wish::get("/readyz")).await;
    assert_eq!((waiting.status, waiting.json()["waiting"].clone()), (503, json!(["web", "worker"])));
    assert_eq!(ask(&address, Wish::get("/healthz")).await.json(), json!({"status": "ok"}));
    assert_eq!(ask(&address, Wish::get("/api/v1/processes/web")).await.json()["status"], "starting");
    // A measurement that fails is decided on too.
    let mut status = 0;
    for _ in 0..PATIENCE.as_millis() / 100 {
        status = ask(&address, Wish::get("/readyz")).await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200, "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_says_what_a_page_may_do_with_it() {
    let served = Served::open(&[]).await;
    for path in ["/", "/assets/app.js", "/api/v1/processes", "/nothing", "/healthz"] {
        let answer = served.get(path).await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        let cache = if path == "/" || path.starts_with("/assets/") { "no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
    }
    let page = served.get("/").await;
    assert!(page.body.contains("<title>autoscalebot</title>"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let tag = page.header("etag").unwrap();
    assert_eq!(served.ask(Wish::get("/").header("if-none-match", tag)).await.status, 304);
}
