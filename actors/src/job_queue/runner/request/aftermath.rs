//! What a job leaves behind at a service: what its end means for the run, the clean-up, and the restart where one is due.
//!
//! The order is: the outcome is told; whatever shows the state of a run that failed is looked at; it is cleaned up; the run is
//! restarted or ended. The gate is shut to everybody else from before the first to after the last. Nothing of a run that is
//! restarted is asked for anything any more: it could not answer, and has nothing left to clean. Where the run was restarted to
//! end the work, all of that is done with it, and the next run is none of this job's.
//!
//! Whoever watches services leaves to the job whatever a run prints while the job is here. So the job looks twice: before it is
//! judged, and once more when it leaves.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::restart::{alone, condemn, is_over, over, restart};
use crate::{
    failure::{FailureAction, FailureClass},
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
            failing::{Remedy, explained, gravest, is_unexplained, of_line, omen, remedy, wanted},
            wire::{Local, Wire},
        },
    },
    os::clock,
    process_supervisor::messages::CondemnService,
    services::Supervised,
    spec::{CleanupSpec, OnCleanupFailure, ServiceSpec},
    witness::AtWork,
};

/// How long a failure without a cause waits for the line that names it: a server answers with a bare 500 before it logs the
/// traceback (uvicorn's `run_asgi` does), and its output is read on another thread than the answer.
const EXPLAINED_WITHIN: Duration = Duration::from_millis(200);

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
    /// The severest action that was thought of for it.
    weighed: FailureAction,
    /// How much had been told of failures when it was judged.
    judged: u64,
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

    /// Gives the line of output that explains this end its moment to come, where one is missing.
    pub async fn hear_out(&self, end: &AttemptEnd) {
        let (witness, name) = (&self.rim.witness, &self.target.spec.name);
        if is_unexplained(end) && omen(&witness.traces(name, self.run), self.began, end).is_none() {
            // Whatever has come is looked at next.
            drop(timeout(EXPLAINED_WITHIN, witness.until_told(name, self.run, self.began)).await);
        }
    }

    /// The end of the work with everything in it that is known, and what follows.
    pub fn judge(&self, end: AttemptEnd, attempt: &Attempt) -> (AttemptEnd, After) {
        let has_poisoned = attempt.has_poisoned;
        let name = &self.target.spec.name;
        // First, so that nothing falls between the two.
        let judged = self.rim.witness.so_far();
        let traces = self.rim.witness.traces(name, self.run);
        let cause = omen(&traces, self.began, &end);
        let end = explained(end, cause);
        let gravest = gravest(&traces, self.began);
        let mut remedy = remedy(&end, gravest, has_poisoned, |class| self.may_restart(class));
        let weighed = gravest.map_or(FailureAction::None, |trace| trace.action).max(wanted(&end));
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
        (end, After { failure, remedy, weighed, judged })
    }

    /// Whether the run may be restarted for a line of this class; if so, it counts as done.
    fn may_restart(&self, class: FailureClass) -> bool {
        let ServiceSpec { name, restart, .. } = &*self.target.spec;
        self.rim.tidy.may_restart(name, class, restart.reset_after, clock::now())
    }

    /// What is to be done for what the run has printed since it was judged, where that is worse than anything before.
    fn late(&self, judged: u64, weighed: FailureAction) -> Option<Remedy> {
        let traces = self.rim.witness.traces(&self.target.spec.name, self.run);
        let line = gravest(&traces, judged).filter(|trace| trace.action > weighed)?;
        of_line(line, |class| self.may_restart(class))
    }

    /// Does what follows.
    pub async fn leave(&mut self, job: JobId, definition: &CleanupSpec, after: After, shut: &Shut) {
        let name = &self.target.spec.name;
        if let Some(seen) = after.failure.as_ref().and_then(|error| evidence::of(error, name.clone(), self.run, job)) {
            evidence::report(self.rim, seen).await;
        }
        self.clean_up(definition, after, shut).await;
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
    async fn clean_up(&mut self, definition: &CleanupSpec, after: After, shut: &Shut) {
        if self.permit.is_none() {
            // The run has been restarted. What would be asked, run and emptied now would be the next one's.
            return;
        }
        let After { remedy, judged, weighed, .. } = after;
        if let Some(now) = self.rim.services.find(self.target.spec.name.as_str()) {
            self.target.spec = now.spec;
        }
        let specs = [definition, &self.target.spec.cleanup];
        let after_each = self.target.spec.restart_after_job;
        let is_due = remedy.is_some() || after_each || specs.iter().any(|spec| !spec.actions.is_empty());
        if !is_due {
            all_is_clean(&self.target.spec.name, self.rim);
        }
        let is_alone = is_due && alone(&self.target, shut).await;
        let mut dirty = None;
        if is_alone {
            dirty = self.clean_all(definition, remedy.is_none()).await;
        } else if is_due {
            let drain = self.target.spec.memory.offload.drain;
            let others = self.target.gate.in_flight().saturating_sub(1);
            self.tell_of_run(format!("{others} others still work with it after {drain:?} (offload.drain)"));
        }
        match self.late(judged, weighed).or(remedy).or(dirty.map(Remedy::Recycle)) {
            Some(remedy) => self.mend(remedy, shut).await,
            None if after_each && is_alone => {
                self.recycle(shut, "it is restarted after each job (restart_after_job)".to_owned()).await;
            }
            None => {}
        }
    }

    /// Does the job's own actions, then the service's. Nobody else is in. `stays`: whether the run goes on after that, so that
    /// it is of use to ask it for anything. Gives why it is to be restarted, where it is not clean after that.
    pub async fn clean_all(&mut self, definition: &CleanupSpec, stays: bool) -> Option<String> {
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
        restart.filter(|_| stays)
    }
}
