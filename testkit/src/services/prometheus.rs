//! A Prometheus server that scrapes one endpoint, and `promtool`, which judges what it would be given.

use std::{
    io::Write,
    ops::{Deref, DerefMut},
    path::Path,
    process::{Command, Stdio},
};

use super::{Server, on_free_ports, text};
use crate::program::Folder;

/// A running Prometheus. What it has scraped goes with it.
pub struct Prometheus {
    port: u16,
    server: Server,
    _folder: Folder,
}

impl Prometheus {
    /// Starts one that reads `http://TARGET/metrics` five times a second, with this bearer token if there is one, and goes
    /// by these alerting rules.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(target: &str, token: Option<&str>, rules: &Path) -> Self {
        on_free_ports(async |[port]| {
            let folder = Folder::new();
            let token =
                token.map(|token| format!("\n    authorization: {{credentials: {token:?}}}")).unwrap_or_default();
            let settings = folder.write(
                "prometheus.yml",
                &format!(
                    "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
                     rule_files: [{rules:?}]\n\
                     scrape_configs:\n  - job_name: autoscalebot{token}\n    \
                     static_configs: [{{targets: [{target:?}]}}]\n"
                ),
            );
            let (settings, data) = (text(settings), text(folder.path().join("data")));
            let make = move || {
                let mut command = Command::new("prometheus");
                command.arg(format!("--config.file={settings}")).arg(format!("--storage.tsdb.path={data}"));
                command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=info");
                command
            };
            let is_ready = |output: &str| output.contains("Server is ready to receive web requests");
            let server = Server::start(make, is_ready, "TERM").await?;
            Ok(Self { port, server, _folder: folder })
        })
        .await
    }

    /// The address of its HTTP API, `http://127.0.0.1:PORT/api/v1`.
    #[must_use]
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1", self.port)
    }
}

impl Deref for Prometheus {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Prometheus {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// Runs `promtool` with this on its standard input; what it says, as an error when it is not content.
///
/// # Errors
/// What it complains about.
///
/// # Panics
/// When it is not installed.
pub fn promtool(words: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("promtool");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("promtool does not start: {error}; `cargo xtask test` installs it"));
    // It reads all of its input before it says anything, so neither waits for the other.
    child.stdin.take().expect("a piped input").write_all(input.as_bytes()).expect("promtool takes its input");
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}
