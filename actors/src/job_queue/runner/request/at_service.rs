//! A job's request to a service of this runtime: from the line at its gate to the end of the work. What follows is in
//! `aftermath`.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{
    Errand, Trouble,
    aftermath::Stay,
    errand::STOP_BOUND,
    restart::{alone, over},
};
use crate::{
    engines::{Interrupt, hint},
    failure::{FailureAction, FailureClass},
    job::{JobError, JobResult},
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, Order, Teller},
        runner::{
            Rim,
            admission::{Visit, enter, killed, of_exit, ordered},
            failing::action_about,
            wire::{Letter, Local},
        },
    },
    services::Supervised,
};

/// How long the end of a run may lag behind the break of its connections.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How the work came to its end.
enum Worked {
    /// So, and nothing of it goes on.
    Ended(AttemptEnd),
    /// It was to stop, and goes on as long as the run does.
    GoesOn,
    /// It stood still, which this says.
    Stuck(String),
    /// Everything is to end at once.
    Killed,
}

/// Does it; gives the end of one that has not come so far as to work.
pub(super) async fn run(
    attempt: &mut Attempt,
    service: &str,
    letter: &Letter,
    rim: &Rim,
    tell: &Teller,
) -> Option<AttemptEnd> {
    let mut may_restart = attempt.has_poisoned;
    let mut stay = loop {
        let visit = match enter(attempt, service, rim, tell).await {
            Ok(visit) => visit,
            Err(end) => return Some(end),
        };
        let Some(wire) = visit.admitted.endpoint.port.map(Local) else {
            let what = format!("`{service}` has no port that could be asked");
            return Some(AttemptEnd::Failed(JobError::new(None, what)));
        };
        let mut order = attempt.order.clone();
        tokio::select! {
            biased;
            () = ordered(&mut order) => return Some(AttemptEnd::Stopped),
            made_ready = make_ready(attempt, visit, letter, rim, tell, wire, may_restart) => match made_ready {
                Some(stay) => break (stay, wire),
                // It is restarted, and the job comes again. One that is poisoned as soon as it is there stays so.
                None => may_restart = false,
            },
        }
    };
    let (stay, wire) = (&mut stay.0, stay.1);
    tell.tell(AttemptNews::Running);
    let name = stay.target.spec.name.to_string();
    let errand = errand(attempt, &name, &stay.target, letter, tell, wire);
    let worked = work(stay, &errand, &mut attempt.order.clone()).await;
    drop(errand);
    let shut = stay.target.gate.shut();
    let end = match worked {
        Worked::Ended(end) => end,
        Worked::Killed => return Some(AttemptEnd::Stopped),
        Worked::GoesOn => {
            stay.recycle(&shut, "a job on it was to stop, and its work goes on".to_owned()).await;
            AttemptEnd::Stopped
        }
        Worked::Stuck(why) => stay.give_up_on(&shut, why).await,
    };
    stay.hear_out(&end).await;
    let (end, after) = stay.judge(end, attempt);
    tell.tell(AttemptNews::Ended(end));
    let mut order = attempt.order.clone();
    tokio::select! {
        () = stay.leave(attempt.id, &attempt.definition.cleanup, after, &shut) => {}
        () = killed(&mut order) => {}
    }
    // Those in line come in with the end of the shut gate, not with the permit's.
    drop((stay.permit.take(), shut));
    None
}

fn errand<'a>(
    attempt: &Attempt,
    who: &'a str,
    target: &Supervised,
    letter: &'a Letter,
    tell: &'a Teller,
    wire: Local,
) -> Errand<'a> {
    let spec = &target.spec;
    Errand::new(attempt, who, &spec.engine, &spec.failure, Arc::new(wire), letter, tell)
}

/// Makes sure that the job begins on a service that does nothing else for it, and on a clean one; `may_restart`: that a second
/// attempt is not made on a run that is poisoned again. `None`: it was restarted for that.
async fn make_ready<'a>(
    attempt: &Attempt,
    visit: Visit,
    letter: &Letter,
    rim: &'a Rim,
    tell: &Teller,
    wire: Local,
    may_restart: bool,
) -> Option<Stay<'a>> {
    let Visit { target, admitted, was_there } = visit;
    let run = admitted.endpoint.run;
    let is_adopted = run.made_at() < rim.bus.epoch();
    let others = rim.tidy.enters(&target.spec.name, run, target.gate.entries(), was_there || is_adopted);
    let mut stay = Stay::new(rim, target, run, admitted.permit);
    let name = stay.target.spec.name.to_string();
    let specs = [&attempt.definition.cleanup, &stay.target.spec.cleanup];
    let is_dirty = others && specs.iter().any(|spec| !spec.actions.is_empty());
    // An earlier attempt may have been cut off by the end of an earlier runtime, while the service went on with it; and what
    // that has poisoned may not have been restarted by then.
    let may_go_on = is_adopted && attempt.number > 1;
    let is_poisoned = may_restart && (is_adopted || rim.witness.is_poisoned(&stay.target.spec.name, run));
    if !is_dirty && !may_go_on && !is_poisoned {
        return Some(stay);
    }
    tell.tell(AttemptNews::Waiting(format!("`{name}` is made ready for it")));
    let shut = stay.target.gate.shut();
    let is_alone = alone(&stay.target, &shut).await;
    if is_poisoned {
        stay.recycle(&shut, "a job is to be tried once more on a clean run, and this one is poisoned".to_owned()).await;
        return None;
    }
    if may_go_on && !errand(attempt, &name, &stay.target, letter, tell, wire).stop_earlier().await {
        let why = format!("what an earlier attempt at job {} has begun goes on", attempt.id);
        stay.recycle(&shut, why).await;
        return None;
    }
    if is_dirty && is_alone {
        let definition = attempt.definition.cleanup.clone();
        if let Some(why) = stay.clean_all(&definition, true).await {
            stay.recycle(&shut, why).await;
        }
    }
    stay.permit.is_some().then_some(stay)
}

