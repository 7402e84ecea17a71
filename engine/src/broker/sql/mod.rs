//! SQL databases that are asked for numbers: PostgreSQL servers and SQLite files, shared by all bots that ask them.
//!
//! ```text
//!  ask ─► permit (two at a time) ─► PostgreSQL: an idle connection, or a new one after the pause ─► BEGIN READ ONLY …
//!                                └► SQLite: the file, opened for this one question, read-only
//! ```
//!
//! Nothing here can write: a question runs in a read-only transaction, or on a file that is open for reading, and a file
//! that is missing is an error and never made. Nothing goes on that nobody waits for: PostgreSQL is told how long a
//! statement may take, SQLite stops when the one who asked is gone. A SQLite file is opened anew for every question,
//! because whoever replaces the file would leave us reading the old one for ever. Errors name the server or the file,
//! never the address with its user and password.

mod cell;
mod error;
pub mod postgres;
pub mod sqlite;

pub use cell::{Cell, Row};

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::registry::Problem;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    time::timeout,
};

use super::pause::{self, Pause};
use crate::{clock::Clock, measurement::MeasureError, secret::Secret, shared::Shared};

/// Connections to one database. Small plans of hosted databases allow twenty in all, and most of those are the app's.
const MOST_CONNECTIONS: usize = 2;

/// How much of a measurement's time a question may take; the rest is for telling which part of it took too long.
const SHARE_OF_THE_LIMIT: f64 = 0.9;

/// What an address must look like.
const ALLOWED: &str = "postgres://user:password@host:5432/database or sqlite:/path/to/file.db";

/// A question to a database.
pub struct Question<'a> {
    /// One statement that reads.
    pub statement: &'a str,
    /// Lists of texts for `$1`, `$2`, …; PostgreSQL only.
    pub lists: &'a [&'a [String]],
    /// More rows than this are an error.
    pub most_rows: usize,
}

/// A database, shared by all bots that ask it.
pub struct Database {
    target: Target,
    shown: String,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
    /// Held while somebody connects, so that one of many tries.
    pause: AsyncMutex<Pause>,
}

enum Target {
    Postgres(Box<PgConnectOptions>),
    Sqlite(PathBuf),
}

impl Database {
    /// What is wrong with an address, as a problem of the setting `url`.
    #[must_use]
    pub fn problem(url: &Secret) -> Option<Problem> {
        target(url).err()
    }

    /// Whether the address is that of a PostgreSQL server.
    #[must_use]
    pub fn is_postgres(url: &Secret) -> bool {
        matches!(target(url), Ok(Target::Postgres(_)))
    }

    /// The database at an address; the same one for the same address. Connects to nothing yet.
    ///
    /// # Errors
    /// When that is no address of a database.
    pub fn of(url: &Secret, shared: &Shared) -> Result<Arc<Self>, Problem> {
        shared.pool.get_or_try_make(url.reveal(), || {
            let target = target(url)?;
            let shown = match &target {
                Target::Postgres(options) => postgres::shown(options),
                Target::Sqlite(path) => format!("the SQLite file {}", path.display()),
            };
            Ok(Self {
                target,
                shown,
                clock: shared.clock.clone(),
                permits: Semaphore::new(MOST_CONNECTIONS),
                idle: Mutex::default(),
                pause: AsyncMutex::default(),
            })
        })
    }

