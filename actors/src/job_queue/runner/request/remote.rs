//! A job's request to a remote: no gate and no memory of ours, but a URL that is well.

use std::{pin::pin, sync::Arc, time::Duration};

use actix_rt::time::sleep;
use tokio::time::timeout;

use super::{Errand, Trouble, errand::STOP_BOUND, reset::reset};
use crate::{
    engines::Interrupt,
    failure::FailureClass,
    job::JobError,
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, Order, Teller},
        runner::{
            Rim,
            admission::{killed, ordered},
            alarm::{DIRTY, clear},
            cleanup::{CleanPlace, all_is_clean, clean},
            dirty::Verdict,
            wire::{Letter, WireError},
        },
    },
    os::clock,
    remote::{InFlight, Look, Remote, Site},
};

/// Pause between two looks for a URL that is well: begins at the first, doubles to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Does it; gives the end of one that has not come so far as to work.
pub(super) async fn run(
    attempt: &mut Attempt,
    remote: &Arc<Remote>,
    letter: &Letter,
    rim: &Rim,
    tell: &Teller,
) -> Option<AttemptEnd> {
    let who = remote.name().to_string();
    let failed = |what: String| AttemptEnd::Failed(JobError::new(Some(FailureClass::Unknown), what));
    let Some(wires) = rim.far.wires.clone() else {
        return Some(failed(format!("`{who}` is a remote, and this build cannot ask one")));
    };
    let mut tried: Vec<Arc<Site>> = Vec::new();
    let mut is_told = false;
    loop {
        let (site, in_flight) = match find(attempt, remote, &tried, tell).await {
            Some(found) => found,
            None => return Some(AttemptEnd::Stopped),
        };
        if !is_told {
            is_told = true;
            tell.tell(AttemptNews::Running);
        }
        let (engine, wire) = (&remote.spec().engine, wires.wire(remote, &site));
        let errand = Errand::new(attempt, &who, engine, &[], wire, letter, tell);
        let mut order = attempt.order.clone();
        let end = match work(&errand, &mut order).await {
            Some(Ok(end)) => end,
            // Nothing was sent: the next one is asked.
            Some(Err(why)) => {
                site.see(Look::Refused(why));
                tried.push(site);
                continue;
            }
            None => return Some(AttemptEnd::Stopped),
        };
        let wire = Arc::clone(&errand.wire);
        let (end, failures) = judged(end, *order.borrow(), remote, &site, rim);
        let is_done = matches!(end, AttemptEnd::Done(_));
        tell.tell(AttemptNews::Ended(end));
        let place = CleanPlace {
            name: remote.name().clone(),
            engine: remote.spec().engine.clone(),
            wire: Some(wire),
            own: None,
        };
        let clean_up = async {
            let mut is_clean = true;
            for spec in [&attempt.definition.cleanup, &remote.spec().cleanup] {
                // What has failed is told there; a remote cannot be restarted from here.
                is_clean &= clean(spec, &place, rim).await.is_ok();
            }
            let is_well = match failures {
                Some(failures) => reset(remote, failures, rim).await,
                // What a reset has not done does not matter any more once a job comes to a good end.
                None => is_done,
            };
            if is_clean && is_well {
                all_is_clean(remote.name(), rim);
            }
        };
        tokio::select! {
            () = clean_up => {}
            () = killed(&mut order) => {}
        }
        drop(in_flight);
        return None;
    }
}

/// The end, and after how many failures in a row the last resort is due, if it is. Nothing of a remote is restarted for one
/// job, so that another attempt is as good as any. No job comes to one that is to be reset, from here on until it is well again.
fn judged(end: AttemptEnd, order: Order, remote: &Arc<Remote>, site: &Site, rim: &Rim) -> (AttemptEnd, Option<u32>) {
    let end = match end {
        AttemptEnd::Failed(error) => AttemptEnd::Failed(JobError { action: None, ..error }),
        AttemptEnd::Done(_) => {
            clear(DIRTY, remote.name(), rim);
            end
        }
        AttemptEnd::Stopped => end,
    };
    let verdict = match Verdict::of(&end, order) {
        // It is being reset for what has failed before: this was on its way.
        Verdict::Dirty if !site.takes_jobs(clock::now()) => Verdict::Nothing,
        verdict => verdict,
    };
    let failures = rim.tidy.count(remote.name(), None, verdict, remote.spec().cleanup.last_resort_after);
    if failures.is_some() && remote.spec().reset.is_set() {
        remote.is_reset(clock::now());
    }
    (end, failures)
}

/// A URL that may be asked, as soon as there is one; `None` when the attempt is to stop.
async fn find(
    attempt: &mut Attempt,
    remote: &Arc<Remote>,
    tried: &[Arc<Site>],
    tell: &Teller,
) -> Option<(Arc<Site>, InFlight)> {
    let mut pause = PAUSES.0;
    // Those that could not be connected to are out by now, and are asked again once they are well.
    let mut tried = tried;
    loop {
        let now = clock::now();
        if let Some(found) = remote.enter_for_job(tried, now) {
            return Some(found);
        }
        if pause == PAUSES.0 {
            let said = |site: &Arc<Site>| {
                let view = site.view();
                let why = match view.last_error {
                    _ if view.is_in && !site.takes_jobs(now) => {
                        "it was reset, and is not known to be well again".to_owned()
                    }
                    Some(error) => error,
                    None => "not tried".to_owned(),
                };
                format!("{}: {why}", view.url)
            };
            let said: Vec<String> = remote.sites().iter().map(said).collect();
            tell.tell(AttemptNews::Waiting(format!(
                "no URL of `{}` can be asked ({})",
                remote.name(),
                said.join("; ")
            )));
        }
        tokio::select! {
            () = ordered(&mut attempt.order) => return None,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
        tried = &[];
    }
}

/// The end of the work; an error where nothing was sent, and `None` where everything is to end at once.
async fn work(
    errand: &Errand<'_>,
    order: &mut tokio::sync::watch::Receiver<Order>,
) -> Option<Result<AttemptEnd, String>> {
    let mut done = pin!(errand.done());
    let failed = |what: String| Some(Ok(AttemptEnd::Failed(JobError::new(Some(FailureClass::Unknown), what))));
    tokio::select! {
        biased;
        () = ordered(order) => {}
        outcome = &mut done => return match outcome {
            Ok(result) => Some(Ok(AttemptEnd::Done(result))),
            Err(Trouble::Refused(error)) => Some(Ok(AttemptEnd::Failed(error))),
            Err(Trouble::Broke(WireError::Refused { why, .. })) if errand.prompt.borrow().is_none() => Some(Err(why)),
            Err(Trouble::Broke(error)) => failed(error.told_of(errand.who)),
            Err(Trouble::Lost(what) | Trouble::NotKept(what)) => failed(what),
        },
    }
    if let Interrupt::Calls(_) = errand.engine.interrupt() {
        tokio::select! {
            biased;
            () = killed(order) => return None,
            _outcome = &mut done => {}
            // What goes on longer than that cannot be ended from here.
            _bound = timeout(STOP_BOUND, errand.interrupt()) => {}
        }
    }
    Some(Ok(AttemptEnd::Stopped))
}
