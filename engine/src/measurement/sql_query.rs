//! The number that a query of SQL returns.
//!
//! For everything that is counted in a database and has no backend of its own: jobs in a table, orders that nobody looked
//! at, sessions. The query is one statement that returns one row; it runs read-only and with a time-out. By `KIND` the
//! number is a plain one, or the row is the state of a queue and takes part in busy protection. No row, no value, a text
//! and a second row are failures: what a query does not say is never 0.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    sample::Reading,
    units::Finite,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Measured, Sight,
    queue::{Backlog, Common, Look, Metric, Oldest, Queue, Seen},
};
use crate::{
    broker::sql::{Cell, Database, Question, Row},
    secret::Secret,
};

/// The columns that mean something when the row is the state of a queue.
const COLUMNS: [&str; 4] = ["waiting", "in_progress", "scheduled", "latency_seconds"];

/// An age above this is no age: a moment was returned where an age was asked for.
const OLDEST_AGE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 20);

/// Settings of `SqlQuery`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The database: `postgres://user:password@host:5432/database` or `sqlite:/path/to/file.db`.
    pub url: Secret,
    /// One statement that returns one row: `select count(*) from jobs where done_at is null`.
    pub query: String,
    /// What the row is: `number`, one plain number; or `queue`, the state of a queue in columns that are named `waiting`,
    /// `in_progress`, `scheduled` and `latency_seconds` (the first is needed; a single column is `waiting` by any name).
    pub kind: Kind,
    /// The unit of the number, for sentences: `orders`, `s`.
    pub unit: String,
    #[serde(flatten)]
    common: Common,
}

/// What the row of a query is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One plain number.
    #[default]
    Number,
    /// The state of a queue.
    Queue,
}

impl Settings {
    /// A query can only return a column of that name if it has the word in it.
    fn sight(&self) -> Sight {
        match self.kind {
            Kind::Number => Sight::NoWork,
            Kind::Queue if self.query.to_lowercase().contains("in_progress") => Sight::InProgress,
            Kind::Queue => Sight::Waiting,
        }
    }
}

/// A query of a database.
pub struct SqlQuery {
    database: Arc<Database>,
    query: String,
    unit: String,
    sight: Sight,
    limit: Duration,
}

impl Backend for SqlQuery {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "SqlQuery";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Database::problem(&settings.url).into_iter().collect();
        if settings.query.trim().is_empty() {
            problems.push(Problem::new("query", "no query", "a statement such as select count(*) from jobs"));
        }
        match settings.kind {
            Kind::Queue => problems.extend(settings.common.problems(settings.sight())),
            Kind::Number => {
                // One plain number has no other side.
                problems.extend(Common { metric: Metric::Waiting, ..settings.common.clone() }.problems(Sight::NoWork));
                if settings.common.metric != Metric::Waiting {
                    let found = "a plain number cannot be measured in another way";
                    problems.push(Problem::new("metric", found, "KIND queue, with columns of these names"));
                }
            }
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let query = Self {
            database: Database::of(&settings.url, &context.shared)?,
            sight: settings.sight(),
            query: settings.query,
            unit: settings.unit,
            limit: settings.common.timeout_seconds.duration(),
        };
        Ok(match settings.kind {
            Kind::Number => Box::new(query),
            Kind::Queue => Box::new(Queue::new(query, &settings.common)),
        })
    }
}

impl SqlQuery {
    async fn row(&self) -> Result<Row, MeasureError> {
        let question = Question { statement: &self.query, lists: &[], most_rows: 1 };
        let row = self.database.ask(&question, self.limit).await?.pop();
        row.filter(|row| !row.is_empty()).ok_or_else(|| self.wrong("no_number", "returns no row"))
    }

