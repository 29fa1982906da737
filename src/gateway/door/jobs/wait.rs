//! Waiting for the outcome of a job.

use std::{sync::Arc, time::Duration};

use greenroom_actors::job::{JobState, JobView};
use tokio::sync::watch;

use super::works::Views;

/// Why the outcome of a job is not waited for to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// It was not begun in time.
    NotBegun,
    /// The door closes, and it is not being worked on.
    Closing,
    /// Nobody knows it any more.
    Gone,
}

/// The job with its outcome, as soon as that is known. `begun` is called once, when the work begins; until then it is
/// waited for `patience` at most. While nothing is worked on, a door that closes ends the waiting.
///
/// # Errors
/// When it is not waited for any longer.
pub async fn outcome(
    mut views: Views,
    mut closing: watch::Receiver<bool>,
    patience: Duration,
    begun: impl FnOnce(),
) -> Result<Arc<JobView>, GivenUp> {
    let mut begun = Some(begun);
    let mut patience = std::pin::pin!(tokio::time::sleep(patience));
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        if view.outcome.is_some() {
            return Ok(view);
        }
        let is_at_work = matches!(view.state, JobState::Running | JobState::Cleaning);
        if is_at_work && let Some(begun) = begun.take() {
            begun();
        }
        tokio::select! {
            biased;
            // An error means that the sender has gone, and that this was its last word.
            told = views.changed() => told.map_err(|_| GivenUp::Gone)?,
            // An error means that the door has gone.
            _ = closing.wait_for(|closing| *closing), if !is_at_work => return Err(GivenUp::Closing),
            () = &mut patience, if begun.is_some() => return Err(GivenUp::NotBegun),
        }
    }
}
