//! What a job leaves behind at a service: what its end means for the run, the clean-up, and the restart where one is due.
//!
//! The order is: the outcome is told; whatever shows the state of a run that failed is looked at; it is cleaned up; the run is
//! restarted or ended. The gate is shut to everybody else from before the first to after the last. Nothing of a run that is
//! restarted is asked for anything any more: it could not answer, and has nothing left to clean.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::restart::{alone, condemn, is_over, over, restart};
use crate::{
    failure::FailureClass,
    gate::{Permit, Shut},
    ids::RunId,
    job::{JobError, JobId},
    job_queue::{
        attempt::{Attempt, AttemptEnd},
        runner::{
            Rim,
            alarm::{DIRTY, JOB_STUCK, clear, raise},
            cleanup::{CleanPlace, CleanupFailed, all_is_clean, clean, tell_failure},
            dirty::Verdict,
            evidence,
            failing::{Remedy, explained, omen, remedy},
            wire::{Local, Wire},
        },
    },
    os::clock,
    process_supervisor::messages::CondemnService,
    services::Supervised,
    spec::{CleanupSpec, OnCleanupFailure},
    witness::AtWork,
};

/// How long the last lines of a run may be on their way. A second failure of a job is the job's own, and what is printed of it
/// must not be taken for somebody else's.
const LAST_LINES: Duration = Duration::from_secs(5);

/// A job at a service: what it has of it until everything is cleaned up.
pub(super) struct Stay<'a> {
    pub rim: &'a Rim,
    pub target: Supervised,
    pub run: RunId,
    /// Gone once the service is restarted.
    pub permit: Option<Permit>,
    /// What befalls the service meanwhile is left to this job.
    _at_work: AtWork,
    /// How much was told of failures before it began.
    began: u64,
}

/// What follows the end of the work.
pub(super) struct After {
    /// The failure, where it has a cause that is known.
    failure: Option<JobError>,
    remedy: Option<Remedy>,
    /// Whether it is the job, and not the run, that is at fault.
    is_the_jobs: bool,
}

impl<'a> Stay<'a> {
    /// Of a job that has come in, to this run.
    pub fn new(rim: &'a Rim, target: Supervised, run: RunId, permit: Permit) -> Self {
        let at_work = rim.witness.job_begins(&target.spec.name);
        Self { rim, target, run, permit: Some(permit), _at_work: at_work, began: rim.witness.so_far() }
    }

    /// Restarts a run whose work has stood still.
    pub async fn give_up_on(&mut self, shut: &Shut, why: String) -> AttemptEnd {
        let name = self.target.spec.name.clone();
        raise(JOB_STUCK, &name, format!("a job on `{name}` was ended, and `{name}` is restarted: {why}"), self.rim);
        self.recycle(shut, "a job on it stood still".to_owned()).await;
        AttemptEnd::Failed(JobError::new(Some(FailureClass::Timeout), why))
    }

    /// The end of the work with everything in it that is known, and what follows.
    pub fn judge(&self, end: AttemptEnd, attempt: &Attempt) -> (AttemptEnd, After) {
        let has_poisoned = attempt.has_poisoned;
        let name = &self.target.spec.name;
        let omen = omen(self.rim.witness.traces(name, self.run), self.began, &end);
        let end = explained(end, omen.as_ref());
        let again_after = self.target.spec.restart.reset_after;
        let may_restart = |class| self.rim.tidy.may_restart(name, class, again_after, clock::now());
        let mut remedy = remedy(&end, omen.as_ref(), has_poisoned, may_restart);
        if let AttemptEnd::Done(_) = end {
            clear(JOB_STUCK, name, self.rim);
            clear(DIRTY, name, self.rim);
        }
        let after = self.target.spec.cleanup.last_resort_after;
        let row = self.rim.tidy.count(name, Some(self.run), Verdict::of(&end, *attempt.order.borrow()), after);
        if let (Some(row), None) = (row, &remedy) {
            let why = format!("{row} jobs in a row have failed on it (cleanup.last_resort_after)");
            raise(DIRTY, name, format!("`{name}` is restarted: {why}"), self.rim);
            remedy = Some(Remedy::Recycle(why));
        }
        let failure = match &end {
            AttemptEnd::Failed(error) => Some(error.clone()),
            AttemptEnd::Done(_) | AttemptEnd::Stopped => None,
        };
        let is_the_jobs = has_poisoned && failure.as_ref().is_some_and(JobError::poisons);
        (end, After { failure, remedy, is_the_jobs })
    }

