//! Addresses of Redis as one text, as Celery (kombu) and redis-py write them.
//!
//! `redis://`, `rediss://` (TLS), `unix://` and Celery's `redis+socket://`, and `sentinel://`; several of them with `;`
//! between, where Sentinels or nodes of a Cluster are meant. What follows `?` tunes their client, not the server, and is
//! passed over, but for what decides whom to talk to and whom to trust. Sources: `parse_url` of redis-py 7, `url_to_parts`
//! and `SentinelChannel` of kombu 5.7.

use std::path::PathBuf;

use url::Url;

use crate::secret::Secret;

/// Where Redis listens unless told otherwise.
const REDIS_PORT: u16 = 6379;

/// Where a Sentinel listens unless told otherwise.
pub(super) const SENTINEL_PORT: u16 = 26379;

/// What an address says, and what it leaves open.
#[derive(Debug, Default)]
pub(super) struct Address {
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) socket: Option<PathBuf>,
    pub(super) sentinel: bool,
    pub(super) tls: bool,
    pub(super) username: Secret,
    pub(super) password: Secret,
    pub(super) database: Option<u16>,
    pub(super) ca_file: Option<String>,
    /// `ssl_cert_reqs=none`, or `#insecure`
    pub(super) unverified: bool,
    /// `ssl_check_hostname=false`
    pub(super) any_name: bool,
}

/// What is wrong with an address, and what would be right; never a part of it.
type Wrong = (&'static str, &'static str);

const NO_ADDRESS: Wrong = ("this is no address of a Redis server", "redis://user:password@host:6379/0");

/// Reads an address.
pub(super) fn parse(text: &str) -> Result<Address, Wrong> {
    let mut address = Address::default();
    let mut schemes = Vec::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let url = Url::parse(part.trim()).map_err(|_| NO_ADDRESS)?;
        read(&url, &mut address)?;
        schemes.push(url.scheme().to_owned());
    }
    let Some(first) = schemes.first() else { return Err(NO_ADDRESS) };
    if schemes.iter().any(|scheme| scheme != first) {
        return Err(("addresses of different kinds", "the same word before every ://"));
    }
    if schemes.len() > 1 && address.socket.is_some() {
        return Err(("several unix sockets", "one"));
    }
    Ok(address)
}

/// `host`, `host:port`, `[::1]:port`
pub(super) fn host_and_port(text: &str, port: u16) -> Option<(String, u16)> {
    let url = Url::parse(&format!("redis://{}", text.trim())).ok()?;
    let alone = url.path().trim_matches('/').is_empty() && url.query().is_none() && url.username().is_empty();
    alone.then(|| Some((host(&url)?, url.port().unwrap_or(port))))?
}

fn read(url: &Url, address: &mut Address) -> Result<(), Wrong> {
    let mut database = url.path().to_owned();
    match url.scheme() {
        "redis" | "valkey" => address.hosts.push((host(url).ok_or(NO_ADDRESS)?, url.port().unwrap_or(REDIS_PORT))),
        "rediss" | "valkeys" => {
            address.tls = true;
            address.hosts.push((host(url).ok_or(NO_ADDRESS)?, url.port().unwrap_or(REDIS_PORT)));
        }
        "sentinel" => {
            address.sentinel = true;
            address.hosts.push((host(url).ok_or(NO_ADDRESS)?, url.port().unwrap_or(SENTINEL_PORT)));
        }
        "unix" | "redis+socket" | "redis+unix" => {
            let path = decoded(url.path()).filter(|path| path.len() > 1);
            address.socket = Some(path.ok_or(("no path of a unix socket", "unix:///path/redis.sock?db=0"))?.into());
            database.clear();
        }
        _ => return Err(NO_ADDRESS),
    }
    if !url.username().is_empty() {
        address.username = Secret::new(decoded(url.username()).ok_or(NO_ADDRESS)?);
    }
    if let Some(password) = url.password() {
        address.password = Secret::new(decoded(password).ok_or(NO_ADDRESS)?);
    }
    for (name, value) in url.query_pairs() {
        match &*name {
            "db" | "virtual_host" => database = value.into_owned(),
            "ssl_cert_reqs" => match value.to_lowercase().trim_start_matches("cert_") {
                "none" => address.unverified = true,
                "required" | "optional" => {}
                _ => return Err(("an unknown value of ssl_cert_reqs", "required or none")),
            },
            "ssl_ca_certs" => address.ca_file = Some(value.into_owned()),
            "ssl_check_hostname" => address.any_name |= value.eq_ignore_ascii_case("false"),
            "ssl_certfile" | "ssl_keyfile" => {
                return Err(("a certificate of our own (ssl_certfile)", "a user and a password instead"));
            }
            "ssl_ca_path" | "ssl_ca_data" => {
                return Err(("authorities that are not in one file", "ssl_ca_certs or CA_FILE"));
            }
            _ => {}
        }
    }
    match url.fragment() {
        None | Some("") => {}
        Some("insecure") => address.unverified = true,
        Some(_) => return Err(("something unknown after #", "nothing, or #insecure")),
    }
    match database.trim_matches('/') {
        "" => {}
        number => {
            let wrong = ("a database that is no number", "a number after the last /, such as redis://host:6379/0");
            address.database = Some(number.parse().map_err(|_| wrong)?);
        }
    }
    Ok(())
}

