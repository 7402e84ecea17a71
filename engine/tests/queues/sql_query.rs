//! Numbers from PostgreSQL, and from SQLite files that Python writes.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use testkit::{
    program::Folder,
    services::{Certificates, Postgres},
};

use crate::support::{
    Claim, Language, Measure, MeasureError, Python, claim, detail, measure, measure_in, number, services, shared,
    unique, until,
};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("a_query_of_postgres_is_a_number_of_any_kind", a_query_of_postgres_is_a_number_of_any_kind),
        claim("what_is_no_number_is_never_0", what_is_no_number_is_never_0),
        claim("a_query_of_a_sqlite_file_sees_what_others_write", a_query_of_a_sqlite_file_sees_what_others_write),
        claim("a_sqlite_file_that_is_missing_is_an_error_and_not_made", a_sqlite_file_that_is_missing_is_an_error),
        claim("a_sqlite_file_that_is_replaced_is_read_anew", a_sqlite_file_that_is_replaced_is_read_anew),
        claim("nothing_can_be_changed_by_a_query", nothing_can_be_changed_by_a_query),
        claim("named_columns_are_the_state_of_a_queue", named_columns_are_the_state_of_a_queue),
        claim("a_query_that_takes_too_long_is_given_up_by_the_server_too", a_query_that_takes_too_long_is_given_up),
        claim("many_bots_share_two_connections_which_close_with_them", many_bots_share_two_connections),
        claim("a_stopped_server_is_unknown_and_a_restarted_one_costs_no_measurement", a_stopped_server_is_unknown),
        claim("a_wrong_password_is_told_without_showing_it", a_wrong_password_is_told_without_showing_it),
        claim("postgres_with_tls_is_trusted_as_sslmode_says", postgres_with_tls_is_trusted_as_sslmode_says),
    ]
}

async fn database() -> (std::sync::Arc<Postgres>, String) {
    let postgres = services::postgres().await;
    let database = unique("numbers");
    postgres.create_database(&database).await;
    (postgres, database)
}

fn query(url: &str, query: &str) -> Box<dyn Measure> {
    measure("SqlQuery", json!({"url": url, "query": query}))
}

async fn refused(url: &str, text: &str) -> String {
    let error: MeasureError = number(&*query(url, text)).await.expect_err(text);
    error.key.into_owned()
}

async fn sqlite(path: &Path, sql: &str) -> String {
    let path = path.display().to_string();
    Python::run("sqlite_run.py", &[&path, sql], &[]).await;
    format!("sqlite:{path}")
}

async fn a_query_of_postgres_is_a_number_of_any_kind() {
    let (postgres, database) = database().await;
    let url = postgres.url_with_password(&database);
    for (text, expected) in [
        ("select count(*) from generate_series(1, 3)", 3.0),
        ("select 7::smallint;", 7.0),
        ("select -8", -8.0),
        ("select 0.5::real", 0.5),
        ("select 1e300::float8", 1e300),
        ("select 12345678.0625::numeric", 12_345_678.062_5),
        ("select -0.0001::numeric", -0.0001),
        ("select 10000::numeric", 10_000.0),
        ("select 0::numeric", 0.0),
        ("select sum(number) from generate_series(1, 4) as number", 10.0),
        ("select extract(epoch from interval '90 seconds')", 90.0),
        ("with two as (select 1 union all select 2) select count(*) as waiting from two", 2.0),
        ("show max_connections", f64::NAN),
    ] {
        let measured = number(&*query(&url, text)).await;
        if expected.is_nan() {
            assert_eq!(measured.expect_err(text).key, "not_a_number", "{text}");
        } else {
            assert_eq!(measured, Ok(expected), "{text}");
        }
    }
}

