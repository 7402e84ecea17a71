//! Our metrics, alerts and dashboard on a real Prometheus.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use autoscalebot_engine::{
    environment::Environment,
    telemetry::metrics::{CONTENT_TYPE, FAMILIES, Kind, Sources, render},
};
use axum::{Router, http::header::CONTENT_TYPE as TYPE, routing::get};
use serde_json::Value;
use testkit::services::{Prometheus, promtool};

use super::scene::{SECRETS, Scene};

/// Until everything has happened in the scene and was scraped. The slowest is a notice that is given up after 21 seconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn in_docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/monitoring").join(name)
}

/// Where the metrics are served, until the test's runtime ends.
async fn serve(sources: Sources) -> String {
    let page = move || std::future::ready(([(TYPE, CONTENT_TYPE)], render(&sources)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", get(page))).await });
    address
}

/// A query's answer, or what is wrong with the query.
async fn ask(prometheus: &Prometheus, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
    let url = reqwest::Url::parse_with_params(&format!("{}/{path}", prometheus.api()), query).unwrap();
    let answer = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer["error"].to_string()) }
}

async fn series(prometheus: &Prometheus, query: &str) -> Vec<Value> {
    let answer = ask(prometheus, "query", &[("query", query)]).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    answer["result"].as_array().unwrap().clone()
}

/// Families of which the page has no number.
pub fn silent_families(page: &str) -> Vec<&'static str> {
    let has =
        |name: &str| page.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let name = |name: &str, kind| if kind == Kind::Histogram { format!("{name}_count") } else { name.to_owned() };
    FAMILIES.iter().filter(|family| !has(&name(family.name, family.kind))).map(|family| family.name).collect()
}

/// Every query of the dashboard with its variables filled in, and where it stands.
fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(in_docs("grafana-dashboard.json")).unwrap()).unwrap();
    let filled = |query: &Value| {
        let query = query.as_str().unwrap().replace("$process", ".*").replace("$__rate_interval", "1m");
        assert!(!query.contains('$'), "a variable that nobody fills in: {query}");
        query
    };
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((panel["title"].to_string(), filled(&target["expr"])));
        }
    }
    for note in dashboard["annotations"]["list"].as_array().unwrap() {
        queries.push((note["name"].to_string(), filled(&note["expr"])));
    }
    queries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_every_family_and_dashboard_and_alerts_ask_for_what_is_there() {
    let scene = Scene::start(Environment::default()).await;
    let address = serve(scene.sources.clone()).await;
    let prometheus = Prometheus::start(&address, None, &in_docs("prometheus-alerts.yml")).await;

    // Everything happens, and every query of the dashboard finds something.
    let (mut silent, mut empty) = (Vec::new(), Vec::new());
    let all_is_there = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            silent = silent_families(&render(&scene.sources));
            let mut without = Vec::new();
            for (place, query) in dashboard_queries() {
                if series(&prometheus, &query).await.is_empty() {
                    without.push((place, query));
                }
            }
            empty = without;
            if silent.is_empty() && empty.is_empty() {
                break;
            }
        }
    };
    // What is missing is told below.
    let _ = tokio::time::timeout(PATIENCE, all_is_there).await;
    assert_eq!(silent, [""; 0], "without a number");
    assert!(empty.is_empty(), "without an answer: {empty:#?}");

    let page = render(&scene.sources);
    let linted = promtool(&["check", "metrics"], &page);
    assert_eq!(linted, Ok(String::new()), "{page}");
    assert!(SECRETS.iter().all(|secret| !page.contains(secret)), "{page}");
    let up = series(&prometheus, "up{job=\"autoscalebot\"}").await;
    assert_eq!(up[0]["value"][1], "1", "{up:?}");

    every_label_that_is_shown_exists(&prometheus).await;
    every_alert_can_be_asked(&prometheus).await;
}

/// `{{name}}` in a legend, and the labels that variables are made from.
async fn every_label_that_is_shown_exists(prometheus: &Prometheus) {
    let labels = ask(prometheus, "labels", &[]).await.unwrap();
    let known: BTreeSet<&str> = labels.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let dashboard = std::fs::read_to_string(in_docs("grafana-dashboard.json")).unwrap();
    let in_legends = dashboard.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    for label in in_legends.chain(["process"]) {
        assert!(known.contains(label), "the dashboard shows the label {label}, which nothing has");
    }
    let processes = ask(prometheus, "label/process/values", &[("match[]", "autoscalebot_bot_stalled")]).await.unwrap();
    assert_eq!(processes.as_array().unwrap().len(), 9, "{processes}");
}

/// Every alert is healthy by the server's own word, asks for metrics that exist, and sounds here if it should.
async fn every_alert_can_be_asked(prometheus: &Prometheus) {
    let groups = ask(prometheus, "rules", &[]).await.unwrap();
    let rules = groups["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10, "{groups}");
    let families: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    let mut sounding = BTreeSet::new();
    for rule in rules {
        let (name, query) = (rule["name"].as_str().unwrap(), rule["query"].as_str().unwrap());
        assert_eq!(rule["health"], "ok", "{rule}");
        let letters = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
        for metric in query.split(letters).filter(|word| word.starts_with("autoscalebot_")) {
            assert!(families.contains(metric.trim_end_matches("_bucket")), "{name}: there is no {metric}");
        }
        if !series(prometheus, query).await.is_empty() {
            sounding.insert(name);
        }
    }
    let expected = [
        "AutoscalebotAtMax",
        "AutoscalebotCountUnknown",
        "AutoscalebotMeasurementFailing",
        "AutoscalebotPausedLong",
        "AutoscalebotScaleFailing",
    ];
    assert!(expected.iter().all(|name| sounding.contains(name)), "{sounding:?}");
    let silent =
        ["AutoscalebotMissing", "AutoscalebotBotStalled", "AutoscalebotStoreDown", "AutoscalebotHerokuBudgetLow"];
    assert!(silent.iter().all(|name| !sounding.contains(name)), "{sounding:?}");
}

#[test]
fn the_alerts_are_rules_and_do_what_their_tests_say() {
    let (rules, tests) = (in_docs("prometheus-alerts.yml"), in_docs("prometheus-alerts-test.yml"));
    let checked = promtool(&["check", "rules", rules.to_str().unwrap()], "");
    assert!(checked.is_ok_and(|said| said.contains("SUCCESS")));
    let tested = promtool(&["test", "rules", tests.to_str().unwrap()], "");
    assert!(tested.as_ref().is_ok_and(|said| said.contains("SUCCESS")), "{tested:?}");
    // Whoever adds an alert shows when it sounds.
    let (rules, tests) = (std::fs::read_to_string(rules).unwrap(), std::fs::read_to_string(tests).unwrap());
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(
            tests.contains(&format!("        alertname: {alert}\n        exp_alerts:\n")),
            "{alert} is never shown to sound"
        );
    }
}
