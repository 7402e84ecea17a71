//! Queues of a server that speaks SQS, with messages of AWS's own Python client.

use std::{sync::Arc, time::Duration};

use autoscalebot_engine::{clock::SystemClock, environment::Environment, shared::Shared};
use axum::{Router, http::HeaderMap, routing};
use serde_json::{Value, json};
use testkit::services::Moto;
use tokio::net::TcpListener;

use crate::support::{
    Claim, Language, Measure, Python, claim, detail, measure, measure_in, number, services, unique, until,
};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("messages_are_waiting_in_progress_or_delayed", messages_are_waiting_in_progress_or_delayed),
        claim("queues_are_found_by_name_and_by_address_and_summed", queues_are_found_by_name_and_by_address),
        claim("a_missing_or_deleted_queue_is_an_error", a_missing_or_deleted_queue_is_an_error),
        claim("a_stopped_server_is_unknown_and_a_restarted_one_is_asked_again", a_stopped_server_is_unknown),
        claim("an_overloaded_service_is_asked_again_and_not_for_ever", an_overloaded_service_is_asked_again),
        claim("every_question_is_signed_with_what_settings_or_environment_say", every_question_is_signed),
        claim("the_role_of_a_machine_is_found_and_kept_while_it_holds", the_role_of_a_machine_is_found_and_kept),
        claim("the_role_of_a_container_is_found_with_its_token", the_role_of_a_container_is_found_with_its_token),
        claim("no_secret_is_ever_told", no_secret_is_ever_told),
    ]
}

const KEY: [(&str, &str); 2] = [("access_key_id", "test"), ("secret_access_key", "test")];

fn with_key(mut settings: Value) -> Value {
    settings["region"] = "eu-central-1".into();
    for (name, value) in KEY {
        settings[name] = value.into();
    }
    settings
}

fn queue(moto: &Moto, name: &str, metric: &str) -> Box<dyn Measure> {
    let settings = json!({"endpoint_url": moto.url(), "queue_names": [name], "metric": metric});
    measure("SqsQueue", with_key(settings))
}

async fn tell(moto: &Moto, queue: &str, steps: Value) -> Value {
    Python::run("sqs_tell.py", &[&moto.url(), queue, &steps.to_string()], &[]).await
}

async fn messages_are_waiting_in_progress_or_delayed() {
    let (moto, name) = (services::moto().await, unique("jobs"));
    tell(&moto, &name, json!([["create"]])).await;
    assert_eq!(number(&*queue(&moto, &name, "waiting")).await, Ok(0.0));
    tell(&moto, &name, json!([["send", 5], ["send", 2, {"DelaySeconds": 900}], ["receive", 2]])).await;
    for (metric, expected) in [("waiting", 3.0), ("in_progress", 2.0), ("waiting_and_in_progress", 5.0)] {
        assert_eq!(number(&*queue(&moto, &name, metric)).await, Ok(expected), "{metric}");
    }
    let seen = detail(&*queue(&moto, &name, "waiting")).await;
    assert_eq!((&seen["scheduled"], &seen["latency_seconds"]), (&json!(2), &Value::Null));
    assert!(seen["estimate"].to_string().contains("approximately"), "{seen}");
}

async fn queues_are_found_by_name_and_by_address() {
    let (moto, one, two) = (services::moto().await, unique("one"), unique("two"));
    let address = tell(&moto, &one, json!([["create"], ["send", 2]])).await;
    tell(&moto, &two, json!([["create"], ["send", 3]])).await;
    let both = json!({"endpoint_url": moto.url(), "queue_names": [one, two]});
    let both = measure("SqsQueue", with_key(both));
    assert_eq!(number(&*both).await, Ok(5.0));
    assert_eq!(detail(&*both).await["queues"][&two]["waiting"], 3);
    // No other address is needed: the service is where the queue is.
    let by_address = measure("SqsQueue", with_key(json!({"queue_url": address})));
    assert_eq!(number(&*by_address).await, Ok(2.0));
}

async fn a_missing_or_deleted_queue_is_an_error() {
    let (moto, name) = (services::moto().await, unique("jobs"));
    let measure = queue(&moto, &name, "waiting");
    let error = number(&*measure).await.unwrap_err();
    assert_eq!(error.key, "missing");
    assert!(error.message.contains(&name), "{error}");
    tell(&moto, &name, json!([["create"], ["send", 1]])).await;
    assert_eq!(number(&*measure).await, Ok(1.0));
    tell(&moto, &name, json!([["delete"]])).await;
    assert_eq!(number(&*measure).await.unwrap_err().key, "missing");
}

