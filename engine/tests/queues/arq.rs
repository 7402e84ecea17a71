//! arq's queue on a real Redis, written and worked on by arq.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{program::Program, services::Redis};

use crate::support::{
    ArqPython, Claim, Language, Measure, claim,
    redis_libraries::{counts, latency, on, release},
    until,
};

/// How long arq's programs may take to start, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("deferred_jobs_wait_only_when_their_time_has_come", deferred_jobs_wait_only_when_their_time_has_come),
        claim("running_jobs_stay_in_the_set_and_do_not_wait", running_jobs_stay_in_the_set_and_do_not_wait),
        claim("a_job_to_be_tried_again_later_is_scheduled", a_job_to_be_tried_again_later_is_scheduled),
        claim("the_traces_of_periodic_jobs_are_not_in_progress", the_traces_of_periodic_jobs_are_not_in_progress),
        claim(
            "many_running_jobs_are_no_exact_number_and_it_says_so",
            many_running_jobs_are_no_exact_number_and_it_says_so,
        ),
    ]
}

async fn arq(redis: &Redis, arguments: &[&str]) -> Value {
    ArqPython::run("arq_app.py", arguments, &[("REDIS", &redis.url())]).await
}

/// A worker that runs two jobs at a time.
fn worker(redis: &Redis, environment: &[(&str, &str)]) -> Program {
    let address = redis.url();
    let environment = [&[("REDIS", address.as_str())], environment].concat();
    ArqPython::start(&["-m", "arq", "arq_app.WorkerSettings"], &environment)
}

async fn until_counts(what: &str, measure: &dyn Measure, expected: Value) {
    until(what, START, async || counts(measure).await == expected).await;
}

async fn deferred_jobs_wait_only_when_their_time_has_come() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Arq", json!({}));
    arq(&redis, &["defer", "600"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 1]));
    arq(&redis, &["enqueue", "1"]).await;
    let one = latency(&*measure).await.unwrap();
    assert!(one < 30.0, "{one}");
    assert_eq!(arq(&redis, &["defer", "-100"]).await, json!(3));
    assert_eq!(counts(&*measure).await, json!([2, 0, 1]));
    redis.tell(&["ZADD", "arq:abort", "1000", "some"]).await;
    assert_eq!(counts(&*on(&redis, "Arq", json!({"queue_names": ["arq:*"]}))).await, json!([2, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!((100.0..130.0).contains(&oldest), "{oldest}");
}

async fn running_jobs_stay_in_the_set_and_do_not_wait() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Arq", json!({}));
    // The two oldest will run, so the age of the oldest that waits is a small one.
    for _ in 0..2 {
        arq(&redis, &["defer", "-100"]).await;
    }
    assert_eq!(arq(&redis, &["enqueue", "3"]).await, json!(5));
    let _worker = worker(&redis, &[]);
    until_counts("two run", &*measure, json!([3, 2, 0])).await;
    assert_eq!(redis.tell(&["ZCARD", "arq:queue"]).await, "5");
    let oldest = latency(&*measure).await.unwrap();
    assert!(oldest < 60.0, "{oldest}");
    release(&redis, 4).await;
    until_counts("one runs", &*measure, json!([0, 1, 0])).await;
    assert_eq!(latency(&*measure).await, Some(0.0));
    release(&redis, 1).await;
    until_counts("none is left", &*measure, json!([0, 0, 0])).await;
}

async fn a_job_to_be_tried_again_later_is_scheduled() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Arq", json!({}));
    arq(&redis, &["again"]).await;
    let _worker = worker(&redis, &[]);
    until_counts("it waits for its second try", &*measure, json!([0, 0, 1])).await;
}

async fn the_traces_of_periodic_jobs_are_not_in_progress() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Arq", json!({}));
    let _worker = worker(&redis, &[("CRON", "1")]);
    let traces = async || redis.tell(&["KEYS", "arq:in-progress:*"]).await.starts_with("arq:in-progress:");
    until("the periodic job has run", START, traces).await;
    until_counts("nothing runs", &*measure, json!([0, 0, 0])).await;
    assert!(traces().await);
}

async fn many_running_jobs_are_no_exact_number_and_it_says_so() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Arq", json!({}));
    let fill = "for i = 1, 600 do redis.call('ZADD', 'arq:queue', i, 'j' .. i); \
                redis.call('SET', 'arq:in-progress:j' .. i, '1') end";
    redis.tell(&["EVAL", fill, "0"]).await;
    let detail = crate::support::detail(&*measure).await;
    assert_eq!(detail["in_progress"], 500);
    assert!(detail["estimate"].is_string(), "{detail}");
}
