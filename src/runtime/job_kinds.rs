//! The kinds of job there are, for those who want to know without asking the queue.

use std::sync::Arc;

use arc_swap::ArcSwap;
use greenroom_actors::{
    job::JobId,
    job_queue::{
        attempt::JobFolder,
        messages::{Cancel, RedefineJobs},
    },
    spec::JobDefinition,
};

use super::RuntimeHandle;

/// The kinds of job. Replaced whole by a reload, so that whoever has looked can see that they have changed by one pointer.
#[derive(Debug)]
pub(super) struct JobKinds(ArcSwap<Vec<Arc<JobDefinition>>>);

impl JobKinds {
    /// Of a configuration.
    pub fn new(jobs: &[JobDefinition]) -> Self {
        Self(ArcSwap::from_pointee(shared(jobs)))
    }
}

fn shared(jobs: &[JobDefinition]) -> Vec<Arc<JobDefinition>> {
    jobs.iter().cloned().map(Arc::new).collect()
}

impl RuntimeHandle {
    /// The kinds of job, in the order of the configuration. Another vector once they have changed.
    #[must_use]
    pub fn job_definitions(&self) -> Arc<Vec<Arc<JobDefinition>>> {
        self.inner.job_kinds.0.load_full()
    }

    /// Where the files of a job lie.
    #[must_use]
    pub fn job_folder(&self, id: JobId) -> JobFolder {
        JobFolder::of(self.state_dir(), id)
    }

    /// Takes a job back, if it is not over. Waits for nothing, and so learns nothing of what comes of it.
    pub fn drop_job(&self, id: JobId) {
        if let Some(queue) = self.inner.jobs.upgrade() {
            queue.do_send(Cancel(id));
        }
    }

    /// These are the kinds of job from now on.
    pub(super) fn redefine_jobs(&self, jobs: &[JobDefinition]) {
        let jobs = shared(jobs);
        // The queue first: who learns of a kind here may hand in a job of it at once.
        if let Some(queue) = self.inner.jobs.upgrade() {
            queue.do_send(RedefineJobs(jobs.clone()));
        }
        self.inner.job_kinds.0.store(Arc::new(jobs));
    }
}
