//! A job of a running runtime, as an application sees it.

use std::{
    fmt,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use greenroom_actors::{
    job::{JobError, JobId, JobOutcome, JobProgress, JobView},
    job_queue::attempt::JobFolder,
};
use tokio::sync::watch;

use crate::runtime::{JobRefusal, RuntimeHandle};

/// A job that was accepted: cheap to clone, usable from any thread, with any executor or none. It goes on by itself, also
/// when this is dropped, and does not keep the runtime running.
#[derive(Clone)]
pub struct Job {
    runtime: RuntimeHandle,
    id: JobId,
    views: watch::Receiver<Arc<JobView>>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a job that has succeeded has made.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDone {
    /// The job as it was then.
    pub view: Arc<JobView>,
    /// Its files. They lie in the state dir for as long as `keep_output` says.
    pub files: Vec<PathBuf>,
}

/// Why a job has made nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobFailed {
    /// It has failed, and so have its further attempts.
    #[error("job {} ({}) failed{}", .0.id, .0.job, said(.0))]
    Failed(Arc<JobView>),
    /// Somebody has taken it back.
    #[error("job {} ({}) was cancelled{}", .0.id, .0.job, said(.0))]
    Cancelled(Arc<JobView>),
    /// The runtime has ended before the job has. It is on disk, and goes on with the next runtime on the same state dir.
    #[error("the runtime has ended; job {} ({}) is {} and goes on with the next one", .0.id, .0.job, .0.state.name())]
    Open(Arc<JobView>),
}

impl JobFailed {
    /// The job as it was then.
    #[must_use]
    pub fn view(&self) -> &Arc<JobView> {
        match self {
            Self::Failed(view) | Self::Cancelled(view) | Self::Open(view) => view,
        }
    }

    /// The error of its last attempt: class, exit status, last lines of stderr.
    #[must_use]
    pub fn error(&self) -> Option<&JobError> {
        self.view().error.as_ref()
    }
}

fn said(view: &JobView) -> String {
    view.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default()
}

impl Job {
    pub(super) async fn find(runtime: &RuntimeHandle, id: JobId) -> Result<Self, JobRefusal> {
        let views = runtime.follow_job(id).await?;
        Ok(Self { runtime: runtime.clone(), id, views })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// It as it is at this moment. Never blocks.
    #[must_use]
    pub fn view(&self) -> Arc<JobView> {
        self.views.borrow().clone()
    }

    /// How far it comes, as a stream: each step that is told while it runs, until its outcome is known. Only the newest step
    /// is kept: whoever looks seldom misses what lay between. How far it is now: `view().progress`.
    #[must_use]
    pub fn progress(&self) -> JobSteps {
        JobSteps::of(self.views.clone())
    }

    /// Takes it back. One that runs is stopped, and cancelled once it has really stopped: [`wait`](Self::wait) tells.
    ///
    /// # Errors
    /// When it has come to its end already, or the runtime is stopping.
    pub async fn cancel(&self) -> Result<(), JobRefusal> {
        self.runtime.cancel_job(self.id).await.map(drop)
    }

    /// Waits until it is known what became of it; what it used may still be being cleaned up then. Dropping the future stops
    /// the waiting alone.
    ///
    /// # Errors
    /// When it has failed or was cancelled, or the runtime has ended before.
    pub async fn wait(&self) -> Result<JobDone, JobFailed> {
        let mut views = self.views.clone();
        let known = views.wait_for(|view| view.outcome.is_some()).await.map(|view| view.clone());
        // Whoever told of it has gone, and with it the runtime.
        let view = known.unwrap_or_else(|_| self.view());
        match view.outcome {
            Some(JobOutcome::Succeeded) => Ok(self.done(view)),
            Some(JobOutcome::Failed) => Err(JobFailed::Failed(view)),
            Some(JobOutcome::Cancelled) => Err(JobFailed::Cancelled(view)),
            None => Err(JobFailed::Open(view)),
        }
    }

    fn done(&self, view: Arc<JobView>) -> JobDone {
        let folder = JobFolder::of(self.runtime.state_dir(), self.id).output();
        let files = view.result.iter().flat_map(|result| &result.files).map(|name| folder.join(name)).collect();
        JobDone { view, files }
    }
}

/// Steps of a job, in order.
pub struct JobSteps(BoxStream<'static, JobProgress>);

impl fmt::Debug for JobSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSteps").finish_non_exhaustive()
    }
}

impl JobSteps {
    fn of(mut views: watch::Receiver<Arc<JobView>>) -> Self {
        // What is known now is news as well.
        views.mark_changed();
        let steps = stream::unfold((views, None), |(mut views, told)| async move {
            loop {
                views.changed().await.ok()?;
                let now = views.borrow_and_update().clone();
                if now.outcome.is_some() {
                    return None;
                }
                if let Some(step) = now.progress.filter(|step| Some(*step) != told) {
                    return Some((step, (views, Some(step))));
                }
            }
        });
        Self(steps.boxed())
    }
}

impl Stream for JobSteps {
    type Item = JobProgress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{job::JobState, time::Timestamp};

    use super::*;
    use crate::embed::block_on;

    fn view(outcome: Option<JobOutcome>, done: Option<u64>) -> Arc<JobView> {
        Arc::new(JobView {
            id: JobId::fresh(),
            job: "image".parse().expect("a name"),
            state: outcome.map_or(JobState::Running, |_| JobState::Cleaning),
            outcome,
            reason: None,
            params: serde_json::Map::new(),
            priority: 0,
            attempt: 1,
            progress: done.map(|done| JobProgress::of(done, 4, None)),
            submitted: Timestamp::from_micros(0),
            started: None,
            finished: None,
            error: None,
            attempts: Vec::new(),
            result: None,
        })
    }

    #[test]
    fn steps_are_told_once_each_until_the_outcome_is_known() {
        let (publish, views) = watch::channel(view(None, None));
        let mut steps = JobSteps::of(views);
        let mut next = |outcome, done| {
            publish.send_replace(view(outcome, done));
            block_on(async { futures_util::poll!(steps.next()) }).map(|step| step.map(|step| step.done))
        };
        assert_eq!(next(None, None), Poll::Pending);
        assert_eq!(next(None, Some(1)), Poll::Ready(Some(1)));
        assert_eq!(next(None, Some(1)), Poll::Pending, "nothing is told twice");
        assert_eq!(next(None, Some(3)), Poll::Ready(Some(3)));
        assert_eq!(next(Some(JobOutcome::Succeeded), Some(4)), Poll::Ready(None));
    }

    #[test]
    fn a_failure_says_what_happened() {
        let mut failed = view(Some(JobOutcome::Failed), None).as_ref().clone();
        failed.error = Some(JobError::new(None, "status 7"));
        let failed = JobFailed::Failed(Arc::new(failed));
        assert!(failed.to_string().ends_with("(image) failed: status 7"), "{failed}");
        assert_eq!(failed.error().map(|error| error.message.as_str()), Some("status 7"));
        let open = JobFailed::Open(view(None, None));
        assert!(open.to_string().contains("is running and goes on with the next one"), "{open}");
    }
}
