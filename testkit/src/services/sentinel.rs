//! A Redis with one Sentinel that knows where it is.

use std::process::Command;

use super::{Redis, Server, ask, on_free_ports};
use crate::program::Folder;

/// A Sentinel that watches one master and is alone enough to call it down.
pub struct Sentinel {
    /// The Redis that it watches.
    pub master: Redis,
    /// The Sentinel itself.
    pub server: Server,
    port: u16,
    _folder: Folder,
}

impl Sentinel {
    /// The name under which it knows its master.
    pub const MASTER: &'static str = "mymaster";

    /// Starts both; the options are those of the master.
    ///
    /// # Panics
    /// When one of them does not become ready.
    pub async fn start(options: &[&str]) -> Self {
        let master = Redis::start(options).await;
        let (name, watched) = (Self::MASTER, master.port());
        let (server, port, folder) = on_free_ports(async |[port]| {
            let folder = Folder::new();
            // It writes what it learns into its own settings.
            let settings = folder.write(
                "sentinel.conf",
                &format!(
                    "port {port}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {watched} 1\n\
                     sentinel down-after-milliseconds {name} 1000\n"
                ),
            );
            let path = folder.path().to_owned();
            let make = move || {
                let mut command = Command::new("redis-server");
                command.current_dir(&path).arg(&settings).arg("--sentinel");
                command
            };
            let server = Server::start(make, |output| output.contains("+monitor master"), "TERM").await?;
            Ok((server, port, folder))
        })
        .await;
        Self { master, server, port, _folder: folder }
    }

    /// The Sentinel's port, at `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs one command on the Sentinel with `redis-cli`; its answer.
    ///
    /// # Panics
    /// When it has no answer or answers with an error.
    pub async fn tell(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-e", "-p", &self.port.to_string()]).args(words);
        ask(command).await
    }
}
