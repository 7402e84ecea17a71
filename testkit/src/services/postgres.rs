//! A PostgreSQL server of a test.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    process::Command,
};

use super::{Server, ask, on_free_ports, text, unprivileged};
use crate::program::Folder;

/// A running PostgreSQL. `postgres` needs no password, [`Postgres::USER`] needs one. Data outlives `stop` and `kill`.
pub struct Postgres {
    port: u16,
    server: Server,
    _folder: Folder,
}

impl Postgres {
    /// An ordinary role with a password; it may read and write what it made itself.
    pub const USER: &'static str = "app";
    /// The password of [`Postgres::USER`]. It has what an address must escape.
    pub const PASSWORD: &'static str = "p@ss/word";

    /// Starts one.
    ///
    /// # Panics
    /// When it is not installed or does not become ready.
    pub async fn start() -> Self {
        let postgres = on_free_ports(async |[port]| {
            let folder = Folder::new();
            let data = text(folder.path().join("data"));
            let mut make_data = unprivileged(&programs().join("initdb"), folder.path());
            make_data.args(["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]);
            ask(make_data).await;
            let rules = format!(
                "host all {} 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n\
                 local all postgres trust\n",
                Self::USER
            );
            std::fs::write(folder.path().join("data/pg_hba.conf"), rules).expect("writing a test file");
            let path = folder.path().to_owned();
            let make = move || {
                let mut command = unprivileged(&programs().join("postgres"), &path);
                command.args(["-D", &data]);
                let sockets = format!("unix_socket_directories={}", path.display());
                let port = format!("port={port}");
                // Files instead of shared memory that would outlive a killed server; no waiting for a disk that does
                // not matter.
                let settings = ["listen_addresses=127.0.0.1", "dynamic_shared_memory_type=mmap", "fsync=off"];
                for setting in settings.iter().copied().chain(["full_page_writes=off", &sockets, &port]) {
                    command.args(["-c", setting]);
                }
                command
            };
            let ready = |output: &str| output.contains("database system is ready to accept connections");
            let server = Server::start(make, ready, "INT").await?;
            Ok(Self { port, server, _folder: folder })
        })
        .await;
        let role = format!("CREATE ROLE {} LOGIN CREATEDB PASSWORD '{}'", Self::USER, Self::PASSWORD);
        postgres.query("postgres", &role).await;
        postgres
    }

    /// Its port, at `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, for the one who may do everything.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The address of a database, for [`Postgres::USER`] with its password.
    #[must_use]
    pub fn url_with_password(&self, database: &str) -> String {
        format!("postgresql://{}:p%40ss%2Fword@127.0.0.1:{}/{database}", Self::USER, self.port)
    }

    /// Makes a database that belongs to [`Postgres::USER`].
    ///
    /// # Panics
    /// When there is one of that name.
    pub async fn create_database(&self, name: &str) {
        self.query("postgres", &format!("CREATE DATABASE \"{name}\" OWNER {}", Self::USER)).await;
    }

    /// Runs SQL as the one who may do everything, with `psql`; rows are lines, columns are parted by `|`.
    ///
    /// # Panics
    /// When it fails.
    pub async fn query(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, &self.url(database)]);
        ask(command).await
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A killed one leaves a segment of shared memory behind, for ever. SIGQUIT ends it at once, but tidily.
        self.server.end_now("QUIT");
    }
}

/// The folder of the newest server's programs: Debian keeps them out of `PATH`.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = versions.map(|version| version.path()).filter(|version| version.join("bin/postgres").exists());
    let newest = installed.max_by_key(|version| number(version));
    newest.expect("PostgreSQL is missing: run `cargo xtask test`, it installs what the tests need").join("bin")
}
