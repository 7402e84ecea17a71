//! The two kinds of database behind one pair of calls.
//!
//! Both take `$1`, `$2`, … and the few kinds of values that the store has, so every statement is written once.

use std::{
    borrow::Cow,
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Executor, Postgres, Row as _, SqlSafeStr, Sqlite,
    TypeInfo, ValueRef,
    migrate::{Migration, MigrationType, Migrator},
    postgres::{PgConnection, PgRow},
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use super::place::Place;
use crate::broker::sql::postgres;

/// How long one statement may wait for another program that writes to the same file.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a question of a reader may take in PostgreSQL. People wait no longer, and the app's own questions come first.
const STATEMENT_LIMIT: Duration = Duration::from_secs(20);

/// Where migrations are noted that were made. Not the usual name: the database may be the app's.
const MIGRATIONS_TABLE: &str = "autoscalebot_migrations";

/// A value for a statement.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// A whole number, or none.
    Int(Option<i64>),
    /// A number, or none.
    Real(Option<f64>),
    /// A text, or none.
    Text(Option<Cow<'a, str>>),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        Self::Real(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(storable(text)))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(storable))
    }
}

/// PostgreSQL takes no text with a zero byte in it.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', " ")) } else { Cow::Borrowed(text) }
}

/// A row of an answer.
#[derive(Debug, Clone)]
pub struct Row(Vec<Cell>);

#[derive(Debug, Clone)]
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

impl Row {
    /// A whole number.
    pub fn int(&self, index: usize) -> Option<i64> {
        match self.0.get(index)? {
            Cell::Int(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "sums of whole numbers come as numbers")]
            Cell::Real(number) => Some(*number as i64),
            Cell::Null | Cell::Text(_) => None,
        }
    }

    /// A number.
    pub fn real(&self, index: usize) -> Option<f64> {
        match self.0.get(index)? {
            Cell::Real(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "for charts")]
            Cell::Int(number) => Some(*number as f64),
            Cell::Null | Cell::Text(_) => None,
        }
    }

    /// A text.
    pub fn text(&self, index: usize) -> Option<&str> {
        match self.0.get(index)? {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Which file it is, by the system's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    path: PathBuf,
    /// The device and the file's number on it; nothing when there is none.
    number: Option<(u64, u64)>,
}

impl Identity {
    fn of(path: &Path) -> Self {
        let number = std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        Self { path: path.to_owned(), number }
    }
}

/// A connection.
pub enum Link {
    /// To a file.
    Sqlite(SqliteConnection, Identity),
    /// To a server.
    Postgres(PgConnection),
}

/// A statement with its values, for whichever kind of database takes it: the kinds share no type, only the words.
macro_rules! bound {
    ($statement:expr, $values:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($statement.to_owned()));
        for value in $values {
            query = match value {
                Value::Int(number) => query.bind(*number),
                Value::Real(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.as_deref()),
            };
        }
        query
    }};
}

