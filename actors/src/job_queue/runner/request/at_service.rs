//! A job's request to a service of this runtime.

use std::{cell::RefCell, pin::pin, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Errand, Trouble,
    errand::STOP_BOUND,
    restart::{alone, is_over, over, restart},
};
use crate::{
    engines::{FailureRules, Interrupt},
    failure::FailureClass,
    gate::{Permit, Shut},
    ids::RunId,
    job::{JobError, JobResult},
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, Order, Teller},
        runner::{
            Rim,
            admission::{Visit, enter, killed, of_exit, ordered},
            cleanup::{CleanPlace, CleanupFailed, clean, tell_failure},
            wire::{Letter, Local, Wire},
        },
    },
    services::Supervised,
    spec::{CleanupSpec, OnCleanupFailure},
};

/// How long the end of a run may lag behind the break of its connections.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A job at a service: what it has of it until everything is cleaned up.
struct Stay<'a> {
    rim: &'a Rim,
    target: Supervised,
    run: RunId,
    /// Gone once the service is restarted.
    permit: Option<Permit>,
}

/// How the work came to its end.
enum Worked {
    /// So, and nothing of it goes on.
    Ended(AttemptEnd),
    /// It was to stop, and goes on as long as the run does.
    GoesOn,
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
            made_ready = make_ready(attempt, visit, letter, rim, tell, wire) => match made_ready {
                Some(stay) => break (stay, wire),
                // It is restarted, and the job comes again.
                None => continue,
            },
        }
    };
    let (stay, wire) = (&mut stay.0, stay.1);
    tell.tell(AttemptNews::Running);
    let name = stay.target.spec.name.to_string();
    let errand = errand(attempt, &name, &stay.target, letter, tell, wire);
    let worked = stay.work(&errand, &mut attempt.order.clone()).await;
    drop(errand);
    let shut = stay.target.gate.shut();
    let end = match worked {
        Worked::Ended(end) => end,
        Worked::Killed => return Some(AttemptEnd::Stopped),
        Worked::GoesOn => stay.end_the_run(&shut).await,
    };
    tell.tell(AttemptNews::Ended(end));
    let mut order = attempt.order.clone();
    tokio::select! {
        () = stay.clean_up(&attempt.definition.cleanup, &shut) => {}
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
    Errand {
        who,
        engine: target.spec.engine.clone(),
        // The configuration has made sure that they compile.
        rules: FailureRules::new(&target.spec.engine, &target.spec.failure).ok(),
        wire: Arc::new(wire),
        letter,
        job: attempt.id,
        folder: attempt.folder.output(),
        tell,
        prompt: RefCell::new(None),
    }
}

/// Makes sure that the job begins on a service that does nothing else for it, and on a clean one. `None`: it was restarted
/// for that.
async fn make_ready<'a>(
    attempt: &Attempt,
    visit: Visit,
    letter: &Letter,
    rim: &'a Rim,
    tell: &Teller,
    wire: Local,
) -> Option<Stay<'a>> {
    let Visit { target, admitted, was_there } = visit;
    let run = admitted.endpoint.run;
    let is_adopted = run.made_at() < rim.bus.epoch();
    let others = rim.tidy.enters(&target.spec.name, run, target.gate.entries(), was_there || is_adopted);
    let mut stay = Stay { rim, target, run, permit: Some(admitted.permit) };
    let name = stay.target.spec.name.to_string();
    let specs = [&attempt.definition.cleanup, &stay.target.spec.cleanup];
    let is_dirty = others && specs.iter().any(|spec| !spec.actions.is_empty());
    // An earlier attempt may have been cut off by the end of an earlier runtime, while the service went on with it.
    let may_go_on = is_adopted && attempt.number > 1;
    if !is_dirty && !may_go_on {
        return Some(stay);
    }
    tell.tell(AttemptNews::Waiting(format!("`{name}` is made ready for it")));
    let shut = stay.target.gate.shut();
    let is_alone = alone(&stay.target, &shut).await;
    if may_go_on && !errand(attempt, &name, &stay.target, letter, tell, wire).stop_earlier().await {
        let why = format!("what an earlier attempt at job {} has begun goes on", attempt.id);
        stay.recycle(&shut, why).await;
        return None;
    }
    if is_dirty && is_alone {
        let definition = attempt.definition.cleanup.clone();
        stay.clean_all(&definition, &shut).await;
    }
    stay.permit.is_some().then_some(stay)
}

