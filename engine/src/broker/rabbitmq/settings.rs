//! How to reach a RabbitMQ broker: settings as people have them, and the address that they mean.
//!
//! An address is read as Celery, Dramatiq and pika read it, so that the app's own `broker_url` can be used as it is. Several
//! addresses in one are refused: which of the brokers has the queue is not for us to guess.

use std::{fs, path::Path};

use autoscalebot_core::registry::Problem;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// Half-dead connections are noticed after two of these; RabbitMQ's makers advise 5 to 20.
const HEARTBEAT_SECONDS: u16 = 15;

/// Larger frames only mean larger buffers: what we read is small.
const LONGEST_FRAME_BYTES: u32 = 32 * 1024;

/// What RabbitMQ calls the virtual host of those who name none.
const DEFAULT_VIRTUAL_HOST: &str = "/";

/// User and password of a broker that nobody has set up. It lets them in from its own machine only.
const DEFAULT_USER: &str = "guest";

/// An address that is right.
const EXAMPLE: &str = "amqp://user:password@host:5672/virtualhost";

/// How to reach a RabbitMQ broker; flattened into the settings of every backend that needs one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The host of RabbitMQ.
    pub host: String,
    /// The port of RabbitMQ.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The user.
    pub user: String,
    /// The user's password. Without it, the user's name, which is right for `guest` on a new broker.
    pub password: Secret,
    /// The virtual host.
    pub virtual_host: String,
    /// The whole address instead, as in Celery's `broker_url`: `amqp://user:password@host:5672/virtualhost`, or `amqps://`
    /// for an encrypted connection. It takes the place of the five settings above.
    pub url: Secret,
    /// A file with the certificates (PEM) of whoever vouches for the broker, where the system's own do not suffice.
    pub ca_file: Option<String>,
    /// The address of RabbitMQ's management API, such as `http://host:15672`, for what AMQP does not tell: what is in
    /// progress, and since when the oldest message waits. User and password are the same, unless the address has its own:
    /// `https://user:password@host:15671`.
    pub management_url: Secret,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5672,
            user: DEFAULT_USER.to_owned(),
            password: Secret::default(),
            virtual_host: DEFAULT_VIRTUAL_HOST.to_owned(),
            url: Secret::default(),
            ca_file: None,
            management_url: Secret::default(),
        }
    }
}

/// Where the management API is. Holds secrets.
pub(super) struct ManagementAddress {
    /// Without user and password.
    pub base: Url,
    pub user: String,
    pub password: Secret,
}

impl Settings {
    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let address = self.address();
        let management = address.as_ref().ok().and_then(|address| self.management(address).err());
        let mut problems: Vec<Problem> = address.as_ref().err().into_iter().cloned().chain(management).collect();
        let encrypts = address.is_ok_and(|address| address.scheme == AMQPScheme::AMQPS);
        let encrypts = encrypts || self.management_url.reveal().starts_with("https:");
        if problems.is_empty() && self.ca_file.is_some() && !encrypts {
            let found = "no connection is encrypted, so there is nobody to vouch for";
            problems.push(Problem::new("ca_file", found, "amqps:// in URL, or https:// in MANAGEMENT_URL"));
        }
        problems
    }

    /// Whether there is a management API to ask.
    #[must_use]
    pub fn has_management(&self) -> bool {
        !self.management_url.is_empty()
    }

    /// Tells one broker, and one way of reaching it, from another. Holds secrets.
    pub(super) fn key(&self) -> String {
        let Self { host, port, user, password, virtual_host, url, ca_file, management_url } = self;
        let secrets = [password, url, management_url].map(Secret::reveal);
        format!("{:?}", (host, port, user, virtual_host, ca_file, secrets))
    }

    /// The broker's address. Holds secrets.
    pub(super) fn address(&self) -> Result<AMQPUri, Problem> {
        let address = if self.url.is_empty() { self.address_of_parts()? } else { address_of(self.url.reveal())? };
        let too_long = address.vhost.len() > usize::from(u8::MAX);
        if too_long || address.vhost.contains('\0') {
            return Err(Problem::new("virtual_host", "no virtual host has such a name", "up to 255 bytes of text"));
        }
        let query = AMQPQueryString {
            heartbeat: Some(HEARTBEAT_SECONDS),
            frame_max: Some(LONGEST_FRAME_BYTES),
            ..AMQPQueryString::default()
        };
        Ok(AMQPUri { query, ..address })
    }

    fn address_of_parts(&self) -> Result<AMQPUri, Problem> {
        let Self { host, port, user, password, virtual_host, .. } = self;
        if host.is_empty() {
            return Err(Problem::new("host", "an empty name", "the name or address of a host"));
        }
        let password = if password.is_empty() { user.as_str() } else { password.reveal() };
        Ok(AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: user.clone(), password: password.to_owned() },
                host: host.clone(),
                port: *port,
            },
            vhost: virtual_host.clone(),
            query: AMQPQueryString::default(),
        })
    }

    /// The management API's address, if there is one; `address` lends its user.
    pub(super) fn management(&self, address: &AMQPUri) -> Result<Option<ManagementAddress>, Problem> {
        if self.management_url.is_empty() {
            return Ok(None);
        }
        let wrong = |found: &str| Problem::new("management_url", found, "http://host:15672");
        let mut base = Url::parse(self.management_url.reveal()).map_err(|_| wrong("this is no address"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong("this is no address of an HTTP server"));
        }
        // Both parts are decoded where an address of AMQP is.
        let mut own = AMQPUri::default();
        if !base.username().is_empty() {
            let same = format!("amqp://{}:{}@host", base.username(), base.password().unwrap_or_default());
            own = same.parse().map_err(|_| wrong("its user and password cannot be read"))?;
        }
        let login = if base.username().is_empty() { &address.authority } else { &own.authority };
        let (user, password) = (login.userinfo.username.clone(), Secret::new(login.userinfo.password.clone()));
        // They fail only for addresses without a host.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Some(ManagementAddress { base, user, password }))
    }

    /// The certificates of whoever vouches for the broker, if there are any beside the system's.
    pub(super) fn certificates(&self) -> Result<Option<String>, Problem> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let wrong = |found: String| Problem::new("ca_file", found, "a file of certificates in PEM form");
        let pem =
            fs::read_to_string(Path::new(file)).map_err(|error| wrong(format!("cannot read {file:?}: {error}")))?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(wrong(format!("there is no certificate in {file:?}")));
        }
        Ok(Some(pem))
    }
}

