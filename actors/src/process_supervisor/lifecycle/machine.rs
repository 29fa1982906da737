//! The state machine.

use std::time::{Duration, Instant};

use super::{
    event::{Alert, Effect, Event, Moment, RunNews},
    state::{Next, Phase, Rest, Run, Stage, View},
};
use crate::{
    engines::hint,
    ids::RunId,
    process_supervisor::{
        classify::describe,
        restart_policy::{GiveUp, RunEnd, Verdict, judge},
    },
    shutdown_coordinator::messages::StopOutcome,
    spec::{FailureClass, RestartSpec},
    state::{Disposition, ExitReport},
};

/// Kept free between the kill and the time by which a closing service must be gone: a killed tree of a thousand
/// processes needs some 60 ms.
const ROOM_FOR_THE_KILL: Duration = Duration::from_millis(250);

/// The part of a service's spec that its life depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeSpec {
    /// What happens after a run ended by itself.
    pub restart: RestartSpec,
    /// From the request to stop until the kill.
    pub grace: Duration,
}

/// One service's life.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    spec: LifeSpec,
    disposition: Disposition,
    phase: Phase,
    reason: Option<String>,
    /// What its dependencies are waited for, if they do not allow a start now.
    blocked: Option<String>,
    /// Set for good by [`Event::Close`].
    closed: bool,
    /// Whether the end came before the grace would have been over.
    cut_short: bool,
    failures: u32,
    restarts: u64,
    last_run: Option<RunId>,
    last_exit: Option<ExitReport>,
    /// The number of the timer that was set last; older ones are stale.
    timers: u64,
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
            closed: false,
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
            Event::Close { until, force } => self.close(until, force, at.now, &mut todo),
            Event::Run(id, news) => self.hear(id, news, at, &mut todo),
            // A closed service is told nothing any more but the end of what still runs.
            _ if self.closed => {}
            Event::Start => self.start(None, at, &mut todo),
            Event::Restart { reason } => self.restart(reason, at, &mut todo),
            Event::Stop { reason } => self.stop(reason, at, &mut todo),
            Event::Reset => self.reset(&mut todo),
            Event::Dependencies(blocked) => self.dependencies(blocked, at, &mut todo),
            Event::Due(timer) => self.due(timer, at, &mut todo),
        }
        todo
    }

    fn start(&mut self, reason: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Up;
        match &mut self.phase {
            Phase::Waiting => {}
            Phase::Live(run) if run.stage.is_ending() => {
                run.next = Next::Again;
                self.failures = 0;
            }
            // It is on its way already, or there.
            Phase::Live(_) => {}
            Phase::Resting(_) | Phase::Backoff { .. } => {
                self.failures = 0;
                self.begin(reason, at, todo);
            }
        }
    }

    fn restart(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        let ending = match &mut self.phase {
            Phase::Live(run) => {
                run.next = Next::Again;
                (!run.stage.is_ending()).then_some(run.id)
            }
            Phase::Resting(_) | Phase::Waiting | Phase::Backoff { .. } => {
                return self.start(Some(reason), at, todo);
            }
        };
        self.disposition = Disposition::Up;
        self.failures = 0;
        if let Some(run) = ending {
            self.reason = Some(reason);
            self.end(run, at.now + self.spec.grace, todo);
        }
    }

    fn stop(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Down;
        match &mut self.phase {
            Phase::Live(run) => {
                run.next = Next::Rest;
                if !run.stage.is_ending() {
                    let run = run.id;
                    self.reason = Some(reason);
                    self.end(run, at.now + self.spec.grace, todo);
                }
            }
            Phase::Waiting | Phase::Backoff { .. } => self.rest(Rest::Stopped, Some(reason), todo),
            // What has ended stays as it ended: the state says how, the disposition that it stays so.
            Phase::Resting(_) => {}
        }
    }

    fn reset(&mut self, todo: &mut Vec<Effect>) {
        self.failures = 0;
        if self.phase == Phase::Resting(Rest::Failed) {
            self.rest(Rest::Stopped, Some("its failures were forgotten".to_owned()), todo);
        }
    }

    fn close(&mut self, until: Instant, force: bool, now: Instant, todo: &mut Vec<Effect>) {
        self.closed = true;
        let Phase::Live(run) = &mut self.phase else {
            if !matches!(self.phase, Phase::Resting(_)) {
                self.rest(Rest::Stopped, Some("the runtime stops".to_owned()), todo);
            }
            return todo.push(Effect::Answer(StopOutcome::Clean));
        };
        run.next = Next::Rest;
        let run = (run.id, run.stage.clone());
        if run.1 == Stage::Stuck {
            let reason = self.reason.clone().unwrap_or_default();
            return todo.push(Effect::Answer(StopOutcome::Stuck(reason)));
        }
        if force {
            todo.push(Effect::KillRun(run.0));
            return;
        }
        let latest = until.checked_sub(ROOM_FOR_THE_KILL).unwrap_or(now);
        // Also for one that is ending already: its grace may reach past the time that is left.
        if !run.1.is_ending() {
            self.reason = Some("the runtime stops".to_owned());
        }
        self.cut_short = latest < now + self.spec.grace;
        self.end(run.0, latest.min(now + self.spec.grace), todo);
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
            Phase::Resting(_) | Phase::Waiting | Phase::Backoff { .. } | Phase::Live(_) => {}
        }
    }

    fn hear(&mut self, id: RunId, news: RunNews, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return };
        if run.id != id {
            return;
        }
        match news {
            RunNews::Spawned { pid, port } => {
                (run.pid, run.port) = (Some(pid), port);
                if run.stage == Stage::Spawning {
                    run.stage = Stage::Starting;
                }
                todo.push(Effect::NoteStarted { run: id, pid });
            }
            RunNews::Loading(load) => run.load = Some(load),
            RunNews::Ready if matches!(run.stage, Stage::Starting | Stage::Unready) => self.ready(at.now, todo),
            RunNews::Unready { reason } if matches!(run.stage, Stage::Ready { .. }) => {
                run.stage = Stage::Unready;
                self.reason = Some(reason);
            }
            RunNews::Failing { class, reason } if !run.stage.is_ending() => {
                run.next = Next::Failed { class, reason: reason.clone() };
                self.reason = Some(reason);
                self.end(id, at.now + self.spec.grace, todo);
            }
            RunNews::Killing { reason } if run.stage != Stage::Stuck => {
                run.stage = Stage::Killing;
                self.reason = Some(reason);
            }
            RunNews::Stuck { reason } => {
                run.stage = Stage::Stuck;
                todo.push(Effect::Raise(Alert::Stuck, reason.clone()));
                if self.closed {
                    todo.push(Effect::Answer(StopOutcome::Stuck(reason.clone())));
                }
                self.reason = Some(reason);
            }
            RunNews::Ended { exit, cause, killed } => self.ended(exit, cause, killed, at, todo),
            // What a probe said just before the end began.
            RunNews::Ready | RunNews::Unready { .. } | RunNews::Failing { .. } | RunNews::Killing { .. } => {}
        }
    }

    fn ready(&mut self, now: Instant, todo: &mut Vec<Effect>) {
        let timer = (self.failures > 0).then(|| self.arm(now + self.spec.restart.reset_after, todo));
        let Phase::Live(run) = &mut self.phase else { return };
        if !run.was_ready {
            run.was_ready = true;
            todo.push(Effect::NoteReady(run.id));
        }
        run.stage = Stage::Ready { since: now, timer };
        self.reason = None;
    }

    fn ended(
        &mut self,
        mut exit: ExitReport,
        cause: Option<String>,
        killed: bool,
        at: &Moment,
        todo: &mut Vec<Effect>,
    ) {
        let Phase::Live(run) = std::mem::replace(&mut self.phase, Phase::Resting(Rest::Stopped)) else { return };
        let clean = exit.code == Some(0);
        let wanted = matches!(run.next, Next::Again | Next::Rest);
        exit.class = match &run.next {
            Next::Again | Next::Rest => None,
            Next::Failed { class, .. } => Some(*class),
            Next::Judge if clean => None,
            Next::Judge => Some(exit.class.unwrap_or(FailureClass::Unknown)),
        };
        if run.stage == Stage::Stuck {
            todo.push(Effect::Clear(Alert::Stuck));
        }
        if run.pid.is_some() {
            todo.push(Effect::NoteEnded { run: run.id, exit: exit.clone(), wanted });
        }
        let told = match &run.next {
            Next::Failed { reason, .. } => reason.clone(),
            Next::Again | Next::Rest | Next::Judge => describe(&exit, cause.as_deref()),
        };
        let end = exit.class.map_or(RunEnd::Clean, |class| RunEnd::Failure { class, code: exit.code });
        self.last_run = Some(run.id);
        self.last_exit = Some(exit);
        match run.next {
            Next::Again => self.begin(self.reason.clone(), at, todo),
            Next::Rest => self.rest(Rest::Stopped, self.reason.clone(), todo),
            Next::Judge | Next::Failed { .. } => self.judge(end, told, at, todo),
        }
        if self.closed {
            todo.push(Effect::Answer(match (killed, self.cut_short) {
                (true, true) => StopOutcome::CutShort,
                (true, false) => StopOutcome::Killed,
                (false, _) => StopOutcome::Clean,
            }));
        }
    }

    fn judge(&mut self, end: RunEnd, told: String, at: &Moment, todo: &mut Vec<Effect>) {
        self.failures += 1;
        let given_up = match judge(&self.spec.restart, end, self.failures, at.chance) {
            Verdict::Complete => {
                self.failures = 0;
                return self.rest(Rest::Completed, Some(told), todo);
            }
            Verdict::Restart(wait) => {
                self.restarts += 1;
                if wait.is_zero() {
                    return self.begin(Some(told), at, todo);
                }
                let until = at.now + wait;
                self.phase = Phase::Backoff { until, timer: self.arm(until, todo) };
                self.reason = Some(told);
                return;
            }
            Verdict::GiveUp(given_up) => given_up,
        };
        let why = match given_up {
            GiveUp::TooMany(1) => format!("gave up after one failure: {told}"),
            GiveUp::TooMany(n) => format!("gave up after {n} failures in a row, at last: {told}"),
            GiveUp::Permanent => format!("not tried again, since that cannot help: {told}"),
            GiveUp::Policy => format!("not tried again (restart.policy): {told}"),
        };
        let why = match end {
            RunEnd::Failure { class, .. } => format!("{why}; {}", hint(class)),
            RunEnd::Clean => why,
        };
        todo.push(Effect::Raise(Alert::Failed, why.clone()));
        self.rest(Rest::Failed, Some(why), todo);
    }

    /// Begins a run, or waits for the dependencies to allow one.
    fn begin(&mut self, reason: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.leave_failed(todo);
        if let Some(blocked) = &self.blocked {
            self.reason = Some(blocked.clone());
            self.phase = Phase::Waiting;
            return;
        }
        let run = Run {
            id: at.next_run,
            pid: None,
            port: None,
            load: None,
            was_ready: false,
            stage: Stage::Spawning,
            next: Next::Judge,
        };
        self.phase = Phase::Live(run);
        self.reason = reason;
        self.last_run = Some(at.next_run);
        todo.push(Effect::StartRun(at.next_run));
    }

    /// Asks the live run to end.
    fn end(&mut self, run: RunId, kill_at: Instant, todo: &mut Vec<Effect>) {
        if let Phase::Live(live) = &mut self.phase
            && !live.stage.is_ending()
        {
            live.stage = Stage::Stopping;
        }
        todo.push(Effect::StopRun { run, kill_at });
    }

    fn rest(&mut self, rest: Rest, reason: Option<String>, todo: &mut Vec<Effect>) {
        self.leave_failed(todo);
        self.phase = Phase::Resting(rest);
        self.reason = reason;
    }

    fn leave_failed(&self, todo: &mut Vec<Effect>) {
        if self.phase == Phase::Resting(Rest::Failed) {
            todo.push(Effect::Clear(Alert::Failed));
        }
    }

    fn arm(&mut self, at: Instant, todo: &mut Vec<Effect>) -> u64 {
        self.timers += 1;
        todo.push(Effect::Arm { timer: self.timers, at });
        self.timers
    }
}
