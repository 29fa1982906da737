//! An application's hold on a running runtime.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use greenroom_actors::{ids::ServiceName, job::JobId, job_queue::messages::JobSpec};
use tokio::sync::{oneshot, watch};

use super::{
    Events, Filter, Job, Service,
    loading::Demands,
    park::{block_on, block_on_within},
};
use crate::runtime::{CommandError, JobRefusal, ReloadError, ReloadReport, RuntimeHandle, ShutdownReport, Snapshot};

/// Why there is no report of the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// The end did not come in the time that was given; it goes on, and can be waited for again.
    #[error("the runtime has not ended within {} s; its shutdown goes on", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The thread that writes the report ended without one, by a panic.
    #[error("the thread that owns the runtime ended without a report")]
    Lost,
}

/// A running runtime: cheap to clone, usable from any thread, with any executor or none.
///
/// Dropping the last handle begins the ordered shutdown and does not wait for it. [`Service`]s, [`Events`] and permits do
/// not keep a runtime running.
#[derive(Debug, Clone)]
pub struct Handle {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    runtime: RuntimeHandle,
    ended: watch::Receiver<Option<Arc<ShutdownReport>>>,
    demands: Demands,
    /// The owner's thread.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.runtime.begin_shutdown("its last handle was dropped");
    }
}

impl Handle {
    pub(crate) fn new(runtime: RuntimeHandle, ended: watch::Receiver<Option<Arc<ShutdownReport>>>) -> Self {
        Self { held: Arc::new(Held { runtime, ended, demands: Demands::default(), thread: Mutex::new(None) }) }
    }

    /// Keeps the owner's thread, to be joined at the end.
    pub(crate) fn keep(&self, thread: JoinHandle<()>) {
        *self.held.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    /// A service by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn service(&self, name: &str) -> Result<Service, CommandError> {
        Service::find(&self.held.runtime, Arc::clone(&self.held.demands), self.held.ended.clone(), name)
    }

    /// Names of all services, in the order of the configuration.
    #[must_use]
    pub fn service_names(&self) -> Vec<ServiceName> {
        self.held.runtime.service_names()
    }

    /// Submits a job. Done once it is on disk: from then on it comes to its end, if need be with the next runtime on this
    /// state dir.
    ///
    /// # Errors
    /// When it is not accepted: there is no such kind, its parameters do not fit (all that is wrong at once), too many are
    /// queued, or it could not be written down.
    pub async fn submit(&self, spec: JobSpec) -> Result<Job, JobRefusal> {
        let id = self.held.runtime.submit_job(spec).await?.id;
        Job::find(&self.held.runtime, id).await
    }

    /// A job by its id, however old.
    ///
    /// # Errors
    /// When nobody knows it, or the history cannot be read.
    pub async fn job(&self, id: JobId) -> Result<Job, JobRefusal> {
        Job::find(&self.held.runtime, id).await
    }

    /// Everything at a glance, for a user interface: never blocks, and reads nothing from the system. States are those of
    /// this moment; memory is measured once a second while somebody asks, and stops being measured 5 s after.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.held.runtime.snapshot()
    }

    /// Events from now on. A listener that is too slow is told how many it has lost.
    #[must_use]
    pub fn events(&self, filter: Filter) -> Events {
        Events::new(self.held.runtime.events(None), filter, self.held.ended.clone())
    }

    /// The state dir, with logs, history and the control socket.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.held.runtime.state_dir()
    }

    /// Reads the configuration anew, applies what has changed, and waits for what comes of it. Services whose configuration
    /// is the same keep their processes; one that fails is in the report. Dropping the future stops the waiting alone.
    ///
    /// # Errors
    /// When the configuration cannot be used. Nothing has changed then.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        self.held.runtime.reload().await
    }

    /// The runtime's own, uncounted handle: what the control API and the command line are made of.
    #[must_use]
    pub fn runtime(&self) -> &RuntimeHandle {
        &self.held.runtime
    }

    /// Begins the ordered shutdown and waits for its end, at most `within`. The report says what was stopped and how, and
    /// what the audit found left (nothing). The shutdown has its own bound, `runtime.shutdown.deadline`.
    ///
    /// # Errors
    /// See [`EndError`]; after [`EndError::TimedOut`] this may be called again.
    pub fn shutdown_blocking(&self, within: Duration) -> Result<ShutdownReport, EndError> {
        self.begin_shutdown();
        let report = block_on_within(within, self.wait()).ok_or(EndError::TimedOut(within))??;
        self.join();
        Ok(report)
    }

    /// As [`shutdown_blocking`](Self::shutdown_blocking), on any executor.
    ///
    /// # Errors
    /// See [`EndError`].
    pub async fn shutdown(&self, within: Duration) -> Result<ShutdownReport, EndError> {
        self.begin_shutdown();
        let (over, is_over) = oneshot::channel();
        let ended = self.held.ended.clone();
        // A thread of its own keeps the time: the control thread, which keeps it otherwise, is ending.
        let work = move || {
            // An error means that the caller has gone.
            drop(over.send(block_on_within(within, report_of(ended))));
        };
        let report = match std::thread::Builder::new().name("greenroom-wait".to_owned()).spawn(work) {
            Ok(_) => is_over.await.ok().flatten().ok_or(EndError::TimedOut(within))??,
            // Without another thread the shutdown's own bound has to do.
            Err(_) => self.wait().await?,
        };
        self.join();
        Ok(report)
    }

    /// Begins the ordered shutdown and returns at once.
    pub fn begin_shutdown(&self) {
        self.held.runtime.begin_shutdown("the application asked for it");
    }

    /// Waits until the runtime has ended, whoever asked for that, on any executor.
    ///
    /// # Errors
    /// [`EndError::Lost`] only.
    pub async fn wait(&self) -> Result<ShutdownReport, EndError> {
        report_of(self.held.ended.clone()).await
    }

    /// As [`wait`](Self::wait), for a thread without an executor.
    ///
    /// # Errors
    /// [`EndError::Lost`] only.
    pub fn wait_blocking(&self) -> Result<ShutdownReport, EndError> {
        let report = block_on(self.wait());
        self.join();
        report
    }

    /// Nothing of the runtime runs after this. Its report is the last thing that the thread does, so this takes no time.
    fn join(&self) {
        let thread = self.held.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in it has been reported by the panic hook.
            drop(thread.join());
        }
    }
}

async fn report_of(mut ended: watch::Receiver<Option<Arc<ShutdownReport>>>) -> Result<ShutdownReport, EndError> {
    let report = ended.wait_for(Option::is_some).await.map_err(|_| EndError::Lost)?;
    report.as_deref().cloned().ok_or(EndError::Lost)
}
