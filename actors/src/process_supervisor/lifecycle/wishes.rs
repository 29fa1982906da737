//! What people, the memory and the configuration want of a service.

use super::{
    event::{Effect, Moment},
    machine::{LifeSpec, Lifecycle},
    state::{Ask, Next, Phase, Rest, Stage},
};
use crate::{lease::Wish, state::Disposition};

/// Why a service is ended and run anew, or begins, when its configuration has changed.
const CHANGED: &str = "its configuration changed";

impl Lifecycle {
    pub(super) fn start(&mut self, wish: Wish, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Up;
        if !matches!(&self.phase, Phase::Live(run) if !run.stage.is_ending()) {
            self.failures = 0;
        }
        self.bring_up(wish, None, at, todo);
    }

    /// Into memory. What is wanted of it stays as it is, but that it is not down any more if this `lifts` it.
    pub(super) fn load(&mut self, wish: Wish, lifts: bool, at: &Moment, todo: &mut Vec<Effect>) {
        let is_kept_down = self.disposition == Disposition::Down && !lifts;
        if is_kept_down || (self.is_quarantined() && !lifts) || (wish == Wish::Reload && !self.may_be_reloaded()) {
            return;
        }
        self.lift();
        // A service that fails with each request that loads it is to be given up like any other.
        if matches!(self.phase, Phase::Resting(Rest::Stopped | Rest::Completed | Rest::Failed | Rest::Quarantined)) {
            self.failures = 0;
        }
        self.bring_up(wish, None, at, todo);
    }

    /// Whether it may come back only because there is room: it was pushed out, or found none.
    fn may_be_reloaded(&self) -> bool {
        match &self.phase {
            Phase::Resting(rest) | Phase::Reclaiming { then: rest, .. } => {
                matches!(rest, Rest::Stopped | Rest::Offloaded)
            }
            Phase::Live(run) => matches!(run.stage, Stage::Asleep { .. }),
            Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Asking(_) => false,
        }
    }

    /// What was to be down and runs all the same is wanted as its start mode says, or else up.
    pub(super) fn lift(&mut self) {
        self.disposition = match (self.disposition, self.spec.wanted) {
            (Disposition::Down, Disposition::Down) => Disposition::Up,
            (Disposition::Down, wanted) => wanted,
            (as_it_is, _) => as_it_is,
        };
    }

