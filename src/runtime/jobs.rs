//! Jobs, for whoever holds a handle: submitted, looked at, taken back, done once more.
//!
//! The queue knows those that are open and those that have ended lately; older ones are read from the history.

use std::{collections::BTreeSet, sync::Arc};

use actix::{Message, dev::ToEnvelope};
use greenroom_actors::{
    history_store::{
        HistoryError, HistoryReader,
        messages::{HistoryFilter, HistoryState},
    },
    job::{JobId, JobName, JobState, JobView},
    job_queue::{
        JobQueue,
        attempt::JobFolder,
        messages::{Cancel, CountJobs, CountedJobs, FollowJob, GetJob, JobSpec, ListJobs, Submit},
    },
};
use tokio::sync::watch;

use super::{
    RuntimeHandle,
    aside::aside,
    job_files,
    job_view::{JobCount, JobRefusal, Meant, OutputFile},
    uploads::UploadFolder,
};

impl RuntimeHandle {
    /// Accepts a job. Done once it is on disk, so that it outlives any end of the runtime.
    ///
    /// # Errors
    /// When it is not accepted. Nothing of it is kept then.
    pub async fn submit_job(&self, spec: JobSpec) -> Result<JobView, JobRefusal> {
        if self.is_stopping() {
            return Err(JobRefusal::Stopping);
        }
        Ok(self.ask_jobs(Submit(spec)).await??)
    }

    /// One job, however old.
    ///
    /// # Errors
    /// When nobody knows it, or the history cannot be read.
    pub async fn job(&self, id: JobId) -> Result<Arc<JobView>, JobRefusal> {
        // A queue that has ended already knows nothing more than the history does.
        if let Ok(Some(view)) = self.ask_jobs(GetJob(id)).await {
            return Ok(view);
        }
        if !self.keeps_history() {
            return Err(JobRefusal::Unknown(id));
        }
        let found = self.past_jobs(move |reader| reader.job(id)).await?;
        found.map(Arc::new).ok_or(JobRefusal::Unknown(id))
    }

    /// Jobs that are open, in the order in which they would be begun, and then those that have ended lately, newest first.
    ///
    /// # Errors
    /// When the runtime is stopping.
    pub async fn jobs(&self, filter: ListJobs) -> Result<Vec<Arc<JobView>>, JobRefusal> {
        self.ask_jobs(filter).await
    }

    /// The jobs that somebody may mean who has not written a whole id, newest first, however old; at most [`MOST_FOUND`](super::job_view::MOST_FOUND).
    ///
    /// # Errors
    /// When the runtime is stopping, or the history cannot be read.
    pub async fn find_jobs(&self, meant: Meant) -> Result<Vec<Arc<JobView>>, JobRefusal> {
        let known = self.ask_jobs(ListJobs { limit: usize::MAX, ..ListJobs::default() }).await?;
        let past = if self.keeps_history() {
            self.past_jobs(move |reader| match meant {
                Meant::Last => reader.jobs(&HistoryFilter { limit: 1, ..HistoryFilter::default() }),
                Meant::Between(first, last) => reader.jobs_between(first, last),
            })
            .await?
        } else {
            Vec::new()
        };
        Ok(meant.of(known.into_iter().chain(past.into_iter().map(Arc::new))))
    }

    /// How many jobs of each kind are open, by state.
    pub async fn job_counts(&self) -> Vec<JobCount> {
        let open = self.ask_jobs(CountJobs).await.unwrap_or_default();
        open.into_iter().map(|CountedJobs { job, state, count }| JobCount { job, state, count }).collect()
    }

    /// The kinds of which somebody is at work on a job.
    ///
    /// # Errors
    /// When the runtime is stopping.
    pub(super) async fn kinds_at_work(&self) -> Result<BTreeSet<JobName>, JobRefusal> {
        let open = self.ask_jobs(CountJobs).await?;
        Ok(open.into_iter().filter(|count| count.state != JobState::Queued).map(|count| count.job).collect())
    }

