//! Who may do what, decided for every request before anything else looks at it.
//!
//! ```text
//!  request ─► name of the server ─► how often ─► token ─► role ─► whose page sent it ─► the rest
//! ```
//!
//! What is not said to be public needs a token, also what does not exist. Three doors are closed that a browser would
//! leave open: a foreign page can send a command but not one of JSON (and browsers say whose page it was); a foreign name
//! that suddenly means 127.0.0.1 is none of the names of this server; and no answer allows itself to be read elsewhere.

use std::net::IpAddr;

use autoscalebot_engine::secret::Secret;
use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{failure::Failure, limits::Limits, listen::Listen};

/// What somebody may do. Who may operate may also read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Look and command.
    Operate,
}

/// The rules of one server.
pub struct Access {
    /// Digests, so that comparing takes as long whatever the length of the token.
    read: Option<[u8; 32]>,
    operate: Option<[u8; 32]>,
    is_insecure: bool,
    limits: Limits,
}

impl Access {
    /// The rules for this way of listening.
    #[must_use]
    pub fn new(listen: &Listen) -> Self {
        let digest = |token: &Option<Secret>| token.as_ref().map(|token| digest(token.reveal()));
        Self {
            read: digest(&listen.tokens.read),
            operate: digest(&listen.tokens.operate),
            is_insecure: listen.is_insecure,
            limits: Limits::new(),
        }
    }

    /// The role of whoever sends this request, when it may be answered.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, request: &Parts, client: IpAddr) -> Result<Role, Failure> {
        let path = request.uri.path();
        if !self.has_tokens() && !self.is_insecure && !is_loopback_name(host(request)) {
            let message =
                "without tokens this server answers only to names of this machine: localhost, 127.0.0.1, [::1]";
            return Err(Failure::new(StatusCode::FORBIDDEN, "wrong_host", message));
        }
        // Platforms ask these; whoever shares an address with them must not be able to make them look ill.
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(Role::Read);
        }
        let is_command = !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        self.limits.read(client)?;
        if is_command {
            self.limits.command(client)?;
        }
        if is_public(path) {
            return Ok(Role::Read);
        }
        let role = self.role(&request.headers, client)?;
        if is_command {
            if role < Role::Operate {
                let message = "this token may only look; commands need the token of AUTOSCALEBOT_OPERATE_TOKEN";
                return Err(Failure::new(StatusCode::FORBIDDEN, "read_only", message));
            }
            from_our_own_page(request)?;
        }
        Ok(role)
    }

    fn has_tokens(&self) -> bool {
        self.read.is_some() || self.operate.is_some()
    }

    fn role(&self, headers: &HeaderMap, client: IpAddr) -> Result<Role, Failure> {
        if !self.has_tokens() {
            return Ok(Role::Operate);
        }
        let refused = |message: &str| Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        let Some(said) = headers.get(header::AUTHORIZATION) else {
            return Err(refused("a token is needed: send `Authorization: Bearer TOKEN`"));
        };
        let said = said.to_str().unwrap_or_default();
        let token = said.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let said = digest(token.map_or("", |(_, token)| token.trim()));
        let is = |token: &Option<[u8; 32]>| token.as_ref().is_some_and(|token| bool::from(token.ct_eq(&said)));
        // Both are always compared.
        match (is(&self.operate), is(&self.read)) {
            (true, _) => Ok(Role::Operate),
            (false, true) => Ok(Role::Read),
            (false, false) => {
                self.limits.wrong_token(client)?;
                Err(refused("this token is not one of this server's"))
            }
        }
    }
}

/// The files of the dashboard hold nothing but the dashboard, and whoever opens it has no token yet.
fn is_public(path: &str) -> bool {
    path == "/" || path.starts_with("/assets/")
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn host(request: &Parts) -> Option<&str> {
    let header = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri.authority().map(axum::http::uri::Authority::as_str))
}

/// With any port: who reaches us through a tunnel sees another one than we do, and a port protects from nothing here.
fn is_loopback_name(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_loopback = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_port && (name.eq_ignore_ascii_case("localhost") || is_loopback)
}

