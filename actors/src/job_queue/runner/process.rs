//! Does a job by a process of its own: a run of its worker.
//!
//! The worker is configured with the job, stands in line for memory like everybody who wants to use something, begins one
//! run, and rests again. This task holds its place at the worker's gate from the first moment to the last: while it stands
//! in line, that is what the job waits by (arrival and priority); once the run is there, it is a permit, and nobody pushes
//! the run out of memory. What is to be done next is read from the worker's newest status by `course`, which is pure.
//!
//! It never begins a second run: a run that has come to its end is the job's, however short it was. And it does not return
//! before nothing of that run is left and its memory is measured back.

mod command;
mod course;
mod outcome;
mod output;
mod placing;

use std::{future::pending, sync::Arc, time::Instant};

use actix::Message;
use tokio::{sync::watch, time::sleep_until};

use super::{
    Rim,
    alarm::{JOB_STUCK, clear, raise},
    cleanup::{CleanPlace, all_is_clean, clean},
    evidence,
    stillness::Stillness,
};
use crate::{
    admit::BY_REQUEST,
    failure::FailureClass,
    gate::Place,
    ids::{RunId, ServiceName},
    job::{JobError, JobName, JobProgress},
    job_queue::attempt::{Attempt, AttemptEnd, AttemptNews, JobFolder, Order, StopWhy, Teller, worker_name},
    memory::GpuId,
    os::clock,
    process_supervisor::messages::{Reconfigure, StopService},
    resource_orchestrator::messages::{Enlist, Enlisted},
    services::Supervised,
    spec::{CleanupSpec, ProcessJob, ServiceSpec},
    state::{ServiceState, ServiceStatus},
};

use self::course::Seen;

/// Does one attempt at a job, and tells how it fares. Returns once nothing of it is left, and what it held is back.
pub async fn run(attempt: &mut Attempt, job: &ProcessJob, rim: &Rim, tell: &Teller) {
    let (mut order, id) = (attempt.order.clone(), attempt.id);
    let begun = tokio::select! {
        biased;
        // A program may take its time to say what it knows.
        _ = order.wait_for(|order| *order != Order::Go) => Err(AttemptEnd::Stopped),
        begun = Work::begin(attempt, job, rim) => begun,
    };
    let mut work = match begun {
        Ok(work) => work,
        Err(end) => return tell.tell(AttemptNews::Ended(end)),
    };
    let name = work.spec.name.clone();
    // Each run is a fresh one, so what befalls this one is the job's alone.
    let _at_work = rim.witness.job_begins(&name);
    let (run, end) = match work.wait(tell).await {
        Ok(run) => {
            tell.tell(AttemptNews::Running);
            (Some(run), work.follow(run, tell).await)
        }
        Err(end) => (None, end),
    };
    let end = match (end, run) {
        (Ending::Judged(end), _) => end,
        (Ending::ByItself, _) => work.judge().await,
    };
    let failure = match (&end, run) {
        (AttemptEnd::Failed(error), Some(run)) => evidence::of(error, name, run, id),
        _ => None,
    };
    tell.tell(AttemptNews::Ended(end));
    if let Some(seen) = failure {
        evidence::report(rim, seen).await;
    }
    if let Some(run) = run
        && work.settled(run).await
    {
        work.clean().await;
    }
}

/// How an attempt came to its end.
enum Ending {
    /// As this says.
    Judged(AttemptEnd),
    /// Its process ended by itself: the last exit of the worker tells how.
    ByItself,
}

/// One attempt, on its worker.
struct Work<'a> {
    rim: &'a Rim,
    target: Supervised,
    /// The worker with this job.
    spec: Arc<ServiceSpec>,
    status: watch::Receiver<ServiceStatus>,
    order: &'a mut watch::Receiver<Order>,
    folder: JobFolder,
    /// What is done once nothing of it runs.
    cleanup: CleanupSpec,
    /// The cards that its run was on.
    gpus: Vec<GpuId>,
    /// In line at the gate, and inside from the moment that the run can be used.
    _place: Place,
}

