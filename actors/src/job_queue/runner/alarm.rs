//! Alerts of jobs: about what was not cleaned up, stood still, or stays dirty. Each is cleared once it is over.

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

/// Raises it, each time that it happens.
pub(super) fn raise(alert: &'static str, service: &ServiceName, message: String, rim: &Rim) {
    tracing::warn!(%service, alert, "{message}");
    if rim.tidy.alarm(alert, service, true) {
        let (alert, service) = (alert.to_owned(), Some(service.clone()));
        rim.bus.emit(EventKind::AlertRaised { alert, severity: Severity::Warning, service, message });
    }
}

/// Clears it, where it stands.
pub(super) fn clear(alert: &'static str, service: &ServiceName, rim: &Rim) {
    if rim.tidy.alarm(alert, service, false) {
        rim.bus.emit(EventKind::AlertCleared { alert: alert.to_owned(), service: Some(service.clone()) });
    }
}
