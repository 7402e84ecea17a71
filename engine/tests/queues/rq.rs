//! RQ's queues on a real Redis, written and worked on by RQ.

use std::time::Duration;

use serde_json::json;
use testkit::{program::Program, services::Redis};

use crate::support::{
    Claim, Language, Measure, Python, claim,
    redis_libraries::{counts, latency, on, release, workers},
    until,
};

/// How long RQ's programs may take to start, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim(
            "waiting_scheduled_and_due_jobs_are_told_apart_and_the_oldest_is_the_first",
            waiting_scheduled_and_due_jobs_are_told_apart_and_the_oldest_is_the_first,
        ),
        claim("jobs_that_were_deleted_are_not_counted", jobs_that_were_deleted_are_not_counted),
        claim("a_suspended_queue_has_no_waiting_job", a_suspended_queue_has_no_waiting_job),
        claim("workers_are_known_by_name_and_busy_as_long_as_their_job_runs", async || {
            workers_are_known_by_name_and_busy_as_long_as_their_job_runs().await;
        }),
        claim("a_job_to_be_retried_later_is_scheduled", a_job_to_be_retried_later_is_scheduled),
        claim("a_worker_that_was_killed_works_only_until_rq_gives_it_up", async || {
            a_worker_that_was_killed_works_only_until_rq_gives_it_up().await;
        }),
    ]
}

async fn rq(redis: &Redis, command: &str, arguments: &[&str]) -> serde_json::Value {
    Python::run("rq_app.py", &[&[&redis.url(), command], arguments].concat(), &[]).await
}

fn worker(redis: &Redis, name: &str, queue: &str) -> Program {
    Python::start(&["-m", "rq.cli", "worker", "--url", &redis.url(), "--name", name, queue], &[])
}

async fn until_counts(what: &str, measure: &dyn Measure, expected: serde_json::Value) {
    until(what, START, async || counts(measure).await == expected).await;
}

async fn waiting_scheduled_and_due_jobs_are_told_apart_and_the_oldest_is_the_first() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Rq", json!({}));
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
    assert_eq!(latency(&*measure).await, Some(0.0));
    rq(&redis, "enqueue", &["default", "1"]).await;
    let first = latency(&*measure).await.unwrap();
    rq(&redis, "enqueue_at", &["default", "600"]).await;
    assert_eq!(rq(&redis, "enqueue", &["default", "2"]).await, json!([3, 0, 1]));
    assert_eq!(counts(&*measure).await, json!([3, 0, 1]));
    // Two programs of Python have started since, so the newest job is younger than that.
    let oldest = latency(&*measure).await.unwrap();
    assert!(oldest > first + 0.1 && oldest < 30.0, "{first} {oldest}");
    // Its time has come, and no worker is there to move it into the queue.
    rq(&redis, "enqueue_at", &["default", "-100"]).await;
    assert_eq!(counts(&*measure).await, json!([4, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!((100.0..130.0).contains(&oldest), "{oldest}");
    let both = on(&redis, "Rq", json!({"queue_names": ["default", "other"]}));
    rq(&redis, "enqueue", &["other", "5"]).await;
    assert_eq!(counts(&*both).await, json!([9, 0, 1]));
    let by_pattern = on(&redis, "Rq", json!({"queue_names": ["oth??", "default", "nothing*"]}));
    assert_eq!(counts(&*by_pattern).await, json!([9, 0, 1]));
    assert_eq!(counts(&*measure).await, json!([4, 0, 1]));
}

async fn jobs_that_were_deleted_are_not_counted() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Rq", json!({}));
    rq(&redis, "enqueue", &["default", "3"]).await;
    assert_eq!(rq(&redis, "delete_first", &["default"]).await, json!([3, 0, 0]));
    assert_eq!(counts(&*measure).await, json!([2, 0, 0]));
    assert!(latency(&*measure).await.is_some());
    redis.tell(&["DEL", "rq:queue:default"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
}

async fn a_suspended_queue_has_no_waiting_job() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Rq", json!({}));
    rq(&redis, "enqueue", &["default", "3"]).await;
    rq(&redis, "suspend", &["default"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
    assert_eq!(latency(&*measure).await, Some(0.0));
    rq(&redis, "resume", &["default"]).await;
    assert_eq!(counts(&*measure).await, json!([3, 0, 0]));
}

async fn workers_are_known_by_name_and_busy_as_long_as_their_job_runs() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Rq", json!({}));
    rq(&redis, "enqueue", &["default", "1"]).await;
    let mut first = worker(&redis, "some@worker.1", "default");
    until_counts("the first job runs", &*measure, json!([0, 1, 0])).await;
    let _second = worker(&redis, "worker.2", "default");
    // Of another process; and of none that is known, for another queue.
    let _web = worker(&redis, "web.1", "default");
    let _stranger = worker(&redis, "stranger", "other");
    let all = async || redis.tell(&["SCARD", "rq:workers"]).await == "4";
    until("all workers are there", START, all).await;
    let expected = [(Some(1), true), (Some(2), false)];
    until("both are known", START, async || workers(&*measure).await == expected).await;
    release(&redis, 1).await;
    let expected = [(Some(1), false), (Some(2), false)];
    until("the job has ended", START, async || workers(&*measure).await == expected).await;
    until_counts("nothing runs", &*measure, json!([0, 0, 0])).await;
    first.signal("TERM");
    let expected = [(Some(2), false)];
    until("the first is gone", START, async || workers(&*measure).await == expected).await;
    assert!(first.end(START).await.is_some());
}

async fn a_job_to_be_retried_later_is_scheduled() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Rq", json!({}));
    rq(&redis, "retry", &["default"]).await;
    let _worker = worker(&redis, "worker.1", "default");
    until_counts("it waits for its second try", &*measure, json!([0, 0, 1])).await;
}

async fn a_worker_that_was_killed_works_only_until_rq_gives_it_up() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Rq", json!({}));
    rq(&redis, "enqueue", &["default", "1"]).await;
    let mut worker = worker(&redis, "worker.1", "default");
    until_counts("the job is taken", &*measure, json!([0, 1, 0])).await;
    // It runs in a session of its own and outlives its worker; before it begins, RQ writes down once more how long to
    // believe in it.
    let runs = async || redis.tell(&["INFO", "clients"]).await.contains("blocked_clients:1");
    until("the job waits for its release", START, runs).await;
    worker.kill();
    assert_eq!(workers(&*measure).await, [(Some(1), true)]);
    // As RQ lets both expire, some minutes later.
    let job = redis.tell(&["ZRANGE", "rq:wip:default", "0", "0"]).await;
    redis.tell(&["ZADD", "rq:wip:default", "1000", &job]).await;
    redis.tell(&["DEL", "rq:worker:worker.1"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
    assert_eq!(workers(&*measure).await, []);
}
