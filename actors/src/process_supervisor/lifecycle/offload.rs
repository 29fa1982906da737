//! Out of memory and back: drained softly, then stopped or put to sleep; woken when it is wanted.

use std::sync::Arc;

use super::{
    event::{Effect, Moment},
    machine::{Lifecycle, tell},
    state::{Drain, Next, Phase, Rest, Stage},
};
use crate::{
    lease::{Fate, Wish},
    memory::Placement,
    units::format_duration,
};

impl Lifecycle {
    /// Out of memory, without a word about what is wanted of it.
    pub(super) fn offload(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        match &mut self.phase {
            // It has given back what it can, and that is not enough.
            Phase::Live(run) if matches!(run.stage, Stage::Asleep { .. }) => {
                run.next = Next::Rest(Rest::Offloaded);
                self.reason = Some(reason);
                self.end_now(at.now, todo);
            }
            Phase::Live(run) if run.stage.is_ending() => {
                // A stop stays one, and what was condemned is not pardoned.
                if !matches!(run.next, Next::Rest(_)) && !run.next.is_banned() {
                    run.next = Next::Rest(Rest::Offloaded);
                }
            }
            Phase::Live(run) => {
                run.next = Next::Rest(Rest::Offloaded);
                self.reason = Some(reason);
                self.push_out(at, todo);
            }
            Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Asking(_) => {
                self.rest(Rest::Offloaded, Some(reason), todo);
            }
            // What has ended stays as it ended.
            Phase::Resting(_) | Phase::Reclaiming { .. } => {}
        }
    }

    /// Lets those who use it finish, and what it works on by itself.
    fn push_out(&mut self, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &self.phase else { return };
        if run.stage.is_usable() && (at.in_flight > 0 || run.is_asked()) {
            let unready = run.stage == Stage::Unready;
            self.drain_until(at.now + run.spec.offload_drain, Drain::Soft { unready }, todo);
        } else {
            self.make_room(at, todo);
        }
    }

    /// Nobody uses it any more.
    pub(super) fn make_room(&mut self, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return };
        let can_answer = run.stage.is_usable() || matches!(run.stage, Stage::Draining { .. });
        if !run.may_sleep() || !can_answer {
            return self.end_now(at.now, todo);
        }
        run.stage = Stage::FallingAsleep;
        todo.push(Effect::SleepRun { run: run.id, by: at.now + run.spec.grace });
        self.tell_leaving(todo);
    }

    /// It did not become idle in time: nothing busy is pushed out.
    pub(super) fn stays(&mut self, unready: bool, at: &Moment, todo: &mut Vec<Effect>) {
        let timer = (self.failures > 0 && !unready).then(|| self.arm(at.now + self.spec.restart.reset_after, todo));
        let Phase::Live(run) = &mut self.phase else { return };
        let waited = format_duration(run.spec.offload_drain);
        let who = match at.in_flight {
            0 => "it says that it still works".to_owned(),
            1 => "one request is still in it".to_owned(),
            n => format!("{n} requests are still in it"),
        };
        self.reason = Some(format!("not offloaded, since after {waited} {who}"));
        run.stage = if unready { Stage::Unready } else { Stage::Ready { since: at.now, timer } };
        (run.next, run.leaving) = (Next::Judge, false);
        tell(run, Fate::Stays, todo);
    }

    /// Its engine has unloaded the model.
    pub(super) fn fell_asleep(&mut self, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return };
        let next = std::mem::replace(&mut run.next, Next::Slept);
        run.stage = Stage::Asleep { reclaiming: run.holds_lease(), wish: None };
        // Its end is another way out.
        run.leaving = false;
        tell(run, Fate::Asleep, todo);
        if let Next::Again(wish) = next {
            self.rouse(wish, todo);
        }
    }

    /// Asks for the memory of one that sleeps, unless it asks on as good a wish already.
    pub(super) fn rouse(&mut self, wish: Wish, todo: &mut Vec<Effect>) {
        if let Phase::Live(run) = &mut self.phase
            && let Stage::Asleep { reclaiming, wish: asked } = run.stage
            && asked.is_none_or(|asked| asked < wish)
        {
            run.stage = Stage::Asleep { reclaiming, wish: Some(wish) };
            todo.push(Effect::AskLease { run: run.id, wish });
            (self.refusal, self.reason) = (None, None);
        }
    }

    /// There is memory for it again.
    pub(super) fn wake(&mut self, placement: Placement, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return };
        (run.stage, run.next, run.leaving) = (Stage::Waking, Next::Judge, false);
        run.placement = Some(Arc::new(placement));
        (self.refusal, self.reason) = (None, None);
        todo.push(Effect::WakeRun(run.id));
    }
}
