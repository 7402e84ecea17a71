//! Celery's queues on a real RabbitMQ, filled and worked on by real Celery.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

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
use testkit::{
    program::{Folder, Program},
    services::RabbitMq,
};

use crate::support::{
    Claim, Language, Measure, Python, claim, detail, measure, measure_in, number, services, shared, unique, until, work,
};

const NAME: &str = "CeleryRabbitmqQueueSize";

/// Workers take a moment to start, and to fetch and begin tasks, more so when others run beside them.
const SOON: Duration = Duration::from_secs(30);

pub fn claims() -> Vec<Claim> {
    vec![
        claim(
            "planned_tasks_are_told_apart_once_a_worker_has_them",
            planned_tasks_are_told_apart_once_a_worker_has_them,
        ),
        claim(
            "prefetched_tasks_wait_however_they_are_acknowledged",
            prefetched_tasks_wait_however_they_are_acknowledged,
        ),
        claim("two_queues_of_one_worker_are_told_apart", two_queues_of_one_worker_are_told_apart),
        claim("every_priority_counts", every_priority_counts),
        claim(
            "planned_tasks_of_a_stopped_worker_do_not_start_another",
            planned_tasks_of_a_stopped_worker_do_not_start_another,
        ),
        claim("a_worker_is_known_by_the_process_it_is_named_after", a_worker_is_known_by_the_process_it_is_named_after),
        claim("a_worker_that_cannot_answer_is_never_free", a_worker_that_cannot_answer_is_never_free),
        claim("a_worker_that_is_gone_is_not_waited_for", a_worker_that_is_gone_is_not_waited_for),
        claim("while_something_is_under_way_no_look_misses_it", while_something_is_under_way_no_look_misses_it),
        claim("the_oldest_waiting_task_tells_its_stamp", the_oldest_waiting_task_tells_its_stamp),
        claim("without_inspection_only_what_is_ready_is_claimed", without_inspection_only_what_is_ready_is_claimed),
        claim(
            "fifty_measurements_ask_the_workers_together_and_leave_nothing",
            fifty_measurements_ask_the_workers_together_and_leave_nothing,
        ),
        claim("a_broker_that_restarts_loses_nobody", a_broker_that_restarts_loses_nobody),
    ]
}

/// An app with Celery in a virtual host of its own.
struct App {
    url: String,
    management: String,
    environment: Vec<(String, String)>,
    /// Tasks run until this folder has the file `open`.
    folder: Folder,
}

impl App {
    async fn new() -> Self {
        let (broker, host) = (services::rabbitmq().await, unique("celery"));
        let url = broker.create_virtual_host(&host).await;
        Self::on(&broker, url)
    }

