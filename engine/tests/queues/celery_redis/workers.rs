//! What workers do: prefetched, running, planned, gone, silent, or another app's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::{InProgress, Worker},
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
use testkit::services::Redis;

use super::{App, NAME, queue};
use crate::support::{Claim, Measure, claim, detail, measure_in, number, shared, until, work};

/// Workers take a moment to fetch and begin tasks, more so when others run beside them.
const SOON: Duration = Duration::from_secs(20);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("prefetched_tasks_wait_when_they_are_acknowledged_early", async || prefetched("early", 10).await),
        claim("prefetched_tasks_wait_when_they_are_acknowledged_late", async || prefetched("late", 14).await),
        claim("two_queues_in_one_database_are_told_apart", two_queues_in_one_database_are_told_apart),
        claim("what_a_worker_keeps_for_later_is_scheduled", what_a_worker_keeps_for_later_is_scheduled),
        claim("a_retry_is_scheduled_until_its_time", a_retry_is_scheduled_until_its_time),
        claim("a_worker_is_known_by_the_process_it_is_named_after", a_worker_is_known_by_the_process_it_is_named_after),
        claim("a_worker_of_other_queues_is_not_counted", a_worker_of_other_queues_is_not_counted),
        claim("what_a_killed_worker_held_comes_back", what_a_killed_worker_held_comes_back),
        claim("a_worker_that_cannot_answer_is_never_free", a_worker_that_cannot_answer_is_never_free),
        claim("a_broker_that_restarts_loses_nobody", a_broker_that_restarts_loses_nobody),
        claim(
            "a_prefix_and_a_channel_of_ones_own_reach_the_workers",
            a_prefix_and_a_channel_of_ones_own_reach_the_workers,
        ),
        claim("without_inspection_nothing_in_progress_is_claimed", without_inspection_nothing_in_progress_is_claimed),
        claim("a_hundred_measurements_ask_the_workers_once", a_hundred_measurements_ask_the_workers_once),
        claim("while_something_is_under_way_no_look_misses_it", while_something_is_under_way_no_look_misses_it),
        claim("a_user_with_the_rights_of_the_docs_may_ask", a_user_with_the_rights_of_the_docs_may_ask),
        claim("nothing_of_the_question_is_left_in_redis", nothing_of_the_question_is_left_in_redis),
    ]
}

/// What a look says of the sum: waiting, in progress, scheduled.
async fn counts(measure: &dyn Measure) -> [Value; 3] {
    let seen = detail(measure).await;
    ["waiting", "in_progress", "scheduled"].map(|name| seen[name].clone())
}

