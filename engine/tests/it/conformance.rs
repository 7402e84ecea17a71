//! What every backend must keep, tried on all that are listed: the tests walk the four `BACKENDS` slices, so that a new
//! backend is tried from the day it is in its list.
//!
//! That each file of a stage is listed and has a page is `cargo xtask tidy`'s business, which sees the files.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use autoscalebot_core::{
    decision,
    names::ProcessName,
    registry::{Entry, find},
    sample::{CountsAs, Reading},
};
use autoscalebot_engine::{
    clock::SystemClock,
    config::{BackendSettings, load},
    environment::Environment,
    measurement::{self, Measure, MeasureError},
    notification,
    scaling::{self, Scale},
    shared::Shared,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{
    app::{Answers, App},
    nasty::{Does, Nasty, refusing_url},
};

/// Stands in every secret of the tests, and in nothing that may be shown.
const SECRET: &str = "hunter2-the-secret";

/// The same as a number, for settings whose writer forgot the quotes.
const SECRET_NUMBER: u64 = 7_316_548_291;

/// One backend of any stage, without its types.
struct Listed {
    stage: &'static str,
    name: &'static str,
    original_names: &'static [&'static str],
    check: &'static autoscalebot_core::registry::Check,
    schema: Value,
    defaults: Value,
}

fn listed<Stage: ?Sized + 'static, Context: ?Sized + 'static>(
    stage: &'static str,
    entries: &[Entry<Stage, Context>],
) -> Vec<Listed> {
    let listed = |entry: &Entry<Stage, Context>| Listed {
        stage,
        name: entry.name,
        original_names: entry.original_names,
        check: entry.check,
        schema: serde_json::to_value((entry.schema)()).unwrap(),
        defaults: (entry.defaults)(),
    };
    entries.iter().map(listed).collect()
}

/// Every backend there is.
fn all() -> Vec<Listed> {
    let mut all = listed("measurement", measurement::BACKENDS);
    all.extend(listed("decision", decision::BACKENDS));
    all.extend(listed("scaling", scaling::BACKENDS));
    all.extend(listed("notification", notification::BACKENDS));
    all
}

impl Listed {
    fn properties(&self) -> Vec<(&str, &Value)> {
        let properties = self.schema["properties"].as_object().into_iter().flatten();
        properties.map(|(name, schema)| (name.as_str(), schema)).collect()
    }
}

impl std::fmt::Display for Listed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.stage, self.name)
    }
}

#[test]
fn names_are_unique_in_their_stage_and_well_formed() {
    let mut taken = BTreeSet::new();
    for backend in all() {
        // `X` and `XBackend` are the same name to whoever writes settings.
        let names = std::iter::once(&backend.name).chain(backend.original_names);
        let stems: BTreeSet<&str> = names.map(|name| name.strip_suffix("Backend").unwrap_or(name)).collect();
        for name in stems {
            assert!(taken.insert((backend.stage, name)), "{backend}: {name} is taken");
            let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric());
            assert!(letters && name.starts_with(|first: char| first.is_ascii_uppercase()), "{backend}: {name}");
        }
        assert!(!backend.name.ends_with("Backend"), "{backend}: the ending is added by those who want it");
    }
    assert!(taken.len() > 10, "the lists are walked");
}

#[test]
fn default_settings_parse_back_and_lack_only_what_has_no_default() {
    for backend in all() {
        for problem in (backend.check)(&backend.defaults) {
            let setting = problem.path.split(['.', '[']).next().unwrap_or_default();
            let default = &backend.defaults[setting];
            let has_none = default.is_null() || *default == json!("") || *default == json!([]) || *default == json!({});
            assert!(has_none, "{backend}: its own default is refused: {problem}");
        }
    }
}

#[test]
fn the_schema_tells_the_defaults_that_hold() {
    for backend in all() {
        for (name, schema) in backend.properties() {
            let default = &backend.defaults[name];
            assert_eq!(&schema["default"], default, "{backend}: {name}");
        }
        assert_eq!(backend.schema["additionalProperties"], json!(false), "{backend}: misspelt settings are refused");
    }
}