    fn on(broker: &RabbitMq, url: String) -> Self {
        let environment = vec![("BROKER".to_owned(), url.clone())];
        Self { url, management: broker.management_url(), environment, folder: Folder::new() }
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Sends tasks that run until the gate opens: a list of `{"count", "task", …}` with what `apply_async` takes.
    async fn send(&self, orders: Value) {
        let Value::Array(mut orders) = orders else { panic!("{orders}") };
        for order in orders.iter_mut().filter(|order| order["args"].is_null()) {
            order["args"] = json!([self.folder.path().join("open").to_str().unwrap()]);
        }
        Python::run("celery_app.py", &[&Value::Array(orders).to_string()], &self.environment()).await;
    }

    /// Starts a worker with one process, and waits until it is ready.
    async fn worker(&self, name: &str, options: &[&str]) -> Program {
        let plain = ["-m", "celery", "-A", "celery_app", "worker", "--loglevel", "INFO", "--concurrency", "1"];
        let quick = ["--without-gossip", "--without-mingle", "-n", name];
        let worker = Python::start(&[&plain[..], &quick[..], options].concat(), &self.environment());
        assert!(worker.until(SOON, |output| output.contains(" ready.")).await, "{}", worker.output());
        worker
    }

    /// Lets all tasks end.
    fn open(&self) {
        self.folder.write("open", "");
    }

    fn settings(&self, more: Value) -> Value {
        let mut settings = json!({"url": self.url});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn by_amqp(&self, more: Value) -> Box<dyn Measure> {
        measure(NAME, self.settings(more))
    }

    fn with_management(&self, more: Value) -> Box<dyn Measure> {
        let mut settings = self.settings(more);
        settings["management_url"] = self.management.clone().into();
        measure(NAME, settings)
    }
}

/// Waits until a look says so: waiting, in progress, scheduled. Looks that fail meanwhile are no answer.
async fn until_counts(measure: &dyn Measure, expected: [Value; 3]) {
    let mut seen = Value::Null;
    let came = tokio::time::timeout(SOON, async {
        while ["waiting", "in_progress", "scheduled"].map(|name| seen[name].clone()) != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen = match measure.measure().await {
                Ok(measured) => *measured.detail.unwrap(),
                Err(error) => json!({"error": error.message}),
            };
        }
    });
    let came = came.await.is_ok();
    assert!(came, "{expected:?} did not come: {seen}");
}

async fn planned_tasks_are_told_apart_once_a_worker_has_them() {
    let app = App::new().await;
    // The planned one first: while it is behind others in the queue, no worker can tell of it.
    app.send(json!([{"countdown": 300}, {"count": 5}])).await;
    for measure in [app.by_amqp(json!({})), app.with_management(json!({}))] {
        // RabbitMQ does not show which of the ready ones is planned.
        until_counts(&*measure, [json!(6), json!(0), json!(0)]).await;
    }
    let _worker = app.worker("worker@celery.1", &["--prefetch-multiplier", "2"]).await;
    for measure in [app.by_amqp(json!({})), app.with_management(json!({}))] {
        until_counts(&*measure, [json!(4), json!(1), json!(1)]).await;
    }
    assert_eq!(number(&*app.by_amqp(json!({"metric": "waiting_and_in_progress"}))).await, Ok(5.0));
    app.open();
    let measure = app.with_management(json!({}));
    until_counts(&*measure, [json!(0), json!(0), json!(1)]).await;
    // A worker that only keeps a task for later is free.
    assert_eq!(work(&*measure).await.workers, Some(vec![Worker { process: None, busy: false }]));
}

/// 14 tasks, two workers that take up to eight each: nothing is ready, and whoever looks only there sees an empty queue.
async fn prefetched_tasks_wait_however_they_are_acknowledged() {
    for task in ["early", "late"] {
        let app = App::new().await;
        let options = ["--prefetch-multiplier", "8"];
        let _workers = tokio::join!(app.worker("worker@celery.1", &options), app.worker("worker@celery.2", &options));
        app.send(json!([{"task": task, "count": 14}])).await;
        let measure = app.by_amqp(json!({}));
        until_counts(&*measure, [json!(12), json!(2), json!(0)]).await;
        let ready = measure_in(&shared(), "RabbitmqQueue", app.settings(json!({"queue_names": ["celery"]})));
        assert_eq!(number(&*ready).await, Ok(0.0));
        let seen = work(&*measure).await;
        assert_eq!(seen.in_progress, InProgress::ByWorkers(2));
        assert_eq!(seen.workers, Some(vec![Worker { process: None, busy: true }; 2]));
        app.open();
        until_counts(&*measure, [json!(0), json!(0), json!(0)]).await;
    }
}

async fn two_queues_of_one_worker_are_told_apart() {
    let app = App::new().await;
    let _worker = app.worker("worker@both", &["--queues", "mail,video", "--prefetch-multiplier", "8"]).await;
    app.send(json!([{"queue": "mail", "task": "late", "count": 2}])).await;
    let mail = app.by_amqp(json!({"queue_name": "mail"}));
    until_counts(&*mail, [json!(1), json!(1), json!(0)]).await;
    app.send(json!([{"queue": "video", "count": 3}, {"queue": "video", "countdown": 300}])).await;
    until_counts(&*app.by_amqp(json!({"queue_name": "video"})), [json!(3), json!(0), json!(1)]).await;
    until_counts(&*mail, [json!(1), json!(1), json!(0)]).await;
    let both = app.with_management(json!({"queue_names": ["*"]}));
    until_counts(&*both, [json!(4), json!(1), json!(1)]).await;
    assert_eq!(detail(&*both).await["queues"].as_object().unwrap().len(), 2, "Celery's own queues are not meant");
}

async fn every_priority_counts() {
    let app = App::new().await.with("CELERY_SETTINGS", json!({"task_queue_max_priority": 10}));
    app.send(json!([{"count": 2}, {"priority": 5, "count": 2}, {"priority": 9, "count": 2}])).await;
    assert_eq!(number(&*app.by_amqp(json!({}))).await, Ok(6.0));
}

async fn planned_tasks_of_a_stopped_worker_do_not_start_another() {
    let app = App::new().await;
    let mut worker = app.worker("worker@celery.1", &[]).await;
    app.send(json!([{"countdown": 300, "count": 3}])).await;
    for (index, measure) in [app.by_amqp(json!({})), app.with_management(json!({}))].into_iter().enumerate() {
        until_counts(&*measure, [json!(0), json!(0), json!(3)]).await;
        // Nothing waits or runs, so that it may be stopped; RabbitMQ then has three ready messages.
        worker.kill();
        let ready = measure_in(&shared(), "RabbitmqQueue", app.settings(json!({"queue_names": ["celery"]})));
        until("they are ready again", SOON, async || number(&*ready).await == Ok(3.0)).await;
        for _ in 0..5 {
            let seen = detail(&*measure).await;
            assert_eq!((&seen["waiting"], &seen["scheduled"]), (&json!(0), &json!(3)), "{seen}");
        }
        if index == 0 {
            worker = app.worker("worker@celery.2", &[]).await;
        } else {
            // What comes now waits.
            app.send(json!([{"count": 1}])).await;
            until_counts(&*measure, [json!(1), json!(0), json!(3)]).await;
        }
    }
}

/// A platform whose processes are `celery.1`, `celery.2`, …, of which 3 is being stopped.
struct Numbered;

#[async_trait::async_trait]
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
    let app = App::new().await;
    let options = ["--prefetch-multiplier", "1"];
    let (_one, _three, _other) = tokio::join!(
        app.worker("worker@celery.1", &options),
        app.worker("worker@celery.3", &options),
        app.worker("other@other.1", &["--queues", "other"]),
    );
    let context = Context {
        process: ProcessName::new("celery").unwrap(),
        platform: Arc::new(Numbered),
        common: autoscalebot_engine::measurement::Common::default(),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: shared(),
    };
    let entry = find(BACKENDS, NAME).map_err(|problem| problem.to_string()).unwrap();
    let measure = (entry.build)(&app.settings(json!({})), &context).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!(work(&*measure).await.workers, Some(vec![Worker { process: Some(1), busy: false }]));
    app.send(json!([{"count": 2}])).await;
    let busy = Some(vec![Worker { process: Some(1), busy: true }]);
    until("the worker is busy", SOON, async || work(&*measure).await.workers == busy).await;
}

