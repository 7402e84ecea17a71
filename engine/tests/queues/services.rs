//! The brokers and databases of the tests themselves: each starts, talks to a client that we did not write, and is gone
//! when it is dropped.

use std::{net::TcpStream, time::Duration};

use serde_json::json;
use testkit::services::{Cluster, Moto, Nats, Postgres, RabbitMq, Redis, Sentinel};

use crate::support::{ArqPython, Claim, Language, Node, Python, Ruby, claim, services, unique, until};

pub fn claims() -> Vec<Claim> {
    vec![
        claim("redis_keeps_its_data_when_stopped_and_is_gone_when_dropped", async || {
            let mut redis = Redis::start(&[]).await;
            assert_eq!(redis.tell(&["LPUSH", "jobs", "a", "b"]).await, "2");
            redis.stop().await;
            assert!(refuses(redis.port()));
            redis.restart().await;
            assert_eq!(redis.tell(&["LRANGE", "jobs", "0", "-1"]).await, "b\na");
            redis.kill();
            assert!(refuses(redis.port()));
            redis.restart().await;
            let port = redis.port();
            assert!(!refuses(port));
            drop(redis);
            assert!(refuses(port));
        }),
        claim("redis_with_tls_and_a_password_is_trusted_through_its_authority", async || {
            let redis = Redis::tls(&["--requirepass", "secret"]).await;
            assert_eq!(redis.tell(&["PING"]).await, "PONG");
            let authority = redis.certificates().unwrap().path("authority.pem");
            let url = format!("{}/0?ssl_ca_certs={authority}", redis.url().replace("://", "://:secret@"));
            assert_eq!(Python::run("redis_ping.py", &[&url], &[]).await, json!({"answer": true}));
        }),
        claim("redis_sentinel_knows_where_the_master_is", async || {
            let sentinel = Sentinel::start(&[]).await;
            let told = sentinel.tell(&["SENTINEL", "get-master-addr-by-name", Sentinel::MASTER]).await;
            assert_eq!(told, format!("127.0.0.1\n{}", sentinel.master.port()));
            let ports = [sentinel.port(), sentinel.master.port()];
            drop(sentinel);
            assert!(ports.into_iter().all(refuses));
        }),
        claim("redis_cluster_keeps_every_key_on_its_own_master", async || {
            let cluster = Cluster::start(&[]).await;
            for key in ["a", "b", "c", "d", "e", "f"] {
                cluster.tell(&["SET", key, key]).await;
            }
            let mut sizes = Vec::new();
            for node in &cluster.nodes {
                sizes.push(node.tell(&["DBSIZE"]).await.parse::<u32>().unwrap());
            }
            assert_eq!(sizes.iter().sum::<u32>(), 6);
            assert!(sizes.iter().all(|size| *size < 6), "{sizes:?}");
        }),
        claim("rabbitmq_talks_to_pika_and_tells_its_management_what_waits", async || {
            let broker = services::rabbitmq().await;
            let host = unique("host");
            let url = broker.create_virtual_host(&host).await;
            let seen = Python::run("rabbitmq_publish.py", &[&url, "jobs", "3"], &[]).await;
            assert_eq!(seen, json!({"messages": 3}));
            broker.until_counted(&host, "jobs").await;
        }),
        claim("rabbitmq_keeps_durable_queues_when_stopped_or_killed_and_is_gone_when_dropped", async || {
            let mut broker = RabbitMq::start().await;
            let path = "/api/queues/%2F/jobs";
            broker.api("PUT", path, Some(json!({"durable": true}))).await;
            broker.stop().await;
            assert!(refuses(broker.port()));
            broker.restart().await;
            assert_eq!(broker.api("GET", path, None).await["name"], "jobs");
            broker.kill();
            assert!(refuses(broker.port()));
            broker.restart().await;
            assert_eq!(broker.api("GET", path, None).await["name"], "jobs");
            let ports = [broker.port(), broker.management_port()];
            drop(broker);
            assert!(ports.into_iter().all(refuses));
        }),
        claim("postgres_lets_a_role_in_with_its_password_and_not_without", async || {
            let postgres = services::postgres().await;
            let database = unique("jobs");
            postgres.create_database(&database).await;
            let url = postgres.url_with_password(&database);
            assert_eq!(Python::run("postgres_ask.py", &[&url], &[]).await, json!({"user": "app"}));
            let wrong = url.replace("word@", "sword@");
            assert_eq!(Python::run("postgres_ask.py", &[&wrong], &[]).await, json!({"error": "28P01"}));
        }),
        claim("postgres_keeps_its_data_when_stopped_and_is_gone_when_dropped", async || {
            let mut postgres = Postgres::start().await;
            postgres.query("postgres", "CREATE TABLE jobs AS SELECT generate_series(1, 3) AS id").await;
            postgres.stop().await;
            assert!(refuses(postgres.port()));
            postgres.restart().await;
            assert_eq!(postgres.query("postgres", "SELECT count(*), max(id) FROM jobs").await, "3|3");
            let port = postgres.port();
            drop(postgres);
            assert!(refuses(port));
        }),
        claim("nats_keeps_a_stream_that_its_own_client_made", async || {
            let mut nats = Nats::start(&[]).await;
            let url = nats.url();
            assert_eq!(Python::run("nats_publish.py", &[&url, "5"], &[]).await, json!({"pending": 5}));
            nats.stop().await;
            assert!(refuses(nats.port()));
            nats.restart().await;
            assert_eq!(Python::run("nats_publish.py", &[&url, "2"], &[]).await, json!({"pending": 7}));
            let ports = [nats.port(), nats.monitoring_port()];
            assert!(!ports.into_iter().any(refuses));
            drop(nats);
            assert!(ports.into_iter().all(refuses));
        }),
        claim("moto_is_sqs_to_the_client_of_its_maker", async || {
            let moto = services::moto().await;
            let seen = Python::run("sqs_send.py", &[&moto.url(), &unique("jobs"), "4"], &[]).await;
            assert_eq!(seen, json!({"waiting": "4"}));
        }),
        claim("moto_is_gone_when_dropped", async || {
            let moto = Moto::start().await;
            let port = moto.port();
            assert!(!refuses(port));
            drop(moto);
            assert!(refuses(port));
        }),
        claim("a_worker_takes_what_is_there_and_ends_with_its_claim", async || {
            let redis = Redis::start(&[]).await;
            redis.tell(&["RPUSH", "jobs", "a", "b"]).await;
            let worker = Python::script("redis_pop.py", &[&redis.url(), "jobs"], &[]);
            let patience = Duration::from_secs(20);
            until("the list is empty", patience, async || redis.tell(&["LLEN", "jobs"]).await == "0").await;
            assert!(worker.until(patience, |output| output == "a\nb\n").await, "{}", worker.output());
            drop(worker);
            until("the worker is gone", patience, async || !redis.tell(&["CLIENT", "LIST"]).await.contains("blpop"))
                .await;
        }),
        claim("a_paused_server_accepts_and_does_not_answer_until_it_is_resumed", async || {
            let redis = Redis::start(&[]).await;
            redis.pause();
            assert!(!refuses(redis.port()));
            let url = redis.url();
            let environment = [("SOCKET_TIMEOUT_SECONDS", "0.5")];
            let seen = Python::run("redis_ping.py", &[&url], &environment).await;
            assert_eq!(seen, json!({"error": "TimeoutError"}));
            redis.resume();
            assert_eq!(redis.tell(&["PING"]).await, "PONG");
        }),
        claim("every_language_finds_its_work_queue", async || {
            let redis = Redis::start(&[]).await;
            let url = redis.url();
            assert_eq!(Python::run("versions.py", &["celery", "rq", "dramatiq", "huey", "saq"], &[]).await, json!(5));
            assert_eq!(ArqPython::run("versions.py", &["arq"], &[]).await, json!(1));
            assert_eq!(Node::run("bullmq_add.js", &[&url, "jobs", "2"], &[]).await, json!({"waiting": 2}));
            assert_eq!(Ruby::run("sidekiq_push.rb", &[&url, "jobs", "2"], &[]).await, json!({"waiting": 2}));
        }),
    ]
}

/// Whether nobody listens there.
fn refuses(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}
