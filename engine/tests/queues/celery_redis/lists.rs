//! What lies in Redis, without workers: priorities, names, times, stamps, long and odd lists.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::services::Redis;

use super::{App, queue};
use crate::support::{Claim, claim, detail, number, until};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("an_empty_queue_is_0_and_needs_no_key", an_empty_queue_is_0_and_needs_no_key),
        claim("tasks_of_every_priority_are_counted", tasks_of_every_priority_are_counted),
        claim("a_prefix_and_a_separator_of_ones_own_are_found", a_prefix_and_a_separator_of_ones_own_are_found),
        claim("tasks_for_later_are_scheduled_and_due_ones_wait", tasks_for_later_are_scheduled_and_due_ones_wait),
        claim("the_age_comes_from_the_stamps_of_every_dialect", the_age_comes_from_the_stamps_of_every_dialect),
        claim("without_a_stamp_there_is_no_latency_but_a_count", without_a_stamp_there_is_no_latency_but_a_count),
        claim("several_queues_and_patterns_are_summed", several_queues_and_patterns_are_summed),
        claim("what_is_no_task_of_celerys_waits_without_a_stamp", what_is_no_task_of_celerys_waits_without_a_stamp),
        claim("the_first_protocol_is_understood", the_first_protocol_is_understood),
        claim("a_million_tasks_cost_no_more_than_a_few", a_million_tasks_cost_no_more_than_a_few),
        claim("huge_bodies_make_the_pieces_small", huge_bodies_make_the_pieces_small),
        claim(
            "an_estimate_of_what_is_planned_says_how_exact_it_is",
            an_estimate_of_what_is_planned_says_how_exact_it_is,
        ),
        claim("a_queue_that_somebody_deletes_is_empty", a_queue_that_somebody_deletes_is_empty),
        claim("a_stopped_broker_is_unknown_and_never_0", a_stopped_broker_is_unknown_and_never_0),
        claim("a_key_of_another_kind_is_unknown", a_key_of_another_kind_is_unknown),
        claim("a_wrong_password_is_told_without_showing_it", a_wrong_password_is_told_without_showing_it),
    ]
}

/// A message as Celery 5.7 sends it, by its id and with more headers.
fn message(id: &str, more: &Value) -> String {
    let mut headers = json!({
        "lang": "py", "task": "celery_app.early", "id": id, "shadow": null, "eta": null, "expires": null, "group": null,
        "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": id, "parent_id": null,
        "argsrepr": "('/tmp/autoscalebot-test/open',)", "kwargsrepr": "{}", "origin": "gen15925@host",
        "ignore_result": true, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {},
    });
    for (name, value) in more.as_object().unwrap() {
        headers[name] = value.clone();
    }
    let body =
        "W1siL3RtcC9hdXRvc2NhbGVib3QtdGVzdC9vcGVuIl0sIHt9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGx9XQ==";
    let properties = json!({
        "correlation_id": id, "reply_to": "0bd5d2e4-1b5f-3f0e-8f6c-e4f2f0d7a9d1", "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64",
        "delivery_tag": id,
    });
    json!({
        "body": body, "content-encoding": "utf-8", "content-type": "application/json", "headers": headers,
        "properties": properties,
    })
    .to_string()
}

/// Fills a list with copies of a message, without sending each over the wire.
async fn fill(redis: &Redis, key: &str, message: &str, count: u32) {
    let script = "for i = 1, tonumber(ARGV[2]) do redis.call('LPUSH', KEYS[1], ARGV[1]) end";
    redis.tell(&["EVAL", script, "1", key, message, &count.to_string()]).await;
}

async fn an_empty_queue_is_0_and_needs_no_key() {
    let redis = Redis::start(&[]).await;
    for metric in ["waiting", "latency", "waiting_and_in_progress", "in_progress"] {
        let measure = queue(&redis, json!({"metric": metric}));
        assert_eq!(number(&*measure).await, Ok(0.0), "{metric}");
    }
    // Nothing is left of the question to the workers either.
    assert_eq!(redis.tell(&["KEYS", "*"]).await, "");
}