async fn a_worker_that_cannot_answer_is_never_free() {
    for has_management in [true, false] {
        let app = App::new().await;
        let _solo = app.worker("worker@celery.1", &["--pool", "solo", "--prefetch-multiplier", "1"]).await;
        let measure = if has_management { app.with_management(json!({})) } else { app.by_amqp(json!({})) };
        until_counts(&*measure, [json!(0), json!(0), json!(0)]).await;
        app.send(json!([{"count": 3}])).await;
        until("what is in progress is unknown", SOON, async || {
            let seen = work(&*measure).await;
            seen.in_progress == InProgress::Unseen && seen.workers == Some(vec![Worker { process: None, busy: true }])
        })
        .await;
        let notes = detail(&*measure).await["notes"].to_string();
        assert!(notes.contains("did not answer") && notes.contains("worker@celery.1"), "{notes}");
        app.open();
        until_counts(&*measure, [json!(0), json!(0), json!(0)]).await;
    }
}

async fn a_worker_that_is_gone_is_not_waited_for() {
    let app = App::new().await;
    let (mut one, _two) = tokio::join!(app.worker("worker@celery.1", &[]), app.worker("worker@celery.2", &[]));
    let measure = app.by_amqp(json!({}));
    until("both are seen", SOON, async || detail(&*measure).await["workers"]["seen"] == 2).await;
    one.kill();
    until("one is seen, and all is known", SOON, async || {
        let seen = detail(&*measure).await;
        seen["workers"]["seen"] == 1 && seen["in_progress"] == 0
    })
    .await;
}