/// Sends the request and waits for its end, or ends it.
async fn work(stay: &Stay<'_>, errand: &Errand<'_>, order: &mut watch::Receiver<Order>) -> Worked {
    errand.begins(stay.target.spec.limits.progress);
    let mut done = pin!(errand.done());
    let (outcome, stood_still) = tokio::select! {
        biased;
        () = ordered(order) => (None, None),
        outcome = &mut done => (Some(outcome), None),
        () = over(&stay.target, stay.run) => return Worked::Ended(AttemptEnd::Failed(last_words(stay))),
        why = errand.stands_still() => (None, Some(why)),
    };
    if let Some(outcome) = outcome {
        return Worked::Ended(judge(stay, outcome, errand).await);
    }
    let worked = tokio::select! {
        biased;
        () = killed(order) => return Worked::Killed,
        worked = stop(stay, errand, done) => worked,
    };
    stood_still.map_or(worked, Worked::Stuck)
}

async fn judge(stay: &Stay<'_>, outcome: Result<JobResult, Trouble>, errand: &Errand<'_>) -> AttemptEnd {
    let unknown = |what: String| AttemptEnd::Failed(JobError::new(Some(FailureClass::Unknown), what));
    match outcome {
        Ok(result) => AttemptEnd::Done(result),
        Err(Trouble::Refused(error)) => AttemptEnd::Failed(error),
        Err(Trouble::NotKept(what)) => unknown(what),
        Err(Trouble::Broke(error)) => {
            if timeout(LAST_WORDS, over(&stay.target, stay.run)).await.is_ok() {
                return AttemptEnd::Failed(last_words(stay));
            }
            // It lives, and may go on with what nobody waits for any more.
            drop(timeout(LAST_WORDS, errand.interrupt()).await);
            unknown(error.told_of(errand.who))
        }
        Err(Trouble::Lost(what)) => {
            drop(timeout(LAST_WORDS, errand.interrupt()).await);
            unknown(what)
        }
    }
}

/// The end of its run, as a failure of the job.
fn last_words(stay: &Stay<'_>) -> JobError {
    let status = stay.target.status.borrow();
    let how = match status.last_exit.as_ref().map(|exit| (exit.code, exit.signal)) {
        Some((Some(code), _)) => format!(" with status {code}"),
        Some((None, Some(signal))) => format!(" by signal {signal}"),
        Some((None, None)) | None => String::new(),
    };
    let class = status.last_exit.as_ref().and_then(|exit| exit.class);
    let hint = class.map(|class| format!("; {}", hint(class))).unwrap_or_default();
    let error = of_exit(&status, format!("`{}` ended{how} while it worked on this{hint}", status.name));
    // The next run is a clean one in any case; what is left to do about it is one more attempt.
    let action = class.map(|class| action_about(class, &stay.target.spec.failure));
    JobError { action: action.filter(|action| *action == FailureAction::RestartOnce), ..error }
}

/// Ends the work, so that it has really stopped.
async fn stop(stay: &Stay<'_>, errand: &Errand<'_>, done: impl Future<Output = Result<JobResult, Trouble>>) -> Worked {
    let mut done = pin!(done);
    let stopped = Worked::Ended(AttemptEnd::Stopped);
    match errand.engine.interrupt() {
        Interrupt::Disconnect => return stopped,
        Interrupt::Restart => {}
        Interrupt::Calls(_) => tokio::select! {
            _outcome = &mut done => return stopped,
            () = over(&stay.target, stay.run) => return stopped,
            is_gone = timeout(STOP_BOUND, errand.interrupt()) => if is_gone == Ok(true) { return stopped },
        },
    }
    // Others who are in may finish, and whoever works on this may, too.
    let shut = stay.target.gate.shut();
    tokio::select! {
        _outcome = &mut done => stopped,
        () = over(&stay.target, stay.run) => stopped,
        _is_alone = alone(&stay.target, &shut) => Worked::GoesOn,
    }
}
