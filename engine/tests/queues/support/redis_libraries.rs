//! What claims about libraries on Redis need: a measurement on a platform that knows the names of workers, the whole of
//! what it sees, and a way to let jobs that hold on end.

use std::sync::Arc;

use async_trait::async_trait;
use autoscalebot_core::{busy::Worker, names::ProcessName, registry::find, step::Order};
use autoscalebot_engine::{
    config::BackendSettings,
    measurement::{BACKENDS, Context, Measure},
    scaling::{Scale, ScaleError, Scaled, Whose},
};
use serde_json::{Value, json};
use testkit::services::Redis;

use super::{shared, work};

/// A platform of which only the names matter: `worker.3` is number 3 of the process that is measured, `web.1` another's.
struct Names;

#[async_trait]
impl Scale for Names {
    async fn count(&self) -> Result<u32, ScaleError> {
        Ok(3)
    }

    async fn scale_to(&self, _order: &Order) -> Result<Scaled, ScaleError> {
        Ok(Scaled::Done)
    }

    fn whose(&self, name: &str) -> Whose {
        match name.split_once('.').map(|(process, number)| (process, number.parse())) {
            Some(("worker", Ok(number))) => Whose::Number(number),
            Some(("web", Ok(_))) => Whose::Another,
            _ => Whose::Unknown,
        }
    }
}

/// A measurement of a queue on that server, by a bot of the process `worker`.
///
/// # Panics
/// When it finds something wrong with the settings.
pub fn on(redis: &Redis, backend: &str, mut settings: Value) -> Box<dyn Measure> {
    if settings.get("url").is_none() {
        settings["host"] = "127.0.0.1".into();
        settings["port"] = redis.port().into();
    }
    let context = Context {
        process: ProcessName::new("worker").unwrap(),
        platform: Arc::new(Names),
        common: autoscalebot_engine::measurement::Common::default(),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: shared(),
    };
    let entry = find(BACKENDS, backend).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!((entry.check)(&settings), [], "{settings}");
    (entry.build)(&settings, &context).map_err(|problem| problem.to_string()).unwrap()
}

/// What is waiting, in progress and scheduled, null where it is not seen.
pub async fn counts(measure: &dyn Measure) -> Value {
    let detail = super::detail(measure).await;
    json!([detail["waiting"], detail["in_progress"], detail["scheduled"]])
}

/// The seconds that the oldest waits; nothing when it has no stamp.
pub async fn latency(measure: &dyn Measure) -> Option<f64> {
    super::detail(measure).await["latency_seconds"].as_f64()
}

/// The workers that are seen, in the order of their numbers.
pub async fn workers(measure: &dyn Measure) -> Vec<(Option<u32>, bool)> {
    let workers = work(measure).await.workers.unwrap_or_default();
    let mut workers: Vec<_> = workers.into_iter().map(|Worker { process, busy }| (process, busy)).collect();
    workers.sort_unstable();
    workers
}

/// Lets so many jobs end that hold on until they find something in the list `release`.
pub async fn release(redis: &Redis, jobs: usize) {
    for _ in 0..jobs {
        redis.tell(&["RPUSH", "release", "now"]).await;
    }
}