async fn a_stopped_server_is_unknown() {
    let mut moto = Moto::start().await;
    tell(&moto, "jobs", json!([["create"], ["send", 1]])).await;
    let settings = json!({"endpoint_url": moto.url(), "queue_names": ["jobs"], "timeout_seconds": 2});
    let jobs = measure("SqsQueue", with_key(settings));
    assert_eq!(number(&*jobs).await, Ok(1.0));
    moto.pause();
    let silent = async || matches!(number(&*jobs).await, Err(error) if error.key == "timeout");
    until("it is silent", Duration::from_secs(10), silent).await;
    moto.kill();
    assert_eq!(number(&*jobs).await.unwrap_err().key, "refused");
    moto.restart().await;
    // It keeps nothing, so the queue is gone: that is no empty queue.
    assert_eq!(number(&*jobs).await.unwrap_err().key, "missing");
}

/// A server that answers what it is told, and keeps what it was asked.
struct Fake {
    url: String,
    asked: Arc<std::sync::Mutex<Vec<(String, HeaderMap)>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Fake {
    /// `answer` is given the path and how often anything was asked before.
    async fn start(answer: impl Fn(&str, usize) -> (u16, Value) + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<std::sync::Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
        let kept = asked.clone();
        let handler = move |uri: axum::http::Uri, headers: HeaderMap| async move {
            let mut kept = kept.lock().unwrap();
            let (status, body) = answer(uri.path(), kept.len());
            kept.push((uri.path().to_owned(), headers));
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            match body {
                Value::String(text) => (status, text.into_bytes()),
                body => (status, body.to_string().into_bytes()),
            }
        };
        let router = Router::new().fallback(routing::any(handler));
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, serving }
    }

    fn asked(&self) -> Vec<(String, HeaderMap)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn counts() -> Value {
    let name = "ApproximateNumberOfMessages";
    json!({"Attributes": {name: "3", format!("{name}NotVisible"): "1", format!("{name}Delayed"): "0"}})
}

fn refusal(code: &str) -> Value {
    json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "AKIAHUNTER2 is not hunter2"})
}

async fn an_overloaded_service_is_asked_again() {
    for (status, code, key, asked) in [
        (400, "ThrottlingException", "rate_limited", 3),
        (400, "RequestThrottled", "rate_limited", 3),
        (503, "ServiceUnavailable", "server_error", 3),
        (400, "QueueDoesNotExist", "missing", 1),
        (403, "AccessDeniedException", "forbidden", 1),
        (403, "InvalidClientTokenId", "unauthorized", 1),
        (403, "SignatureDoesNotMatch", "unauthorized", 1),
        (400, "InvalidAddress", "refused_by_service", 1),
    ] {
        let fake = Fake::start(move |_, _| (status, refusal(code))).await;
        let jobs = measure("SqsQueue", with_key(json!({"queue_url": format!("{}/1/jobs", fake.url)})));
        let error = number(&*jobs).await.unwrap_err();
        assert_eq!((&*error.key, fake.asked().len()), (key, asked), "{code}");
        assert!(!error.message.to_lowercase().contains("hunter2"), "{error}");
    }
    let fake =
        Fake::start(|_, before| if before < 2 { (500, refusal("InternalError")) } else { (200, counts()) }).await;
    let jobs = measure("SqsQueue", with_key(json!({"queue_url": format!("{}/1/jobs", fake.url)})));
    assert_eq!(number(&*jobs).await, Ok(3.0));
    for answer in [json!({}), json!({"Attributes": {"ApproximateNumberOfMessages": "3"}}), json!("hello")] {
        let fake = Fake::start(move |_, _| (200, answer.clone())).await;
        let jobs = measure("SqsQueue", with_key(json!({"queue_url": format!("{}/1/jobs", fake.url)})));
        assert_eq!(number(&*jobs).await.unwrap_err().key, "bad_json");
    }
}

fn shared_with(variables: &[(&str, &str)]) -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), variables.iter().copied().collect::<Environment>())
}

async fn every_question_is_signed() {
    let fake = Fake::start(|_, _| (200, counts())).await;
    let url = json!({"queue_url": format!("{}/1/jobs", fake.url)});
    let settings = measure("SqsQueue", with_key(url.clone()));
    assert_eq!(number(&*settings).await, Ok(3.0));
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "lent"),
        ("AWS_DEFAULT_REGION", "us-west-2"),
    ];
    let environment = measure_in(&shared_with(&variables), "SqsQueue", url);
    assert_eq!(number(&*environment).await, Ok(3.0));
    let asked = fake.asked();
    let header = |index: usize, name: &str| asked[index].1.get(name).map(|value| value.to_str().unwrap().to_owned());
    let signed = header(0, "authorization").unwrap();
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=test/"), "{signed}");
    assert!(signed.contains("/eu-central-1/sqs/aws4_request"), "{signed}");
    assert_eq!(header(0, "x-amz-target").as_deref(), Some("AmazonSQS.GetQueueAttributes"));
    assert_eq!(header(0, "x-amz-security-token"), None);
    let signed = header(1, "authorization").unwrap();
    assert!(signed.contains("Credential=AKID/") && signed.contains("/us-west-2/sqs/"), "{signed}");
    assert!(signed.contains("x-amz-security-token") && !signed.contains("secret,"), "{signed}");
    assert_eq!(header(1, "x-amz-security-token").as_deref(), Some("lent"));
    // Somebody else who knows the protocol finds the same signature.
    let again = |index: usize, key: [&str; 3], region: &str, queue: &str| {
        let body = json!({
            "QueueUrl": queue,
            "AttributeNames": [
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        });
        let time = header(index, "x-amz-date").unwrap();
        let question = json!({"url": format!("{}/", fake.url), "body": body.to_string(), "time": time, "key": key, "region": region});
        async move { Python::run("sqs_sign.py", &[&question.to_string()], &[]).await }
    };
    let queue = format!("{}/1/jobs", fake.url);
    assert_eq!(again(0, ["test", "test", ""], "eu-central-1", &queue).await, json!(header(0, "authorization")));
    assert_eq!(again(1, ["AKID", "secret", "lent"], "us-west-2", &queue).await, json!(header(1, "authorization")));
}

