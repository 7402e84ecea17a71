//! Queues on a real Redis that somebody made without a library: lists, sorted sets and streams, written by redis-py.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::{InProgress, Work, Worker},
    names::ProcessName,
    registry::find,
    step::Order,
};
use autoscalebot_engine::{
    config::BackendSettings,
    measurement::{BACKENDS, Context},
    scaling::{Scale, ScaleError, Scaled, Whose},
};
use serde_json::{Value, json};
use testkit::services::{Cluster, Redis};

use crate::support::{Claim, Language, Measure, Python, claim, detail, measure, number, shared, until};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("a_list_counts_its_items_and_an_absent_one_is_empty", a_list_counts_its_items_and_an_absent_one_is_empty),
        claim("the_age_of_a_list_is_that_of_the_end_that_is_served_next", the_age_of_a_list),
        claim("an_item_without_its_stamp_has_no_age_and_is_still_counted", an_item_without_its_stamp),
        claim("what_workers_took_is_seen_in_a_key_of_any_kind", what_workers_took_is_seen_in_a_key_of_any_kind),
        claim("a_pattern_finds_lists_and_nothing_else_and_new_ones_later", a_pattern_finds_lists_and_nothing_else),
        claim("a_pattern_finds_lists_on_every_master_of_a_cluster", a_pattern_finds_lists_on_every_master_of_a_cluster),
        claim("many_keys_are_walked_in_pieces_and_there_is_no_number_before_the_end", many_keys_are_walked_in_pieces),
        claim("a_key_of_another_kind_is_unknown_and_named", a_key_of_another_kind_is_unknown_and_named),
        claim("a_sorted_set_by_time_tells_due_from_scheduled", a_sorted_set_by_time_tells_due_from_scheduled),
        claim("a_sorted_set_by_priority_counts_everything", a_sorted_set_by_priority_counts_everything),
        claim("scores_in_the_wrong_unit_are_no_empty_queue", scores_in_the_wrong_unit_are_no_empty_queue),
        claim("a_group_waits_for_what_it_was_not_given", a_group_waits_for_what_it_was_not_given),
        claim("a_stream_without_the_group_is_an_error_that_says_how_to_make_it", a_stream_without_the_group),
        claim("a_lag_that_redis_does_not_know_is_counted_and_never_0", a_lag_that_redis_does_not_know),
        claim("entries_that_were_cut_off_do_not_wait", entries_that_were_cut_off_do_not_wait),
        claim("the_consumers_of_a_stream_are_workers_of_their_processes", the_consumers_of_a_stream),
        claim("a_stopped_redis_is_unknown_to_all_three_and_found_again", a_stopped_redis_is_unknown),
    ]
}

fn at(redis: &Redis, backend: &str, mut settings: Value) -> Box<dyn Measure> {
    settings["url"] = redis.url().into();
    measure(backend, settings)
}

async fn write(redis: &Redis, words: &[&str]) -> Value {
    Python::run("redis_plain.py", &[&[redis.url().as_str()], words].concat(), &[]).await
}

async fn a_list_counts_its_items_and_an_absent_one_is_empty() {
    let redis = Redis::start(&[]).await;
    let jobs = at(&redis, "RedisList", json!({"queue_names": ["jobs", "mails"]}));
    assert_eq!(number(&*jobs).await, Ok(0.0));
    redis.tell(&["RPUSH", "jobs", "a", "b"]).await;
    redis.tell(&["RPUSH", "mails", "c"]).await;
    redis.tell(&["RPUSH", "other", "d"]).await;
    assert_eq!(number(&*jobs).await, Ok(3.0));
    let detail = detail(&*jobs).await;
    assert_eq!((&detail["queues"]["jobs"]["waiting"], &detail["queues"]["mails"]["waiting"]), (&json!(2), &json!(1)));
    assert_eq!((&detail["in_progress"], &detail["latency_seconds"]), (&Value::Null, &Value::Null));
}

