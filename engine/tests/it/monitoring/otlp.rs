//! What a collector gets, read by OpenTelemetry's own messages for Python.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc, time::Duration};

use autoscalebot_engine::{
    board::Board,
    clock::SystemClock,
    environment::Environment,
    host::Host,
    shared::Shared,
    telemetry::{
        metrics::{FAMILIES, Kind, Sources, render},
        otlp::Export,
    },
};
use serde_json::Value;
use testkit::{program::Program, tools};

use super::{
    prometheus::silent_families,
    scene::{SECRETS, Scene},
};

/// Long beside the tenth of a second between two messages, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Collector {
    program: Program,
    port: u64,
}

impl Collector {
    async fn start(answers: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/monitoring/collector.py");
        let program = Program::start(Command::new(tools::python()).arg(script).args(answers));
        assert!(program.until(PATIENCE, |output| output.contains('\n')).await, "{}", program.output());
        let port = lines(&program.output())[0]["port"].as_u64().unwrap();
        Self { program, port }
    }

    /// Everything that it got, once there are so many messages.
    async fn got(&self, messages: usize) -> Vec<Value> {
        let enough = self.program.until(PATIENCE, |output| lines(output).len() > messages).await;
        assert!(enough, "{}", self.program.output());
        lines(&self.program.output()).split_off(1)
    }
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn environment(collector: &Collector) -> Environment {
    let endpoint = format!("http://127.0.0.1:{}/otlp", collector.port);
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=hush-9876543210"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test%20bench"),
    ]
    .into_iter()
    .collect()
}

/// The values of `{"key": .., "value": {"stringValue": ..}}`.
fn attributes(list: &Value) -> BTreeMap<&str, &str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|it| (it["key"].as_str().unwrap(), it["value"]["stringValue"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_every_family_with_its_kind_its_labels_and_whose_it_is() {
    let collector = Collector::start(&["200"]).await;
    let scene = Scene::start(environment(&collector)).await;
    let export = Export::start(scene.sources.clone()).unwrap().expect("the environment says where to");
    assert_eq!(export.endpoint(), format!("http://127.0.0.1:{}/otlp/v1/metrics", collector.port));

    // All that happens in the scene has happened once the page for Prometheus has it.
    for _ in 0..PATIENCE.as_millis() / 100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if silent_families(&render(&scene.sources)).is_empty() {
            break;
        }
    }
    let so_far = collector.got(1).await.len();
    let got = collector.got(so_far + 2).await.pop().unwrap();
    export.finish(PATIENCE).await;

    assert_eq!((got["path"].as_str(), &got["exact"]), (Some("/otlp/v1/metrics"), &Value::Bool(true)));
    assert_eq!(got["headers"]["content-type"], "application/x-protobuf");
    assert_eq!(got["headers"]["x-token"], "hush-9876543210");
    assert!(SECRETS.iter().all(|secret| !got["message"].to_string().contains(secret)));
    let of_one = &got["message"]["resourceMetrics"][0];
    let resource = attributes(&of_one["resource"]["attributes"]);
    assert_eq!((resource["service.name"], resource["deployment.environment"]), ("autoscalebot", "test bench"));

    let metrics = of_one["scopeMetrics"][0]["metrics"].as_array().unwrap();
    for family in FAMILIES {
        let metric = metrics.iter().find(|metric| metric["name"] == family.name);
        let metric = metric.unwrap_or_else(|| panic!("{} is missing", family.name));
        assert_eq!(metric["description"], family.help);
        let data = match family.kind {
            Kind::Gauge => &metric["gauge"],
            Kind::Counter => &metric["sum"],
            Kind::Histogram => &metric["histogram"],
        };
        let point = &data["dataPoints"][0];
        assert!(point["timeUnixNano"].is_string(), "{metric}");
        assert!(attributes(&point["attributes"]).keys().all(|label| family.labels.contains(label)), "{metric}");
        if family.kind != Kind::Gauge {
            assert_eq!(data["aggregationTemporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
            assert!(point["startTimeUnixNano"].is_string(), "{metric}");
        }
        if family.kind == Kind::Counter {
            assert_eq!(data["isMonotonic"], true);
        }
    }
    let named = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let lateness = &named("autoscalebot_evaluation_lateness_seconds")["histogram"]["dataPoints"][0];
    let (counts, ends) = (lateness["bucketCounts"].as_array().unwrap(), lateness["explicitBounds"].as_array().unwrap());
    let sum: u64 = counts.iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!((counts.len(), sum.to_string().as_str()), (ends.len() + 1, lateness["count"].as_str().unwrap()));
    let running = named("autoscalebot_processes_running")["gauge"]["dataPoints"].as_array().unwrap();
    let held = running.iter().find(|point| attributes(&point["attributes"])["process"] == "held").unwrap();
    assert_eq!(held["asDouble"], 2.0);
    assert!(!running.iter().any(|point| attributes(&point["attributes"])["process"] == "mute"), "unknown is absent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_is_asked_again_and_the_end_sends_once_more() {
    let collector = Collector::start(&["503", "partial", "302", "200"]).await;
    let scene = Scene::start(environment(&collector)).await;
    let export = Export::start(scene.sources.clone()).unwrap().unwrap();
    let before = collector.got(5).await.len();
    export.finish(PATIENCE).await;
    assert!(collector.got(before + 1).await.len() > before);
}

#[tokio::test]
async fn without_an_address_nothing_is_sent_and_a_wrong_one_is_refused_without_being_repeated() {
    let export = |variables: &[(&str, &str)]| {
        let environment: Environment = variables.iter().copied().collect();
        let shared = Shared::new(Arc::new(SystemClock::new()), environment);
        Export::start(Sources::new(Board::new(Host::default()), None, shared))
    };
    assert!(export(&[]).is_ok_and(|export| export.is_none()));
    let Err(error) = export(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:hush")]) else { panic!("it is no address") };
    assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !error.contains("hush"), "{error}");
}
