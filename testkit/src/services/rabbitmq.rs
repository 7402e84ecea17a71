//! A `RabbitMQ` broker with its management pages.
//!
//! Debian's own start script insists on `/var` and on its own user, so the broker's program is called directly. Erlang
//! needs a name service (`epmd`), which would put itself into the background and stay; so we start one ourselves.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ANSWER_LIMIT, Server, on_free_ports, unprivileged};
use crate::program::{Folder, Program};

/// A running broker. Durable queues with persistent messages outlive `stop`.
pub struct RabbitMq {
    port: u16,
    management_port: u16,
    server: Server,
    _names: Program,
    _folder: Folder,
}

impl RabbitMq {
    /// The user that may do everything, and its password.
    pub const USER: &'static str = "guest";

    /// Starts one. It takes 5 to 10 s, so tests share one and keep apart by virtual hosts and names.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start() -> Self {
        on_free_ports(async |[port, management_port, peer_port, name_port]| {
            let folder = Folder::new();
            let settings = format!(
                "listeners.tcp.default = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\n\
                 management.tcp.port = {management_port}\nlog.console = true\nlog.file = false\n\
                 collect_statistics_interval = 1000\ndisk_free_limit.absolute = 50MB\n"
            );
            folder.write("rabbitmq.conf", &settings);
            folder.write("enabled_plugins", "[rabbitmq_management].\n");
            let name_port = name_port.to_string();
            let mut names = unprivileged(Path::new("epmd"), folder.path());
            names.args(["-port", &name_port, "-address", "127.0.0.1"]);
            let names = Program::start_group(&mut names);

            let path = folder.path().to_owned();
            let make = move || {
                let mut command = unprivileged(Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server"), &path);
                let in_folder = [
                    ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
                    ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
                    ("RABBITMQ_MNESIA_BASE", "mnesia"),
                    ("RABBITMQ_LOG_BASE", "log"),
                    ("RABBITMQ_PID_FILE", "pid"),
                    ("RABBITMQ_GENERATED_CONFIG_DIR", "config"),
                ];
                command.envs(in_folder.map(|(name, file)| (name, path.join(file))));
                command.env("RABBITMQ_NODENAME", "rabbit@localhost").env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
                command.env("RABBITMQ_DIST_PORT", peer_port.to_string());
                command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", &name_port);
                // Loopback only; and schedulers that sleep when there is nothing to do.
                let erlang =
                    "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none";
                command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang);
                command
            };
            let server = Server::start(make, |output| output.contains("Server startup complete"), "TERM").await?;
            Ok(Self { port, management_port, server, _names: names, _folder: folder })
        })
        .await
    }

    /// The port for AMQP, at `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of the management API.
    #[must_use]
    pub fn management_port(&self) -> u16 {
        self.management_port
    }

    /// The AMQP address of the virtual host `/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("%2F")
    }

    /// The management API's address, without user: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn management_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.management_port)
    }

    /// Makes a virtual host for one test; its AMQP address. The name is one that needs no escaping.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn create_virtual_host(&self, name: &str) -> String {
        self.api("PUT", &format!("/api/vhosts/{name}"), None).await;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.api("PUT", &format!("/api/permissions/{name}/{}", Self::USER), Some(all)).await;
        self.url_of(name)
    }

    /// Asks the management API: `api("GET", "/api/queues/%2F/jobs", None)`; null when it has nothing to say.
    ///
    /// # Panics
    /// When there is no answer, or one that is no success.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{0}:{0}", Self::USER));
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(format!("{}{path}", self.management_url()))
            .header("authorization", format!("Basic {login}"))
            .header("content-type", "application/json")
            .body(Full::from(body.map(|body| body.to_string()).unwrap_or_default()))
            .expect("a request");
        let answer = async {
            let response = client.request(request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            let status = response.status();
            let body = response.into_body().collect().await.expect("a whole body").to_bytes();
            (status, body)
        };
        let (status, body) = timeout(ANSWER_LIMIT, answer).await.unwrap_or_else(|_| panic!("{method} {path} hangs"));
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// Waits until the management API tells numbers of a queue, which it does some seconds after the queue was made.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until_counted(&self, virtual_host: &str, queue: &str) {
        for _ in 0..100 {
            let told = self.api("GET", &format!("/api/queues/{virtual_host}/{queue}"), None).await;
            if told.get("messages").is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the management API does not count {queue}");
    }

    fn url_of(&self, virtual_host: &str) -> String {
        format!("amqp://{0}:{0}@127.0.0.1:{1}/{virtual_host}", Self::USER, self.port)
    }
}

impl Deref for RabbitMq {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for RabbitMq {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
