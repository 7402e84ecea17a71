//! How much one client may ask of the server: a bucket for each address, refilled steadily.
//!
//! A client is an IP address; of IPv6 the first half, because the second is anybody's to choose. Behind a proxy all clients
//! are the proxy: what it says about whom it speaks for is not believed, because anybody could say it. The limits are wide
//! enough for an office behind one address.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::http::StatusCode;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use super::failure::Failure;

/// Questions a second: a dashboard asks three to open and then listens; with its files it is about thirty at once.
const READS: (u32, u32) = (50, 100);
/// Commands a second. People click.
const COMMANDS: (u32, u32) = (5, 10);
/// Wrong tokens a second; at this pace 64 bits take longer than there is time.
const WRONG_TOKENS: (u32, u32) = (5, 5);

/// Between so many questions, clients that have been quiet are forgotten, so that memory does not grow with all that ever
/// came.
const FORGET_EVERY: u64 = 1024;

type Limiter = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock, NoOpMiddleware>;

/// All limits of one server.
pub struct Limits {
    reads: Limiter,
    commands: Limiter,
    wrong_tokens: Limiter,
    asked: AtomicU64,
}

impl Limits {
    /// Nobody has asked anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            reads: limiter(READS),
            commands: limiter(COMMANDS),
            wrong_tokens: limiter(WRONG_TOKENS),
            asked: AtomicU64::new(0),
        }
    }

    /// # Errors
    /// When this client has asked too much lately.
    pub fn read(&self, client: IpAddr) -> Result<(), Failure> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == 0 {
            for limiter in [&self.reads, &self.commands, &self.wrong_tokens] {
                limiter.retain_recent();
            }
        }
        check(&self.reads, client, "questions")
    }

    /// # Errors
    /// When this client has commanded too much lately.
    pub fn command(&self, client: IpAddr) -> Result<(), Failure> {
        check(&self.commands, client, "commands")
    }

    /// Counts a wrong token.
    ///
    /// # Errors
    /// When this client has tried too many lately.
    pub fn wrong_token(&self, client: IpAddr) -> Result<(), Failure> {
        check(&self.wrong_tokens, client, "wrong tokens")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

fn limiter((per_second, burst): (u32, u32)) -> Limiter {
    let number = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RateLimiter::hashmap(Quota::per_second(number(per_second)).allow_burst(number(burst)))
}

fn check(limiter: &Limiter, client: IpAddr, what: &str) -> Result<(), Failure> {
    limiter.check_key(&network(client)).map_err(|not_until| {
        let wait = not_until.wait_time_from(limiter.clock().now());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let message = format!("too many {what} from this address; try again in {seconds} s");
        let status = StatusCode::TOO_MANY_REQUESTS;
        Failure { retry_after: Some(seconds.max(1)), ..Failure::new(status, "too_many", message) }
    })
}

/// What counts as one client.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn passed(check: impl Fn() -> Result<(), Failure>) -> usize {
        (0..1000).take_while(|_| check().is_ok()).count()
    }

    #[test]
    fn a_client_has_a_burst_and_others_have_their_own() {
        let limits = Limits::new();
        let (here, there) = (client("10.0.0.1"), client("10.0.0.2"));
        assert!(passed(|| limits.read(here)) >= 100);
        let refused = limits.read(here).err().or_else(|| limits.read(here).err()).unwrap();
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(1)));
        assert!(limits.read(there).is_ok());
        assert!((10..40).contains(&passed(|| limits.command(here))));
        assert!((5..20).contains(&passed(|| limits.wrong_token(here))));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        assert_eq!(network(client("2001:db8::1")), network(client("2001:db8::ffff:1")));
        assert_ne!(network(client("2001:db8::1")), network(client("2001:db8:0:1::1")));
        assert_eq!(network(client("::ffff:10.0.0.1")), client("10.0.0.1"));
    }
}
