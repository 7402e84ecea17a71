//! How to reach a Redis server, as people write it, and what can be wrong with that.
//!
//! There are two ways to write it: setting by setting (`HOST`, `PORT`, …), and one `URL` as Celery and redis-py take it.
//! Both become one [`Way`]; settings that contradict each other or would have no effect are problems, found when the
//! program starts and not when the first connection fails. No problem repeats a URL, because passwords live in them.

use std::path::PathBuf;

use autoscalebot_core::registry::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{self, Address, SENTINEL_PORT};
use crate::secret::Secret;

/// How to reach a Redis server; flattened into the settings of every backend that needs one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The host of Redis.
    pub host: String,
    /// The port of Redis.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The number of the database in Redis.
    pub database_number: u16,
    /// The user of Redis, if it has users (ACL).
    pub username: String,
    /// The password of Redis, if it has one.
    pub password: Secret,
    /// The whole address instead, as in Celery's `broker_url`: `redis://user:password@host:6379/0`, `rediss://…` (TLS),
    /// `unix:///path/redis.sock?db=0`, `sentinel://host:26379;sentinel://host2:26379/0`.
    pub url: Secret,
    /// Encrypts the connection (TLS), as `rediss://` does.
    pub tls: bool,
    /// A file with certificates (PEM) of authorities to trust instead of those that the machine trusts.
    pub ca_file: Option<String>,
    /// Whether the server must prove who it is. Set it to false for a server whose certificate nobody vouches for, such as
    /// Heroku Key-Value Store's; then the connection is encrypted, but anybody on the way could pose as the server.
    pub verify_certificate: bool,
    /// The Sentinels that know where Redis is: `["host:26379", "host2:26379"]`; instead of `HOST` and `PORT`.
    pub sentinels: Vec<String>,
    /// The name under which the Sentinels know the master.
    pub master_name: String,
    /// The password of the Sentinels, if they have one.
    pub sentinel_password: Secret,
    /// Whether it is a Redis Cluster; `HOST` and `PORT`, or `URL`, are one of its nodes, or several in one `URL` with `;`
    /// between them.
    pub cluster: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 6379,
            database_number: 0,
            username: String::new(),
            password: Secret::default(),
            url: Secret::default(),
            tls: false,
            ca_file: None,
            verify_certificate: true,
            sentinels: Vec::new(),
            master_name: String::new(),
            sentinel_password: Secret::default(),
            cluster: false,
        }
    }
}

/// How to reach a server; only ways that make sense can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) to: To,
    pub(super) database: u16,
    pub(super) username: Secret,
    pub(super) password: Secret,
    pub(super) tls: Option<Tls>,
}

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    /// This one.
    Host(String, u16),
    /// The one behind this socket.
    Socket(PathBuf),
    /// Whoever is the master now.
    Sentinel { hosts: Vec<(String, u16)>, master: String, password: Secret },
    /// All masters of a cluster that these belong to.
    Cluster(Vec<(String, u16)>),
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) ca_file: Option<String>,
    /// Whether anybody must vouch for the server at all.
    pub(super) verify: bool,
    /// Whether the certificate must be for the name that was asked for.
    pub(super) verify_name: bool,
}

impl Way {
    /// `Redis at localhost:6379`
    pub(super) fn shown(&self) -> String {
        let listed = |hosts: &[(String, u16)]| {
            let hosts: Vec<String> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            hosts.join(", ")
        };
        match &self.to {
            To::Host(host, port) => format!("Redis at {host}:{port}"),
            To::Socket(path) => format!("Redis at {}", path.display()),
            To::Sentinel { hosts, master, .. } => format!("Redis {master:?} of the Sentinel at {}", listed(hosts)),
            To::Cluster(hosts) => format!("Redis Cluster at {}", listed(hosts)),
        }
    }

    /// Tells one server, and one way of reaching it, from another. Holds secrets.
    pub(super) fn key(&self) -> String {
        let sentinel_password = match &self.to {
            To::Sentinel { password, .. } => password.reveal(),
            _ => "",
        };
        format!("{self:?} {:?} {:?} {sentinel_password:?}", self.username.reveal(), self.password.reveal())
    }
}