    /// Takes a job back. One that runs is cancelled once its work has really stopped, which its state tells.
    ///
    /// # Errors
    /// When nobody knows it, it has come to its end, or the runtime is stopping.
    pub async fn cancel_job(&self, id: JobId) -> Result<JobView, JobRefusal> {
        match self.ask_jobs(Cancel(id)).await? {
            Ok(view) => Ok(view),
            Err(error) => match JobRefusal::from(error) {
                // It may be older than what the queue remembers.
                JobRefusal::Unknown(id) => Err(JobRefusal::Over { id, state: self.job(id).await?.state }),
                other => Err(other),
            },
        }
    }

    /// Submits a job once more, as another one: with the same parameters, files and priority.
    ///
    /// # Errors
    /// When nobody knows it, it is still open, its files are there no more, or it is not accepted.
    pub async fn retry_job(&self, id: JobId) -> Result<JobView, JobRefusal> {
        let before = self.job(id).await?;
        if before.outcome.is_none() {
            return Err(JobRefusal::Open { id, state: before.state });
        }
        let mut spec = JobSpec::new(before.job.as_str()).priority(before.priority);
        let mut files = Vec::new();
        for (name, value) in &before.params {
            match job_files::sent_along(value) {
                Some(file) => files.push((name.clone(), file.to_owned())),
                None => drop(spec.params.insert(name.clone(), value.clone())),
            }
        }
        if files.is_empty() {
            return self.submit_job(spec).await;
        }
        let (input, uploads) = (JobFolder::of(self.state_dir(), id).input(), UploadFolder::of(self.state_dir()));
        let (uploads, copied) = aside("job-copy", move || job_files::copy(id, &input, uploads, files))
            .await
            .map_err(|error| JobRefusal::Unreadable(error.to_string()))??;
        spec.files = copied;
        let submitted = self.submit_job(spec).await;
        drop(uploads);
        submitted
    }

    /// Follows a job: the newest view of it. The sender goes when it has come to its end, or the runtime to its own.
    ///
    /// # Errors
    /// When nobody knows it, or the history cannot be read.
    pub async fn follow_job(&self, id: JobId) -> Result<watch::Receiver<Arc<JobView>>, JobRefusal> {
        if let Ok(Some(view)) = self.ask_jobs(FollowJob(id)).await {
            return Ok(view);
        }
        // Its last word was said before.
        Ok(watch::channel(self.job(id).await?).1)
    }

    /// The files that a job has made, with their sizes.
    ///
    /// # Errors
    /// When nobody knows it, it has no outcome yet, or what it has made is kept no more.
    pub async fn job_output(&self, id: JobId) -> Result<Vec<OutputFile>, JobRefusal> {
        let view = self.job(id).await?;
        job_files::output(self.state_dir(), &view)
    }

    /// The output of a job's own processes, all attempts, as they wrote it: its last `lines` lines. Reads files.
    ///
    /// # Errors
    /// When nobody knows it, or its log is kept no more or cannot be read.
    pub async fn job_logs(&self, id: JobId, lines: u64) -> Result<Vec<u8>, JobRefusal> {
        let view = self.job(id).await?;
        let refuse = |error: std::io::Error| JobRefusal::Unreadable(error.to_string());
        let mut reader = job_files::log(self.state_dir(), &view, lines)?;
        let mut bytes = Vec::new();
        while let Some(block) = reader.read().map_err(refuse)? {
            bytes.extend_from_slice(&block);
        }
        Ok(bytes)
    }

    fn keeps_history(&self) -> bool {
        self.inner.history.health().state != HistoryState::Absent
    }

    async fn past_jobs<T: Send + 'static>(
        &self,
        read: impl FnOnce(&HistoryReader) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, JobRefusal> {
        self.read_history(read).await.map_err(|error| JobRefusal::History(error.to_string()))
    }

    async fn ask_jobs<M>(&self, message: M) -> Result<M::Result, JobRefusal>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        JobQueue: actix::Handler<M>,
        <JobQueue as actix::Actor>::Context: ToEnvelope<JobQueue, M>,
    {
        let queue = self.inner.jobs.upgrade().ok_or(JobRefusal::Stopping)?;
        queue.send(message).await.map_err(|_| JobRefusal::Stopping)
    }
}
