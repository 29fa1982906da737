//! The program that is told of alerts.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    cause::chain,
    ids::{RunId, ServiceName},
    os::containment::{Containment, Hold},
    process_supervisor::run::{exec_alone, foreign_surroundings},
};

/// How long it may take.
const BOUND: Duration = Duration::from_secs(10);
/// Whose hold it runs in, for people who look at cgroups.
const NAME: &str = "notify";

/// A program, and where it runs.
#[derive(Debug)]
pub(super) struct Program {
    /// It and its arguments.
    pub command: Vec<String>,
    /// Where its tree is held.
    pub containment: Arc<dyn Containment>,
    /// Its working folder; a sweep finds it by it as well.
    pub state_dir: PathBuf,
}

impl Program {
    /// Runs it with `message` as its last argument and waits for its end: 10 s at most, and then, or once `stopping`, its
    /// whole tree is killed.
    ///
    /// # Errors
    /// Why it did not do what it should.
    pub async fn run(&self, message: String, stopping: &mut watch::Receiver<bool>) -> Result<(), String> {
        let (run, name) = (RunId::fresh(), NAME.parse::<ServiceName>().map_err(|error| error.to_string())?);
        let hold: Arc<dyn Hold> = Arc::from(self.containment.open(&name, run).map_err(|error| chain(&error))?);
        let command = self.command.iter().cloned().chain([message]).collect();
        let env = foreign_surroundings(&name, &self.state_dir, run, hold.as_ref());
        let mut ended = Box::pin(exec_alone(command, env, self.state_dir.clone(), Arc::clone(&hold), BOUND));
        let outcome = tokio::select! {
            outcome = &mut ended => outcome,
            _ = stopping.wait_for(|stopping| *stopping) => {
                // What it leaves is for the future below, which gives the hold back.
                drop(hold.kill());
                ended.await
            }
        };
        match outcome.map_err(|error| chain(&error))? {
            status if status.success() => Ok(()),
            status => Err(format!("it ended with {status}")),
        }
    }
}