impl Link {
    /// Connects for writing: makes what is not there, and brings the tables up to date.
    pub async fn open(place: &Place) -> Result<Self, sqlx::Error> {
        match place {
            Place::Sqlite(path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
                }
                is_no_folder(path)?;
                make_private(path).map_err(sqlx::Error::Io)?;
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
                let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
                let mut connection = options.busy_timeout(LOCK_PATIENCE).disable_statement_logging().connect().await?;
                migrations(include_str!("migrations/0001_sqlite.sql")).run_direct(None, &mut connection, false).await?;
                Ok(Self::Sqlite(connection, Identity::of(path)))
            }
            Place::Postgres(url) => {
                let options = postgres::options(url.reveal()).ok_or(sqlx::Error::PoolClosed)?;
                let mut connection = ConnectOptions::connect(&options).await?;
                let migrations = migrations(include_str!("migrations/0001_postgres.sql"));
                migrations.run_direct(None, &mut connection, false).await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    /// Connects for reading only.
    pub async fn open_for_reading(place: &Place) -> Result<Self, sqlx::Error> {
        match place {
            Place::Sqlite(path) => {
                is_no_folder(path)?;
                let options = SqliteConnectOptions::new().filename(path).read_only(true).create_if_missing(false);
                let connection = options.busy_timeout(LOCK_PATIENCE).disable_statement_logging().connect().await?;
                Ok(Self::Sqlite(connection, Identity::of(path)))
            }
            Place::Postgres(url) => {
                let options = postgres::options(url.reveal()).ok_or(sqlx::Error::PoolClosed)?;
                let mut connection = ConnectOptions::connect(&options).await?;
                let limit = format!("SET statement_timeout = {}", STATEMENT_LIMIT.as_millis());
                connection.execute(AssertSqlSafe(limit)).await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    /// Does something; how many rows it was about.
    pub async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(connection, _) => bound!(statement, values).execute(connection).await?.rows_affected(),
            Self::Postgres(connection) => bound!(statement, values).execute(connection).await?.rows_affected(),
        })
    }

    /// Asks for rows.
    pub async fn fetch(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(connection, _) => {
                bound!(statement, values).fetch_all(connection).await?.iter().map(sqlite_row).collect()
            }
            Self::Postgres(connection) => {
                bound!(statement, values).fetch_all(connection).await?.iter().map(postgres_row).collect()
            }
        }
    }

    /// Whether it leads to where somebody would look for the store: a file that was removed or replaced can be written on
    /// for ever, and nobody will find it.
    pub fn is_current(&self) -> bool {
        match self {
            Self::Sqlite(_, identity) => *identity == Identity::of(&identity.path),
            Self::Postgres(_) => true,
        }
    }

    /// Ends it in order.
    pub async fn close(self) {
        // What was written was committed before; an end that fails loses nothing.
        let _ = match self {
            Self::Sqlite(connection, _) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }
}

/// SQLite would speak of a broken disk.
fn is_no_folder(path: &Path) -> Result<(), sqlx::Error> {
    if path.is_dir() {
        let error = std::io::Error::new(ErrorKind::IsADirectory, "it is a folder; name a file in it");
        return Err(sqlx::Error::Io(error));
    }
    Ok(())
}

/// A new file is its owner's alone: what an app's answers and programs' words hold is nobody else's business. The files
/// that SQLite puts beside it become like it.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

fn migrations(first: &'static str) -> Migrator {
    let first = Migration::new(1, "store".into(), MigrationType::Simple, first.into_sql_str(), false);
    let mut migrator = Migrator::with_migrations(vec![first]);
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // Poolers in front of a server do not know the lock, and two programs that make the same tables at once fail with an
    // error that the next try does not have.
    migrator.set_locking(false);
    migrator
}

fn sqlite_row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let cell = |column: &sqlx::sqlite::SqliteColumn| {
        let value = row.try_get_raw(column.ordinal())?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let kind = value.type_info().name().to_owned();
        let cell = match kind.as_str() {
            "INTEGER" => Cell::Int(<i64 as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?),
            "REAL" => Cell::Real(<f64 as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?),
            _ => Cell::Text(<String as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?),
        };
        Ok(cell)
    };
    row.columns().iter().map(cell).collect::<Result<_, _>>().map(Row)
}

fn postgres_row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let cell = |column: &sqlx::postgres::PgColumn| {
        let value = row.try_get_raw(column.ordinal())?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let kind = value.type_info().name().to_owned();
        let cell = match kind.as_str() {
            "INT8" => Cell::Int(<i64 as Decode<Postgres>>::decode(value).map_err(sqlx::Error::Decode)?),
            "INT4" => Cell::Int(<i32 as Decode<Postgres>>::decode(value).map_err(sqlx::Error::Decode)?.into()),
            "FLOAT8" => Cell::Real(<f64 as Decode<Postgres>>::decode(value).map_err(sqlx::Error::Decode)?),
            _ => Cell::Text(<String as Decode<Postgres>>::decode(value).map_err(sqlx::Error::Decode)?),
        };
        Ok(cell)
    };
    row.columns().iter().map(cell).collect::<Result<_, _>>().map(Row)
}
