//! Who has used a service since it was cleaned up, so that a job begins on a clean one.
//!
//! A job cleans up after itself, but a browser or a chat that used the same service in between does not, and what it left
//! (a model in memory, a queue, temporary files) is what the job fails by. So whoever comes in for a job counts himself,
//! and whatever the gate has counted besides was somebody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::dirty::{Rows, Verdict};
use crate::{
    failure::FailureClass,
    ids::{RunId, ServiceName},
};

/// What is known of it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Tidy(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    services: HashMap<ServiceName, Accounts>,
    /// Runs that themselves are what was not cleaned up.
    unclean: HashMap<ServiceName, RunId>,
    rows: Rows,
    /// When a service was restarted last for a line that kept no job from its end.
    restarted: HashMap<(ServiceName, FailureClass), Instant>,
}

/// Of one service.
#[derive(Debug, Clone, Copy)]
struct Accounts {
    run: RunId,
    /// How many of the gate's entries were before the last clean-up, or a job's.
    accounted: u64,
}

impl Tidy {
    /// A job has come in, to this run, as one of so many entries. `was_there`: the run could be used before the job asked
    /// for it. Says whether others have used the run since it was cleaned up last.
    #[must_use]
    pub fn enters(&self, service: &ServiceName, run: RunId, entries: u64, was_there: bool) -> bool {
        let mut known = self.known();
        let (accounted, is_new) = match known.services.get(service) {
            Some(accounts) if accounts.run == run => (accounts.accounted + 1, false),
            Some(_) | None => (entries, true),
        };
        known.services.insert(service.clone(), Accounts { run, accounted });
        if is_new { was_there } else { entries > accounted }
    }

    /// It was cleaned up, and nobody else was in.
    pub fn cleaned(&self, service: &ServiceName, run: RunId, entries: u64) {
        self.known().services.insert(service.clone(), Accounts { run, accounted: entries });
    }

    /// This run was not cleaned up, or not ended, so that with its end that is over. Says whether that is news of it.
    #[must_use]
    pub(super) fn is_unclean(&self, service: &ServiceName, run: RunId) -> bool {
        self.known().unclean.insert(service.clone(), run) != Some(run)
    }

    /// A clean-up has failed in a way that outlives a run.
    pub(super) fn stays_unclean(&self, service: &ServiceName) {
        self.known().unclean.remove(service);
    }

    /// This run is over. Says whether with it that is over which was not cleaned up.
    #[must_use]
    pub(super) fn is_gone(&self, service: &ServiceName, run: RunId) -> bool {
        let unclean = &mut self.known().unclean;
        let is_it = unclean.get(service) == Some(&run);
        if is_it {
            unclean.remove(service);
        }
        is_it
    }

    /// Counts the end of a job at this run of a service, or at a remote; says after how many failures in a row the last resort
    /// is due, which is after so many (0: never).
    #[must_use]
    pub(super) fn count(&self, name: &ServiceName, run: Option<RunId>, verdict: Verdict, after: u32) -> Option<u32> {
        self.known().rows.count(name, run, verdict, after)
    }

    /// Whether a service may be restarted for a line of this class that kept no job from its end: not again within so long.
    /// If so, it counts as done.
    #[must_use]
    pub(super) fn may_restart(
        &self,
        service: &ServiceName,
        class: FailureClass,
        again_after: Duration,
        now: Instant,
    ) -> bool {
        let restarted = &mut self.known().restarted;
        let key = (service.clone(), class);
        let may = restarted.get(&key).is_none_or(|last| now.saturating_duration_since(*last) >= again_after);
        if may {
            restarted.insert(key, now);
        }
        may
    }

    /// Nothing panics while it is locked.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    #[test]
    fn others_are_seen_and_jobs_are_not_others() {
        let (tidy, service, run) = (Tidy::default(), "webui".parse().expect("a name"), RunId::fresh());
        assert!(!tidy.enters(&service, run, 1, false), "it was loaded for this job");
        assert!(!tidy.enters(&service, run, 2, true), "two jobs");
        assert!(tidy.enters(&service, run, 4, true), "somebody else");
        tidy.cleaned(&service, run, 5);
        assert!(!tidy.enters(&service, run, 6, true));
        let another = RunId::fresh();
        assert!(tidy.enters(&service, another, 9, true), "nobody knows what was done with it");
        assert!(!tidy.enters(&service, another, 10, true));
    }

    #[test]
    fn what_was_not_cleaned_up_of_a_run_is_over_with_it_unless_something_else_is_left() {
        let (tidy, service, run) = (Tidy::default(), "webui".parse().expect("a name"), RunId::fresh());
        assert!(!tidy.is_gone(&service, run));
        assert_eq!([tidy.is_unclean(&service, run), tidy.is_unclean(&service, run)], [true, false]);
        assert_eq!([tidy.is_gone(&service, run), tidy.is_gone(&service, run)], [true, false]);
        let next = RunId::fresh();
        assert!(tidy.is_unclean(&service, run) && tidy.is_unclean(&service, next));
        assert!(!tidy.is_gone(&service, run), "the next one is not clean either");
        tidy.stays_unclean(&service);
        assert!(!tidy.is_gone(&service, next), "what is left in a folder stays there");
    }

    #[test]
    fn a_line_restarts_a_service_once_in_a_while() {
        let (tidy, service, start) = (Tidy::default(), "webui".parse().expect("a name"), clock::now());
        let may = |class, after| {
            tidy.may_restart(&service, class, Duration::from_secs(600), start + Duration::from_secs(after))
        };
        let told =
            [(FailureClass::Nan, 0), (FailureClass::Nan, 599), (FailureClass::Driver, 599), (FailureClass::Nan, 600)];
        assert_eq!(told.map(|(class, after)| may(class, after)), [true, false, true, true]);
    }
}
