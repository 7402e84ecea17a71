//! Mails each notice to a list of people through an SMTP server.
//!
//! Encrypted by default: `starttls` refuses a server that does not offer it rather than talk in the open, and certificates
//! are always checked (a private authority goes into `CA_FILE`). What the server says decides what happens: 4xx is tried
//! again, 5xx is final. An address that the server refuses does not keep the mail from the others.
//!
//! A mail is text in UTF-8. Whatever came from outside is one printable line before it gets here, so it cannot add headers;
//! the library encodes and folds what is not ASCII. One connection per mail: notices are rare.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    units::Seconds,
};
use lettre::{
    Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, MailParameter},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Notice, Notify, NotifyError,
    text::{Text, one_line},
    webhook::timeout_problem,
};
use crate::secret::Secret;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Begins in the open and is encrypted before anything of ours is sent; port 587.
    Starttls,
    /// Encrypted from the first byte; port 465.
    Tls,
    /// Not at all; port 25. For a mail server on this machine.
    None,
}

/// Settings of `Email`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The SMTP server.
    pub host: String,
    /// Its port. Without it, 587 for `starttls`, 465 for `tls`, 25 for `none`.
    pub port: Option<u16>,
    /// The name to log in with. Without it there is no login.
    pub username: Option<String>,
    /// The password to log in with.
    pub password: Option<Secret>,
    /// How the connection is protected: `starttls`, `tls` or `none`.
    pub security: Security,
    /// A file with certificates of authorities, in PEM, that are trusted beside the system's own.
    pub ca_file: Option<String>,
    /// The sender: `ops@example.org` or `Autoscaler <ops@example.org>`.
    pub from: String,
    /// Who gets the mails: a list of addresses.
    pub to: Vec<String>,
    /// What every subject begins with.
    pub subject_prefix: String,
    /// How long sending one mail may take in all, in seconds; 60 at most.
    pub timeout: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: None,
            username: None,
            password: None,
            security: Security::Starttls,
            ca_file: None,
            from: String::new(),
            to: Vec::new(),
            subject_prefix: "[autoscalebot] ".to_owned(),
            timeout: Seconds::new(30),
        }
    }
}

/// The backend.
pub struct Email {
    sender: Sender,
}

impl Backend for Email {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Email";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        if settings.host.is_empty() {
            problems.push(Problem::new("host", "is missing", "the name of an SMTP server"));
        }
        if settings.username.is_some() != settings.password.is_some() {
            let (missing, given) =
                if settings.username.is_some() { ("password", "username") } else { ("username", "password") };
            problems.push(Problem::new(missing, format!("is missing, but there is a {given}"), "both, or neither"));
        }
        problems.extend(mailbox("from", &settings.from).err());
        if settings.to.is_empty() {
            problems.push(Problem::new("to", "is missing", "a list of addresses"));
        }
        let addresses = settings.to.iter().enumerate();
        problems.extend(addresses.filter_map(|(index, to)| mailbox(&format!("to[{index}]"), to).err()));
        problems.extend(timeout_problem(settings.timeout));
        problems
    }

    fn build(settings: Settings, _: &Context) -> Result<Box<dyn Notify>, Problem> {
        let addresses = settings.to.iter().enumerate();
        let to = addresses.map(|(index, to)| mailbox(&format!("to[{index}]"), to)).collect::<Result<_, _>>()?;
        let sender = Sender::new(Account {
            from: mailbox("from", &settings.from)?,
            to,
            host: settings.host,
            port: settings.port,
            login: settings.username.zip(settings.password),
            security: settings.security,
            ca_file: settings.ca_file,
            subject_prefix: settings.subject_prefix,
            timeout: settings.timeout.duration(),
        })?;
        Ok(Box::new(Self { sender }))
    }
}

#[async_trait]
impl Notify for Email {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        self.sender.send(notice).await
    }

    fn remarks(&self) -> Vec<String> {
        self.sender.remarks()
    }
}

/// # Errors
/// When it is not an address, with the setting that holds it.
pub(super) fn mailbox(path: &str, text: &str) -> Result<Mailbox, Problem> {
    let allowed = "an address such as ops@example.org or Autoscaler <ops@example.org>";
    if text.trim().is_empty() {
        return Err(Problem::new(path, "is missing", allowed));
    }
    // The name stands in a header: what cannot stand there would be encoded, and helps nobody.
    if text.chars().any(char::is_control) {
        return Err(Problem::new(path, format!("found {text:?}, with a line break or the like"), allowed));
    }
    let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        // Quotes are how mail programs write names with commas; the library puts its own.
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text.trim()),
    };
    let problem = || Problem::new(path, format!("found {text:?}"), allowed);
    // Two addresses in one text would pass for one with an odd name.
    if name.contains(['<', '>']) {
        return Err(problem());
    }
    let address = address.trim().parse().map_err(|_| problem())?;
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address))
}

