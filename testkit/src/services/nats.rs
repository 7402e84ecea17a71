//! A NATS server with `JetStream`.

use std::{
    ops::{Deref, DerefMut},
    process::Command,
};

use super::{Server, on_free_ports, text};
use crate::program::Folder;

/// A running NATS server. Streams in files outlive `stop` and `kill`.
pub struct Nats {
    port: u16,
    monitoring_port: u16,
    server: Server,
    _folder: Folder,
}

impl Nats {
    /// Starts one with these options, as on its command line: `["--user", "app", "--pass", "secret"]`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(options: &[&str]) -> Self {
        on_free_ports(async |[port, monitoring_port]| {
            let folder = Folder::new();
            let store = text(folder.path().to_owned());
            let options: Vec<String> = options.iter().map(|&option| option.into()).collect();
            let make = move || {
                let mut command = Command::new("nats-server");
                command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-m", &monitoring_port.to_string()]);
                command.args(["-js", "-sd", &store]).args(&options);
                command
            };
            let server = Server::start(make, |output| output.contains("Server is ready"), "TERM").await?;
            Ok(Self { port, monitoring_port, server, _folder: folder })
        })
        .await
    }

    /// The port for clients, at `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of its HTTP pages about itself: `/jsz?consumers=1`.
    #[must_use]
    pub fn monitoring_port(&self) -> u16 {
        self.monitoring_port
    }

    /// Its address for clients, `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Deref for Nats {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Nats {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