    fn bring_up(&mut self, wish: Wish, reason: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Waiting { wish: before, .. } => *before = wish.max(*before),
            Phase::Asking(ask) if wish > ask.wish => self.ask_harder(wish, at, todo),
            Phase::Live(run) if matches!(run.stage, Stage::Asleep { .. }) => self.rouse(wish, todo),
            Phase::Live(run) if run.stage.is_ending() => {
                let before = if let Next::Again(before) = run.next { before } else { wish };
                run.next = Next::Again(wish.max(before));
            }
            // It is on its way already, or there.
            Phase::Live(_) | Phase::Asking(_) => {}
            Phase::Resting(_) | Phase::Backoff { .. } | Phase::Reclaiming { .. } => {
                self.begin(wish, reason, at, todo);
            }
        }
    }

    /// Asks again, for somebody who wants it more. What it waited for is shown until there is another answer.
    fn ask_harder(&mut self, wish: Wish, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Asking(Ask { why, pending, .. }) = &self.phase else { return };
        let (why, was_pending, told) = (why.clone(), *pending, self.reason.clone());
        self.begin(wish, why, at, todo);
        if let (Phase::Asking(ask), true) = (&mut self.phase, was_pending) {
            ask.pending = true;
            self.reason = told;
        }
    }

    pub(super) fn restart(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Up;
        self.failures = 0;
        self.run_anew(Wish::Wanted, reason, at, todo);
    }

    /// Another run in the place of this one, for what it has gathered. What is wanted stays as it is, and so does what has no
    /// run or is on its way out. Nobody has asked for the next one, so that nobody is pushed out for it, unless somebody
    /// waits for it, or comes while this one ends.
    pub(super) fn recycle(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        if matches!(&self.phase, Phase::Live(run) if !run.stage.is_ending()) {
            self.run_anew(at.wish_to_come_back(), reason, at, todo);
        }
    }

    /// Ends what runs and begins again; what does not run begins.
    fn run_anew(&mut self, wish: Wish, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return self.bring_up(wish, Some(reason), at, todo) };
        run.next = Next::Again(wish);
        if !run.stage.is_ending() || run.stage.is_leaving_softly() {
            self.reason = Some(reason);
            self.end(at, todo);
        }
    }

    pub(super) fn stop(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        // What ends is one job of a worker, and the next one may come at once.
        if !self.spec.worker {
            self.disposition = Disposition::Down;
        }
        match &mut self.phase {
            Phase::Live(run) => {
                run.next = Next::Rest(Rest::Stopped);
                if !run.stage.is_ending() || run.stage.is_leaving_softly() {
                    self.reason = Some(reason);
                    self.end(at, todo);
                }
            }
            Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Asking(_) => {
                self.rest(Rest::Stopped, Some(reason), todo);
            }
            Phase::Resting(Rest::Offloaded) | Phase::Reclaiming { then: Rest::Offloaded, .. } => {
                self.rest_as(Rest::Stopped, reason, todo);
            }
            // What has ended stays as it ended: the state says how, the disposition that it stays so.
            Phase::Resting(_) | Phase::Reclaiming { .. } => {}
        }
    }

    pub(super) fn reset(&mut self, todo: &mut Vec<Effect>) {
        self.failures = 0;
        self.forget_failure("its failures were forgotten".to_owned(), todo);
    }

    /// What has failed, or is kept from starting, has no more than stopped.
    pub(super) fn forget_failure(&mut self, reason: String, todo: &mut Vec<Effect>) {
        if let Phase::Resting(rest) | Phase::Reclaiming { then: rest, .. } = self.phase
            && rest.alert().is_some()
        {
            self.rest_as(Rest::Stopped, reason, todo);
        }
    }

    /// Another spec from now on. A live run that is not to be ended goes on by the new rules, but is still kept or ended
    /// with the runtime as it was begun.
    pub(super) fn reconfigure(&mut self, spec: LifeSpec, restart: bool, at: &Moment, todo: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.spec, spec);
        let newly_wanted = before.wanted != spec.wanted && spec.wanted == Disposition::Up;
        if before.wanted != spec.wanted {
            self.want(spec.wanted);
        }
        match &mut self.phase {
            // Nobody wants a next run of it before somebody asks for one; this one is of no use any more.
            Phase::Live(run) if restart && run.stage.is_leaving_softly() && !matches!(run.next, Next::Again(_)) => {
                run.next = Next::Rest(Rest::Offloaded);
                self.end(at, todo);
            }
            Phase::Live(run) if restart && run.stage.is_ending() && matches!(run.next, Next::Rest(_)) => {}
            // It is what it was condemned as no more, and begins again only if it is wanted.
            Phase::Live(run) if restart && run.next.is_banned() && self.disposition != Disposition::Up => {
                run.next = Next::Rest(Rest::Stopped);
            }
            Phase::Live(_) if restart => {
                self.failures = 0;
                self.run_anew(Wish::Wanted, CHANGED.to_owned(), at, todo);
            }
            Phase::Live(run) => {
                run.spec = LifeSpec { keep: run.spec.keep, ..spec };
                if let Stage::Ready { since, timer: Some(_) } = run.stage {
                    let timer = self.arm(since + spec.restart.reset_after, todo);
                    if let Phase::Live(run) = &mut self.phase {
                        run.stage = Stage::Ready { since, timer: Some(timer) };
                    }
                }
            }
            Phase::Waiting { wish, .. } => {
                let wish = *wish;
                self.begin(wish, None, at, todo);
            }
            // It may need something else now.
            Phase::Asking(ask) => {
                let (wish, why) = (ask.wish, ask.why.clone());
                self.begin(wish, why, at, todo);
            }
            Phase::Backoff { .. } if restart => {
                self.failures = 0;
                self.begin(Wish::Eager, Some(CHANGED.to_owned()), at, todo);
            }
            Phase::Backoff { .. } => {}
            Phase::Resting(rest) | Phase::Reclaiming { then: rest, .. } => match rest {
                // What had given up, or was to be kept from starting, gets another chance with any change; what is done is
                // done again only as something else.
                Rest::Failed | Rest::Quarantined => self.refresh(newly_wanted, at, todo),
                Rest::Completed if restart || newly_wanted => self.refresh(newly_wanted, at, todo),
                Rest::Stopped | Rest::Offloaded if newly_wanted => self.refresh(true, at, todo),
                Rest::Stopped | Rest::Offloaded | Rest::Completed => {}
            },
        }
    }

    /// A changed start mode is a wish like any other; only what runs by a wish of its own stays wanted.
    fn want(&mut self, wanted: Disposition) {
        let runs_by_wish =
            self.disposition == Disposition::Up && !matches!(self.phase, Phase::Resting(_) | Phase::Reclaiming { .. });
        if wanted != Disposition::Down || !runs_by_wish {
            self.disposition = wanted;
        }
    }

    /// A clean count, and a beginning if it is wanted.
    fn refresh(&mut self, newly_wanted: bool, at: &Moment, todo: &mut Vec<Effect>) {
        if newly_wanted || self.disposition == Disposition::Up {
            self.failures = 0;
            return self.begin(Wish::Eager, Some(CHANGED.to_owned()), at, todo);
        }
        self.failures = 0;
        self.rest_as(Rest::Stopped, CHANGED.to_owned(), todo);
    }
}
