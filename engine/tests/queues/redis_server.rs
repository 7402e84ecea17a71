//! How a real Redis is reached: alone, encrypted, behind Sentinels, as a Cluster; what is told when it is not; and how it
//! is found again.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpStream},
    sync::Arc,
    time::Duration,
};

use autoscalebot_engine::{
    broker::redis::{Server, Settings},
    shared::Shared,
};
use futures_util::{FutureExt as _, future::join_all};
use redis::{FromRedisValue, Pipeline};
use serde_json::{Value, json};
use testkit::services::{Cluster, Redis, Sentinel, free_ports};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{Claim, MeasureError, claim, measure, measure_in, number, shared, until};

/// Plenty for a server on this machine.
const LIMIT: Duration = Duration::from_secs(5);

/// What must never be told.
const SECRETS: [&str; 4] = ["hunter2", "swordfish", "zoe", "@"];

pub fn claims() -> Vec<Claim> {
    vec![
        claim("tls_trusts_the_authority_of_ca_file_and_nobody_else", tls_trusts_the_authority_of_ca_file),
        claim(
            "a_certificate_that_nobody_vouches_for_is_taken_only_when_told_so",
            a_certificate_that_nobody_vouches_for,
        ),
        claim("a_certificate_for_another_name_is_taken_only_when_told_so", a_certificate_for_another_name),
        claim("tls_where_there_is_none_and_none_where_it_is_wanted_are_told_apart", tls_where_there_is_none),
        claim("a_user_is_let_in_and_told_what_it_may_not_ask", a_user_is_let_in_and_told_what_it_may_not_ask),
        claim("a_unix_socket_is_as_good_as_a_host", a_unix_socket_is_as_good_as_a_host),
        claim("sentinels_say_who_the_master_is_and_who_it_is_now", sentinels_say_who_the_master_is),
        claim("sentinels_that_know_nothing_or_want_a_password_are_told", sentinels_that_know_nothing),
        claim("a_cluster_answers_for_keys_on_every_master", a_cluster_answers_for_keys_on_every_master),
        claim("a_cluster_and_a_lone_server_are_not_taken_for_each_other", a_cluster_and_a_lone_server),
        claim("a_cluster_that_lost_a_master_is_unknown_and_found_again", a_cluster_that_lost_a_master),
        claim("a_node_that_stands_still_spoils_no_other_keys_of_a_cluster", a_node_that_stands_still),
        claim("a_server_that_loads_or_babbles_is_unknown", a_server_that_loads_or_babbles),
        claim("a_server_that_is_full_not_there_or_has_no_such_database_is_told", a_server_that_is_full),
        claim("a_refused_command_spoils_no_other_answer", a_refused_command_spoils_no_other_answer),
        claim("a_restart_between_two_questions_costs_no_measurement", a_restart_between_two_questions),
        claim("a_server_that_is_away_is_tried_by_one_bot_at_a_time", a_server_that_is_away),
        claim("who_loses_patience_while_connecting_holds_up_nobody", who_loses_patience_while_connecting),
        claim("no_answer_is_ever_taken_for_that_to_another_question", no_answer_is_ever_taken_for_another),
        claim("a_connection_over_which_nothing_comes_is_left", a_connection_over_which_nothing_comes_is_left),
        claim("a_hundred_bots_share_one_connection_that_closes_with_the_last", a_hundred_bots_share_one_connection),
        claim("a_private_connection_blocks_nobody_else_and_closes", a_private_connection_blocks_nobody_else),
    ]
}

fn server_in(shared: &Shared, settings: &Value) -> Arc<Server> {
    let settings: Settings = serde_json::from_value(settings.clone()).unwrap();
    assert_eq!(settings.problems(), []);
    Server::of(&settings, shared).unwrap()
}

fn server(settings: &Value) -> Arc<Server> {
    server_in(&shared(), settings)
}

fn here(redis: &Redis) -> Value {
    json!({"host": "127.0.0.1", "port": redis.port()})
}

