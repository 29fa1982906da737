//! The last resort for a remote: it is not started here, so somebody else is asked to restart it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    cause::chain,
    ids::RunId,
    job_queue::runner::{
        Rim,
        alarm::{DIRTY, raise},
        cleanup::{CleanupFailed, tell_failure},
        refused::{LONGEST_ERROR, shortened},
    },
    os::{clock, containment::Hold},
    process_supervisor::run::{exec_alone, foreign_surroundings},
    remote::Remote,
};

/// The longest that whoever is asked may take to answer: some wait until the machine is back.
const HTTP_BOUND: Duration = Duration::from_secs(120);
/// The longest that the program may take.
const EXEC_BOUND: Duration = Duration::from_secs(300);

/// Does what `reset` says, after so many jobs in a row have failed. What was seen of the remote until the end of that counts for
/// nothing: no job comes before it is seen to be well after it. Whether it says anything, and all of that was done; what was not
/// is told.
pub(super) async fn reset(remote: &Arc<Remote>, failures: u32, rim: &Rim) -> bool {
    let (name, spec) = (remote.name(), &remote.spec().reset);
    let why = format!("{failures} jobs in a row have failed on it (cleanup.last_resort_after)");
    if !spec.is_set() {
        let message = format!("`{name}` may be dirty: {why}; `reset` could say what is to be done about that");
        raise(DIRTY, name, message, rim);
        return false;
    }
    raise(DIRTY, name, format!("`{name}` is reset: {why}"), rim);
    let mut problems = Vec::new();
    if let Some((method, url)) = &spec.http {
        problems.extend(ask(remote, method, url, rim).await.err().map(|why| format!("reset.http: {why}")));
    }
    if !spec.exec.is_empty() {
        problems.extend(execute(remote, rim).await.err().map(|why| format!("reset.exec: {why}")));
    }
    remote.is_reset(clock::now());
    let is_done = problems.is_empty();
    if !is_done {
        tell_failure(&CleanupFailed { service: name.clone(), failures: problems }, rim);
    }
    is_done
}

async fn ask(remote: &Arc<Remote>, method: &str, url: &str, rim: &Rim) -> Result<(), String> {
    let wires = rim.far.wires.clone().ok_or("this build cannot ask anybody")?;
    let asked = async {
        let answer = wires.ask(remote, method, url).await.map_err(|error| error.to_string())?;
        if answer.is_good() {
            return Ok(());
        }
        let status = answer.status;
        let said = answer.beginning(LONGEST_ERROR).await;
        Err(format!("it is answered with status {status}: {}", shortened(String::from_utf8_lossy(&said).trim())))
    };
    timeout(HTTP_BOUND, asked).await.unwrap_or_else(|_| Err(format!("no answer within {HTTP_BOUND:?}")))
}

async fn execute(remote: &Arc<Remote>, rim: &Rim) -> Result<(), String> {
    let command = remote.spec().reset.exec.iter().map(|part| part.plain()).collect();
    let run = RunId::fresh();
    let hold = rim.containment.open(remote.name(), run).map_err(|error| chain(&error))?;
    let hold: Arc<dyn Hold> = Arc::from(hold);
    let env = foreign_surroundings(remote.name(), &rim.state_dir, run, hold.as_ref());
    let ended = exec_alone(command, env, rim.state_dir.clone(), hold, EXEC_BOUND).await;
    match ended.map_err(|error| chain(&error))? {
        status if status.success() => Ok(()),
        status => Err(format!("it ended with {status}")),
    }
}