impl Stay<'_> {
    /// Sends the request and waits for its end, or ends it.
    async fn work(&self, errand: &Errand<'_>, order: &mut tokio::sync::watch::Receiver<Order>) -> Worked {
        let mut done = pin!(errand.done());
        let outcome = tokio::select! {
            biased;
            () = ordered(order) => None,
            outcome = &mut done => Some(outcome),
            () = over(&self.target, self.run) => return Worked::Ended(AttemptEnd::Failed(self.last_words())),
        };
        match outcome {
            Some(outcome) => Worked::Ended(self.judge(outcome, errand).await),
            None => tokio::select! {
                biased;
                () = killed(order) => Worked::Killed,
                worked = self.stop(errand, done) => worked,
            },
        }
    }

    async fn judge(&self, outcome: Result<JobResult, Trouble>, errand: &Errand<'_>) -> AttemptEnd {
        let unknown = |what: String| AttemptEnd::Failed(JobError::new(Some(FailureClass::Unknown), what));
        match outcome {
            Ok(result) => AttemptEnd::Done(result),
            Err(Trouble::Refused(error)) => AttemptEnd::Failed(error),
            Err(Trouble::NotKept(what)) => unknown(what),
            Err(Trouble::Broke(error)) => {
                if timeout(LAST_WORDS, over(&self.target, self.run)).await.is_ok() {
                    return AttemptEnd::Failed(self.last_words());
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
    fn last_words(&self) -> JobError {
        let status = self.target.status.borrow();
        let how = match status.last_exit.as_ref().map(|exit| (exit.code, exit.signal)) {
            Some((Some(code), _)) => format!(" with status {code}"),
            Some((None, Some(signal))) => format!(" by signal {signal}"),
            Some((None, None)) | None => String::new(),
        };
        let hint = status.last_exit.as_ref().and_then(|exit| exit.class).map(crate::engines::hint);
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        of_exit(&status, format!("`{}` ended{how} while it worked on this{hint}", status.name))
    }

    /// Ends the work, so that it has really stopped.
    async fn stop(&self, errand: &Errand<'_>, done: impl Future<Output = Result<JobResult, Trouble>>) -> Worked {
        let mut done = pin!(done);
        let stopped = Worked::Ended(AttemptEnd::Stopped);
        match errand.engine.interrupt() {
            Interrupt::Disconnect => return stopped,
            Interrupt::Restart => {}
            Interrupt::Calls(_) => tokio::select! {
                _outcome = &mut done => return stopped,
                () = over(&self.target, self.run) => return stopped,
                is_gone = timeout(STOP_BOUND, errand.interrupt()) => if is_gone == Ok(true) { return stopped },
            },
        }
        // Others who are in may finish, and whoever works on this may, too.
        let shut = self.target.gate.shut();
        tokio::select! {
            _outcome = &mut done => stopped,
            () = over(&self.target, self.run) => stopped,
            _is_alone = alone(&self.target, &shut) => Worked::GoesOn,
        }
    }

    /// Restarts what cannot be told to stop.
    async fn end_the_run(&mut self, shut: &Shut) -> AttemptEnd {
        let why = "a job on it was to stop, and its work goes on".to_owned();
        self.recycle(shut, why).await;
        AttemptEnd::Stopped
    }

    async fn recycle(&mut self, shut: &Shut, why: String) {
        let Some(permit) = self.permit.take() else { return };
        if let Err(error) = restart(&self.target, self.run, permit, shut, why).await {
            let service = self.target.spec.name.clone();
            tell_failure(&CleanupFailed { service, failures: vec![error] }, self.rim);
        }
    }

    /// Cleans up after the job, as the configuration says by now.
    async fn clean_up(&mut self, definition: &CleanupSpec, shut: &Shut) {
        if let Some(now) = self.rim.services.find(self.target.spec.name.as_str()) {
            self.target.spec = now.spec;
        }
        let specs = [definition, &self.target.spec.cleanup];
        let restarts = self.target.spec.restart_after_job;
        if !restarts && specs.iter().all(|spec| spec.actions.is_empty()) {
            return;
        }
        if !alone(&self.target, shut).await {
            let (service, drain) = (self.target.spec.name.clone(), self.target.spec.memory.offload.drain);
            let others = self.target.gate.in_flight().saturating_sub(1);
            let failures = vec![format!("{others} others still work with it after {drain:?} (offload.drain)")];
            return tell_failure(&CleanupFailed { service, failures }, self.rim);
        }
        self.clean_all(definition, shut).await;
        if restarts {
            self.recycle(shut, "it is restarted after each job (restart_after_job)".to_owned()).await;
        }
    }

    /// Does the job's own actions, then the service's. Nobody else is in.
    async fn clean_all(&mut self, definition: &CleanupSpec, shut: &Shut) {
        let spec = Arc::clone(&self.target.spec);
        let mut restart = None;
        for actions in [definition, &spec.cleanup] {
            let status = self.target.status.borrow().clone();
            let is_there = !is_over(&status, self.run);
            let wire = status.port.filter(|_| is_there).map(|port| Arc::new(Local(port)) as Arc<dyn Wire>);
            let place = CleanPlace::of(&spec, &status, wire, self.rim);
            match clean(actions, &place, self.rim).await {
                Ok(()) => {}
                Err(failed) if actions.on_failure == OnCleanupFailure::Restart => restart = Some(failed.to_string()),
                Err(_told) => {}
            }
        }
        self.rim.tidy.cleaned(&spec.name, self.run, self.target.gate.entries());
        if let Some(why) = restart {
            self.recycle(shut, why).await;
        }
    }
}