fn lengths(keys: &[&str]) -> Pipeline {
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.cmd("LLEN").arg(key);
    }
    pipeline
}

async fn length_within(server: &Server, key: &str, limit: Duration) -> Result<u64, MeasureError> {
    let answer = server.ask(&lengths(&[key]), limit).await.inspect_err(is_discreet)?.swap_remove(0);
    Ok(u64::from_redis_value(answer).unwrap())
}

async fn length(server: &Server, key: &str) -> Result<u64, MeasureError> {
    length_within(server, key, LIMIT).await
}

/// The key of the error that a question ends with.
async fn fails(settings: &Value) -> MeasureError {
    let server = server(settings);
    let error = length(&server, "jobs").await.unwrap_err();
    let debug = format!("{server:?} {error:?}");
    assert!(!SECRETS.iter().any(|secret| debug.contains(secret)), "{debug}");
    error
}

#[track_caller]
fn is_discreet(error: &MeasureError) {
    assert!(!SECRETS.iter().any(|secret| error.message.contains(secret)), "{error}");
}

async fn tls_trusts_the_authority_of_ca_file() {
    let redis = Redis::tls(&["--requirepass", "hunter2"]).await;
    redis.tell(&["RPUSH", "jobs", "a"]).await;
    let other = testkit::services::Certificates::new();
    let (ours, others) = (redis.certificates().unwrap().path("authority.pem"), other.path("authority.pem"));
    let url = redis.url().replace("://", "://:hunter2@");
    let by_settings = json!({"host": "127.0.0.1", "port": redis.port(), "tls": true, "password": "hunter2"});
    for mut settings in [json!({"url": url}), by_settings] {
        assert_eq!(fails(&settings).await.key, "untrusted", "the machine's authorities know nothing of this one");
        settings["ca_file"] = others.clone().into();
        let error = fails(&settings).await;
        assert_eq!(error.key, "untrusted");
        assert!(error.message.contains("CA_FILE") && error.message.contains("VERIFY_CERTIFICATE"), "{error}");
        settings["ca_file"] = ours.clone().into();
        assert_eq!(length(&server(&settings), "jobs").await, Ok(1));
        for path in ["/nowhere/authority.pem".to_owned(), redis.certificates().unwrap().path("server.key")] {
            settings["ca_file"] = path.clone().into();
            let error = fails(&settings).await;
            assert_eq!(error.key, "ca_file");
            assert!(error.message.contains(&path), "{error}");
        }
    }
    assert_eq!(length(&server(&json!({"url": format!("{url}/0?ssl_ca_certs={ours}")})), "jobs").await, Ok(1));
}

async fn a_certificate_that_nobody_vouches_for() {
    let redis = Redis::tls(&["--requirepass", "hunter2"]).await;
    redis.tell(&["RPUSH", "jobs", "a"]).await;
    let url = redis.url().replace("://", "://:hunter2@");
    assert_eq!(fails(&json!({"url": url})).await.key, "untrusted");
    for settings in [
        json!({"url": format!("{url}?ssl_cert_reqs=none")}),
        json!({"url": format!("{url}/0?ssl_cert_reqs=CERT_NONE")}),
        json!({"url": format!("{url}#insecure")}),
        json!({"url": url, "verify_certificate": false}),
    ] {
        assert_eq!(length(&server(&settings), "jobs").await, Ok(1));
    }
}

async fn a_certificate_for_another_name() {
    let redis = Redis::tls(&["--bind", "127.0.0.1", "127.0.0.2"]).await;
    let (port, authority) = (redis.port(), redis.certificates().unwrap().path("authority.pem"));
    let url = format!("rediss://127.0.0.2:{port}?ssl_ca_certs={authority}");
    let error = fails(&json!({"url": url})).await;
    assert_eq!(error.key, "untrusted", "{error}");
    assert!(error.message.contains("another name"), "{error}");
    let server = server(&json!({"url": format!("{url}&ssl_check_hostname=false")}));
    assert_eq!(length(&server, "jobs").await, Ok(0));
}

