//! The state machine: what it is made of, and where each event goes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    condemn::Charge,
    event::{Effect, Event, Moment},
    state::{Ask, Drain, Hands, Next, Phase, Rest, Run, Stage, View},
};
use crate::{
    ids::RunId,
    lease::{Fate, Wish},
    memory::{Placement, Refusal},
    spec::{BusySpec, OffloadHow, OnRuntimeExit, PortSpec, RestartSpec, ServiceSpec},
    state::{Disposition, ExitReport},
};

/// The part of a service's spec that its life depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeSpec {
    /// What happens after a run ended by itself.
    pub restart: RestartSpec,
    /// From the request to stop until the kill.
    pub grace: Duration,
    /// The longest wait for those who use it, before it is asked to stop.
    pub drain: Duration,
    /// The longest wait for those who use it, before it is pushed out of memory; it stays when that is not enough.
    pub offload_drain: Duration,
    /// Whether it is put to sleep to make room, instead of being stopped.
    pub sleeps: bool,
    /// Whether it says by itself that it works, when nobody is in.
    pub is_asked: bool,
    /// Whether it is never pushed out.
    pub pinned: bool,
    /// Whether it outlives the runtime.
    pub keep: bool,
    /// What its start mode wants of it.
    pub wanted: Disposition,
    /// Whether its port is chosen at each start.
    pub assigned_port: bool,
    /// Whether it does jobs, each in a run of its own. After any end of a run it rests as stopped, ready for the next job:
    /// it is never begun again by itself, and no end of it is a failure of its own.
    pub worker: bool,
}

impl LifeSpec {
    /// That part of `spec`; `drain` is `runtime.shutdown.drain`.
    #[must_use]
    pub fn of(spec: &ServiceSpec, drain: Duration) -> Self {
        let worker = spec.worker.is_some();
        Self {
            restart: spec.restart,
            grace: spec.stop.grace,
            // Whoever has a worker stopped is the one who uses it.
            drain: if worker { Duration::ZERO } else { drain },
            offload_drain: spec.memory.offload.drain,
            sleeps: spec.memory.offload.how == OffloadHow::Sleep && spec.engine.sleep().is_some(),
            is_asked: matches!(spec.memory.busy, BusySpec::Http { .. }),
            pinned: spec.memory.pinned,
            keep: spec.stop.on_runtime_exit == OnRuntimeExit::Keep,
            wanted: Disposition::of(spec.start),
            assigned_port: spec.port == Some(PortSpec::Assigned),
            worker,
        }
    }
}

/// One service's life.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    pub(super) spec: LifeSpec,
    pub(super) disposition: Disposition,
    pub(super) phase: Phase,
    pub(super) reason: Option<String>,
    /// What its dependencies are waited for, if they do not allow a start now.
    pub(super) blocked: Option<String>,
    pub(super) closing: Closing,
    /// Whether the end came before the grace would have been over.
    pub(super) cut_short: bool,
    pub(super) failures: u32,
    pub(super) restarts: u64,
    pub(super) last_run: Option<RunId>,
    pub(super) last_exit: Option<ExitReport>,
    pub(super) refusal: Option<Arc<Refusal>>,
    /// The number of the timer that was set last; older ones are stale.
    timers: u64,
}

/// Whether anything may begin yet. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// Taken out of the configuration.
    Retired,
    /// The runtime stops; by then it must be asked for a kill at the latest.
    By(Instant),
}

impl Lifecycle {
    /// A service of which nothing runs.
    #[must_use]
    pub fn new(spec: LifeSpec, disposition: Disposition) -> Self {
        Self {
            spec,
            disposition,
            phase: Phase::Resting(Rest::Stopped),
            reason: None,
            blocked: None,
            closing: Closing::No,
            cut_short: false,
            failures: 0,
            restarts: 0,
            last_run: None,
            last_exit: None,
            refusal: None,
            timers: 0,
        }
    }

