//! What the history knows of jobs that are still to be done.

use std::path::Path;

use crate::{
    cause::chain,
    event::{EventBus, EventKind, Severity},
    history_store::{HistoryError, HistoryReader},
    job::JobView,
};

/// The alert about jobs that could not be read.
const ALERT: &str = "jobs_unread";

/// The jobs that are open in the history at `path`, oldest first. Waits for the disk. To be asked before anything of this
/// runtime is written there. A history that cannot be read is told as an alert: what is open in it stays there, and is
/// done by the next runtime that can read it.
#[must_use]
pub fn open_jobs(path: &Path, bus: &EventBus) -> Vec<JobView> {
    match HistoryReader::open(path).and_then(|reader| reader.open_jobs()) {
        Ok(jobs) => jobs,
        Err(error) if is_expected(&error) => Vec::new(),
        Err(error) => {
            let message = format!("jobs of earlier runtimes wait until the history can be read: {}", chain(&error));
            tracing::error!("{message}");
            bus.emit(EventKind::AlertRaised {
                alert: ALERT.to_owned(),
                service: None,
                severity: Severity::Warning,
                message,
            });
            Vec::new()
        }
    }
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
