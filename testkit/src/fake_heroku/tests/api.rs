//! Calls: who may make them, what they answer, and how they are counted.

use super::*;

#[tokio::test]
async fn only_version_3_with_the_token_is_answered() {
    let fake = FakeHeroku::start(setup()).await;
    let basic = ("authorization", "Basic OnRlc3QtdG9rZW4=");
    let table = [
        ("version 3 and bearer", vec![ACCEPT, BEARER], 200, None),
        ("basic", vec![ACCEPT, basic], 200, None),
        ("a suffix", vec![("accept", "application/vnd.heroku+json; version=3.cedar-acm"), BEARER], 200, None),
        ("plain JSON", vec![("accept", "application/json"), BEARER], 406, Some("not_acceptable")),
        ("version 2", vec![("accept", "application/vnd.heroku+json; version=2"), BEARER], 406, Some("not_acceptable")),
        ("no version", vec![BEARER], 406, Some("not_acceptable")),
        ("no token", vec![ACCEPT], 401, Some("unauthorized")),
        ("another token", vec![ACCEPT, ("authorization", "Bearer x")], 401, Some("unauthorized")),
    ];
    for (name, headers, status, id) in table {
        let got = read(send(&fake.url(), "GET", "/apps", &headers, "").await.unwrap()).await.unwrap();
        assert_eq!((got.status, got.json()["id"].as_str()), (status, id), "{name}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_clients_read() {
    let fake = FakeHeroku::start(setup()).await;
    let own = "11111111-2222-4333-8444-555555555555";
    let got = call_with(&fake, "GET", APP, &[("request-id", own)], Value::Null).await;
    let ids: Vec<_> = got.header("request-id").unwrap().split(',').collect();
    assert!(ids.len() == 2 && ids[0].len() == 36 && ids[1] == own, "{ids:?}");
    assert_eq!(got.header("ratelimit-remaining"), Some("4499"));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("oauth-scope"), Some("global"));
    assert!(got.header("etag").is_some_and(|tag| tag.len() == 34));
    for name in ["x-runtime", "cache-control", "vary", "via", "date", "last-modified", "oauth-scope-accepted"] {
        assert!(got.header(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn an_app_and_a_process_answer_to_name_and_id() {
    let fake = FakeHeroku::start(setup()).await;
    let by_name = get(&fake, &format!("{APP}/formation/web")).await.json();
    let app = get(&fake, APP).await.json();
    let path = format!("/apps/{}/formation/{}", app["id"].as_str().unwrap(), by_name["id"].as_str().unwrap());
    assert_eq!(get(&fake, &path).await.json(), by_name);
    assert_eq!(by_name["quantity"], 1);
    assert_eq!(by_name["dyno_size"]["name"], "Standard-1X");
    assert_eq!(app["web_url"], fake.web_url());
    assert_eq!(app["generation"]["name"], "cedar");
    let missing = get(&fake, "/apps/no-such-app/formation").await;
    assert_eq!((missing.status, missing.json()["resource"].as_str()), (404, Some("app")));
}

#[tokio::test]
async fn a_batch_answers_the_touched_types_or_all_of_them() {
    let fake = FakeHeroku::start(setup()).await;
    let body = json!({ "updates": [{ "type": "celery", "quantity": 2 }] });
    let touched = call(&fake, "PATCH", &format!("{APP}/formation"), body.clone()).await.json();
    assert_eq!(touched.as_array().map(Vec::len), Some(1));
    assert_eq!(touched[0]["type"], "celery");
    fake.set_open_questions(OpenQuestions { batch_answers_all_types: true, ..OpenQuestions::default() });
    let all = call(&fake, "PATCH", &format!("{APP}/formation"), body).await.json();
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    assert_eq!((fake.patches(), fake.quantity("celery")), (2, 2));
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let fake = FakeHeroku::start(setup()).await;
    let body = json!({ "updates": [{ "type": "web", "quantity": 5 }, { "type": "celery", "size": "Basic" }] });
    let got = call(&fake, "PATCH", &format!("{APP}/formation"), body).await;
    assert_eq!(got.status, 422);
    assert_eq!(got.json()["message"], "Cannot use the following dyno types in the same app: Basic and Standard-1X");
    assert!(got.header("etag").is_some(), "errors have one too");
    assert_eq!((fake.quantity("web"), fake.dynos("web").len()), (1, 1));
    let broken = send(&fake.url(), "PATCH", &format!("{APP}/formation/web"), &[ACCEPT, BEARER], "{\"quantity\":").await;
    assert_eq!(read(broken.unwrap()).await.unwrap().status, 400);
}

#[tokio::test]
async fn the_rate_limit_is_told_kept_and_refilled() {
    let fake = FakeHeroku::start(setup()).await;
    fake.set_rate_remaining(1.0);
    assert_eq!(get(&fake, APP).await.header("ratelimit-remaining"), Some("0"));
    let refused = get(&fake, APP).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["id"], "rate_limit");
    assert_eq!(refused.header("retry-after"), None);
    let free = get(&fake, "/account/rate-limits").await;
    assert_eq!((free.status, free.json()), (200, json!({ "remaining": 0 })));
    fake.advance(Duration::from_secs(60));
    assert_eq!(get(&fake, "/account/rate-limits").await.json(), json!({ "remaining": 75 }));
    fake.set_rate_remaining(0.0);
    fake.set_open_questions(OpenQuestions {
        rate_limit_retry_after: Some(Duration::from_secs(9)),
        rate_limit_headers_on_429: false,
        ..OpenQuestions::default()
    });
    let refused = get(&fake, APP).await;
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-remaining")), (Some("9"), None));
}

#[tokio::test]
async fn tags_save_bodies_and_guard_changes() {
    let fake = FakeHeroku::start(setup()).await;
    let path = format!("{APP}/formation/web");
    let first = get(&fake, &path).await;
    let tag = first.header("etag").unwrap();
    let again = call_with(&fake, "GET", &path, &[("if-none-match", tag)], Value::Null).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let guarded = call_with(&fake, "PATCH", &path, &[("if-match", tag)], json!({ "quantity": 2 })).await;
    assert_eq!(guarded.status, 200);
    let late = call_with(&fake, "PATCH", &path, &[("if-match", tag)], json!({ "quantity": 3 })).await;
    assert_eq!((late.status, fake.quantity("web")), (412, 2));
    let changed = call_with(&fake, "GET", &path, &[("if-none-match", tag)], Value::Null).await;
    assert_eq!(changed.status, 200);
}

#[tokio::test]
async fn lists_come_in_pages_and_refuse_what_is_no_range() {
    let fake = FakeHeroku::start(setup()).await;
    let path = format!("{APP}/formation");
    let page = call_with(&fake, "GET", &path, &[("range", "type ..; max=1")], Value::Null).await;
    assert_eq!((page.status, page.json()[0]["type"].as_str()), (206, Some("celery")));
    assert_eq!(page.header("accept-ranges"), Some("id, type"));
    let next = page.header("next-range").unwrap();
    assert_eq!(next, "type ]celery..; max=1");
    let rest = call_with(&fake, "GET", &path, &[("range", next)], Value::Null).await;
    assert_eq!((rest.status, rest.json()[0]["type"].as_str(), rest.header("next-range")), (200, Some("web"), None));
    let refused = call_with(&fake, "GET", &path, &[("range", "price ..")], Value::Null).await;
    assert_eq!((refused.status, refused.json()["id"].as_str()), (416, Some("requested_range_not_satisfiable")));
    let ignored = call_with(&fake, "GET", APP, &[("range", "price ..")], Value::Null).await;
    assert_eq!(ignored.status, 200, "ranges mean nothing where there is no list");
}

#[tokio::test]
async fn a_token_that_may_only_read_cannot_scale() {
    let fake = FakeHeroku::start(setup().scope("read")).await;
    let path = format!("{APP}/formation/web");
    assert_eq!(get(&fake, &path).await.status, 200);
    let got = call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await;
    assert_eq!((got.status, got.json()["id"].as_str(), fake.quantity("web")), (403, Some("forbidden"), 1));
}

#[tokio::test]
async fn apps_share_the_account_and_nothing_else() {
    let fake = FakeHeroku::start(setup().and_app("quiet-meadow-1").process("web", 2, "Basic")).await;
    assert_eq!((fake.quantity("web"), fake.quantity_in("quiet-meadow-1", "web")), (1, 2));
    assert_ne!(fake.web_url(), fake.web_url_of("quiet-meadow-1"));
    call(&fake, "PATCH", "/apps/quiet-meadow-1/formation/web", json!({ "quantity": 0 })).await;
    assert_eq!((fake.quantity("web"), fake.quantity_in("quiet-meadow-1", "web")), (1, 0));
    assert_eq!(get(&fake, "/apps").await.header("ratelimit-remaining"), Some("4498"));
}
