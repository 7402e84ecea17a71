//! Huey's queues on a real Redis, written and worked on by Huey.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{program::Program, services::Redis};

use crate::support::{
    Claim, Language, Measure, Python, claim, number,
    redis_libraries::{counts, on, release},
    until,
};

/// How long Huey's programs may take to start, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("a_list_and_a_sorted_set_under_the_same_key_are_counted", async || {
            a_list_and_a_sorted_set_under_the_same_key_are_counted().await;
        }),
        claim("a_consumer_moves_what_is_not_due_to_the_schedule", a_consumer_moves_what_is_not_due_to_the_schedule),
        claim("what_is_in_progress_is_not_seen_and_never_0", what_is_in_progress_is_not_seen_and_never_0),
        claim("without_a_stamp_there_is_no_latency", without_a_stamp_there_is_no_latency),
    ]
}

async fn huey(redis: &Redis, kind: &str, arguments: &[&str]) -> Value {
    Python::run("huey_app.py", arguments, &[("REDIS", &redis.url()), ("KIND", kind)]).await
}

fn consumer(redis: &Redis) -> Program {
    Python::start(&["-m", "huey.bin.huey_consumer", "huey_app.huey"], &[("REDIS", &redis.url())])
}

fn queue(redis: &Redis) -> Box<dyn Measure> {
    // Huey keeps letters, digits and `_` of a name.
    on(redis, "Huey", json!({"queue_names": ["my-app"]}))
}

async fn until_counts(what: &str, measure: &dyn Measure, expected: Value) {
    until(what, START, async || counts(measure).await == expected).await;
}

async fn a_list_and_a_sorted_set_under_the_same_key_are_counted() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    assert_eq!(huey(&redis, "list", &["enqueue", "3"]).await, json!([3, 0]));
    assert_eq!(counts(&*measure).await, json!([3, null, 0]));
    redis.tell(&["DEL", "huey.redis.myapp"]).await;
    assert_eq!(huey(&redis, "priority", &["enqueue", "1"]).await, json!([1, 0]));
    assert_eq!(huey(&redis, "priority", &["prioritize", "10"]).await, json!([2, 0]));
    assert_eq!(counts(&*measure).await, json!([2, null, 0]));
}

async fn a_consumer_moves_what_is_not_due_to_the_schedule() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    huey(&redis, "list", &["schedule", "600"]).await;
    assert_eq!(counts(&*measure).await, json!([1, null, 0]));
    let mut consumer = consumer(&redis);
    until_counts("the consumer has seen it", &*measure, json!([0, null, 1])).await;
    consumer.kill();
    // Its time comes, and no consumer is there to move it back.
    let task = redis.tell(&["ZCARD", "huey.schedule.myapp"]).await;
    assert_eq!(task, "1");
    redis.tell(&["EVAL", AGE, "1", "huey.schedule.myapp"]).await;
    assert_eq!(counts(&*measure).await, json!([1, null, 0]));
}

/// Tasks are pickled, so a script of Redis itself moves their time.
const AGE: &str = "return redis.call('ZADD', KEYS[1], 1000, redis.call('ZRANGE', KEYS[1], 0, 0)[1])";

async fn what_is_in_progress_is_not_seen_and_never_0() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    huey(&redis, "list", &["enqueue", "2"]).await;
    let _consumer = consumer(&redis);
    until_counts("the first runs", &*measure, json!([1, null, 0])).await;
    release(&redis, 2).await;
    until_counts("none waits", &*measure, json!([0, null, 0])).await;
}

async fn without_a_stamp_there_is_no_latency() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Huey", json!({"queue_names": ["my-app"], "metric": "latency"}));
    assert_eq!(number(&*measure).await, Ok(0.0));
    huey(&redis, "list", &["enqueue", "1"]).await;
    assert_eq!(number(&*measure).await.unwrap_err().key, "no_stamp");
}
