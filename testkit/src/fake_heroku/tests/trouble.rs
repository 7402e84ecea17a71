//! Trouble on request.

use super::*;

#[tokio::test]
async fn faults_answer_what_heroku_would() {
    let fake = FakeHeroku::start(setup()).await;
    let table = [
        (Fault::rate_limited(), 429, "rate_limit"),
        (Fault::status(401), 401, "unauthorized"),
        (Fault::status(402), 402, "delinquent"),
        (Fault::TwoFactor, 403, "two_factor"),
        (Fault::status(409), 409, "conflict"),
        (Fault::status(500), 500, "internal_server_error"),
        (Fault::status(502), 502, "bad_gateway"),
        (Fault::status(503), 503, "service_unavailable"),
        (Fault::unprocessable("not today"), 422, "invalid_params"),
    ];
    for (fault, status, id) in table {
        fake.fail_matching("PATCH", "formation", fault, 1);
        let path = format!("{APP}/formation/web");
        assert_eq!(get(&fake, &path).await.status, 200, "{id}: the fault is for changes only");
        let got = call(&fake, "PATCH", &path, json!({ "quantity": 7 })).await;
        assert_eq!((got.status, got.json()["id"].as_str()), (status, Some(id)));
    }
    assert_eq!(fake.quantity("web"), 1);
    fake.fail_next(Fault::RateLimited { retry_after_seconds: Some(7) }, 1);
    assert_eq!(get(&fake, APP).await.header("retry-after"), Some("7"));
    fake.fail_next(Fault::EdgeHtml, 1);
    let page = get(&fake, APP).await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html")));
    fake.fail_next(Fault::NotJson, 1);
    let garbage = get(&fake, APP).await;
    assert!(garbage.status == 200 && serde_json::from_str::<Value>(&garbage.text).is_err());
    assert_eq!(get(&fake, APP).await.status, 200, "then it is over");
}

#[tokio::test]
async fn broken_answers_break_where_they_say_and_do_what_they_say() {
    let fake = FakeHeroku::start(setup()).await;
    let path = format!("{APP}/formation/web");
    let patch = |quantity: u32| {
        let (url, path) = (fake.url(), path.clone());
        async move { send(&url, "PATCH", &path, &[ACCEPT, BEARER], &json!({ "quantity": quantity }).to_string()).await }
    };

    fake.fail_next(Fault::Reset, 1);
    assert!(patch(2).await.is_err());
    assert_eq!(fake.quantity("web"), 1, "a reset request was not done");

    fake.fail_next(Fault::LostAnswer, 1);
    assert!(patch(3).await.is_err());
    assert_eq!(fake.quantity("web"), 3, "a lost answer was");

    fake.fail_next(Fault::TruncatedBody, 1);
    let response = patch(4).await.expect("the head of an answer");
    assert!(read(response).await.is_err());
    assert_eq!(fake.quantity("web"), 4);

    fake.fail_next(Fault::ResetMidAnswer, 1);
    let response = patch(5).await.expect("the head of an answer");
    let error = read(response).await.expect_err("half an answer");
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    assert_eq!(fake.quantity("web"), 5);

    fake.fail_next(Fault::SlowBody { milliseconds_per_byte: 0 }, 1);
    assert_eq!(call(&fake, "GET", &path, Value::Null).await.json()["quantity"], 5);

    fake.fail_next(Fault::EndlessBody, 1);
    let mut body = patch(6).await.expect("the head of an answer").into_body();
    let mut bytes = 0;
    while bytes < 10_000_000 {
        bytes += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }

    fake.fail_next(Fault::Hang, 1);
    assert!(timeout(Duration::from_millis(100), patch(7)).await.is_err());
    assert_eq!(fake.quantity("web"), 6);
    let statuses: Vec<u16> = fake.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [0, 0, 200, 200, 200, 200, 0]);
}

#[tokio::test]
async fn outsiders_plan_trouble_and_count_requests_over_http() {
    let fake = FakeHeroku::start(setup()).await;
    let admin = async |method: &str, name: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        read(send(&fake.url(), method, &format!("/_fake/{name}"), &[], &body).await.unwrap()).await.unwrap()
    };
    let plan = json!({ "fault": "status", "status": 503, "method": "PATCH", "path": "formation" });
    assert_eq!(admin("POST", "faults", plan).await.status, 200);
    let path = format!("{APP}/formation/web");
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 503);
    let listed = admin("GET", "requests", Value::Null).await.json();
    assert_eq!(
        listed,
        json!([{ "method": "PATCH", "path": path, "query": "", "body": { "quantity": 2 }, "status": 503 }])
    );
    let scaled = admin("POST", "formation", json!({ "type": "web", "quantity": 4 })).await.json();
    assert_eq!(scaled, json!({ "web": 4, "celery": 1 }));
    admin("POST", "log", json!({ "source": "heroku", "dyno": "router", "message": "hello" })).await;
    assert_eq!(router_lines(&fake), ["hello"]);
    admin("POST", "rate", json!({ "remaining": 0 })).await;
    assert_eq!(get(&fake, APP).await.status, 429);
    admin("POST", "clock", json!({ "advance_seconds": 3600 })).await;
    assert_eq!(get(&fake, APP).await.status, 200);
    assert_eq!(admin("POST", "faults", json!({ "fault": "unheard-of" })).await.status, 400);
    assert_eq!(admin("POST", "formation", json!({ "type": "nobody", "quantity": 1 })).await.status, 400);
    assert_eq!(admin("GET", "nothing", Value::Null).await.status, 404);
}
