//! Mails each notice to the `ADMINS` of a Django project, with Django's own settings.
//!
//! The original's `DjangoEmailBackend` called Django's `mail_admins`. This one does the same without Django: the settings
//! have Django's names, meanings and defaults, and [`super::email`] sends. Two things differ, both for the better: a
//! time-out is always set, and when there are no `ADMINS`, where Django says nothing and mails nobody, a remark at start
//! says so.

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    units::Seconds,
};
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Notice, Notify, NotifyError,
    email::{Account, Security, Sender, mailbox},
    webhook::timeout_problem,
};
use crate::secret::Secret;

/// Names that a Django settings module has at its top level. Whoever reads such a module hands on those that it finds,
/// in lower case, as defaults for this backend's settings; what the `SETTINGS` block says itself comes first.
pub const DJANGO_NAMES: &[&str] = &[
    "EMAIL_HOST",
    "EMAIL_PORT",
    "EMAIL_HOST_USER",
    "EMAIL_HOST_PASSWORD",
    "EMAIL_USE_TLS",
    "EMAIL_USE_SSL",
    "EMAIL_TIMEOUT",
    "EMAIL_SUBJECT_PREFIX",
    "SERVER_EMAIL",
    "DEFAULT_FROM_EMAIL",
    "ADMINS",
];

/// How long sending one mail may take when `EMAIL_TIMEOUT` is not set. Django would wait for ever.
const TIMEOUT: Seconds = Seconds::new(30);

/// One of the `ADMINS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an address, or a pair of a name and an address")]
pub enum Admin {
    /// An address, as Django takes it from version 6 on.
    Address(String),
    /// A name and an address.
    Named(String, String),
}

/// Settings of `DjangoEmail`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The SMTP server.
    pub email_host: String,
    /// Its port.
    pub email_port: u16,
    /// The name to log in with; empty for no login.
    pub email_host_user: String,
    /// The password to log in with; empty for no login.
    pub email_host_password: Secret,
    /// Whether the connection is encrypted by STARTTLS, usually on port 587.
    pub email_use_tls: bool,
    /// Whether the connection is encrypted from the start, usually on port 465.
    pub email_use_ssl: bool,
    /// How long sending one mail may take in all, in seconds; 60 at most, and 30 without it.
    pub email_timeout: Option<Seconds>,
    /// What every subject begins with.
    pub email_subject_prefix: String,
    /// The sender. Without it DEFAULT_FROM_EMAIL, and without that `root@localhost`.
    pub server_email: Option<String>,
    /// The sender when there is no SERVER_EMAIL.
    pub default_from_email: Option<String>,
    /// Who gets the mails: a list of addresses, or of pairs of a name and an address.
    pub admins: Vec<Admin>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            email_host: "localhost".to_owned(),
            email_port: 25,
            email_host_user: String::new(),
            email_host_password: Secret::default(),
            email_use_tls: false,
            email_use_ssl: false,
            email_timeout: None,
            email_subject_prefix: "[Django] ".to_owned(),
            server_email: None,
            default_from_email: None,
            admins: Vec::new(),
        }
    }
}

impl Settings {
    fn from(&self) -> Result<Mailbox, Problem> {
        match (&self.server_email, &self.default_from_email) {
            (Some(text), _) => mailbox("server_email", text),
            (None, Some(text)) => mailbox("default_from_email", text),
            (None, None) => mailbox("server_email", "root@localhost"),
        }
    }

    fn recipients(&self) -> impl Iterator<Item = Result<Mailbox, Problem>> {
        self.admins.iter().enumerate().map(|(index, admin)| {
            let path = format!("admins[{index}]");
            match admin {
                Admin::Address(address) => mailbox(&path, address),
                Admin::Named(name, address) => {
                    // Only the address: the name may hold anything, and the library quotes it.
                    let address = mailbox(&path, address)?.email;
                    let name = super::text::one_line(name);
                    Ok(Mailbox::new((!name.is_empty()).then_some(name), address))
                }
            }
        })
    }
}

/// The backend.
pub struct DjangoEmail {
    /// None when there is nobody to mail.
    sender: Option<Sender>,
}

