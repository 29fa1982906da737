//! What follows from the news of a run.

use std::time::Instant;

use super::{
    event::{Alert, Effect, Moment, RunNews},
    machine::{Closing, Lifecycle},
    state::{Hands, Next, Phase, Rest, Stage},
};
use crate::{
    engines::hint,
    ids::RunId,
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
            RunNews::Ready if matches!(run.stage, Stage::Starting | Stage::Unready) => self.ready(at.now, todo),
            RunNews::Unready { reason } if matches!(run.stage, Stage::Ready { .. }) => {
                run.stage = Stage::Unready;
                self.reason = Some(reason);
            }
            RunNews::Failing { class, reason } if !run.stage.is_ending() => {
                run.next = Next::Failed { class, reason: reason.clone() };
                self.reason = Some(reason);
                self.end_now(at.now, todo);
            }
            // Whoever still uses it waits in vain.
            RunNews::Failing { .. } if matches!(run.stage, Stage::Draining { .. }) => self.end_now(at.now, todo),
            RunNews::Killing { reason } if run.stage != Stage::Stuck => {
                run.stage = Stage::Killing;
                self.reason = Some(reason);
            }
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
            Next::Again | Next::Rest | Next::Judge => describe(&exit, run.pid.is_some(), cause.as_deref()),
        };
        let end = exit.class.map_or(RunEnd::Clean, |class| RunEnd::Failure { class, code: exit.code });
        self.last_run = Some(run.id);
        self.last_exit = Some(exit);
        match run.next {
            Next::Again => self.begin(self.reason.clone(), at, todo),
            Next::Rest => self.rest(Rest::Stopped, self.reason.clone(), todo),
            Next::Judge | Next::Failed { .. } => self.judge(end, told, at, todo),
        }
        if matches!(self.closing, Closing::By(_)) {
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
}
