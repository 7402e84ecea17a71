//! Where the server listens, and whether it may.
//!
//! Whoever reaches the server sees everything and can scale; so without tokens it listens on loopback only, where the
//! machine's own users are. A bare port means loopback too: reaching further is something to be said outright.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use autoscalebot_engine::{
    environment::{Environment, OPERATE_TOKEN, READ_TOKEN, Variable},
    secret::Secret,
};

/// A shorter token can be guessed: 16 letters of hexadecimal are 64 bits, far beyond what the rate limit lets anybody try.
const SHORTEST_TOKEN: usize = 16;

/// The tokens that open the server.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// For looking.
    pub read: Option<Secret>,
    /// For looking and commanding.
    pub operate: Option<Secret>,
}

/// Where to listen, and who may ask.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The address; port 0 is any free one.
    pub address: SocketAddr,
    /// The tokens. Without any, everybody who reaches the server may do everything.
    pub tokens: Tokens,
    /// Whether it was said that everybody may reach it without a token, by whatever name.
    pub is_insecure: bool,
}

impl Tokens {
    /// Those of the environment.
    ///
    /// # Errors
    /// When one is too short, or holds what no header can carry; or both are the same.
    pub fn find(environment: &Environment) -> Result<Self, String> {
        let (read, operate) = (token(environment, READ_TOKEN)?, token(environment, OPERATE_TOKEN)?);
        if let (Some(read), Some(operate)) = (&read, &operate)
            && read.reveal() == operate.reveal()
        {
            let (read, operate) = (READ_TOKEN.name, OPERATE_TOKEN.name);
            return Err(format!("{read} and {operate} are the same: whoever may look could do everything"));
        }
        Ok(Self { read, operate })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.is_none() && self.operate.is_none()
    }
}

fn token(environment: &Environment, variable: Variable) -> Result<Option<Secret>, String> {
    let Some(token) = environment.secret(variable) else { return Ok(None) };
    let (name, text) = (variable.name, token.reveal());
    if text.len() < SHORTEST_TOKEN {
        return Err(format!(
            "{name} is too short: a token has at least {SHORTEST_TOKEN} letters; \
             `openssl rand -hex 24` makes a good one"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{name} holds letters that cannot be sent: letters, digits and signs of ASCII, no spaces"));
    }
    Ok(Some(token))
}

impl Listen {
    /// The wish of a command line.
    ///
    /// # Errors
    /// When it is no address, or one that must not be listened on without a token.
    pub fn find(wish: &str, is_insecure: bool, environment: &Environment) -> Result<Self, String> {
        let address = address(wish)?;
        let tokens = Tokens::find(environment)?;
        if tokens.is_empty() && !is_insecure && !address.ip().is_loopback() {
            return Err(format!(
                "--listen {wish}: whoever reaches this address could see everything and scale, because no token is \
                 set; set {} (and {} for those who only look), or listen on 127.0.0.1, or say --insecure if \
                 something in front asks who it is",
                OPERATE_TOKEN.name, READ_TOKEN.name
            ));
        }
        Ok(Self { address, tokens, is_insecure })
    }
}

/// `127.0.0.1:8080`, `[::]:8080`, `localhost:8080`; `8080` and `:8080` are loopback.
fn address(wish: &str) -> Result<SocketAddr, String> {
    let loopback = |port: &str| port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let bare = wish.strip_prefix("localhost:").or_else(|| wish.strip_prefix(':')).unwrap_or(wish);
    bare.parse().ok().or_else(|| loopback(bare)).ok_or_else(|| {
        format!(
            "--listen {wish:?} is no address to listen on: an IP address and a port such as 127.0.0.1:8080 or \
             0.0.0.0:8080, or a port alone, which means 127.0.0.1"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef";

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn a_bare_port_is_loopback() {
        for (wish, meant) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("localhost:0", "127.0.0.1:0"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            let listen = Listen::find(wish, false, &Environment::default()).unwrap();
            assert_eq!(listen.address.to_string(), meant, "{wish}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wish in ["", "here", "127.0.0.1", "127.0.0.1:80800", "localhost:http", "::1:8080:"] {
            assert!(Listen::find(wish, false, &Environment::default()).is_err(), "{wish}");
        }
    }

    #[test]
    fn without_a_token_only_loopback_is_listened_on_unless_somebody_insists() {
        let nobody = Environment::default();
        let error = Listen::find("0.0.0.0:8080", false, &nobody).unwrap_err();
        assert!(error.contains(OPERATE_TOKEN.name) && error.contains("--insecure"), "{error}");
        assert!(Listen::find("[::]:8080", false, &nobody).is_err());
        assert!(Listen::find("0.0.0.0:8080", true, &nobody).is_ok());
        for variable in [READ_TOKEN, OPERATE_TOKEN] {
            assert!(Listen::find("0.0.0.0:8080", false, &environment(&[(variable.name, LONG)])).is_ok());
        }
    }

    #[test]
    fn one_token_for_looking_and_for_commands_is_refused() {
        let same = environment(&[(READ_TOKEN.name, LONG), (OPERATE_TOKEN.name, LONG)]);
        let error = Listen::find("8080", false, &same).unwrap_err();
        assert!(error.contains(READ_TOKEN.name) && !error.contains(LONG), "{error}");
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused_without_repeating_it() {
        for bad in ["hunter2", "with spaces in its midst", "wörter-über-wörter"] {
            let error = Listen::find("8080", false, &environment(&[(READ_TOKEN.name, bad)])).unwrap_err();
            assert!(error.contains(READ_TOKEN.name) && !error.contains(bad), "{error}");
        }
    }
}