async fn tls_where_there_is_none() {
    let plain = Redis::start(&[]).await;
    // Redis takes the greeting for the beginning of a command, and waits for the rest of it.
    let server = server(&json!({"url": format!("rediss://127.0.0.1:{}", plain.port())}));
    let error = length_within(&server, "jobs", Duration::from_millis(200)).await.unwrap_err();
    assert!(error.key == "timeout" && error.message.contains("does it speak TLS"), "{error}");
    let babbler = parrot(b"-ERR what?\r\n").await;
    let error = fails(&json!({"url": format!("rediss://127.0.0.1:{babbler}")})).await;
    assert_eq!(error.key, "no_tls", "{error}");
    let encrypted = Redis::tls(&[]).await;
    let error = fails(&here(&encrypted)).await;
    assert_eq!(error.key, "connection_lost", "{error}");
    assert!(error.message.contains("TLS: true"), "{error}");
}

async fn a_user_is_let_in_and_told_what_it_may_not_ask() {
    let redis = Redis::start(&["--requirepass", "swordfish"]).await;
    redis.tell(&["ACL", "SETUSER", "zoe", "on", ">hunter2", "~jobs", "+llen"]).await;
    redis.tell(&["RPUSH", "jobs", "a"]).await;
    let port = redis.port();
    let by_settings = json!({"host": "127.0.0.1", "port": port, "username": "zoe", "password": "hunter2"});
    for settings in [by_settings, json!({"url": format!("redis://zoe:hunter2@127.0.0.1:{port}/0")})] {
        let server = server(&settings);
        assert_eq!(length(&server, "jobs").await, Ok(1));
        let error = length(&server, "mails").await.unwrap_err();
        assert_eq!(error.key, "unauthorized");
        assert!(error.message.contains("ACL SETUSER … +llen ~mails"), "{error}");
        let error = server.ask(redis::pipe().cmd("ZCARD").arg("jobs"), LIMIT).await.unwrap_err();
        assert!(error.key == "unauthorized" && error.message.contains("+zcard ~jobs"), "{error}");
    }
    let login = |username: &str, password: &str| json!({"host": "127.0.0.1", "port": port, "username": username, "password": password});
    for settings in [login("", ""), login("", "hunter2"), login("zoe", "swordfish"), login("bob", "hunter2")] {
        let error = fails(&settings).await;
        assert_eq!(error.key, "unauthorized", "{error}");
        assert!(error.message.contains("PASSWORD"), "{error}");
    }
    // A password for a server that has none is a slip as well.
    let open = Redis::start(&[]).await;
    let error = fails(&json!({"host": "127.0.0.1", "port": open.port(), "password": "hunter2"})).await;
    assert_eq!(error.key, "unauthorized", "{error}");
}

async fn a_unix_socket_is_as_good_as_a_host() {
    let redis = Redis::start(&["--unixsocket", "redis.sock", "--unixsocketperm", "777"]).await;
    redis.tell(&["-n", "3", "RPUSH", "jobs", "a"]).await;
    let path = redis.folder().path().join("redis.sock").display().to_string();
    for url in [format!("unix://{path}?db=3"), format!("redis+socket://{path}?virtual_host=3")] {
        assert_eq!(length(&server(&json!({"url": url})), "jobs").await, Ok(1));
    }
    assert_eq!(fails(&json!({"url": format!("unix://{path}x")})).await.key, "refused");
}

