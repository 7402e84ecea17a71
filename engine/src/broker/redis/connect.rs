//! Making a connection: to one server, to whoever the Sentinels name, or to a whole Cluster.
//!
//! Nothing here knows a time-out of its own; who calls gives up when the time is over, and what was begun ends with it.

use std::{fmt, time::Duration};

use futures_util::future::{select_ok, try_join_all};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, RedisResult, ServerError, TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
    io::tcp::TcpSettings,
};

use super::settings::{To, Way};

/// What `CLIENT LIST` shows.
const NAME: &str = "autoscalebot";

/// A thousand bots that ask five things each have room; what comes on top waits for answers before it is sent, so that a
/// server that stands still does not collect questions that nobody will wait for.
const COMMANDS_IN_FLIGHT: usize = 5_000;

/// Pipelines on their way to the connection's task; more of them wait.
const PIPELINES_QUEUED: usize = 1_000;

/// A Cluster that moves slots says so, and the library asks again elsewhere. What takes more tries than this is told.
const CLUSTER_RETRIES: u32 = 3;

/// The longest pause between those tries, in milliseconds.
const CLUSTER_RETRY_WAIT_MS: u64 = 200;

/// The library waits for all nodes that it knows of; so long one that does not answer holds up the others.
const CLUSTER_NODE_LIMIT: Duration = Duration::from_secs(1);

/// For the library's own limit on answers, which would otherwise be shorter than that of a bot.
const LONGER_THAN_ANY_LIMIT: Duration = Duration::from_secs(3600);

/// A connection that many may use at a time. Dropping the last clone closes it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Whom to trust, ready for use.
struct Trust {
    certificates: Option<TlsCertificates>,
    any_name: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unconnected {
    Redis(RedisError),
    /// The server that connected does not let us ask.
    Refused(ServerError),
    /// The file with authorities, and what is wrong with it.
    CaFile(String),
    /// None of the Sentinels knows the master.
    NoSuchMaster,
    /// Whom the Sentinels named is no master.
    NotMaster,
}

impl From<RedisError> for Unconnected {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl Connection {
    /// Connects, and makes sure that questions are welcome.
    pub(super) async fn open(way: &Way) -> Result<Self, Unconnected> {
        let trust = way.trust().await?;
        match &way.to {
            To::Host(host, port) => Self::to_one(way.info(host, *port), &trust).await,
            To::Socket(path) => {
                let address = ConnectionAddr::Unix(path.clone());
                Self::to_one(address.into_connection_info()?.set_redis_settings(way.login()), &trust).await
            }
            To::Sentinel { hosts, master, password } => {
                let login = RedisConnectionInfo::default();
                let login = if password.is_empty() { login } else { login.set_password(password.reveal()) };
                let (host, port) = way.master(hosts, master, &login, &trust).await?;
                let mut connection = Self::to_one(way.info(&host, port), &trust).await?;
                let role = connection.ask(redis::pipe().cmd("ROLE")).await?;
                // A user who may not ask is answered with an error, and then the Sentinel's word has to do.
                let is_replica =
                    |role: &Value| matches!(role, Value::Array(words) if words.first() == Some(&word("slave")));
                if role.iter().any(is_replica) { Err(Unconnected::NotMaster) } else { Ok(connection) }
            }
            To::Cluster(hosts) => {
                let nodes = hosts.iter().map(|(host, port)| way.info(host, *port));
                let mut builder = ClusterClientBuilder::new(nodes)
                    .retries(CLUSTER_RETRIES)
                    .max_retry_wait(CLUSTER_RETRY_WAIT_MS)
                    .min_retry_wait(CLUSTER_RETRY_WAIT_MS / 10)
                    .connection_timeout(CLUSTER_NODE_LIMIT)
                    .response_timeout(LONGER_THAN_ANY_LIMIT)
                    .tcp_settings(tcp_settings())
                    .connection_concurrency_limit(COMMANDS_IN_FLIGHT);
                if let Some(tls) = &way.tls {
                    builder = builder.tls(if tls.verify { TlsMode::Secure } else { TlsMode::Insecure });
                    builder = builder.danger_accept_invalid_hostnames(trust.any_name);
                }
                if let Some(certificates) = trust.certificates {
                    builder = builder.certs(certificates);
                }
                Ok(Self::Cluster(builder.build()?.get_async_connection().await?))
            }
        }
    }

    /// Asks everything at once; an answer per command, in its place, where an answer may be a refusal.
    pub(super) async fn ask(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::One(connection) => connection.send_packed_commands(pipeline, 0, pipeline.len()).await,
            // The library sends a pipeline to one node. So each command goes its own way, all at the same time; those for
            // one node still travel together.
            Self::Cluster(connection) => {
                try_join_all(pipeline.cmd_iter().map(|command| ask_cluster(connection.clone(), command))).await
            }
        }
    }