async fn the_age_of_a_list() {
    let redis = Redis::start(&[]).await;
    // Each of the four spellings of a time comes to stand at the right end once.
    for ages in [["400", "300", "200", "100"], ["0", "400", "300", "200"]] {
        redis.tell(&["DEL", "jobs"]).await;
        assert_eq!(write(&redis, &[&["push", "jobs"], &ages[..]].concat()).await, 4);
        for (oldest, stamp, expected) in [
            ("right", "/meta/created_at", ages[0]),
            ("left", "$.meta.created_at", ages[3]),
            ("right", "$..created_at", ages[0]),
        ] {
            let settings = json!({"queue_names": ["jobs"], "oldest": oldest, "stamp": stamp, "metric": "latency"});
            let age = number(&*at(&redis, "RedisList", settings)).await.unwrap();
            let expected: f64 = expected.parse().unwrap();
            assert!((expected..expected + 10.0).contains(&age), "{oldest} {ages:?}: {age}");
        }
    }
    for expected in [400.0, 300.0, 200.0] {
        redis.tell(&["RPOP", "jobs"]).await;
        let settings = json!({"queue_names": ["jobs"], "stamp": "/meta/created_at", "metric": "latency"});
        let age = number(&*at(&redis, "RedisList", settings)).await.unwrap();
        assert!((expected..expected + 10.0).contains(&age), "{age}");
    }
}

async fn an_item_without_its_stamp() {
    let redis = Redis::start(&[]).await;
    let settings = |metric| json!({"queue_names": ["jobs"], "stamp": "/created_at", "metric": metric});
    assert_eq!(number(&*at(&redis, "RedisList", settings("latency"))).await, Ok(0.0));
    for item in ["no JSON", "{}", r#"{"created_at": null}"#, r#"{"created_at": "soon"}"#] {
        redis.tell(&["RPUSH", "jobs", item]).await;
        let error = number(&*at(&redis, "RedisList", settings("latency"))).await.unwrap_err();
        assert_eq!(error.key, "no_stamp", "{item}: {error}");
        assert_eq!(number(&*at(&redis, "RedisList", settings("waiting"))).await, Ok(1.0), "{item}");
        redis.tell(&["DEL", "jobs"]).await;
    }
    redis.tell(&["RPUSH", "jobs", r#"{"created_at": 99999999999}"#]).await;
    assert_eq!(number(&*at(&redis, "RedisList", settings("latency"))).await, Ok(0.0), "a stamp in the future");
}

async fn what_workers_took_is_seen_in_a_key_of_any_kind() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["RPUSH", "jobs", "a"]).await;
    let settings =
        json!({"queue_names": ["jobs"], "in_progress_name": "busy:{queue}", "metric": "waiting_and_in_progress"});
    let jobs = at(&redis, "RedisList", settings);
    assert_eq!(number(&*jobs).await, Ok(1.0));
    for words in [
        &["RPUSH", "busy:jobs", "b", "c"][..],
        &["SADD", "busy:jobs", "b", "c"],
        &["ZADD", "busy:jobs", "1", "b", "2", "c"],
        &["HSET", "busy:jobs", "b", "1", "c", "1"],
    ] {
        redis.tell(words).await;
        assert_eq!(number(&*jobs).await, Ok(3.0), "{words:?}");
        redis.tell(&["DEL", "busy:jobs"]).await;
    }
    redis.tell(&["SET", "busy:jobs", "2"]).await;
    let error = number(&*jobs).await.unwrap_err();
    assert_eq!(error.key, "wrong_type", "{error}");
    assert!(error.message.contains("busy:jobs"), "{error}");
}

async fn a_pattern_finds_lists_and_nothing_else() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["RPUSH", "mail:a", "1"]).await;
    redis.tell(&["RPUSH", "mail:[b]", "1", "2"]).await;
    redis.tell(&["RPUSH", "mails", "1"]).await;
    redis.tell(&["SET", "mail:text", "1"]).await;
    redis.tell(&["ZADD", "mail:set", "1", "1"]).await;
    let mails = at(&redis, "RedisList", json!({"queue_names": ["mail:*", "gone"]}));
    let detail = detail(&*mails).await;
    let names: Vec<&String> = detail["queues"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["gone", "mail:[b]", "mail:a"]);
    assert_eq!(detail["waiting"], 3);
    // New ones are looked for once a minute; those that are known are asked every time.
    redis.tell(&["RPUSH", "mail:a", "2"]).await;
    redis.tell(&["RPUSH", "mail:new", "2"]).await;
    assert_eq!(number(&*mails).await, Ok(4.0));
    redis.tell(&["DEL", "mail:a"]).await;
    assert_eq!(number(&*mails).await, Ok(2.0));
}