    fn number(&self, name: &str, cell: &Cell) -> Result<f64, MeasureError> {
        match cell {
            Cell::Number(number) => Ok(*number),
            Cell::Null => Err(self.wrong("no_number", &format!("returns no value in column {name:?}"))),
            Cell::Text(_) => Err(self.wrong("not_a_number", &format!("returns a text in column {name:?}; cast it"))),
            Cell::Other(kind) => {
                Err(self.wrong("not_a_number", &format!("returns a {} in column {name:?}", kind.to_lowercase())))
            }
        }
    }

    fn count(&self, name: &str, cell: &Cell) -> Result<u64, MeasureError> {
        let number = self.number(name, cell)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
        match number {
            0.0..=9.0e15 if number.fract() == 0.0 => Ok(number as u64),
            _ => Err(self.wrong("not_a_number", &format!("returns {number} in column {name:?}, which counts nothing"))),
        }
    }

    fn backlog(&self, row: &Row) -> Result<Backlog, MeasureError> {
        if let Some((name, _)) = row.iter().find(|(name, _)| row.len() > 1 && !COLUMNS.contains(&name.as_str())) {
            let listed = COLUMNS.join(", ");
            return Err(self.wrong("bad_query", &format!("returns a column {name:?}; a queue has {listed}")));
        }
        let cell = |wanted: &str| row.iter().find(|(name, _)| name == wanted).map(|(_, cell)| cell);
        let optional = |name: &str| match cell(name) {
            None | Some(Cell::Null) => Ok(None),
            Some(cell) => self.count(name, cell).map(Some),
        };
        let waiting = match row.as_slice() {
            [(name, only)] if !COLUMNS[1..].contains(&name.as_str()) => self.count(name, only)?,
            _ => {
                let missing = || self.wrong("no_number", "returns no column waiting");
                self.count("waiting", cell("waiting").ok_or_else(missing)?)?
            }
        };
        let oldest = match cell("latency_seconds") {
            _ if waiting == 0 => Oldest::Nothing,
            None | Some(Cell::Null) => Oldest::NoStamp,
            Some(cell) => {
                let seconds = self.number("latency_seconds", cell)?;
                // A stamp in the future is age 0; clocks differ.
                let age = Duration::try_from_secs_f64(seconds.max(0.0)).ok().filter(|age| *age < OLDEST_AGE);
                let wrong = || self.wrong("not_a_number", "returns a latency_seconds that is no age in seconds");
                Oldest::Since(age.filter(|_| !seconds.is_nan()).ok_or_else(wrong)?)
            }
        };
        let in_progress = optional("in_progress")?;
        if self.sight == Sight::InProgress && cell("in_progress").is_none() {
            return Err(self.wrong("bad_query", "returns no column in_progress, but speaks of it"));
        }
        Ok(Backlog { waiting, in_progress, scheduled: optional("scheduled")?, oldest, estimate: None })
    }

    fn wrong(&self, key: &'static str, what: &str) -> MeasureError {
        MeasureError::unknown(key, format!("the query of {} {what}", self.database.shown()))
    }
}

#[async_trait]
impl Measure for SqlQuery {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let row = self.row().await?;
        let [(name, cell)] = row.as_slice() else {
            return Err(self.wrong("bad_query", &format!("returns {} columns; one number is one column", row.len())));
        };
        let number = Finite::new(self.number(name, cell)?);
        let number = number.ok_or_else(|| self.wrong("not_a_number", "returns NaN or an endless number"))?;
        Ok(Reading::Number(number).into())
    }

    fn unit(&self) -> Cow<'static, str> {
        self.unit.clone().into()
    }
}

#[async_trait]
impl Look for SqlQuery {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let row = self.row().await?;
        let queues = BTreeMap::from([("query".to_owned(), self.backlog(&row)?)]);
        Ok(Seen { queues, workers: None, told_by_workers: false, notes: Vec::new() })
    }

    fn sight(&self) -> Sight {
        self.sight
    }

    fn items(&self) -> &'static str {
        "items"
    }

    fn place(&self) -> &str {
        self.database.shown()
    }
}