/// Waits until a look says so; looks that fail meanwhile are no answer.
async fn until_counts(measure: &dyn Measure, expected: [Value; 3]) {
    let mut seen = Value::Null;
    let became = tokio::time::timeout(SOON, async {
        loop {
            seen = match measure.measure().await {
                Ok(measured) => *measured.detail.unwrap(),
                Err(error) => json!({"error": error.message}),
            };
            if ["waiting", "in_progress", "scheduled"].map(|name| seen[name].clone()) == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let came = became.await.is_ok();
    assert!(came, "{expected:?} did not come: {seen}");
}

/// 14 tasks, two workers with two processes each that take up to eight tasks: nothing is left in the list, and whoever
/// looks only there sees an empty queue.
async fn prefetched(task: &str, unacked: u32) {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let (one, two) = tokio::join!(
        app.worker("worker@celery.1", &["--concurrency", "2", "--prefetch-multiplier", "4"]),
        app.worker("worker@celery.2", &["--concurrency", "2", "--prefetch-multiplier", "4"]),
    );
    app.send(json!([{"task": task, "count": 14}])).await;
    let measure = queue(&redis, json!({}));
    until_counts(&*measure, [json!(10), json!(4), json!(0)]).await;
    assert_eq!(redis.tell(&["LLEN", "celery"]).await, "0");
    assert_eq!(redis.tell(&["HLEN", "unacked"]).await, unacked.to_string());
    assert_eq!(number(&*queue(&redis, json!({"metric": "waiting_and_in_progress"}))).await, Ok(14.0));
    let seen = detail(&*measure).await;
    assert_eq!((&seen["workers"]["seen"], &seen["workers"]["busy"]), (&json!(2), &json!(2)), "{seen}");
    app.open();
    until_counts(&*measure, [json!(0), json!(0), json!(0)]).await;
    let work = work(&*measure).await;
    assert_eq!((work.in_progress, work.workers.unwrap().len()), (InProgress::ByWorkers(0), 2));
    drop((one, two));
    until("nobody is seen any more", SOON, async || detail(&*measure).await["workers"]["seen"] == 0).await;
}

async fn two_queues_in_one_database_are_told_apart() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let _worker = app.worker("worker@both", &["--concurrency", "2", "--queues", "mail,video"]).await;
    app.send(json!([{"queue": "mail", "task": "late", "count": 2}])).await;
    let mail = queue(&redis, json!({"queue_name": "mail"}));
    until_counts(&*mail, [json!(0), json!(2), json!(0)]).await;
    app.send(json!([{"queue": "video", "count": 3}, {"queue": "video", "countdown": 300}])).await;
    let video = queue(&redis, json!({"queue_name": "video"}));
    until_counts(&*video, [json!(3), json!(0), json!(1)]).await;
    // The trap: `unacked` holds those of both.
    until("all were delivered", SOON, async || redis.tell(&["HLEN", "unacked"]).await == "6").await;
    assert_eq!(counts(&*mail).await, [json!(0), json!(2), json!(0)]);
    assert_eq!(counts(&*video).await, [json!(3), json!(0), json!(1)]);
    let both = detail(&*queue(&redis, json!({"queue_names": ["*"]}))).await;
    assert_eq!(
        (&both["waiting"], &both["in_progress"], &both["scheduled"]),
        (&json!(3), &json!(2), &json!(1)),
        "{both}"
    );
}

async fn what_a_worker_keeps_for_later_is_scheduled() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let _worker = app.worker("worker@celery.1", &["--concurrency", "1"]).await;
    app.send(json!([{"countdown": 300, "count": 3}, {"count": 1}])).await;
    let measure = queue(&redis, json!({}));
    until_counts(&*measure, [json!(0), json!(1), json!(3)]).await;
    assert_eq!(redis.tell(&["LLEN", "celery"]).await, "0");
    app.open();
    until_counts(&*measure, [json!(0), json!(0), json!(3)]).await;
    // A worker that only keeps tasks for later is free.
    assert_eq!(work(&*measure).await.workers, Some(vec![Worker { process: None, busy: false }]));
}

async fn a_retry_is_scheduled_until_its_time() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let _worker = app.worker("worker@celery.1", &["--concurrency", "1"]).await;
    app.send(json!([{"task": "again"}])).await;
    until_counts(&*queue(&redis, json!({})), [json!(0), json!(0), json!(1)]).await;
}

/// A platform whose processes are `celery.1`, `celery.2`, …, of which 3 is being stopped.
struct Numbered;

#[async_trait]
impl Scale for Numbered {
    async fn count(&self) -> Result<u32, ScaleError> {
        Ok(2)
    }

    async fn scale_to(&self, _: &Order) -> Result<Scaled, ScaleError> {
        Ok(Scaled::Done)
    }

    fn whose(&self, name: &str) -> Whose {
        match name.strip_prefix("celery.").and_then(|number| number.parse().ok()) {
            Some(3) => Whose::Another,
            Some(number) => Whose::Number(number),
            None => Whose::Unknown,
        }
    }
}

