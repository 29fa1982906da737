//! The jobs of a runtime, as the door uses them: a seam, so that the door's own part is tested without a queue.

use std::{fmt::Debug, sync::Arc};

use futures_util::future::BoxFuture;
use greenroom_actors::{
    job::{JobId, JobName, JobState, JobView},
    job_queue::{
        attempt::JobFolder,
        messages::{JobSpec, ListJobs},
    },
    spec::JobDefinition,
};
use tokio::sync::watch;

use crate::runtime::{JobRefusal, RuntimeHandle};

/// How many jobs that are being worked on are looked at; more than any machine does at a time.
const MOST_AT_WORK: usize = 1000;

/// A job, followed: the newest view of it, again and again. The sender goes when the job has come to its end.
pub type Views = watch::Receiver<Arc<JobView>>;

/// A runtime's jobs.
pub trait Works: Debug + Send + Sync {
    /// The kinds of job. Another vector once they have changed.
    fn definitions(&self) -> Arc<Vec<Arc<JobDefinition>>>;

    /// Hands a job in. Done once it is on disk.
    ///
    /// # Errors
    /// When it is not accepted; nothing of it is kept then.
    fn submit(&self, job: JobSpec) -> BoxFuture<'static, Result<JobView, JobRefusal>>;

    /// Follows a job, also one that has just ended.
    ///
    /// # Errors
    /// When nobody knows it any more.
    fn follow(&self, id: JobId) -> BoxFuture<'static, Result<Views, JobRefusal>>;

    /// Takes a job back, if it is not over. Waits for nothing.
    fn cancel(&self, id: JobId);

    /// Where the files of a job lie.
    fn folder(&self, id: JobId) -> JobFolder;

    /// The kinds of which a job is being worked on.
    fn at_work(&self) -> BoxFuture<'static, Vec<JobName>>;
}

impl Works for RuntimeHandle {
    fn definitions(&self) -> Arc<Vec<Arc<JobDefinition>>> {
        self.job_definitions()
    }

    fn submit(&self, job: JobSpec) -> BoxFuture<'static, Result<JobView, JobRefusal>> {
        let runtime = self.clone();
        Box::pin(async move { runtime.submit_job(job).await })
    }

    fn follow(&self, id: JobId) -> BoxFuture<'static, Result<Views, JobRefusal>> {
        let runtime = self.clone();
        Box::pin(async move { runtime.follow_job(id).await })
    }

    fn cancel(&self, id: JobId) {
        self.drop_job(id);
    }

    fn folder(&self, id: JobId) -> JobFolder {
        self.job_folder(id)
    }

    fn at_work(&self) -> BoxFuture<'static, Vec<JobName>> {
        let (runtime, states) = (self.clone(), vec![JobState::Running, JobState::Cleaning]);
        Box::pin(async move {
            // A runtime that is stopping tells of none.
            let jobs = runtime.jobs(ListJobs { job: None, states, limit: MOST_AT_WORK }).await.unwrap_or_default();
            jobs.iter().map(|job| job.job.clone()).collect()
        })
    }
}
