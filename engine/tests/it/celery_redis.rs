//! Celery's queue on a real Redis server.

use std::{net::TcpListener, process::Command, sync::Arc, time::Duration};

use autoscalebot_core::{names::ProcessName, registry::find, sample::Reading};
use autoscalebot_engine::{
    clock::SystemClock,
    config::BackendSettings,
    environment::Environment,
    measurement::{BACKENDS, Context, Measure, MeasureError},
    shared::Shared,
};
use serde_json::{Value, json};
use testkit::program::{Folder, Program};

use crate::scripted::Platform;

const PATIENCE: Duration = Duration::from_secs(10);

struct Redis {
    port: u16,
    program: Program,
    _folder: Folder,
}

impl Redis {
    async fn start(options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new();
        let mut command = Command::new("redis-server");
        command.current_dir(folder.path()).args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        let program = Program::start(command.args(options));
        let ready = program.until(PATIENCE, |output| output.to_lowercase().contains("ready to accept")).await;
        assert!(ready, "redis-server does not start (`cargo xtask test` installs it): {}", program.output());
        Self { port, program, _folder: folder }
    }

    fn tell(&self, words: &[&str]) {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }

    fn measurement(&self, mut settings: Value) -> Box<dyn Measure> {
        if settings.get("url").is_none() {
            settings["port"] = self.port.into();
            settings["host"] = "127.0.0.1".into();
        }
        let context = Context {
            process: ProcessName::new("celery").unwrap(),
            platform: Arc::new(Platform::running(1)),
            scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
            shared: Shared::new(Arc::new(SystemClock::new()), Environment::default()),
        };
        let name = "autoscalebot.backends.measurement.CeleryRedisQueueSizeBackend";
        let entry = find(BACKENDS, name).map_err(|problem| problem.to_string()).unwrap();
        assert_eq!((entry.check)(&settings), []);
        (entry.build)(&settings, &context).map_err(|problem| problem.to_string()).unwrap()
    }
}

async fn number(measure: &dyn Measure) -> Result<f64, MeasureError> {
    match measure.measure().await?.reading {
        Reading::Number(number) => Ok(number.get()),
        Reading::Document(document) => panic!("{document}"),
    }
}

#[tokio::test]
async fn waiting_tasks_of_every_priority_are_counted_and_an_empty_queue_is_0() {
    let redis = Redis::start(&[]).await;
    let measure = redis.measurement(json!({}));
    assert_eq!(number(&*measure).await, Ok(0.0));
    redis.tell(&["LPUSH", "celery", "a", "b"]);
    redis.tell(&["LPUSH", "celery\u{6}\u{16}3", "c"]);
    redis.tell(&["LPUSH", "celery\u{6}\u{16}9", "d"]);
    redis.tell(&["LPUSH", "other", "e"]);
    assert_eq!(number(&*measure).await, Ok(4.0));
    let other = redis.measurement(json!({"queue_name": "other"}));
    assert_eq!(number(&*other).await, Ok(1.0));
    let elsewhere = redis.measurement(json!({"database_number": 1}));
    assert_eq!(number(&*elsewhere).await, Ok(0.0));
}

#[tokio::test]
async fn a_stopped_broker_is_unknown_and_never_an_empty_queue() {
    let mut redis = Redis::start(&[]).await;
    let measure = redis.measurement(json!({"timeout_seconds": 2}));
    assert_eq!(number(&*measure).await, Ok(0.0));
    redis.program.signal("STOP");
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "timeout", "{error}");
    redis.program.signal("KILL");
    redis.program.end(PATIENCE).await;
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "refused", "{error}");
}

#[tokio::test]
async fn a_key_of_another_kind_is_unknown() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["SET", "celery", "7"]);
    let error = number(&*redis.measurement(json!({}))).await.unwrap_err();
    assert_eq!(error.key, "wrong_type", "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let redis = Redis::start(&["--requirepass", "hunter2"]).await;
    let port = redis.port;
    assert_eq!(number(&*redis.measurement(json!({"password": "hunter2"}))).await, Ok(0.0));
    let url = format!("redis://:hunter2@127.0.0.1:{port}/0");
    assert_eq!(number(&*redis.measurement(json!({"url": url}))).await, Ok(0.0));
    for settings in [json!({"password": "swordfish"}), json!({})] {
        let error = number(&*redis.measurement(settings)).await.unwrap_err();
        assert_eq!(error.key, "unauthorized", "{error}");
        assert!(!error.message.contains("swordfish"), "{error}");
    }
}
