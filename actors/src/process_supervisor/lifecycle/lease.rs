//! The memory of a run: asked for before it begins, waited for after its end.

use std::sync::Arc;

use super::{
    event::Effect,
    machine::{Closing, Lifecycle, tell},
    state::{Ask, Phase, Rest, Run, Stage},
};
use crate::{
    ids::RunId,
    lease::{Fate, LeaseVerdict},
    memory::{Placement, Refusal},
};

impl Lifecycle {
    /// An answer about the memory of a run. One to a question that was taken back changes nothing.
    pub(super) fn answered(&mut self, id: RunId, verdict: LeaseVerdict, todo: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Asking(ask) if ask.run == id => match verdict {
                LeaseVerdict::Pending(reason) => {
                    ask.pending = true;
                    self.reason = Some(reason);
                }
                LeaseVerdict::Granted(placement) => self.granted(placement, todo),
                LeaseVerdict::Refused(refusal) => self.refused(refusal, todo),
                LeaseVerdict::Reclaimed(_) => {}
            },
            Phase::Reclaiming { run, then } if *run == id => {
                if let (LeaseVerdict::Reclaimed(trouble), then) = (verdict, *then) {
                    let reason = also(self.reason.take(), trouble);
                    self.rest(then, reason, todo);
                }
            }
            Phase::Live(run) if run.id == id => match (verdict, run.stage.clone()) {
                (LeaseVerdict::Granted(placement), Stage::Asleep { .. }) => self.wake(placement, todo),
                (LeaseVerdict::Pending(reason), Stage::Asleep { wish: Some(_), .. }) => self.reason = Some(reason),
                (LeaseVerdict::Refused(refusal), Stage::Asleep { reclaiming, wish: Some(_) }) => {
                    run.stage = Stage::Asleep { reclaiming, wish: None };
                    self.reason = Some(refusal.to_string());
                    self.refusal = Some(refusal);
                }
                (LeaseVerdict::Reclaimed(trouble), Stage::Asleep { reclaiming: true, wish }) => {
                    run.stage = Stage::Asleep { reclaiming: false, wish };
                    self.reason = also(self.reason.take(), trouble);
                }
                (LeaseVerdict::Granted(placement), _) if run.placement.is_none() => {
                    adopt(run, placement, todo);
                }
                _ => {}
            },
            Phase::Resting(_)
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Asking(_)
            | Phase::Live(_)
            | Phase::Reclaiming { .. } => {}
        }
    }

    fn granted(&mut self, placement: Placement, todo: &mut Vec<Effect>) {
        let Phase::Asking(Ask { run, why, .. }) = &mut self.phase else { return };
        let (run, why) = (*run, why.take());
        let placement = Some(Arc::new(placement));
        self.live(Run { placement, ..self.fresh(run) });
        self.reason = why;
        todo.push(Effect::StartRun(run));
    }

    /// It rests as it did before. What had ended, or was to be begun anew, keeps that as its reason too.
    fn refused(&mut self, refusal: Arc<Refusal>, todo: &mut Vec<Effect>) {
        let Phase::Asking(Ask { why, from, .. }) = &self.phase else { return };
        let reason = match why {
            Some(why) => format!("{why}; not started again: {refusal}"),
            None => refusal.to_string(),
        };
        self.phase = Phase::Resting(*from);
        self.rest_again(Some(reason), todo);
        self.refusal = Some(refusal);
    }

    fn rest_again(&mut self, reason: Option<String>, todo: &mut Vec<Effect>) {
        if let Phase::Resting(rest) = self.phase {
            self.rest(rest, reason, todo);
        }
    }

    /// Takes back the question that is open, if there is one.
    pub(super) fn withdraw(&self, todo: &mut Vec<Effect>) {
        if let Phase::Asking(Ask { run, .. }) = self.phase {
            todo.push(Effect::TellLease { run, fate: Fate::Withdrawn });
        }
    }

    /// After the end of a run: rests at once, or when the memory that it held is back. The end of the runtime waits for
    /// no memory.
    pub(super) fn settle(&mut self, lease: Option<RunId>, rest: Rest, reason: Option<String>, todo: &mut Vec<Effect>) {
        match (lease, self.closing) {
            (Some(run), Closing::No | Closing::Retired) => {
                self.phase = Phase::Reclaiming { run, then: rest };
                self.reason = reason;
            }
            (Some(_), Closing::By(_)) | (None, _) => self.rest(rest, reason, todo),
        }
    }

    /// Of one that rests, or is about to: it rests as something else.
    pub(super) fn rest_as(&mut self, rest: Rest, reason: String, todo: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Reclaiming { then, .. } => {
                *then = rest;
                self.reason = Some(reason);
            }
            _ => self.rest(rest, Some(reason), todo),
        }
    }
}

/// What an adopted run holds is known now; what it has gone through meanwhile is told after it.
fn adopt(run: &mut Run, placement: Placement, todo: &mut Vec<Effect>) {
    run.placement = Some(Arc::new(placement));
    if run.was_ready {
        tell(run, Fate::Ready, todo);
    }
    if run.leaving {
        tell(run, Fate::Leaving, todo);
    }
}

/// A reason with what else there is to say.
fn also(reason: Option<String>, more: Option<String>) -> Option<String> {
    match (reason, more) {
        (Some(reason), Some(more)) => Some(format!("{reason}; {more}")),
        (reason, more) => reason.or(more),
    }
}
