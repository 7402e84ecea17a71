//! Who we are for AWS, found where its own tools look for it.
//!
//! In this order: settings; `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; the role of a container (ECS, and Pod Identity
//! on EKS); the role of a machine (EC2, by its metadata service, version 2). The profiles of `~/.aws` and web identities
//! are not read. A role's credentials end after some hours and are fetched anew before that; while they hold and the
//! new ones cannot be fetched, the old ones are used. Nothing of them is ever shown.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use tokio::{sync::Mutex, time::timeout};
use url::{Host, Url};

use crate::{
    broker::pause::Pause,
    clock::Clock,
    environment::{self, Environment},
    http::{self, Connecting},
    measurement::MeasureError,
    shared::Shared,
};

/// The metadata service is on the machine itself: where it is, it answers at once. All its questions together.
const PATIENCE: Duration = Duration::from_secs(2);

/// Credentials are a few hundred bytes, a token some more.
const LONGEST_ANSWER: usize = 64 * 1024;

/// So long before their end new ones are fetched. AWS offers new ones five minutes before.
const EARLY: SignedDuration = SignedDuration::from_mins(4);

/// How long we want the metadata service to know us: the least it grants, because we fetch at most twice in that time.
const TOKEN_SECONDS: &str = "60";

/// Where ECS tells a container its credentials.
const CONTAINERS: &str = "http://169.254.170.2";

/// Other addresses that may be asked without encryption: those of ECS and EKS on the machine itself.
const ON_THE_MACHINE: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Where EC2 tells a machine about itself.
const METADATA: &str = "http://169.254.169.254";

/// Where credentials come from; one for all bots of a program.
pub struct Source {
    environment: Environment,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    credentials: Option<(Credentials, Timestamp)>,
    pause: Pause,
}

impl Source {
    /// What the program's environment offers; the same one for all who ask.
    pub fn of(shared: &Shared) -> Arc<Self> {
        shared.pool.get_or_make("", || Self {
            environment: shared.host.environment.clone(),
            clock: shared.clock.clone(),
            http: shared.http.get(Connecting { reuse: false, follow_redirects: false }),
            held: Mutex::default(),
        })
    }

    /// Credentials that hold now.
    ///
    /// # Errors
    /// When there are none, and where they were looked for.
    pub async fn get(&self) -> Result<Credentials, MeasureError> {
        let variable = |variable: environment::Variable| self.environment.get(variable.name);
        if let (Some(id), Some(secret)) =
            (variable(environment::AWS_ACCESS_KEY_ID), variable(environment::AWS_SECRET_ACCESS_KEY))
        {
            let token = variable(environment::AWS_SESSION_TOKEN).map(str::to_owned);
            return Ok(Credentials::new(id, secret, token, None, "environment"));
        }
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let holds = |until: Timestamp, early: SignedDuration| now.civil.duration_until(until) > early;
        let kept = held.credentials.clone().filter(|(_, until)| holds(*until, SignedDuration::ZERO));
        if let Some((credentials, until)) = &kept
            && holds(*until, EARLY)
        {
            return Ok(credentials.clone());
        }
        let fetched = match held.pause.check(&now) {
            Ok(()) => {
                let fetched =
                    timeout(PATIENCE, self.fetch()).await.unwrap_or_else(|_| Err(self.none("did not answer")));
                match &fetched {
                    Ok(_) => held.pause.succeeded(),
                    Err(error) => held.pause.failed(error, &self.clock.now()),
                }
                fetched
            }
            Err(error) => Err(error),
        };
        match (fetched, kept) {
            (Ok((credentials, until)), _) => {
                held.credentials = Some((credentials.clone(), until));
                Ok(credentials)
            }
            (Err(_), Some((credentials, _))) => Ok(credentials),
            (Err(error), None) => Err(error),
        }
    }

    /// AWS does not take them any more: the next question fetches new ones.
    pub async fn forget(&self) {
        self.held.lock().await.credentials = None;
    }

    async fn fetch(&self) -> Result<(Credentials, Timestamp), MeasureError> {
        let answer = match self.container()? {
            Some(request) => self.ask(request).await?,
            None => self.ask_machine().await?,
        };
        let role: Role = serde_json::from_str(&answer).map_err(|_| self.none("answers with something else"))?;
        let Role { access_key_id, secret_access_key, token, expiration } = role;
        let credentials = Credentials::new(access_key_id, secret_access_key, Some(token), None, "role");
        Ok((credentials, expiration))
    }