async fn what_is_no_number_is_never_0() {
    let (postgres, database) = database().await;
    let url = postgres.url_with_password(&database);
    for (text, key) in [
        ("select 1 where false", "no_number"),
        ("select max(id) from (select 1 as id where false) as none", "no_number"),
        ("select null", "no_number"),
        ("select '5'", "not_a_number"),
        ("select 1, 2", "bad_query"),
        ("select * from (select 1 union all select 2) as two", "too_many_rows"),
        ("select * from missing", "bad_query"),
        ("selct 1", "bad_query"),
        ("select 1; select 2", "bad_query"),
        ("select true", "not_a_number"),
        ("select now()", "not_a_number"),
        ("select 'NaN'::numeric", "not_a_number"),
        ("select 'NaN'::float8", "not_a_number"),
        ("select 'infinity'::float8", "not_a_number"),
        ("select from pg_class limit 1", "no_number"),
    ] {
        assert_eq!(refused(&url, text).await, key, "{text}");
    }
}

async fn a_query_of_a_sqlite_file_sees_what_others_write() {
    let folder = Folder::new();
    let path = folder.path().join("jobs.db");
    let url = sqlite(&path, "pragma journal_mode = wal; create table jobs (id integer, weight real, name text)").await;
    let count = query(&url, "select count(*) from jobs");
    assert_eq!(number(&*count).await, Ok(0.0));
    sqlite(&path, "insert into jobs values (1, 0.5, '7'), (2, 1.0, '8')").await;
    assert_eq!(number(&*count).await, Ok(2.0));
    assert_eq!(number(&*query(&url, "select sum(weight) from jobs")).await, Ok(1.5));
    for (text, key) in [
        ("select id from jobs where id > 2", "no_number"),
        ("select max(id) from jobs where id > 2", "no_number"),
        ("select name from jobs limit 1", "not_a_number"),
        ("select x'00'", "not_a_number"),
        ("select id from jobs", "too_many_rows"),
        ("select id from tasks", "bad_query"),
    ] {
        assert_eq!(refused(&url, text).await, key, "{text}");
    }
}

async fn a_sqlite_file_that_is_missing_is_an_error() {
    let folder = Folder::new();
    let path = folder.path().join("jobs.db");
    let url = format!("sqlite:{}", path.display());
    assert_eq!(refused(&url, "select 1").await, "missing");
    assert!(!path.exists());
    std::fs::write(&path, "this is a text, and long enough to be no header of a database at all").unwrap();
    assert_eq!(refused(&url, "select count(*) from jobs").await, "wrong_type");
}

async fn a_sqlite_file_that_is_replaced_is_read_anew() {
    let folder = Folder::new();
    let (path, other) = (folder.path().join("jobs.db"), folder.path().join("other.db"));
    let url = sqlite(&path, "create table jobs (id); insert into jobs values (1)").await;
    let count = query(&url, "select count(*) from jobs");
    assert_eq!(number(&*count).await, Ok(1.0));
    sqlite(&other, "create table jobs (id); insert into jobs values (1), (2)").await;
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(number(&*count).await, Ok(2.0));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(number(&*count).await.unwrap_err().key, "missing");
}

async fn nothing_can_be_changed_by_a_query() {
    let (postgres, database) = database().await;
    postgres.query(&database, "create table jobs (id int); insert into jobs values (1)").await;
    let url = postgres.url(&database);
    for text in [
        "delete from jobs returning id",
        "insert into jobs values (2) returning id",
        "with gone as (delete from jobs returning id) select count(*) from gone",
        "create table more (id int)",
    ] {
        assert_eq!(refused(&url, text).await, "not_read_only", "{text}");
    }
    assert_eq!(refused(&url, "select 1; delete from jobs").await, "bad_query");
    assert_eq!(number(&*query(&url, "select count(*) from jobs")).await, Ok(1.0));
    let folder = Folder::new();
    let file = sqlite(&folder.path().join("jobs.db"), "create table jobs (id); insert into jobs values (1)").await;
    for text in ["delete from jobs returning id", "select 1; delete from jobs", "attach 'other.db' as other; select 1"]
    {
        let key = refused(&file, text).await;
        assert!(["not_read_only", "missing"].contains(&&*key), "{key}: {text}");
    }
    assert_eq!(refused(&file, "select 1; select 2").await, "too_many_rows");
    assert_eq!(number(&*query(&file, "select count(*) from jobs")).await, Ok(1.0));
}

