//! What people ask of the history, as SQL, and rows as values.

use std::str::FromStr;

use rusqlite::{Row, ToSql, types::Type};

use super::messages::{EventRow, HistoryFilter, PeakRow, RequestRow, RunRow, ShutdownReportRow, SwapRow};
use crate::{
    event::{EventId, SwapSeconds},
    ids::{Pid, RunId, ServiceName},
    job::{JobId, JobView},
    time::Timestamp,
};

/// No question is answered with more rows than this.
pub const MOST_ROWS: u32 = 10_000;
/// Rows when the filter does not say.
const USUAL_ROWS: u32 = 100;

/// The order of events.
const BY_TIME: &str = "at DESC, epoch DESC, sequence DESC";

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
        BY_TIME,
    )
}

/// The swaps that a filter lets through, newest first: of a service those for which it came and those for which it left.
/// One that failed is no swap, so there are none.
pub fn swaps(filter: &HistoryFilter) -> Query {
    let mut conditions = vec!["kind = 'swap.done'"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(service) = &filter.service {
        conditions.push("(service = ? OR EXISTS (SELECT 1 FROM json_each(event, '$.from') WHERE value = ?))");
        values.extend((0..2).map(|_| -> Box<dyn ToSql> { Box::new(service.as_str().to_owned()) }));
    }
    let rest = HistoryFilter { service: None, ..filter.clone() };
    build_with("SELECT at, event FROM events", conditions, values, &rest, "at >= ?", "0", BY_TIME)
}

/// The requests that a filter lets through, newest first. Failed are those that were refused or ended in an error, and
/// answers that broke off.
pub fn requests(filter: &HistoryFilter) -> Query {
    build(
        "SELECT at, model, service, code, error, waited, took, bytes, whole FROM requests",
        filter,
        "at >= ?",
        "(code >= 400 OR NOT whole)",
        "at DESC, epoch DESC, number DESC",
    )
}

/// A row of [`requests`].
pub fn request_row(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    let seconds = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as f64 / 1e6);
    Ok(RequestRow {
        at: Timestamp::from_micros(row.get(0)?),
        model: row.get(1)?,
        service: if row.get_ref(2)?.data_type() == Type::Null { None } else { Some(text(row, 2)?) },
        code: row.get(3)?,
        error: row.get(4)?,
        waited: seconds(5)?,
        took: seconds(6)?,
        bytes: number(row, 7)?,
        whole: row.get(8)?,
    })
}

/// The jobs that a filter lets through, newest first; `service` is the kind of job.
pub fn jobs(filter: &HistoryFilter) -> Query {
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut conditions = Vec::new();
    if let Some(job) = &filter.service {
        conditions.push("job = ?");
        values.push(Box::new(job.as_str().to_owned()));
    }
    let rest = HistoryFilter { service: None, ..filter.clone() };
    let (since, order) = ("max(submitted, ifnull(finished, 0)) >= ?", "submitted DESC, id DESC");
    build_with("SELECT view FROM jobs", conditions, values, &rest, since, "state = 'failed'", order)
}

/// The jobs that are still to be done, oldest first: all of them.
pub fn open_jobs() -> Query {
    let sql = "SELECT view FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY id";
    Query { sql: sql.to_owned(), values: Vec::new() }
}

/// The ids of the jobs that are being worked on, oldest first.
pub fn jobs_at_work() -> Query {
    // The first condition is that of the index `jobs_open`.
    let sql = "SELECT id FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')
               AND state IN ('running', 'cleaning') ORDER BY id";
    Query { sql: sql.to_owned(), values: Vec::new() }
}

/// A row of [`jobs_at_work`].
pub fn id_row(row: &Row<'_>) -> rusqlite::Result<JobId> {
    text(row, 0)
}

/// The jobs that have come to their end and were submitted last, newest first: at most `count`, and no more than take `bytes`
/// together.
pub fn ended_jobs(count: u32, bytes: u32) -> Query {
    // The sum is made of the lengths alone, which do not need the texts to be read.
    let sql = "SELECT view FROM jobs WHERE id IN (
                   SELECT id FROM (
                       SELECT id, sum(bytes) OVER (ORDER BY submitted DESC, id DESC) AS total FROM (
                           SELECT id, submitted, octet_length(view) AS bytes FROM jobs
                           WHERE state IN ('succeeded', 'failed', 'cancelled')
                           ORDER BY submitted DESC, id DESC LIMIT ?))
                   WHERE total <= ?)
               ORDER BY submitted DESC, id DESC";
    Query { sql: sql.to_owned(), values: vec![Box::new(count), Box::new(bytes)] }
}

/// One job.
pub fn job(id: JobId) -> Query {
    Query { sql: "SELECT view FROM jobs WHERE id = ?".to_owned(), values: vec![Box::new(id.to_string())] }
}

/// The newest jobs whose ids lie between these two, both included.
pub fn jobs_between(first: JobId, last: JobId) -> Query {
    let sql = "SELECT view FROM jobs WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 100";
    Query { sql: sql.to_owned(), values: vec![Box::new(first.to_string()), Box::new(last.to_string())] }
}

/// A row of [`jobs`].
pub fn job_row(row: &Row<'_>) -> rusqlite::Result<JobView> {
    json(row, 0)
}

/// The reports of ordered stops, newest first.
pub fn shutdown_reports(limit: u32) -> Query {
    let filter = HistoryFilter { limit, ..HistoryFilter::default() };
    build("SELECT epoch, at, report FROM shutdown_reports", &filter, "", "", "at DESC, epoch DESC")
}

/// What runs held at most, newest first.
pub fn peaks() -> Query {
    let filter = HistoryFilter { limit: MOST_ROWS, ..HistoryFilter::default() };
    build("SELECT key, at, service, command, file, layers, vram, ram FROM peaks", &filter, "", "", "at DESC, key")
}

/// A row of [`peaks`].
pub fn peak_row(row: &Row<'_>) -> rusqlite::Result<PeakRow> {
    Ok(PeakRow {
        key: row.get(0)?,
        at: Timestamp::from_micros(row.get(1)?),
        service: text(row, 2)?,
        command: json(row, 3)?,
        file: row.get::<_, Option<String>>(4)?.map(Into::into),
        layers: row.get(5)?,
        vram: if row.get_ref(6)?.data_type() == Type::Null { None } else { Some(number(row, 6)?) },
        ram: number(row, 7)?,
    })
}

fn build(select: &str, filter: &HistoryFilter, since: &str, failed: &str, order: &str) -> Query {
    build_with(select, Vec::new(), Vec::new(), filter, since, failed, order)
}

/// Adds what `filter` says to conditions that hold anyway.
fn build_with<'a>(
    select: &str,
    mut conditions: Vec<&'a str>,
    mut values: Vec<Box<dyn ToSql>>,
    filter: &HistoryFilter,
    since: &'a str,
    failed: &'a str,
    order: &str,
) -> Query {
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

/// A row of [`swaps`].
pub fn swap_row(row: &Row<'_>) -> rusqlite::Result<SwapRow> {
    /// What the event says.
    #[derive(serde::Deserialize)]
    struct Done {
        service: ServiceName,
        run_id: RunId,
        from: Vec<ServiceName>,
        seconds: SwapSeconds,
    }
    let Done { service, run_id, from, seconds } = json(row, 1)?;
    Ok(SwapRow { at: Timestamp::from_micros(row.get(0)?), service, run_id, from, seconds })
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
