//! What the routes ask for: the runtime behind a seam, so that they can be tested without one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use greenroom_actors::{
    event::{EventId, EventStream},
    history_store::messages::{EventRow, HistoryFilter, RequestRow, RunRow, SwapRow},
    job::{JobId, JobView},
    job_queue::messages::{JobSpec, ListJobs},
    resource_orchestrator::view::{MemorySnapshot, PlanView},
    watchdog::{board::AlertView, bundle::BundleError},
};
use tokio::sync::watch;

use super::metrics::page;
use crate::runtime::{
    CommandError, JobCount, JobRefusal, Meant, ReloadError, ReloadReport, RuntimeHandle, ServiceCommand,
    view::{RuntimeView, ServiceView, StatusView, WhyView},
};

/// A runtime as the control API sees it. Each method does what the one of the same name does on [`RuntimeHandle`].
///
/// The futures are polled on one worker thread and need not be `Send`.
#[allow(async_fn_in_trait, reason = "only the routes of this crate use it")]
pub trait Control: Clone + Send + 'static {
    /// The state dir, in which the service logs lie.
    fn state_dir(&self) -> &Path;
    /// Everything at a glance.
    fn status(&self) -> StatusView;
    /// What needs attention, the worst first.
    fn alerts(&self) -> Vec<AlertView>;
    /// The runtime itself.
    fn runtime(&self) -> RuntimeView;
    /// One service.
    ///
    /// # Errors
    /// When there is none of that name.
    fn service(&self, name: &str) -> Result<ServiceView, CommandError>;
    /// Tells a service something and does not wait.
    ///
    /// # Errors
    /// When there is none of that name, or the runtime is stopping.
    fn tell(&self, name: &str, command: ServiceCommand) -> Result<(), CommandError>;
    /// Tells a service something and waits for what comes of it.
    ///
    /// # Errors
    /// When it ended in another state than wanted.
    async fn carry_out(&self, name: &str, command: ServiceCommand) -> Result<ServiceView, CommandError>;
    /// Why a service is in its state.
    ///
    /// # Errors
    /// When there is none of that name.
    async fn why(&self, name: &str) -> Result<WhyView, CommandError>;
    /// What is known of memory: cards, leases, needs.
    fn memory(&self) -> Arc<MemorySnapshot>;
    /// What a load of a service would do now.
    ///
    /// # Errors
    /// When there is none of that name, or the runtime is stopping.
    async fn plan(&self, name: &str) -> Result<PlanView, CommandError>;
    /// Events from now on, or from just after `after`.
    fn events(&self, after: Option<EventId>) -> EventStream;
    /// Past runs, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    async fn history_runs(&self, filter: HistoryFilter) -> Result<Vec<RunRow>, CommandError>;
    /// Past events, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    async fn history_events(&self, filter: HistoryFilter) -> Result<Vec<EventRow>, CommandError>;
    /// Past swaps, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    async fn history_swaps(&self, filter: HistoryFilter) -> Result<Vec<SwapRow>, CommandError>;
    /// Past requests for models, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    async fn history_requests(&self, filter: HistoryFilter) -> Result<Vec<RequestRow>, CommandError>;
    /// Accepts a job.
    ///
    /// # Errors
    /// When it is not accepted.
    async fn submit_job(&self, spec: JobSpec) -> Result<JobView, JobRefusal>;
    /// One job, however old.
    ///
    /// # Errors
    /// When nobody knows it.
    async fn job(&self, id: JobId) -> Result<Arc<JobView>, JobRefusal>;
    /// Jobs that are open or have ended lately.
    ///
    /// # Errors
    /// When the runtime is stopping.
    async fn jobs(&self, filter: ListJobs) -> Result<Vec<Arc<JobView>>, JobRefusal>;
    /// The jobs that somebody may mean who has not written a whole id.
    ///
    /// # Errors
    /// When the runtime is stopping, or the history cannot be read.
    async fn find_jobs(&self, meant: Meant) -> Result<Vec<Arc<JobView>>, JobRefusal>;
    /// How many jobs of each kind are open, by state.
    async fn job_counts(&self) -> Vec<JobCount>;
    /// Takes a job back.
    ///
    /// # Errors
    /// When nobody knows it, or it has come to its end.
    async fn cancel_job(&self, id: JobId) -> Result<JobView, JobRefusal>;
    /// Submits a job once more, as another one.
    ///
    /// # Errors
    /// When nobody knows it, it is still open, or it is not accepted.
    async fn retry_job(&self, id: JobId) -> Result<JobView, JobRefusal>;
    /// Follows a job to its end.
    ///
    /// # Errors
    /// When nobody knows it.
    async fn follow_job(&self, id: JobId) -> Result<watch::Receiver<Arc<JobView>>, JobRefusal>;
    /// Past and present jobs, newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    async fn history_jobs(&self, filter: HistoryFilter) -> Result<Vec<JobView>, CommandError>;
    /// How many bytes a body may have.
    fn max_body(&self) -> u64;
    /// The figures for Prometheus; `None` where nobody may see them.
    async fn metrics(&self) -> Option<String>;
    /// Makes a diagnostic bundle and waits for it.
    ///
    /// # Errors
    /// When it cannot be written, or the runtime is stopping.
    async fn bundle(&self) -> Result<PathBuf, BundleError>;
    /// Reads the configuration anew; waits for what comes of it if `wait`.
    ///
    /// # Errors
    /// When it cannot be used: every problem of it.
    async fn reload(&self, wait: bool) -> Result<ReloadReport, ReloadError>;
    /// Begins the ordered stop.
    fn begin_shutdown(&self, reason: &str);
    /// Ends everything now.
    fn force_shutdown(&self);
}