async fn sentinels_say_who_the_master_is() {
    let mut sentinel = Sentinel::start(&["--requirepass", "hunter2"]).await;
    sentinel.tell(&["SENTINEL", "SET", Sentinel::MASTER, "auth-pass", "hunter2"]).await;
    sentinel.master.tell(&["-n", "2", "RPUSH", "jobs", "a"]).await;
    let (port, [closed]) = (sentinel.port(), free_ports());
    let by_url = json!({
        "url": format!("sentinel://:hunter2@127.0.0.1:{closed};sentinel://:hunter2@127.0.0.1:{port}/2"),
        "master_name": Sentinel::MASTER,
    });
    let by_list = json!({
        "sentinels": [format!("127.0.0.1:{port}"), format!("127.0.0.1:{closed}")],
        "master_name": Sentinel::MASTER, "password": "hunter2", "database_number": 2,
    });
    let servers = [server(&by_url), server(&by_list)];
    for server in &servers {
        assert_eq!(length(server, "jobs").await, Ok(1));
    }
    // Another server becomes the master, and the old one is gone.
    let other = Redis::start(&["--requirepass", "hunter2"]).await;
    other.tell(&["-n", "2", "RPUSH", "jobs", "a", "b"]).await;
    sentinel.tell(&["SENTINEL", "REMOVE", Sentinel::MASTER]).await;
    sentinel.tell(&["SENTINEL", "MONITOR", Sentinel::MASTER, "127.0.0.1", &other.port().to_string(), "1"]).await;
    sentinel.master.kill();
    for server in &servers {
        assert_eq!(length(server, "jobs").await, Ok(2), "the next question finds the new master");
    }
    // Whom the Sentinel names may be a replica already.
    other.tell(&["REPLICAOF", "127.0.0.1", &closed.to_string()]).await;
    let error = fails(&by_list).await;
    assert_eq!(error.key, "no_master", "{error}");
}

async fn sentinels_that_know_nothing() {
    let sentinel = Sentinel::start(&[]).await;
    let url = format!("sentinel://127.0.0.1:{}", sentinel.port());
    let error = fails(&json!({"url": url, "master_name": "other"})).await;
    assert_eq!(error.key, "no_master");
    assert!(error.message.contains("MASTER_NAME"), "{error}");
    sentinel.tell(&["ACL", "SETUSER", "default", "on", "resetpass", ">swordfish"]).await;
    let settings = |password: &str| json!({"url": url, "master_name": Sentinel::MASTER, "sentinel_password": password});
    assert_eq!(length(&server(&settings("swordfish")), "jobs").await, Ok(0));
    for password in ["", "hunter2"] {
        assert_eq!(fails(&settings(password)).await.key, "unauthorized");
    }
    let [closed] = free_ports();
    let nobody = json!({"sentinels": [format!("127.0.0.1:{closed}")], "master_name": Sentinel::MASTER});
    assert_eq!(fails(&nobody).await.key, "refused");
}

async fn a_cluster_answers_for_keys_on_every_master() {
    let cluster = Cluster::start(&[]).await;
    let keys: Vec<String> = (1..=40).map(|index| format!("jobs:{index}")).collect();
    for (index, key) in keys.iter().enumerate() {
        cluster
            .tell(&[
                "EVAL",
                "for _ = 1, ARGV[1] do redis.call('RPUSH', KEYS[1], '') end",
                "1",
                key,
                &(index + 1).to_string(),
            ])
            .await;
    }
    let [closed] = free_ports();
    let (first, second) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let seeds = format!("redis://127.0.0.1:{closed};redis://127.0.0.1:{second}");
    for settings in
        [json!({"host": "127.0.0.1", "port": first, "cluster": true}), json!({"url": seeds, "cluster": true})]
    {
        let server = server(&settings);
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let answers = server.ask(&lengths(&names), LIMIT).await.unwrap();
        let found: Vec<usize> = answers.into_iter().map(|answer| usize::from_redis_value(answer).unwrap()).collect();
        assert_eq!(found, (1..=40).collect::<Vec<_>>());
    }
}

async fn a_cluster_and_a_lone_server() {
    let cluster = Cluster::start(&[]).await;
    let mut told = BTreeSet::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        if let Err(error) = length(&server(&here(&cluster.nodes[0])), key).await {
            assert!(error.message.contains("CLUSTER: true"), "{error}");
            told.insert(error.key);
        }
    }
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["cluster"]);
    let alone = Redis::start(&[]).await;
    let error = fails(&json!({"host": "127.0.0.1", "port": alone.port(), "cluster": true})).await;
    assert_eq!(error.key, "cluster", "{error}");
    assert!(error.message.contains("leave out CLUSTER"), "{error}");
    let [closed] = free_ports();
    let error = fails(&json!({"host": "127.0.0.1", "port": closed, "cluster": true})).await;
    assert_eq!(error.key, "refused", "{error}");
}

