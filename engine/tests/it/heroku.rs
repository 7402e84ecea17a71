//! The Heroku backends against a whole fake Heroku: formation, rules, trouble, router and log.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{
    names::ProcessName,
    registry::find,
    sample::{CountsAs, Reading},
};
use autoscalebot_engine::{
    config::BackendSettings,
    measurement::{self, Measure, MeasureError, Measured},
    scaling::Scaled,
    shared::Shared,
};
use serde_json::{Value, json};
use testkit::fake_heroku::{FakeHeroku, Fault, Generation, OpenQuestions, RouterLogFaults, Setup};

use crate::heroku_wire::{APP, KEY, order, platform, shared};

fn setup() -> Setup {
    Setup::app(APP).process("web", 1, "Standard-1X").process("worker", 4, "Standard-2X").token(KEY)
}

/// A measurement as a process scaled by the Heroku backend has it.
fn service_time(shared: &Arc<Shared>, fake: &FakeHeroku, more: &Value) -> Box<dyn Measure> {
    let mut settings = json!({"measurement_url": "/m", "log_line_timeout_seconds": 3});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let scaling = json!({"app_name": APP, "api_key": KEY, "api_url": fake.url()});
    let context = measurement::Context {
        common: measurement::Common::default(),
        process: ProcessName::new("web").unwrap(),
        platform: platform(shared, &fake.url(), "web"),
        scaling: BackendSettings { backend: "Heroku", settings: scaling },
        shared: shared.clone(),
    };
    let Ok(entry) = find(measurement::BACKENDS, "HerokuServiceTimeBackend") else { panic!("the backend is listed") };
    (entry.build)(&settings, &context).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The reading, which must be no shorter than what the router was told to take, and not absurdly longer.
fn assert_about(milliseconds: f64, measured: Result<Measured, MeasureError>) {
    let measured = measured.unwrap();
    let Reading::Number(number) = measured.reading else { panic!("{measured:?}") };
    let expected = milliseconds..milliseconds + 1000.0;
    assert!(expected.contains(&number.get()), "{number} ms, expected {expected:?}");
}

#[tokio::test]
async fn a_process_goes_up_and_down_with_one_patch_each_and_keeps_its_size() {
    let fake = FakeHeroku::start(setup()).await;
    let web = platform(&shared(), &fake.url(), "web");
    for (from, to) in [(1, 2), (2, 3), (3, 1)] {
        assert_eq!(web.count().await, Ok(from));
        assert_eq!(web.scale_to(&order(from, to)).await, Ok(Scaled::Done));
        assert_eq!(fake.quantity("web"), to);
    }
    assert_eq!(fake.patches(), 3);
    assert_eq!((fake.size("web").as_str(), fake.quantity("worker")), ("Standard-1X", 4));
    assert_eq!(web.web_url().await.unwrap().unwrap().as_str(), fake.web_url());
}

#[tokio::test]
async fn someone_elses_change_is_seen_before_anything_is_sent() {
    let fake = FakeHeroku::start(setup()).await;
    let web = platform(&shared(), &fake.url(), "web");
    fake.set_quantity("web", 2);
    assert_eq!(web.scale_to(&order(1, 2)).await, Ok(Scaled::AlreadyThere));
    fake.set_quantity("web", 5);
    assert_eq!(web.count().await, Ok(5));
    assert_eq!(web.scale_to(&order(4, 3)).await.unwrap_err().key, "changed_meanwhile");
    assert_eq!(fake.patches(), 0);
}

#[tokio::test]
async fn orders_travel_together_whichever_types_the_answer_lists() {
    for batch_answers_all_types in [true, false] {
        let open = OpenQuestions { batch_answers_all_types, ..OpenQuestions::default() };
        let fake = FakeHeroku::start(setup().process("clock", 1, "Standard-1X").open_questions(open)).await;
        let shared = shared();
        let (web, worker) = (platform(&shared, &fake.url(), "web"), platform(&shared, &fake.url(), "worker"));
        let (up, down) = (order(1, 3), order(4, 2));
        let both = tokio::join!(web.scale_to(&up), worker.scale_to(&down));
        assert_eq!(both, (Ok(Scaled::Done), Ok(Scaled::Done)));
        assert_eq!((fake.quantity("web"), fake.quantity("worker"), fake.quantity("clock")), (3, 2, 1));
        assert_eq!(fake.patches(), 1);
    }
}

#[tokio::test]
async fn one_process_that_breaks_a_rule_does_not_hold_up_the_other() {
    let fake = FakeHeroku::start(setup()).await;
    let shared = shared();
    let (web, worker) = (platform(&shared, &fake.url(), "web"), platform(&shared, &fake.url(), "worker"));
    let (good, bad) = (order(1, 2), order(4, 200));
    let (web, worker) = tokio::join!(web.scale_to(&good), worker.scale_to(&bad));
    assert_eq!(web, Ok(Scaled::Done));
    assert_eq!(worker.unwrap_err().key, "invalid_params");
    assert_eq!((fake.quantity("web"), fake.quantity("worker")), (2, 4));
}

#[tokio::test]
async fn herokus_limits_are_explained() {
    let rows =
        [("Basic", 2, "MAX_PROCESSES to 1"), ("Eco", 2, "MAX_PROCESSES to 1"), ("Performance-M", 11, "limited to 10")];
    for (size, wanted, explained) in rows {
        let fake = FakeHeroku::start(Setup::app(APP).process("web", 1, size).token(KEY)).await;
        let web = platform(&shared(), &fake.url(), "web");
        let error = web.scale_to(&order(1, wanted)).await.unwrap_err();
        assert_eq!(error.key, "quantity_limit", "{size}: {error}");
        assert!(error.message.contains(explained), "{size}: {error}");
        assert_eq!((fake.quantity("web"), fake.patches()), (1, 1), "{size}");
    }
}

#[tokio::test]
async fn a_refusal_during_preboot_says_when_to_come_back_whatever_its_status() {
    for (status, release) in [(422, false), (409, true), (403, false)] {
        let open = OpenQuestions {
            preboot_refusal_status: status,
            preboot_refusal_mentions_release_phase: release,
            ..OpenQuestions::default()
        };
        let fake = FakeHeroku::start(setup().open_questions(open)).await;
        fake.preboot_in_progress(true);
        let web = platform(&shared(), &fake.url(), "web");
        let error = web.scale_to(&order(1, 2)).await.unwrap_err();
        assert_eq!(error.key, "preboot", "{status}: {error}");
        assert!(error.retry_after.is_some(), "{status}");
        fake.preboot_in_progress(false);
        assert_eq!(web.scale_to(&order(1, 2)).await, Ok(Scaled::Done));
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_app_are_told_at_the_first_try() {
    let fake = FakeHeroku::start(setup().token("another")).await;
    let error = platform(&shared(), &fake.url(), "web").count().await.unwrap_err();
    assert_eq!(error.key, "unauthorized", "{error}");
    assert_eq!(fake.requests().len(), 1);

    let fake = FakeHeroku::start(Setup::app("quiet-meadow-1").token(KEY)).await;
    let error = platform(&shared(), &fake.url(), "web").count().await.unwrap_err();
    assert_eq!(error.key, "not_found", "{error}");

    let fake = FakeHeroku::start(setup()).await;
    let error = platform(&shared(), &fake.url(), "celery").count().await.unwrap_err();
    assert_eq!(error.key, "no_such_process");
    assert!(error.message.contains("web, worker"), "{error}");
}

#[tokio::test]
async fn one_fault_of_any_kind_while_reading_is_survived_or_told_and_never_a_wrong_count() {
    let passing = [
        Fault::status(500),
        Fault::status(502),
        Fault::status(503),
        Fault::EdgeHtml,
        Fault::Reset,
        Fault::ResetMidAnswer,
        Fault::LostAnswer,
        Fault::TruncatedBody,
        Fault::Hang,
        Fault::rate_limited(),
    ];
    for fault in passing {
        let fake = FakeHeroku::start(setup()).await;
        fake.fail_next(fault.clone(), 1);
        let web = patient(&fake);
        assert_eq!(web.count().await, Ok(1), "{fault:?}");
    }
    let told = [
        (Fault::NotJson, "bad_answer"),
        (Fault::EndlessBody, "too_long"),
        (Fault::TwoFactor, "two_factor"),
        (Fault::status(402), "delinquent"),
        (Fault::status(403), "forbidden"),
        (Fault::RateLimited { retry_after_seconds: Some(120) }, "rate_limited"),
    ];
    for (fault, key) in told {
        let fake = FakeHeroku::start(setup()).await;
        fake.fail_next(fault.clone(), 1);
        let web = patient(&fake);
        let error = web.count().await.unwrap_err();
        assert_eq!(error.key, key, "{fault:?}: {error}");
    }
}

/// A platform whose time is enough for a fault that takes half of it.
fn patient(fake: &FakeHeroku) -> Arc<dyn autoscalebot_engine::scaling::Scale> {
    crate::heroku_wire::platform_with(&shared(), &fake.url(), "web", json!({"timeout_seconds": 6}))
}

#[tokio::test]
async fn one_fault_of_any_kind_while_scaling_still_ends_at_the_ordered_number() {
    // Whether the change was made when the fault struck, and so how many PATCHes there may be.
    let faults = [
        (Fault::status(500), 2),
        (Fault::status(503), 2),
        (Fault::EdgeHtml, 2),
        (Fault::Reset, 2),
        (Fault::Hang, 2),
        (Fault::rate_limited(), 2),
        (Fault::ResetMidAnswer, 1),
        (Fault::LostAnswer, 1),
        (Fault::TruncatedBody, 1),
    ];
    for (fault, patches) in faults {
        let fake = FakeHeroku::start(setup()).await;
        let web = patient(&fake);
        fake.fail_matching("PATCH", "formation", fault.clone(), 1);
        assert_eq!(web.scale_to(&order(1, 2)).await, Ok(Scaled::Done), "{fault:?}");
        assert_eq!((fake.quantity("web"), fake.patches()), (2, patches), "{fault:?}");
    }
}

#[tokio::test]
async fn an_account_without_calls_left_is_left_alone_and_used_again_when_they_are_back() {
    let fake = FakeHeroku::start(setup()).await;
    let web = platform(&shared(), &fake.url(), "web");
    assert_eq!(web.count().await, Ok(1));
    fake.set_rate_remaining(0.0);
    fake.fail_next(Fault::RateLimited { retry_after_seconds: Some(4) }, 1);
    let error = web.scale_to(&order(2, 3)).await.unwrap_err();
    assert_eq!(error.key, "rate_limited", "{error}");
    let asked = fake.requests().len();
    assert_eq!(web.scale_to(&order(2, 3)).await.unwrap_err().key, "rate_budget");
    assert_eq!(fake.requests().len(), asked);
    assert_eq!(web.count().await, Ok(1), "from memory, for the pool is empty");
    assert_eq!(fake.requests().len(), asked);
}

#[tokio::test]
async fn the_routers_service_time_is_measured_on_both_generations_in_both_formats() {
    for (generation, cedar_log_sessions_answer_events) in
        [(Generation::Cedar, true), (Generation::Cedar, false), (Generation::Fir, true)]
    {
        let open = OpenQuestions { cedar_log_sessions_answer_events, ..OpenQuestions::default() };
        let size = if generation == Generation::Fir { "dyno-1c-0.5gb" } else { "Standard-1X" };
        let setup = Setup::app(APP).generation(generation).process("web", 1, size).token(KEY).open_questions(open);
        let fake = FakeHeroku::start(setup).await;
        let measure = service_time(&shared(), &fake, &json!({}));
        for milliseconds in [20, 120] {
            fake.set_service_time(Duration::from_millis(milliseconds));
            #[expect(clippy::cast_precision_loss, reason = "two small numbers")]
            assert_about(milliseconds as f64, measure.measure().await);
        }
        let sessions = fake.requests().iter().filter(|request| request.path.ends_with("/log-sessions")).count();
        assert_eq!(sessions, 1, "{generation:?}");
    }
}

#[tokio::test]
async fn lines_that_are_late_or_out_of_order_still_find_their_request() {
    let fake = FakeHeroku::start(setup()).await;
    let shared = shared();
    let (one, two) = (service_time(&shared, &fake, &json!({})), service_time(&shared, &fake, &json!({})));
    fake.set_service_time(Duration::from_millis(30));
    fake.spoil_router_log(RouterLogFaults { delay: Duration::from_millis(200), ..RouterLogFaults::default() });
    assert_about(30.0, one.measure().await);
    fake.spoil_router_log(RouterLogFaults { swap_pairs: true, ..RouterLogFaults::default() });
    let (first, second) = tokio::join!(one.measure(), two.measure());
    assert_about(30.0, first);
    assert_about(30.0, second);
}

#[tokio::test]
async fn sessions_that_end_are_replaced_and_a_lost_line_is_unknown() {
    let fake = FakeHeroku::start(setup()).await;
    let measure = service_time(&shared(), &fake, &json!({}));
    assert_about(0.0, measure.measure().await);
    fake.close_log_sessions();
    assert_about(0.0, measure.measure().await);
    fake.spoil_router_log(RouterLogFaults { drop_next: 1, ..RouterLogFaults::default() });
    let error = measure.measure().await.unwrap_err();
    assert_eq!((error.key.as_ref(), error.counts_as), ("no_router_line", CountsAs::Unknown));
    assert_about(0.0, measure.measure().await);
}

#[tokio::test]
async fn no_web_process_and_maintenance_are_unknown() {
    let fake = FakeHeroku::start(setup()).await;
    let measure = service_time(&shared(), &fake, &json!({}));
    fake.set_maintenance(true);
    let error = measure.measure().await.unwrap_err();
    assert!(error.message.contains("H80") && error.counts_as == CountsAs::Unknown, "{error}");
    fake.set_maintenance(false);
    fake.set_quantity("web", 0);
    let error = measure.measure().await.unwrap_err();
    assert!(error.message.contains("H14") && error.counts_as == CountsAs::Unknown, "{error}");
}
