//! The runtime's side: starting a guardian, noticing its death, letting it go.

use std::{future::Future, io, os::fd::OwnedFd, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

use super::{
    charge::{Charge, Orders},
    process::READY,
};
use crate::{
    ids::Pid,
    os::{
        entry,
        pidfd::{self, EndWatch},
        proc::ProcessIdentity,
        shim::{nursery::Nursery, socket, wire::ToGuardian},
    },
};

/// From the spawn to the ready byte. It takes some milliseconds, or as long as a dead guardian's lock is held.
const START_WITHIN: Duration = Duration::from_secs(5);
/// From the order to leave to the end.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no guardian.
#[derive(Debug, thiserror::Error)]
pub enum GuardianError {
    /// Its process could not be started.
    #[error("cannot start the guardian")]
    NotStarted(#[source] io::Error),
    /// It started and gave up.
    #[error("the guardian cannot do its work: {said}")]
    Unable {
        /// What it said.
        said: String,
    },
    /// It was not ready in time.
    #[error("the guardian was not ready within {} s", START_WITHIN.as_secs())]
    Late,
}

/// A guardian at work. Dropping it does not end it: the runtime's end without [`Guardian::dismiss`] is what it waits
/// for.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    pid: Pid,
    ended: Arc<EndWatch>,
    /// Its standard input is the other end.
    socket: Arc<OwnedFd>,
}

impl Guardian {
    /// Starts one and waits until it watches this process, at most 5 s. To be called inside a tokio runtime. Works
    /// right after another one has died.
    ///
    /// # Errors
    /// When none is at work; nothing is left behind then.
    pub async fn start(charge: &Charge) -> Result<Self, GuardianError> {
        let own = ProcessIdentity::own().map_err(GuardianError::NotStarted)?;
        let orders = Orders { runtime: own.pid, start_time: own.start_time, charge: charge.clone() };
        let mut command = Command::new(entry::helper().map_err(GuardianError::NotStarted)?);
        command.arg(entry::GUARDIAN).args(orders.to_args()).env_clear().current_dir("/");
        // Its errors go to its log: an inherited stderr would keep the reader of the runtime's output waiting.
        let (socket, far) = socket::pair().map_err(GuardianError::NotStarted)?;
        command.stdin(far).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(false);
        let mut child = command.spawn().map_err(GuardianError::NotStarted)?;
        // It keeps the other end of the socket.
        drop(command);
        match Self::ready(&mut child).await {
            Ok((pid, ended)) => Ok(Self { child, pid, ended, socket: Arc::new(socket) }),
            Err(error) => {
                // Failing means that it has ended.
                drop(child.start_kill());
                drop(timeout(LEAVE_WITHIN, child.wait()).await);
                Err(error)
            }
        }
    }

    async fn ready(child: &mut Child) -> Result<(Pid, Arc<EndWatch>), GuardianError> {
        let gone = || GuardianError::NotStarted(io::Error::from(io::ErrorKind::NotFound));
        let pid = Pid(child.id().ok_or_else(gone)?);
        let fd = pidfd::open(pid).map_err(GuardianError::NotStarted)?;
        let ended = EndWatch::new(fd).map_err(GuardianError::NotStarted)?;
        let mut stdout = child.stdout.take().ok_or_else(gone)?;
        let first = timeout(START_WITHIN, stdout.read_u8()).await.map_err(|_| GuardianError::Late)?;
        if first.as_ref().is_ok_and(|byte| *byte == READY) {
            return Ok((pid, Arc::new(ended)));
        }
        let mut said: Vec<u8> = first.into_iter().collect();
        // What it managed to say is all there is.
        drop(timeout(LEAVE_WITHIN, stdout.take(4096).read_to_end(&mut said)).await);
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(GuardianError::Unable { said: if said.is_empty() { "it ended at once".to_owned() } else { said } })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Where shims come from as long as it is at work.
    #[must_use]
    pub fn nursery(&self) -> Nursery {
        // Without a pidfd of its own it is only not woken, should somebody stop it.
        Nursery::of(Arc::clone(&self.socket), pidfd::open(self.pid).ok())
    }

    /// Waits until it has died, however. The future borrows nothing. Afterwards [`Guardian::dismiss`] reaps it.
    pub fn died(&self) -> impl Future<Output = ()> + Send + use<> {
        let ended = Arc::clone(&self.ended);
        async move { ended.ended().await }
    }

    /// The ordered end: tells it to leave and waits at most 1 s, then kills it. Also reaps one that has died. Nothing of
    /// what it is in charge of is touched.
    pub async fn dismiss(mut self) {
        // Fails when it has died, and then there is nobody to tell.
        drop(socket::send(&self.socket, &ToGuardian::Leave, &[]));
        if timeout(LEAVE_WITHIN, self.child.wait()).await.is_err() {
            // Past this bound it is left to the reaper of tokio.
            drop(timeout(LEAVE_WITHIN, self.child.kill()).await);
        }
    }
}
