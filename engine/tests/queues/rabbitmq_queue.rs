//! Queues of any kind on a real RabbitMQ, filled and held by pika.

use std::{sync::Arc, time::Duration};

use autoscalebot_engine::shared::Shared;
use serde_json::{Value, json};
use testkit::{program::Program, services::RabbitMq};

use crate::support::{
    Claim, Language, Measure, Python, claim, detail, measure, measure_in, number, services, shared, unique, until,
};

const NAME: &str = "RabbitmqQueue";

/// How long the management API may take to tell what just happened. It counts every second here.
const BOOKS: Duration = Duration::from_secs(20);

pub fn claims() -> Vec<Claim> {
    vec![
        claim("ready_messages_are_counted_at_once_and_exactly", ready_messages_are_counted_at_once_and_exactly),
        claim(
            "a_priority_queue_is_asked_without_its_arguments_and_counted_in_all_its_priorities",
            a_priority_queue_is_asked_without_its_arguments_and_counted_in_all_its_priorities,
        ),
        claim("messages_that_were_delivered_are_in_progress", messages_that_were_delivered_are_in_progress),
        claim(
            "numbers_that_the_management_api_does_not_have_yet_are_unknown_and_never_0",
            numbers_that_the_management_api_does_not_have_yet_are_unknown_and_never_0,
        ),
        claim(
            "a_queue_that_ran_empty_just_now_is_not_taken_for_idle",
            a_queue_that_ran_empty_just_now_is_not_taken_for_idle,
        ),
        claim("the_stamp_of_the_oldest_message_is_its_latency", the_stamp_of_the_oldest_message_is_its_latency),
        claim("a_missing_queue_is_named_and_not_made", a_missing_queue_is_named_and_not_made),
        claim(
            "a_missing_queue_of_one_bot_does_not_disturb_another",
            a_missing_queue_of_one_bot_does_not_disturb_another,
        ),
        claim("a_queue_that_is_deleted_becomes_unknown", a_queue_that_is_deleted_becomes_unknown),
        claim(
            "a_queue_that_belongs_to_one_connection_alone_is_told",
            a_queue_that_belongs_to_one_connection_alone_is_told,
        ),
        claim(
            "a_pattern_means_the_queues_that_fit_and_not_celerys_own",
            a_pattern_means_the_queues_that_fit_and_not_celerys_own,
        ),
        claim(
            "all_bots_share_one_connection_and_it_goes_with_the_last",
            all_bots_share_one_connection_and_it_goes_with_the_last,
        ),
        claim("a_wrong_login_is_told_without_showing_it", a_wrong_login_is_told_without_showing_it),
        claim(
            "a_broker_that_stops_is_unknown_and_comes_back_by_itself",
            a_broker_that_stops_is_unknown_and_comes_back_by_itself,
        ),
    ]
}

/// A virtual host on the shared broker.
struct Host {
    broker: Arc<RabbitMq>,
    name: String,
    url: String,
}

impl Host {
    async fn new() -> Self {
        let (broker, name) = (services::rabbitmq().await, unique("host"));
        let url = broker.create_virtual_host(&name).await;
        Self { broker, name, url }
    }

    async fn steps(&self, steps: Value) {
        assert_eq!(Python::run("rabbitmq_steps.py", &[&self.url, &steps.to_string()], &[]).await, json!(true));
    }

    /// Takes so many messages and keeps them.
    async fn hold(&self, queue: &str, words: &[&str]) -> Program {
        let holder = Python::script("rabbitmq_hold.py", &[&[self.url.as_str(), queue], words].concat(), &[]);
        assert!(holder.until(BOOKS, |output| output.contains("holding")).await, "{}", holder.output());
        holder
    }

    fn settings(&self, queues: &[&str]) -> Value {
        json!({"url": self.url, "queue_names": queues})
    }

    fn by_amqp(&self, shared: &Arc<Shared>, queues: &[&str]) -> Box<dyn Measure> {
        measure_in(shared, NAME, self.settings(queues))
    }