async fn a_cluster_that_lost_a_master() {
    let mut cluster = Cluster::start(&[]).await;
    let server = server(&json!({"url": cluster.url(), "cluster": true}));
    let keys = ["a", "b", "c", "d", "e", "f"];
    assert!(server.ask(&lengths(&keys), LIMIT).await.is_ok());
    cluster.nodes[2].stop().await;
    let error = server.ask(&lengths(&keys), Duration::from_secs(2)).await.unwrap_err();
    is_discreet(&error);
    assert!(["refused", "cluster_down", "connection_lost", "timeout"].contains(&&*error.key), "{error}");
    cluster.nodes[2].restart().await;
    let limit = Duration::from_secs(20);
    until("the cluster is whole", limit, async || server.ask(&lengths(&keys), LIMIT).await.is_ok()).await;
}

async fn a_node_that_stands_still() {
    let cluster = Cluster::start(&[]).await;
    // One of the nodes that we are told of accepts connections and says nothing.
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://127.0.0.1:{};{}", mute.local_addr().unwrap().port(), cluster.url());
    let server = server(&json!({"url": url, "cluster": true}));
    let keys = ["a", "b", "c", "d", "e", "f"];
    assert!(server.ask(&lengths(&keys), LIMIT).await.is_ok());
    cluster.nodes[2].pause();
    // By their slots, a is on the last master, b and c on the others.
    let short = Duration::from_millis(1500);
    assert_eq!(length_within(&server, "b", short).await, Ok(0));
    let error = length_within(&server, "a", short).await.unwrap_err();
    assert!(["timeout", "cluster_down"].contains(&&*error.key), "{error}");
    for key in ["b", "c"] {
        assert_eq!(length(&server, key).await, Ok(0), "{key}, over a new connection");
    }
    cluster.nodes[2].resume();
    until("it is whole", LIMIT * 4, async || server.ask(&lengths(&keys), LIMIT).await.is_ok()).await;
}

/// A server that answers every command with the same.
async fn parrot(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut heard).await {
                    // A command is an array: it begins with a star. What is none is answered once.
                    let commands = heard[..length].iter().filter(|byte| **byte == b'*').count();
                    for _ in 0..if heard[0] == b'*' { commands } else { 1 } {
                        let _ = stream.write_all(answer).await;
                    }
                }
            });
        }
    });
    port
}

async fn a_server_that_loads_or_babbles() {
    for (answer, key) in [
        (&b"-LOADING Redis is loading the dataset in memory\r\n"[..], "loading"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "no_master"),
        (b"-ERR something about hunter2\r\n", "broker_error"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "cluster_down"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "broker_error"),
    ] {
        let port = parrot(answer).await;
        let error = fails(&json!({"host": "127.0.0.1", "port": port})).await;
        assert_eq!(error.key, key, "{}: {error}", String::from_utf8_lossy(answer));
    }
}

async fn a_server_that_is_full() {
    let redis = Redis::start(&["--maxclients", "1"]).await;
    let _guest = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).unwrap();
    let error = fails(&here(&redis)).await;
    assert!(error.message.contains("maxclients"), "{error}");
    let [closed] = free_ports();
    assert_eq!(fails(&json!({"host": "127.0.0.1", "port": closed, "password": "hunter2"})).await.key, "refused");
    // No resolver is asked for a name with a part of more than 63 letters.
    let error = fails(&json!({"host": format!("{}.example", "x".repeat(64))})).await;
    assert_eq!(error.key, "name_not_found", "{error}");
    let small = Redis::start(&["--databases", "2"]).await;
    let error = fails(&json!({"host": "127.0.0.1", "port": small.port(), "database_number": 9})).await;
    assert_eq!(error.key, "no_database", "{error}");
}

