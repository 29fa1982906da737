//! Forgets what is too old or too much, in small steps, so that records can be written in between.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::{spec::HistorySpec, time::Timestamp};

/// Rows that one step deletes at most: some milliseconds.
const STEP: i64 = 1000;
/// Pages that one step gives back to the file system at most.
const PAGES: i64 = 1000;

/// What to keep.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    retain: Duration,
    max_size: u64,
    /// Runs that began after this and have not ended are running now: they stay.
    opened: Timestamp,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Step again.
    More,
    /// Until the next time.
    Done,
}

impl Retention {
    /// What the config says, for a runtime that started at `opened`.
    #[must_use]
    pub fn new(spec: &HistorySpec, opened: Timestamp) -> Self {
        Self { retain: spec.retain, max_size: spec.max_size.0, opened }
    }

    /// Does one step.
    ///
    /// # Errors
    /// What SQLite says; the step is undone.
    pub fn step(&self, connection: &mut Connection, now: Timestamp) -> rusqlite::Result<Progress> {
        let retain = i64::try_from(self.retain.as_micros()).unwrap_or(i64::MAX);
        let cutoff = now.as_micros().saturating_sub(retain);
        if self.delete_before(connection, cutoff)? + forget_peaks(connection, cutoff)? > 0 {
            return Ok(Progress::More);
        }
        if used_bytes(connection)? > self.max_size && self.delete_oldest(connection)? > 0 {
            return Ok(Progress::More);
        }
        give_back(connection)
    }

    fn delete_before(&self, connection: &mut Connection, cutoff: i64) -> rusqlite::Result<usize> {
        let transaction = connection.transaction()?;
        let events = "DELETE FROM events WHERE (epoch, sequence) IN
            (SELECT epoch, sequence FROM events WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let runs = "DELETE FROM runs WHERE run_id IN (SELECT run_id FROM runs
            WHERE started < ?1 AND coalesce(ended, started) < ?1 AND (ended IS NOT NULL OR started < ?3)
            ORDER BY started LIMIT ?2)";
        let reports = "DELETE FROM shutdown_reports WHERE epoch IN
            (SELECT epoch FROM shutdown_reports WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let requests = "DELETE FROM requests WHERE (epoch, number) IN
            (SELECT epoch, number FROM requests WHERE at < ?1 ORDER BY at LIMIT ?2)";
        // One that is still to be done stays, however old it is.
        let jobs = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs
            WHERE submitted < ?1 AND finished < ?1 AND state IN ('succeeded', 'failed', 'cancelled')
            ORDER BY submitted LIMIT ?2)";
        let mut deleted = transaction.execute(events, params![cutoff, STEP])?;
        deleted += transaction.execute(jobs, params![cutoff, STEP])?;
        deleted += transaction.execute(requests, params![cutoff, STEP])?;
        deleted += transaction.execute(runs, params![cutoff, STEP, self.opened.as_micros()])?;
        deleted += transaction.execute(reports, params![cutoff, STEP])?;
        transaction.commit()?;
        Ok(deleted)
    }

    /// Requests first, for there are most of them and each is worth least; then events, and with them the runs and reports
    /// that are as old; without any events left, the rest.
    fn delete_oldest(&self, connection: &mut Connection) -> rusqlite::Result<usize> {
        if let Some(cutoff) = early(connection, "requests", "at")? {
            let oldest = "DELETE FROM requests WHERE (epoch, number) IN
                (SELECT epoch, number FROM requests WHERE at <= ?1 ORDER BY at LIMIT ?2)";
            return connection.execute(oldest, params![cutoff, STEP]);
        }
        for (table, time) in [("events", "at"), ("runs", "started"), ("jobs", "submitted"), ("shutdown_reports", "at")]
        {
            if let Some(cutoff) = early(connection, table, time)? {
                let deleted = self.delete_before(connection, cutoff.saturating_add(1))?;
                if deleted > 0 {
                    return Ok(deleted);
                }
            }
        }
        Ok(0)
    }
}

/// Peaks of what has not run for so long. They are few and small (five for each command), so they never go for the
/// sake of the size: what was learned is worth more than old events.
fn forget_peaks(connection: &Connection, cutoff: i64) -> rusqlite::Result<usize> {
    let old = "DELETE FROM peaks WHERE (key, at) IN (SELECT key, at FROM peaks WHERE at < ?1 ORDER BY at LIMIT ?2)";
    connection.execute(old, params![cutoff, STEP])
}

/// The time of a row that is half a step from the oldest, or of the newest one if there are fewer.
fn early(connection: &Connection, table: &str, time: &str) -> rusqlite::Result<Option<i64>> {
    let nth = format!("SELECT {time} FROM {table} ORDER BY {time} LIMIT 1 OFFSET ?1");
    match connection.query_row(&nth, [STEP / 2], |row| row.get(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            connection.query_row(&format!("SELECT max({time}) FROM {table}"), [], |row| row.get(0))
        }
        other => other.map(Some),
    }
}

/// What rows and indexes take, without pages that are free for new ones.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0)).map(u64::from);
    Ok((number("page_count")?.saturating_sub(number("freelist_count")?)) * number("page_size")?)
}

/// Gives free pages back to the file system, but keeps some for the next rows.
fn give_back(connection: &Connection) -> rusqlite::Result<Progress> {
    let free = || connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let before = free()?;
    if before <= PAGES {
        return Ok(Progress::Done);
    }
    // One page goes with each row that is asked for (`src/vdbe.c`, `OP_IncrVacuum`).
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    drop(pages);
    // A database that was made without `auto_vacuum` gives nothing back, however often it is asked.
    Ok(if free()? < before { Progress::More } else { Progress::Done })
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
