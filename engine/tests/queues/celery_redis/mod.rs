//! Celery's queues on a real Redis server, filled and worked on by real Celery.

mod lists;
mod workers;

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{
    program::{Folder, Program},
    services::Redis,
};

use crate::support::{Claim, Language, Measure, Python, measure};

const NAME: &str = "autoscalebot.backends.measurement.CeleryRedisQueueSizeBackend";

pub fn claims() -> Vec<Claim> {
    [lists::claims(), workers::claims()].into_iter().flatten().collect()
}

/// A measurement of what lies in this Redis.
fn queue(redis: &Redis, mut settings: Value) -> Box<dyn Measure> {
    if settings.get("url").is_none() {
        settings["port"] = redis.port().into();
        settings["host"] = "127.0.0.1".into();
    }
    measure(NAME, settings)
}

/// An app with Celery on a Redis.
struct App {
    environment: Vec<(String, String)>,
    /// Tasks run until this folder has the file `open`.
    folder: Arc<Folder>,
}

impl App {
    fn on(redis: &Redis) -> Self {
        let environment = vec![("BROKER".to_owned(), format!("{}/0", redis.url()))];
        Self { environment, folder: Arc::new(Folder::new()) }
    }

    /// With these settings of Celery.
    fn with(mut self, settings: &Value) -> Self {
        self.environment.push(("CELERY_SETTINGS".to_owned(), settings.to_string()));
        self
    }

    /// With messages that are stamped in this dialect, as if they had been sent so long ago.
    fn stamping(mut self, dialect: &str, seconds_ago: u32) -> Self {
        self.environment.push(("STAMP".to_owned(), dialect.to_owned()));
        self.environment.push(("STAMPED_SECONDS_AGO".to_owned(), seconds_ago.to_string()));
        self
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Sends tasks that run until the gate opens: a list of `{"count", "task", …}` with what `apply_async` takes.
    async fn send(&self, orders: Value) {
        let Value::Array(mut orders) = orders else { panic!("{orders}") };
        for order in &mut orders {
            let gate = self.folder.path().join("open");
            if order["task"] != "again" && order["args"].is_null() {
                order["args"] = json!([gate.to_str().unwrap()]);
            }
        }
        Python::run("celery_app.py", &[&Value::Array(orders).to_string()], &self.environment()).await;
    }

    /// Starts a worker, and waits until it is ready.
    async fn worker(&self, name: &str, options: &[&str]) -> Program {
        let plain = ["-m", "celery", "-A", "celery_app", "worker", "--loglevel", "INFO"];
        let quick = ["--without-gossip", "--without-mingle", "-n", name];
        let worker = Python::start(&[&plain[..], &quick[..], options].concat(), &self.environment());
        let ready = worker.until(std::time::Duration::from_secs(30), |output| output.contains(" ready.")).await;
        assert!(ready, "{}", worker.output());
        worker
    }

    /// Lets all tasks end.
    fn open(&self) {
        self.folder.write("open", "");
    }
}