    /// The question of a container; nothing when we are in none.
    fn container(&self) -> Result<Option<RequestBuilder>, MeasureError> {
        let variable = |variable: environment::Variable| self.environment.get(variable.name);
        let relative = variable(environment::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI);
        let whole = relative.map(|path| format!("{CONTAINERS}{path}"));
        let whole = whole.or_else(|| variable(environment::AWS_CONTAINER_CREDENTIALS_FULL_URI).map(str::to_owned));
        let Some(whole) = whole else { return Ok(None) };
        let url: Url = whole.parse().map_err(|_| self.none("has no address"))?;
        if !may_be_asked(&url) {
            return Err(self.none("is neither encrypted nor on this machine, and is not asked"));
        }
        let in_file = || {
            let path = variable(environment::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)?;
            // A few bytes of a file in memory; they change every day.
            std::fs::read_to_string(path).ok()
        };
        let token = in_file().or_else(|| variable(environment::AWS_CONTAINER_AUTHORIZATION_TOKEN).map(str::to_owned));
        let request = self.http.get(url);
        Ok(Some(match token {
            Some(token) => request.header("authorization", token.trim()),
            None => request,
        }))
    }

    /// The question of a machine: a token for us, the name of its role, the role's credentials.
    async fn ask_machine(&self) -> Result<String, MeasureError> {
        let variable = |variable: environment::Variable| self.environment.get(variable.name);
        if variable(environment::AWS_EC2_METADATA_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(self.none("is switched off (AWS_EC2_METADATA_DISABLED)"));
        }
        let place = variable(environment::AWS_EC2_METADATA_SERVICE_ENDPOINT).unwrap_or(METADATA).trim_end_matches('/');
        let token = self.http.request(Method::PUT, format!("{place}/latest/api/token"));
        let token = self.ask(token.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS)).await?;
        let get = |path: &str| {
            let roles = format!("{place}/latest/meta-data/iam/security-credentials/{path}");
            self.ask(self.http.get(roles).header("x-aws-ec2-metadata-token", token.as_str()))
        };
        let roles = get("").await?;
        let role = roles.lines().next().unwrap_or_default().trim().to_owned();
        get(&role).await
    }

    async fn ask(&self, request: RequestBuilder) -> Result<String, MeasureError> {
        let answer = http::fetch(request, PATIENCE, LONGEST_ANSWER).await.map_err(|_| self.none("did not answer"))?;
        if !answer.status.is_success() {
            return Err(self.none(&format!("answers with status {}", answer.status.as_u16())));
        }
        String::from_utf8(answer.body.to_vec()).map_err(|_| self.none("answers with something else"))
    }

    fn none(&self, what: &str) -> MeasureError {
        let in_container =
            [environment::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, environment::AWS_CONTAINER_CREDENTIALS_FULL_URI];
        let is_in_container = in_container.iter().any(|variable| self.environment.get(variable.name).is_some());
        let whose = if is_in_container { "of this container" } else { "of this machine" };
        let message = format!(
            "no credentials for AWS: neither ACCESS_KEY_ID nor AWS_ACCESS_KEY_ID is set, and the service that knows the \
             role {whose} {what}"
        );
        MeasureError::unknown("no_credentials", message)
    }
}

/// What both services answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Role {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

/// Credentials come over encrypted connections, or do not leave the machine.
fn may_be_asked(url: &Url) -> bool {
    let on_the_machine =
        |address: IpAddr| address.is_loopback() || ON_THE_MACHINE.iter().any(|known| known.parse() == Ok(address));
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => on_the_machine(address.into()),
        ("http", Some(Host::Ipv6(address))) => on_the_machine(address.into()),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Source").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_asked_for_only_on_this_machine_or_encrypted() {
        for (url, allowed) in [
            ("https://example.com/credentials", true),
            ("http://127.0.0.1:1234/credentials", true),
            ("http://[::1]/credentials", true),
            ("http://localhost/credentials", true),
            ("http://169.254.170.2/v2/credentials", true),
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://169.254.169.254/", false),
            ("http://example.com/credentials", false),
            ("http://localhost.example.com/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(may_be_asked(&url.parse().unwrap()), allowed, "{url}");
        }
    }
}
