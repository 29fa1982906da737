//! Turns records into rows. Each row has a key of its own, so that writing a record twice leaves one row.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{
    fault::{Fault, judge},
    messages::Record,
};
use crate::ids::ServiceName;

/// Runs whose peaks are kept for each command and file: enough that one odd run does not decide, few enough that figures
/// fall when the program needs less.
pub const PEAKS_KEPT: i64 = 5;

/// Writes all records in one transaction and commits it. Records that can never be written are left out and logged;
/// their number comes back.
///
/// # Errors
/// What SQLite says; nothing is written then.
pub fn write_all<'a>(
    connection: &mut Connection,
    records: impl IntoIterator<Item = &'a Record>,
) -> rusqlite::Result<u64> {
    let mut records = records.into_iter().peekable();
    if records.peek().is_none() {
        return Ok(0);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut left_out = 0;
    for record in records {
        match write(&transaction, record) {
            Ok(()) => {}
            // A statement that fails with such an error has changed nothing, and the transaction goes on.
            Err(error) if judge(&error) == Fault::Record => {
                tracing::error!(%error, ?record, "this record cannot be written to the history");
                left_out += 1;
            }
            Err(error) => return Err(error),
        }
    }
    transaction.commit()?;
    Ok(left_out)
}

fn write(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    let run = |sql, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values).map(drop);
    match record {
        Record::RunStarted { run: id, service, pid, command, at } => run(
            "INSERT INTO runs (run_id, service, pid, command, started) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (run_id) DO NOTHING",
            params![id.to_string(), service.as_str(), pid.0, json(command)?, at.as_micros()],
        ),
        Record::RunReady { run: id, at } => run(
            "UPDATE runs SET ready = ?2 WHERE run_id = ?1 AND ready IS NULL",
            params![id.to_string(), at.as_micros()],
        ),
        Record::RunEnded { run: id, exit, wanted } => run(
            "UPDATE runs SET ended = ?2, exit = ?3, wanted = ?4 WHERE run_id = ?1 AND ended IS NULL",
            params![id.to_string(), exit.at.as_micros(), json(exit)?, wanted],
        ),
        Record::Peak(peak) => {
            run(
                "INSERT INTO peaks (key, at, service, command, file, layers, vram, ram)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (key, at) DO UPDATE SET ram = max(ram, excluded.ram),
                 vram = coalesce(max(vram, excluded.vram), vram, excluded.vram)",
                params![
                    peak.key,
                    peak.at.as_micros(),
                    peak.service.as_str(),
                    json(&peak.command)?,
                    peak.file.as_ref().map(|file| file.to_string_lossy().into_owned()),
                    peak.layers,
                    peak.vram.map(whole),
                    whole(peak.ram)
                ],
            )?;
            run(
                "DELETE FROM peaks WHERE key = ?1 AND at < (SELECT min(at) FROM
                 (SELECT at FROM peaks WHERE key = ?1 ORDER BY at DESC LIMIT ?2))",
                params![peak.key, PEAKS_KEPT],
            )
        }
        Record::Event(event) => run(
            "INSERT INTO events (epoch, sequence, at, kind, service, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (epoch, sequence) DO NOTHING",
            params![
                whole(event.id.epoch),
                whole(event.id.sequence),
                event.at.as_micros(),
                event.kind.name(),
                event.kind.service().map(|s| s.as_str()),
                json(event)?
            ],
        ),
        Record::Request { epoch, number, row } => run(
            "INSERT INTO requests (epoch, number, at, model, service, code, error, waited, took, bytes, whole)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (epoch, number) DO NOTHING",
            params![
                whole(*epoch),
                whole(*number),
                row.at.as_micros(),
                row.model,
                row.service.as_ref().map(ServiceName::as_str),
                row.code,
                row.error,
                micros(row.waited),
                micros(row.took),
                whole(row.bytes),
                row.whole
            ],
        ),
        // Records of a job come in their order, from its queue alone, so the last one is the newest.
        Record::Job(job) => run(
            "INSERT INTO jobs (id, job, state, submitted, finished, view) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, finished = excluded.finished, view = excluded.view",
            params![
                job.id.to_string(),
                job.job.as_str(),
                job.state.name(),
                job.submitted.as_micros(),
                job.finished.map(|at| at.as_micros()),
                json(job)?
            ],
        ),
        Record::ShutdownReport { epoch, at, report } => run(
            "INSERT INTO shutdown_reports (epoch, at, report) VALUES (?1, ?2, ?3)
             ON CONFLICT (epoch) DO UPDATE SET at = excluded.at, report = excluded.report",
            params![whole(*epoch), at.as_micros(), report.to_string()],
        ),
    }
}

/// SQLite's integers have a sign.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds as microseconds: enough for what people compare, and exact in a whole number.
fn micros(seconds: f64) -> i64 {
    // A cast takes what is no time at all as 0, and what is too long as the longest.
    (seconds * 1e6).round() as i64
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
