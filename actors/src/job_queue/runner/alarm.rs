//! Alerts of jobs: about what was not cleaned up, stood still, or stays dirty. Each is cleared once it is over, and what is
//! taken out has none.

use super::Rim;
use crate::{
    event::{EventKind, Severity},
    ids::ServiceName,
};

/// It was not cleaned up.
pub(super) const CLEANUP_FAILED: &str = "cleanup_failed";
/// Work on it stood still.
pub(super) const JOB_STUCK: &str = "job_stuck";
/// So many jobs on it have failed in a row that the last resort was taken.
pub(super) const DIRTY: &str = "dirty";

/// Raises it, each time that it happens: what happens again may have happened in another way.
pub(super) fn raise(alert: &'static str, service: &ServiceName, message: String, rim: &Rim) {
    tracing::warn!(%service, alert, "{message}");
    let (alert, whose) = (alert.to_owned(), Some(service.clone()));
    rim.bus.emit(EventKind::AlertRaised { alert, severity: Severity::Warning, service: whose, message });
    // It may have been taken out under the job. Looked at after it was told: whoever takes it out forgets it after that.
    if !rim.knows(service) {
        rim.bus.forget(service);
    }
}

/// Clears it, where it stands.
pub(super) fn clear(alert: &'static str, service: &ServiceName, rim: &Rim) {
    rim.bus.clear(alert, Some(service));
}