    /// Does what follows.
    pub async fn leave(&mut self, job: JobId, definition: &CleanupSpec, after: After, shut: &Shut) {
        let After { failure, remedy, is_the_jobs } = after;
        let name = &self.target.spec.name;
        if let Some(seen) = failure.and_then(|error| evidence::of(&error, name.clone(), self.run, job)) {
            evidence::report(self.rim, seen).await;
        }
        self.clean_up(definition, remedy, shut).await;
        if is_the_jobs {
            let at_work = self.rim.witness.job_begins(&self.target.spec.name);
            actix_rt::spawn(async move {
                sleep(LAST_LINES).await;
                drop(at_work);
            });
        }
    }

    /// Restarts the run, once. Whoever shuts the gate keeps everybody out until it is gone.
    pub async fn recycle(&mut self, shut: &Shut, why: String) {
        let Some(permit) = self.permit.take() else { return };
        let outcome = restart(&self.target, self.run, permit, shut, why).await;
        self.tell(outcome);
    }

    async fn mend(&mut self, remedy: Remedy, shut: &Shut) {
        match remedy {
            Remedy::Recycle(why) => self.recycle(shut, why).await,
            Remedy::Condemn { class, sentence, why } => {
                let Some(permit) = self.permit.take() else { return };
                let condemned = CondemnService { run: self.run, class, reason: why, at_once: false, sentence };
                let outcome = condemn(&self.target, permit, shut, condemned).await;
                self.tell(outcome);
            }
        }
    }

    fn tell(&self, outcome: Result<(), String>) {
        if let Err(error) = outcome {
            self.tell_of_run(error);
        }
    }

    /// Tells what was not done about the run. That is over with the run, whoever ends it, since nothing is left of it then.
    fn tell_of_run(&self, failure: String) {
        let (name, run, rim) = (self.target.spec.name.clone(), self.run, self.rim.clone());
        let is_news = rim.tidy.is_unclean(&name, run);
        tell_failure(&CleanupFailed { service: name.clone(), failures: vec![failure] }, self.rim);
        if is_news {
            let target = self.target.clone();
            actix_rt::spawn(async move {
                over(&target, run).await;
                if rim.tidy.is_gone(&name, run) {
                    all_is_clean(&name, &rim);
                }
            });
        }
    }

    /// Cleans up after the job, as the configuration says by now, and restarts or ends the run where that is due.
    async fn clean_up(&mut self, definition: &CleanupSpec, remedy: Option<Remedy>, shut: &Shut) {
        if let Some(now) = self.rim.services.find(self.target.spec.name.as_str()) {
            self.target.spec = now.spec;
        }
        let specs = [definition, &self.target.spec.cleanup];
        let after_each = self.target.spec.restart_after_job;
        if remedy.is_none() && !after_each && specs.iter().all(|spec| spec.actions.is_empty()) {
            return all_is_clean(&self.target.spec.name, self.rim);
        }
        let is_alone = alone(&self.target, shut).await;
        if is_alone {
            self.clean_all(definition, remedy.is_none(), shut).await;
        } else {
            let drain = self.target.spec.memory.offload.drain;
            let others = self.target.gate.in_flight().saturating_sub(1);
            self.tell_of_run(format!("{others} others still work with it after {drain:?} (offload.drain)"));
        }
        match remedy {
            Some(remedy) => self.mend(remedy, shut).await,
            None if after_each && is_alone => {
                self.recycle(shut, "it is restarted after each job (restart_after_job)".to_owned()).await;
            }
            None => {}
        }
    }

    /// Does the job's own actions, then the service's. Nobody else is in. `stays`: whether the run goes on after that, so that
    /// it is of use to ask it for anything.
    pub async fn clean_all(&mut self, definition: &CleanupSpec, stays: bool, shut: &Shut) {
        let spec = Arc::clone(&self.target.spec);
        let (mut is_clean, mut restart) = (true, None);
        for actions in [definition, &spec.cleanup] {
            let status = self.target.status.borrow().clone();
            let is_there = stays && !is_over(&status, self.run);
            let wire = status.port.filter(|_| is_there).map(|port| Arc::new(Local(port)) as Arc<dyn Wire>);
            let place = CleanPlace::of(&spec, &status, wire, self.rim);
            if let Err(failed) = clean(actions, &place, self.rim).await {
                is_clean = false;
                if actions.on_failure == OnCleanupFailure::Restart {
                    restart = Some(failed.to_string());
                }
            }
        }
        if is_clean {
            all_is_clean(&spec.name, self.rim);
        }
        self.rim.tidy.cleaned(&spec.name, self.run, self.target.gate.entries());
        if let Some(why) = restart.filter(|_| stays) {
            self.recycle(shut, why).await;
        }
    }
}