/// All that is needed to send mails, whatever the settings are called.
pub(super) struct Account {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) login: Option<(String, Secret)>,
    pub(super) security: Security,
    pub(super) ca_file: Option<String>,
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    pub(super) subject_prefix: String,
    pub(super) timeout: Duration,
}

/// Sends mails.
pub(super) struct Sender {
    account: Account,
    port: u16,
    tls: Option<TlsParameters>,
    told_of_refusal: AtomicBool,
}

impl Sender {
    /// # Errors
    /// When the certificates of `CA_FILE` cannot be read.
    pub(super) fn new(account: Account) -> Result<Self, Problem> {
        let port = account.port.unwrap_or(match account.security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        });
        let tls = match account.security {
            Security::None => None,
            Security::Starttls | Security::Tls => Some(tls(&account.host, account.ca_file.as_deref())?),
        };
        Ok(Self { account, port, tls, told_of_refusal: AtomicBool::new(false) })
    }

    /// # Errors
    /// When nobody got it.
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), NotifyError> {
        let limit = self.account.timeout;
        match tokio::time::timeout(limit, self.converse(notice)).await {
            Ok(result) => result,
            Err(_) => Err(NotifyError::passing(format!(
                "the mail server {} did not take the mail within {} s",
                self.whom(),
                limit.as_secs_f64()
            ))),
        }
    }

    /// One conversation with the server, from greeting to good-bye.
    async fn converse(&self, notice: &Notice) -> Result<(), NotifyError> {
        let Account { host, login, security, from, to, timeout, .. } = &self.account;
        let message = self.message(notice)?.formatted();
        let hello = ClientId::default();
        let at_once = self.tls.clone().filter(|_| *security == Security::Tls);
        let mut server =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), self.port), Some(*timeout), &hello, at_once, None)
                .await
                .map_err(|error| self.failed("does not answer as one", &error))?;
        if let (Security::Starttls, Some(tls)) = (security, &self.tls) {
            if !server.can_starttls() {
                return Err(NotifyError::lasting(format!(
                    "the mail server {} does not offer STARTTLS, and nothing is sent in the open; \
                     set SECURITY to tls if it speaks TLS from the start",
                    self.whom()
                )));
            }
            server.starttls(tls.clone(), &hello).await.map_err(|error| self.failed("fails at STARTTLS", &error))?;
        }
        if let Some((name, password)) = login {
            let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
            let result = server.auth(DEFAULT_MECHANISMS, &credentials).await;
            result.map_err(|error| self.failed("does not let us log in", &error))?;
        }
        let addresses = std::iter::once(from).chain(to);
        let international = addresses.into_iter().any(|mailbox| !mailbox.email.to_string().is_ascii());
        let parameters = if international { vec![MailParameter::SmtpUtfEight] } else { Vec::new() };
        let sender = server.command(Mail::new(Some(from.email.clone()), parameters)).await;
        sender.map_err(|error| self.failed(&format!("does not take mail from {}", from.email), &error))?;
        let mut refused = Vec::new();
        for recipient in to {
            if let Err(error) = server.command(Rcpt::new(recipient.email.clone(), Vec::new())).await {
                refused.push(self.failed(&format!("does not take mail to {}", recipient.email), &error));
            }
        }
        if refused.len() == to.len() {
            server.abort().await;
            // If one of them may work later, it is worth another attempt.
            refused.sort_by_key(|error| !error.retry);
            return Err(refused.swap_remove(0));
        }
        server.command(Data).await.map_err(|error| self.failed("takes no mail", &error))?;
        server.message(&message).await.map_err(|error| self.failed("does not take this mail", &error))?;
        // The server has taken it. What happens to the good-bye does not matter.
        server.abort().await;
        self.remember(&refused);
        Ok(())
    }

    /// Logs once that some do not get the mails although others do.
    fn remember(&self, refused: &[NotifyError]) {
        let told = self.told_of_refusal.swap(!refused.is_empty(), Ordering::Relaxed);
        if let (Some(first), false) = (refused.first(), told) {
            let (refused, all) = (refused.len(), self.account.to.len());
            tracing::warn!("{refused} of {all} people do not get notifications by mail: {first}");
        }
    }

    fn message(&self, notice: &Notice) -> Result<Message, NotifyError> {
        let Account { from, to, subject_prefix, .. } = &self.account;
        let text = Text::of(notice);
        let seconds = u64::try_from(notice.at.civil.as_second()).unwrap_or(0);
        let mut builder = Message::builder()
            .from(from.clone())
            .subject(one_line(&format!("{subject_prefix}{}", text.subject)))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            // The same however often it is tried, so that mail programs can drop a repetition.
            .message_id(Some(format!("<{}@{}>", notice.id, from.email.domain())))
            // RFC 3834: keeps automatic replies ("out of office") away.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for recipient in to {
            builder = builder.to(recipient.clone());
        }
        builder.body(text.lines()).map_err(|error| NotifyError::lasting(format!("the mail cannot be built: {error}")))
    }

    fn failed(&self, what: &str, error: &lettre::transport::smtp::Error) -> NotifyError {
        let words = one_line(&error.to_string());
        let certificate = words.contains("invalid peer certificate");
        let hint = if certificate { "; if the authority is your own, name its certificate in CA_FILE" } else { "" };
        let message = format!("the mail server {} {what}: {words}{hint}", self.whom());
        if error.is_permanent() || error.is_client() || certificate {
            NotifyError::lasting(message)
        } else {
            NotifyError::passing(message)
        }
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let Account { host, login, security, .. } = &self.account;
        let here = host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        if *security != Security::None || here {
            return Vec::new();
        }
        let what = if login.is_some() { "mails and the password" } else { "mails" };
        vec![format!("{what} travel to {} unencrypted, for anyone on the way to read", self.whom())]
    }

    fn whom(&self) -> String {
        format!("{}:{}", self.account.host, self.port)
    }
}