async fn a_pattern_finds_lists_on_every_master_of_a_cluster() {
    let cluster = Cluster::start(&[]).await;
    for index in 0..30 {
        cluster.tell(&["RPUSH", &format!("jobs:{index}"), "a", "b"]).await;
    }
    for node in &cluster.nodes {
        assert!(node.tell(&["DBSIZE"]).await.parse::<u32>().unwrap() > 0, "the keys are not spread");
    }
    let jobs = measure("RedisList", json!({"queue_names": ["jobs:*"], "url": cluster.url(), "cluster": true}));
    assert_eq!(number(&*jobs).await, Ok(60.0));
}

async fn many_keys_are_walked_in_pieces() {
    let redis = Redis::start(&[]).await;
    let fill = "for index = 1, 250000 do redis.call('SET', 'k' .. index, '') end redis.call('RPUSH', 'jobs:1', 'a')";
    redis.tell(&["EVAL", fill, "0"]).await;
    let jobs = at(&redis, "RedisList", json!({"queue_names": ["*"]}));
    let before = commands(&redis, "scan").await;
    let error = number(&*jobs).await.unwrap_err();
    assert_eq!(error.key, "finding_queues", "{error}");
    assert!(commands(&redis, "scan").await - before <= 100);
    until("the walk is through", Duration::from_secs(10), async || number(&*jobs).await == Ok(1.0)).await;
    let walked = commands(&redis, "scan").await - before;
    assert_eq!(number(&*jobs).await, Ok(1.0));
    assert_eq!(commands(&redis, "scan").await - before, walked, "it is not walked again");
}

/// How often a command was called.
async fn commands(redis: &Redis, name: &str) -> u64 {
    let stats = redis.tell(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

async fn a_key_of_another_kind_is_unknown_and_named() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["SET", "jobs", "7"]).await;
    redis.tell(&["RPUSH", "fine", "7"]).await;
    for backend in ["RedisList", "RedisSortedSet", "RedisStream"] {
        let error = number(&*at(&redis, backend, json!({"queue_names": ["jobs"]}))).await.unwrap_err();
        assert_eq!(error.key, "wrong_type", "{backend}: {error}");
        assert!(error.message.contains("\"jobs\""), "{backend}: {error}");
    }
    let both = at(&redis, "RedisList", json!({"queue_names": ["fine", "jobs"]}));
    assert_eq!(number(&*both).await.unwrap_err().key, "wrong_type");
}

async fn a_sorted_set_by_time_tells_due_from_scheduled() {
    let redis = Redis::start(&[]).await;
    for unit in ["seconds", "milliseconds"] {
        redis.tell(&["DEL", "jobs"]).await;
        let jobs = at(&redis, "RedisSortedSet", json!({"queue_names": ["jobs"], "score": unit}));
        assert_eq!(number(&*jobs).await, Ok(0.0));
        assert_eq!(detail(&*jobs).await["latency_seconds"], 0);
        write(&redis, &["due", "jobs", unit, "-300", "-20", "3000", "4000", "5000"]).await;
        let found = detail(&*jobs).await;
        assert_eq!((&found["waiting"], &found["scheduled"]), (&json!(2), &json!(3)), "{unit}");
        let age = found["latency_seconds"].as_f64().unwrap();
        assert!((300.0..310.0).contains(&age), "{unit}: {age}");
        redis.tell(&["ZPOPMIN", "jobs", "2"]).await;
        let found = detail(&*jobs).await;
        let expected = (&json!(0), &json!(3), &json!(0));
        assert_eq!((&found["waiting"], &found["scheduled"], &found["latency_seconds"]), expected, "{unit}");
    }
}

async fn a_sorted_set_by_priority_counts_everything() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["ZADD", "jobs", "-5", "a", "0", "b", "99999999999999", "c"]).await;
    let jobs = at(&redis, "RedisSortedSet", json!({"queue_names": ["jobs"], "score": "none"}));
    assert_eq!(number(&*jobs).await, Ok(3.0));
    let latency = at(&redis, "RedisSortedSet", json!({"queue_names": ["jobs"], "score": "none", "metric": "latency"}));
    assert_eq!(number(&*latency).await.unwrap_err().key, "no_stamp");
}