    /// What can be seen of it.
    #[must_use]
    pub fn view(&self) -> View {
        let run = self.phase.run();
        View {
            state: self.phase.state(),
            disposition: self.disposition,
            reason: self.reason.clone(),
            run: run.map(|r| r.id).or(self.last_run),
            pid: run.and_then(|r| r.pid),
            port: run.and_then(|r| r.port),
            load: run.filter(|r| r.stage == Stage::Starting).and_then(|r| r.load.clone()),
            step: run.and_then(|r| r.step),
            failures: self.failures,
            restarts: self.restarts,
            last_exit: self.last_exit.clone(),
            next_start: match self.phase {
                Phase::Backoff { until, .. } => Some(until),
                _ => None,
            },
            refusal: self.refusal.clone(),
            placement: run.and_then(|r| r.placement.clone()).filter(|placement| **placement != Placement::default()),
            retired: self.closing == Closing::Retired,
        }
    }

    /// Whether it needs what it depends on: it is up, or on its way there.
    #[must_use]
    pub fn needs_others(&self) -> bool {
        match &self.phase {
            Phase::Waiting { .. } | Phase::Asking(_) | Phase::Backoff { .. } => true,
            Phase::Live(run) => !matches!(run.stage, Stage::Asleep { wish: None, .. } | Stage::Stuck),
            Phase::Resting(_) | Phase::Reclaiming { .. } => false,
        }
    }

    /// Takes what happened and says what is to be done.
    pub fn step(&mut self, event: Event, at: &Moment) -> Vec<Effect> {
        let mut todo = Vec::new();
        match event {
            Event::Close { until, force } => self.close(until, force, at, &mut todo),
            Event::Run(id, news) => self.hear(id, news, at, &mut todo),
            Event::Lease(run, verdict) => self.answered(run, verdict, &mut todo),
            Event::Drained(run) => self.drained(run, at, &mut todo),
            Event::Due(timer) => self.due(timer, at, &mut todo),
            // A closed service is told nothing any more but how what still runs comes to its end.
            _ if self.closing != Closing::No => {}
            Event::Start(wish) => self.start(wish, at, &mut todo),
            Event::Load { wish, lifts } => self.load(wish, lifts, at, &mut todo),
            Event::Restart { reason } => self.restart(reason, at, &mut todo),
            Event::Recycle { reason } => self.recycle(reason, at, &mut todo),
            Event::Stop { reason } => self.stop(reason, at, &mut todo),
            Event::Offload { reason } => self.offload(reason, at, &mut todo),
            Event::Retire { reason } => {
                self.stop(reason.clone(), at, &mut todo);
                // Nobody needs to see to what is no more.
                self.forget_failure(reason, &mut todo);
                self.closing = Closing::Retired;
            }
            Event::Condemn { run, class, reason, at_once, sentence } => {
                self.condemn(run, Charge { class, reason, sentence }, at_once, at, &mut todo);
            }
            Event::Reset => self.reset(&mut todo),
            Event::Reconfigure { spec, restart, blocked } => {
                self.blocked = blocked;
                self.reconfigure(spec, restart, at, &mut todo);
            }
            Event::Adopt { run, pid, port } => {
                if !matches!(self.phase, Phase::Live(_)) {
                    self.lift();
                    self.leave_rest(&mut todo);
                    self.withdraw(&mut todo);
                    let hands = Hands::Adopted;
                    self.live(Run { pid: Some(pid), port, stage: Stage::Starting, hands, ..self.fresh(run) });
                    self.reason = Some("kept by an earlier runtime".to_owned());
                    // Who began it may have been killed before this was written down; what is there already stays. Here,
                    // because of one that has ended meanwhile nothing but its end is heard.
                    todo.push(Effect::NoteStarted { run, pid });
                    // What it holds is to be in the books before its end may be told.
                    todo.push(Effect::AskLease { run, wish: Wish::Adopted });
                    todo.push(Effect::AdoptRun(run));
                }
            }
            Event::Dependencies(blocked) => self.dependencies(blocked, at, &mut todo),
        }
        todo
    }

    fn dependencies(&mut self, blocked: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.blocked = blocked;
        match &self.phase {
            Phase::Waiting { wish, .. } => self.begin(*wish, None, at, todo),
            Phase::Asking(ask) if self.blocked.is_some() => self.begin(ask.wish, ask.why.clone(), at, todo),
            Phase::Resting(_)
            | Phase::Asking(_)
            | Phase::Backoff { .. }
            | Phase::Live(_)
            | Phase::Reclaiming { .. } => {}
        }
    }

