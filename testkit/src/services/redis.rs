//! A Redis server of a test.

use std::{
    ops::{Deref, DerefMut},
    process::Command,
};

use super::{Certificates, Server, ask, on_free_ports};
use crate::program::Folder;

/// A running Redis; see the module's text. `stop` writes its data to its folder, `kill` forgets it.
pub struct Redis {
    port: u16,
    /// What `redis-cli` needs beside the port.
    client: Vec<String>,
    password: Option<String>,
    certificates: Option<Certificates>,
    server: Server,
    folder: Folder,
}

impl Redis {
    /// Starts one with these options, as on its command line: `["--requirepass", "secret"]`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(options: &[&str]) -> Self {
        on_free_ports(async |[port]| {
            let port_options = ["--port".to_owned(), port.to_string()];
            Self::start_on(port, Folder::new(), &port_options, options, None).await
        })
        .await
    }

    /// Starts one that speaks TLS only, with a certificate for `localhost` and `127.0.0.1`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn tls(options: &[&str]) -> Self {
        on_free_ports(async |[port]| {
            let certificates = Certificates::new();
            let path = |name| certificates.path(name);
            let tls = [
                ["--port".to_owned(), "0".to_owned()],
                ["--tls-port".to_owned(), port.to_string()],
                ["--tls-cert-file".to_owned(), path("server.pem")],
                ["--tls-key-file".to_owned(), path("server.key")],
                ["--tls-ca-cert-file".to_owned(), path("authority.pem")],
                ["--tls-auth-clients".to_owned(), "no".to_owned()],
            ];
            Self::start_on(port, Folder::new(), &tls.concat(), options, Some(certificates)).await
        })
        .await
    }

    pub(super) async fn start_on(
        port: u16,
        folder: Folder,
        port_options: &[String],
        options: &[&str],
        certificates: Option<Certificates>,
    ) -> Result<Self, String> {
        let mut client = vec!["-p".to_owned(), port.to_string()];
        if let Some(certificates) = &certificates {
            client.extend(["--tls".to_owned(), "--cacert".to_owned(), certificates.path("authority.pem")]);
        }
        let password =
            options.iter().position(|option| *option == "--requirepass").map(|at| options[at + 1].to_owned());
        let path = folder.path().to_owned();
        let all: Vec<String> =
            port_options.iter().cloned().chain(options.iter().map(|&option| option.into())).collect();
        let make = move || {
            let mut command = Command::new("redis-server");
            command.current_dir(&path).args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(["--shutdown-on-sigterm", "save"]).args(&all);
            command
        };
        let ready = |output: &str| output.to_lowercase().contains("ready to accept");
        let server = Server::start(make, ready, "TERM").await?;
        Ok(Self { port, client, password, certificates, server, folder })
    }

    /// The port it listens on, at `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address without a database and without a password: `redis://127.0.0.1:PORT`, `rediss://localhost:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        match self.certificates {
            Some(_) => format!("rediss://localhost:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Its certificates, if it speaks TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The folder that holds its data when it is stopped.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Runs one command with `redis-cli`; its answer. The first words may be options: `["-n", "1", "LLEN", "celery"]`.
    ///
    /// # Panics
    /// When it has no answer or answers with an error.
    pub async fn tell(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.arg("-e").args(&self.client).args(words);
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        ask(command).await
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