async fn named_columns_are_the_state_of_a_queue() {
    let (postgres, database) = database().await;
    let url = postgres.url_with_password(&database);
    let queue = |text: &str, metric: &str| {
        measure("SqlQuery", json!({"url": url, "query": text, "kind": "queue", "metric": metric}))
    };
    let all = "select 3 as waiting, 2 as in_progress, 1 as scheduled, 1.5 as latency_seconds";
    for (metric, expected) in
        [("waiting", 3.0), ("in_progress", 2.0), ("waiting_and_in_progress", 5.0), ("latency", 1.5)]
    {
        assert_eq!(number(&*queue(all, metric)).await, Ok(expected), "{metric}");
    }
    let measured = queue(all, "waiting").measure().await.unwrap();
    assert_eq!(measured.work.unwrap().waiting, 3);
    let expected = json!({"waiting": 3, "in_progress": 2, "scheduled": 1, "latency_seconds": 1.5});
    assert_eq!(detail(&*queue(all, "waiting")).await, expected);
    assert_eq!(number(&*queue("select count(*) from generate_series(1, 4)", "waiting")).await, Ok(4.0));
    assert_eq!(number(&*queue("select 0 as waiting, null::int as latency_seconds", "latency")).await, Ok(0.0));
    for (text, metric, key) in [
        ("select -1 as waiting", "waiting", "not_a_number"),
        ("select 0.5 as waiting", "waiting", "not_a_number"),
        ("select 1 as waiting, 2 as running", "waiting", "bad_query"),
        ("select 2 as in_progress", "waiting", "no_number"),
        ("select null::int as waiting, 1 as in_progress", "waiting", "no_number"),
        ("select 2 as waiting, null::int as in_progress", "in_progress", "in_progress_unseen"),
        ("select 2 as waiting, 1 as scheduled /* in_progress */", "waiting", "bad_query"),
        ("select 2 as waiting", "latency", "no_stamp"),
        ("select 2 as waiting, extract(epoch from now()) as latency_seconds", "latency", "not_a_number"),
    ] {
        assert_eq!(number(&*queue(text, metric)).await.expect_err(text).key, key, "{text}");
    }
}

async fn a_query_that_takes_too_long_is_given_up() {
    let (postgres, database) = database().await;
    let url = postgres.url_with_password(&database);
    let settings = json!({"url": url, "query": "select count(*) from pg_sleep(60)", "timeout_seconds": 1});
    assert_eq!(number(&*measure("SqlQuery", settings)).await.unwrap_err().key, "timeout");
    let running = format!("select count(*) from pg_stat_activity where datname = '{database}' and state = 'active'");
    until("the query ends on the server", Duration::from_secs(5), async || {
        postgres.query("postgres", &running).await == "0"
    })
    .await;
    let folder = Folder::new();
    let file = sqlite(&folder.path().join("jobs.db"), "create table jobs (id)").await;
    let endless = "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let settings = json!({"url": file, "query": endless, "timeout_seconds": 0.5});
    assert_eq!(number(&*measure("SqlQuery", settings)).await.unwrap_err().key, "timeout");
    until("no thread goes on reading the file", Duration::from_secs(5), async || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        !names.map(|name| name.display().to_string()).any(|name| file.ends_with(&name))
    })
    .await;
}