impl<'a> Work<'a> {
    async fn begin(attempt: &'a mut Attempt, job: &ProcessJob, rim: &'a Rim) -> Result<Self, AttemptEnd> {
        let Attempt { id, definition, params, folder, ticket, slot, order, .. } = attempt;
        let unknown = || outcome::never_begun(format!("`{}` has no worker {slot}", definition.name));
        let worker = worker_name(&definition.name, *slot).and_then(|name| rim.workers.find(name.as_str()));
        let target = worker.ok_or_else(unknown)?;
        output::make(folder.output()).await.map_err(|error| {
            outcome::never_begun(format!("its folder {} cannot be made: {error}", folder.output().display()))
        })?;
        let task = command::task(*id, params, folder, &job.service);
        let appended = command::flags(&definition.params, params);
        let name: ServiceName = target.spec.name.clone();
        let mut spec = command::with_task(&job.service, name, appended, task);
        placing::place(&mut spec, job, rim).await;
        let spec = Arc::new(spec);
        // How many attempts there are is bounded by the queue, so this line needs no end of its own.
        let place = target.gate.line_up(*ticket, u32::MAX).map_err(|_| outcome::never_begun("its line is full"))?;
        let status = target.status.clone();
        let (folder, cleanup, gpus) = (folder.clone(), definition.cleanup.clone(), Vec::new());
        Ok(Self { rim, target, spec, status, order, folder, cleanup, gpus, _place: place })
    }

    /// Waits for memory, asking for it again after a refusal, until the run has begun.
    async fn wait(&mut self, tell: &Teller) -> Result<RunId, Ending> {
        let mut told = None;
        let (mut asked, mut before, mut refusals) = (false, None, 0);
        let mut again: Option<Instant> = None;
        loop {
            let now = self.status.borrow_and_update().clone();
            let order = *self.order.borrow_and_update();
            let seen = course::seen(&now, asked, before);
            if let Seen::Begun(run) = seen {
                return Ok(run);
            }
            if order != Order::Go {
                return self.withdraw(asked, before, order).await;
            }
            let due = again.is_some_and(|at| at <= clock::now());
            let why = match seen {
                Seen::Rests => {
                    (asked, before, again) = (true, now.run_id, None);
                    self.configure().await?;
                    self.send(BY_REQUEST).await?;
                    continue;
                }
                Seen::Refused(refusal) if course::is_final(&refusal) => {
                    return Err(Ending::Judged(outcome::too_large(&refusal)));
                }
                Seen::Refused(_) if due => {
                    asked = false;
                    continue;
                }
                Seen::Refused(refusal) => {
                    if again.is_none() {
                        refusals += 1;
                        again = Some(clock::now() + course::pause(refusals));
                    }
                    refusal.to_string()
                }
                Seen::Waits(why) => why,
                Seen::Never(why) => return Err(Ending::Judged(outcome::never_begun(why))),
                Seen::Begun(run) => return Ok(run),
            };
            if told.as_ref() != Some(&why) {
                told = Some(why.clone());
                tell.tell(AttemptNews::Waiting(why));
            }
            tokio::select! {
                biased;
                heard = self.order.changed() => self.heard(heard)?,
                changed = self.status.changed() => changed.map_err(|_| gone())?,
                () = until(again) => {}
            }
        }
    }

    /// Gives the worker this job, and tells whoever gives out memory what it is now.
    async fn configure(&self) -> Result<(), Ending> {
        let (spec, dependencies) = (Arc::clone(&self.spec), Vec::new());
        self.send(Reconfigure { spec: Arc::clone(&spec), dependencies, restart: false }).await?;
        let Supervised { supervisor, status, gate, .. } = &self.target;
        let enlisted = Enlisted { spec, supervisor: supervisor.clone(), status: status.clone(), gate: gate.clone() };
        let orchestrator = self.rim.orchestrator.upgrade().ok_or_else(gone)?;
        orchestrator.do_send(Enlist { services: vec![enlisted] });
        Ok(())
    }

