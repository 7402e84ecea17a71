//! JetStream consumers of a real NATS server, with messages of its Python client.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::services::{Certificates, Nats, Redis};

use crate::support::{Claim, Language, Measure, Python, claim, detail, measure, measure_in, number, shared, until};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("messages_wait_until_they_are_delivered_and_run_until_acknowledged", messages_wait_and_run),
        claim("the_latency_is_that_of_the_next_message_of_the_filter", the_latency_is_that_of_the_next_message),
        claim("a_stream_or_consumer_that_is_missing_or_deleted_is_an_error", a_missing_stream_or_consumer_is_an_error),
        claim("several_consumers_are_summed_over_one_connection", several_consumers_are_summed_over_one_connection),
        claim("a_consumer_that_may_have_no_more_in_progress_says_so", a_consumer_that_may_have_no_more_says_so),
        claim("a_stopped_server_is_unknown_and_a_restarted_one_works_again", a_stopped_server_is_unknown),
        claim("a_server_that_is_gone_is_not_called_in_the_background", a_server_that_is_gone_is_not_called),
        claim("every_way_to_say_who_we_are_is_taken_and_a_wrong_one_not_shown", every_way_to_say_who_we_are_is_taken),
        claim("a_server_with_tls_is_trusted_through_its_authority_alone", a_server_with_tls_is_trusted),
        claim("what_is_no_nats_or_has_no_jetstream_is_told", what_is_no_nats_or_has_no_jetstream_is_told),
    ]
}

fn consumer(nats: &Nats, mut settings: Value) -> Box<dyn Measure> {
    for (name, value) in [("url", json!(nats.url())), ("stream", json!("JOBS")), ("consumers", json!(["worker"]))] {
        if settings.get(name).is_none() {
            settings[name] = value;
        }
    }
    measure("NatsConsumer", settings)
}

async fn tell(nats: &Nats, steps: Value) {
    Python::run("nats_tell.py", &[&nats.url(), &steps.to_string()], &[]).await;
}

fn jobs_and_worker() -> [Value; 2] {
    let stream = json!(["stream", {"name": "JOBS", "subjects": ["jobs.>"]}]);
    [stream, json!(["consumer", "JOBS", {"durable_name": "worker", "ack_policy": "explicit"}])]
}

async fn with(steps: &[Value]) -> Nats {
    let nats = Nats::start(&[]).await;
    tell(&nats, json!([&jobs_and_worker(), steps].concat())).await;
    nats
}

async fn messages_wait_and_run() {
    let nats = with(&[]).await;
    assert_eq!(number(&*consumer(&nats, json!({}))).await, Ok(0.0));
    tell(&nats, json!([["publish", "jobs.new", 5], ["fetch", "JOBS", "worker", 2]])).await;
    for (metric, expected) in [("waiting", 3.0), ("in_progress", 2.0), ("waiting_and_in_progress", 5.0)] {
        assert_eq!(number(&*consumer(&nats, json!({"metric": metric}))).await, Ok(expected), "{metric}");
    }
    tell(&nats, json!([["fetch_and_ack", "JOBS", "worker", 3]])).await;
    let measured = consumer(&nats, json!({})).measure().await.unwrap();
    let work = measured.work.unwrap();
    assert_eq!((work.waiting, work.in_progress), (0, autoscalebot_core::busy::InProgress::Items(2)));
}

