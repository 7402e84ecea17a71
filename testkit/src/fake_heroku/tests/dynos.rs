//! Dynos: how they come and go, and what the log says of it.

use super::*;

#[tokio::test]
async fn dynos_start_and_stop_after_their_time_and_leave_herokus_lines() {
    let hour = Duration::from_secs(3600);
    let timings = Timings { dyno_start: hour, dyno_stop: Duration::from_secs(10), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());

    call(&fake, "PATCH", &format!("{APP}/formation/web"), json!({ "quantity": 3 })).await;
    assert_eq!(fake.dynos("web"), [state("web.1", "up"), state("web.2", "starting"), state("web.3", "starting")]);
    fake.advance(hour);
    assert_eq!(fake.dynos("web")[2], state("web.3", "up"));

    call(&fake, "PATCH", &format!("{APP}/formation/web"), json!({ "quantity": "-1" })).await;
    assert_eq!(fake.dynos("web"), [state("web.1", "up"), state("web.2", "up")], "the highest number goes first");
    fake.advance(Duration::from_secs(10));

    let log: Vec<String> = fake.log_lines().iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(
        log,
        [
            "app[api]: Scaled to web@3:Standard-1X by ops@example.com",
            "heroku[web.2]: Starting process with command `bin/web`",
            "heroku[web.3]: Starting process with command `bin/web`",
            "heroku[web.2]: State changed from starting to up",
            "heroku[web.3]: State changed from starting to up",
            "app[api]: Scaled to web@2:Standard-1X by ops@example.com",
            "heroku[web.3]: State changed from up to down",
            "heroku[web.3]: Stopping all processes with SIGTERM",
            "heroku[web.3]: Process exited with status 143",
        ]
    );
}

#[tokio::test]
async fn a_dyno_that_does_not_end_is_killed_after_30_seconds() {
    let timings = Timings { dyno_stop: Duration::from_secs(3600), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    fake.set_quantity("web", 0);
    fake.advance(Duration::from_secs(31));
    let log = fake.log_lines().join("\n");
    assert!(log.contains("Error R12 (Exit timeout)"), "{log}");
    assert!(log.ends_with("heroku[web.1]: Process exited with status 137"), "{log}");
}

#[tokio::test]
async fn a_dyno_that_cannot_boot_crashes_with_r10() {
    let fake = FakeHeroku::start(setup()).await;
    fake.can_boot("web", false);
    fake.set_quantity("web", 2);
    fake.advance(Duration::from_secs(59));
    assert_eq!(fake.dynos("web")[1].1, "starting");
    fake.advance(Duration::from_secs(2));
    assert_eq!(fake.dynos("web")[1].1, "crashed");
    assert!(fake.log_lines().iter().any(|line| line.contains("Error R10 (Boot timeout)")));
}

#[tokio::test]
async fn restarts_keep_names_and_change_ids() {
    let fake = FakeHeroku::start(setup().process("clock", 1, "Standard-1X")).await;
    let dynos = format!("{APP}/dynos");
    let ids = |got: &Got| -> Vec<String> {
        got.json().as_array().unwrap().iter().map(|dyno| dyno["id"].to_string()).collect()
    };
    let table = [
        ("one dyno", "DELETE", format!("{APP}/dynos/web.1"), 1),
        ("all dynos", "DELETE", dynos.clone(), 3),
        ("one type", "DELETE", format!("{APP}/formations/celery"), 1),
        ("stopping one", "POST", format!("{APP}/dynos/clock.1/actions/stop"), 1),
        ("stopping a type", "POST", format!("{APP}/formations/web/actions/stop"), 1),
    ];
    for (name, method, path, restarted) in table {
        let before = ids(&get(&fake, &dynos).await);
        let got = call(&fake, method, &path, Value::Null).await;
        assert_eq!((got.status, got.json()), (202, json!({})), "{name}");
        let after = ids(&get(&fake, &dynos).await);
        assert_eq!(after.len(), 3, "{name}");
        assert_eq!(after.iter().filter(|id| !before.contains(id)).count(), restarted, "{name}");
    }
    let missing = call(&fake, "DELETE", &format!("{APP}/dynos/web.9"), Value::Null).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_one_off_dyno_runs_beside_the_formation() {
    let fake = FakeHeroku::start(setup()).await;
    let got = call(&fake, "POST", &format!("{APP}/dynos"), json!({ "command": "bin/migrate" })).await;
    assert_eq!((got.status, got.json()["type"].as_str()), (201, Some("run")));
    let name = got.json()["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("run."), "{name}");
    assert_eq!(fake.quantity("web"), 1);
    let ended = call(&fake, "POST", &format!("{APP}/dynos/{name}/actions/stop"), Value::Null).await;
    assert_eq!(ended.status, 202);
    assert_eq!(get(&fake, &format!("{APP}/dynos/{name}")).await.status, 404);
}

#[tokio::test]
async fn formation_changes_are_refused_while_preboot_swaps_dynos() {
    let fake = FakeHeroku::start(setup()).await;
    fake.preboot_in_progress(true);
    let path = format!("{APP}/formation/web");
    let got = call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await;
    assert_eq!(got.status, 422);
    assert_eq!(got.json()["message"], "Cannot change formation for a preboot app until preboot is complete");
    fake.set_open_questions(OpenQuestions {
        preboot_refusal_status: 409,
        preboot_refusal_mentions_release_phase: true,
        ..OpenQuestions::default()
    });
    let got = call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await;
    assert_eq!(got.status, 409);
    assert!(got.json()["message"].as_str().unwrap().ends_with("until release phase and preboot complete"));
    fake.preboot_in_progress(false);
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 200);
}

#[tokio::test]
async fn a_release_with_preboot_refuses_changes_for_three_minutes() {
    let fake = FakeHeroku::start(setup()).await;
    let got = call(&fake, "PATCH", &format!("{APP}/features/preboot"), json!({ "enabled": true })).await;
    assert_eq!(got.json()["enabled"], true);
    fake.release();
    let path = format!("{APP}/formation/web");
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 422);
    fake.advance(Duration::from_secs(181));
    assert_eq!(call(&fake, "PATCH", &path, json!({ "quantity": 2 })).await.status, 200);
    let headers = [("range", "version ..; max=1, order=desc")];
    let newest = call_with(&fake, "GET", &format!("{APP}/releases"), &headers, Value::Null).await.json();
    assert_eq!((newest[0]["version"].as_u64(), newest[0]["current"].as_bool()), (Some(4), Some(true)));
}