async fn a_refused_command_spoils_no_other_answer() {
    let redis = Redis::start(&[]).await;
    redis.tell(&["RPUSH", "jobs", "a"]).await;
    redis.tell(&["SET", "text", "a"]).await;
    let server = server(&here(&redis));
    let pipeline = lengths(&["jobs", "text", "none", "text", "jobs"]);
    let error = server.ask(&pipeline, LIMIT).await.unwrap_err();
    assert!(error.key == "wrong_type" && error.message.contains("\"text\""), "{error}");
    let answers = server.ask_each(&pipeline, LIMIT).await.unwrap();
    let refused = |answer: &redis::Value| matches!(answer, redis::Value::ServerError(_));
    assert_eq!(answers.iter().map(refused).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(length(&server, "jobs").await, Ok(1));
}

async fn a_restart_between_two_questions() {
    let mut redis = Redis::start(&[]).await;
    redis.tell(&["RPUSH", "jobs", "a"]).await;
    let server = server(&here(&redis));
    for _ in 0..3 {
        assert_eq!(length(&server, "jobs").await, Ok(1));
        redis.stop().await;
        redis.restart().await;
    }
    assert_eq!(length(&server, "jobs").await, Ok(1));
    redis.stop().await;
    assert_eq!(length(&server, "jobs").await.unwrap_err().key, "refused");
    redis.restart().await;
    until("it is found again", LIMIT, async || length(&server, "jobs").await == Ok(1)).await;
}

async fn a_server_that_is_away() {
    // Connections are accepted, and nothing is ever said.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = server(&json!({"host": "127.0.0.1", "port": listener.local_addr().unwrap().port()}));
    let counting = tokio::spawn(async move {
        let mut guests = Vec::new();
        while let Ok(Ok((guest, _))) = tokio::time::timeout(Duration::from_secs(2), listener.accept()).await {
            guests.push(guest);
        }
        guests.len()
    });
    let asked = join_all((0..100).map(|_| length_within(&server, "jobs", Duration::from_millis(500)))).await;
    assert!(asked.iter().all(|asked| asked.as_ref().unwrap_err().key == "timeout"), "{asked:?}");
    let connections = counting.await.unwrap();
    assert!((1..=3).contains(&connections), "{connections} connections for 100 bots");
}

async fn who_loses_patience_while_connecting() {
    let redis = Redis::start(&[]).await;
    let server = server(&here(&redis));
    // Begun and dropped, long before the time is over that it has: that says nothing about the server.
    for _ in 0..3 {
        assert!(length(&server, "jobs").now_or_never().is_none());
        assert_eq!(length(&server, "jobs").await, Ok(0));
        redis.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    }
}

async fn no_answer_is_ever_taken_for_another() {
    let redis = Redis::start(&[]).await;
    let names: Vec<String> = (0..40).map(|index| format!("jobs{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        redis
            .tell(&[
                "EVAL",
                "for _ = 1, ARGV[1] do redis.call('RPUSH', KEYS[1], '') end",
                "1",
                name,
                &index.to_string(),
            ])
            .await;
    }
    let server = server(&here(&redis));
    let (mut answered, mut given_up) = (0, 0);
    for round in 0..30 {
        redis.pause();
        // Some give up while Redis sleeps, others wait until it wakes, all over the same connection.
        let limit = |index: usize| Duration::from_millis(if (index + round).is_multiple_of(2) { 20 } else { 2000 });
        let asking = join_all(
            names
                .iter()
                .enumerate()
                .map(async |(index, name)| (index, length_within(&server, name, limit(index)).await)),
        );
        let wake = async {
            tokio::time::sleep(Duration::from_millis(if round % 3 == 0 { 60 } else { 18 })).await;
            redis.resume();
        };
        for (index, asked) in futures_util::future::join(asking, wake).await.0 {
            match asked {
                Ok(found) => {
                    assert_eq!(found, index as u64, "round {round}");
                    answered += 1;
                }
                Err(error) => {
                    assert_eq!(error.key, "timeout", "{error}");
                    given_up += 1;
                }
            }
        }
        // What is asked next may come over the connection on which answers to questions that were given up still arrive.
        for (index, name) in names.iter().enumerate() {
            if let Ok(found) = length_within(&server, name, Duration::from_millis(500)).await {
                assert_eq!(found, index as u64, "round {round}");
            }
        }
    }
    assert!(answered > 300 && given_up > 100, "{answered} answered, {given_up} given up");
}

async fn a_connection_over_which_nothing_comes_is_left() {
    let redis = Redis::start(&[]).await;
    let server = server(&here(&redis));
    assert_eq!(length(&server, "jobs").await, Ok(0));
    let before = clients(&redis).await;
    redis.pause();
    assert_eq!(length_within(&server, "jobs", Duration::from_millis(100)).await.unwrap_err().key, "timeout");
    redis.resume();
    until("another connection answers", LIMIT, async || length(&server, "jobs").await == Ok(0)).await;
    until("the old one is closed", LIMIT, async || clients(&redis).await.len() == 1).await;
    assert_ne!(clients(&redis).await, before);
}

/// The ids of our connections.
async fn clients(redis: &Redis) -> Vec<String> {
    let list = redis.tell(&["CLIENT", "LIST"]).await;
    let ours = list.lines().filter(|line| line.contains("name=autoscalebot "));
    ours.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

async fn a_hundred_bots_share_one_connection() {
    let redis = Redis::start(&["--requirepass", "hunter2"]).await;
    let (shared, port) = (shared(), redis.port());
    let bots: Vec<_> = (0..100)
        .map(|index| {
            let mut settings = json!({"queue_names": [format!("jobs{index}")]});
            // Two ways to write the same server.
            if index % 2 == 0 {
                settings["url"] = format!("redis://:hunter2@127.0.0.1:{port}/0").into();
            } else {
                settings["host"] = "127.0.0.1".into();
                settings["port"] = port.into();
                settings["password"] = "hunter2".into();
            }
            measure_in(&shared, "RedisList", settings)
        })
        .collect();
    for _ in 0..3 {
        let numbers = join_all(bots.iter().map(|bot| number(&**bot))).await;
        assert!(numbers.iter().all(|number| *number == Ok(0.0)), "{numbers:?}");
    }
    assert_eq!(clients(&redis).await.len(), 1);
    let mut bots = bots;
    bots.truncate(1);
    assert_eq!(number(&*bots[0]).await, Ok(0.0));
    assert_eq!(clients(&redis).await.len(), 1);
    drop(bots);
    until("the connection is closed", LIMIT, async || clients(&redis).await.is_empty()).await;
    let alone = measure("RedisList", json!({"url": format!("redis://:hunter2@127.0.0.1:{port}")}));
    assert_eq!(number(&*alone).await, Ok(0.0));
}

async fn a_private_connection_blocks_nobody_else() {
    let redis = Redis::start(&[]).await;
    let server = server(&here(&redis));
    let mut private = server.private_connection(LIMIT).await.unwrap();
    let waiting = tokio::spawn(async move {
        let answers = private.ask(redis::pipe().cmd("BRPOP").arg("answers").arg(4), LIMIT).await;
        (private, answers)
    });
    until("it waits", LIMIT, async || redis.tell(&["INFO", "clients"]).await.contains("blocked_clients:1")).await;
    assert_eq!(length(&server, "answers").await, Ok(0));
    redis.tell(&["LPUSH", "answers", "a"]).await;
    let (mut private, answers) = waiting.await.unwrap();
    let popped = <(String, String)>::from_redis_value(answers.unwrap().swap_remove(0)).unwrap();
    assert_eq!(popped, ("answers".to_owned(), "a".to_owned()));
    assert_eq!(clients(&redis).await.len(), 2);
    let late = private.ask(redis::pipe().cmd("BRPOP").arg("answers").arg(4), Duration::from_millis(50)).await;
    assert_eq!(late.unwrap_err().key, "timeout");
    drop(private);
    until("it is closed, though Redis has not answered", LIMIT, async || clients(&redis).await.len() == 1).await;
    assert_eq!(length(&server, "answers").await, Ok(0));
}