async fn many_bots_share_two_connections() {
    let (postgres, database) = database().await;
    let url = postgres.url_with_password(&database);
    let together = shared();
    let bots: Vec<_> = (0..20)
        .map(|index| {
            measure_in(
                &together,
                "SqlQuery",
                json!({"url": url, "query": format!("select {index} from pg_sleep(0.02)")}),
            )
        })
        .collect();
    let readings = futures_util::future::join_all(bots.iter().map(|bot| number(&**bot))).await;
    assert!(readings.into_iter().zip(0..20).all(|(reading, index)| reading == Ok(f64::from(index))));
    let connections = format!("select count(*) from pg_stat_activity where datname = '{database}'");
    let connected: u32 = postgres.query("postgres", &connections).await.parse().unwrap();
    assert!((1..=2).contains(&connected), "{connected} connections");
    drop(bots);
    until("the connections close", Duration::from_secs(5), async || {
        postgres.query("postgres", &connections).await == "0"
    })
    .await;
}

async fn a_stopped_server_is_unknown() {
    let mut postgres = Postgres::start().await;
    let settings = json!({"url": postgres.url("postgres"), "query": "select 5", "timeout_seconds": 2});
    let five = measure("SqlQuery", settings);
    assert_eq!(number(&*five).await, Ok(5.0));
    postgres.stop().await;
    postgres.restart().await;
    // The connection is gone, and a new one is made within the same measurement.
    assert_eq!(number(&*five).await, Ok(5.0));
    postgres.pause();
    assert_eq!(number(&*five).await.unwrap_err().key, "timeout");
    postgres.resume();
    assert_eq!(number(&*five).await, Ok(5.0));
    postgres.kill();
    assert_eq!(number(&*five).await.unwrap_err().key, "refused");
    postgres.restart().await;
    until("it works again", Duration::from_secs(10), async || number(&*five).await == Ok(5.0)).await;
}

async fn a_wrong_password_is_told_without_showing_it() {
    let (postgres, database) = database().await;
    let url = postgres.url_with_password(&database);
    let wrong: Value = json!({"url": url.replace("word@", "swordfish@"), "query": "select 1"});
    let error = number(&*measure("SqlQuery", wrong)).await.unwrap_err();
    assert_eq!(error.key, "unauthorized", "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("swordfish") && !shown.contains("app"), "{shown}");
    let nowhere = postgres.url_with_password("nowhere");
    assert_eq!(refused(&nowhere, "select 1").await, "missing");
    let url = format!("{url}?sslmode=require");
    assert_eq!(refused(&url, "select 1").await, "tls");
}

async fn postgres_with_tls_is_trusted_as_sslmode_says() {
    let mut postgres = Postgres::start().await;
    let certificates = Certificates::new();
    let key = certificates.path("server.key");
    // The server is somebody else where the tests are root, and only reads keys that not everybody may read.
    let server = fs::metadata(postgres.query("postgres", "show data_directory").await).unwrap();
    chown(&key, Some(server.uid()), Some(server.gid())).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    for (name, value) in [("ssl", "on"), ("ssl_key_file", &*key), ("ssl_cert_file", &certificates.path("server.pem"))] {
        postgres.query("postgres", &format!("alter system set {name} = '{value}'")).await;
    }
    postgres.stop().await;
    postgres.restart().await;
    let is_safe = "select ssl::int from pg_stat_ssl where pid = pg_backend_pid()";
    let url = |parameters: &str| format!("{}?{parameters}", postgres.url("postgres"));
    let authority = certificates.path("authority.pem");
    // As libpq does, and as Heroku's databases need it: `require` encrypts and does not ask who vouches.
    for parameters in ["sslmode=require", "sslmode=prefer", &format!("sslmode=verify-full&sslrootcert={authority}")] {
        assert_eq!(number(&*query(&url(parameters), is_safe)).await, Ok(1.0), "{parameters}");
    }
    assert_eq!(number(&*query(&url("sslmode=disable"), is_safe)).await, Ok(0.0));
    assert_eq!(refused(&url("sslmode=verify-full"), is_safe).await, "tls");
}
