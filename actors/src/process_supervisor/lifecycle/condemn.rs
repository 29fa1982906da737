//! How a run that does harm is ended, and what follows.

use super::{
    event::{Effect, Moment, Sentence},
    machine::Lifecycle,
    state::{Next, Phase, Rest, Run, Stage},
};
use crate::{ids::RunId, process_supervisor::restart_policy::RunEnd, spec::FailureClass, state::Disposition};

/// What a run is condemned for, and to what.
#[derive(Debug)]
pub(super) struct Charge {
    pub class: FailureClass,
    pub reason: String,
    pub sentence: Sentence,
}

impl Lifecycle {
    /// Ends this run, if it is the live one: at once, or as one ends that is stopped.
    pub(super) fn condemn(&mut self, id: RunId, charge: Charge, at_once: bool, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return };
        if run.id != id {
            return;
        }
        let Charge { class, mut reason, sentence } = charge;
        let sentence = if self.spec.worker { Sentence::Restart } else { sentence };
        if at_once {
            reason.push_str("; its whole tree was killed at once");
        }
        let is_decided = run.stage.is_ending() && sentence == Sentence::Restart;
        run.next = match std::mem::replace(&mut run.next, Next::Judge) {
            next if is_decided => onwards(next, &run.stage),
            _ => Next::Failed { class, reason: reason.clone(), sentence },
        };
        if sentence == Sentence::Stop {
            self.disposition = Disposition::Down;
        }
        match run.stage {
            Stage::Stuck => {}
            Stage::Killing => self.reason = Some(reason),
            _ if at_once => {
                run.stage = Stage::Killing;
                self.reason = Some(reason);
                self.tell_leaving(todo);
                todo.push(Effect::KillRun(id));
            }
            _ if !run.stage.is_ending() || run.stage.is_leaving_softly() => {
                self.reason = Some(reason);
                self.end(at, todo);
            }
            // It is on its way out already, and has its bounds.
            _ => {}
        }
    }

    /// What follows when nothing of a condemned run is left.
    pub(super) fn carry_out(
        &mut self,
        sentence: Sentence,
        end: RunEnd,
        told: String,
        lease: Option<RunId>,
        at: &Moment,
        todo: &mut Vec<Effect>,
    ) {
        match sentence {
            Sentence::Restart => self.judge(end, told, lease, at, todo),
            Sentence::Stop => self.settle(lease, Rest::Stopped, Some(told), todo),
            Sentence::Quarantine => self.settle(lease, Rest::Quarantined, Some(told), todo),
        }
    }

    /// Whether it is kept from starting, or will be as soon as its run is over.
    pub(super) fn is_quarantined(&self) -> bool {
        match &self.phase {
            Phase::Resting(rest) | Phase::Reclaiming { then: rest, .. } => *rest == Rest::Quarantined,
            Phase::Live(Run { next, .. }) => matches!(next, Next::Failed { sentence: Sentence::Quarantine, .. }),
            Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Asking(_) => false,
        }
    }
}

impl Next {
    /// Whether it was condemned not to come back.
    pub(super) fn is_banned(&self) -> bool {
        matches!(self, Self::Failed { sentence: Sentence::Stop | Sentence::Quarantine, .. })
    }
}

/// What comes after one that was on its way out anyway: what was decided. One that slept rests, or comes back for whoever
/// has asked for it meanwhile.
fn onwards(next: Next, stage: &Stage) -> Next {
    match (next, stage) {
        (Next::Slept, Stage::Asleep { wish: Some(wish), .. }) => Next::Again(*wish),
        (Next::Slept, _) => Next::Rest(Rest::Offloaded),
        (decided, _) => decided,
    }
}