    /// Takes back what was asked for. The run may have begun meanwhile; then it is to be ended like any other.
    async fn withdraw(&self, asked: bool, before: Option<RunId>, order: Order) -> Result<RunId, Ending> {
        if asked {
            self.send(StopService { reason: told(order) }).await?;
            if let Seen::Begun(run) = course::seen(&self.status.borrow(), true, before) {
                return Ok(run);
            }
        }
        Err(Ending::Judged(AttemptEnd::Stopped))
    }

    /// Follows the run to its end, and ends it if that is ordered.
    async fn follow(&mut self, run: RunId, tell: &Teller) -> Ending {
        let mut stopped = false;
        let mut progress: Option<JobProgress> = None;
        let mut stillness = self.stillness();
        let mut stuck = None;
        loop {
            let now = self.status.borrow_and_update().clone();
            if course::is_over(&now, run) {
                return match stuck {
                    Some(why) if stopped => self.stood_still(why),
                    _ if stopped => Ending::Judged(AttemptEnd::Stopped),
                    _ => Ending::ByItself,
                };
            }
            if let Some(placement) = &now.placement {
                self.gpus.clone_from(&placement.gpus);
            }
            if now.state == ServiceState::Stuck {
                let why = now.reason.unwrap_or_else(|| "something of it outlived SIGKILL".to_owned());
                return Ending::Judged(outcome::never_begun(why));
            }
            if let Some(step) = now.step.filter(|step| progress != Some(*step)) {
                progress = Some(step);
                if let Some(stillness) = &mut stillness {
                    stillness.is_at(step.done, step.total, clock::now());
                }
                tell.tell(AttemptNews::Progress(step));
            }
            let order = *self.order.borrow_and_update();
            let is_stuck = stillness.as_ref().is_some_and(|stillness| stillness.is_stuck(clock::now()));
            match order {
                Order::Go if is_stuck && !stopped => {
                    stuck = stillness.take().map(|stillness| stillness.told());
                    let reason = format!("its job stood still ({})", self.progress_key());
                    if self.send(StopService { reason }).await.is_err() {
                        return Ending::Judged(AttemptEnd::Stopped);
                    }
                    stopped = !course::is_over(&self.status.borrow(), run);
                    continue;
                }
                Order::Go => {}
                Order::Stop(_) | Order::Kill if !stopped => {
                    if self.send(StopService { reason: told(order) }).await.is_err() {
                        return Ending::Judged(AttemptEnd::Stopped);
                    }
                    // One that had ended before it heard of that has ended by itself.
                    stopped = !course::is_over(&self.status.borrow(), run);
                    continue;
                }
                // Whoever orders this has all that runs killed next, and waits for nobody.
                Order::Kill => return Ending::Judged(AttemptEnd::Stopped),
                Order::Stop(_) => {}
            }
            let heard = tokio::select! {
                biased;
                heard = self.order.changed() => self.heard(heard),
                changed = self.status.changed() => changed.map_err(|_| gone()),
                () = until(stillness.as_ref().and_then(Stillness::due)), if !stopped => Ok(()),
            };
            if let Err(end) = heard {
                return end;
            }
        }
    }

    /// Where its output tells how it gets on.
    fn stillness(&self) -> Option<Stillness> {
        let told = self.spec.worker.as_ref().is_some_and(|worker| worker.progress.is_some());
        let is_told = told || !self.spec.engine.step_lines().is_empty();
        is_told.then(|| Stillness::of_process(self.spec.limits.progress, self.progress_key())).flatten()
    }

    /// What bounds a step of it.
    fn progress_key(&self) -> String {
        let job = self.spec.worker.as_ref().map_or(&self.spec.name, |worker| &worker.job);
        format!("job.{job}.limits.progress")
    }

    /// Whom alerts are about: a next job of its kind may have any of its workers, and one of them perhaps none for long.
    fn job(&self) -> &JobName {
        self.spec.worker.as_ref().map_or(&self.spec.name, |worker| &worker.job)
    }