/// Browsers say whose page sends a request. What is no browser says nothing.
fn from_our_own_page(request: &Parts) -> Result<(), Failure> {
    let value = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let is_foreign = match (value("sec-fetch-site"), value("origin")) {
        (Some(site), _) if !matches!(site, "same-origin" | "none") => true,
        (_, Some(origin)) => origin.split_once("://").map(|(_, place)| place) != host(request),
        _ => false,
    };
    if is_foreign {
        let message = "a command from a page of somebody else is not obeyed; if it is your own page behind a proxy, let \
                       the proxy keep the Host header";
        return Err(Failure::new(StatusCode::FORBIDDEN, "foreign_page", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::listen::Tokens;

    const READ: &str = "read-read-read-read";
    const OPERATE: &str = "operate-operate-operate";

    fn access(read: Option<&str>, operate: Option<&str>) -> Access {
        let tokens = Tokens { read: read.map(Secret::new), operate: operate.map(Secret::new) };
        Access::new(&Listen { address: ([127, 0, 0, 1], 8080).into(), tokens, is_insecure: false })
    }

    /// Status of the refusal, or the role.
    fn ask(access: &Access, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Role, u16> {
        let mut request = axum::http::Request::builder().method(method).uri(path).header("host", "localhost:8080");
        for (name, value) in headers {
            if *name == "host" {
                request.headers_mut().unwrap().remove("host");
            }
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        access.check(&parts, IpAddr::from([127, 0, 0, 1])).map_err(|failure| failure.status.as_u16())
    }

    #[test]
    fn a_read_token_looks_and_an_operate_token_does_both() {
        let access = access(Some(READ), Some(OPERATE));
        let bearer = |token: &str| format!("Bearer {token}");
        let (read, operate) = (bearer(READ), bearer(OPERATE));
        let get = |token: &str| ask(&access, "GET", "/api/v1/processes", &[("authorization", token)]);
        let post = |token: &str| ask(&access, "POST", "/api/v1/commands", &[("authorization", token)]);
        assert_eq!((get(&read), post(&read)), (Ok(Role::Read), Err(403)));
        assert_eq!((get(&operate), post(&operate)), (Ok(Role::Operate), Ok(Role::Operate)));
        assert_eq!(get(&bearer("something-else-entirely")), Err(401));
        assert_eq!(get(READ), Err(401));
        assert_eq!(get(&read.replace("Bearer", "bearer")), Ok(Role::Read));
        assert_eq!(ask(&access, "GET", "/api/v1/processes", &[]), Err(401));
    }

    #[test]
    fn with_only_an_operate_token_looking_needs_it_too() {
        let access = access(None, Some(OPERATE));
        assert_eq!(ask(&access, "GET", "/api/v1/processes", &[]), Err(401));
        assert_eq!(
            ask(&access, "GET", "/metrics", &[("authorization", &format!("Bearer {OPERATE}"))]),
            Ok(Role::Operate)
        );
    }

    #[test]
    fn with_only_a_read_token_nobody_commands() {
        let access = access(Some(READ), None);
        assert_eq!(ask(&access, "POST", "/api/v1/commands", &[("authorization", &format!("Bearer {READ}"))]), Err(403));
    }

    #[test]
    fn only_the_dashboards_files_and_the_probes_need_no_token() {
        let access = access(Some(READ), None);
        for path in ["/", "/assets/app.js", "/healthz", "/readyz"] {
            assert_eq!(ask(&access, "GET", path, &[]), Ok(Role::Read), "{path}");
        }
        for path in ["/metrics", "/api/v1/openapi.json", "/api/v1/nothing", "/nothing", "//", "/assets"] {
            assert_eq!(ask(&access, "GET", path, &[]), Err(401), "{path}");
        }
    }

    #[test]
    fn too_many_wrong_tokens_are_refused_for_a_while() {
        let access = access(Some(READ), None);
        let wrong = || ask(&access, "GET", "/metrics", &[("authorization", "Bearer wrong")]);
        assert_eq!(wrong(), Err(401));
        assert!((0..20).any(|_| wrong() == Err(429)));
    }

    #[test]
    fn without_tokens_only_names_of_this_machine_are_answered_to() {
        let access = access(None, None);
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.1.2.3", "LOCALHOST:9000"] {
            assert_eq!(ask(&access, "GET", "/api/v1/processes", &[("host", host)]), Ok(Role::Operate), "{host}");
        }
        for host in
            ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost:x"]
        {
            assert_eq!(ask(&access, "GET", "/api/v1/processes", &[("host", host)]), Err(403), "{host}");
            assert_eq!(ask(&access, "GET", "/", &[("host", host)]), Err(403), "{host}");
        }
    }

    #[test]
    fn a_command_from_a_foreign_page_is_refused() {
        let access = access(None, None);
        let post = |headers: &[(&str, &str)]| ask(&access, "POST", "/api/v1/commands", headers);
        assert_eq!(post(&[]), Ok(Role::Operate));
        assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8080")]), Ok(Role::Operate));
        for site in ["cross-site", "same-site", "nonsense"] {
            assert_eq!(post(&[("sec-fetch-site", site)]), Err(403), "{site}");
        }
        for origin in ["null", "http://evil.example", "http://localhost:9000", "http://localhost"] {
            assert_eq!(post(&[("origin", origin)]), Err(403), "{origin}");
        }
    }
}