/// Each task sends the next before it ends, so at every moment there is at least one: ready, on its way to one of two
/// workers, held, or running. The last one leaves a file before it ends; who sees nothing before that has missed one.
async fn while_something_is_under_way_no_look_misses_it() {
    let app = App::new().await;
    let options = ["--prefetch-multiplier", "2"];
    let _workers = tokio::join!(app.worker("worker@celery.1", &options), app.worker("worker@celery.2", &options));
    let done = app.folder.path().join("done");
    let all = AtomicU32::new(0);
    let looks = async |measure: &dyn Measure| {
        loop {
            let seen = measure.measure().await.unwrap();
            let Work { waiting, in_progress, workers } = *seen.work.unwrap();
            let none_busy = !workers.as_ref().unwrap().iter().any(|worker| worker.busy);
            if waiting == 0 && (none_busy || in_progress == InProgress::ByWorkers(0)) {
                assert!(done.exists(), "something was missed: {:?}", seen.detail);
                return;
            }
            all.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    };
    app.send(json!([{"task": "relay", "args": [120, done.to_str().unwrap()]}])).await;
    // Each with a connection of its own, so that there are many looks in a short time.
    let measures: Vec<_> = (0..6).map(|_| app.by_amqp(json!({}))).collect();
    futures_util::future::join_all(measures.iter().map(|measure| looks(&**measure))).await;
    assert!(all.into_inner() >= 6);
}

async fn the_oldest_waiting_task_tells_its_stamp() {
    let app = App::new().await.with("STAMP", "ours").with("STAMPED_SECONDS_AGO", 100);
    app.send(json!([{"count": 2}])).await;
    let latency = app.with_management(json!({"metric": "latency"}));
    let is_100 = async || matches!(number(&*latency).await, Ok(age) if (100.0..150.0).contains(&age));
    until("the oldest is 100 s old", SOON, is_100).await;
    // Prefetched tasks wait, and their stamps count.
    let _worker = app.worker("worker@celery.1", &["--prefetch-multiplier", "4"]).await;
    until_counts(&*latency, [json!(1), json!(1), json!(0)]).await;
    until("it still is", SOON, is_100).await;
    // A planned task may have the oldest stamp, so that nobody knows any more.
    app.send(json!([{"countdown": 300}])).await;
    until("the stamp may be another's", SOON, async || {
        number(&*latency).await.is_err_and(|error| error.key == "no_stamp")
    })
    .await;
}

async fn without_inspection_only_what_is_ready_is_claimed() {
    let app = App::new().await;
    let _worker = app.worker("worker@celery.1", &["--prefetch-multiplier", "2"]).await;
    app.send(json!([{"task": "late", "count": 3}])).await;
    let measure = app.with_management(json!({"inspect_workers": false}));
    until_counts(&*measure, [json!(1), Value::Null, Value::Null]).await;
    until("what is with workers is told", SOON, async || {
        detail(&*measure).await["notes"].to_string().contains("2 tasks of queue \\\"celery\\\" are with workers")
    })
    .await;
    let seen = work(&*measure).await;
    assert_eq!((seen.in_progress, seen.workers), (InProgress::Unseen, None));
}

async fn fifty_measurements_ask_the_workers_together_and_leave_nothing() {
    let app = App::new().await;
    let worker = app.worker("worker@celery.1", &["--loglevel", "DEBUG"]).await;
    let shared = shared();
    let measures: Vec<_> = (0..50).map(|_| measure_in(&shared, NAME, app.settings(json!({})))).collect();
    for measured in futures_util::future::join_all(measures.iter().map(|measure| measure.measure())).await {
        assert_eq!(measured.unwrap().work.unwrap().workers.unwrap().len(), 1);
    }
    let rounds = worker.output().matches("pidbox received method active(").count();
    // One for those whose books were read in time, one for the others, and all look twice, as nothing is there.
    assert!((2..=5).contains(&rounds), "{rounds} rounds: {}", worker.output());
    let all = app.with_management(json!({"queue_names": ["*"]}));
    assert_eq!(work(&*all).await.workers.unwrap().len(), 1);
    let listed = measure_in(&shared, "RabbitmqQueue", {
        let mut settings = app.settings(json!({"queue_names": ["*"]}));
        settings["management_url"] = app.management.clone().into();
        settings
    });
    assert_eq!(detail(&*listed).await["queues"], Value::Null, "one queue is left, which is the app's");
    let output = worker.output();
    assert!(!output.contains("ERROR") && !output.contains("Traceback"), "{output}");
}

async fn a_broker_that_restarts_loses_nobody() {
    let mut broker = RabbitMq::start().await;
    let app = App::on(&broker, broker.url());
    let app = app.with("CELERY_SETTINGS", json!({"broker_connection_retry_on_startup": true}));
    let _worker = app.worker("worker@celery.1", &["--prefetch-multiplier", "1"]).await;
    app.send(json!([{"count": 4, "task": "late"}])).await;
    let measure = app.with_management(json!({"timeout_seconds": 3}));
    until_counts(&*measure, [json!(3), json!(1), json!(0)]).await;
    broker.stop().await;
    let error = number(&*measure).await.unwrap_err();
    assert!(["refused", "connection_broken"].contains(&&*error.key), "{error:?}");
    broker.restart().await;
    // The task that ran comes back beside itself: its acknowledgement was lost.
    until("the worker is seen again, and all tasks", SOON, async || {
        let Ok(measured) = measure.measure().await else { return false };
        let seen = measured.detail.unwrap();
        seen["workers"]["seen"] == 1 && seen["waiting"].as_u64().is_some_and(|waiting| waiting >= 3)
    })
    .await;
    app.open();
    until_counts(&*measure, [json!(0), json!(0), json!(0)]).await;
}
