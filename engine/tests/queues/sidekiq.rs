//! Sidekiq's queues on a real Redis, written and worked on by Sidekiq.

use std::time::Duration;

use autoscalebot_core::busy::InProgress;
use serde_json::{Value, json};
use testkit::{program::Program, services::Redis};

use crate::support::{
    Claim, Language, Ruby, claim, detail,
    redis_libraries::{counts, latency, on, release, workers},
    until, work,
};

/// How long Sidekiq's programs may take to start and to tell their state, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("scheduled_jobs_count_for_their_own_queue_and_wait_when_due", async || {
            scheduled_jobs_count_for_their_own_queue_and_wait_when_due().await;
        }),
        claim("stamps_in_seconds_and_in_milliseconds_are_the_same_age", async || {
            stamps_in_seconds_and_in_milliseconds_are_the_same_age().await;
        }),
        claim("processes_are_known_by_their_dyno_and_busy_by_what_they_work_on", async || {
            processes_are_known_by_their_dyno_and_busy_by_what_they_work_on().await;
        }),
        claim("a_process_that_is_silent_for_a_minute_is_gone", a_process_that_is_silent_for_a_minute_is_gone),
        claim("a_failed_job_is_scheduled_until_its_retry", a_failed_job_is_scheduled_until_its_retry),
        claim("many_scheduled_jobs_are_estimated_and_it_says_so", many_scheduled_jobs_are_estimated_and_it_says_so),
    ]
}

async fn sidekiq(redis: &Redis, arguments: &[&str]) -> Value {
    Ruby::run("sidekiq_app.rb", arguments, &[("REDIS", &redis.url())]).await
}

fn process(redis: &Redis, dyno: &str, queue: &str) -> Program {
    let arguments = ["/usr/bin/sidekiq", "-c", "2", "-q", queue, "-r", "./sidekiq_app.rb"];
    Ruby::start(&arguments, &[("REDIS", &redis.url()), ("DYNO", dyno)])
}

async fn scheduled_jobs_count_for_their_own_queue_and_wait_when_due() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Sidekiq", json!({}));
    sidekiq(&redis, &["push", "default", "1"]).await;
    let first = latency(&*measure).await.unwrap();
    sidekiq(&redis, &["push", "default", "2"]).await;
    let oldest = latency(&*measure).await.unwrap();
    assert!(oldest > first + 0.05 && oldest < 30.0, "{first} {oldest}");
    sidekiq(&redis, &["in", "default", "600"]).await;
    assert_eq!(sidekiq(&redis, &["in", "other", "600"]).await, json!([0, 2, 0]));
    assert_eq!(counts(&*measure).await, json!([3, 0, 1]));
    sidekiq(&redis, &["due", "default", "100"]).await;
    sidekiq(&redis, &["due", "other", "200"]).await;
    assert_eq!(counts(&*measure).await, json!([4, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!((100.0..130.0).contains(&oldest), "{oldest}");
    let both = on(&redis, "Sidekiq", json!({"queue_names": ["default", "other"]}));
    assert_eq!(counts(&*both).await, json!([5, 0, 2]));
    // Sidekiq lists a queue once something was put into it.
    let by_pattern = on(&redis, "Sidekiq", json!({"queue_names": ["*"]}));
    assert_eq!(counts(&*by_pattern).await, json!([4, 0, 1]));
}

async fn stamps_in_seconds_and_in_milliseconds_are_the_same_age() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Sidekiq", json!({}));
    sidekiq(&redis, &["push", "default", "1"]).await;
    let job: Value = serde_json::from_str(&redis.tell(&["LINDEX", "queue:default", "0"]).await).unwrap();
    let seconds = job["enqueued_at"].as_f64().unwrap() - 100.0;
    let ages = [json!(seconds), json!((seconds * 1000.0).round())].map(async |stamp| {
        let mut job = job.clone();
        job["enqueued_at"] = stamp;
        redis.tell(&["LSET", "queue:default", "0", &job.to_string()]).await;
        latency(&*measure).await.unwrap()
    });
    for age in ages {
        let age = age.await;
        assert!((100.0..130.0).contains(&age), "{age}");
    }
    let mut job = job;
    job.as_object_mut().unwrap().remove("enqueued_at");
    redis.tell(&["LSET", "queue:default", "0", &job.to_string()]).await;
    assert_eq!(latency(&*measure).await, None);
}

async fn processes_are_known_by_their_dyno_and_busy_by_what_they_work_on() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Sidekiq", json!({}));
    sidekiq(&redis, &["push", "default", "1"]).await;
    let _first = process(&redis, "worker.1", "default");
    let begun = async || counts(&*measure).await[0] == 0;
    until("the job has begun", START, begun).await;
    let _second = process(&redis, "worker.2", "default");
    let _web = process(&redis, "web.1", "default");
    let _stranger = process(&redis, "stranger", "other");
    let expected = [(Some(1), true), (Some(2), false)];
    let known = async || redis.tell(&["SCARD", "processes"]).await == "4" && workers(&*measure).await == expected;
    until("both are known, and that the first is busy", START, known).await;
    assert_eq!(work(&*measure).await.in_progress, InProgress::ByWorkers(1));
    // Since version 7, the same stands under another key.
    let identities = redis.tell(&["KEYS", "*:workers"]).await;
    let old = identities.lines().find(|key| key.starts_with("worker.1")).unwrap();
    redis.tell(&["RENAME", old, &old.replace(":workers", ":work")]).await;
    assert_eq!(work(&*measure).await.in_progress, InProgress::ByWorkers(1));
    release(&redis, 1).await;
}

async fn a_process_that_is_silent_for_a_minute_is_gone() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Sidekiq", json!({}));
    let mut first = process(&redis, "worker.1", "default");
    let expected = [(Some(1), false)];
    until("it is there", START, async || workers(&*measure).await == expected).await;
    first.kill();
    let identity = redis.tell(&["SRANDMEMBER", "processes"]).await;
    let beat: f64 = redis.tell(&["HGET", &identity, "beat"]).await.parse().unwrap();
    redis.tell(&["HSET", &identity, "beat", &(beat - 61.0).to_string()]).await;
    assert_eq!(workers(&*measure).await, []);
    // Its record has expired, its name is still in the set.
    redis.tell(&["DEL", &identity]).await;
    assert_eq!(workers(&*measure).await, []);
}

async fn a_failed_job_is_scheduled_until_its_retry() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Sidekiq", json!({}));
    sidekiq(&redis, &["fail", "default"]).await;
    let _process = process(&redis, "worker.1", "default");
    let retried = async || redis.tell(&["ZCARD", "retry"]).await == "1";
    until("it has failed once", START, retried).await;
    assert_eq!(detail(&*measure).await["scheduled"], 1);
    assert_eq!(detail(&*measure).await["waiting"], 0);
}

async fn many_scheduled_jobs_are_estimated_and_it_says_so() {
    let redis = Redis::start(&[]).await;
    let measure = on(&redis, "Sidekiq", json!({}));
    let fill = "for i = 1, 400 do local queue = i % 2 == 0 and 'default' or 'other'; \
                redis.call('ZADD', 'schedule', 9000000000 + i, '{\"queue\":\"' .. queue .. '\",\"jid\":' .. i .. '}') end";
    redis.tell(&["EVAL", fill, "0"]).await;
    let detail = detail(&*measure).await;
    assert_eq!(detail["scheduled"], 200);
    assert!(detail["estimate"].as_str().unwrap().contains("100 of 400"), "{detail}");
}
