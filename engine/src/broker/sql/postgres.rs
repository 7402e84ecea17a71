//! PostgreSQL: one question in a read-only transaction of its own.
//!
//! The transaction goes in one message: begin, and the statement's time-out for this transaction alone, so that nothing
//! is left behind on a connection that a pooler such as PgBouncer hands to others. The question is an unnamed prepared
//! statement, which is a single one by the protocol: a second statement behind a semicolon is refused.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Decode, Executor, Postgres, Row as _, TypeInfo, ValueRef,
    postgres::{PgConnectOptions, PgConnection, PgRow, PgValueRef},
    raw_sql,
};
use url::Url;

use super::{Cell, Question, Row};

/// What an address may say beside the place; all else is for other programs and left out.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// How to connect; nothing when this is no address.
pub fn options(address: &str) -> Option<PgConnectOptions> {
    let mut url: Url = address.parse().ok()?;
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    let known: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| is_known(name)).map(|(name, value)| (name.into(), value.into())).collect();
    url.set_query(None);
    if !known.is_empty() {
        url.query_pairs_mut().extend_pairs(known);
    }
    let options = PgConnectOptions::from_url(&url).ok()?;
    let options = match options.get_application_name() {
        None => options.application_name("autoscalebot"),
        Some(_) => options,
    };
    // Numbers come in binary, and poolers refuse parameters that they do not know.
    Some(options.extra_float_digits(None).disable_statement_logging())
}

/// `PostgreSQL at localhost:5432`
pub fn shown(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => format!("PostgreSQL at {}", folder.display()),
        None => format!("PostgreSQL at {}:{}", options.get_host(), options.get_port()),
    }
}

/// Asks. After an error that leaves the connection whole the transaction is over as well.
pub async fn ask(
    connection: &mut PgConnection,
    question: &Question<'_>,
    limit: Duration,
) -> Result<Vec<Row>, sqlx::Error> {
    let milliseconds = limit.as_millis().max(1);
    let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds}");
    raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await?;
    let answer = rows(connection, question).await;
    if super::error::leaves_whole(&answer) {
        raw_sql("ROLLBACK").execute(&mut *connection).await?;
    }
    answer
}

async fn rows(connection: &mut PgConnection, question: &Question<'_>) -> Result<Vec<Row>, sqlx::Error> {
    // Not kept by name: behind a pooler the next connection does not know it.
    let mut query = sqlx::query(AssertSqlSafe(question.statement)).persistent(false);
    for &list in question.lists {
        query = query.bind(list);
    }
    let mut answer = connection.fetch(query);
    let mut rows = Vec::new();
    while let Some(row) = answer.try_next().await? {
        if rows.len() == question.most_rows {
            return Err(super::error::too_many_rows());
        }
        rows.push(cells(&row)?);
    }
    Ok(rows)
}

fn cells(row: &PgRow) -> Result<Row, sqlx::Error> {
    let cell = |column: &sqlx::postgres::PgColumn| {
        let value = row.try_get_raw(column.ordinal())?;
        Ok((column.name().to_owned(), cell(value).map_err(sqlx::Error::Decode)?))
    };
    row.columns().iter().map(cell).collect()
}

fn cell(value: PgValueRef<'_>) -> Result<Cell, sqlx::error::BoxDynError> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^52 items")]
    Ok(match kind.as_str() {
        "INT2" => Cell::Number(<i16 as Decode<Postgres>>::decode(value)?.into()),
        "INT4" => Cell::Number(<i32 as Decode<Postgres>>::decode(value)?.into()),
        "INT8" => Cell::Number(<i64 as Decode<Postgres>>::decode(value)? as f64),
        "FLOAT4" => Cell::Number(<f32 as Decode<Postgres>>::decode(value)?.into()),
        "FLOAT8" => Cell::Number(<f64 as Decode<Postgres>>::decode(value)?),
        "NUMERIC" => Cell::Number(numeric(value.as_bytes()?).ok_or("a number that cannot be read")?),
        "TEXT" | "VARCHAR" | "NAME" | "CHAR" => Cell::Text(<&str as Decode<Postgres>>::decode(value)?.to_owned()),
        _ => Cell::Other(kind),
    })
}

/// A `numeric` in binary: how many digits to base 10 000, the weight of the first, the sign, the scale for display, the
/// digits; each of 16 bits. Source: `numeric_send` of PostgreSQL.
fn numeric(bytes: &[u8]) -> Option<f64> {
    let words: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, _scale, digits @ ..] = words.as_slice() else { return None };
    if digits.len() != usize::from(*count) {
        return None;
    }
    let weight = i32::from(weight.cast_signed());
    let places = (0..).map(|index| weight - index);
    let sum: f64 = digits.iter().zip(places).map(|(digit, place)| f64::from(*digit) * 10_000_f64.powi(place)).sum();
    match sign {
        0x0000 => Some(sum),
        0x4000 => Some(-sum),
        0xD000 => Some(f64::INFINITY),
        0xF000 => Some(f64::NEG_INFINITY),
        _ => Some(f64::NAN),
    }
}