async fn tasks_of_every_priority_are_counted() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let priorities = [Value::Null, 0.into(), 1.into(), 3.into(), 4.into(), 6.into(), 9.into()];
    app.send(priorities.iter().map(|priority| json!({"priority": priority})).collect()).await;
    app.send(json!([{"queue": "other"}])).await;
    // The trap: the list of the queue's own name has three of them.
    assert_eq!(redis.tell(&["LLEN", "celery"]).await, "3");
    assert_eq!(number(&*queue(&redis, json!({}))).await, Ok(7.0));
    assert_eq!(number(&*queue(&redis, json!({"queue_name": "other"}))).await, Ok(1.0));
    assert_eq!(number(&*queue(&redis, json!({"database_number": 1}))).await, Ok(0.0));
    let steps = json!({"broker_transport_options": {"priority_steps": [0, 5]}});
    let redis = Redis::start(&[]).await;
    App::on(&redis).with(&steps).send(json!([{"priority": 5}, {"priority": 4}])).await;
    assert_eq!(number(&*queue(&redis, json!({"priority_steps": [0, 5]}))).await, Ok(2.0));
}

async fn a_prefix_and_a_separator_of_ones_own_are_found() {
    let redis = Redis::start(&[]).await;
    let options = json!({"broker_transport_options": {"global_keyprefix": "myapp:", "sep": "|"}});
    App::on(&redis).with(&options).send(json!([{}, {"priority": 9}])).await;
    assert_eq!(redis.tell(&["LLEN", "myapp:celery|9"]).await, "1");
    let settings = json!({"global_keyprefix": "myapp:", "separator": "|"});
    assert_eq!(number(&*queue(&redis, settings)).await, Ok(2.0));
    let settings = json!({"global_keyprefix": "myapp:", "separator": "|", "queue_names": ["cel*"]});
    let found = detail(&*queue(&redis, settings)).await;
    assert_eq!(found["waiting"], 2, "{found}");
    assert_eq!(number(&*queue(&redis, json!({}))).await, Ok(0.0));
}

async fn tasks_for_later_are_scheduled_and_due_ones_wait() {
    let redis = Redis::start(&[]).await;
    App::on(&redis)
        .send(json!([{"countdown": 300, "count": 3}, {"eta": "2096-01-01T00:00:00+00:00"}, {"due_seconds_ago": 7}, {}]))
        .await;
    assert_eq!(redis.tell(&["LLEN", "celery"]).await, "6");
    let seen = detail(&*queue(&redis, json!({}))).await;
    assert_eq!((&seen["waiting"], &seen["scheduled"]), (&json!(2), &json!(4)), "{seen}");
    // The age of one that had a time counts from that time.
    redis.tell(&["RPOP", "celery"]).await;
    redis.tell(&["LPOP", "celery"]).await;
    let age = number(&*queue(&redis, json!({"metric": "latency"}))).await.unwrap();
    assert!((7.0..20.0).contains(&age), "{age}");
}

async fn the_age_comes_from_the_stamps_of_every_dialect() {
    for dialect in ["ours", "judoscale", "hirefire"] {
        let redis = Redis::start(&[]).await;
        let app = App::on(&redis).stamping(dialect, 100);
        app.send(json!([{"countdown": 300}, {}])).await;
        let age = number(&*queue(&redis, json!({"metric": "latency"}))).await.unwrap();
        assert!((100.0..115.0).contains(&age), "{dialect}: {age}");
    }
}

async fn without_a_stamp_there_is_no_latency_but_a_count() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["LPUSH", "celery", &message("a", &json!({}))]).await;
    let error = number(&*queue(&redis, json!({"metric": "latency"}))).await.unwrap_err();
    assert_eq!(error.key, "no_stamp", "{error}");
    assert_eq!(number(&*queue(&redis, json!({}))).await, Ok(1.0));
    // A later one with a stamp does not hide that the oldest has none.
    redis.tell(&["LPUSH", "celery", &message("b", &json!({"published_at": 1_700_000_000}))]).await;
    let error = number(&*queue(&redis, json!({"metric": "latency"}))).await.unwrap_err();
    assert_eq!(error.key, "no_stamp", "{error}");
}

