//! Which services say of themselves that they do not work.
//!
//! Some take an order, answer at once, and work for minutes (ComfyUI). What such a one takes more of memory meanwhile is no
//! leak, so where growth is limited it is asked, and counts as idle only while its last answer said so and nobody has come in
//! since.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{ids::RunId, process_supervisor::BusyQuestion, services::Supervised, spec::BusySpec, state::ServiceState};

/// Between two questions to the same service.
const EVERY: Duration = Duration::from_secs(5);

/// What services have said. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Idleness(Arc<Mutex<HashMap<RunId, Answer>>>);

#[derive(Debug, Clone, Copy)]
struct Answer {
    asked: Instant,
    /// Whether it still owes the answer.
    owed: bool,
    /// How many had come in when it said last that it does not work.
    idle_since: Option<u64>,
}

impl Idleness {
    /// Whether nothing speaks against its being idle. Asks it, if that is to be asked and it is time to. To be called inside
    /// an actor system.
    pub(super) fn look(&self, service: &Supervised, run: RunId, now: Instant) -> bool {
        let spec = &service.spec;
        if spec.memory.busy == BusySpec::Requests || spec.limits.growth.is_none() {
            return true;
        }
        let (state, port) = {
            let status = service.status.borrow();
            (status.state, status.port)
        };
        let entries = service.gate.entries();
        let mut answers = self.lock();
        let answer = answers.get(&run).copied();
        let is_due = answer.is_none_or(|it| !it.owed && now.saturating_duration_since(it.asked) >= EVERY);
        if let (true, ServiceState::Ready, Some(question)) =
            (is_due, state, port.and_then(|port| BusyQuestion::of(spec, port)))
        {
            let idle_since = answer.and_then(|answer| answer.idle_since);
            answers.insert(run, Answer { asked: now, owed: true, idle_since });
            let idleness = self.clone();
            drop(actix_rt::spawn(async move {
                let idle_since = (!question.is_busy().await).then_some(entries);
                // One whose run is over by now has been forgotten.
                if let Some(answer) = idleness.lock().get_mut(&run) {
                    (answer.owed, answer.idle_since) = (false, idle_since);
                }
            }));
        }
        answer.is_some_and(|answer| answer.idle_since == Some(entries))
    }

    /// Forgets all runs but these.
    pub(super) fn retain(&self, is_live: impl Fn(RunId) -> bool) {
        self.lock().retain(|run, _| is_live(*run));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
