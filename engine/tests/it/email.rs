//! Mail against an SMTP server that is not ours: aiosmtpd, run as a child by `testkit/clients/smtp_sink.py`.
//!
//! It has its own idea of SMTP, STARTTLS, logins and mail parsing, so what it takes, others take.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use autoscalebot_core::{event::Event, moment::Moment, names::ProcessName, registry::find};
use autoscalebot_engine::{
    clock::SystemClock,
    environment::Environment,
    notification::{BACKENDS, Context, Notice, Notify, NotifyError},
    shared::Shared,
};
use serde_json::{Value, json};
use testkit::program::Folder;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use uuid::Uuid;

/// How long anything that should happen may take; generous, because machines that test are busy.
const LIMIT: Duration = Duration::from_secs(30);

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Python that has the libraries of the tests; `cargo xtask test` makes it.
fn python() -> PathBuf {
    workspace().join("target/tools/venv/bin/python")
}

/// A running server. It ends with the test, because its standard input does.
struct Sink {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Sink {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(python())
            .arg(workspace().join("testkit/clients/smtp_sink.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start ({error}); run `cargo xtask test`", python().display()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut sink = Self { _child: child, lines, port: 0 };
        let port = sink.next().await["port"].as_u64().expect("the server's first line is its port");
        sink.port = u16::try_from(port).unwrap();
        sink
    }

    /// The next thing that happened there.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await.expect("the server says something");
        serde_json::from_str(&line.unwrap().expect("the server goes on")).unwrap()
    }
}

/// A certificate for `localhost`, and its key.
struct Certificate {
    _folder: Folder,
    certificate: String,
    key: String,
}

impl Certificate {
    fn new() -> Self {
        let folder = Folder::new();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (path("certificate.pem"), path("key.pem"));
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", &key, "-out", &certificate])
            .output()
            .expect("the openssl command");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { _folder: folder, certificate, key }
    }
}

fn build(backend: &str, settings: &Value) -> Box<dyn Notify> {
    let entry = find(BACKENDS, backend).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!((entry.check)(settings), []);
    let shared = Shared::new(Arc::new(SystemClock::new()), Environment::default());
    (entry.build)(settings, &Context { shared }).map_err(|problem| problem.to_string()).unwrap()
}

fn settings(sink: &Sink, more: Value) -> Value {
    let mut settings = json!({
        "host": "127.0.0.1", "port": sink.port, "security": "none",
        "from": "Autoscaler <bot@example.org>", "to": ["ops@example.org"],
    });
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

fn notice(message: &str) -> Notice {
    Notice {
        process: ProcessName::new("web").unwrap(),
        at: Moment { since_start: Duration::ZERO, civil: "2026-03-01T07:30:00Z".parse().unwrap() },
        event: Event::BotPanicked { message: message.to_owned(), restart_in: Duration::from_secs(5) },
        id: Uuid::from_u128(0x1234),
        lost_before: 0,
    }
}

async fn send(backend: &dyn Notify, message: &str) -> Result<(), NotifyError> {
    tokio::time::timeout(LIMIT, backend.notify(&notice(message))).await.expect("a mail is sent or fails in time")
}

fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let headers = mail["headers"].as_array().unwrap();
    let mut found = headers.iter().filter(|header| header[0] == name);
    let value = found.next().unwrap_or_else(|| panic!("no header {name} in {mail:#}"))[1].as_str().unwrap();
    assert!(found.next().is_none(), "two headers {name} in {mail:#}");
    value
}

#[tokio::test]
async fn a_mail_arrives_by_starttls_with_login_and_reads_as_written() {
    let certificate = Certificate::new();
    let mut sink = Sink::start(&[
        "--security",
        "starttls",
        "--certificate",
        &certificate.certificate,
        "--key",
        &certificate.key,
        "--user",
        "me",
        "--password",
        "pässword",
    ])
    .await;
    let backend = build(
        "Email",
        &settings(
            &sink,
            json!({
                "security": "starttls", "username": "me", "password": "pässword", "ca_file": certificate.certificate,
                "to": ["ops@example.org", "Größe, \"B\" <b@example.org>"], "subject_prefix": "[Größe] ",
            }),
        ),
    );
    send(&*backend, "größer\r\nBcc: all@example.org\r\n\r\n.\r\nQUIT").await.unwrap();
    let mail = sink.next().await;
    assert_eq!((&mail["encrypted"], &mail["authenticated"]), (&json!(true), &json!(true)));
    assert_eq!(mail["mail_from"], "bot@example.org");
    assert_eq!(mail["rcpt_tos"], json!(["ops@example.org", "b@example.org"]));
    assert_eq!(header(&mail, "Subject"), "[Größe] web: its bot crashed and starts again in 5 s");
    assert_eq!(header(&mail, "From"), "Autoscaler <bot@example.org>");
    assert_eq!(header(&mail, "Date"), "Sun, 01 Mar 2026 07:30:00 +0000");
    assert_eq!(header(&mail, "Message-ID"), "<00000000-0000-0000-0000-000000001234@example.org>");
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert!(!mail["headers"].to_string().contains("Bcc"), "{mail:#}");
    // On the wire lines end as SMTP wants it, and the last one twice.
    let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(
        text.trim_end(),
        "web: its bot crashed and starts again in 5 s\n\n\
         Crash: größer Bcc: all@example.org . QUIT\n\
         Meanwhile: web is not scaled; other processes are not affected\n\
         To do: this is a bug in autoscalebot or in one of its backends; please report this text\n\
         When: 2026-03-01T07:30:00Z"
    );
}

#[tokio::test]
async fn a_mail_arrives_by_tls_from_the_first_byte() {
    let certificate = Certificate::new();
    let files = ["--certificate", &certificate.certificate, "--key", &certificate.key];
    let mut sink = Sink::start(&[&["--security", "tls"], &files[..]].concat()).await;
    let more = json!({"security": "tls", "host": "localhost", "ca_file": certificate.certificate});
    send(&*build("Email", &settings(&sink, more)), "boom").await.unwrap();
    assert_eq!(sink.next().await["encrypted"], true);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_the_way_out_is_told() {
    let certificate = Certificate::new();
    let files = ["--certificate", &certificate.certificate, "--key", &certificate.key];
    for security in ["starttls", "tls"] {
        let sink = Sink::start(&[&["--security", security], &files[..]].concat()).await;
        let error = send(&*build("Email", &settings(&sink, json!({"security": security}))), "boom").await.unwrap_err();
        assert!(!error.retry && error.message.contains("CA_FILE"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing_in_the_open() {
    let sink = Sink::start(&["--security", "none"]).await;
    let error = send(&*build("Email", &settings(&sink, json!({"security": "starttls"}))), "boom").await.unwrap_err();
    assert!(!error.retry && error.message.contains("does not offer STARTTLS"), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_final_and_is_not_shown() {
    let certificate = Certificate::new();
    let sink = Sink::start(&[
        "--security",
        "starttls",
        "--certificate",
        &certificate.certificate,
        "--key",
        &certificate.key,
        "--user",
        "me",
        "--password",
        "right",
    ])
    .await;
    let login = json!({
        "security": "starttls", "username": "me", "password": "hunter2", "ca_file": certificate.certificate,
    });
    let error = send(&*build("Email", &settings(&sink, login)), "boom").await.unwrap_err();
    assert!(!error.retry && error.message.contains("does not let us log in"), "{error:?}");
    assert!(error.message.contains("535") && !error.message.contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn later_means_again_and_no_means_no() {
    let mut sink = Sink::start(&["--reply", "451 4.3.0 later", "--reply", "554 5.6.0 never"]).await;
    let backend = build("Email", &settings(&sink, json!({})));
    let error = send(&*backend, "boom").await.unwrap_err();
    assert!(error.retry && error.message.contains("451") && error.message.contains("later"), "{error:?}");
    let error = send(&*backend, "boom").await.unwrap_err();
    assert!(!error.retry && error.message.contains("554"), "{error:?}");
    send(&*backend, "boom").await.unwrap();
    assert_eq!(sink.next().await["refused"], "451 4.3.0 later");
}

#[tokio::test]
async fn an_address_that_is_refused_does_not_keep_the_mail_from_the_others() {
    let mut sink = Sink::start(&["--refuse", "gone@example.org"]).await;
    let backend = build("Email", &settings(&sink, json!({"to": ["gone@example.org", "ops@example.org"]})));
    send(&*backend, "boom").await.unwrap();
    assert_eq!(sink.next().await["rcpt_tos"], json!(["ops@example.org"]));
    let backend = build("Email", &settings(&sink, json!({"to": ["gone@example.org"]})));
    let error = send(&*backend, "boom").await.unwrap_err();
    assert!(!error.retry && error.message.contains("does not take mail to gone@example.org"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_tried_again_later() {
    let sink = Sink::start(&["--hang"]).await;
    let error = send(&*build("Email", &settings(&sink, json!({"timeout": 0.3}))), "boom").await.unwrap_err();
    assert!(error.retry && error.message.contains("within 0.3 s"), "{error:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = send(&*build("Email", &settings(&sink, json!({"port": port}))), "boom").await.unwrap_err();
    assert!(error.retry && error.message.contains("does not answer"), "{error:?}");
}

#[tokio::test]
async fn djangos_settings_mail_the_admins() {
    let mut sink = Sink::start(&["--user", "me", "--password", "secret"]).await;
    let backend = build(
        "autoscalebot.backends.notification.DjangoEmailBackend",
        &json!({
            "email_host": "127.0.0.1", "email_port": sink.port, "email_host_user": "me", "email_host_password": "secret",
            "server_email": "django@example.org", "admins": ["a@example.org", ["Größe", "b@example.org"]],
        }),
    );
    send(&*backend, "boom").await.unwrap();
    let mail = sink.next().await;
    assert_eq!(mail["rcpt_tos"], json!(["a@example.org", "b@example.org"]));
    assert_eq!(header(&mail, "Subject"), "[Django] web: its bot crashed and starts again in 5 s");
    assert_eq!((header(&mail, "From"), &mail["authenticated"]), ("django@example.org", &json!(true)));
}
