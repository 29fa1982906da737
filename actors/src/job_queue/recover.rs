//! What earlier runtimes have left, and what becomes of a job that was open when the last one ended. Pure.
//!
//! An ordered stop leaves jobs `queued`; what is found in another state was cut off by a kill of the runtime, which has
//! taken all processes of the work with it. So each may be begun anew, and none is worked on twice side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::life::{may_retry, remember_failure};
use crate::{
    failure::FailureClass,
    job::{JobError, JobName, JobOutcome, JobState, JobView},
    spec::JobDefinition,
    time::Timestamp,
};

/// What the history knows of jobs when a runtime begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// Those that are still to be done, oldest first.
    pub open: Vec<JobView>,
    /// Those that have ended lately, the one that ended last at the end.
    pub ended: Vec<JobView>,
}

/// What is said of a kind of job that is not configured any more.
#[must_use]
pub fn kind_is_gone(job: &JobName) -> String {
    format!("there is no job `{job}` in the configuration any more; it goes on when there is one again")
}

/// The job as it is from now on, `queued` or ended; `row` is how it was written down last.
#[must_use]
pub fn recover(row: JobView, definitions: &BTreeMap<JobName, Arc<JobDefinition>>, wall: Timestamp) -> JobView {
    let mut job = JobView { progress: None, reason: None, ..row };
    if let Some(outcome) = job.outcome {
        return end(job, outcome, wall);
    }
    let definition = definitions.get(&job.job);
    if job.state == JobState::Running {
        let error = JobError::new(Some(FailureClass::Killed), "the runtime was killed while it ran");
        // Without its definition nobody knows how often it may be tried; it is when there is one again.
        if definition.is_some_and(|definition| !may_retry(definition, &job.attempts, &error)) {
            job.error = Some(error);
            return end(job, JobOutcome::Failed, wall);
        }
        job.reason = Some(format!("attempt {} is made again: {}", job.attempt, error.message));
        remember_failure(&mut job, error, wall);
    }
    if definition.is_none() {
        job.reason = Some(kind_is_gone(&job.job));
    }
    job.state = JobState::Queued;
    job
}

fn end(job: JobView, outcome: JobOutcome, wall: Timestamp) -> JobView {
    let reason = job.error.as_ref().map(|error| error.message.clone());
    let finished = job.finished.or(Some(wall));
    JobView { state: outcome.state(), outcome: Some(outcome), reason, finished, ..job }
}
