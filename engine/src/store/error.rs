//! What went wrong with the store, in words that name it and say what to do.

use sqlx::{error::ErrorKind, migrate::MigrateError};

use super::place::Place;

/// Whether the database is fine and only these rows were not to its taste, so that trying again cannot help.
pub fn is_about_the_rows(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            // PostgreSQL: class 22 is data that cannot be kept, 23 a constraint.
            let is_data = error.code().is_some_and(|code| code.len() == 5 && code.starts_with("22"));
            is_data || error.kind() != ErrorKind::Other
        }
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => true,
        _ => false,
    }
}

/// Whether the connection is of no use any more, and another one may be.
pub fn is_about_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // PostgreSQL: the server ends, or somebody ended this connection.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Whether a file is no database, or a part of it is not.
pub fn is_damage(place: &Place, error: &sqlx::Error) -> bool {
    matches!(place, Place::Sqlite(_)) && matches!(sqlite_kind(error), Some(11 | 26))
}

/// SQLite's kind of error: the lowest byte of its code.
fn sqlite_kind(error: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(error) = cause(error) else { return None };
    Some(error.code()?.parse::<u32>().ok()? & 0xff)
}

/// Stable word for why nothing could be read.
pub fn key(error: &sqlx::Error) -> &'static str {
    let sqlx::Error::Database(error) = error else { return "unavailable" };
    let has_no_table = match error.code().as_deref() {
        // PostgreSQL's "undefined table"; SQLite has no code of its own for it.
        Some("42P01") => true,
        Some("1") => error.message().starts_with("no such table"),
        _ => false,
    };
    if has_no_table { "missing" } else { "unavailable" }
}

/// What a migration ran into, when it is the database that said it.
fn cause(error: &sqlx::Error) -> &sqlx::Error {
    match error {
        sqlx::Error::Migrate(migration) => match &**migration {
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => cause,
            _ => error,
        },
        _ => error,
    }
}

/// An error for people: which store, what, and the way out. No address.
pub fn in_words(place: &Place, error: &sqlx::Error) -> String {
    let (store, error) = (place.shown(), cause(error));
    let hint = hint(place, error);
    format!("{store}: {}{hint}", detail(error))
}

fn detail(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("no secure connection: {error}"),
        sqlx::Error::PoolTimedOut => "it did not answer in time".to_owned(),
        sqlx::Error::Migrate(error) => format!("its tables are not as they should be: {error}"),
        // The library's other words may repeat an address.
        _ => "the connection was lost or the answer not understood".to_owned(),
    }
}

/// What to do; empty when it is said already.
fn hint(place: &Place, error: &sqlx::Error) -> &'static str {
    let code = match error {
        sqlx::Error::Database(error) => error.code().map(|code| code.into_owned()).unwrap_or_default(),
        sqlx::Error::Io(_) if matches!(place, Place::Postgres(_)) => {
            return "; is the server up, and the address right?";
        }
        sqlx::Error::Io(_) => return "; check that the folder exists and may be written, or set --store",
        sqlx::Error::Migrate(_) => return "; is it from a newer autoscalebot?",
        _ => return "",
    };
    match place {
        Place::Sqlite(_) => match sqlite_kind(error).unwrap_or_default() {
            8 | 14 => "; check that the folder exists and may be written, or set --store",
            10 => "; the disk may be full or damaged: make room or set --store",
            11 | 26 => "; the file is damaged or no database: move it away, and a new one is begun",
            13 => "; make room on the disk, or let less be kept with --store-max-mb",
            _ => "",
        },
        Place::Postgres(_) => match code.get(..2) {
            Some("28") => "; check user and password",
            Some("3D") => "; check the name of the database",
            Some("42") => "; may this user make tables?",
            Some("53") => "; the server has no more room or connections",
            _ => "",
        },
    }
}