impl Control for RuntimeHandle {
    fn state_dir(&self) -> &Path {
        self.state_dir()
    }

    fn status(&self) -> StatusView {
        self.status()
    }

    fn alerts(&self) -> Vec<AlertView> {
        self.alerts()
    }

    fn runtime(&self) -> RuntimeView {
        self.runtime()
    }

    fn service(&self, name: &str) -> Result<ServiceView, CommandError> {
        self.service(name)
    }

    fn tell(&self, name: &str, command: ServiceCommand) -> Result<(), CommandError> {
        self.tell(name, command)
    }

    async fn carry_out(&self, name: &str, command: ServiceCommand) -> Result<ServiceView, CommandError> {
        self.carry_out(name, command).await
    }

    async fn why(&self, name: &str) -> Result<WhyView, CommandError> {
        self.why(name)
    }

    fn memory(&self) -> Arc<MemorySnapshot> {
        self.memory()
    }

    async fn plan(&self, name: &str) -> Result<PlanView, CommandError> {
        self.plan(name).await
    }

    fn events(&self, after: Option<EventId>) -> EventStream {
        self.events(after)
    }

    async fn history_runs(&self, filter: HistoryFilter) -> Result<Vec<RunRow>, CommandError> {
        self.history_runs(filter).await
    }

    async fn history_events(&self, filter: HistoryFilter) -> Result<Vec<EventRow>, CommandError> {
        self.history_events(filter).await
    }

    async fn history_swaps(&self, filter: HistoryFilter) -> Result<Vec<SwapRow>, CommandError> {
        self.history_swaps(filter).await
    }

    async fn history_requests(&self, filter: HistoryFilter) -> Result<Vec<RequestRow>, CommandError> {
        self.history_requests(filter).await
    }

    async fn submit_job(&self, spec: JobSpec) -> Result<JobView, JobRefusal> {
        self.submit_job(spec).await
    }

    async fn job(&self, id: JobId) -> Result<Arc<JobView>, JobRefusal> {
        self.job(id).await
    }

    async fn jobs(&self, filter: ListJobs) -> Result<Vec<Arc<JobView>>, JobRefusal> {
        self.jobs(filter).await
    }

    async fn find_jobs(&self, meant: Meant) -> Result<Vec<Arc<JobView>>, JobRefusal> {
        self.find_jobs(meant).await
    }

    async fn job_counts(&self) -> Vec<JobCount> {
        self.job_counts().await
    }

    async fn cancel_job(&self, id: JobId) -> Result<JobView, JobRefusal> {
        self.cancel_job(id).await
    }

    async fn retry_job(&self, id: JobId) -> Result<JobView, JobRefusal> {
        self.retry_job(id).await
    }

    async fn follow_job(&self, id: JobId) -> Result<watch::Receiver<Arc<JobView>>, JobRefusal> {
        self.follow_job(id).await
    }

    async fn history_jobs(&self, filter: HistoryFilter) -> Result<Vec<JobView>, CommandError> {
        self.history_jobs(filter).await
    }

    fn max_body(&self) -> u64 {
        self.max_body()
    }

    async fn metrics(&self) -> Option<String> {
        if !self.shows_metrics() {
            return None;
        }
        let jobs = self.job_counts().await;
        Some(page(&self.status(), &jobs, &self.memory(), self.metrics()))
    }

    async fn bundle(&self) -> Result<PathBuf, BundleError> {
        self.bundle().await
    }

    async fn reload(&self, wait: bool) -> Result<ReloadReport, ReloadError> {
        if wait { self.reload().await } else { self.reload_without_waiting().await }
    }

    fn begin_shutdown(&self, reason: &str) {
        self.begin_shutdown(reason);
    }

    fn force_shutdown(&self) {
        self.force_shutdown();
    }
}