async fn a_worker_is_known_by_the_process_it_is_named_after() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let options = ["--concurrency", "1", "--prefetch-multiplier", "1"];
    let _workers = (app.worker("worker@celery.1", &options).await, app.worker("worker@celery.3", &options).await);
    let context = Context {
        process: ProcessName::new("celery").unwrap(),
        platform: Arc::new(Numbered),
        common: autoscalebot_engine::measurement::Common::default(),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: shared(),
    };
    let settings = json!({"host": "127.0.0.1", "port": redis.port()});
    let entry = find(BACKENDS, NAME).map_err(|problem| problem.to_string()).unwrap();
    let measure = (entry.build)(&settings, &context).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!(work(&*measure).await.workers, Some(vec![Worker { process: Some(1), busy: false }]));
    app.send(json!([{"count": 2}])).await;
    let busy = Some(vec![Worker { process: Some(1), busy: true }]);
    until("the worker is busy", SOON, async || work(&*measure).await.workers == busy).await;
}

async fn a_worker_of_other_queues_is_not_counted() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let (_ours, _other) = tokio::join!(
        app.worker("worker@celery.1", &["--concurrency", "1"]),
        app.worker("other@other.1", &["--concurrency", "1", "--queues", "other"]),
    );
    app.send(json!([{"queue": "other"}])).await;
    let other = queue(&redis, json!({"queue_name": "other"}));
    until_counts(&*other, [json!(0), json!(1), json!(0)]).await;
    let ours = work(&*queue(&redis, json!({}))).await;
    assert_eq!(ours.workers, Some(vec![Worker { process: None, busy: false }]));
    assert_eq!(ours.in_progress, InProgress::ByWorkers(0));
}

async fn what_a_killed_worker_held_comes_back() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let (mut one, _two) = tokio::join!(
        app.worker("worker@celery.1", &["--concurrency", "1", "--prefetch-multiplier", "2"]),
        app.worker(
            "worker@celery.2",
            &["--concurrency", "1", "--queues", "other,celery", "--prefetch-multiplier", "1"]
        ),
    );
    app.send(json!([{"task": "late", "count": 3}])).await;
    let measure = queue(&redis, json!({}));
    until_counts(&*measure, [json!(1), json!(2), json!(0)]).await;
    one.kill();
    // The task that it ran and the one that it held: nobody can start them now.
    until_counts(&*measure, [json!(0), json!(1), json!(2)]).await;
    let notes = detail(&*measure).await["notes"].to_string();
    assert!(notes.contains("workers that are gone (or rate-limited in one): 2;"), "{notes}");
    // When Celery's time for them is over, the next worker that starts gets them.
    let over = queue(&redis, json!({"visibility_timeout": 1}));
    assert_eq!(counts(&*over).await, [json!(2), json!(1), json!(0)]);
}

async fn a_worker_that_cannot_answer_is_never_free() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let (_solo, _other) = tokio::join!(
        app.worker("worker@celery.1", &["--pool", "solo", "--prefetch-multiplier", "2"]),
        app.worker("other@other.1", &["--concurrency", "1", "--queues", "other"]),
    );
    let shared = shared();
    let settings = |name: &str| json!({"host": "127.0.0.1", "port": redis.port(), "queue_name": name});
    let measure = measure_in(&shared, NAME, settings("celery"));
    let other = measure_in(&shared, NAME, settings("other"));
    assert_eq!(counts(&*measure).await, [json!(0), json!(0), json!(0)]);
    app.send(json!([{"count": 2}])).await;
    // What is in progress is not known. The task that it runs lies in `unacked` as if it waited: it is so busy that it
    // does not even acknowledge.
    until_counts(&*measure, [json!(2), Value::Null, json!(0)]).await;
    let seen = work(&*measure).await;
    assert_eq!(seen.in_progress, InProgress::Unseen);
    assert_eq!(seen.workers, Some(vec![Worker { process: None, busy: true }]));
    let notes = detail(&*measure).await["notes"].to_string();
    assert!(notes.contains("of 2 workers did not answer") && notes.contains("worker@celery.1"), "{notes}");
    let error = number(&*queue(&redis, json!({"metric": "in_progress"}))).await.unwrap_err();
    assert_eq!(error.key, "in_progress_unseen", "{error}");
    // Whoever has nothing to do with it is not in doubt.
    assert_eq!(counts(&*other).await, [json!(0), json!(0), json!(0)]);
    app.open();
    until_counts(&*measure, [json!(0), json!(0), json!(0)]).await;
}

