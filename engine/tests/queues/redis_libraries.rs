//! What holds for every queue library on Redis: what is empty, what is unknown, and what is secret.

use serde_json::json;
use testkit::services::Redis;

use crate::support::{
    Claim, claim, number,
    redis_libraries::{counts, on},
};

/// Each library with the key of its queue `jobs`, a value of another kind in which is no queue.
const LIBRARIES: &[(&str, &str)] = &[
    ("Rq", "rq:queue:jobs"),
    ("Dramatiq", "dramatiq:jobs"),
    ("Huey", "huey.redis.jobs"),
    ("Arq", "jobs"),
    ("Saq", "saq:jobs:queued"),
    ("Bullmq", "bull:jobs:wait"),
    ("Sidekiq", "queue:jobs"),
];

pub fn claims() -> Vec<Claim> {
    vec![
        claim("a_queue_that_nobody_used_is_0_and_costs_no_key", a_queue_that_nobody_used_is_0_and_costs_no_key),
        claim(
            "a_stopped_broker_is_unknown_until_it_is_back_and_never_an_empty_queue",
            a_stopped_broker_is_unknown_until_it_is_back_and_never_an_empty_queue,
        ),
        claim("a_key_of_another_kind_is_unknown", a_key_of_another_kind_is_unknown),
        claim("a_wrong_password_is_told_without_showing_it", a_wrong_password_is_told_without_showing_it),
        claim("a_long_queue_costs_redis_no_more_than_a_short_one", a_long_queue_costs_redis_no_more_than_a_short_one),
        claim("settings_without_a_queue_are_refused", settings_without_a_queue_are_refused),
    ]
}

async fn a_queue_that_nobody_used_is_0_and_costs_no_key() {
    let redis = Redis::start(&[]).await;
    for (library, _) in LIBRARIES {
        let measure = on(&redis, library, json!({"queue_names": ["jobs"], "metric": "latency"}));
        assert_eq!(number(&*measure).await, Ok(0.0), "{library}");
        let seen = if *library == "Huey" { json!([0, null, 0]) } else { json!([0, 0, 0]) };
        assert_eq!(counts(&*measure).await, seen, "{library}");
    }
    assert_eq!(redis.tell(&["DBSIZE"]).await, "0");
}

async fn a_stopped_broker_is_unknown_until_it_is_back_and_never_an_empty_queue() {
    let mut redis = Redis::start(&[]).await;
    let settings = json!({"queue_names": ["jobs"], "timeout_seconds": 1});
    let all: Vec<_> = LIBRARIES.iter().map(|(name, _)| (name, on(&redis, name, settings.clone()))).collect();
    for (library, measure) in &all {
        assert_eq!(number(&**measure).await, Ok(0.0), "{library}");
    }
    redis.kill();
    for (library, measure) in &all {
        let error = number(&**measure).await.unwrap_err();
        assert_eq!(error.key, "refused", "{library}: {error}");
    }
    redis.restart().await;
    for (library, measure) in &all {
        let back = async || number(&**measure).await == Ok(0.0);
        crate::support::until(library, std::time::Duration::from_secs(5), back).await;
    }
    redis.pause();
    let (library, measure) = &all[0];
    assert_eq!(number(&**measure).await.unwrap_err().key, "timeout", "{library}");
}

async fn a_key_of_another_kind_is_unknown() {
    let redis = Redis::start(&[]).await;
    for (library, key) in LIBRARIES {
        redis.tell(&["SET", key, "7"]).await;
        let error = number(&*on(&redis, library, json!({"queue_names": ["jobs"]}))).await.unwrap_err();
        assert_eq!(error.key, "wrong_type", "{library}: {error}");
    }
}

async fn a_wrong_password_is_told_without_showing_it() {
    let redis = Redis::start(&["--requirepass", "hunter2"]).await;
    for (library, _) in LIBRARIES {
        let settings = |password| json!({"queue_names": ["jobs"], "password": password});
        assert_eq!(number(&*on(&redis, library, settings("hunter2"))).await, Ok(0.0), "{library}");
        let error = number(&*on(&redis, library, settings("swordfish"))).await.unwrap_err();
        assert_eq!(error.key, "unauthorized", "{library}: {error}");
        assert!(!format!("{error:?}").contains("swordfish"), "{error:?}");
    }
}

async fn a_long_queue_costs_redis_no_more_than_a_short_one() {
    let redis = Redis::start(&[]).await;
    let sent = async || {
        let statistics = redis.tell(&["INFO", "stats"]).await;
        let line = statistics.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    for (library, key) in LIBRARIES {
        let sorted = matches!(*library, "Arq");
        let put = if sorted { "redis.call('ZADD', KEYS[1], i, i)" } else { "redis.call('RPUSH', KEYS[1], i)" };
        let fill = format!("for i = 1, 200000 do {put} end");
        redis.tell(&["EVAL", &fill, "1", key]).await;
        let measure = on(&redis, library, json!({"queue_names": ["jobs"]}));
        let before = sent().await;
        let waiting = number(&*measure).await.unwrap();
        let bytes = sent().await - before;
        // These ids lead to no jobs; those that are looked at are not counted.
        assert!((199_900.0..=200_000.0).contains(&waiting), "{library}: {waiting}");
        // The statistics themselves are 3 KB of it.
        assert!(bytes < 64 * 1024, "{library}: {bytes} bytes");
        redis.tell(&["DEL", key]).await;
    }
}

async fn settings_without_a_queue_are_refused() {
    for (library, _) in LIBRARIES {
        let entry = autoscalebot_core::registry::find(autoscalebot_engine::measurement::BACKENDS, library);
        let entry = entry.map_err(|problem| problem.to_string()).unwrap();
        for names in [json!([]), json!(["jobs", ""])] {
            let problems = (entry.check)(&json!({"queue_names": names}));
            assert!(problems.iter().any(|problem| problem.path.starts_with("queue_names")), "{library}: {problems:?}");
        }
    }
}
