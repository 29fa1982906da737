//! How a live run is brought to its end, or let go.

use std::time::{Duration, Instant};

use super::{
    event::{Effect, Moment},
    machine::{Closing, Lifecycle, tell},
    state::{Drain, Hands, Next, Phase, Rest, Stage},
};
use crate::{ids::RunId, lease::Fate, shutdown_coordinator::messages::StopOutcome};

/// Kept free between the kill and the time by which a closing service must be gone: a killed tree of a thousand
/// processes needs some 60 ms.
const ROOM_FOR_THE_KILL: Duration = Duration::from_millis(250);
/// Why everything ends.
const RUNTIME_STOPS: &str = "the runtime stops";

impl Lifecycle {
    /// Ends the live run: lets those who use it finish, if there are any, and then asks it to stop.
    pub(super) fn end(&mut self, at: &Moment, todo: &mut Vec<Effect>) {
        if let Phase::Live(run) = &self.phase {
            let until = at.now + run.spec.drain;
            let usable = run.stage.is_usable() || matches!(run.stage, Stage::Draining { .. });
            if usable && at.in_flight > 0 && until > at.now {
                self.drain_until(until, Drain::Firm, todo);
            } else {
                self.end_now(at.now, todo);
            }
        }
    }

    /// Waits for those who use it. One that is pushed out softly is also asked whether it works, if it can say so.
    pub(super) fn drain_until(&mut self, until: Instant, how: Drain, todo: &mut Vec<Effect>) {
        self.tell_leaving(todo);
        let timer = self.arm(until, todo);
        if let Phase::Live(run) = &mut self.phase {
            run.stage = Stage::Draining { timer, how };
            todo.push(Effect::AwaitDrain { run: run.id, ask: how != Drain::Firm && run.is_asked() });
        }
    }

    /// Tells once that the live run is on its way out.
    pub(super) fn tell_leaving(&mut self, todo: &mut Vec<Effect>) {
        if let Phase::Live(run) = &mut self.phase
            && !std::mem::replace(&mut run.leaving, true)
        {
            tell(run, Fate::Leaving, todo);
        }
    }

    /// Asks the live run to stop, with its grace, or with what is left of it when the runtime stops.
    pub(super) fn end_now(&mut self, now: Instant, todo: &mut Vec<Effect>) {
        self.tell_leaving(todo);
        let Phase::Live(run) = &mut self.phase else { return };
        let own = now + run.spec.grace;
        let kill_at = match self.closing {
            Closing::By(latest) => latest.min(own),
            Closing::No | Closing::Retired => own,
        };
        self.cut_short = kill_at < own;
        if !matches!(run.stage, Stage::Stopping | Stage::Killing | Stage::Stuck) {
            run.stage = Stage::Stopping;
        }
        todo.push(Effect::StopRun { run: run.id, kill_at });
    }

    /// Nobody uses the service any more.
    pub(super) fn drained(&mut self, id: RunId, at: &Moment, todo: &mut Vec<Effect>) {
        if let Phase::Live(run) = &self.phase
            && run.id == id
            && let Stage::Draining { how, .. } = run.stage
        {
            match how {
                Drain::Firm => self.end_now(at.now, todo),
                Drain::Soft { .. } => self.make_room(at, todo),
            }
        }
    }

    /// The runtime stops.
    pub(super) fn close(&mut self, until: Instant, force: bool, at: &Moment, todo: &mut Vec<Effect>) {
        let latest = until.checked_sub(ROOM_FOR_THE_KILL).unwrap_or(at.now);
        self.closing = Closing::By(latest);
        let Phase::Live(run) = &mut self.phase else {
            match self.phase {
                Phase::Resting(_) => {}
                // Nobody waits for memory any more.
                Phase::Reclaiming { then, .. } => self.rest(then, self.reason.clone(), todo),
                _ => self.rest(Rest::Stopped, Some(RUNTIME_STOPS.to_owned()), todo),
            }
            return todo.push(Effect::Answer(StopOutcome::Clean));
        };
        match (run.hands, run.pid) {
            // Its owner answers.
            (Hands::LettingGo, _) => return,
            (Hands::LetGo, Some(pid)) => return todo.push(Effect::Answer(StopOutcome::Kept { pid })),
            (Hands::Ours | Hands::Adopted, Some(_)) if run.spec.keep && may_be_kept(&run.stage) => {
                (run.hands, run.next) = (Hands::LettingGo, Next::Rest(Rest::Stopped));
                return todo.push(Effect::ReleaseRun(run.id));
            }
            (Hands::Ours | Hands::Adopted | Hands::LetGo, _) => {}
        }
        run.next = Next::Rest(Rest::Stopped);
        if run.stage == Stage::Stuck {
            let reason = self.reason.clone().unwrap_or_default();
            return todo.push(Effect::Answer(StopOutcome::Stuck(reason)));
        }
        let (id, grace, drain) = (run.id, run.spec.grace, run.spec.drain);
        let was_draining = matches!(run.stage, Stage::Draining { .. });
        if !run.stage.is_ending() || run.stage.is_leaving_softly() {
            self.reason = Some(RUNTIME_STOPS.to_owned());
        }
        if force {
            run.stage = Stage::Killing;
            self.tell_leaving(todo);
            return todo.push(Effect::KillRun(id));
        }
        // The grace comes out of the same time: whoever is still in is not waited for at its expense.
        let drained_by = latest.checked_sub(grace).map_or(at.now, |by| by.min(at.now + drain));
        let usable = matches!(&self.phase, Phase::Live(run) if run.stage.is_usable()) || was_draining;
        if usable && at.in_flight > 0 && drained_by > at.now {
            self.drain_until(drained_by, Drain::Firm, todo);
        } else {
            // Also for one that is ending already: its grace may reach past the time that is left.
            self.end_now(at.now, todo);
        }
    }

    /// The owner has let go of the run.
    pub(super) fn let_go(&mut self, todo: &mut Vec<Effect>) {
        if let Phase::Live(run) = &mut self.phase
            && let (Hands::LettingGo, Some(pid)) = (run.hands, run.pid)
        {
            run.hands = Hands::LetGo;
            todo.push(Effect::Answer(StopOutcome::Kept { pid }));
        }
    }
}

/// What is being started, or used, may go on without us; what is being ended is ended.
fn may_be_kept(stage: &Stage) -> bool {
    *stage == Stage::Starting || stage.is_usable()
}
