//! Brings a job to the service that it is a request to: through the line at its gate, like everybody else.

mod verdict;

use std::{pin::pin, time::Duration};

use actix_rt::time::sleep;
use tokio::sync::watch;

pub(super) use self::verdict::of_exit;
use self::verdict::{Verdict, judge, waits_for};
use super::Rim;
use crate::{
    admit::{Admitted, Applicant},
    job::JobError,
    job_queue::attempt::{Attempt, AttemptEnd, AttemptNews, Order, Teller},
    services::Supervised,
};

/// Pause before it lines up again after it was sent away: begins at the first, doubles to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// A job that is in.
#[derive(Debug)]
pub(super) struct Visit {
    /// At this service.
    pub target: Supervised,
    /// Its permit, and where the run is to be found.
    pub admitted: Admitted,
    /// Whether the run could be used before the job asked for it.
    pub was_there: bool,
}

/// Waits until the job is in. Refusals of memory and full lines are waited through, as the job is in no hurry.
///
/// # Errors
/// When the attempt is to stop, and when waiting is of no use.
pub(super) async fn enter(attempt: &mut Attempt, service: &str, rim: &Rim, tell: &Teller) -> Result<Visit, AttemptEnd> {
    let mut told = None;
    let mut say = |why: String| {
        if told.as_ref() != Some(&why) {
            told = Some(why.clone());
            tell.tell(AttemptNews::Waiting(why));
        }
    };
    let mut pause = PAUSES.0;
    loop {
        if has_order(&attempt.order) {
            return Err(AttemptEnd::Stopped);
        }
        // Found anew each time: a changed configuration may have put another one in its place.
        let Some(target) = rim.services.find(service) else {
            return Err(AttemptEnd::Failed(JobError::new(None, format!("there is no service `{service}`"))));
        };
        let run = target.status.borrow().run_id.filter(|_| target.gate.is_open());
        let error = match line_up(attempt, &target, rim, &mut say).await? {
            Ok(admitted) => {
                let was_there = run == Some(admitted.endpoint.run);
                return Ok(Visit { target, admitted, was_there });
            }
            Err(error) => error,
        };
        match judge(error) {
            Verdict::Never(error) => return Err(AttemptEnd::Failed(error)),
            Verdict::Again(why) => say(why),
            // The order to stop is on its way.
            Verdict::Stopping => {
                ordered(&mut attempt.order).await;
                return Err(AttemptEnd::Stopped);
            }
        }
        tokio::select! {
            () = ordered(&mut attempt.order) => return Err(AttemptEnd::Stopped),
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn line_up(
    attempt: &mut Attempt,
    target: &Supervised,
    rim: &Rim,
    say: &mut impl FnMut(String),
) -> Result<Result<Admitted, crate::admit::AdmitError>, AttemptEnd> {
    let applicant = Applicant { services: &rim.services, target, ticket: attempt.ticket, most: rim.max_waiting };
    let mut waits = pin!(applicant.wait(|| rim.is_stopping()));
    let mut status = target.status.clone();
    let mut is_new = true;
    loop {
        tokio::select! {
            biased;
            outcome = &mut waits => return Ok(outcome),
            () = ordered(&mut attempt.order) => return Err(AttemptEnd::Stopped),
            // An error: whoever told it is gone, which the applicant sees as well.
            changed = status.changed(), if !is_new => if changed.is_err() { return Ok(waits.await) },
            () = std::future::ready(()), if is_new => {}
        }
        is_new = false;
        say(waits_for(&status.borrow_and_update()));
    }
}

/// Whether the attempt is to stop.
pub(super) fn has_order(order: &watch::Receiver<Order>) -> bool {
    *order.borrow() != Order::Go
}

/// Waits until the attempt is to stop, one way or the other.
pub(super) async fn ordered(order: &mut watch::Receiver<Order>) {
    // An error: nobody wants anything of it any more.
    drop(order.wait_for(|order| *order != Order::Go).await);
}

/// Waits until it is to end at once.
pub(super) async fn killed(order: &mut watch::Receiver<Order>) {
    drop(order.wait_for(|order| *order == Order::Kill).await);
}