    /// `PostgreSQL at localhost:5432`
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks, within `limit` in all; connecting is part of it.
    ///
    /// # Errors
    /// When there is no answer, or it has too many rows.
    pub async fn ask(&self, question: &Question<'_>, limit: Duration) -> Result<Vec<Row>, MeasureError> {
        let limit = limit.mul_f64(SHARE_OF_THE_LIMIT);
        let asking = async {
            // The semaphore is never closed.
            let _permit = self.permits.acquire().await.ok();
            match &self.target {
                Target::Sqlite(path) => {
                    sqlite::ask(path, question, limit).await.map_err(|error| error::told(&self.shown, &error))
                }
                Target::Postgres(options) => self.ask_postgres(options, question, limit).await,
            }
        };
        match timeout(limit, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_slow(limit)),
        }
    }

    async fn ask_postgres(
        &self,
        options: &PgConnectOptions,
        question: &Question<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, MeasureError> {
        let told = |error: &sqlx::Error| error::told(&self.shown, error);
        let idle = self.idle().pop();
        if let Some(mut connection) = idle {
            match postgres::ask(&mut connection, question, limit).await {
                // The server was restarted, or dropped whom it had not heard of for long. All others are gone as well.
                Err(error) if error::is_broken(&error) => self.idle().clear(),
                answer => {
                    if error::leaves_whole(&answer) {
                        self.idle().push(connection);
                    }
                    return answer.map_err(|error| told(&error));
                }
            }
        }
        let mut connection = self.connect(options, limit).await?;
        let answer = postgres::ask(&mut connection, question, limit).await;
        if error::leaves_whole(&answer) {
            self.idle().push(connection);
        }
        answer.map_err(|error| told(&error))
    }

    async fn connect(&self, options: &PgConnectOptions, limit: Duration) -> Result<PgConnection, MeasureError> {
        let mut pause = self.pause.lock().await;
        pause.check(&self.clock.now())?;
        let patience = pause::patience(limit);
        let connected = match timeout(patience, sqlx::ConnectOptions::connect(options)).await {
            Ok(connected) => connected.map_err(|error| error::told(&self.shown, &error)),
            Err(_) => Err(self.too_slow(patience)),
        };
        match &connected {
            Ok(_) => pause.succeeded(),
            Err(error) => pause.failed(error, &self.clock.now()),
        }
        connected
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_slow(&self, limit: Duration) -> MeasureError {
        let seconds = limit.as_secs_f64();
        MeasureError::unknown("timeout", format!("{} did not answer within {seconds:.1} s", self.shown))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Database").field("at", &self.shown).finish_non_exhaustive()
    }
}

fn target(url: &Secret) -> Result<Target, Problem> {
    let text = url.reveal();
    let wrong = |found: &str| Problem::new("url", found, ALLOWED);
    if text.is_empty() {
        return Err(wrong("no address of a database"));
    }
    if let Some(path) = text.strip_prefix("sqlite:") {
        return sqlite::path(path).map(Target::Sqlite).ok_or_else(|| wrong("this names no file of SQLite"));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        // The library's words may repeat the address, and with it the password.
        let options = postgres::options(text).ok_or_else(|| wrong("this is no address of a PostgreSQL server"))?;
        return Ok(Target::Postgres(Box::new(options)));
    }
    Err(wrong("this is no address of a PostgreSQL server or a SQLite file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_apart_or_refused_without_showing_it() {
        for (url, postgres) in [
            ("postgres://app:hunter2@db.example.com:5432/jobs", true),
            ("postgresql://app:hunter2@db.example.com/jobs?sslmode=require&channel_binding=require", true),
            ("postgresql:///jobs?host=/var/run/postgresql", true),
            ("sqlite:jobs.db", false),
            ("sqlite:///var/lib/jobs.db?mode=ro", false),
        ] {
            let url = Secret::new(url);
            assert_eq!(Database::problem(&url), None, "{}", url.reveal());
            assert_eq!(Database::is_postgres(&url), postgres, "{}", url.reveal());
        }
        for url in [
            "",
            "mysql://app:hunter2@localhost/jobs",
            "postgres://app:hunter2@host:port/jobs",
            "postgres://app:hunter2@localhost/jobs?sslmode=hunter2",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://?mode=memory",
            "sqlite:jobs.db?mode=memory",
        ] {
            let problem = Database::problem(&Secret::new(url)).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(problem.path, "url");
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
    }
}
