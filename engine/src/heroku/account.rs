//! From settings and environment to a Heroku account: which address, which key, which app.
//!
//! The scaling and the measurement backend find them by the same rules, so they are here once. A key is sent to an `https`
//! address only, or to this very machine, which is what a test or a local proxy needs. Two backends with the same key
//! and address get the same [`Api`], so that they share its connections and its rate limit.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use autoscalebot_core::registry::Problem;
use reqwest::header::HeaderValue;
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::{api::Api, app::App};
use crate::{environment, secret::Secret, shared::Shared};

/// Where the Platform API is. Source: Platform API reference.
pub const DEFAULT_API_URL: &str = "https://api.heroku.com";

/// Longest app name that we send. Heroku allows 30 letters, and the 36 of a UUID in their place.
const LONGEST_APP_NAME: usize = 63;

/// The account that these settings mean, with an environment to fill in what they leave out.
///
/// # Errors
/// When there is no key, or an address that a key must not be sent to.
pub fn account(shared: &Shared, api_key: &Secret, api_url: &str) -> Result<Arc<Api>, Problem> {
    let from_environment = shared.host.environment.secret(environment::HEROKU_API_KEY);
    let key = if api_key.is_empty() { from_environment } else { Some(api_key.clone()) };
    let Some(key) = key.map(|key| Secret::new(key.reveal().trim())).filter(|key| !key.is_empty()) else {
        return Err(Problem::new(
            "api_key",
            "no Heroku API key: API_KEY is not set, and neither is the environment variable HEROKU_API_KEY",
            "a key; `heroku authorizations:create` makes one",
        ));
    };
    if HeaderValue::from_str(key.reveal()).is_err() {
        return Err(Problem::new("api_key", "it holds letters that cannot be sent", "the key as Heroku shows it"));
    }
    let given = Some(api_url).filter(|url| !url.is_empty());
    let text =
        given.or_else(|| shared.host.environment.get(environment::HEROKU_API_URL.name)).unwrap_or(DEFAULT_API_URL);
    let url = address("api_url", text)?;
    let fingerprint = fingerprint(&url, &key);
    let api = shared.pool.get_or_make(&fingerprint, || {
        Api::new(url.clone(), key.clone(), fingerprint.clone(), &shared.http, shared.clock.clone())
    });
    shared.observables.add(&api);
    Ok(api)
}

/// The one [`App`] of this account and name.
#[must_use]
pub fn app(shared: &Shared, account: &Arc<Api>, name: &str) -> Arc<App> {
    let key = format!("{}:{name}", account.fingerprint());
    shared.pool.get_or_make(&key, || App::new(account.clone(), name))
}

/// An address that a secret may be sent to.
///
/// # Errors
/// When it is none.
pub fn address(path: &'static str, text: &str) -> Result<Url, Problem> {
    let allowed = "https://…, or http://… on this machine (127.0.0.1, localhost)";
    let url = Url::parse(text.trim()).map_err(|error| Problem::new(path, format!("{text:?}: {error}"), allowed))?;
    if url.host().is_none() || !matches!(url.scheme(), "http" | "https") {
        return Err(Problem::new(path, format!("{text:?} is not a web address"), allowed));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::new(
            path,
            "it holds a user or a password",
            "an address without; the key goes into API_KEY",
        ));
    }
    if url.scheme() == "http" && !is_this_machine(&url) {
        let found = format!("{text:?} is not encrypted: everybody on the way could read the API key");
        return Err(Problem::new(path, found, allowed));
    }
    Ok(url)
}

/// Whether an address never leaves this machine.
#[must_use]
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// What is wrong with an app name; it becomes part of the path of every call.
#[must_use]
pub fn app_name_problem(name: &str) -> Option<Problem> {
    let allowed =
        "the app's name as in `heroku apps`: lower-case letters, digits and dashes, such as dancing-forest-1234";
    if name.is_empty() {
        return Some(Problem::new("app_name", "it is missing", allowed));
    }
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let is_legal = name.len() <= LONGEST_APP_NAME && name.chars().all(legal);
    (!is_legal).then(|| Problem::new("app_name", format!("found {name:?}"), allowed))
}

/// Stands for an address and a key where the key itself must not lie about.
fn fingerprint(url: &Url, key: &Secret) -> String {
    let mut hash = Sha256::new();
    hash.update(url.as_str());
    hash.update([0]);
    hash.update(key.reveal());
    let mut text = String::from("heroku:");
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, environment::Environment};

    fn shared(environment: &[(&str, &str)]) -> Arc<Shared> {
        let environment: Environment = environment.iter().copied().collect();
        Shared::new(Arc::new(SystemClock::new()), environment)
    }

    #[test]
    fn a_key_is_sent_to_https_or_to_this_machine_only() {
        for good in ["https://api.heroku.com", "http://127.0.0.1:5000", "http://localhost:1", "http://[::1]:7/"] {
            assert!(address("api_url", good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.heroku.com",
            "http://127.0.0.1.example.com",
            "ftp://x",
            "api.heroku.com",
            "https://a:b@c.example",
        ] {
            assert!(address("api_url", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_come_before_the_environment_and_the_environment_before_the_default() {
        let empty = Secret::default();
        let problem = account(&shared(&[]), &empty, "").map(|_| ()).unwrap_err();
        assert!(problem.to_string().contains("HEROKU_API_KEY"), "{problem}");

        let environment = shared(&[("HEROKU_API_KEY", "from-environment"), ("HEROKU_API_URL", "http://127.0.0.1:9")]);
        let api = account(&environment, &empty, "").unwrap();
        assert_eq!(api.shown_url(), "http://127.0.0.1:9/");
        let other = account(&environment, &Secret::new("from-settings"), "https://api.example.com").unwrap();
        assert_eq!(other.shown_url(), "https://api.example.com/");
        assert_ne!(api.fingerprint(), other.fingerprint());
        assert_eq!(
            account(&shared(&[("HEROKU_API_KEY", "x")]), &empty, "").unwrap().shown_url(),
            "https://api.heroku.com/"
        );
    }

    #[test]
    fn the_same_key_and_address_are_the_same_account_and_show_no_key() {
        let shared = shared(&[]);
        let key = Secret::new("swordfish");
        let first = account(&shared, &key, "https://api.example.com").unwrap();
        let second = account(&shared, &Secret::new(" swordfish\n"), "https://api.example.com/").unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!first.fingerprint().contains("swordfish"));
        assert!(!format!("{first:?}").contains("swordfish"));
        assert!(Arc::ptr_eq(&app(&shared, &first, "a-b"), &app(&shared, &second, "a-b")));
    }

    #[test]
    fn an_app_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(app_name_problem("dancing-forest-1234"), None);
        assert_eq!(app_name_problem("01234567-89ab-cdef-0123-456789abcdef"), None);
        for bad in ["", "a/b", "../account", "a?b", "a b", "a%2f", &"x".repeat(64)] {
            assert!(app_name_problem(bad).is_some(), "{bad}");
        }
    }
}
