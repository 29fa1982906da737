//! Reads the history, with the runtime running or stopped, from this process or another one. Changes nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::{
    database::Trouble,
    files::with_suffix,
    messages::{EventRow, HistoryFilter, PeakRow, RequestRow, RunRow, ShutdownReportRow, SwapRow},
    migrations::{Identity, identify},
    query::{self, Query},
};
use crate::job::{JobId, JobView};

/// How long a lock is waited for. Readers and the writer do not lock each other out in WAL mode, but for an instant
/// when the log of a killed runtime is taken over.
const BUSY: Duration = Duration::from_secs(2);

/// Why the history cannot be read, or a report not be added.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is none.
    #[error("there is no history at {}: nothing has run with this state dir yet", .0.display())]
    Absent(PathBuf),
    /// The file system does not let it be looked at.
    #[error("the history at {} cannot be reached", path.display())]
    Unreachable {
        /// The database.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// SQLite cannot read it.
    #[error("the history at {} cannot be read", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A later version made it.
    #[error("a newer Greenroom made the history at {} (version {found}): use that version to read it", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Another program made it.
    #[error("{} is another program's database", .0.display())]
    Foreign(PathBuf),
    /// A report could not be added.
    #[error("the history at {} cannot be written", path.display())]
    Unwritable {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Trouble,
    },
}

/// An open history. Rows come newest first.
#[derive(Debug)]
pub struct HistoryReader {
    connection: Connection,
    path: PathBuf,
    /// A fresh file whose writer has made no tables yet.
    empty: bool,
    /// From version 2 on.
    has_reports: bool,
    /// From version 3 on.
    has_peaks: bool,
    /// From version 4 on.
    has_requests: bool,
    /// From version 5 on.
    has_jobs: bool,
}

impl HistoryReader {
    /// Opens the database at `path` for reading.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        match fs::metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HistoryError::Absent(path.to_owned())),
            Err(source) => return Err(HistoryError::Unreachable { path: path.to_owned(), source }),
        }
        let unreadable = |source| HistoryError::Unreadable { path: path.to_owned(), source };
        let (connection, identity) = match open(path, false) {
            // SQLite wants to make the files beside a WAL database. Where it cannot, on media that nobody can write,
            // a database without a log can be read as one that never changes.
            Err(error) if needs_to_write(&error) && !has_log(path) => open(path, true).map_err(unreadable)?,
            other => other.map_err(unreadable)?,
        };
        let version = match identity {
            Identity::Fresh => 0,
            Identity::Ours { version } => version,
            Identity::Newer { version } => return Err(HistoryError::Newer { path: path.to_owned(), found: version }),
            Identity::Foreign => return Err(HistoryError::Foreign(path.to_owned())),
        };
        Ok(Self {
            connection,
            path: path.to_owned(),
            empty: version == 0,
            has_reports: version >= 2,
            has_peaks: version >= 3,
            has_requests: version >= 4,
            has_jobs: version >= 5,
        })
    }

    /// Past and present runs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runs(&self, filter: &HistoryFilter) -> Result<Vec<RunRow>, HistoryError> {
        self.rows(!self.empty, query::runs(filter), query::run_row)
    }

    /// Past events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self, filter: &HistoryFilter) -> Result<Vec<EventRow>, HistoryError> {
        self.rows(!self.empty, query::events(filter), query::event_row)
    }

    /// Past swaps. A service's are those in which it came and those in which it left.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn swaps(&self, filter: &HistoryFilter) -> Result<Vec<SwapRow>, HistoryError> {
        self.rows(!self.empty, query::swaps(filter), query::swap_row)
    }

    /// Past requests for models.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn requests(&self, filter: &HistoryFilter) -> Result<Vec<RequestRow>, HistoryError> {
        self.rows(self.has_requests, query::requests(filter), query::request_row)
    }

    /// Past and present jobs; the filter's `service` is the kind of job.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn jobs(&self, filter: &HistoryFilter) -> Result<Vec<JobView>, HistoryError> {
        self.rows(self.has_jobs, query::jobs(filter), query::job_row)
    }

    /// All jobs that are still to be done, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_jobs(&self) -> Result<Vec<JobView>, HistoryError> {
        self.rows(self.has_jobs, query::open_jobs(), query::job_row)
    }

    /// The jobs that are being worked on, as it was written down last, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn jobs_at_work(&self) -> Result<Vec<JobId>, HistoryError> {
        self.rows(self.has_jobs, query::jobs_at_work(), query::id_row)
    }

    /// The jobs that have come to their end and were submitted last, newest first: at most `count`, and no more than take
    /// `bytes` in the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn ended_jobs(&self, count: u32, bytes: u32) -> Result<Vec<JobView>, HistoryError> {
        self.rows(self.has_jobs, query::ended_jobs(count, bytes), query::job_row)
    }

    /// One job, if it is known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn job(&self, id: JobId) -> Result<Option<JobView>, HistoryError> {
        Ok(self.rows(self.has_jobs, query::job(id), query::job_row)?.pop())
    }

    /// The newest jobs whose ids lie between these two, both included; at most 100.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn jobs_between(&self, first: JobId, last: JobId) -> Result<Vec<JobView>, HistoryError> {
        self.rows(self.has_jobs, query::jobs_between(first, last), query::job_row)
    }

    /// The reports of the last ordered stops, at most `limit` (0 stands for 100).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn shutdown_reports(&self, limit: u32) -> Result<Vec<ShutdownReportRow>, HistoryError> {
        self.rows(self.has_reports, query::shutdown_reports(limit), query::report_row)
    }

    /// What past and present runs held at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn peaks(&self) -> Result<Vec<PeakRow>, HistoryError> {
        self.rows(self.has_peaks, query::peaks(), query::peak_row)
    }

    fn rows<T>(
        &self,
        exists: bool,
        query: Query,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        if !exists {
            return Ok(Vec::new());
        }
        let rows = || {
            let mut statement = self.connection.prepare(&query.sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(query.values), row)?;
            rows.collect::<rusqlite::Result<Vec<T>>>()
        };
        rows().map_err(|source| HistoryError::Unreadable { path: self.path.clone(), source })
    }
}

fn open(path: &Path, immutable: bool) -> rusqlite::Result<(Connection, Identity)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if immutable {
        Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(BUSY)?;
    let identity = identify(&connection)?;
    Ok((connection, identity))
}

fn needs_to_write(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn has_log(path: &Path) -> bool {
    fs::metadata(with_suffix(path, "-wal")).is_ok_and(|meta| meta.len() > 0)
}

/// `file:PATH?immutable=1`, with the characters that mean something in a URI written as numbers
/// (<https://www.sqlite.org/uri.html>).
fn immutable_uri(path: &Path) -> PathBuf {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    };
    let mut uri = b"file:".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend(format!("%{byte:02X}").bytes()),
            other => uri.push(other),
        }
    }
    uri.extend(b"?immutable=1");
    OsString::from_vec(uri).into()
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