/// Reads an address. Its words never go into the problem, because they may hold the password.
fn address_of(url: &str) -> Result<AMQPUri, Problem> {
    let wrong = |found: &str| Problem::new("url", found, EXAMPLE);
    if url.contains(';') {
        return Err(wrong("these are several addresses"));
    }
    // Celery's names for the same: `pyamqp`, `librabbitmq`.
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("this is no address of a RabbitMQ broker"))?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "amqp" | "pyamqp" | "librabbitmq" => "amqp",
        "amqps" | "pyamqps" => "amqps",
        _ => return Err(wrong("this is no address of a RabbitMQ broker")),
    };
    let url = format!("{scheme}://{rest}");
    let mut address: AMQPUri = url.parse().map_err(|_| wrong("this is no address of a RabbitMQ broker"))?;
    // That reading takes an IPv6 address for none.
    let parsed = Url::parse(&url).map_err(|_| wrong("this is no address of a RabbitMQ broker"))?;
    let host = match parsed.host_str().unwrap_or_default() {
        "" => "localhost",
        host => host.trim_matches(['[', ']']),
    };
    if host.contains(':') || address.authority.host.is_empty() {
        host.clone_into(&mut address.authority.host);
    }
    if address.vhost.is_empty() {
        DEFAULT_VIRTUAL_HOST.clone_into(&mut address.vhost);
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_url(url: &str) -> Result<AMQPUri, Problem> {
        Settings { url: Secret::new(url), ..Settings::default() }.address()
    }

    #[test]
    fn an_address_is_read_as_celery_reads_it() {
        for (url, expected) in [
            ("amqp://", Some(("guest", "guest", "localhost", 5672, "/"))),
            ("amqp://broker", Some(("guest", "guest", "broker", 5672, "/"))),
            ("amqp://broker/", Some(("guest", "guest", "broker", 5672, "/"))),
            ("amqp://broker//", Some(("guest", "guest", "broker", 5672, "/"))),
            ("amqp://broker/%2F", Some(("guest", "guest", "broker", 5672, "/"))),
            ("pyamqp://me:p%40ss@10.0.0.1:1/jobs", Some(("me", "p@ss", "10.0.0.1", 1, "jobs"))),
            ("amqps://me:pass@broker/a%2Fb", Some(("me", "pass", "broker", 5671, "a/b"))),
            ("amqp://me:pass@[::1]:1/jobs", Some(("me", "pass", "::1", 1, "jobs"))),
            ("amqp://one/;amqp://two/", None),
            ("redis://broker", None),
            ("broker:5672", None),
        ] {
            let read = of_url(url).map(|read| (read.authority, read.vhost));
            let read = read.as_ref().map(|(AMQPAuthority { userinfo, host, port }, virtual_host)| {
                (userinfo.username.as_str(), userinfo.password.as_str(), host.as_str(), *port, virtual_host.as_str())
            });
            assert_eq!(read.ok(), expected, "{url}");
        }
    }

    #[test]
    fn a_wrong_address_is_told_without_showing_it() {
        for settings in [
            Settings { url: Secret::new("amqp://me:hunter2@"), ..Settings::default() },
            Settings { url: Secret::new("http://me:hunter2@broker"), ..Settings::default() },
            Settings { url: Secret::new("me:hunter2@broker"), ..Settings::default() },
            Settings { management_url: Secret::new("me:hunter2@broker"), ..Settings::default() },
            Settings { management_url: Secret::new("amqp://me:hunter2@broker"), ..Settings::default() },
        ] {
            let problems = settings.problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(!format!("{problems:?} {settings:?}").contains("hunter2"), "{problems:?}");
        }
    }

    #[test]
    fn the_management_api_has_the_same_user_unless_its_address_names_one() {
        let login = |url: &str| {
            let (user, password) = ("app".to_owned(), Secret::new("secret"));
            let settings = Settings { user, password, management_url: Secret::new(url), ..Settings::default() };
            let found = settings.management(&settings.address().unwrap()).unwrap().unwrap();
            (found.user, found.password.reveal().to_owned(), found.base.to_string())
        };
        let expected = |user: &str, password: &str| (user.into(), password.into(), "http://broker:15672/".into());
        assert_eq!(login("http://broker:15672"), expected("app", "secret"));
        assert_eq!(login("http://monitor:p%40ss@broker:15672"), expected("monitor", "p@ss"));
    }

    #[test]
    fn certificates_without_an_encrypted_connection_are_a_slip() {
        let settings = |url: &str, management: &str| Settings {
            url: Secret::new(url),
            management_url: Secret::new(management),
            ca_file: Some("authority.pem".to_owned()),
            ..Settings::default()
        };
        for (url, management, count) in [
            ("amqp://broker", "", 1),
            ("amqps://broker", "", 0),
            ("amqp://broker", "http://broker", 1),
            ("amqp://broker", "https://broker", 0),
        ] {
            assert_eq!(settings(url, management).problems().len(), count, "{url} {management}");
        }
    }
}