async fn a_broker_that_restarts_loses_nobody() {
    let mut redis = Redis::start(&[]).await;
    let app = App::on(&redis).with(&json!({"broker_connection_retry_on_startup": true}));
    let _worker = app.worker("worker@celery.1", &["--concurrency", "1", "--prefetch-multiplier", "1"]).await;
    app.send(json!([{"count": 4}])).await;
    let measure = queue(&redis, json!({}));
    until_counts(&*measure, [json!(3), json!(1), json!(0)]).await;
    redis.stop().await;
    assert_eq!(number(&*measure).await.unwrap_err().key, "refused");
    redis.restart().await;
    // The worker begins anew beside its running task. What it held it has forgotten, so that comes back much later.
    until("the worker is seen again, and all tasks", SOON, async || {
        let Ok(measured) = measure.measure().await else { return false };
        let seen = measured.detail.unwrap();
        let not_begun =
            seen["waiting"].as_u64().zip(seen["scheduled"].as_u64()).map(|(waiting, later)| waiting + later);
        seen["in_progress"] == 1 && not_begun == Some(3) && seen["workers"]["seen"] == 1
    })
    .await;
}

async fn a_prefix_and_a_channel_of_ones_own_reach_the_workers() {
    let redis = Redis::start(&[]).await;
    let options = json!({
        "broker_transport_options": {
            "global_keyprefix": "myapp:", "sep": "|", "unacked_key": "held", "unacked_index_key": "held_since",
        },
        "control_exchange": "mine",
    });
    let app = App::on(&redis).with(&options);
    let _worker = app.worker("worker@celery.1", &["--concurrency", "1", "--prefetch-multiplier", "3"]).await;
    app.send(json!([{"count": 3}])).await;
    let settings = json!({
        "global_keyprefix": "myapp:", "separator": "|", "unacked_key": "held", "unacked_index_key": "held_since",
        "control_exchange": "mine",
    });
    until_counts(&*queue(&redis, settings), [json!(2), json!(1), json!(0)]).await;
}

async fn without_inspection_nothing_in_progress_is_claimed() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let options = ["--concurrency", "1", "--prefetch-multiplier", "2", "--without-heartbeat"];
    let _worker = app.worker("worker@celery.1", &options).await;
    app.send(json!([{"task": "late", "count": 3}])).await;
    let measure = queue(&redis, json!({"inspect_workers": false}));
    let before = published(&redis).await;
    // Two are delivered, of which one runs; that cannot be seen from here.
    until("two were delivered", SOON, async || redis.tell(&["HLEN", "unacked"]).await == "2").await;
    assert_eq!(counts(&*measure).await, [json!(3), Value::Null, json!(0)]);
    let seen = work(&*measure).await;
    assert_eq!((seen.in_progress, seen.workers), (InProgress::Unseen, None));
    assert_eq!(published(&redis).await, before);
}

/// How many messages were published; workers of these tests publish nothing themselves.
async fn published(redis: &Redis) -> u64 {
    let commands = redis.tell(&["INFO", "commandstats"]).await;
    let line = commands.lines().find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

async fn a_hundred_measurements_ask_the_workers_once() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let _worker = app.worker("worker@celery.1", &["--concurrency", "1", "--without-heartbeat"]).await;
    let shared = shared();
    let settings = json!({"host": "127.0.0.1", "port": redis.port()});
    let measures: Vec<_> = (0..100).map(|_| measure_in(&shared, NAME, settings.clone())).collect();
    let before = published(&redis).await;
    for measured in futures_util::future::join_all(measures.iter().map(|measure| measure.measure())).await {
        assert_eq!(measured.unwrap().work.unwrap().workers.unwrap().len(), 1);
    }
    // Three questions a round; some had read their queue a moment after the first round began.
    let rounds = (published(&redis).await - before).div_ceil(3);
    assert!((1..=3).contains(&rounds), "{rounds} rounds");
}

