//! Times of which nothing is known: the program did not run, a bot had crashed, or what it did could not be kept.
//!
//! A tick that does not follow from the one before says so itself. Whether anything is missing between them shows in how
//! far they are apart.

use std::time::Duration;

use autoscalebot_core::names::ProcessName;
use jiff::Timestamp;

use super::{
    conditions::Conditions,
    database::Row,
    read::{ReadError, Reader, time},
    record::Begins,
};
use crate::policy::PolicySpec;

/// More holes are of no use to anybody who looks at them one by one.
const MOST_HOLES: i64 = 500;

/// Ticks so many intervals apart have a hole between them: one that is late, or one that was skipped, is none.
const INTERVALS: u32 = 3;

/// A time of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Of which process.
    pub process: ProcessName,
    /// The last tick before it.
    pub from: Timestamp,
    /// The first tick after it.
    pub to: Timestamp,
    /// Why the tick after it does not follow.
    pub begins: Begins,
}

impl Hole {
    /// Its length.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::try_from(self.to.duration_since(self.from)).unwrap_or_default()
    }

    /// Why nothing is known, in words.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self.begins {
            Begins::Start | Begins::Resumed => "the program did not run, or could not read its store when it started",
            Begins::Settings => "its settings were changed, and the bot before took long to end",
            Begins::Crash => "its bot had crashed",
            Begins::Gap => "what happened could not be kept",
        }
    }
}

impl Reader {
    /// Holes that ended in a range, the newest first; of all processes or of one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn holes(
        &self,
        process: Option<&str>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Vec<Hole>, ReadError> {
        let mut question = Conditions::new(BEGINNINGS);
        if let Some(process) = process {
            question.and("p.name =", process);
        }
        question.between("t.at", from, to);
        question.text.push_str(" ORDER BY t.at DESC LIMIT ");
        question.value(MOST_HOLES);
        let rows = self.ask(&question.text, &question.values).await?;
        Ok(rows.iter().filter_map(hole).collect())
    }
}

const BEGINNINGS: &str = "SELECT p.name, t.at, t.begins, v.spec, \
     (SELECT max(d.at) FROM autoscalebot_decisions d WHERE d.process_id = t.process_id AND d.at < t.at) \
     FROM autoscalebot_ticks t JOIN autoscalebot_processes p ON p.id = t.process_id \
     JOIN autoscalebot_versions v ON v.id = t.version_id WHERE t.begins IS NOT NULL";

fn hole(row: &Row) -> Option<Hole> {
    let begins = serde_json::from_value(row.text(2)?.into()).ok()?;
    let spec: PolicySpec = serde_json::from_str(row.text(3)?).ok()?;
    let hole = Hole { process: ProcessName::new(row.text(0)?).ok()?, from: time(row, 4)?, to: time(row, 1)?, begins };
    let interval = spec.signals.iter().map(|signal| signal.interval).min()?;
    (hole.length() > interval * INTERVALS).then_some(hole)
}
