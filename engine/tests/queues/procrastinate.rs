//! Jobs that Procrastinate itself defers and works on, in a real PostgreSQL.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use testkit::{
    program::Program,
    services::{Postgres, Server},
};

use crate::support::{Claim, Language, Measure, Python, claim, detail, measure, number, services, unique, until};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("jobs_that_are_due_wait_and_planned_ones_do_not", jobs_that_are_due_wait_and_planned_ones_do_not),
        claim("a_job_that_runs_is_in_progress_until_it_ends", a_job_that_runs_is_in_progress_until_it_ends),
        claim("jobs_whose_lock_is_held_do_not_wait_for_workers", jobs_whose_lock_is_held_do_not_wait_for_workers),
        claim("latency_is_that_of_the_job_that_is_due_for_longest", latency_is_that_of_the_job_that_is_due_for_longest),
        claim("queues_are_found_by_name_and_by_pattern", queues_are_found_by_name_and_by_pattern),
        claim("a_retry_waits_when_its_time_has_come_and_not_before", a_retry_waits_when_its_time_has_come),
        claim("jobs_of_a_killed_worker_stay_in_progress_and_it_is_told", jobs_of_a_killed_worker_stay_in_progress),
        claim("tables_in_a_schema_are_found_and_missing_ones_told", tables_in_a_schema_are_found_and_missing_ones_told),
        claim("a_stopped_database_is_no_empty_queue", a_stopped_database_is_no_empty_queue),
    ]
}

struct App {
    postgres: Arc<Postgres>,
    database: String,
    url: String,
}

impl App {
    async fn with(jobs: Value) -> Self {
        let postgres = services::postgres().await;
        let database = unique("jobs");
        postgres.create_database(&database).await;
        let url = postgres.url_with_password(&database);
        let app = Self { postgres, database, url };
        app.defer(jobs).await;
        app
    }

    async fn defer(&self, jobs: Value) {
        Python::run("procrastinate_app.py", &[&jobs.to_string()], &[("DATABASE_URL", &self.url)]).await;
    }

    fn worker(&self) -> Program {
        let arguments =
            ["-m", "procrastinate", "--app", "procrastinate_app.app", "worker", "--fetch-job-polling-interval=0.1"];
        Python::start(&arguments, &[("DATABASE_URL", &self.url)])
    }

    async fn sql(&self, sql: &str) -> String {
        self.postgres.query(&self.database, sql).await
    }

    fn queue(&self, mut settings: Value) -> Box<dyn Measure> {
        settings["url"] = self.url.clone().into();
        measure("Procrastinate", settings)
    }
}

async fn jobs_that_are_due_wait_and_planned_ones_do_not() {
    let app = App::with(json!([{}, {}, {"in_seconds": 3600}, {"queue": "mail"}])).await;
    assert_eq!(number(&*app.queue(json!({}))).await, Ok(3.0));
    let queue = app.queue(json!({"queue_names": ["default"]}));
    assert_eq!(number(&*queue).await, Ok(2.0));
    let seen = detail(&*queue).await;
    assert_eq!((&seen["waiting"], &seen["in_progress"], &seen["scheduled"]), (&json!(2), &json!(0), &json!(1)));
    app.sql("update procrastinate_jobs set scheduled_at = now() - interval '5 s' where scheduled_at is not null").await;
    assert_eq!(number(&*queue).await, Ok(3.0));
}

async fn a_job_that_runs_is_in_progress_until_it_ends() {
    let app = App::with(json!([{"seconds": 600}, {"seconds": 600}])).await;
    let both = app.queue(json!({"metric": "waiting_and_in_progress"}));
    let running = app.queue(json!({"metric": "in_progress"}));
    assert_eq!(number(&*running).await, Ok(0.0));
    let mut worker = app.worker();
    until("one runs, one waits", Duration::from_secs(30), async || number(&*running).await == Ok(1.0)).await;
    assert_eq!(number(&*both).await, Ok(2.0));
    assert_eq!(number(&*app.queue(json!({}))).await, Ok(1.0));
    worker.kill();
    app.sql("update procrastinate_jobs set status = 'succeeded' where status = 'doing'").await;
    assert_eq!(number(&*both).await, Ok(1.0));
}

async fn jobs_whose_lock_is_held_do_not_wait_for_workers() {
    let one_lock = json!({"lock": "printer"});
    let app = App::with(json!([one_lock, one_lock, {"lock": "printer", "priority": 5}, {"lock": "scanner"}, {}])).await;
    let queue = app.queue(json!({}));
    assert_eq!(number(&*queue).await, Ok(3.0));
    let notes = detail(&*queue).await["notes"].to_string();
    assert!(notes.contains("2 jobs wait for others with the same lock"), "{notes}");
    // The library's own choice: of one lock the highest priority first, and no second while it runs.
    let fetch = "select priority from procrastinate_fetch_job_v2(null, null)";
    assert_eq!(app.sql(fetch).await, "5");
    assert_eq!(number(&*queue).await, Ok(2.0));
    app.sql(fetch).await;
    app.sql(fetch).await;
    assert_eq!(number(&*queue).await, Ok(0.0));
    assert_eq!(app.sql("select count(*) from procrastinate_fetch_job_v2(null, null) where id is not null").await, "0");
    // A job whose time has not come holds its lock as well.
    app.sql("delete from procrastinate_jobs").await;
    app.defer(json!([{"lock": "printer", "in_seconds": 3600}, {"lock": "printer"}])).await;
    assert_eq!(app.sql("select count(*) from procrastinate_fetch_job_v2(null, null) where id is not null").await, "0");
    assert_eq!(number(&*queue).await, Ok(0.0));
}