async fn the_latency_is_that_of_the_next_message() {
    let filtered =
        json!(["consumer", "JOBS", {"durable_name": "mail", "filter_subject": "jobs.mail", "ack_policy": "explicit"}]);
    let nats = with(&[filtered, json!(["publish", "jobs.new", 1])]).await;
    let worker = consumer(&nats, json!({"metric": "latency"}));
    let mail = consumer(&nats, json!({"metric": "latency", "consumers": ["mail"]}));
    until("a second passes", Duration::from_secs(10), async || number(&*worker).await.unwrap() > 1.0).await;
    assert_eq!(number(&*mail).await, Ok(0.0));
    tell(&nats, json!([["publish", "jobs.mail", 1]])).await;
    let (older, younger) = (number(&*worker).await.unwrap(), number(&*mail).await.unwrap());
    assert!(younger < older - 1.0, "{younger} {older}");
    // What is delivered waits no longer, though it is still in the stream.
    tell(&nats, json!([["fetch", "JOBS", "worker", 1]])).await;
    let next = number(&*worker).await.unwrap();
    assert!(next < number(&*mail).await.unwrap() + 0.5, "{next}");
    tell(&nats, json!([["fetch", "JOBS", "worker", 1]])).await;
    assert_eq!(number(&*worker).await, Ok(0.0));
    assert_eq!(detail(&*consumer(&nats, json!({"consumers": ["mail"]}))).await["latency_seconds"], Value::Null);
}

async fn a_missing_stream_or_consumer_is_an_error() {
    let nats = with(&[json!(["publish", "jobs.new", 1])]).await;
    let worker = consumer(&nats, json!({}));
    assert_eq!(number(&*worker).await, Ok(1.0));
    let error = number(&*consumer(&nats, json!({"consumers": ["nobody"]}))).await.unwrap_err();
    assert_eq!(error.key, "missing");
    assert!(error.message.contains("\"nobody\""), "{error}");
    assert_eq!(number(&*consumer(&nats, json!({"stream": "NOTHING"}))).await.unwrap_err().key, "missing");
    tell(&nats, json!([["delete_consumer", "JOBS", "worker"]])).await;
    assert_eq!(number(&*worker).await.unwrap_err().key, "missing");
    tell(&nats, json!([["delete_stream", "JOBS"]])).await;
    assert_eq!(number(&*worker).await.unwrap_err().key, "missing");
    tell(&nats, json!(jobs_and_worker())).await;
    assert_eq!(number(&*worker).await, Ok(0.0));
}

async fn several_consumers_are_summed_over_one_connection() {
    let other =
        json!(["consumer", "JOBS", {"durable_name": "other", "filter_subject": "jobs.other", "ack_policy": "none"}]);
    let nats = with(&[other, json!(["publish", "jobs.new", 2]), json!(["publish", "jobs.other", 3])]).await;
    let together = shared();
    let settings = json!({"url": nats.url(), "stream": "JOBS", "consumers": ["worker", "other"]});
    let bots: Vec<_> = (0..20).map(|_| measure_in(&together, "NatsConsumer", settings.clone())).collect();
    let readings = futures_util::future::join_all(bots.iter().map(|bot| number(&**bot))).await;
    assert!(readings.iter().all(|reading| *reading == Ok(8.0)), "{readings:?}");
    let connections = async || -> Value {
        let page = format!("http://127.0.0.1:{}/connz", nats.monitoring_port());
        serde_json::from_slice(&reqwest::get(page).await.unwrap().bytes().await.unwrap()).unwrap()
    };
    assert_eq!(connections().await["num_connections"], 1);
    // One that wants no acknowledgement does not tell what is in progress.
    let seen = detail(&*bots[0]).await;
    assert_eq!((&seen["in_progress"], &seen["queues"]["worker"]["in_progress"]), (&Value::Null, &json!(0)));
    drop(bots);
    until("the connection closes", Duration::from_secs(5), async || connections().await["num_connections"] == 0).await;
}

async fn a_consumer_that_may_have_no_more_says_so() {
    let nats = Nats::start(&[]).await;
    let [stream, _] = jobs_and_worker();
    let narrow = json!({"durable_name": "worker", "ack_policy": "explicit", "max_ack_pending": 2});
    let steps =
        json!([stream, ["consumer", "JOBS", narrow], ["publish", "jobs.new", 5], ["fetch", "JOBS", "worker", 2]]);
    tell(&nats, steps).await;
    let notes = detail(&*consumer(&nats, json!({}))).await["notes"].to_string();
    assert!(notes.contains("consumer worker: no more than 2 messages"), "{notes}");
}