fn host(url: &Url) -> Option<String> {
    match url.host()? {
        url::Host::Domain(name) => decoded(name).filter(|name| !name.is_empty()),
        url::Host::Ipv4(address) => Some(address.to_string()),
        // Without the brackets of the URL, so that it reads as an address.
        url::Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// Without `%40` and the like.
fn decoded(text: &str) -> Option<String> {
    // A query's value is decoded by the same rules, but for the sign of a blank.
    let query = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let (_, value) = url::form_urlencoded::parse(query.as_bytes()).next()?;
    (!value.contains('\u{fffd}')).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_celery_and_redis_py_write_them() {
        let hosts = |address: &Address| {
            address.hosts.iter().map(|(host, port)| format!("{host} {port}")).collect::<Vec<_>>().join(", ")
        };
        for (text, expected_hosts, expected_database) in [
            ("redis://h", "h 6379", None),
            ("redis://h:7/3", "h 7", Some(3)),
            ("redis://h:7//3", "h 7", Some(3)),
            ("redis://h?db=2", "h 6379", Some(2)),
            ("redis://h/1?socket_timeout=5&health_check_interval=10", "h 6379", Some(1)),
            ("redis://[::1]:7", "::1 7", None),
            ("sentinel://a:1;sentinel://b/2", "a 1, b 26379", Some(2)),
            ("sentinel://a:1/0;sentinel://b:2;", "a 1, b 2", Some(0)),
            ("redis://a:1;redis://b:2", "a 1, b 2", None),
        ] {
            let address = parse(text).unwrap();
            assert_eq!((&*hosts(&address), address.database), (expected_hosts, expected_database), "{text}");
        }
        for text in
            ["", "h:6379", "redis://", "redis:///0", "redis://h/x", "redis://h/70000", "ftp://h", "unix://", "/tmp/s"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("redis://a;rediss://b").is_err());
        assert!(parse("rediss://a?ssl_certfile=f").is_err());
    }

    #[test]
    fn users_and_passwords_may_hold_any_sign() {
        let address = parse("redis://a%40b:p%2F+%26%20%E2%82%AC@h").unwrap();
        assert_eq!((address.username.reveal(), address.password.reveal()), ("a@b", "p/+& €"));
        assert_eq!(parse("redis://:p@h").unwrap().password.reveal(), "p");
    }

    #[test]
    fn whom_to_trust_is_read_from_both_spellings() {
        for text in ["rediss://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=CERT_NONE", "rediss://h/0#insecure"] {
            assert!(parse(text).unwrap().unverified, "{text}");
        }
        let address = parse("rediss://h?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=/etc/a.pem&ssl_check_hostname=False");
        let address = address.unwrap();
        assert_eq!(
            (address.unverified, address.any_name, address.ca_file.as_deref()),
            (false, true, Some("/etc/a.pem"))
        );
        assert!(parse("rediss://h?ssl_cert_reqs=maybe").is_err());
    }

    #[test]
    fn a_unix_socket_has_a_path_and_its_database_in_the_query() {
        for text in ["unix:///tmp/a%20b.sock?db=4", "redis+socket:///tmp/a%20b.sock?virtual_host=4"] {
            let address = parse(text).unwrap();
            assert_eq!((address.socket, address.database), (Some("/tmp/a b.sock".into()), Some(4)), "{text}");
        }
    }

    #[test]
    fn a_host_may_stand_without_its_port() {
        assert_eq!(host_and_port("h", 5), Some(("h".to_owned(), 5)));
        assert_eq!(host_and_port(" h:6 ", 5), Some(("h".to_owned(), 6)));
        assert_eq!(host_and_port("[::1]:6", 5), Some(("::1".to_owned(), 6)));
        for text in ["", ":6", "h:x", "h/0", "u@h"] {
            assert_eq!(host_and_port(text, 5), None, "{text}");
        }
    }
}