async fn scores_in_the_wrong_unit_are_no_empty_queue() {
    let redis = Redis::start(&[]).await;
    for (unit, setting, way_out) in
        [("milliseconds", "seconds", "SCORE to milliseconds"), ("seconds", "milliseconds", "SCORE to seconds")]
    {
        redis.tell(&["DEL", "jobs"]).await;
        write(&redis, &["due", "jobs", unit, "-300"]).await;
        let jobs = at(&redis, "RedisSortedSet", json!({"queue_names": ["jobs"], "score": setting}));
        let error = number(&*jobs).await.unwrap_err();
        assert_eq!(error.key, "score_unit", "{error}");
        assert!(error.message.contains(way_out), "{error}");
    }
    redis.tell(&["DEL", "jobs"]).await;
    redis.tell(&["ZADD", "jobs", "5", "a"]).await;
    let error = number(&*at(&redis, "RedisSortedSet", json!({"queue_names": ["jobs"]}))).await.unwrap_err();
    assert!(error.message.contains("SCORE to none"), "{error}");
    // Who writes 0 means now.
    redis.tell(&["ZADD", "jobs", "0", "a"]).await;
    assert_eq!(number(&*at(&redis, "RedisSortedSet", json!({"queue_names": ["jobs"]}))).await, Ok(1.0));
}

fn stream(redis: &Redis) -> Box<dyn Measure> {
    at(redis, "RedisStream", json!({"queue_names": ["jobs"], "group": "crew"}))
}

async fn a_group_waits_for_what_it_was_not_given() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", "$", "MKSTREAM"]).await;
    let jobs = stream(&redis);
    assert_eq!(number(&*jobs).await, Ok(0.0));
    assert_eq!(write(&redis, &["add", "jobs", "5"]).await, 5);
    redis.tell(&["XGROUP", "CREATE", "jobs", "others", "$"]).await;
    assert_eq!(number(&*jobs).await, Ok(5.0));
    assert_eq!(write(&redis, &["read", "jobs", "crew", "worker.1", "3", "1"]).await, 3);
    let found = detail(&*jobs).await;
    assert_eq!((&found["waiting"], &found["in_progress"], &found["scheduled"]), (&json!(2), &json!(2), &json!(0)));
    let age = found["latency_seconds"].as_f64().unwrap();
    assert!((0.0..20.0).contains(&age), "{age}");
    // An entry says by its id since when it waits.
    redis.tell(&["DEL", "jobs"]).await;
    redis.tell(&["XADD", "jobs", "1600000000000-0", "a", "b"]).await;
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", "0"]).await;
    assert!(detail(&*jobs).await["latency_seconds"].as_f64().unwrap() > 1e8);
    // Everything was given and nothing is done.
    assert_eq!(write(&redis, &["read", "jobs", "crew", "worker.1", "9", "0"]).await, 1);
    let found = detail(&*jobs).await;
    assert_eq!(
        (&found["waiting"], &found["in_progress"], &found["latency_seconds"]),
        (&json!(0), &json!(1), &json!(0))
    );
}

async fn a_stream_without_the_group() {
    let redis = Redis::start(&[]).await;
    let jobs = stream(&redis);
    for words in [&["PING"][..], &["XADD", "jobs", "*", "a", "b"], &["XGROUP", "CREATE", "jobs", "others", "$"]] {
        redis.tell(words).await;
        let error = number(&*jobs).await.unwrap_err();
        assert_eq!(error.key, "group_missing", "{words:?}: {error}");
        assert!(error.message.contains("XGROUP CREATE jobs crew $ MKSTREAM"), "{error}");
    }
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", "0", "MKSTREAM"]).await;
    assert_eq!(number(&*jobs).await, Ok(1.0));
}

async fn a_lag_that_redis_does_not_know() {
    let redis = Redis::start(&[]).await;
    let jobs = stream(&redis);
    let lag_is_nil = async || redis.tell(&["--json", "XINFO", "GROUPS", "jobs"]).await.contains("\"lag\":null");
    // A group that was set to an id in the middle.
    write(&redis, &["add", "jobs", "5"]).await;
    let ids = redis.tell(&["--json", "XRANGE", "jobs", "-", "+"]).await;
    let ids: Vec<(String, Value)> = serde_json::from_str(&ids).unwrap();
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", &ids[1].0]).await;
    assert!(lag_is_nil().await);
    assert_eq!(number(&*jobs).await, Ok(3.0));
    // An entry in the middle of those that wait was deleted.
    redis.tell(&["XDEL", "jobs", &ids[3].0]).await;
    assert_eq!(number(&*jobs).await, Ok(2.0));
    // The last that was given is the last of all.
    redis.tell(&["XGROUP", "SETID", "jobs", "crew", &ids[4].0]).await;
    assert_eq!(number(&*jobs).await, Ok(0.0));
    // More than are counted one by one: all of them, as nothing was given; and at least so many, as something was.
    redis.tell(&["DEL", "jobs"]).await;
    let fill = "for index = 1, 3000 do redis.call('XADD', 'jobs', index .. '-1', 'a', 'b') end";
    redis.tell(&["EVAL", fill, "0"]).await;
    redis.tell(&["XDEL", "jobs", "2000-1"]).await;
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", "0-1"]).await;
    assert!(lag_is_nil().await);
    assert_eq!(number(&*jobs).await, Ok(2999.0));
    redis.tell(&["XGROUP", "SETID", "jobs", "crew", "10-1"]).await;
    assert_eq!(number(&*jobs).await, Ok(1000.0));
    assert_eq!(detail(&*jobs).await["estimate"], "at least 1000 wait: Redis does not know how many");
    redis.tell(&["XGROUP", "SETID", "jobs", "crew", "2500-1"]).await;
    assert_eq!(number(&*jobs).await, Ok(500.0));
    assert_eq!(detail(&*jobs).await["latency_seconds"], Value::Null, "ids of somebody's own are no times");
}