#[test]
fn every_setting_is_described_and_named_like_the_originals() {
    for backend in all() {
        for (name, schema) in backend.properties() {
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(description.ends_with(['.', ')']), "{backend}: {name} has no description");
            let lower = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
            assert!(name.chars().all(lower), "{backend}: {name} is not lower-case");
        }
    }
}

/// Where secrets stand in a value of this schema: the same value with `secret` in each of them; none without secrets.
fn with_secrets(schema: &Value, secret: &Value) -> Option<Value> {
    if schema["writeOnly"] == json!(true) {
        return Some(secret.clone());
    }
    if let Some(inside) = with_secrets_inside(schema, "additionalProperties", secret) {
        return Some(json!({"Name": inside}));
    }
    if let Some(inside) = with_secrets_inside(schema, "items", secret) {
        return Some(json!([inside]));
    }
    let ways = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    ways.filter_map(|way| with_secrets(way, secret)).next()
}

fn with_secrets_inside(schema: &Value, key: &str, secret: &Value) -> Option<Value> {
    schema.get(key).filter(|inside| inside.is_object()).and_then(|inside| with_secrets(inside, secret))
}

#[test]
fn no_problem_with_settings_shows_a_secret() {
    let mut tried = 0;
    for backend in all() {
        for (name, schema) in backend.properties() {
            for secret in [json!(SECRET), json!(SECRET_NUMBER), json!([SECRET]), json!(format!("{SECRET}\n\u{0}"))] {
                let Some(value) = with_secrets(schema, &secret) else { continue };
                tried += 1;
                // Beside it something else is wrong, so that there is a problem to tell in any case.
                let mut settings = backend.defaults.clone();
                settings[name] = value;
                settings["no_such_setting"] = json!(1);
                let problems = (backend.check)(&settings);
                assert!(!problems.is_empty());
                let told = format!("{problems:?}");
                let shown = told.contains(SECRET) || told.contains(&SECRET_NUMBER.to_string());
                assert!(!shown, "{backend}: {name} is shown: {told}");
            }
        }
    }
    assert!(tried > 10, "secrets are found in the schemas");
}

fn shared() -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), Environment::default())
}

fn platform(name: &str, settings: &Value, shared: &Arc<Shared>) -> Arc<dyn Scale> {
    let context = scaling::Context { process: ProcessName::new("web").unwrap(), shared: shared.clone() };
    let entry = find(scaling::BACKENDS, name).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!((entry.check)(settings), [], "{name}");
    (entry.build)(settings, &context).map_err(|problem| problem.to_string()).unwrap().into()
}

/// Measurement backends that need a URL and nothing else, by what their settings are called. One that also needs the API
/// of a platform is tried with a fake of that platform.
fn asking_urls() -> Vec<&'static Entry<dyn Measure, measurement::Context>> {
    let asks = |entry: &&Entry<dyn Measure, measurement::Context>| {
        let defaults = (entry.defaults)();
        defaults.get("measurement_url").is_some() && defaults.get("api_key").is_none()
    };
    let entries: Vec<_> = measurement::BACKENDS.iter().filter(asks).collect();
    assert!(entries.len() >= 2);
    entries
}

/// A URL-based backend that asks `url`, and keeps a secret of each kind.
fn measuring(
    entry: &Entry<dyn Measure, measurement::Context>,
    shared: &Arc<Shared>,
    url: &str,
    timeout: f64,
) -> Box<dyn Measure> {
    let url = format!("{}/load?token={SECRET}", url.replace("http://", &format!("http://user:{SECRET}@")));
    let mut settings = json!({"measurement_url": url, "timeout_seconds": timeout});
    let own = [("value", json!("/size")), ("headers", json!({"X-Key": SECRET}))];
    let defaults = (entry.defaults)();
    for (name, value) in own {
        if defaults.get(name).is_some() {
            settings[name] = value;
        }
    }
    assert_eq!((entry.check)(&settings), [], "{}", entry.name);
    let context = measurement::Context {
        common: measurement::Common::default(),
        process: ProcessName::new("web").unwrap(),
        platform: platform("DryRun", &json!({}), shared),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: shared.clone(),
    };
    (entry.build)(&settings, &context).map_err(|problem| problem.to_string()).unwrap()
}

