//! How many jobs of Procrastinate wait in PostgreSQL.
//!
//! All queues are asked in one statement, which reads the rows of unfinished jobs alone (there are partial indexes for
//! these) and answers with a row per queue, by the clock of the database. A job whose time has not come has the same
//! status as one that waits, and a job whose lock is held cannot start however many workers are free: neither counts as
//! waiting. Procrastinate writes down which worker took a job, but not in which process that worker runs; so nobody can
//! say which process is busy. Source: schema and queries of Procrastinate 3.10.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{Backlog, Common, Look, Oldest, Queue, Seen},
};
use crate::{
    broker::sql::{Cell, Database, Question, Row},
    secret::Secret,
};

/// More queues than this in one app are a slip, and one question must have an end.
const MOST_QUEUES: usize = 1000;

/// Settings of `Procrastinate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The database: `postgres://user:password@host:5432/database`.
    pub url: Secret,
    /// The queues, by name; `*` and `?` stand for any letters and any one letter. All queues, as a worker of Procrastinate
    /// serves, if nothing else is said.
    pub queue_names: Vec<String>,
    /// The schema that holds Procrastinate's tables, when the `search_path` does not find it.
    pub schema: String,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            queue_names: vec!["*".to_owned()],
            schema: String::new(),
            common: Common::default(),
        }
    }
}

/// Queues of Procrastinate.
pub struct Procrastinate {
    database: Arc<Database>,
    statement: String,
    names: Vec<String>,
    patterns: Vec<String>,
    limit: Duration,
}

