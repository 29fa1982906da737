//! A failure of a job, told to whoever judges before what shows its cause is gone.

use std::time::Duration;

use tokio::time::timeout;

use super::{Rim, failing::sign};
use crate::{
    ids::{RunId, ServiceName},
    job::{JobError, JobId},
    witness::{FailureSeen, SeenIn},
};

/// How long whoever judges may take to look at a run that failed.
const BOUND: Duration = Duration::from_secs(3);

/// What is told of this failure of a job at this run; nothing where no rule has recognised it.
pub(super) fn of(error: &JobError, service: ServiceName, run: RunId, job: JobId) -> Option<FailureSeen> {
    let (class, action, line) = sign(error)?;
    Some(FailureSeen { service, run, class, action, line: line.to_owned(), seen: SeenIn::Job(job) })
}

/// Tells it, and waits until the run has been looked at.
pub(super) async fn report(rim: &Rim, seen: FailureSeen) {
    let service = seen.service.clone();
    if timeout(BOUND, rim.witness.report(seen)).await.is_err() {
        tracing::warn!(%service, "what shows the cause of a failure was not looked at within {BOUND:?}");
    }
}
