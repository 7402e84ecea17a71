//! Celery's queue on a real Redis server.

use serde_json::{Value, json};
use testkit::services::Redis;

use crate::support::{Claim, Measure, claim, detail, measure, number};

const NAME: &str = "autoscalebot.backends.measurement.CeleryRedisQueueSizeBackend";

pub fn claims() -> Vec<Claim> {
    vec![
        claim(
            "waiting_tasks_of_every_priority_are_counted_and_an_empty_queue_is_0",
            waiting_tasks_of_every_priority_are_counted_and_an_empty_queue_is_0,
        ),
        claim(
            "a_stopped_broker_is_unknown_and_never_an_empty_queue",
            a_stopped_broker_is_unknown_and_never_an_empty_queue,
        ),
        claim("a_key_of_another_kind_is_unknown", a_key_of_another_kind_is_unknown),
        claim("a_wrong_password_is_told_without_showing_it", a_wrong_password_is_told_without_showing_it),
    ]
}

fn queue(redis: &Redis, mut settings: Value) -> Box<dyn Measure> {
    if settings.get("url").is_none() {
        settings["port"] = redis.port().into();
        settings["host"] = "127.0.0.1".into();
    }
    measure(NAME, settings)
}

async fn waiting_tasks_of_every_priority_are_counted_and_an_empty_queue_is_0() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis, json!({}));
    assert_eq!(number(&*measure).await, Ok(0.0));
    redis.tell(&["LPUSH", "celery", "a", "b"]).await;
    redis.tell(&["LPUSH", "celery\u{6}\u{16}3", "c"]).await;
    redis.tell(&["LPUSH", "celery\u{6}\u{16}9", "d"]).await;
    redis.tell(&["LPUSH", "other", "e"]).await;
    assert_eq!(number(&*measure).await, Ok(4.0));
    assert_eq!(detail(&*measure).await["waiting"], 4);
    let other = queue(&redis, json!({"queue_name": "other"}));
    assert_eq!(number(&*other).await, Ok(1.0));
    let elsewhere = queue(&redis, json!({"database_number": 1}));
    assert_eq!(number(&*elsewhere).await, Ok(0.0));
}

async fn a_stopped_broker_is_unknown_and_never_an_empty_queue() {
    let mut redis = Redis::start(&[]).await;
    let measure = queue(&redis, json!({"timeout_seconds": 2}));
    assert_eq!(number(&*measure).await, Ok(0.0));
    redis.pause();
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "timeout", "{error}");
    redis.kill();
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "refused", "{error}");
}

async fn a_key_of_another_kind_is_unknown() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["SET", "celery", "7"]).await;
    let error = number(&*queue(&redis, json!({}))).await.unwrap_err();
    assert_eq!(error.key, "wrong_type", "{error}");
}

async fn a_wrong_password_is_told_without_showing_it() {
    let redis = Redis::start(&["--requirepass", "hunter2"]).await;
    let port = redis.port();
    assert_eq!(number(&*queue(&redis, json!({"password": "hunter2"}))).await, Ok(0.0));
    let url = format!("redis://:hunter2@127.0.0.1:{port}/0");
    assert_eq!(number(&*queue(&redis, json!({"url": url}))).await, Ok(0.0));
    for settings in [json!({"password": "swordfish"}), json!({})] {
        let error = number(&*queue(&redis, settings)).await.unwrap_err();
        assert_eq!(error.key, "unauthorized", "{error}");
        assert!(!error.message.contains("swordfish"), "{error}");
    }
}