    fn with_management(&self, queues: &[&str], metric: &str) -> Box<dyn Measure> {
        let mut settings = self.settings(queues);
        settings["management_url"] = self.broker.management_url().into();
        settings["metric"] = metric.into();
        measure(NAME, settings)
    }
}

async fn ready_messages_are_counted_at_once_and_exactly() {
    let host = Host::new().await;
    host.steps(json!([["declare", "a"], ["declare", "b"], ["publish", "a", 3]])).await;
    let shared = shared();
    let (a, both) = (host.by_amqp(&shared, &["a"]), host.by_amqp(&shared, &["a", "b"]));
    assert_eq!(number(&*host.by_amqp(&shared, &["b"])).await, Ok(0.0));
    assert_eq!(number(&*a).await, Ok(3.0));
    host.steps(json!([["publish", "b", 2], ["get", "a", 1]])).await;
    assert_eq!(number(&*both).await, Ok(4.0));
    let seen = detail(&*both).await;
    assert_eq!((&seen["queues"]["a"]["waiting"], &seen["in_progress"]), (&json!(2), &Value::Null), "{seen}");
    // Each part of the address can be a setting of its own.
    let parts = json!({
        "host": "127.0.0.1", "port": host.broker.port(), "virtual_host": host.name, "user": "guest",
        "password": "guest", "queue_names": ["b"],
    });
    assert_eq!(number(&*measure(NAME, parts)).await, Ok(2.0));
}

async fn a_priority_queue_is_asked_without_its_arguments_and_counted_in_all_its_priorities() {
    let host = Host::new().await;
    let publish = |priority: u8| json!(["publish", "prio", 2, {"priority": priority}]);
    host.steps(json!([["declare", "prio", {"x-max-priority": 10}], publish(0), publish(5), publish(9)])).await;
    assert_eq!(number(&*host.by_amqp(&shared(), &["prio"])).await, Ok(6.0));
}

async fn messages_that_were_delivered_are_in_progress() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"], ["publish", "jobs", 5]])).await;
    let _holder = host.hold("jobs", &["2"]).await;
    assert_eq!(number(&*host.by_amqp(&shared(), &["jobs"])).await, Ok(3.0));
    for (metric, expected) in [("in_progress", 2.0), ("waiting_and_in_progress", 5.0)] {
        let measure = host.with_management(&["jobs"], metric);
        until(metric, BOOKS, async || number(&*measure).await == Ok(expected)).await;
    }
}

async fn numbers_that_the_management_api_does_not_have_yet_are_unknown_and_never_0() {
    let host = Host::new().await;
    let measure = |metric| host.with_management(&["new"], metric);
    let (waiting, all, latency) = (measure("waiting"), measure("waiting_and_in_progress"), measure("latency"));
    host.steps(json!([["declare", "new"], ["publish", "new", 3]])).await;
    for unknown in [&all, &latency] {
        let error = number(&**unknown).await.unwrap_err();
        assert_eq!(error.key, "no_reading_yet", "{error}");
        assert!(error.message.contains("\"new\""), "{error}");
    }
    let seen = detail(&*waiting).await;
    assert_eq!((&seen["waiting"], &seen["in_progress"]), (&json!(3), &Value::Null), "{seen}");
    assert!(seen["notes"][0].as_str().unwrap().contains("no numbers of queue \"new\" yet"), "{seen}");
    until("it tells", BOOKS, async || number(&*all).await == Ok(3.0)).await;
}

async fn a_queue_that_ran_empty_just_now_is_not_taken_for_idle() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"], ["publish", "jobs", 2]])).await;
    host.broker.until_counted(&host.name, "jobs").await;
    let measure = host.with_management(&["jobs"], "waiting");
    assert_eq!(detail(&*measure).await["waiting"], 2);
    let _holder = host.hold("jobs", &["2"]).await;
    // From now on nothing waits; two are in progress, which is not known, or known, and never denied.
    let mut known = false;
    until("two are seen in progress", BOOKS, async || {
        let seen = detail(&*measure).await;
        assert_eq!(seen["waiting"], 0, "{seen}");
        assert_ne!(seen["in_progress"], 0, "{seen}");
        known = seen["in_progress"] == 2;
        known
    })
    .await;
}

