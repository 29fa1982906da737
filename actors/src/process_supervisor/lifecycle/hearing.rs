//! What follows from the news of a run.

use std::time::Instant;

use super::{
    event::{Alert, Effect, Moment, RunNews, Sentence},
    machine::{Closing, Lifecycle, tell},
    state::{Drain, Hands, Next, Phase, Rest, Run, Stage},
};
use crate::{
    engines::hint,
    ids::RunId,
    lease::Fate,
    process_supervisor::{
        classify::describe,
        restart_policy::{GiveUp, RunEnd, Verdict, judge},
    },
    shutdown_coordinator::messages::StopOutcome,
    spec::FailureClass,
    state::ExitReport,
};

impl Lifecycle {
    pub(super) fn hear(&mut self, id: RunId, news: RunNews, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return };
        if run.id != id || run.hands == Hands::LetGo {
            return;
        }
        match news {
            RunNews::Spawned { pid, port } => {
                (run.pid, run.port) = (Some(pid), port);
                if run.stage == Stage::Spawning {
                    run.stage = Stage::Starting;
                }
                // Of one that was adopted it was noted then.
                if run.hands != Hands::Adopted {
                    todo.push(Effect::NoteStarted { run: id, pid });
                }
            }
            RunNews::Released => self.let_go(todo),
            RunNews::Ended { exit, cause, killed } => self.ended(exit, cause, killed, at, todo),
            RunNews::Stuck { reason } => {
                run.stage = Stage::Stuck;
                todo.push(Effect::Raise(Alert::Stuck, reason.clone()));
                if matches!(self.closing, Closing::By(_)) {
                    todo.push(Effect::Answer(StopOutcome::Stuck(reason.clone())));
                }
                self.reason = Some(reason);
            }
            // It is about to be somebody else's.
            _ if run.hands == Hands::LettingGo => {}
            RunNews::Loading(load) => run.load = Some(load),
            RunNews::Step(step) => run.step = Some(step),
            RunNews::Ready if matches!(run.stage, Stage::Starting | Stage::Unready | Stage::Waking) => {
                self.ready(at.now, todo);
            }
            // Told once it stays.
            RunNews::Ready | RunNews::Unready { .. }
                if matches!(run.stage, Stage::Draining { how: Drain::Soft { .. }, .. }) =>
            {
                let unready = news != RunNews::Ready;
                if let Stage::Draining { how, .. } = &mut run.stage {
                    *how = Drain::Soft { unready };
                }
            }
            RunNews::Asleep if run.stage == Stage::FallingAsleep => self.fell_asleep(todo),
            RunNews::NotAsleep { reason } if run.stage == Stage::FallingAsleep => {
                let told = format!("it was stopped, since it could not be put to sleep: {reason}");
                self.reason = Some(self.reason.take().map_or_else(|| told.clone(), |why| format!("{why}; {told}")));
                self.end_now(at.now, todo);
            }
            RunNews::Unready { reason } if matches!(run.stage, Stage::Ready { .. }) => {
                run.stage = Stage::Unready;
                self.reason = Some(reason);
            }
            RunNews::Failing { class, reason } if !run.stage.is_ending() => {
                run.next = Next::Failed { class, reason: reason.clone(), sentence: Sentence::Restart };
                self.reason = Some(reason);
                self.end_now(at.now, todo);
            }
            // Whoever still uses it waits in vain.
            RunNews::Failing { .. } if matches!(run.stage, Stage::Draining { .. }) => self.end_now(at.now, todo),
            RunNews::Killing { reason } if run.stage != Stage::Stuck => {
                if let Stage::Asleep { wish: Some(wish), .. } = run.stage {
                    run.next = Next::Again(wish);
                }
                // Whoever has ordered it has said why.
                let is_ordered = std::mem::replace(&mut run.stage, Stage::Killing) == Stage::Killing;
                if !is_ordered {
                    self.reason = Some(reason);
                }
                self.tell_leaving(todo);
            }
            // What was said just before the end began.
            RunNews::Ready
            | RunNews::Unready { .. }
            | RunNews::Failing { .. }
            | RunNews::Asleep
            | RunNews::NotAsleep { .. }
            | RunNews::Killing { .. } => {}
        }
    }

    fn ready(&mut self, now: Instant, todo: &mut Vec<Effect>) {
        let timer = (self.failures > 0).then(|| self.arm(now + self.spec.restart.reset_after, todo));
        let Phase::Live(run) = &mut self.phase else { return };
        if !run.was_ready {
            todo.push(Effect::NoteReady(run.id));
        }
        if !run.was_ready || run.stage == Stage::Waking {
            tell(run, Fate::Ready, todo);
        }
        run.was_ready = true;
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
        let run = if self.spec.worker { by_itself(run) } else { run };
        let wanted = matches!(run.next, Next::Again(_) | Next::Rest(_));
        exit.class = match &run.next {
            Next::Again(_) | Next::Rest(_) => None,
            Next::Failed { class, .. } => Some(*class),
            Next::Judge | Next::Slept if clean => None,
            Next::Judge | Next::Slept => Some(exit.class.unwrap_or(FailureClass::Unknown)),
        };
        if run.stage == Stage::Stuck {
            todo.push(Effect::Clear(Alert::Stuck));
        }
        if run.pid.is_some() {
            todo.push(Effect::NoteEnded { run: run.id, exit: exit.clone(), wanted });
        }
        if !run.was_ready && exit.class == Some(FailureClass::OomGpu) {
            tell(&run, Fate::RanOut, todo);
        }
        // Also of a run without a lease: whoever keeps books closes the page.
        todo.push(Effect::TellLease { run: run.id, fate: Fate::Ended { failed: exit.class.is_some() } });
        let lease = run.holds_lease().then_some(run.id);
        let told = match &run.next {
            Next::Failed { reason, .. } => reason.clone(),
            Next::Again(_) | Next::Rest(_) | Next::Judge | Next::Slept => {
                describe(&exit, run.pid.is_some(), cause.as_deref())
            }
        };
        let end = exit.class.map_or(RunEnd::Clean, |class| RunEnd::Failure { class, code: exit.code });
        self.last_run = Some(run.id);
        self.last_exit = Some(exit);
        match run.next {
            Next::Again(wish) => self.begin(wish, self.reason.clone(), at, todo),
            Next::Rest(rest) => self.settle(lease, rest, self.reason.clone(), todo),
            Next::Slept => match run.stage {
                Stage::Asleep { wish: Some(wish), .. } => self.begin(wish, None, at, todo),
                _ => self.settle(lease, Rest::Offloaded, Some(format!("it ended while it slept: {told}")), todo),
            },
            Next::Failed { sentence, .. } => self.carry_out(sentence, end, told, lease, at, todo),
            Next::Judge => self.judge(end, told, lease, at, todo),
        }
        if matches!(self.closing, Closing::By(_)) {
            todo.push(Effect::Answer(match (killed, self.cut_short) {
                (true, true) => StopOutcome::CutShort,
                (true, false) => StopOutcome::Killed,
                (false, _) => StopOutcome::Clean,
            }));
        }
    }

    /// Whether somebody was faster on a port that was free when it was chosen. Whoever asked for the start still wants it, and
    /// another port will do: once.
    fn lost_its_port(&self, end: RunEnd) -> bool {
        let taken = matches!(end, RunEnd::Failure { class: FailureClass::PortInUse, .. });
        taken && self.spec.assigned_port && self.failures == 1
    }

    pub(super) fn judge(
        &mut self,
        end: RunEnd,
        told: String,
        lease: Option<RunId>,
        at: &Moment,
        todo: &mut Vec<Effect>,
    ) {
        if self.spec.worker {
            // Whoever gave it the job judges that, and whether it is tried again.
            return self.settle(lease, Rest::Stopped, Some(told), todo);
        }
        self.failures += 1;
        let given_up = match judge(&self.spec.restart, end, self.failures, at.chance) {
            Verdict::Complete => {
                self.failures = 0;
                return self.settle(lease, Rest::Completed, Some(told), todo);
            }
            Verdict::Restart(_) if !self.is_missed(at) && !self.lost_its_port(end) => {
                return self.settle(lease, Rest::Offloaded, Some(told), todo);
            }
            Verdict::Restart(wait) => {
                self.restarts += 1;
                if wait.is_zero() {
                    return self.begin_again(Some(told), at, todo);
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
        self.settle(lease, Rest::Failed, Some(why), todo);
    }
}

/// A worker that others wanted to leave, and that was waited for: nobody has asked its process to end, so that is an end of
/// its own.
fn by_itself(run: Run) -> Run {
    match run.stage {
        Stage::Draining { how: Drain::Soft { .. }, .. } => Run { next: Next::Judge, ..run },
        _ => run,
    }
}
