//! What people, the memory and the configuration want of a service.

use super::{
    event::{Effect, Moment},
    machine::{LifeSpec, Lifecycle},
    state::{Next, Phase, Rest, Stage},
};
use crate::state::Disposition;

/// Why a service is ended and run anew, or begins, when its configuration has changed.
const CHANGED: &str = "its configuration changed";

impl Lifecycle {
    pub(super) fn start(&mut self, reason: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Up;
        self.bring_up(reason, at, todo);
    }

    /// Into memory. What is wanted of it stays as it is, but that it is not down any more.
    pub(super) fn load(&mut self, at: &Moment, todo: &mut Vec<Effect>) {
        self.lift();
        self.bring_up(None, at, todo);
    }

    /// What was to be down and runs all the same is wanted as its start mode says, or else up.
    pub(super) fn lift(&mut self) {
        self.disposition = match (self.disposition, self.spec.wanted) {
            (Disposition::Down, Disposition::Down) => Disposition::Up,
            (Disposition::Down, wanted) => wanted,
            (as_it_is, _) => as_it_is,
        };
    }

    fn bring_up(&mut self, reason: Option<String>, at: &Moment, todo: &mut Vec<Effect>) {
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

    pub(super) fn restart(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Up;
        self.failures = 0;
        self.run_anew(reason, at, todo);
    }

    /// Ends what runs and begins again; what does not run begins.
    fn run_anew(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        let Phase::Live(run) = &mut self.phase else { return self.bring_up(Some(reason), at, todo) };
        run.next = Next::Again;
        if !run.stage.is_ending() {
            self.reason = Some(reason);
            self.end(at, todo);
        }
    }

    pub(super) fn stop(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        self.disposition = Disposition::Down;
        self.leave(reason, at, todo);
    }

    /// Out of memory, without a word about what is wanted of it.
    pub(super) fn leave(&mut self, reason: String, at: &Moment, todo: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Live(run) => {
                run.next = Next::Rest;
                if !run.stage.is_ending() {
                    self.reason = Some(reason);
                    self.end(at, todo);
                }
            }
            Phase::Waiting | Phase::Backoff { .. } => self.rest(Rest::Stopped, Some(reason), todo),
            // What has ended stays as it ended: the state says how, the disposition that it stays so.
            Phase::Resting(_) => {}
        }
    }

    pub(super) fn reset(&mut self, todo: &mut Vec<Effect>) {
        self.failures = 0;
        if self.phase == Phase::Resting(Rest::Failed) {
            self.rest(Rest::Stopped, Some("its failures were forgotten".to_owned()), todo);
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
            // Nobody wants a next run of it.
            Phase::Live(run) if restart && run.stage.is_ending() && run.next == Next::Rest => {}
            Phase::Live(_) if restart => {
                self.failures = 0;
                self.run_anew(CHANGED.to_owned(), at, todo);
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
            Phase::Waiting => self.begin(None, at, todo),
            Phase::Backoff { .. } if restart => self.bring_up(Some(CHANGED.to_owned()), at, todo),
            Phase::Backoff { .. } => {}
            // What had given up gets another chance with any change; what is done is done again only as something else.
            Phase::Resting(Rest::Failed) => self.refresh(newly_wanted, at, todo),
            Phase::Resting(Rest::Completed) if restart || newly_wanted => self.refresh(newly_wanted, at, todo),
            Phase::Resting(Rest::Stopped) if newly_wanted => self.bring_up(Some(CHANGED.to_owned()), at, todo),
            Phase::Resting(Rest::Stopped | Rest::Completed) => {}
        }
    }

    /// A changed start mode is a wish like any other; only what runs by a wish of its own stays wanted.
    fn want(&mut self, wanted: Disposition) {
        let runs_by_wish = self.disposition == Disposition::Up && !matches!(self.phase, Phase::Resting(_));
        if wanted != Disposition::Down || !runs_by_wish {
            self.disposition = wanted;
        }
    }

    /// A clean count, and a beginning if it is wanted.
    fn refresh(&mut self, newly_wanted: bool, at: &Moment, todo: &mut Vec<Effect>) {
        if newly_wanted || self.disposition == Disposition::Up {
            return self.bring_up(Some(CHANGED.to_owned()), at, todo);
        }
        self.failures = 0;
        self.rest(Rest::Stopped, Some(CHANGED.to_owned()), todo);
    }
}
