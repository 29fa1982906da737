//! One service of a running runtime, as an application sees it.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use greenroom_actors::{
    gate::{Hold, Permit},
    services::Supervised,
    state::ServiceStatus,
};
use tokio::sync::watch;

use super::{
    LoadError, Loading,
    loading::{self, Demands},
};
use crate::runtime::{
    CommandError, RuntimeHandle, ServiceCommand, ShutdownReport,
    service_log::{LogReader, POLL, folder},
};

/// A service: cheap to clone, usable from any thread, with any executor or none. It does not keep the runtime running.
#[derive(Clone)]
pub struct Service {
    pub(super) runtime: RuntimeHandle,
    pub(super) target: Supervised,
    pub(super) demands: Demands,
    ended: watch::Receiver<Option<Arc<ShutdownReport>>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Service {
    pub(super) fn find(
        runtime: &RuntimeHandle,
        demands: Demands,
        ended: watch::Receiver<Option<Arc<ShutdownReport>>>,
        name: &str,
    ) -> Result<Self, CommandError> {
        let target = runtime.find(name)?;
        Ok(Self { runtime: runtime.clone(), target, demands, ended })
    }

    /// It as it is configured now; as it was when it is there no more.
    pub(super) fn current(&self) -> Supervised {
        self.runtime.find(self.name()).unwrap_or_else(|_| self.target.clone())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.target.spec.name.as_str()
    }

    /// What it is doing at this moment. Never blocks.
    #[must_use]
    pub fn status(&self) -> ServiceStatus {
        self.current().status.borrow().clone()
    }

    /// Brings it and what it depends on up and leaves what is wanted of it as it is: one that runs on demand stays so.
    /// Done when it can be used.
    pub fn load(&self) -> Loading {
        Loading::begin(self)
    }

    /// The right to one request: loads the service if need be, and keeps it from being taken away until the permit is
    /// dropped. A stop waits for it, at most `runtime.shutdown.drain`. Waits through restarts, for as long as they are of
    /// use. As any request it leaves alone what is kept down: a stopped service, and one that is started by hand, is an
    /// error here, and [`load`](Self::load) brings it up. Dropped before its end it is withdrawn, as a load is.
    ///
    /// # Errors
    /// When the service does not come up, with class and last lines; when it is kept down; when it is there no more; when
    /// the runtime is stopping.
    pub async fn enter(&self) -> Result<Permit, LoadError> {
        loading::enter(self).await
    }

    /// A veto against offloading, until it is dropped. Without one a loaded service may be pushed out between two permits.
    /// It neither loads the service nor keeps anybody from stopping it.
    pub fn hold(&self) -> Hold {
        self.current().gate.hold()
    }

    /// Takes it out of memory, once the requests in it are done, and leaves what is wanted of it as it is.
    ///
    /// # Errors
    /// When somebody holds it, something of it outlives SIGKILL, or the runtime is stopping.
    pub async fn offload(&self) -> Result<(), CommandError> {
        self.carry_out(ServiceCommand::Offload).await
    }

    /// Starts it and what it depends on, and waits until it is ready (or has completed). It is then wanted up: restarted
    /// after a failure, and not offloaded when the last permit is gone. Dropping the future stops the waiting alone.
    ///
    /// # Errors
    /// When it ended in another state, with class and last lines, or the runtime is stopping.
    pub async fn start(&self) -> Result<(), CommandError> {
        self.carry_out(ServiceCommand::Start).await
    }

    /// Stops it and keeps it down until somebody starts or loads it; done when nothing of it runs.
    ///
    /// # Errors
    /// When something of it outlives SIGKILL, or the runtime is stopping.
    pub async fn stop(&self) -> Result<(), CommandError> {
        self.carry_out(ServiceCommand::Stop).await
    }

    /// Stops and starts it; does not count as a failure.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), CommandError> {
        self.carry_out(ServiceCommand::Restart).await
    }

    /// Forgets failures: one that has been given up may be started again.
    ///
    /// # Errors
    /// When the runtime is stopping.
    pub async fn reset(&self) -> Result<(), CommandError> {
        self.carry_out(ServiceCommand::Reset).await
    }

    async fn carry_out(&self, command: ServiceCommand) -> Result<(), CommandError> {
        self.runtime.carry_out(self.name(), command).await.map(drop)
    }

    /// Its last `lines` lines of output, also of runs that ended, as it wrote them. Reads files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn logs(&self, lines: u64) -> io::Result<Vec<u8>> {
        let mut reader = self.open_log(lines)?;
        let mut bytes = Vec::new();
        while let Some(block) = reader.read()? {
            bytes.extend_from_slice(&block);
        }
        Ok(bytes)
    }

    /// Its last `lines` lines of output and what it writes from then on, in blocks, until the runtime has ended. Reads
    /// files, ten times a second where nothing is added.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn follow_logs(&self, lines: u64) -> io::Result<Logs> {
        let from = Some((self.open_log(lines)?, self.runtime.timer(), self.ended.clone()));
        // After an error there is nothing to go on with.
        let blocks = stream::unfold(from, |state| async move {
            let (mut reader, timer, mut ended) = state?;
            loop {
                // Asked before the read, so that the last words of a service are read too.
                let is_over = ended.borrow_and_update().is_some() || ended.has_changed().is_err();
                match reader.read() {
                    Ok(Some(block)) => return Some((Ok(block), Some((reader, timer, ended)))),
                    Err(error) => return Some((Err(error), None)),
                    Ok(None) if is_over => return None,
                    Ok(None) => {}
                }
                let keeps_time = tokio::select! {
                    biased;
                    _ = ended.changed() => true,
                    keeps_time = timer.after(POLL) => keeps_time,
                };
                if !keeps_time {
                    // The control thread has ended; the end itself is near.
                    drop(ended.changed().await);
                }
            }
        });
        Ok(Logs(blocks.boxed()))
    }

    fn open_log(&self, lines: u64) -> io::Result<LogReader> {
        LogReader::open(&folder(self.runtime.state_dir(), self.name()), lines)
    }
}

/// Blocks of a service's output. They end where they end: a line may lie in two.
pub struct Logs(BoxStream<'static, io::Result<Bytes>>);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Stream for Logs {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}