fn role(key: &str, expiration: &str) -> Value {
    json!({"AccessKeyId": key, "SecretAccessKey": "hunter2", "Token": "hunter2", "Expiration": expiration})
}

async fn the_role_of_a_machine_is_found_and_kept() {
    let sqs = Fake::start(|_, _| (200, counts())).await;
    let metadata = Fake::start(|path, before| match path {
        "/latest/api/token" => (200, json!("passport")),
        "/latest/meta-data/iam/security-credentials/" => (200, json!("worker\n")),
        "/latest/meta-data/iam/security-credentials/worker" if before < 3 => {
            (200, role("FIRST", "2000-01-01T00:00:00Z"))
        }
        "/latest/meta-data/iam/security-credentials/worker" => (200, role("SECOND", "2999-01-01T00:00:00Z")),
        _ => (404, Value::Null),
    })
    .await;
    let together = shared_with(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url), ("AWS_REGION", "eu-central-1")]);
    let jobs = measure_in(&together, "SqsQueue", json!({"queue_url": format!("{}/1/jobs", sqs.url)}));
    for _ in 0..4 {
        assert_eq!(number(&*jobs).await, Ok(3.0));
    }
    let signed: Vec<bool> = (sqs.asked().iter())
        .map(|(_, headers)| headers["authorization"].to_str().unwrap().contains("Credential=SECOND/"))
        .collect();
    // What has ended is fetched anew; what holds is kept.
    assert_eq!(signed, [false, true, true, true]);
    let asked = metadata.asked();
    assert_eq!(asked.len(), 6);
    assert_eq!(asked[0].1["x-aws-ec2-metadata-token-ttl-seconds"], "60");
    assert_eq!(asked[2].1["x-aws-ec2-metadata-token"], "passport");
    let switched_off = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "eu-central-1")];
    let jobs = measure_in(&shared_with(&switched_off), "SqsQueue", json!({"queue_url": format!("{}/1/jobs", sqs.url)}));
    assert_eq!(number(&*jobs).await.unwrap_err().key, "no_credentials");
}

async fn the_role_of_a_container_is_found_with_its_token() {
    let sqs = Fake::start(|_, before| match before {
        0 => (403, refusal("ExpiredTokenException")),
        _ => (200, counts()),
    })
    .await;
    let agent = Fake::start(|_, _| (200, role("TASK", "2999-01-01T00:00:00Z"))).await;
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*format!("{}/v1/credentials", agent.url)),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "passport"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let jobs = measure_in(&shared_with(&variables), "SqsQueue", json!({"queue_url": format!("{}/1/jobs", sqs.url)}));
    assert_eq!(number(&*jobs).await, Ok(3.0));
    let asked = agent.asked();
    // AWS said that they had ended, so they were fetched once more.
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].0.as_str(), &asked[0].1["authorization"]), ("/v1/credentials", &"passport".parse().unwrap()));
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/"), ("AWS_REGION", "eu-central-1")];
    let jobs = measure_in(&shared_with(&variables), "SqsQueue", json!({"queue_url": format!("{}/1/jobs", sqs.url)}));
    let error = number(&*jobs).await.unwrap_err();
    assert_eq!(error.key, "no_credentials");
    assert!(error.message.contains("not asked"), "{error}");
}

async fn no_secret_is_ever_told() {
    let fake = Fake::start(|_, _| (403, refusal("InvalidClientTokenId"))).await;
    let mut settings = with_key(json!({"queue_url": format!("{}/1/jobs", fake.url), "session_token": "hunter2"}));
    settings["access_key_id"] = "AKIAHUNTER2".into();
    settings["secret_access_key"] = "hunter2".into();
    let jobs = measure("SqsQueue", settings);
    let error = number(&*jobs).await.unwrap_err();
    let shown = format!("{error} {error:?}").to_lowercase();
    assert!(!shown.contains("hunter2"), "{shown}");
}