async fn a_stopped_server_is_unknown() {
    let mut nats = with(&[json!(["publish", "jobs.new", 4])]).await;
    let worker = consumer(&nats, json!({"timeout_seconds": 2}));
    assert_eq!(number(&*worker).await, Ok(4.0));
    nats.pause();
    // What it has begun it may still end.
    let silent = async || matches!(number(&*worker).await, Err(error) if error.key == "timeout");
    until("it is silent", Duration::from_secs(10), silent).await;
    nats.resume();
    until("it answers again", Duration::from_secs(10), async || number(&*worker).await == Ok(4.0)).await;
    nats.stop().await;
    assert_eq!(number(&*worker).await.unwrap_err().key, "refused");
    nats.restart().await;
    until("it works again", Duration::from_secs(10), async || number(&*worker).await == Ok(4.0)).await;
}

async fn a_server_that_is_gone_is_not_called() {
    let mut nats = with(&[]).await;
    let worker = consumer(&nats, json!({}));
    assert_eq!(number(&*worker).await, Ok(0.0));
    nats.kill();
    assert_eq!(number(&*worker).await.unwrap_err().key, "refused");
    drop(worker);
    nats.restart().await;
    let page = format!("http://127.0.0.1:{}/varz", nats.monitoring_port());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told: Value = serde_json::from_slice(&reqwest::get(page).await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(told["total_connections"], 0);
}

async fn every_way_to_say_who_we_are_is_taken() {
    let key = async |settings: Value, nats: &Nats| {
        let error = number(&*consumer(nats, settings)).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
        error.key.into_owned()
    };
    let nats = Nats::start(&["--user", "app", "--pass", "hunter2"]).await;
    let with_user = |user: &str| nats.url().replace("://", &format!("://{user}@"));
    let right = [json!({"user": "app", "password": "hunter2"}), json!({"url": with_user("app:%68unter2")})];
    for settings in right {
        // Let in, and told that there is no such stream.
        assert_eq!(key(settings, &nats).await, "missing");
    }
    for settings in [json!({}), json!({"user": "app", "password": "swordfish"}), json!({"token": "swordfish"})] {
        assert_eq!(key(settings, &nats).await, "unauthorized");
    }
    let nats = Nats::start(&["--auth", "hunter2"]).await;
    let in_address = nats.url().replace("://", "://hunter2@");
    for settings in [json!({"token": "hunter2"}), json!({"url": in_address})] {
        assert_eq!(key(settings, &nats).await, "missing");
    }
    assert_eq!(key(json!({"token": "swordfish"}), &nats).await, "unauthorized");
    assert_eq!(key(json!({"credentials_file": "/nowhere/app.creds"}), &nats).await, "unauthorized");
}

async fn a_server_with_tls_is_trusted() {
    let certificates = Certificates::new();
    let (certificate, key) = (certificates.path("server.pem"), certificates.path("server.key"));
    let nats = Nats::start(&["--tls", "--tlscert", &certificate, "--tlskey", &key]).await;
    let trusted = json!({"ca_file": certificates.path("authority.pem")});
    // Let in, and told that there is no such stream.
    assert_eq!(number(&*consumer(&nats, trusted)).await.unwrap_err().key, "missing");
    assert_eq!(number(&*consumer(&nats, json!({}))).await.unwrap_err().key, "tls");
}

async fn what_is_no_nats_or_has_no_jetstream_is_told() {
    let nats = Nats::start(&[]).await;
    let elsewhere = json!({"domain": "elsewhere", "timeout_seconds": 2});
    assert_eq!(number(&*consumer(&nats, elsewhere)).await.unwrap_err().key, "no_jetstream");
    let secure = json!({"url": nats.url().replace("nats:", "tls:"), "timeout_seconds": 2});
    assert_eq!(number(&*consumer(&nats, secure)).await.unwrap_err().key, "tls");
    let redis = Redis::start(&[]).await;
    let other = json!({"url": format!("nats://127.0.0.1:{}", redis.port()), "timeout_seconds": 1});
    let error = number(&*consumer(&nats, other)).await.unwrap_err();
    assert!(["connection", "timeout"].contains(&&*error.key), "{error:?}");
}