impl Backend for Procrastinate {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Procrastinate";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.common.problems(Sight::InProgress);
        match Database::problem(&settings.url) {
            Some(problem) => problems.push(problem),
            None if !Database::is_postgres(&settings.url) => {
                let found = "Procrastinate keeps its jobs in PostgreSQL alone";
                problems.push(Problem::new("url", found, "postgres://user:password@host:5432/database"));
            }
            None => {}
        }
        if settings.queue_names.is_empty() || settings.queue_names.iter().any(String::is_empty) {
            problems.push(Problem::new("queue_names", "no name", "names of queues, such as [\"default\"], or [\"*\"]"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let (patterns, names): (Vec<String>, Vec<String>) =
            settings.queue_names.into_iter().partition(|name| name.contains(['*', '?']));
        let look = Self {
            database: Database::of(&settings.url, &context.shared)?,
            statement: statement(&settings.schema),
            names,
            patterns: patterns.iter().map(|pattern| in_sql(pattern)).collect(),
            limit: settings.common.timeout_seconds.duration(),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

#[async_trait]
impl Look for Procrastinate {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let lists: [&[String]; 2] = [&self.names, &self.patterns];
        let question = Question { statement: &self.statement, lists: &lists, most_rows: MOST_QUEUES };
        let rows = self.database.ask(&question, self.limit).await?;
        let empty = |name: &String| {
            (name.clone(), Backlog { in_progress: Some(0), scheduled: Some(0), ..Backlog::of_waiting(0) })
        };
        let mut queues: BTreeMap<String, Backlog> = self.names.iter().map(empty).collect();
        let (mut locked, mut lost) = (0, 0);
        for row in &rows {
            let told = told(row).ok_or_else(|| {
                let message = format!("{} answers with something that is no state of a queue", self.place());
                MeasureError::unknown("broker_error", message)
            })?;
            locked += told.locked;
            lost += told.lost;
            queues.insert(told.queue, told.backlog);
        }
        let mut notes = Vec::new();
        if locked > 0 {
            notes.push(format!("{locked} jobs wait for others with the same lock, and are not counted as waiting"));
        }
        if lost > 0 {
            notes.push(format!("{lost} of the jobs in progress belong to workers that show no sign of life"));
        }
        Ok(Seen { queues, workers: None, told_by_workers: false, notes })
    }

    fn sight(&self) -> Sight {
        Sight::InProgress
    }

    fn items(&self) -> &'static str {
        "jobs"
    }

    fn place(&self) -> &str {
        self.database.shown()
    }
}

/// What one row says.
struct Told {
    queue: String,
    backlog: Backlog,
    locked: u64,
    lost: u64,
}

fn told(row: &Row) -> Option<Told> {
    let cells: Vec<&Cell> = row.iter().map(|(_, cell)| cell).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of rows")]
    let count = |cell: &Cell| if let Cell::Number(number) = cell { Some(*number as u64) } else { None };
    let [Cell::Text(queue), waiting, in_progress, scheduled, locked, lost, age] = cells.as_slice() else { return None };
    let waiting = count(waiting)?;
    let oldest = match age {
        _ if waiting == 0 => Oldest::Nothing,
        Cell::Number(seconds) => Oldest::Since(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?),
        _ => Oldest::NoStamp,
    };
    let (in_progress, scheduled) = (Some(count(in_progress)?), Some(count(scheduled)?));
    let backlog = Backlog { waiting, in_progress, scheduled, oldest, estimate: None };
    Some(Told { queue: queue.clone(), backlog, locked: count(locked)?, lost: count(lost)? })
}

/// A pattern of ours as one of SQL's `LIKE`.
fn in_sql(pattern: &str) -> String {
    let mut like = String::new();
    for letter in pattern.chars() {
        match letter {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => like.extend(['\\', letter]),
            letter => like.push(letter),
        }
    }
    like
}

/// The question. Of jobs with the same lock only the first may start, and only if none of them runs; "first" is by
/// priority and then by number, as in `procrastinate_fetch_job_v2`, and a job whose time has not come is first as well.
/// A job is due since it was deferred or since its planned time, whichever is later; a retry has a planned time. The
/// oldest without a planned time is the one with the lowest number. A worker is taken for lost after 30 s without a
/// heartbeat, as Procrastinate does.
fn statement(schema: &str) -> String {
    let schema = if schema.is_empty() { String::new() } else { format!("\"{}\".", schema.replace('"', "\"\"")) };
    format!(
        "WITH first_of_lock AS (
            SELECT DISTINCT ON (lock) id FROM {schema}procrastinate_jobs
            WHERE status IN ('todo', 'doing') AND lock IS NOT NULL
            ORDER BY lock, status = 'doing' DESC, priority DESC, id
        ), unfinished AS MATERIALIZED (
            SELECT id, queue_name, scheduled_at, worker_id, status = 'doing' AS doing,
                coalesce(scheduled_at <= now(), true) AS due,
                lock IS NULL OR id IN (SELECT id FROM first_of_lock) AS open
            FROM {schema}procrastinate_jobs
            WHERE status IN ('todo', 'doing') AND (queue_name = ANY ($1) OR queue_name LIKE ANY ($2))
        ), queues AS (
            SELECT queue_name,
                count(*) FILTER (WHERE NOT doing AND due AND open) AS waiting,
                count(*) FILTER (WHERE doing) AS in_progress,
                count(*) FILTER (WHERE NOT doing AND NOT due) AS scheduled,
                count(*) FILTER (WHERE NOT doing AND due AND NOT open) AS locked,
                count(*) FILTER (WHERE doing AND NOT EXISTS (
                    SELECT FROM {schema}procrastinate_workers AS worker
                    WHERE worker.id = worker_id AND worker.last_heartbeat >= now() - interval '30 seconds'
                )) AS lost,
                min(id) FILTER (WHERE NOT doing AND open AND scheduled_at IS NULL) AS oldest_id
            FROM unfinished GROUP BY queue_name
        ), first_planned AS (
            SELECT DISTINCT ON (queue_name) queue_name, id AS planned_id, scheduled_at AS planned_at
            FROM unfinished WHERE NOT doing AND open AND scheduled_at <= now()
            ORDER BY queue_name, scheduled_at
        )
        SELECT queue_name::text, waiting, in_progress, scheduled, locked, lost,
            extract(epoch FROM now() - CASE
                WHEN oldest_id IS NULL THEN planned_since
                WHEN planned_id IS NULL THEN put_since
                WHEN put_since IS NOT NULL THEN least(put_since, planned_since)
            END)::float8
        FROM queues
        LEFT JOIN first_planned USING (queue_name)
        LEFT JOIN LATERAL (
            SELECT at AS put_since FROM {schema}procrastinate_events
            WHERE job_id = oldest_id AND type = 'deferred' ORDER BY id LIMIT 1
        ) AS put ON true
        LEFT JOIN LATERAL (
            SELECT greatest(planned_at, (
                SELECT at FROM {schema}procrastinate_events
                WHERE job_id = planned_id AND type = 'deferred' ORDER BY id LIMIT 1
            )) AS planned_since
        ) AS planned ON true"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_same_in_sql() {
        assert_eq!(in_sql("mail_*"), "mail\\_%");
        assert_eq!(in_sql("50%?"), "50\\%_");
        assert_eq!(in_sql("a\\b"), "a\\\\b");
    }

    #[test]
    fn the_name_of_a_schema_cannot_leave_its_quotes() {
        let statement = statement("jobs\"; DROP TABLE users; --");
        assert!(statement.contains("\"jobs\"\"; DROP TABLE users; --\".procrastinate_jobs"), "{statement}");
    }
}
