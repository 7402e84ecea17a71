//! Dramatiq's queues on a real Redis, written and worked on by Dramatiq.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{program::Program, services::Redis};

use crate::support::{
    Claim, Language, Measure, Python, claim, detail,
    redis_libraries::{counts, latency, on, release},
    until,
};

/// How long Dramatiq's programs may take to start, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("the_oldest_message_is_the_first_of_the_list", the_oldest_message_is_the_first_of_the_list),
        claim(
            "delayed_messages_wait_when_they_are_due_and_other_queues_do_not_count",
            delayed_messages_wait_when_they_are_due_and_other_queues_do_not_count,
        ),
        claim(
            "what_a_worker_fetched_is_in_progress_and_what_it_delays_is_scheduled",
            what_a_worker_fetched_is_in_progress_and_what_it_delays_is_scheduled,
        ),
        claim(
            "what_a_dead_worker_had_waits_and_is_not_in_progress",
            what_a_dead_worker_had_waits_and_is_not_in_progress,
        ),
        claim("dead_letters_do_not_count", dead_letters_do_not_count),
    ]
}

async fn dramatiq(redis: &Redis, arguments: &[&str]) -> Value {
    Python::run("dramatiq_app.py", arguments, &[("REDIS", &redis.url())]).await
}

/// A worker with one thread, so that it fetches two messages.
fn worker(redis: &Redis) -> Program {
    let arguments = ["-m", "dramatiq", "dramatiq_app", "--processes", "1", "--threads", "1", "--queues", "default"];
    Python::start(&arguments, &[("REDIS", &redis.url())])
}

async fn until_counts(what: &str, measure: &dyn Measure, expected: Value) {
    until(what, START, async || counts(measure).await == expected).await;
}

async fn the_oldest_message_is_the_first_of_the_list() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Dramatiq", json!({}));
    dramatiq(&redis, &["send", "1"]).await;
    let first = latency(&*measure).await.unwrap();
    assert_eq!(dramatiq(&redis, &["send", "2"]).await, json!(3));
    assert_eq!(counts(&*measure).await, json!([3, 0, 0]));
    let oldest = latency(&*measure).await.unwrap();
    // A Python has started since: the newest message would be younger than that.
    assert!(oldest > first + 0.1 && oldest < 30.0, "{first} {oldest}");
}

async fn delayed_messages_wait_when_they_are_due_and_other_queues_do_not_count() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Dramatiq", json!({}));
    dramatiq(&redis, &["delay", "600"]).await;
    dramatiq(&redis, &["elsewhere"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 1]));
    // Nobody fetched it, and its time has come.
    dramatiq(&redis, &["delay", "-100"]).await;
    assert_eq!(counts(&*measure).await, json!([1, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!((100.0..130.0).contains(&oldest), "{oldest}");
    let by_pattern = on(&redis, "Dramatiq", json!({"queue_names": ["*"]}));
    assert_eq!(counts(&*by_pattern).await, json!([2, 0, 1]));
    assert_eq!(detail(&*by_pattern).await["queues"].as_object().unwrap().len(), 2);
}

async fn what_a_worker_fetched_is_in_progress_and_what_it_delays_is_scheduled() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Dramatiq", json!({}));
    dramatiq(&redis, &["delay", "600"]).await;
    dramatiq(&redis, &["send", "4"]).await;
    let _worker = worker(&redis);
    until_counts("two are fetched, one of them in advance", &*measure, json!([2, 2, 1])).await;
    let delayed = async || redis.tell(&["LLEN", "dramatiq:default.DQ"]).await == "0";
    until("the worker keeps the delayed one in its memory", START, delayed).await;
    assert_eq!(counts(&*measure).await, json!([2, 2, 1]));
    release(&redis, 4).await;
    until_counts("only the delayed one is left", &*measure, json!([0, 0, 1])).await;
}

async fn what_a_dead_worker_had_waits_and_is_not_in_progress() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Dramatiq", json!({}));
    dramatiq(&redis, &["send", "3"]).await;
    let mut first = worker(&redis);
    until_counts("two are fetched", &*measure, json!([1, 2, 0])).await;
    first.kill();
    assert_eq!(counts(&*measure).await, json!([1, 2, 0]));
    // A minute later.
    for identity in redis.tell(&["ZRANGE", "dramatiq:__heartbeats__", "0", "-1"]).await.lines() {
        redis.tell(&["ZINCRBY", "dramatiq:__heartbeats__", "-61000", identity]).await;
    }
    assert_eq!(counts(&*measure).await, json!([3, 0, 0]));
    let notes = detail(&*measure).await["notes"].to_string();
    assert!(notes.contains("2 waiting messages"), "{notes}");
}

async fn dead_letters_do_not_count() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Dramatiq", json!({}));
    dramatiq(&redis, &["fail"]).await;
    let _worker = worker(&redis);
    let dead = async || redis.tell(&["ZCARD", "dramatiq:default.XQ"]).await == "1";
    until("it is a dead letter", START, dead).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
}
