//! Small commands beside the main process: exec probes and `stop.exec`.
//!
//! They run in the service's own hold, so that nothing they leave can outlive the run. A task of its own owns the child
//! until it is reaped, also when nobody waits for the outcome any more.

use std::{ffi::OsString, io, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use tokio::{io::AsyncRead, process::Child, sync::oneshot, time::timeout};

use crate::os::{
    containment::Hold,
    spawn::{SpawnError, SpawnRequest, spawn},
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
    let child = spawn(&SpawnRequest { command, env, working_dir, enter: hold.enter_args() })?.child;
    let (answer, outcome) = oneshot::channel();
    actix_rt::spawn(see_to_its_end(child, answer, within));
    outcome.await.unwrap_or(Err(ExecError::TimedOut))
}

async fn see_to_its_end(
    mut child: Child,
    mut answer: oneshot::Sender<Result<ExitStatus, ExecError>>,
    within: Duration,
) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // A command whose pipe is full would never end. Its own tasks: a worker that holds the pipe must not hold us.
    let readers = [actix_rt::spawn(discard(stdout)), actix_rt::spawn(discard(stderr))];
    let outcome = tokio::select! {
        status = timeout(within, child.wait()) => match status {
            Ok(status) => status.map_err(ExecError::Lost),
            Err(_) => Err(ExecError::TimedOut),
        },
        () = answer.closed() => Err(ExecError::TimedOut),
    };
    if outcome.is_err() {
        // Either may fail only if it has ended by now.
        drop(child.start_kill());
        drop(timeout(REAPED_WITHIN, child.wait()).await);
    }
    for reader in readers {
        reader.abort();
    }
    // Nobody listens if the probe was given up.
    drop(answer.send(outcome));
}

async fn discard(stream: Option<impl AsyncRead + Unpin>) {
    if let Some(mut stream) = stream {
        // An error means that there is nothing left to read.
        drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    }
}