impl Settings {
    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.way().err().unwrap_or_default()
    }

    /// The way that they describe.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) fn way(&self) -> Result<Way, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut say = |path: &str, found: &str, allowed: &str| problems.push(Problem::new(path, found, allowed));
        let default = Self::default();
        let address = if self.url.is_empty() {
            Address { hosts: vec![(self.host.clone(), self.port)], tls: self.tls, ..Address::default() }
        } else {
            match address::parse(self.url.reveal()) {
                Ok(address) => address,
                Err((found, allowed)) => {
                    say("url", found, allowed);
                    return Err(problems);
                }
            }
        };
        if self.host.is_empty() {
            say("host", "an empty name", "the name of a host, such as localhost");
        }
        if self.port == 0 {
            say("port", "0", "a port from 1 to 65535");
        }
        if !self.url.is_empty() {
            let instead = "only one of the two";
            if self.host != default.host || self.port != default.port {
                say("host", "HOST or PORT beside URL", instead);
            }
            if !self.sentinels.is_empty() {
                say("sentinels", "SENTINELS beside URL", instead);
            }
            if address.database.is_some() && self.database_number != 0 {
                say("database_number", "a database here and in URL", instead);
            }
            if !address.password.is_empty() && !self.password.is_empty() {
                say("password", "a password here and in URL", instead);
            }
            if !address.username.is_empty() && !self.username.is_empty() {
                say("username", "a user here and in URL", instead);
            }
            if address.ca_file.is_some() && self.ca_file.is_some() {
                say("ca_file", "a file here and ssl_ca_certs in URL", instead);
            }
            if address.socket.is_some() && self.tls {
                say("tls", "TLS on a unix socket", "false: what goes through a socket does not leave the machine");
            }
        }
        let or = |one: &Secret, other: &str| if one.is_empty() { Secret::new(other) } else { one.clone() };
        let username = or(&address.username, &self.username);
        let password = or(&address.password, self.password.reveal());
        if !username.is_empty() && password.is_empty() {
            say("username", "a user without a password", "PASSWORD beside it");
        }
        let database = address.database.unwrap_or(self.database_number);
        let tls = self.tls(&address, &mut say);
        let to = self.to(&address, database, &mut say);
        if problems.is_empty() { Ok(Way { to, database, username, password, tls }) } else { Err(problems) }
    }

    fn tls(&self, address: &Address, say: &mut impl FnMut(&str, &str, &str)) -> Option<Tls> {
        let ca_file = self.ca_file.clone().or_else(|| address.ca_file.clone());
        let verify = self.verify_certificate && !address.unverified;
        if !(address.tls || self.tls) {
            let way_out = "TLS: true or rediss:// beside it";
            if ca_file.is_some() {
                say("ca_file", "certificates for a connection that is not encrypted", way_out);
            }
            if !verify {
                say("verify_certificate", "false for a connection that is not encrypted", way_out);
            }
            return None;
        }
        if ca_file.as_deref() == Some("") {
            say("ca_file", "an empty path", "the path of a file with certificates in PEM");
        }
        if ca_file.is_some() && !verify {
            say("ca_file", "certificates that would not be looked at", "VERIFY_CERTIFICATE: true beside it");
        }
        Some(Tls { ca_file, verify, verify_name: !address.any_name })
    }

    fn to(&self, address: &Address, database: u16, say: &mut impl FnMut(&str, &str, &str)) -> To {
        let default = Self::default();
        let is_sentinel = address.sentinel || !self.sentinels.is_empty();
        if self.cluster && is_sentinel {
            say("cluster", "true beside Sentinels", "one of the two; a Cluster knows its masters itself");
        }
        if self.cluster && address.socket.is_some() {
            say("cluster", "true for a unix socket", "the host and port of one of its nodes");
        }
        if self.cluster && database != 0 {
            say("database_number", "a database in a Cluster", "0: a Cluster has only one");
        }
        if is_sentinel && self.master_name.is_empty() {
            say("master_name", "no name", "the name of the master, as in `sentinel monitor NAME`, such as mymaster");
        }
        if !is_sentinel {
            let way_out = "SENTINELS or sentinel:// in URL beside it";
            if !self.master_name.is_empty() {
                say("master_name", "the name of a master that nobody is asked for", way_out);
            }
            if !self.sentinel_password.is_empty() {
                say("sentinel_password", "a password for nobody", way_out);
            }
        }
        let mut hosts = address.hosts.clone();
        if !self.sentinels.is_empty() {
            hosts.clear();
            if self.url.is_empty() && (self.host != default.host || self.port != default.port) {
                say("host", "HOST or PORT beside SENTINELS", "only one of the two");
            }
            for sentinel in &self.sentinels {
                match address::host_and_port(sentinel, SENTINEL_PORT) {
                    Some(host) => hosts.push(host),
                    None => say("sentinels", &format!("{sentinel:?}"), "hosts with their ports, such as host:26379"),
                }
            }
        }
        if hosts.len() > 1 && !is_sentinel && !self.cluster {
            say("url", "several hosts", "one host; or CLUSTER: true or sentinel:// for several");
        }
        match (&address.socket, is_sentinel, self.cluster) {
            (Some(path), ..) => To::Socket(path.clone()),
            (None, true, _) => {
                To::Sentinel { hosts, master: self.master_name.clone(), password: self.sentinel_password.clone() }
            }
            (None, false, true) => To::Cluster(hosts),
            (None, false, false) => match hosts.into_iter().next() {
                Some((host, port)) => To::Host(host, port),
                None => To::Host(default.host, default.port),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn way(settings: Value) -> Result<Way, Vec<String>> {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        settings.way().map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_wrong_combination_is_told_at_its_setting() {
        for (settings, path) in [
            (json!({"url": "redis://h", "host": "x"}), "host"),
            (json!({"url": "redis://h", "port": 1}), "host"),
            (json!({"url": "redis://h/1", "database_number": 2}), "database_number"),
            (json!({"url": "redis://:p@h", "password": "q"}), "password"),
            (json!({"url": "redis://u:p@h", "username": "v"}), "username"),
            (json!({"url": "unix:///tmp/s", "tls": true}), "tls"),
            (json!({"url": "unix:///tmp/s", "cluster": true}), "cluster"),
            (json!({"url": "http://h"}), "url"),
            (json!({"url": "redis://a;redis://b"}), "url"),
            (json!({"url": "sentinel://h"}), "master_name"),
            (json!({"url": "redis://h", "master_name": "m"}), "master_name"),
            (json!({"url": "rediss://h?ssl_cert_reqs=none", "ca_file": "f"}), "ca_file"),
            (json!({"url": "rediss://h?ssl_ca_certs=f", "ca_file": "f"}), "ca_file"),
            (json!({"host": ""}), "host"),
            (json!({"port": 0}), "port"),
            (json!({"username": "u"}), "username"),
            (json!({"ca_file": "f"}), "ca_file"),
            (json!({"tls": true, "ca_file": ""}), "ca_file"),
            (json!({"verify_certificate": false}), "verify_certificate"),
            (json!({"sentinels": ["h"]}), "master_name"),
            (json!({"sentinels": ["h:x"], "master_name": "m"}), "sentinels"),
            (json!({"sentinels": ["h"], "master_name": "m", "host": "x"}), "host"),
            (json!({"sentinels": ["h"], "master_name": "m", "url": "redis://h"}), "sentinels"),
            (json!({"sentinels": ["h"], "master_name": "m", "cluster": true}), "cluster"),
            (json!({"sentinel_password": "p"}), "sentinel_password"),
            (json!({"cluster": true, "database_number": 1}), "database_number"),
        ] {
            let problems = way(settings.clone()).unwrap_err();
            assert_eq!(problems.len(), 1, "{settings}: {problems:?}");
            assert!(problems[0].starts_with(&format!("{path}: ")), "{settings}: {problems:?}");
        }
    }

    #[test]
    fn no_problem_shows_a_password_a_user_or_a_url() {
        for url in [
            "redis//:hunter2@secluded",
            "redis://ann:hunter2@secluded/x",
            "redis://ann:hunter2@secluded:99999",
            "sentinel://ann:hunter2@secluded",
        ] {
            let text = way(json!({"url": url, "password": "swordfish", "username": "ann"})).unwrap_err().join(" ");
            let secrets = ["hunter2", "swordfish", "ann", "secluded"];
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
        }
    }

    #[test]
    fn the_same_server_written_in_two_ways_is_one_server() {
        let one = way(json!({"host": "h", "port": 7, "database_number": 2, "password": "p"})).unwrap();
        let other = way(json!({"url": "redis://:p@h:7/2"})).unwrap();
        assert_eq!(one.key(), other.key());
        for different in ["redis://:q@h:7/2", "redis://u:p@h:7/2", "redis://:p@h:7/3", "rediss://:p@h:7/2"] {
            assert_ne!(one.key(), way(json!({"url": different})).unwrap().key(), "{different}");
        }
        assert!(!format!("{one:?}").contains("\"p\""), "{one:?}");
    }

    #[test]
    fn what_a_url_leaves_open_settings_may_say() {
        let way = way(json!({
            "url": "sentinel://a:1;sentinel://b", "master_name": "m", "sentinel_password": "s", "password": "p",
            "database_number": 3, "tls": true, "verify_certificate": false,
        }))
        .unwrap();
        let hosts = vec![("a".to_owned(), 1), ("b".to_owned(), 26379)];
        assert_eq!(way.to, To::Sentinel { hosts, master: "m".to_owned(), password: Secret::new("s") });
        assert_eq!((way.database, way.password.reveal()), (3, "p"));
        assert_eq!(way.tls, Some(Tls { ca_file: None, verify: false, verify_name: true }));
        assert_eq!(way.shown(), "Redis \"m\" of the Sentinel at a:1, b:26379");
    }
}
