//! Tells what a run that can be used says of its failures to whoever judges that.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use super::context::RunContext;
use crate::{
    ids::RunId,
    os::clock,
    process_supervisor::{output::Noticed, probe::Known},
    spec::{FailureAction, FailureClass},
    witness::{FailureSeen, SeenIn},
};

/// Between two tellings of the same: a flood of such lines costs no more than a few, and a job that begins after the first
/// of them still learns that it goes on.
const AGAIN: Duration = Duration::from_millis(100);

/// What one run has told, and has to tell.
#[derive(Debug)]
pub(super) struct Telling {
    run: RunId,
    known: Rc<Cell<Known>>,
    /// Until it can be used: the first line for each class and action. There are few of both.
    kept: Vec<Noticed>,
    told: Vec<(FailureClass, FailureAction, Instant)>,
}

impl Telling {
    /// For a run of whose health this is known.
    pub(super) fn new(run: RunId, known: Rc<Cell<Known>>) -> Self {
        Self { run, known, kept: Vec::new(), told: Vec::new() }
    }

    /// Tells of these lines, and of those that were kept. What a run says while it loads is kept until it is ready: one that
    /// does not get so far is judged by its health and its end alone, and one that does is as wrong as it said. Of a run that
    /// ends nothing is told.
    pub(super) fn tell(&mut self, ctx: &RunContext, noticed: Vec<Noticed>) {
        for line in noticed {
            if !self.kept.iter().any(|kept| (kept.class, kept.action) == (line.class, line.action)) {
                self.kept.push(line);
            }
        }
        if self.known.get() == Known::NotReady {
            return;
        }
        for Noticed { class, action, line } in std::mem::take(&mut self.kept) {
            if self.is_due(class, action) {
                let (service, run) = (ctx.spec.name.clone(), self.run);
                ctx.witness.tell(FailureSeen { service, run, class, action, line, seen: SeenIn::Output });
            }
        }
    }

    fn is_due(&mut self, class: FailureClass, action: FailureAction) -> bool {
        let now = clock::now();
        match self.told.iter_mut().find(|told| (told.0, told.1) == (class, action)) {
            Some((.., last)) if now.saturating_duration_since(*last) < AGAIN => return false,
            Some((.., last)) => *last = now,
            None => self.told.push((class, action, now)),
        }
        true
    }
}