/// What a failing endpoint does, and whether that says that the app has too little capacity.
fn failing() -> Vec<(&'static str, Does, CountsAs)> {
    use CountsAs::{High, Unknown};
    vec![
        ("hangs", Does::Hangs, High),
        ("a slow body without end", Does::Trickles, High),
        ("500", Does::answer("500 Internal Server Error", r#"{"size": 1}"#), High),
        ("503", Does::answer("503 Service Unavailable", r#"{"size": 1}"#), High),
        ("404", Does::answer("404 Not Found", r#"{"size": 1}"#), Unknown),
        ("401", Does::answer("401 Unauthorized", r#"{"size": 1}"#), Unknown),
        ("204 with a body cut short", Does::Truncates, Unknown),
        ("reset in the body", Does::Resets, Unknown),
        ("closed without an answer", Does::Closes, Unknown),
        ("a body without end", Does::Floods, Unknown),
        ("a redirect loop", Does::redirect("http://{address}/"), Unknown),
        ("no HTTP", Does::Says("hello\r\n\r\n".to_owned()), Unknown),
    ]
}

/// Answers that are fine for a stopwatch and no number for whoever reads JSON.
fn no_number() -> Vec<(&'static str, Does)> {
    let answers = [
        ("empty", ""),
        ("NaN", "NaN"),
        ("NaN inside", r#"{"size": NaN}"#),
        ("too large", r#"{"size": 1e999}"#),
        ("a text", r#"{"size": "many"}"#),
        ("null", r#"{"size": null}"#),
        ("another key", r#"{"sizes": 1}"#),
        ("half", r#"{"size": 1"#),
        ("HTML", "<html>1</html>"),
    ];
    answers.map(|(name, body)| (name, Does::answer("200 OK", body))).into()
}

fn assert_honest(name: &str, failed: Result<Reading, MeasureError>, counts_as: CountsAs) {
    let error = failed.expect_err(name);
    assert!(!format!("{error:?}").contains(SECRET), "{name}: {error:?}");
    let key = error.key.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    assert!(key && !error.key.is_empty() && error.message.len() > 20, "{name}: {error:?}");
    assert_eq!(error.counts_as, counts_as, "{name}: {error}");
}

async fn measure(backend: &dyn Measure) -> Result<Reading, MeasureError> {
    backend.measure().await.map(|measured| measured.reading)
}

#[tokio::test]
async fn a_failing_endpoint_gives_a_failure_and_never_a_number() {
    let good = Does::answer("200 OK", r#"{"size": 3}"#);
    let (good, shared) = (&good, &shared());
    let tries = asking_urls().into_iter().flat_map(|entry| {
        failing().into_iter().map(move |(what, does, counts_as)| async move {
            let name = format!("{}: {what}", entry.name);
            let server = Nasty::start(does).await;
            let backend = measuring(entry, shared, &server.url(), 1.0);
            assert_honest(&name, measure(&*backend).await, counts_as);
            server.set(good.clone());
            assert!(measure(&*backend).await.is_ok(), "{name}: it recovers by itself");
        })
    });
    join_all(tries).await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_or_sends_too_much_is_unknown() {
    let shared = shared();
    for entry in asking_urls() {
        assert_honest(entry.name, measure(&*measuring(entry, &shared, &refusing_url(), 1.0)).await, CountsAs::Unknown);
        // A name with a part of more than 63 letters cannot exist, which the resolver knows without asking anybody.
        let nowhere = format!("http://{}.localhost", "x".repeat(64));
        assert_honest(entry.name, measure(&*measuring(entry, &shared, &nowhere, 5.0)).await, CountsAs::Unknown);
        let app = App::start(Answers::Bytes(10 << 20)).await;
        assert_honest(entry.name, measure(&*measuring(entry, &shared, &app.url(), 5.0)).await, CountsAs::Unknown);
    }
}

#[tokio::test]
async fn an_answer_without_a_number_is_no_reading_for_whoever_looks_for_one() {
    let (mut tried, shared) = (0, shared());
    for entry in asking_urls().into_iter().filter(|entry| (entry.defaults)().get("value").is_some()) {
        for (what, does) in no_number() {
            let server = Nasty::start(does).await;
            let failed = measure(&*measuring(entry, &shared, &server.url(), 5.0)).await;
            assert_honest(&format!("{}: {what}", entry.name), failed, CountsAs::Unknown);
            tried += 1;
        }
    }
    assert!(tried > 0);
}

#[tokio::test]
async fn a_measurement_that_is_dropped_half_way_does_no_harm_to_the_next() {
    let shared = shared();
    for entry in asking_urls() {
        for does in [Does::Hangs, Does::Trickles] {
            let server = Nasty::start(does).await;
            let backend = measuring(entry, &shared, &server.url(), 5.0);
            for _ in 0..5 {
                let dropped = tokio::time::timeout(Duration::from_millis(50), backend.measure()).await;
                assert!(dropped.is_err(), "{}: it was still going on", entry.name);
            }
            server.set(Does::answer("200 OK", r#"{"size": 3}"#));
            assert!(backend.measure().await.is_ok(), "{}", entry.name);
        }
    }
}

/// Scaling backends that need a whole platform, and where asking them for their count is tried on one.
const TRIED_ELSEWHERE: [(&str, &str); 2] = [("Heroku", "heroku.rs"), ("Local", "../local.rs")];

#[tokio::test]
async fn asking_for_the_count_changes_nothing() {
    let file = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
    std::fs::write(&file, "2").unwrap();
    for entry in scaling::BACKENDS {
        let settings = match entry.name {
            "DryRun" => json!({"processes": 2}),
            "Command" => json!({"count": ["cat", file], "scale": ["rm", file]}),
            other => {
                let elsewhere = TRIED_ELSEWHERE.iter().find(|(name, _)| *name == other);
                assert!(elsewhere.is_some(), "{other}: give it settings here, or say where it is tried");
                continue;
            }
        };
        let platform = platform(entry.name, &settings, &shared());
        for _ in 0..3 {
            assert_eq!(platform.count().await, Ok(2), "{}", entry.name);
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn neither_effective_settings_nor_errors_show_a_secret_of_a_settings_file() {
    let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir(&folder).unwrap();
    let read = |settings: &str| {
        let text = format!("[web.measurement]\nbackend = \"ResponseTime\"\nsettings = {{ {settings} }}\n");
        std::fs::write(folder.join("s.toml"), format!("{text}[web.scaling]\nbackend = \"DryRun\"\n")).unwrap();
        load::explain(Some("s.toml"), &folder, &Environment::default().into())
    };
    let url = format!("measurement_url = \"http://user:{SECRET}@localhost/?token={SECRET}\"");
    let headers = format!("headers = {{ X-Key = \"{SECRET}\" }}");
    let explained = read(&format!("{url}, {headers}")).map_err(|errors| errors.to_string()).unwrap();
    let shown: Vec<String> = explained.origins.iter().map(|origin| format!("{origin:?}")).collect();
    assert!(shown.iter().any(|origin| origin.contains("http://localhost/?…")), "{shown:#?}");
    assert!(!shown.concat().contains(SECRET), "{shown:#?}");
    for wrong in
        [url.replace("http:", "ftp:"), headers.replace("headers", "headrs"), format!("{url}, {headers}, x = 1")]
    {
        let Err(errors) = read(&wrong) else { panic!("{wrong} is refused") };
        let shown = format!("{} {errors} {errors:?}", errors.render(false));
        assert!(!shown.contains(SECRET), "{shown}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