async fn entries_that_were_cut_off_do_not_wait() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", "$", "MKSTREAM"]).await;
    write(&redis, &["add", "jobs", "10"]).await;
    write(&redis, &["read", "jobs", "crew", "worker.1", "2", "2"]).await;
    redis.tell(&["XTRIM", "jobs", "MAXLEN", "5"]).await;
    assert_eq!(number(&*stream(&redis)).await, Ok(5.0));
    redis.tell(&["XTRIM", "jobs", "MAXLEN", "0"]).await;
    assert_eq!(number(&*stream(&redis)).await, Ok(0.0));
}

/// A platform that tells its workers apart by their names.
struct Numbered;

#[async_trait]
impl Scale for Numbered {
    async fn count(&self) -> Result<u32, ScaleError> {
        Ok(3)
    }

    async fn scale_to(&self, _: &Order) -> Result<Scaled, ScaleError> {
        Ok(Scaled::DryRun)
    }

    fn whose(&self, name: &str) -> Whose {
        Whose::numbered(name, "worker")
    }
}

async fn the_consumers_of_a_stream() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["XGROUP", "CREATE", "jobs", "crew", "$", "MKSTREAM"]).await;
    write(&redis, &["add", "jobs", "9"]).await;
    for (consumer, count, acknowledged) in
        [("worker.1", "2", "1"), ("worker.2", "1", "1"), ("mailer.1", "1", "0"), ("somebody", "1", "0")]
    {
        write(&redis, &["read", "jobs", "crew", consumer, count, acknowledged]).await;
    }
    let context = Context {
        process: ProcessName::new("worker").unwrap(),
        platform: Arc::new(Numbered),
        common: autoscalebot_engine::measurement::Common::default(),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: shared(),
    };
    let settings = json!({"queue_names": ["jobs"], "group": "crew", "url": redis.url()});
    let entry = find(BACKENDS, "RedisStream").unwrap();
    let jobs = (entry.build)(&settings, &context).unwrap();
    let Work { waiting, in_progress, workers } = *jobs.measure().await.unwrap().work.unwrap();
    assert_eq!((waiting, in_progress), (4, InProgress::Items(3)));
    let mut workers: Vec<_> = workers.unwrap().iter().map(|Worker { process, busy }| (*process, *busy)).collect();
    workers.sort_unstable();
    assert_eq!(workers, [(None, true), (Some(1), true), (Some(2), false)]);
}

async fn a_stopped_redis_is_unknown() {
    let mut redis = Redis::start(&[]).await;
    redis.tell(&["RPUSH", "list", "a"]).await;
    redis.tell(&["ZADD", "set", "1700000000", "a"]).await;
    redis.tell(&["XADD", "stream", "*", "a", "b"]).await;
    redis.tell(&["XGROUP", "CREATE", "stream", "workers", "0"]).await;
    let all = [("RedisList", "list"), ("RedisSortedSet", "set"), ("RedisStream", "stream")]
        .map(|(backend, key)| at(&redis, backend, json!({"queue_names": [key], "timeout_seconds": 2})));
    for measure in &all {
        assert_eq!(number(&**measure).await, Ok(1.0));
    }
    redis.stop().await;
    for measure in &all {
        assert_eq!(number(&**measure).await.unwrap_err().key, "refused");
    }
    redis.restart().await;
    for measure in &all {
        until("it is found again", Duration::from_secs(5), async || number(&**measure).await == Ok(1.0)).await;
    }
}
