//! A job that is there for one client: when nobody waits for it any more, it is taken back.

use std::{fmt, sync::Arc};

use greenroom_actors::{job::JobId, job_queue::messages::JobSpec};
use tokio::sync::oneshot;

use super::works::Works;
use crate::runtime::JobRefusal;

/// A job whose client waits. Dropping it cancels the job.
pub struct Held {
    works: Arc<dyn Works>,
    id: JobId,
    is_wanted: bool,
}

impl Held {
    /// Hands a job in. Where the client leaves before that is done, the job is taken back as soon as it is known.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn submit(works: &Arc<dyn Works>, job: JobSpec) -> Result<Self, JobRefusal> {
        let (tell, told) = oneshot::channel();
        let works = Arc::clone(works);
        // A task of its own: what has been handed in is not to be forgotten with this future.
        actix_rt::spawn(async move {
            let outcome = works.submit(job).await;
            // Where nobody listens any more, what was to be told is dropped, and the job is cancelled.
            drop(tell.send(outcome.map(|view| Self { works, id: view.id, is_wanted: true })));
        });
        told.await.unwrap_or(Err(JobRefusal::Stopping))
    }

    /// Which job.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// What becomes of it is known: there is nothing to take back.
    pub fn release(mut self) {
        self.is_wanted = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_wanted {
            self.works.cancel(self.id);
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("id", &self.id).field("is_wanted", &self.is_wanted).finish_non_exhaustive()
    }
}
