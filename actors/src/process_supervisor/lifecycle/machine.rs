//! The state machine: what it is made of, and where each event goes.

use std::time::{Duration, Instant};

use super::{
    event::{Alert, Effect, Event, Moment},
    state::{Hands, Next, Phase, Rest, Run, Stage, View},
};
use crate::{
    ids::RunId,
    spec::{OnRuntimeExit, RestartSpec, ServiceSpec},
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
    /// Whether it outlives the runtime.
    pub keep: bool,
    /// What its start mode wants of it.
    pub wanted: Disposition,
}

impl LifeSpec {
    /// That part of `spec`; `drain` is `runtime.shutdown.drain`.
    #[must_use]
    pub fn of(spec: &ServiceSpec, drain: Duration) -> Self {
        Self {
            restart: spec.restart,
            grace: spec.stop.grace,
            drain,
            keep: spec.stop.on_runtime_exit == OnRuntimeExit::Keep,
            wanted: Disposition::of(spec.start),
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
            failures: self.failures,
            restarts: self.restarts,
            last_exit: self.last_exit.clone(),
            next_start: match self.phase {
                Phase::Backoff { until, .. } => Some(until),
                Phase::Resting(_) | Phase::Waiting | Phase::Live(_) => None,
            },
        }
    }

    /// Takes what happened and says what is to be done.
    pub fn step(&mut self, event: Event, at: &Moment) -> Vec<Effect> {
        let mut todo = Vec::new();
        match event {
            Event::Close { until, force } => self.close(until, force, at, &mut todo),
            Event::Run(id, news) => self.hear(id, news, at, &mut todo),
            Event::Drained(run) => self.drained(run, at, &mut todo),
            Event::Due(timer) => self.due(timer, at, &mut todo),
            // A closed service is told nothing any more but how what still runs comes to its end.
            _ if self.closing != Closing::No => {}
            Event::Start => self.start(None, at, &mut todo),
            Event::Load => self.load(at, &mut todo),
            Event::Restart { reason } => self.restart(reason, at, &mut todo),
            Event::Stop { reason } => self.stop(reason, at, &mut todo),
            Event::Offload { reason } => self.leave(reason, at, &mut todo),
            Event::Retire { reason } => {
                self.stop(reason, at, &mut todo);
                self.closing = Closing::Retired;
            }
            Event::Reset => self.reset(&mut todo),
            Event::Reconfigure { spec, restart, blocked } => {
                self.blocked = blocked;
                self.reconfigure(spec, restart, at, &mut todo);
            }
            Event::Adopt { run, pid, port } => {
                if !matches!(self.phase, Phase::Live(_)) {
                    self.lift();
                    self.leave_failed(&mut todo);
                    let hands = Hands::Adopted;
                    self.live(Run { pid: Some(pid), port, stage: Stage::Starting, hands, ..self.fresh(run) });
                    self.reason = Some("kept by an earlier runtime".to_owned());
                    // Who began it may have been killed before this was written down; what is there already stays. Here,
                    // because of one that has ended meanwhile nothing but its end is heard.
                    todo.push(Effect::NoteStarted { run, pid });
                    todo.push(Effect::AdoptRun(run));
                }
            }
            Event::Dependencies(blocked) => self.dependencies(blocked, at, &mut todo),
        }
        todo
    }

    fn dependencies(&mut self, blocked: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.blocked = blocked;
        if self.phase == Phase::Waiting {
            self.begin(None, at, todo);
        }
    }

    fn due(&mut self, due: u64, at: &Moment, todo: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Backoff { timer, .. } if *timer == due => self.begin(self.reason.clone(), at, todo),
            Phase::Live(Run { stage: Stage::Ready { timer: Some(timer), .. }, .. }) if *timer == due => {
                self.failures = 0;
            }
            Phase::Live(Run { stage: Stage::Draining { timer }, .. }) if *timer == due => self.end_now(at.now, todo),
            Phase::Resting(_) | Phase::Waiting | Phase::Backoff { .. } | Phase::Live(_) => {}
        }
    }

    /// Begins a run, or waits for the dependencies to allow one.
    pub(super) fn begin(&mut self, reason: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.leave_failed(todo);
        if let Some(blocked) = &self.blocked {
            self.reason = Some(blocked.clone());
            self.phase = Phase::Waiting;
            return;
        }
        self.live(self.fresh(at.next_run));
        self.reason = reason;
        todo.push(Effect::StartRun(at.next_run));
    }

    fn fresh(&self, id: RunId) -> Run {
        Run {
            id,
            pid: None,
            port: None,
            load: None,
            was_ready: false,
            spec: self.spec,
            stage: Stage::Spawning,
            next: Next::Judge,
            hands: Hands::Ours,
        }
    }

    fn live(&mut self, run: Run) {
        self.last_run = Some(run.id);
        self.phase = Phase::Live(run);
    }

    pub(super) fn rest(&mut self, rest: Rest, reason: Option<String>, todo: &mut Vec<Effect>) {
        self.leave_failed(todo);
        self.phase = Phase::Resting(rest);
        self.reason = reason;
    }

    fn leave_failed(&self, todo: &mut Vec<Effect>) {
        if self.phase == Phase::Resting(Rest::Failed) {
            todo.push(Effect::Clear(Alert::Failed));
        }
    }

    pub(super) fn arm(&mut self, at: Instant, todo: &mut Vec<Effect>) -> u64 {
        self.timers += 1;
        todo.push(Effect::Arm { timer: self.timers, at });
        self.timers
    }
}