async fn several_queues_and_patterns_are_summed() {
    let redis = Redis::start(&[]).await;
    for (key, count) in [("mail-a", 2), ("mail-b\u{6}\u{16}3", 3), ("other", 4), ("celery", 5)] {
        fill(&redis, key, &message("a", &json!({})), count).await;
    }
    let seen = detail(&*queue(&redis, json!({"queue_names": ["mail-*", "celery", "gone"]}))).await;
    assert_eq!(seen["waiting"], 10, "{seen}");
    let by_queue: Vec<(&String, &Value)> =
        seen["queues"].as_object().unwrap().iter().map(|(name, queue)| (name, &queue["waiting"])).collect();
    let expected = [("celery", 5), ("gone", 0), ("mail-a", 2), ("mail-b", 3)];
    assert!(by_queue.iter().zip(expected).all(|((name, count), (n, c))| *name == n && **count == c), "{seen}");
}

async fn what_is_no_task_of_celerys_waits_without_a_stamp() {
    let redis = Redis::start(&[]).await;
    let cjk = message("甲", &json!({"argsrepr": "待ち行列の長さ".repeat(1000), "published_at": "soon"}));
    for element in ["garbage", "", "{}", "[1, 2]", "\u{fffd}\u{1}", &cjk] {
        redis.tell(&["LPUSH", "celery", element]).await;
    }
    let measure = queue(&redis, json!({}));
    assert_eq!(number(&*measure).await, Ok(6.0));
    let seen = detail(&*measure).await;
    assert_eq!((&seen["scheduled"], &seen["latency_seconds"]), (&json!(0), &Value::Null), "{seen}");
}

async fn the_first_protocol_is_understood() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis).with(&json!({"task_protocol": 1}));
    app.send(json!([{"countdown": 300, "count": 2}, {}])).await;
    let seen = detail(&*queue(&redis, json!({}))).await;
    assert_eq!((&seen["waiting"], &seen["scheduled"]), (&json!(1), &json!(2)), "{seen}");
}

/// What the server says of itself: bytes sent, microseconds spent on commands.
async fn cost(redis: &Redis) -> (u64, u64) {
    let sent = redis.tell(&["INFO", "stats"]).await;
    let value = |line: &str| line.trim().split_once(':').map(|(_, value)| value.to_owned());
    let bytes = sent.lines().find(|line| line.starts_with("total_net_output_bytes:")).and_then(value).unwrap();
    let spent = redis.tell(&["INFO", "commandstats"]).await;
    let of_measurement = |line: &&str| !line.starts_with("cmdstat_info") && !line.starts_with("cmdstat_eval");
    let microseconds = spent.lines().filter(of_measurement).filter_map(|line| {
        line.split(',').find_map(|part| part.strip_prefix("usec=")).and_then(|usec| usec.parse::<u64>().ok())
    });
    (bytes.parse().unwrap(), microseconds.sum())
}

async fn a_million_tasks_cost_no_more_than_a_few() {
    let redis = Redis::start(&[]).await;
    fill(&redis, "celery", &message("a", &json!({"published_at": 1_700_000_000})), 1_000_000).await;
    let measure = queue(&redis, json!({}));
    for look in ["first", "second", "third"] {
        let before = cost(&redis).await;
        let seen = detail(&*measure).await;
        let after = cost(&redis).await;
        // The question for the cost itself costs some.
        let (bytes, microseconds) = (after.0 - before.0, after.1 - before.1);
        assert!(bytes <= 2 * 1024 * 1024, "{look}: {bytes} bytes");
        assert!(microseconds <= 50_000, "{look}: {microseconds} µs");
        assert_eq!(seen["waiting"], 1_000_000, "{look}: {seen}");
        assert!(seen["estimate"].as_str().unwrap().contains("of 1000000 tasks"), "{look}: {seen}");
        assert!(seen["latency_seconds"].as_f64().unwrap() > 1e6, "{look}: {seen}");
    }
}

