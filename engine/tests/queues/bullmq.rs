//! BullMQ's queues on a real Redis, written and worked on by BullMQ.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{program::Program, services::Redis};

use crate::support::{
    Claim, Language, Measure, Node, claim, detail,
    redis_libraries::{counts, latency, on, release, workers},
    until, work,
};

/// How long BullMQ's programs may take to start, on two busy cores.
const START: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim(
            "prioritized_jobs_wait_and_delayed_jobs_only_when_due",
            prioritized_jobs_wait_and_delayed_jobs_only_when_due,
        ),
        claim("the_oldest_job_is_the_last_of_the_list", the_oldest_job_is_the_last_of_the_list),
        claim("a_paused_queue_has_no_waiting_job", a_paused_queue_has_no_waiting_job),
        claim("the_mark_of_older_versions_is_no_job", the_mark_of_older_versions_is_no_job),
        claim("workers_are_known_by_name_and_busy_as_long_as_their_job_runs", async || {
            workers_are_known_by_name_and_busy_as_long_as_their_job_runs().await;
        }),
        claim("while_a_worker_without_a_name_works_nobody_is_free", while_a_worker_without_a_name_works_nobody_is_free),
        claim("a_job_whose_worker_was_killed_waits", a_job_whose_worker_was_killed_waits),
        claim("where_clients_may_not_be_listed_less_is_seen_and_nothing_fails", async || {
            where_clients_may_not_be_listed_less_is_seen_and_nothing_fails().await;
        }),
    ]
}

async fn bullmq(redis: &Redis, arguments: &[&str]) -> Value {
    Node::run("bullmq_app.js", &[&[redis.url().as_str()], arguments].concat(), &[]).await
}

fn worker(redis: &Redis, name: &str) -> Program {
    Node::script("bullmq_app.js", &[&redis.url(), "work", "mails", name], &[])
}

fn queue(redis: &Redis) -> Box<dyn Measure> {
    on(redis, "Bullmq", json!({"queue_names": ["mails"]}))
}

async fn until_counts(what: &str, measure: &dyn Measure, expected: Value) {
    until(what, START, async || counts(measure).await == expected).await;
}

async fn prioritized_jobs_wait_and_delayed_jobs_only_when_due() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    bullmq(&redis, &["add", "mails", "3"]).await;
    bullmq(&redis, &["prioritize", "mails", "7"]).await;
    let told = bullmq(&redis, &["delay", "mails", "600"]).await;
    assert_eq!(told, json!({"waiting": 3, "prioritized": 1, "delayed": 1, "active": 0, "paused": 0}));
    assert_eq!(counts(&*measure).await, json!([4, 0, 1]));
    // A second delayed job, whose time has come while no worker was there to move it.
    bullmq(&redis, &["delay", "mails", "600"]).await;
    let due = "local id = redis.call('ZRANGE', KEYS[1], -1, -1)[1]; \
               return redis.call('ZADD', KEYS[1], (redis.call('TIME')[1] - 100) * 1000 * 4096, id)";
    redis.tell(&["EVAL", due, "1", "bull:mails:delayed"]).await;
    assert_eq!(counts(&*measure).await, json!([5, 0, 1]));
    assert_eq!(counts(&*on(&redis, "Bullmq", json!({"queue_names": ["?ails"]}))).await, json!([5, 0, 1]));
    let oldest = latency(&*measure).await.unwrap();
    assert!((99.0..130.0).contains(&oldest), "{oldest}");
}

async fn the_oldest_job_is_the_last_of_the_list() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    bullmq(&redis, &["backdate", "mails", "50"]).await;
    bullmq(&redis, &["backdate", "mails", "100"]).await;
    // The next to be served is the first that was added.
    let oldest = latency(&*measure).await.unwrap();
    assert!((50.0..80.0).contains(&oldest), "{oldest}");
}