async fn latency_is_that_of_the_job_that_is_due_for_longest() {
    let app = App::with(json!([{}, {}, {"in_seconds": 3600}])).await;
    let queue = app.queue(json!({"metric": "latency"}));
    let age = async || number(&*queue).await.unwrap();
    let is_about = |age: f64, seconds: f64| assert!((seconds..seconds + 30.0).contains(&age), "{age} for {seconds}");
    is_about(age().await, 0.0);
    let put = "update procrastinate_events set at = now() - interval '500 s' where type = 'deferred' and job_id in";
    app.sql(&format!("{put} (select max(id) from procrastinate_jobs where scheduled_at is null)")).await;
    // The first by number is younger; only who changes the past meets this.
    is_about(age().await, 0.0);
    app.sql(&format!("{put} (select id from procrastinate_jobs)")).await;
    is_about(age().await, 500.0);
    // A planned job is due since its time and not since it was put there.
    app.sql("delete from procrastinate_jobs where scheduled_at is null").await;
    is_about(age().await, 0.0);
    app.sql("update procrastinate_jobs set scheduled_at = now() - interval '100 s'").await;
    is_about(age().await, 100.0);
    // Planned for a time before it was put there.
    app.sql("update procrastinate_jobs set scheduled_at = now() - interval '1000 s'").await;
    is_about(age().await, 500.0);
    app.defer(json!([{}])).await;
    is_about(age().await, 500.0);
    app.sql("delete from procrastinate_events").await;
    assert_eq!(number(&*queue).await.unwrap_err().key, "no_stamp");
}

async fn queues_are_found_by_name_and_by_pattern() {
    let app =
        App::with(json!([{"queue": "mail_high"}, {"queue": "mail_low"}, {"queue": "mailxlow"}, {"queue": "a%b"}]))
            .await;
    for (names, expected) in [
        (json!(["*"]), 4.0),
        (json!(["mail_*"]), 2.0),
        (json!(["mail?low"]), 2.0),
        (json!(["mail_low", "mail_*"]), 2.0),
        (json!(["a%b"]), 1.0),
        (json!(["a%*"]), 1.0),
        (json!(["%"]), 0.0),
        (json!(["nobody", "mail_low"]), 1.0),
        (json!(["nobody"]), 0.0),
    ] {
        assert_eq!(number(&*app.queue(json!({"queue_names": names}))).await, Ok(expected), "{names}");
    }
    let seen = detail(&*app.queue(json!({"queue_names": ["nobody", "mail_*"]}))).await;
    let listed: Vec<&String> = seen["queues"].as_object().unwrap().keys().collect();
    assert_eq!(listed, ["mail_high", "mail_low", "nobody"]);
}

async fn a_retry_waits_when_its_time_has_come() {
    let app = App::with(json!([{"task": "stumble"}])).await;
    let queue = app.queue(json!({}));
    assert_eq!(number(&*queue).await, Ok(1.0));
    let worker = app.worker();
    until("it failed once", Duration::from_secs(30), async || detail(&*queue).await["scheduled"] == 1).await;
    drop(worker);
    assert_eq!(number(&*queue).await, Ok(0.0));
    app.sql("update procrastinate_jobs set scheduled_at = now() - interval '40 s'").await;
    app.sql("update procrastinate_events set at = now() - interval '900 s'").await;
    let age = number(&*app.queue(json!({"metric": "latency"}))).await.unwrap();
    assert!((40.0..70.0).contains(&age), "{age}");
}

async fn jobs_of_a_killed_worker_stay_in_progress() {
    let app = App::with(json!([{"seconds": 600}])).await;
    let queue = app.queue(json!({"metric": "in_progress"}));
    let mut worker = app.worker();
    until("it runs", Duration::from_secs(30), async || number(&*queue).await == Ok(1.0)).await;
    assert_eq!(detail(&*queue).await["notes"], Value::Null);
    worker.kill();
    app.sql("update procrastinate_workers set last_heartbeat = now() - interval '31 s'").await;
    assert_eq!(number(&*queue).await, Ok(1.0));
    let notes = detail(&*queue).await["notes"].to_string();
    assert!(notes.contains("1 of the jobs in progress"), "{notes}");
    // The next worker takes the lost one out of the table.
    app.sql("delete from procrastinate_workers").await;
    assert_eq!(detail(&*queue).await["notes"].to_string(), notes);
}

async fn tables_in_a_schema_are_found_and_missing_ones_told() {
    let app = App::with(json!([{}])).await;
    app.sql("create schema \"Jobs\"; grant usage on schema \"Jobs\" to app").await;
    let tables = ["procrastinate_jobs", "procrastinate_events", "procrastinate_workers"];
    for table in tables {
        app.sql(&format!("alter table {table} set schema \"Jobs\"")).await;
    }
    assert_eq!(number(&*app.queue(json!({"schema": "Jobs"}))).await, Ok(1.0));
    let error = number(&*app.queue(json!({}))).await.unwrap_err();
    assert_eq!(error.key, "bad_query");
    assert!(error.message.contains("procrastinate_jobs"), "{error}");
}

async fn a_stopped_database_is_no_empty_queue() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url("postgres");
    Python::run("procrastinate_app.py", &["[{}]"], &[("DATABASE_URL", &url)]).await;
    let queue = measure("Procrastinate", json!({"url": url, "timeout_seconds": 2}));
    assert_eq!(number(&*queue).await, Ok(1.0));
    let server: &mut Server = &mut postgres;
    server.kill();
    assert_eq!(number(&*queue).await.unwrap_err().key, "refused");
    server.restart().await;
    until("it works again", Duration::from_secs(10), async || number(&*queue).await == Ok(1.0)).await;
}