async fn the_stamp_of_the_oldest_message_is_its_latency() {
    let host = Host::new().await;
    let stamp = jiff_seconds() - 100;
    host.steps(json!([
        ["declare", "stamped"], ["publish", "stamped", 1, {"timestamp": stamp}], ["publish", "stamped", 1],
        ["declare", "bare"], ["publish", "bare", 1],
        ["declare", "future"], ["publish", "future", 1, {"timestamp": stamp + 1000}],
        ["declare", "empty"],
    ]))
    .await;
    for queue in ["stamped", "bare", "future", "empty"] {
        host.broker.until_counted(&host.name, queue).await;
    }
    let latency = |queue| host.with_management(&[queue], "latency");
    let measure = latency("stamped");
    until(
        "the oldest is 100 s old",
        BOOKS,
        async || matches!(number(&*measure).await, Ok(age) if (100.0..120.0).contains(&age)),
    )
    .await;
    assert_eq!(number(&*latency("bare")).await.unwrap_err().key, "no_stamp");
    let future = latency("future");
    until("a stamp of the future is age 0", BOOKS, async || number(&*future).await == Ok(0.0)).await;
    assert_eq!(number(&*latency("empty")).await, Ok(0.0));
    // Once it is held and not acknowledged it is still the oldest that the API tells of, and that is said.
    let _holder = host.hold("stamped", &["1"]).await;
    until("the estimate says so", BOOKS, async || {
        let seen = detail(&*measure).await;
        seen["estimate"].as_str().is_some_and(|estimate| estimate.contains("may be one of those in progress"))
    })
    .await;
}

async fn a_missing_queue_is_named_and_not_made() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"], ["publish", "jobs", 1]])).await;
    for queues in [&["nowhere"][..], &["jobs", "nowhere"], &["nowhere", "jobs"]] {
        let measure = host.by_amqp(&shared(), queues);
        for _ in 0..2 {
            let error = number(&*measure).await.unwrap_err();
            assert_eq!(error.key, "no_such_queue", "{error}");
            assert!(error.message.contains("\"nowhere\""), "{error}");
        }
    }
    let there = host.broker.api("GET", &format!("/api/queues/{}?columns=name", host.name), None).await;
    assert_eq!(there, json!([{"name": "jobs"}]));
}

async fn a_missing_queue_of_one_bot_does_not_disturb_another() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"], ["publish", "jobs", 4]])).await;
    let shared = shared();
    let (good, bad) = (host.by_amqp(&shared, &["jobs"]), host.by_amqp(&shared, &["nowhere"]));
    for _ in 0..20 {
        let (good, bad, again) = tokio::join!(number(&*good), number(&*bad), number(&*good));
        assert_eq!((good, again), (Ok(4.0), Ok(4.0)));
        assert_eq!(bad.unwrap_err().key, "no_such_queue");
    }
    assert_eq!(connections(&host).await, 1);
}

async fn a_queue_that_is_deleted_becomes_unknown() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"], ["publish", "jobs", 4]])).await;
    let measure = host.by_amqp(&shared(), &["jobs"]);
    assert_eq!(number(&*measure).await, Ok(4.0));
    host.steps(json!([["delete", "jobs"]])).await;
    assert_eq!(number(&*measure).await.unwrap_err().key, "no_such_queue");
    host.steps(json!([["declare", "jobs"]])).await;
    assert_eq!(number(&*measure).await, Ok(0.0));
}

async fn a_queue_that_belongs_to_one_connection_alone_is_told() {
    let host = Host::new().await;
    let _owner = host.hold("mine", &["0", "exclusive"]).await;
    let error = number(&*host.by_amqp(&shared(), &["mine"])).await.unwrap_err();
    assert_eq!(error.key, "locked", "{error}");
    assert!(error.message.contains("\"mine\""), "{error}");
}