async fn a_paused_queue_has_no_waiting_job() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    bullmq(&redis, &["add", "mails", "2"]).await;
    bullmq(&redis, &["prioritize", "mails", "7"]).await;
    bullmq(&redis, &["pause", "mails"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
    // As versions before 6 do it.
    redis.tell(&["RENAME", "bull:mails:wait", "bull:mails:paused"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
    bullmq(&redis, &["resume", "mails"]).await;
    assert_eq!(counts(&*measure).await, json!([3, 0, 0]));
}

async fn the_mark_of_older_versions_is_no_job() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    redis.tell(&["RPUSH", "bull:mails:wait", "0:1795468247000"]).await;
    assert_eq!(counts(&*measure).await, json!([0, 0, 0]));
    redis.tell(&["DEL", "bull:mails:wait"]).await;
    bullmq(&redis, &["add", "mails", "1"]).await;
    redis.tell(&["RPUSH", "bull:mails:wait", "0:1795468247000"]).await;
    assert_eq!(counts(&*measure).await, json!([1, 0, 0]));
    assert!(latency(&*measure).await.is_some());
}

async fn workers_are_known_by_name_and_busy_as_long_as_their_job_runs() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    bullmq(&redis, &["add", "mails", "1"]).await;
    let mut first = worker(&redis, "worker.1");
    until_counts("the job runs", &*measure, json!([0, 1, 0])).await;
    let _second = worker(&redis, "worker.2");
    let _web = worker(&redis, "web.1");
    let _stranger = worker(&redis, "");
    let expected = [(None, false), (Some(1), true), (Some(2), false)];
    until("all are known", START, async || workers(&*measure).await == expected).await;
    release(&redis, 1).await;
    let expected = [(None, false), (Some(1), false), (Some(2), false)];
    until("the job has ended", START, async || workers(&*measure).await == expected).await;
    first.kill();
    let expected = [(None, false), (Some(2), false)];
    until("the first is gone", START, async || workers(&*measure).await == expected).await;
}

async fn while_a_worker_without_a_name_works_nobody_is_free() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    bullmq(&redis, &["add", "mails", "1"]).await;
    let _stranger = worker(&redis, "");
    until_counts("the job runs", &*measure, json!([0, 1, 0])).await;
    let _first = worker(&redis, "worker.1");
    let expected = [(None, true), (Some(1), true)];
    until("both are there", START, async || workers(&*measure).await == expected).await;
}

async fn a_job_whose_worker_was_killed_waits() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis);
    bullmq(&redis, &["add", "mails", "1"]).await;
    let mut worker = worker(&redis, "worker.1");
    until_counts("the job runs", &*measure, json!([0, 1, 0])).await;
    worker.kill();
    assert_eq!(counts(&*measure).await, json!([0, 1, 0]));
    // As its lock expires after half a minute.
    let id = redis.tell(&["LINDEX", "bull:mails:active", "0"]).await;
    redis.tell(&["DEL", &format!("bull:mails:{id}:lock")]).await;
    assert_eq!(counts(&*measure).await, json!([1, 0, 0]));
    let gone = async || workers(&*measure).await.is_empty();
    until("its connection is gone", START, gone).await;
    assert!(detail(&*measure).await["notes"].to_string().contains("stalled"));
}

async fn where_clients_may_not_be_listed_less_is_seen_and_nothing_fails() {
    let redis = Redis::start(&[]).await;
    bullmq(&redis, &["add", "mails", "2"]).await;
    let _first = worker(&redis, "worker.1");
    until_counts("one runs", &*queue(&redis), json!([1, 1, 0])).await;
    for (number, forbidden) in ["-client|list", "-info"].into_iter().enumerate() {
        let user = format!("user{number}");
        redis.tell(&["ACL", "SETUSER", &user, "on", ">word", "~*", "+@all", forbidden]).await;
        let url = format!("redis://{user}:word@127.0.0.1:{}/0", redis.port());
        let measure = on(&redis, "Bullmq", json!({"queue_names": ["mails"], "url": url}));
        assert_eq!(counts(&*measure).await, json!([1, 1, 0]), "{forbidden}");
        assert_eq!(work(&*measure).await.workers, None, "{forbidden}");
        assert!(detail(&*measure).await["notes"].to_string().contains("which workers"), "{forbidden}");
    }
}
