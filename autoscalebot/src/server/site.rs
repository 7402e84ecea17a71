//! What every handler is handed: where to look, whom to tell, and for how long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::{moment::Moment, names::ProcessName};
use autoscalebot_engine::{
    board::{Board, Glance},
    clock::Clock,
    command::Commander,
    store::{ReadError, Reader, Store},
    telemetry::metrics::Sources,
};
use axum::http::StatusCode;
use jiff::Timestamp;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    access::Access,
    api::{MOST_STREAMS, Process},
    failure::Failure,
};

/// A question to the store that takes longer has lost the one who asked; browsers and proxies give up about then.
const READ_LIMIT: Duration = Duration::from_secs(25);

/// What the server shows and reaches.
pub struct Parts {
    /// What is known now.
    pub board: Arc<Board>,
    /// The way to the bots.
    pub commander: Commander,
    /// What was, if it is kept.
    pub store: Option<Arc<Store>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// When the program started.
    pub started: Moment,
    /// Where metrics are read.
    pub metrics: Sources,
}

/// What a request is answered from: the parts, and what the server itself keeps.
pub struct Site {
    /// What it shows and reaches.
    pub parts: Parts,
    /// Who may do what.
    pub access: Access,
    /// Places for streams.
    pub streams: Arc<Semaphore>,
    /// The end of the program.
    pub stop: CancellationToken,
    reader: Option<Reader>,
    /// Since when a version of settings is in force, for versions that were asked for.
    since: Mutex<HashMap<ProcessName, (i64, Timestamp)>>,
}

impl Site {
    /// A site of these parts.
    #[must_use]
    pub fn new(parts: Parts, access: Access, stop: CancellationToken) -> Arc<Self> {
        let reader = parts.store.as_ref().map(|store| store.reader());
        let streams = Arc::new(Semaphore::new(MOST_STREAMS));
        Arc::new(Self { parts, access, streams, stop, reader, since: Mutex::default() })
    }

    /// A process, now.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<Process> {
        let glance = self.parts.board.glance(name)?;
        Some(Process::of(&glance, self.version(&glance), &self.parts.clock.now()))
    }

    /// The version of a process's settings that is in force.
    #[must_use]
    pub fn version(&self, glance: &Glance) -> Option<i64> {
        self.parts.store.as_ref().and_then(|store| store.version(&glance.process))
    }

    /// Since when a version is in force; nothing when the store does not say.
    pub async fn since(&self, process: &ProcessName, version: i64) -> Option<Timestamp> {
        let known = self.since.lock().unwrap_or_else(PoisonError::into_inner).get(process).copied();
        if let Some((_, since)) = known.filter(|(known, _)| *known == version) {
            return Some(since);
        }
        let versions = self.reader.as_ref()?.versions(process.as_str()).await.ok()?;
        let since = versions.into_iter().find(|row| row.number == version)?.since;
        self.since.lock().unwrap_or_else(PoisonError::into_inner).insert(process.clone(), (version, since));
        Some(since)
    }

    /// The processes whose bot does not move.
    #[must_use]
    pub fn stalled(&self, now: &Moment) -> Vec<String> {
        let glances = self.parts.board.glances();
        glances.iter().filter(|glance| glance.has_stalled(now)).map(|glance| glance.process.to_string()).collect()
    }

    /// Asks the store.
    ///
    /// # Errors
    /// When there is none, or it does not answer in time.
    pub async fn read<T>(&self, ask: impl AsyncFnOnce(&Reader) -> Result<T, ReadError>) -> Result<T, Failure> {
        let Some(reader) = &self.reader else {
            let message = "no history is kept: the program was started with --store none";
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "store_off", message));
        };
        match timeout(READ_LIMIT, ask(reader)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                let message = "the store did not answer in time; ask for less, or try again";
                Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message))
            }
        }
    }
}
