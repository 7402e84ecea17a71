//! Dramatiq's queues on a real RabbitMQ, written and worked on by Dramatiq.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::{
    program::{Folder, Program},
    services::RabbitMq,
};

use crate::support::{Claim, Language, Measure, Python, claim, detail, measure, number, services, unique, until};

const NAME: &str = "DramatiqRabbitmq";

/// Python and Dramatiq start slowly on two busy cores, and the management API is late.
const SOON: Duration = Duration::from_secs(40);

pub fn claims() -> Vec<Claim> {
    vec![
        claim(
            "messages_wait_until_they_are_fetched_and_delayed_ones_are_scheduled",
            messages_wait_until_they_are_fetched_and_delayed_ones_are_scheduled,
        ),
        claim("dead_letters_and_other_queues_do_not_count", dead_letters_and_other_queues_do_not_count),
        claim("a_queue_beside_another_is_refused_by_name", a_queue_beside_another_is_refused_by_name),
    ]
}

/// An app with a virtual host of its own on the shared broker.
struct App {
    broker: Arc<RabbitMq>,
    host: String,
    url: String,
    folder: Folder,
}

impl App {
    async fn new() -> Self {
        let (broker, host) = (services::rabbitmq().await, unique("dramatiq"));
        let url = broker.create_virtual_host(&host).await;
        Self { broker, host, url, folder: Folder::new() }
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        [("RABBITMQ", self.url.clone()), ("GATE", self.folder.path().join("gate").display().to_string())]
    }

    async fn run(&self, commands: Value) {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let told = Python::run("dramatiq_rabbitmq_app.py", &[&commands.to_string()], &environment).await;
        assert_eq!(told, json!(true));
    }

    /// A worker with one thread, so that it fetches two messages.
    fn worker(&self) -> Program {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let words = ["-m", "dramatiq", "dramatiq_rabbitmq_app", "--processes", "1", "--threads", "1"];
        Python::start(&[&words[..], &["--queues", "default"]].concat(), &environment)
    }

    fn measure(&self, settings: Value) -> Box<dyn Measure> {
        let mut all = json!({"url": self.url, "management_url": self.broker.management_url()});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        measure(NAME, all)
    }
}

/// What a look says of the sum: waiting, in progress, scheduled.
async fn until_counts(measure: &dyn Measure, expected: [Value; 3]) {
    let mut seen = Value::Null;
    let came = tokio::time::timeout(SOON, async {
        while ["waiting", "in_progress", "scheduled"].map(|name| seen[name].clone()) != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen = match measure.measure().await {
                Ok(measured) => *measured.detail.unwrap(),
                Err(error) => json!({"error": error.message}),
            };
        }
    });
    let came = came.await.is_ok();
    assert!(came, "{expected:?} did not come: {seen}");
}

async fn messages_wait_until_they_are_fetched_and_delayed_ones_are_scheduled() {
    let app = App::new().await;
    app.run(json!([["send", 5], ["delay", 600]])).await;
    // By AMQP alone what waits is known at once, and without the delayed one.
    let by_amqp = measure(NAME, json!({"url": app.url}));
    assert_eq!(number(&*by_amqp).await, Ok(5.0));
    assert_eq!(detail(&*by_amqp).await["scheduled"], Value::Null);
    let measure = app.measure(json!({}));
    until_counts(&*measure, [json!(5), json!(0), json!(1)]).await;
    let worker = app.worker();
    // The trap: the worker holds the delayed one, unacknowledged, until it is due.
    until_counts(&*measure, [json!(3), json!(2), json!(1)]).await;
    app.folder.write("gate", "open");
    until_counts(&*measure, [json!(0), json!(0), json!(1)]).await;
    drop(worker);
    until_counts(&*measure, [json!(0), json!(0), json!(1)]).await;
    // Dramatiq stamps the body alone, which cannot be read.
    app.run(json!([["send", 1]])).await;
    let latency = app.measure(json!({"metric": "latency"}));
    until("it has no stamp", SOON, async || number(&*latency).await.is_err_and(|error| error.key == "no_stamp")).await;
}

async fn dead_letters_and_other_queues_do_not_count() {
    let app = App::new().await;
    app.folder.write("gate", "open");
    app.run(json!([["fail", 1], ["elsewhere", 1], ["send", 1]])).await;
    let _worker = app.worker();
    let dead = format!("/api/queues/{}/default.XQ", app.host);
    until("it is a dead letter", SOON, async || {
        let told = app.broker.api("GET", &dead, None).await;
        told["messages_ready"] == 1
    })
    .await;
    until_counts(&*app.measure(json!({})), [json!(0), json!(0), json!(0)]).await;
    let by_pattern = app.measure(json!({"queue_names": ["*"]}));
    until_counts(&*by_pattern, [json!(1), json!(0), json!(0)]).await;
    assert_eq!(detail(&*by_pattern).await["queues"].as_object().unwrap().len(), 2);
}

async fn a_queue_beside_another_is_refused_by_name() {
    use autoscalebot_core::registry::find;
    use autoscalebot_engine::measurement::BACKENDS;
    let entry = find(BACKENDS, NAME).map_err(|problem| problem.to_string()).unwrap();
    let problems = (entry.check)(&json!({"queue_names": ["default.DQ", "default.XQ", "default"]}));
    assert_eq!(problems.len(), 2, "{problems:?}");
    let problems = (entry.check)(&json!({"metric": "latency"}));
    assert_eq!(problems[0].path, "management_url");
}