async fn huge_bodies_make_the_pieces_small() {
    let redis = Redis::start(&[]).await;
    let huge = message("a", &json!({"argsrepr": "x".repeat(100_000)}));
    fill(&redis, "celery", &huge, 500).await;
    let measure = queue(&redis, json!({}));
    assert_eq!(number(&*measure).await, Ok(500.0));
    let before = cost(&redis).await.0;
    assert_eq!(number(&*measure).await, Ok(500.0));
    let bytes = cost(&redis).await.0 - before;
    assert!(bytes < 1_500_000, "{bytes}");
}

async fn an_estimate_of_what_is_planned_says_how_exact_it_is() {
    let redis = Redis::start(&[]).await;
    let later = message("later", &json!({"eta": "2096-01-01T00:00:00+00:00"}));
    let now = message("now", &json!({}));
    let script = "for i = 1, 20000 do for j = 1, 30 do redis.call('LPUSH', KEYS[1], ARGV[1]) end \
                  for j = 1, 10 do redis.call('LPUSH', KEYS[1], ARGV[2]) end end";
    redis.tell(&["EVAL", script, "1", "celery", &later, &now]).await;
    let measure = queue(&redis, json!({}));
    let mut good = 0;
    for _ in 0..5 {
        let seen = detail(&*measure).await;
        let waiting = seen["waiting"].as_i64().unwrap();
        let words = seen["estimate"].as_str().unwrap();
        let error = words.split("within ").nth(1).unwrap().split(' ').next().unwrap().parse::<i64>().unwrap();
        assert!(error > 0 && error < 200_000, "{seen}");
        assert_eq!(waiting + seen["scheduled"].as_i64().unwrap(), 800_000, "{seen}");
        good += i32::from((waiting - 200_000).abs() <= 3 * error);
    }
    // Three standard errors are missed once in hundreds.
    assert!(good >= 4, "{good} of 5 were within three standard errors");
}

async fn a_queue_that_somebody_deletes_is_empty() {
    let redis = Redis::start(&[]).await;
    let measure = queue(&redis, json!({"queue_names": ["celery", "mail-*"]}));
    fill(&redis, "celery", &message("a", &json!({})), 5).await;
    fill(&redis, "mail-a", &message("a", &json!({})), 5).await;
    assert_eq!(number(&*measure).await, Ok(10.0));
    redis.tell(&["DEL", "celery", "mail-a"]).await;
    assert_eq!(number(&*measure).await, Ok(0.0));
}

async fn a_stopped_broker_is_unknown_and_never_0() {
    let mut redis = Redis::start(&[]).await;
    let measure = queue(&redis, json!({"timeout_seconds": 2}));
    redis.tell(&["LPUSH", "celery", "a"]).await;
    assert_eq!(number(&*measure).await, Ok(1.0));
    redis.pause();
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "timeout", "{error}");
    redis.resume();
    redis.stop().await;
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "refused", "{error}");
    redis.restart().await;
    until("it is measured again", Duration::from_secs(10), async || number(&*measure).await == Ok(1.0)).await;
    assert_eq!(detail(&*measure).await["in_progress"], 0);
}

async fn a_key_of_another_kind_is_unknown() {
    for (key, settings) in [
        ("celery", json!({})),
        ("celery\u{6}\u{16}6", json!({})),
        ("unacked", json!({})),
        ("held", json!({"unacked_key": "held"})),
    ] {
        let redis = Redis::start(&[]).await;
        redis.tell(&["SET", key, "7"]).await;
        let error = number(&*queue(&redis, settings)).await.unwrap_err();
        assert_eq!(error.key, "wrong_type", "{key}: {error}");
    }
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