impl Backend for DjangoEmail {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "DjangoEmail";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        if settings.email_use_tls && settings.email_use_ssl {
            let found = "and EMAIL_USE_SSL are both true";
            problems.push(Problem::new("email_use_tls", found, "one of them to be true, as Django does"));
        }
        problems.extend(
            settings
                .email_timeout
                .and_then(timeout_problem)
                .map(|problem| Problem { path: "email_timeout".to_owned(), ..problem }),
        );
        problems.extend(settings.from().err());
        problems.extend(settings.recipients().filter_map(Result::err));
        problems
    }

    fn build(settings: Settings, _: &Context) -> Result<Box<dyn Notify>, Problem> {
        let to: Vec<_> = settings.recipients().collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Ok(Box::new(Self { sender: None }));
        }
        // Django logs in only when it has both.
        let login = !settings.email_host_user.is_empty() && !settings.email_host_password.is_empty();
        let security = match (settings.email_use_tls, settings.email_use_ssl) {
            (true, _) => Security::Starttls,
            (false, true) => Security::Tls,
            (false, false) => Security::None,
        };
        let sender = Sender::new(Account {
            from: settings.from()?,
            to,
            host: settings.email_host,
            port: Some(settings.email_port),
            login: login.then_some((settings.email_host_user, settings.email_host_password)),
            security,
            ca_file: None,
            subject_prefix: settings.email_subject_prefix,
            timeout: settings.email_timeout.unwrap_or(TIMEOUT).duration(),
        })?;
        Ok(Box::new(Self { sender: Some(sender) }))
    }
}

#[async_trait]
impl Notify for DjangoEmail {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        match &self.sender {
            Some(sender) => sender.send(notice).await,
            None => Ok(()),
        }
    }

    fn remarks(&self) -> Vec<String> {
        match &self.sender {
            Some(sender) => sender.remarks(),
            None => vec!["there are no ADMINS, so nobody is mailed".to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::registry::{entry, find, property_names};
    use serde_json::json;

    use super::*;
    use crate::notification::{
        BACKENDS,
        testing::{alarm, notice, shared},
    };

    fn build(value: serde_json::Value) -> Box<dyn Notify> {
        let settings = serde_json::from_value(value).unwrap();
        DjangoEmail::build(settings, &Context { shared: shared() }).ok().unwrap()
    }

    #[tokio::test]
    async fn the_originals_example_with_empty_settings_stands_and_says_that_nobody_is_mailed() {
        let entry = find(BACKENDS, "autoscalebot.backends.notification.DjangoEmailBackend").ok().unwrap();
        assert_eq!((entry.name, (entry.check)(&json!({}))), ("DjangoEmail", Vec::new()));
        let backend = build(json!({}));
        assert_eq!(backend.remarks(), ["there are no ADMINS, so nobody is mailed"]);
        assert_eq!(backend.notify(&notice(alarm())).await, Ok(()));
    }

    #[test]
    fn the_names_to_take_from_a_django_module_are_exactly_the_settings() {
        let fields = property_names(&(entry::<DjangoEmail>().schema)());
        let names: Vec<_> = DJANGO_NAMES.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(names, fields);
    }

    #[test]
    fn admins_may_be_addresses_or_pairs() {
        let settings: Settings =
            serde_json::from_value(json!({"admins": ["a@example.org", ["Größe, \"B\"", "b@example.org"]]})).unwrap();
        let to: Vec<_> = settings.recipients().map(|mailbox| mailbox.unwrap().email.to_string()).collect();
        assert_eq!(to, ["a@example.org", "b@example.org"]);
    }

    #[test]
    fn the_sender_is_djangos() {
        let from = |value| serde_json::from_value::<Settings>(value).unwrap().from().unwrap().to_string();
        assert_eq!(from(json!({})), "root@localhost");
        assert_eq!(from(json!({"default_from_email": "d@example.org"})), "d@example.org");
        assert_eq!(
            from(json!({"default_from_email": "d@example.org", "server_email": "s@example.org"})),
            "s@example.org"
        );
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let value = json!({
            "email_use_tls": true, "email_use_ssl": true, "email_timeout": 0, "server_email": "nobody",
            "admins": ["a@example.org", "b", ["C", "c"], ["too", "many", "parts"]],
        });
        let problems = (entry::<DjangoEmail>().check)(&value);
        assert!(problems[0].to_string().contains("an address, or a pair"), "{problems:#?}");
        let value = json!({
            "email_use_tls": true, "email_use_ssl": true, "email_timeout": 0, "server_email": "nobody",
            "admins": ["a@example.org", "b", ["C", "c"]],
        });
        let problems = (entry::<DjangoEmail>().check)(&value);
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["email_use_tls", "email_timeout", "server_email", "admins[1]", "admins[2]"]);
    }
}