async fn a_pattern_means_the_queues_that_fit_and_not_celerys_own() {
    let host = Host::new().await;
    let names = ["jobs.mail", "jobs.PDF", "jobsxmail", "Jobs.mail", "celery@a.celery.pidbox", "celeryev.1", "other"];
    let steps: Vec<Value> =
        names.iter().flat_map(|name| [json!(["declare", name]), json!(["publish", name, 1])]).collect();
    host.steps(json!(steps)).await;
    let jobs = host.with_management(&["jobs.*"], "waiting");
    assert_eq!(number(&*jobs).await, Ok(2.0));
    assert_eq!(number(&*host.with_management(&["*"], "waiting")).await, Ok(5.0));
    let error = number(&*host.with_management(&["nothing*"], "waiting")).await.unwrap_err();
    assert_eq!(error.key, "no_such_queue", "{error}");
    // One that was found and is gone is left out.
    host.steps(json!([["delete", "jobs.PDF"]])).await;
    assert_eq!(number(&*jobs).await, Ok(1.0));
}

async fn all_bots_share_one_connection_and_it_goes_with_the_last() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"]])).await;
    let shared = shared();
    let bots: Vec<_> = (0..50).map(|_| host.by_amqp(&shared, &["jobs"])).collect();
    let measured = futures_util::future::join_all(bots.iter().map(|bot| number(&**bot))).await;
    assert!(measured.iter().all(|number| *number == Ok(0.0)), "{measured:?}");
    assert_eq!(connections(&host).await, 1);
    drop(bots);
    until("nobody is connected", BOOKS, async || connections_told(&host).await == 0).await;
}

async fn a_wrong_login_is_told_without_showing_it() {
    let host = Host::new().await;
    host.steps(json!([["declare", "jobs"]])).await;
    let guest = |login: &str| host.url.replace("guest:guest", login);
    let management = |login: &str| host.broker.management_url().replace("://", &format!("://{login}@"));
    for settings in [
        json!({"url": guest("guest:swordfish")}),
        json!({"url": guest("nobody:swordfish")}),
        json!({"url": host.url.replace(&host.name, "elsewhere")}),
        json!({"url": host.url, "management_url": management("guest:swordfish")}),
    ] {
        let mut settings = settings;
        settings["queue_names"] = json!(["jobs"]);
        let error = number(&*measure(NAME, settings)).await.unwrap_err();
        assert_eq!(error.key, "unauthorized", "{error}");
        assert!(!format!("{error:?}").contains("swordfish") && !error.message.contains("guest"), "{error}");
    }
}

async fn a_broker_that_stops_is_unknown_and_comes_back_by_itself() {
    let mut broker = RabbitMq::start().await;
    let url = broker.url();
    let publish = json!([["declare", "jobs"], ["publish", "jobs", 3]]).to_string();
    Python::run("rabbitmq_steps.py", &[&url, &publish], &[]).await;
    let settings = json!({
        "url": url, "management_url": broker.management_url(), "queue_names": ["jobs"], "timeout_seconds": 1,
    });
    let measure = measure(NAME, settings);
    assert_eq!(number(&*measure).await, Ok(3.0));
    broker.pause();
    for _ in 0..2 {
        let error = number(&*measure).await.unwrap_err();
        assert_eq!(error.key, "timeout", "{error}");
    }
    broker.resume();
    until("it works again", BOOKS, async || number(&*measure).await == Ok(3.0)).await;
    broker.stop().await;
    let error = number(&*measure).await.unwrap_err();
    assert!(["refused", "connection_broken"].contains(&&*error.key), "{error:?}");
    assert_eq!(number(&*measure).await.unwrap_err().key, "refused");
    broker.restart().await;
    until("it works again", BOOKS, async || number(&*measure).await == Ok(3.0)).await;
}

/// How many connections the virtual host has, once the management API has seen any.
async fn connections(host: &Host) -> usize {
    until("a connection is seen", BOOKS, async || connections_told(host).await > 0).await;
    connections_told(host).await
}

async fn connections_told(host: &Host) -> usize {
    let path = format!("/api/vhosts/{}/connections?columns=name", host.name);
    host.broker.api("GET", &path, None).await.as_array().map_or(0, Vec::len)
}

fn jiff_seconds() -> i64 {
    use autoscalebot_engine::clock::{Clock as _, SystemClock};
    SystemClock::new().now().civil.as_second()
}
