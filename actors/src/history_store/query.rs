//! What people ask of the history, as SQL, and rows as values.

use std::str::FromStr;

use rusqlite::{Row, ToSql, types::Type};

use super::messages::{EventRow, HistoryFilter, RunRow, ShutdownReportRow};
use crate::{event::EventId, ids::Pid, time::Timestamp};

/// No question is answered with more rows than this.
pub const MOST_ROWS: u32 = 10_000;
/// Rows when the filter does not say.
const USUAL_ROWS: u32 = 100;

/// A statement with the values for its places.
pub struct Query {
    /// The statement.
    pub sql: String,
    /// Its values, in order.
    pub values: Vec<Box<dyn ToSql>>,
}

/// The runs that a filter lets through, newest first.
pub fn runs(filter: &HistoryFilter) -> Query {
    build(
        "SELECT run_id, service, pid, command, started, ready, ended, exit, wanted FROM runs",
        filter,
        "max(started, ifnull(ready, 0), ifnull(ended, 0)) >= ?",
        "json_extract(exit, '$.class') IS NOT NULL",
        "started DESC, run_id DESC",
    )
}

/// The events that a filter lets through, newest first. Failed are transitions to a state of failure, ends with a
/// class of failure, and alerts.
pub fn events(filter: &HistoryFilter) -> Query {
    build(
        "SELECT epoch, sequence, at, event FROM events",
        filter,
        "at >= ?",
        "(kind = 'alert.raised' OR json_extract(event, '$.to') IN ('failed', 'stuck', 'backoff')
          OR json_extract(event, '$.exit.class') IS NOT NULL)",
        "at DESC, epoch DESC, sequence DESC",
    )
}

/// The reports of ordered stops, newest first.
pub fn shutdown_reports(limit: u32) -> Query {
    let filter = HistoryFilter { limit, ..HistoryFilter::default() };
    build("SELECT epoch, at, report FROM shutdown_reports", &filter, "", "", "at DESC, epoch DESC")
}

fn build(select: &str, filter: &HistoryFilter, since: &str, failed: &str, order: &str) -> Query {
    let mut conditions = Vec::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(service) = &filter.service {
        conditions.push("service = ?");
        values.push(Box::new(service.as_str().to_owned()));
    }
    if let Some(time) = filter.since {
        conditions.push(since);
        values.push(Box::new(time.as_micros()));
    }
    if filter.failed {
        conditions.push(failed);
    }
    let conditions = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let limit = if filter.limit == 0 { USUAL_ROWS } else { filter.limit.min(MOST_ROWS) };
    values.push(Box::new(limit));
    Query { sql: format!("{select}{conditions} ORDER BY {order} LIMIT ?"), values }
}

/// A row of [`runs`].
pub fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        run_id: text(row, 0)?,
        service: text(row, 1)?,
        pid: Pid(row.get(2)?),
        command: json(row, 3)?,
        started: Timestamp::from_micros(row.get(4)?),
        ready: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_micros),
        ended: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        exit: if row.get_ref(7)?.data_type() == Type::Null { None } else { Some(json(row, 7)?) },
        wanted: row.get(8)?,
    })
}

/// A row of [`events`].
pub fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let id = EventId { epoch: number(row, 0)?, sequence: number(row, 1)? };
    Ok(EventRow { id: id.to_string(), at: Timestamp::from_micros(row.get(2)?), event: json(row, 3)? })
}

/// A row of [`shutdown_reports`].
pub fn report_row(row: &Row<'_>) -> rusqlite::Result<ShutdownReportRow> {
    let at = Timestamp::from_micros(row.get(1)?);
    Ok(ShutdownReportRow { epoch: number(row, 0)?, at, report: json(row, 2)? })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn text<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}
