//! Failures in a row that clean-up does not cure. Pure.

use std::collections::HashMap;

use crate::{
    failure::FailureClass,
    ids::{RunId, ServiceName},
    job::JobError,
    job_queue::attempt::{AttemptEnd, Order, StopWhy},
};

/// What the end of a job says of the program that it worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works.
    Clean,
    /// It may be dirty: it failed in a way of which the job may be innocent.
    Dirty,
    /// Nothing: the job was stopped, or what it asked for was refused.
    Nothing,
}

impl Verdict {
    /// Of this end, with the last order that was given.
    pub fn of(end: &AttemptEnd, order: Order) -> Self {
        match end {
            AttemptEnd::Done(_) => Self::Clean,
            AttemptEnd::Failed(error) if is_dirty(error) => Self::Dirty,
            AttemptEnd::Stopped if order == Order::Stop(StopWhy::TimedOut) => Self::Dirty,
            AttemptEnd::Failed(_) | AttemptEnd::Stopped => Self::Nothing,
        }
    }
}

fn is_dirty(error: &JobError) -> bool {
    use FailureClass as F;
    match error.class {
        Some(F::Nan | F::OomGpu | F::OomHost | F::Driver | F::Timeout) => true,
        // A request that is refused (4xx) is the job's own fault.
        Some(F::Unknown) | None => error.status.is_some_and(|status| status >= 500),
        Some(F::PortInUse | F::MissingCommand | F::MissingLibrary | F::BadModel | F::Killed | F::Exit) => false,
    }
}

/// How many jobs have failed in a row, by service or remote.
#[derive(Debug, Default)]
pub(super) struct Rows(HashMap<ServiceName, Row>);

#[derive(Debug, Clone, Copy)]
struct Row {
    /// Of a service: of this run; another one is another beginning.
    run: Option<RunId>,
    failures: u32,
}

impl Rows {
    /// Counts the end of a job. `Some(failures)`: so many have failed in a row, and the last resort is due, which is the
    /// beginning of a new row. `after` is that number; 0: it is never due.
    pub fn count(&mut self, name: &ServiceName, run: Option<RunId>, verdict: Verdict, after: u32) -> Option<u32> {
        match verdict {
            Verdict::Nothing => return None,
            Verdict::Clean => {
                self.0.remove(name);
                return None;
            }
            Verdict::Dirty => {}
        }
        let row = self.0.entry(name.clone()).or_insert(Row { run, failures: 0 });
        if row.run != run {
            *row = Row { run, failures: 0 };
        }
        row.failures = row.failures.saturating_add(1);
        let failures = row.failures;
        let is_due = after > 0 && failures >= after;
        if is_due {
            self.0.remove(name);
        }
        is_due.then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobResult;

    fn failed(class: FailureClass, status: Option<u16>) -> AttemptEnd {
        AttemptEnd::Failed(JobError { status, ..JobError::new(Some(class), "it broke") })
    }

    #[test]
    fn what_the_job_itself_may_be_at_fault_for_says_nothing_of_the_program() {
        use FailureClass::{BadModel, Nan, OomGpu, Timeout, Unknown};
        for (end, verdict) in [
            (AttemptEnd::Done(JobResult::default()), Verdict::Clean),
            (AttemptEnd::Stopped, Verdict::Nothing),
            (failed(Nan, None), Verdict::Dirty),
            (failed(OomGpu, Some(500)), Verdict::Dirty),
            (failed(Timeout, None), Verdict::Dirty),
            (failed(Unknown, Some(500)), Verdict::Dirty),
            (failed(Unknown, Some(422)), Verdict::Nothing),
            (failed(Unknown, None), Verdict::Nothing),
            (failed(BadModel, Some(500)), Verdict::Nothing),
        ] {
            assert_eq!(Verdict::of(&end, Order::Go), verdict, "{end:?}");
        }
        let stopped = |why| Verdict::of(&AttemptEnd::Stopped, Order::Stop(why));
        assert_eq!(
            [StopWhy::Cancelled, StopWhy::TimedOut, StopWhy::Shutdown].map(stopped),
            [Verdict::Nothing, Verdict::Dirty, Verdict::Nothing]
        );
    }

    #[test]
    fn the_last_resort_is_due_after_so_many_in_a_row_and_the_count_begins_anew() {
        use Verdict::{Clean, Dirty, Nothing};
        let (mut rows, pod) = (Rows::default(), "pod".parse().expect("a name"));
        let due = [Dirty, Dirty, Clean, Dirty, Nothing, Dirty, Dirty, Dirty, Dirty, Dirty]
            .map(|verdict| rows.count(&pod, None, verdict, 3));
        let (no, yes) = (None, Some(3));
        assert_eq!(due, [no, no, no, no, no, no, yes, no, no, yes]);
        assert!((0..100).all(|_| rows.count(&pod, None, Dirty, 0).is_none()), "never");
    }

    #[test]
    fn another_run_and_another_service_have_rows_of_their_own() {
        let (mut rows, webui, pod) =
            (Rows::default(), "webui".parse().expect("a name"), "pod".parse().expect("a name"));
        let (run, next) = (Some(RunId::fresh()), Some(RunId::fresh()));
        let due = [(&webui, run), (&pod, None), (&webui, next), (&webui, next)]
            .map(|(name, run)| rows.count(name, run, Verdict::Dirty, 2).is_some());
        assert_eq!(due, [false, false, false, true]);
    }
}