    /// Asks the master that has this slot of a Cluster.
    pub(super) async fn ask_master(&mut self, slot: u16, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::One(_) => self.ask(pipeline).await,
            Self::Cluster(connection) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                connection.route_pipeline(pipeline.clone(), 0, pipeline.len(), route).await
            }
        }
    }

    async fn to_one(info: ConnectionInfo, trust: &Trust) -> Result<Self, Unconnected> {
        let client = client(info, trust)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINES_QUEUED)
            .set_concurrency_limit(COMMANDS_IN_FLIGHT);
        let mut connection = Self::One(client.get_multiplexed_async_connection_with_config(&config).await?);
        for answer in connection.ask(redis::pipe().cmd("CLIENT").arg("SETNAME").arg(NAME)).await? {
            // A name is a courtesy; who may not give himself one may still ask. But here it shows first that the server
            // wants a password, or loads its data.
            if let Value::ServerError(error) = answer
                && ["NOAUTH", "LOADING"].contains(&error.code())
            {
                return Err(Unconnected::Refused(error));
            }
        }
        Ok(connection)
    }
}

async fn ask_cluster(mut connection: ClusterConnection, command: &Cmd) -> RedisResult<Value> {
    let answer = connection.req_packed_command(command).await;
    answer.or_else(|error| match error.clone().into_server_errors().as_deref() {
        Some([(_, refusal)]) => Ok(Value::ServerError(refusal.clone())),
        _ => Err(error),
    })
}

impl Way {
    fn login(&self) -> RedisConnectionInfo {
        let mut login =
            RedisConnectionInfo::default().set_db(self.database.into()).set_lib_name(NAME, env!("CARGO_PKG_VERSION"));
        if !self.username.is_empty() {
            login = login.set_username(self.username.reveal());
        }
        if !self.password.is_empty() {
            login = login.set_password(self.password.reveal());
        }
        login
    }

    fn info(&self, host: &str, port: u16) -> ConnectionInfo {
        with_login(self.address(host, port), self.login())
    }

    fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        match &self.tls {
            Some(tls) => ConnectionAddr::TcpTls { host, port, insecure: !tls.verify, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        }
    }

    /// Read anew for each connection, so that a renewed file is good without a restart.
    async fn trust(&self) -> Result<Trust, Unconnected> {
        let Some(tls) = &self.tls else { return Ok(Trust { certificates: None, any_name: false }) };
        let any_name = !tls.verify_name;
        let Some(path) = &tls.ca_file else { return Ok(Trust { certificates: None, any_name }) };
        let pem = tokio::fs::read(path).await;
        let pem = pem.map_err(|error| Unconnected::CaFile(format!("{path:?} cannot be read: {error}")))?;
        // The library takes a file without any for one that trusts nobody.
        if !String::from_utf8_lossy(&pem).contains("BEGIN CERTIFICATE") {
            return Err(Unconnected::CaFile(format!("{path:?} holds no certificate in PEM")));
        }
        Ok(Trust { certificates: Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }), any_name })
    }

    /// Where the first Sentinel that knows says that the master is.
    async fn master(
        &self,
        hosts: &[(String, u16)],
        name: &str,
        login: &RedisConnectionInfo,
        trust: &Trust,
    ) -> Result<(String, u16), Unconnected> {
        let mut question = redis::pipe();
        question.cmd("SENTINEL").arg("get-master-addr-by-name").arg(name);
        let question = &question;
        let ask = async move |host: &str, port: u16| {
            let info = with_login(self.address(host, port), login.clone());
            let answers = Connection::to_one(info, trust).await?.ask(question).await?;
            match answers.into_iter().next() {
                Some(Value::ServerError(error)) => Err(Unconnected::Refused(error)),
                Some(value) => redis::from_redis_value::<(String, u16)>(value).map_err(|_| Unconnected::NoSuchMaster),
                None => Err(Unconnected::NoSuchMaster),
            }
        };
        // All at once: one that does not answer costs nobody's time.
        let first = select_ok(hosts.iter().map(|(host, port)| Box::pin(ask(host, *port)))).await;
        first.map(|(master, _)| master)
    }
}

fn with_login(address: ConnectionAddr, login: RedisConnectionInfo) -> ConnectionInfo {
    // The conversion of an address cannot fail: it is what a connection's information consists of.
    let info = address.into_connection_info().unwrap_or_else(|_| unreachable!());
    info.set_redis_settings(login).set_tcp_settings(tcp_settings())
}

/// Questions are small and must not wait for company.
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Certificates take the place of all that was said about trust before, so names are spoken of last.
fn client(info: ConnectionInfo, trust: &Trust) -> Result<Client, RedisError> {
    let ConnectionAddr::TcpTls { insecure: false, .. } = info.addr() else { return Client::open(info) };
    let client = match &trust.certificates {
        Some(certificates) => Client::build_with_tls(info, certificates.clone())?,
        None => Client::open(info)?,
    };
    let info = client.get_connection_info();
    let mut address = info.addr().clone();
    address.set_danger_accept_invalid_hostnames(trust.any_name);
    Client::open(info.clone().set_addr(address))
}

fn word(word: &str) -> Value {
    Value::BulkString(word.as_bytes().to_vec())
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connection")
    }
}
