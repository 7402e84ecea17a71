//! SQLite: a file, opened for one question.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Decode, Executor, Row as _, Sqlite, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteRow, SqliteValueRef},
};

use super::{Cell, Question, Row};

/// After so many steps of SQLite's machine it is asked whether anybody still waits: every few microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 1000;

/// The file that an address names after `sqlite:`; nothing when it names none.
pub fn path(address: &str) -> Option<PathBuf> {
    let (path, parameters) = address.split_once('?').unwrap_or((address, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    // A database in memory is nobody's but ours, and always empty.
    let in_memory = path.contains(":memory:") || parameters.contains("mode=memory");
    (!path.is_empty() && !in_memory).then(|| PathBuf::from(path))
}

/// Asks.
pub async fn ask(path: &Path, question: &Question<'_>, limit: Duration) -> Result<Vec<Row>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).create_if_missing(false);
    let mut connection = options.busy_timeout(limit).disable_statement_logging().connect().await?;
    let watched = Watched(Arc::new(AtomicBool::new(true)));
    let is_watched = watched.0.clone();
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || is_watched.load(Ordering::Relaxed));
    drop(handle);
    let mut answer = connection.fetch(sqlx::query(AssertSqlSafe(question.statement)).persistent(false));
    let mut rows = Vec::new();
    while let Some(row) = answer.try_next().await? {
        if rows.len() == question.most_rows {
            return Err(super::error::too_many_rows());
        }
        rows.push(cells(&row)?);
    }
    Ok(rows)
}

/// Whether somebody waits for the answer: until this is dropped.
struct Watched(Arc<AtomicBool>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn cells(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let cell = |column: &sqlx::sqlite::SqliteColumn| {
        let value = row.try_get_raw(column.ordinal())?;
        Ok((column.name().to_owned(), cell(value).map_err(sqlx::Error::Decode)?))
    };
    row.columns().iter().map(cell).collect()
}

fn cell(value: SqliteValueRef<'_>) -> Result<Cell, sqlx::error::BoxDynError> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 items")]
    Ok(match kind.as_str() {
        "INTEGER" => Cell::Number(<i64 as Decode<Sqlite>>::decode(value)? as f64),
        "REAL" => Cell::Number(<f64 as Decode<Sqlite>>::decode(value)?),
        "TEXT" => Cell::Text(<String as Decode<Sqlite>>::decode(value)?),
        _ => Cell::Other(kind),
    })
}
