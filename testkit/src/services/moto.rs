//! A server that speaks the protocols of a cloud, SQS among them: `moto`, by the people who test with it.

use std::{
    ops::{Deref, DerefMut},
    process::Command,
};

use super::{Server, on_free_ports};
use crate::tools;

/// A running moto. It keeps everything in memory, and takes any credentials.
pub struct Moto {
    port: u16,
    server: Server,
}

impl Moto {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start() -> Self {
        on_free_ports(async |[port]| {
            let make = move || {
                let mut command = Command::new(tools::python());
                command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
                command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
                command
            };
            let server = Server::start(make, |output| output.contains("Running on"), "TERM").await?;
            Ok(Self { port, server })
        })
        .await
    }

    /// Its address for every service, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port, at `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Deref for Moto {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Moto {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
