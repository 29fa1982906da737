//! Adds to the history when there are no actors any more.

use std::path::Path;

use super::{database::Database, messages::Record, reader::HistoryError};
use crate::time::Timestamp;

/// Adds the report of an ordered stop; a second one for the same runtime replaces the first. Blocks: a locked database
/// is waited for 2 s at most.
///
/// # Errors
/// When it is not on disk. A damaged database is left as it is: the next start sets it aside.
pub fn append_shutdown_report(
    path: &Path,
    epoch: u64,
    at: Timestamp,
    report: &serde_json::Value,
) -> Result<(), HistoryError> {
    let unwritable = |source| HistoryError::Unwritable { path: path.to_owned(), source };
    let mut database = Database::open(path).map_err(unwritable)?;
    let left_out =
        database.write(&[Record::ShutdownReport { epoch, at, report: report.clone() }]).map_err(unwritable)?;
    debug_assert_eq!(left_out, 0, "a report always fits");
    Ok(())
}
