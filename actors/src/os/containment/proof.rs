//! Proves that a containment works, by holding a real tree of processes and killing it.

use std::{
    future::Future,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Containment, ContainmentError, Hold};
use crate::{
    ids::RunId,
    os::{
        clock, entry,
        proc::ProcessIdentity,
        spawn::{SpawnError, SpawnRequest},
    },
};

/// The whole proof takes some 10 ms; this much on a machine that can hardly breathe.
const BOUND: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// How long the processes of a proof live by themselves, in seconds, should everybody who could end them be killed.
const LIFE: u64 = 30;
/// The service that is told of in the names of proofs.
const SERVICE: &str = "probe";

/// What did not work.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// No hold could be made.
    #[error("no process tree can be held")]
    NotHeld(#[from] ContainmentError),
    /// No process could be started in one.
    #[error("no process can be started in a hold")]
    NotStarted(#[from] SpawnError),
    /// The hold does not see its members.
    #[error("a hold does not see the processes in it")]
    NotSeen,
    /// The tree did not end.
    #[error("a process tree in a hold did not end when it was killed")]
    NotKilled(#[source] Option<io::Error>),
    /// The hold could not be given back.
    #[error("a hold cannot be given back")]
    NotRemoved(#[source] io::Error),
}

/// Holds a tree of two processes, kills it, and sees that both are gone and the hold is empty. Takes some 10 ms, at most
/// some 10 s; leaves nothing behind. To be called inside a tokio runtime.
///
/// # Errors
/// With the step that does not work.
pub async fn prove(containment: &dyn Containment) -> Result<(), ProofError> {
    let until = clock::now() + BOUND;
    let service = SERVICE.parse().map_err(|_| ProofError::NotSeen)?;
    let hold = containment.open(&service, RunId::fresh())?;
    let outcome = kill_a_tree(hold.as_ref(), until).await;
    // Whatever came of it, nothing of it stays.
    let mut last = hold.remove();
    while last.is_err() && clock::now() < until {
        if outcome.is_err() {
            // Seen at the next try to remove.
            drop(hold.kill());
        }
        sleep(LOOK).await;
        last = hold.remove();
    }
    outcome.and(last.map_err(ProofError::NotRemoved))
}

async fn kill_a_tree(hold: &dyn Hold, until: Instant) -> Result<(), ProofError> {
    let request = SpawnRequest {
        // In the process that becomes it, this is the helper.
        command: vec!["/proc/self/exe".to_owned(), entry::PROBE.to_owned(), "--tree".to_owned(), LIFE.to_string()],
        env: hold.marker().into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        working_dir: PathBuf::from("/"),
    };
    let mut main = hold.spawn(&request).await?;
    hold.set_main(main.pid);
    let mut tree = Vec::new();
    let is_seen = || {
        let members = hold.members().unwrap_or_default();
        tree = members.into_iter().filter_map(|pid| ProcessIdentity::of(pid).ok()).collect();
        tree.len() == 2
    };
    if !wait(until, is_seen).await {
        return Err(ProofError::NotSeen);
    }
    hold.kill().map_err(|error| ProofError::NotKilled(Some(error)))?;
    let is_over = || hold.is_empty().unwrap_or(false) && tree.iter().all(|process| !process.is_alive());
    // Somebody has to wait for a main process that is a child of this one.
    let (is_over, _) = tokio::join!(wait(until, is_over), bounded(until, main.running.status()));
    if is_over { Ok(()) } else { Err(ProofError::NotKilled(None)) }
}

async fn wait(until: Instant, mut done: impl FnMut() -> bool) -> bool {
    while !done() {
        if clock::now() >= until {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}

async fn bounded<T>(until: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(until.into(), future).await.ok()
}