    fn stood_still(&self, why: String) -> Ending {
        let name = self.job();
        raise(JOB_STUCK, name, format!("a job of `{name}` was ended: {why}"), self.rim);
        Ending::Judged(AttemptEnd::Failed(JobError::new(Some(FailureClass::Timeout), why)))
    }

    /// What the end of the process amounts to.
    async fn judge(&self) -> AttemptEnd {
        let now = self.status.borrow().clone();
        let Some(exit) = now.last_exit else { return outcome::never_begun("nobody knows how its process ended") };
        match output::list(self.folder.output()).await {
            Ok(made) => {
                let end = outcome::judge(&exit, now.reason.as_deref(), made, command::uses_output(&self.spec));
                if let AttemptEnd::Done(_) = end {
                    clear(JOB_STUCK, self.job(), self.rim);
                }
                outcome::with_action(end, &self.spec.failure)
            }
            Err(error) => outcome::never_begun(format!("what it made cannot be listed: {error}")),
        }
    }

    /// Waits until nothing of the run is left and its memory is back; false where everything is to end at once, and nothing is
    /// waited for.
    async fn settled(&mut self, run: RunId) -> bool {
        loop {
            let (is_settled, is_stuck) = {
                let now = self.status.borrow_and_update();
                (course::is_settled(&now, run), now.state == ServiceState::Stuck)
            };
            let is_over = *self.order.borrow_and_update() == Order::Kill || (is_stuck && self.rim.is_stopping());
            if is_settled || is_over {
                return is_settled;
            }
            let mut stopping = self.rim.stopping.clone();
            let goes_on = tokio::select! {
                changed = self.status.changed() => changed.is_ok(),
                changed = self.order.changed() => changed.is_ok(),
                // Of no use to anybody but one who waits for what is stuck.
                changed = stopping.wait_for(|stopping| *stopping), if is_stuck => changed.is_ok(),
            };
            if !goes_on {
                return false;
            }
        }
    }

    /// Cleans up as the job says. A failure has raised its alert by itself, and there is no process that could be restarted.
    async fn clean(&mut self) {
        let mut place = CleanPlace::of(&self.spec, &self.status.borrow(), None, self.rim);
        place.name = self.job().clone();
        if let Some(own) = &mut place.own {
            own.values.gpus = self.gpus.iter().map(ToString::to_string).collect();
            own.gpus.clone_from(&self.gpus);
        }
        tokio::select! {
            biased;
            // An error means that nobody is there to give this order any more.
            _ = self.order.wait_for(|order| *order == Order::Kill) => {}
            cleaned = clean(&self.cleanup, &place, self.rim) => {
                if cleaned.is_ok() {
                    all_is_clean(&place.name, self.rim);
                }
            }
        }
    }

    /// Sends the supervisor a message, and is done once that has been heard.
    async fn send<M>(&self, message: M) -> Result<(), Ending>
    where
        M: Message<Result = ()> + Send + 'static,
        crate::process_supervisor::ProcessSupervisor: actix::Handler<M>,
    {
        let supervisor = self.target.supervisor.upgrade().ok_or_else(gone)?;
        supervisor.send(message).await.map_err(|_| gone())
    }

    /// An order has come; without anybody to give one, nobody waits for the job.
    fn heard(&self, heard: Result<(), watch::error::RecvError>) -> Result<(), Ending> {
        heard.map_err(|_| gone())
    }
}

/// The worker is gone, and the runtime with it.
fn gone() -> Ending {
    Ending::Judged(AttemptEnd::Stopped)
}

/// Why a run is stopped, for the status and the history.
fn told(order: Order) -> String {
    match order {
        Order::Stop(StopWhy::Cancelled) => "its job was cancelled",
        Order::Stop(StopWhy::TimedOut) => "its job took longer than it may (timeout)",
        Order::Stop(StopWhy::Shutdown) | Order::Kill => "the runtime stops",
        Order::Go => "nobody wants it any more",
    }
    .to_owned()
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}
