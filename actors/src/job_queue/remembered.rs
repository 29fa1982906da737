//! What the history knows of jobs when a runtime begins.

use std::path::Path;

use super::{
    finished::{MOST, MOST_BYTES},
    recover::Remembered,
};
use crate::{
    cause::chain,
    event::{EventBus, EventKind, Severity},
    history_store::{HistoryError, HistoryReader},
};

/// The alert about jobs that could not be read.
const ALERT: &str = "jobs_unread";

/// The jobs in the history at `path`: all that are open, and of those that have ended as many as are kept in memory. Waits
/// for the disk. To be asked before anything of this runtime is written there. A history that cannot be read is told as an
/// alert: what is open in it stays there, and is done by the next runtime that can read it.
#[must_use]
pub fn remembered(path: &Path, bus: &EventBus) -> Remembered {
    match read(path) {
        Ok(found) => found,
        Err(error) if is_expected(&error) => Remembered::default(),
        Err(error) => {
            let message = format!("jobs of earlier runtimes wait until the history can be read: {}", chain(&error));
            tracing::error!("{message}");
            bus.emit(EventKind::AlertRaised {
                alert: ALERT.to_owned(),
                service: None,
                severity: Severity::Warning,
                message,
            });
            Remembered::default()
        }
    }
}

fn read(path: &Path) -> Result<Remembered, HistoryError> {
    let reader = HistoryReader::open(path)?;
    let open = reader.open_jobs()?;
    let [count, bytes] = [MOST, MOST_BYTES].map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    // They are only shown: nothing is left undone without them.
    let mut ended = reader.ended_jobs(count, bytes).unwrap_or_else(|error| {
        tracing::warn!("jobs that ended before this start are not listed: {}", chain(&error));
        Vec::new()
    });
    ended.sort_by_key(|job| job.finished);
    Ok(Remembered { open, ended })
}

/// Whether there simply is no history yet.
#[cfg(feature = "history")]
fn is_expected(error: &HistoryError) -> bool {
    matches!(error, HistoryError::Absent(_))
}

/// Whether there simply is no history.
#[cfg(not(feature = "history"))]
fn is_expected(error: &HistoryError) -> bool {
    matches!(error, HistoryError::NotBuilt)
}