    fn due(&mut self, due: u64, at: &Moment, todo: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Backoff { timer, .. } if *timer == due && self.is_missed(at) => {
                self.begin_again(self.reason.clone(), at, todo);
            }
            Phase::Backoff { timer, .. } if *timer == due => self.rest(Rest::Offloaded, self.reason.clone(), todo),
            Phase::Live(Run { stage: Stage::Ready { timer: Some(timer), .. }, .. }) if *timer == due => {
                self.failures = 0;
            }
            Phase::Live(Run { stage: Stage::Draining { timer, how }, .. }) if *timer == due => match *how {
                Drain::Firm => self.end_now(at.now, todo),
                Drain::Soft { unready } => self.stays(unready, at, todo),
            },
            Phase::Resting(_)
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Asking(_)
            | Phase::Live(_)
            | Phase::Reclaiming { .. } => {}
        }
    }

    /// Asks for the memory of a new run, which begins when that is granted, or waits for the dependencies to allow one.
    /// What was asked before is taken back.
    pub(super) fn begin(&mut self, wish: Wish, why: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.leave_rest(todo);
        self.withdraw(todo);
        self.refusal = None;
        let from = self.phase.rest();
        if let Some(blocked) = &self.blocked {
            self.reason = Some(blocked.clone());
            self.phase = Phase::Waiting { wish, from };
            return;
        }
        let run = at.next_run;
        self.phase = Phase::Asking(Ask { run, wish, why: why.clone(), pending: false, from });
        self.reason = why;
        todo.push(Effect::AskLease { run, wish });
    }

    /// The same for one that has ended by itself. It is on its way back from the first moment on: whoever looks sees no
    /// service that rests.
    pub(super) fn begin_again(&mut self, why: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.begin(at.wish_to_come_back(), why, at, todo);
        if let Phase::Asking(ask) = &mut self.phase {
            ask.pending = true;
        }
    }

    /// Whether one that has failed is missed by anybody: one that runs on demand, and that nobody waits for or depends on,
    /// is not.
    pub(super) fn is_missed(&self, at: &Moment) -> bool {
        self.disposition != Disposition::OnDemand || self.spec.pinned || at.waiting > 0 || at.needed > 0
    }

    pub(super) fn fresh(&self, id: RunId) -> Run {
        Run {
            id,
            pid: None,
            port: None,
            load: None,
            step: None,
            was_ready: false,
            spec: self.spec,
            stage: Stage::Spawning,
            next: Next::Judge,
            hands: Hands::Ours,
            placement: None,
            leaving: false,
        }
    }

    pub(super) fn live(&mut self, run: Run) {
        self.last_run = Some(run.id);
        self.phase = Phase::Live(run);
    }

    pub(super) fn rest(&mut self, rest: Rest, reason: Option<String>, todo: &mut Vec<Effect>) {
        let rest = if self.spec.worker { Rest::Stopped } else { rest };
        self.leave_rest(todo);
        self.withdraw(todo);
        if let Some(alert) = rest.alert() {
            todo.push(Effect::Raise(alert, reason.clone().unwrap_or_default()));
        }
        self.phase = Phase::Resting(rest);
        self.reason = reason;
    }

    /// What needed attention while it rested does so no more.
    pub(super) fn leave_rest(&self, todo: &mut Vec<Effect>) {
        if let Phase::Resting(rest) = self.phase
            && let Some(alert) = rest.alert()
        {
            todo.push(Effect::Clear(alert));
        }
    }

    pub(super) fn arm(&mut self, at: Instant, todo: &mut Vec<Effect>) -> u64 {
        self.timers += 1;
        todo.push(Effect::Arm { timer: self.timers, at });
        self.timers
    }
}

/// Tells how a run fares, if it holds memory that is counted: of the others nobody keeps books.
pub(super) fn tell(run: &Run, fate: Fate, todo: &mut Vec<Effect>) {
    if run.holds_lease() {
        todo.push(Effect::TellLease { run: run.id, fate });
    }
}
