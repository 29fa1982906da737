//! Small commands beside the main process: exec probes and `stop.exec`.
//!
//! They run in the service's own hold, so that nothing they leave can outlive the run. A task of its own owns the child
//! until it is reaped, also when nobody waits for the outcome any more.

use std::{ffi::OsString, io, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use tokio::{sync::oneshot, time::timeout};

use super::launch::give_back;
use crate::os::{
    containment::Hold,
    pidfd::{self, EndWatch},
    spawn::{SpawnError, SpawnRequest, Spawned},
};

/// How long a killed command may take to be gone. One that hangs in the kernel is left to the end of the run.
const REAPED_WITHIN: Duration = Duration::from_secs(2);

/// Why a command has no exit status.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started.
    #[error("the command could not be started")]
    Spawn(#[from] SpawnError),
    /// It took too long and was killed.
    #[error("the command did not end in time")]
    TimedOut,
    /// Its status could not be read.
    #[error("the command's status was lost")]
    Lost(#[source] io::Error),
}

/// Runs a command in `hold` and gives its exit status. It is killed after `within`, or when this future is dropped.
///
/// # Errors
/// See [`ExecError`].
pub async fn exec_in_hold(
    command: Vec<String>,
    env: Vec<(OsString, OsString)>,
    working_dir: PathBuf,
    hold: Arc<dyn Hold>,
    within: Duration,
) -> Result<ExitStatus, ExecError> {
    let spawned = hold.spawn(&SpawnRequest { command, env, working_dir }).await?;
    let (mut answer, outcome) = oneshot::channel();
    actix_rt::spawn(async move {
        let ended = see_to_its_end(spawned, answer.closed(), within).await;
        // Nobody listens if the probe was given up.
        drop(answer.send(ended));
    });
    outcome.await.unwrap_or(Err(ExecError::TimedOut))
}

/// Runs a command in a hold of its own and gives its exit status. It is killed after `within`, or when this future is
/// dropped; whatever of its tree is left when it has ended is killed in any case, and the hold given back.
///
/// # Errors
/// See [`ExecError`].
pub async fn exec_alone(
    command: Vec<String>,
    env: Vec<(OsString, OsString)>,
    working_dir: PathBuf,
    hold: Arc<dyn Hold>,
    within: Duration,
) -> Result<ExitStatus, ExecError> {
    let (mut answer, outcome) = oneshot::channel();
    actix_rt::spawn(async move {
        let ended = match hold.spawn(&SpawnRequest { command, env, working_dir }).await {
            Ok(spawned) => {
                hold.set_main(spawned.pid);
                see_to_its_end(spawned, answer.closed(), within).await
            }
            Err(error) => Err(error.into()),
        };
        give_back(hold.as_ref()).await;
        // Nobody listens if the command was given up.
        drop(answer.send(ended));
    });
    outcome.await.unwrap_or(Err(ExecError::TimedOut))
}

async fn see_to_its_end(
    mut spawned: Spawned,
    given_up: impl Future<Output = ()>,
    within: Duration,
) -> Result<ExitStatus, ExecError> {
    let outcome = tokio::select! {
        status = timeout(within, run_out(&mut spawned)) => match status {
            Ok(status) => status,
            Err(_) => Err(ExecError::TimedOut),
        },
        () = given_up => Err(ExecError::TimedOut),
    };
    if outcome.is_err() {
        // Either may fail only if it has ended by now.
        drop(pidfd::send(&spawned.pidfd, Signal::SIGKILL));
        drop(timeout(REAPED_WITHIN, spawned.running.status()).await);
    }
    outcome
}

/// Waits for the process, and throws away what it says: one whose pipe is full would never end. Not for the end of the
/// output: a worker that holds the pipe must not hold us.
async fn run_out(spawned: &mut Spawned) -> Result<ExitStatus, ExecError> {
    let watch = EndWatch::new(spawned.pidfd.try_clone().map_err(ExecError::Lost)?).map_err(ExecError::Lost)?;
    let mut more = true;
    while more {
        tokio::select! {
            () = watch.ended() => break,
            item = spawned.running.next() => more = item.is_some(),
        }
    }
    spawned.running.status().await.ok_or_else(|| ExecError::Lost(io::Error::other("nobody knows it")))
}
