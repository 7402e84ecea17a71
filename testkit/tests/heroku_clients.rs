//! Clients that we did not write scale an app on the fake Heroku.
//!
//! They are the proof that the fake is Heroku to somebody else than us: whatever they rely on is there, in the shape in
//! which they expect it. They run as programs of their own; `cargo xtask test` installs what they need.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use testkit::{
    fake_heroku::{FakeHeroku, Setup},
    tools,
};
use tokio::{process::Command, time::timeout};

const APP: &str = "dancing-forest-1234";

/// Far longer than any of these programs takes, even where two cores serve ten test runs.
const PATIENCE: Duration = Duration::from_secs(120);

fn setup() -> Setup {
    Setup::app(APP).process("web", 1, "Standard-1X").process("celery", 1, "Standard-1X")
}

fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Runs the program and reads the JSON that it prints.
async fn run(mut command: Command) -> Value {
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.expect("in time").expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

async fn run_python(name: &str, fake: &FakeHeroku) -> Value {
    let mut command = Command::new(tools::python());
    command.arg(client(name)).args([&fake.url(), "test-token", APP]);
    run(command).await
}

#[tokio::test]
async fn heroku3_scales_an_app_and_reads_its_log() {
    // Pages of two rows make it follow Next-Range for every longer list.
    let fake = FakeHeroku::start(setup().page_size(2).and_app("quiet-meadow-1").and_app("quiet-meadow-2")).await;
    fake.push_log_line("heroku", "router", "at=info method=GET path=\"/\" service=23ms");

    let seen = run_python("heroku3_scale.py", &fake).await;

    assert_eq!(seen["authenticated"], true);
    assert_eq!(seen["authenticated_with_wrong_token"], false);
    assert_eq!(seen["apps"], json!([APP, "quiet-meadow-1", "quiet-meadow-2"]));
    assert_eq!(seen["maintenance"], false);
    assert_eq!(seen["formation"], json!({ "web": [1, "Standard-1X"], "celery": [1, "Standard-1X"] }));
    assert_eq!(seen["scaled"], 3);
    assert_eq!(seen["dynos"], json!(["celery.1", "web.1", "web.2", "web.3"]));
    assert_eq!(seen["batch"], json!({ "web": 2, "celery": 4 }));
    assert_eq!(seen["resized"], "Standard-2X");
    assert_eq!(seen["to_zero"], 0);
    assert_eq!(seen["releases"], json!([1, 2, 3]));
    assert_eq!(seen["newest_release"], json!([3]));
    let refusal = seen["refusal"].as_str().expect("a refusal");
    assert!(refusal.contains("422") && refusal.contains("No such size as 1X."), "{refusal}");
    assert_eq!(seen["missing"], json!({ "id": "not_found", "message": "Couldn't find that app.", "resource": "app" }));
    let log = seen["log"].as_str().expect("a log");
    assert!(log.contains("app[api]: Scaled to web@3:Standard-1X by ops@example.com\n"), "{log}");
    assert!(log.contains("heroku[web.2]: Starting process with command `bin/web`\n"), "{log}");
    let router_log = seen["router_log"].as_str().expect("a log");
    assert!(router_log.ends_with("heroku[router]: at=info method=GET path=\"/\" service=23ms\n"), "{router_log}");
    assert_eq!(router_log.lines().count(), 1, "{router_log}");
    assert!(seen["rate_remaining"].as_u64().is_some_and(|left| (4400..4500).contains(&left)), "{seen}");
    assert_eq!(seen["restarted"], true);
    assert!(seen["pages_followed"].as_u64().is_some_and(|pages| pages >= 3), "{seen}");
    assert_eq!((fake.quantity("web"), fake.quantity("celery"), fake.size("celery")), (1, 0, "Standard-2X".to_owned()));
    assert_eq!(fake.patches(), 6);
}

#[tokio::test]
async fn heroku3_sees_the_rate_limit_as_herokus() {
    let fake = FakeHeroku::start(setup().rate_limit(5.0, 1.0)).await;

    let seen = run_python("heroku3_rate_limit.py", &fake).await;

    // One of the five went to the app itself.
    assert_eq!(seen["calls"], 4);
    let refusal = seen["refusal"].as_str().expect("a refusal");
    assert!(refusal.contains("Your account reached the API rate limit"), "{refusal}");
    assert_eq!(seen["remaining"].to_string().trim_matches('"'), "0", "{seen}");
}

#[tokio::test]
async fn heroku_client_scales_an_app_and_reads_its_log() {
    let fake = FakeHeroku::start(setup().page_size(2)).await;
    let mut command = Command::new("node");
    command.arg(client("heroku_client_scale.mjs")).arg(tools::node_modules()).args([&fake.url(), "test-token", APP]);

    let seen = run(command).await;

    assert_eq!(seen["account"], "ops@example.com");
    assert_eq!(seen["formation"], json!({ "web": 1, "celery": 1 }));
    assert_eq!(seen["scaled"], 3);
    assert_eq!(seen["dynoSize"], "Standard-2X");
    assert_eq!(seen["batch"], json!({ "web": 4, "celery": 5 }));
    let dynos = ["celery.1", "celery.2", "celery.3", "celery.4", "celery.5", "web.1", "web.2", "web.3", "web.4"];
    assert_eq!(seen["dynos"], json!(dynos));
    assert_eq!(seen["releases"], json!([1, 2, 3]));
    assert_eq!(seen["tooMany"]["status"], 422);
    assert_eq!(
        seen["noSuchProcess"],
        json!({
            "status": 404,
            "body": {
                "id": "not_found",
                "message": "Couldn't find that process type (clock).",
                "resource": "formation",
            },
        })
    );
    assert_eq!(
        seen["wrongToken"],
        json!({ "status": 401, "body": { "id": "unauthorized", "message": "Invalid credentials provided." } })
    );
    assert_eq!(seen["maintenance"], true);
    assert_eq!(seen["log"]["type"], "text/plain");
    let log = seen["log"]["text"].as_str().expect("a log");
    assert!(log.ends_with("app[api]: Scaled to web@4:Standard-2X celery@5:Standard-1X by ops@example.com\n"), "{log}");
    assert_eq!(seen["events"]["type"], "text/event-stream");
    let events = seen["events"]["text"].as_str().expect("events");
    let lines = log.lines().enumerate().map(|(n, line)| format!("id: {}\ndata: {line}\n\n", n + 1));
    assert_eq!(events, lines.collect::<String>());
    assert_eq!((fake.quantity("web"), fake.quantity("celery")), (4, 5));
}
