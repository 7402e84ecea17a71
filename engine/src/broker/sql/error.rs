//! What databases answer instead of an answer, in our words.
//!
//! A server's own words are shown only where they speak of the query (a name that is wrong, a syntax error); elsewhere
//! they may repeat a user's name or somebody's data.

use std::io;

use crate::measurement::MeasureError;

/// A server's words about a query are short; more would be a whole query.
const LONGEST_WORDS: usize = 200;

/// What stands for an answer that has more rows than were asked for.
pub fn too_many_rows() -> sqlx::Error {
    sqlx::Error::InvalidArgument("too many rows".to_owned())
}

/// The error as a measurement tells it.
pub fn told(shown: &str, error: &sqlx::Error) -> MeasureError {
    let (key, message) = match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            let words = error.message().chars().take(LONGEST_WORDS).collect::<String>();
            by_code(shown, &code, &words)
        }
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            ("refused", format!("{shown} refuses connections; does it run, and are host and port in URL right?"))
        }
        sqlx::Error::Io(error) if error.to_string().contains("lookup address") => {
            ("dns", format!("the host of {shown} has no address; check URL"))
        }
        sqlx::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => tls(shown),
        sqlx::Error::Io(_) => ("connection", format!("the connection to {shown} broke, or never came to be")),
        sqlx::Error::Tls(_) => tls(shown),
        sqlx::Error::InvalidArgument(_) => {
            ("too_many_rows", format!("{shown} answers with more rows than were asked for"))
        }
        _ => ("broker_error", format!("{shown} answers with something that cannot be read")),
    };
    MeasureError::unknown(key, message)
}

/// Whether nothing more can come over this connection.
pub fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        // The server was told to end, crashed, or is not yet there.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        sqlx::Error::InvalidArgument(_) | sqlx::Error::Decode(_) => false,
        _ => true,
    }
}

/// Whether the connection may be used again. Rows that were not read are still to come.
pub fn leaves_whole(answer: &Result<Vec<super::Row>, sqlx::Error>) -> bool {
    match answer {
        Ok(_) => true,
        Err(error) => !is_broken(error) && !matches!(error, sqlx::Error::InvalidArgument(_)),
    }
}

fn tls(shown: &str) -> (&'static str, String) {
    ("tls", format!("no safe connection to {shown}; check sslmode and sslrootcert in URL"))
}

/// Codes: five letters from PostgreSQL (its documentation, appendix A), a number from SQLite.
fn by_code(shown: &str, code: &str, words: &str) -> (&'static str, String) {
    let no_write =
        || ("not_read_only", format!("{shown} refuses: QUERY wants to change something, and only reading is allowed"));
    match code {
        "57014" => {
            ("timeout", format!("{shown} needs too long for the query; make it cheaper, or raise TIMEOUT_SECONDS"))
        }
        "25006" | "8" => no_write(),
        "3D000" => ("missing", format!("{shown} has no such database; check URL")),
        "53300" => ("too_many_connections", format!("{shown} has no connection left for us")),
        "42501" => ("forbidden", format!("{shown} does not allow it: {words}")),
        "5" | "6" => ("locked", format!("{shown} is locked by another program")),
        "9" => ("timeout", format!("{shown} needs too long for the query; make it cheaper, or raise TIMEOUT_SECONDS")),
        "14" => ("missing", format!("{shown} cannot be opened; does it exist, and may we read it?")),
        "26" => ("wrong_type", format!("{shown} is no SQLite database")),
        "1" => ("bad_query", format!("{shown} does not understand the query: {words}")),
        code if code.starts_with("28") => {
            ("unauthorized", format!("{shown} refuses the user or the password; check URL"))
        }
        code if code.starts_with("42") => ("bad_query", format!("{shown} does not understand the query: {words}")),
        code if code.starts_with("57P") => ("refused", format!("{shown} is starting or stopping")),
        code => ("broker_error", format!("{shown} did not answer the query (code {code})")),
    }
}