async fn nothing_of_the_question_is_left_in_redis() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let worker = app.worker("worker@celery.1", &["--concurrency", "1"]).await;
    let old = "autoscalebot.1700000000.a\u{6}\u{16}\u{6}\u{16}autoscalebot.1700000000.a.reply.celery.pidbox";
    redis.tell(&["SADD", "_kombu.binding.reply.celery.pidbox", old]).await;
    let keys = async || redis.tell(&["KEYS", "*reply*"]).await;
    let measure = queue(&redis, json!({}));
    for _ in 0..2 {
        // One that nobody waits for, and one that is waited for.
        let gave_up = tokio::time::timeout(Duration::from_millis(3), measure.measure()).await;
        assert_eq!(work(&*measure).await.workers.unwrap().len(), 1, "{gave_up:?}");
    }
    until("all is tidied up", SOON, async || keys().await.is_empty()).await;
    let output = worker.output();
    assert!(!output.contains("ERROR") && !output.contains("Traceback"), "{output}");
}

/// Each task sends the next before it ends, so at every moment there is at least one: in the list, on its way to one of two
/// workers, held, or running. The last one leaves a file before it ends; who sees nothing before that has missed one.
async fn while_something_is_under_way_no_look_misses_it() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let options = ["--concurrency", "1", "--prefetch-multiplier", "1"];
    let _workers = tokio::join!(app.worker("worker@celery.1", &options), app.worker("worker@celery.2", &options));
    let done = app.folder.path().join("done");
    let looks = async |measure: &dyn Measure| {
        for looks in 0_u32.. {
            let seen = measure.measure().await.unwrap();
            let work = seen.work.unwrap();
            let is_drained = work.waiting == 0 && work.in_progress == InProgress::ByWorkers(0);
            let all_free = work.waiting == 0 && !work.workers.as_ref().unwrap().iter().any(|worker| worker.busy);
            if is_drained || all_free {
                assert!(done.exists(), "something was missed: {:?}", seen.detail);
                return looks;
            }
        }
        0
    };
    app.send(json!([{"task": "relay", "args": [120, done.to_str().unwrap()]}])).await;
    // Each with a channel of its own, so that there are many looks in a short time.
    let measures: Vec<_> = (0..6).map(|_| queue(&redis, json!({}))).collect();
    let counts = futures_util::future::join_all(measures.iter().map(|measure| looks(&**measure))).await;
    assert!(counts.iter().sum::<u32>() >= 12, "{counts:?}");
}

async fn a_user_with_the_rights_of_the_docs_may_ask() {
    let redis = Redis::start(&[]).await;
    let app = App::on(&redis);
    let _worker = app.worker("worker@celery.1", &["--concurrency", "1", "--prefetch-multiplier", "1"]).await;
    app.send(json!([{"count": 3}])).await;
    let rule = "ACL SETUSER bot reset on >hunter2 +@connection +llen +lrange +hlen +hscan +zscore ~celery* ~unacked*";
    let reading: Vec<&str> = rule.split(' ').collect();
    redis.tell(&reading).await;
    let settings = json!({"username": "bot", "password": "hunter2"});
    let measure = queue(&redis, settings);
    // Who may not ask the workers learns what waits, and why not more.
    let seen = detail(&*measure).await;
    assert_eq!((&seen["waiting"], &seen["in_progress"]), (&json!(2), &Value::Null), "{seen}");
    let notes = seen["notes"].to_string();
    assert!(notes.contains("could not be asked") && notes.contains("SSCAN") && !notes.contains("hunter2"), "{notes}");
    let rule = "ACL SETUSER bot +publish +rpush +expire +del +sadd +srem +sscan ~_kombu.binding.reply.celery.pidbox \
                ~autoscalebot.* &/0.celery.pidbox";
    let asking: Vec<&str> = rule.split_whitespace().collect();
    redis.tell(&asking).await;
    until_counts(&*measure, [json!(2), json!(1), json!(0)]).await;
}