fn tls(host: &str, ca_file: Option<&str>) -> Result<TlsParameters, Problem> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let problem = |found: String| Problem::new("ca_file", found, "a file with certificates in PEM");
        let pem = std::fs::read(path).map_err(|error| problem(format!("{path:?} cannot be read: {error}")))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| problem(format!("{path:?}: {error}")))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| Problem::new("security", format!("TLS is not available: {error}"), ""))
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::event::Event;
    use serde_json::json;

    use super::*;
    use crate::notification::testing::notice;

    fn problems(value: serde_json::Value) -> Vec<String> {
        Email::validate(&serde_json::from_value(value).unwrap()).iter().map(ToString::to_string).collect()
    }

    fn account() -> Account {
        Account {
            host: "localhost".to_owned(),
            port: None,
            login: None,
            security: Security::None,
            ca_file: None,
            from: mailbox("from", "Größe <ops@example.org>").unwrap(),
            to: vec![mailbox("to", "root@localhost").unwrap()],
            subject_prefix: "[app] ".to_owned(),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn all_problems_of_the_settings_are_found_at_once() {
        let found = problems(json!({"username": "me", "to": ["a@b", "nobody", "a@b\nBcc: x@y"], "timeout": 0}));
        let paths: Vec<_> = found.iter().map(|problem| problem.split(':').next().unwrap()).collect();
        assert_eq!(paths, ["host", "password", "from", "to[1]", "to[2]", "timeout"], "{found:#?}");
    }

    #[test]
    fn an_address_may_have_a_name_and_two_addresses_are_not_one() {
        let read = |text: &str| mailbox("to", text).map(|mailbox| (mailbox.name, mailbox.email.to_string())).ok();
        let (name, address) = (Some("Größe, B".to_owned()), "b@example.org".to_owned());
        assert_eq!(read(" Größe, B <b@example.org>"), Some((name.clone(), address.clone())));
        assert_eq!(read("\"Größe, B\" <b@example.org>"), Some((name, address.clone())));
        assert_eq!(read("<b@example.org>"), Some((None, address)));
        for wrong in ["A <a@b>, C <c@d>", "a@b, c@d", "a@b c@d", "a", "a@", "@b", "<>"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_mail_is_ascii_on_the_wire_and_nothing_in_it_can_add_a_header() {
        let sender = Sender::new(account()).ok().unwrap();
        let event =
            Event::SettingsReloaded { change: "größer\r\nBcc: all@example.org".to_owned(), settings: Vec::new() };
        let mail = sender.message(&notice(event)).unwrap().formatted();
        let mail = String::from_utf8(mail).unwrap();
        assert!(mail.is_ascii());
        let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        assert!(headers.contains("Date: Sun, 01 Mar 2026 07:30:00 +0000"), "{headers}");
        assert!(headers.contains("Message-ID: <00000000-0000-0000-0000-000000001234@example.org>"), "{headers}");
        assert!(headers.contains("Auto-Submitted: auto-generated"), "{headers}");
    }

    #[test]
    fn talking_in_the_open_is_remarked_upon_unless_it_stays_on_this_machine() {
        let remarks = |host: &str, login| {
            let account = Account { host: host.to_owned(), login, ..account() };
            Sender::new(account).ok().unwrap().remarks()
        };
        assert_eq!(remarks("localhost", None), [""; 0]);
        assert_eq!(
            remarks("mail.example.org", Some(("me".to_owned(), Secret::new("hunter2")))),
            ["mails and the password travel to mail.example.org:25 unencrypted, for anyone on the way to read"]
        );
    }

    #[test]
    fn a_ca_file_that_cannot_be_read_is_a_problem_of_that_setting() {
        let account = Account { security: Security::Tls, ca_file: Some("/nowhere/ca.pem".to_owned()), ..account() };
        let problem = Sender::new(account).err().unwrap();
        assert!(problem.to_string().starts_with("ca_file: \"/nowhere/ca.pem\" cannot be read"), "{problem}");
    }
}
