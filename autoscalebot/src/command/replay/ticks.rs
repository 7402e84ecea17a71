//! The ticks of one process as a stream: a page at a time, so that a week fits in no memory at all.

use std::{
    collections::{HashMap, VecDeque},
    io::{IsTerminal, Write},
    sync::Arc,
};

use autoscalebot_core::step::Policy;
use autoscalebot_engine::store::{ReadError, Reader, Tick, VersionRow};
use jiff::Timestamp;

use super::{Made, grouped, moment_of};
use crate::{cli::Surroundings, command::history::History};

/// Progress is shown again after so many ticks: some tenths of a second.
const SHOWN_EVERY: u64 = 5_000;

/// Ticks of one process in their order, from the newest kept state before a range to its end.
pub struct Ticks {
    reader: Reader,
    process: String,
    versions: HashMap<i64, VersionRow>,
    policies: HashMap<i64, Made>,
    position: (i64, i64),
    page: VecDeque<Tick>,
    to: Option<Timestamp>,
    is_over: bool,
}

impl Ticks {
    /// Those of a range.
    pub async fn open(
        history: &History,
        process: &str,
        from: Timestamp,
        to: Option<Timestamp>,
    ) -> Result<Self, ReadError> {
        let reader = history.reader.clone();
        let versions = reader.versions(process).await?.into_iter().map(|version| (version.id, version)).collect();
        let position = reader.position_before(process, from).await?;
        let process = process.to_owned();
        let (policies, page) = (HashMap::new(), VecDeque::new());
        Ok(Self { reader, process, versions, policies, position, page, to, is_over: false })
    }

    /// The next one.
    pub async fn next(&mut self, progress: &mut Progress) -> Result<Option<Tick>, ReadError> {
        if self.page.is_empty() && !self.is_over {
            self.page = self.reader.ticks_after(&self.process, self.position).await?.into();
            self.is_over = self.page.is_empty();
        }
        let Some(tick) = self.page.pop_front() else { return Ok(None) };
        self.position = (tick.run, tick.seq);
        progress.step(&self.process);
        if let Some(to) = self.to
            && moment_of(&tick).is_some_and(|at| at >= to)
        {
            self.page.clear();
            self.is_over = true;
            return Ok(None);
        }
        Ok(Some(tick))
    }

    /// When a tick was.
    pub fn at(&self, tick: &Tick) -> Option<Timestamp> {
        moment_of(tick)
    }

    /// What a version of the settings decides by.
    pub fn policy(&mut self, version: i64, around: &Surroundings) -> Result<Arc<Policy>, String> {
        if let Some(made) = self.policies.get(&version) {
            return made.clone();
        }
        let made = match self.versions.get(&version) {
            None => Err("the settings that it was decided by are not kept".to_owned()),
            Some(row) => match row.spec.build(&self.process, &around.host) {
                Ok(policy) => Ok(Arc::new(policy)),
                Err((stage, problem)) => Err(format!("{stage}: {problem}")),
            },
        };
        self.policies.insert(version, made.clone());
        made
    }

    /// A version by the number that people see.
    pub fn number(&self, version: i64) -> i64 {
        self.versions.get(&version).map_or(version, |row| row.number)
    }

    /// A version.
    pub fn version(&self, version: i64) -> Option<&VersionRow> {
        self.versions.get(&version)
    }
}

/// How far it came, on a terminal, for whoever waits.
pub struct Progress {
    ticks: u64,
    is_shown: bool,
    is_terminal: bool,
}

impl Progress {
    /// None yet.
    pub fn new() -> Self {
        Self { ticks: 0, is_shown: false, is_terminal: std::io::stderr().is_terminal() }
    }

    fn step(&mut self, process: &str) {
        self.ticks += 1;
        if self.is_terminal && self.ticks.is_multiple_of(SHOWN_EVERY) {
            self.is_shown = true;
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{process}: {} ticks …", grouped(self.ticks));
        }
    }

    /// Makes room for the answer.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
