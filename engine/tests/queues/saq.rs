//! SAQ's queue on a real Redis, written and worked on by SAQ.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{program::Program, services::Redis};

use crate::support::{
    Claim, Language, Measure, Python, claim,
    redis_libraries::{counts, latency, on, release, workers},
    until,
};

/// How long SAQ's programs may take to start, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("scheduled_jobs_wait_only_when_their_time_has_come", scheduled_jobs_wait_only_when_their_time_has_come),
        claim("workers_are_known_by_identity_and_busy_as_long_as_their_job_runs", async || {
            workers_are_known_by_identity_and_busy_as_long_as_their_job_runs().await;
        }),
        claim(
            "while_it_is_not_known_who_took_a_job_nobody_is_free",
            while_it_is_not_known_who_took_a_job_nobody_is_free,
        ),
    ]
}

async fn saq(redis: &Redis, arguments: &[&str]) -> Value {
    Python::run("saq_app.py", &[&[redis.url().as_str()], arguments].concat(), &[]).await
}

fn worker(redis: &Redis, identity: &str) -> Program {
    Python::script("saq_app.py", &[&redis.url(), "work", identity], &[])
}

async fn until_counts(what: &str, measure: &dyn Measure, expected: Value) {
    until(what, START, async || counts(measure).await == expected).await;
}

async fn scheduled_jobs_wait_only_when_their_time_has_come() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Saq", json!({}));
    saq(&redis, &["enqueue", "1"]).await;
    let first = latency(&*measure).await.unwrap();
    // All are incomplete, and only two are queued.
    saq(&redis, &["enqueue", "1"]).await;
    assert_eq!(saq(&redis, &["schedule", "600"]).await, json!([2, 0, 3]));
    assert_eq!(counts(&*measure).await, json!([2, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!(oldest > first + 0.1 && oldest < 30.0, "{first} {oldest}");
    // Its time has come, and no worker is there to move it into the queue.
    saq(&redis, &["schedule", "-100"]).await;
    assert_eq!(counts(&*measure).await, json!([3, 0, 1]));
    assert_eq!(counts(&*on(&redis, "Saq", json!({"queue_names": ["def*"]}))).await, json!([3, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!((99.0..130.0).contains(&oldest), "{oldest}");
}

async fn workers_are_known_by_identity_and_busy_as_long_as_their_job_runs() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Saq", json!({}));
    let _first = worker(&redis, "worker.1");
    // A worker that starts sweeps away what is taken and not yet begun, its own first job too; so it gets none yet.
    let expected = [(Some(1), false)];
    until("it is there", START, async || workers(&*measure).await == expected).await;
    saq(&redis, &["enqueue", "1"]).await;
    until_counts("the job runs", &*measure, json!([0, 1, 0])).await;
    let mut second = worker(&redis, "some@worker.2");
    let _web = worker(&redis, "web.1");
    let _stranger = worker(&redis, "");
    let expected = [(None, false), (Some(1), true), (Some(2), false)];
    until("all are known", START, async || workers(&*measure).await == expected).await;
    release(&redis, 1).await;
    let expected = [(None, false), (Some(1), false), (Some(2), false)];
    until("the job has ended", START, async || workers(&*measure).await == expected).await;
    second.kill();
    let expected = [(None, false), (Some(1), false)];
    until("the second is gone", START, async || workers(&*measure).await == expected).await;
}

async fn while_it_is_not_known_who_took_a_job_nobody_is_free() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Saq", json!({}));
    let _worker = worker(&redis, "worker.1");
    let expected = [(Some(1), false)];
    until("the worker is there", START, async || workers(&*measure).await == expected).await;
    // As in the moment between taking a job and writing down who took it.
    redis.tell(&["RPUSH", "saq:default:active", "saq:job:default:taken"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 1, 0]));
    assert_eq!(workers(&*measure).await, [(Some(1), true)]);
}
