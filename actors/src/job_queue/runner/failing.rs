//! What the failure of an attempt means for the program that it worked with. Pure.
//!
//! A failure is known by the answer to the job, by what the program has printed meanwhile, or by its end. Whoever watches
//! services leaves what befalls one of them to the job that works with it, so whatever was told of the run comes together here.

use crate::{
    engines::hint,
    failure::{FailureAction, FailureClass, FailureRule},
    job::JobError,
    job_queue::attempt::AttemptEnd,
    plain::plain,
    process_supervisor::messages::Sentence,
    witness::Trace,
};

/// What is to be done about the run, once the attempt is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Another one is begun, when nobody is in this one any more; it is no failure of the service.
    Recycle(String),
    /// It is ended as its rule says.
    Condemn {
        /// What for, as the class of a failure.
        class: FailureClass,
        /// What follows.
        sentence: Sentence,
        /// What for, in a sentence.
        why: String,
    },
}

impl Remedy {
    /// What this action comes to. `may_recycle`: whether a restart of its own is what it is time for.
    fn by(action: FailureAction, class: FailureClass, why: String, may_recycle: impl FnOnce() -> bool) -> Option<Self> {
        let condemned = |sentence, why| Some(Self::Condemn { class, sentence, why });
        match action {
            FailureAction::None => None,
            FailureAction::RestartOnce => may_recycle().then_some(Self::Recycle(why)),
            FailureAction::Restart => condemned(Sentence::Restart, why),
            FailureAction::Stop => condemned(Sentence::Stop, why),
            FailureAction::Quarantine => condemned(Sentence::Quarantine, why),
        }
    }
}

/// The failure that a text of a dead program, or its end, stands for: what the service's own rules want done about this
/// class, and where they say nothing, what is done about it anyway.
pub(super) fn action_about(class: FailureClass, own: &[FailureRule]) -> FailureAction {
    own.iter().find(|rule| rule.class == class).map_or_else(|| class.action(), |rule| rule.action)
}

/// What was told of the run that concerns this attempt, which began when so much had been told: what came since; and where it
/// has failed, what has poisoned the run before. What poisons it is the cause of the rest.
pub(super) fn omen(traces: Vec<Trace>, began: u64, end: &AttemptEnd) -> Option<Trace> {
    let has_failed = matches!(end, AttemptEnd::Failed(_));
    let concerns = |trace: &Trace| match trace.action {
        FailureAction::None => false,
        FailureAction::RestartOnce => has_failed || trace.number > began,
        FailureAction::Restart | FailureAction::Stop | FailureAction::Quarantine => trace.number > began,
    };
    let concerning = traces.into_iter().filter(concerns);
    concerning.max_by_key(|trace| (trace.action == FailureAction::RestartOnce, trace.number))
}

/// The end of the attempt, with what the program has printed meanwhile in mind: an error that names no cause gets that one,
/// and one that wants nothing done gets what the line wants. A request that was refused is not explained by anything but that.
pub(super) fn explained(end: AttemptEnd, omen: Option<&Trace>) -> AttemptEnd {
    let (AttemptEnd::Failed(error), Some(omen)) = (&end, omen) else { return end };
    if error.status.is_some_and(|status| status < 500) {
        return end;
    }
    let mut error = error.clone();
    if error.class.is_none_or(|class| class == FailureClass::Unknown) {
        error.class = Some(omen.class);
        error.message =
            format!("{}; meanwhile it printed: {}; {}", error.message, plain(omen.line.trim()), hint(omen.class));
    }
    error.action.get_or_insert(omen.action);
    AttemptEnd::Failed(error)
}

/// What is to be done about the run after this end. `has_poisoned`: an earlier attempt at this job has had its run restarted
/// for such a failure, and this one was on a clean one; `may_restart`: no run was restarted lately for a line that did not
/// keep the job from its end.
pub(super) fn remedy(
    end: &AttemptEnd,
    omen: Option<&Trace>,
    has_poisoned: bool,
    may_restart: impl FnOnce(FailureClass) -> bool,
) -> Option<Remedy> {
    match end {
        AttemptEnd::Failed(error) => {
            let class = error.class.unwrap_or(FailureClass::Unknown);
            let why = format!("a job on it failed by {}", class.name());
            // The job would do the same to every run.
            Remedy::by(error.action?, class, why, || !has_poisoned)
        }
        AttemptEnd::Done(_) | AttemptEnd::Stopped => {
            let omen = omen?;
            let why = format!("it printed while a job worked with it: {}", plain(omen.line.trim()));
            Remedy::by(omen.action, omen.class, why, || may_restart(omen.class))
        }
    }
}

/// What is told to whoever judges, of a failure that a rule has recognised: its class, what the rule wants, and the words.
pub(super) fn sign(error: &JobError) -> Option<(FailureClass, FailureAction, &str)> {
    use FailureClass::{Driver, Nan, OomGpu, OomHost};
    let class = error.class?;
    let is_recognised = error.action.is_some() || matches!(class, Nan | OomGpu | OomHost | Driver);
    is_recognised.then_some((class, error.action.unwrap_or(FailureAction::None), error.message.as_str()))
}

#[cfg(test)]
mod tests {
    use FailureAction::{Quarantine, Restart, RestartOnce, Stop};
    use FailureClass::{Driver, Nan, OomGpu, Unknown};

    use super::*;
    use crate::job::JobResult;

    fn trace(class: FailureClass, action: FailureAction, number: u64) -> Trace {
        Trace { class, action, line: format!("{} {number}", class.name()), number }
    }

    fn failed(class: FailureClass, action: Option<FailureAction>) -> AttemptEnd {
        AttemptEnd::Failed(JobError { action, ..JobError::new(Some(class), "it broke") })
    }

    fn error(end: AttemptEnd) -> JobError {
        let AttemptEnd::Failed(error) = end else { panic!("{end:?}") };
        error
    }

    #[test]
    fn what_poisons_a_run_does_so_until_its_end_and_anything_else_in_its_own_time() {
        let broke = failed(Unknown, None);
        let number = |traces: Vec<Trace>| omen(traces, 5, &broke).map(|trace| trace.number);
        assert_eq!(number(vec![trace(OomGpu, FailureAction::None, 9)]), None);
        assert_eq!(number(vec![trace(Driver, Restart, 5)]), None);
        assert_eq!(number(vec![trace(Driver, Restart, 6)]), Some(6));
        assert_eq!(number(vec![trace(Nan, RestartOnce, 2), trace(Driver, Restart, 6)]), Some(2));
        let done = AttemptEnd::Done(JobResult::default());
        assert_eq!(omen(vec![trace(Nan, RestartOnce, 5)], 5, &done), None, "it did no harm to this one");
        assert!(omen(vec![trace(Nan, RestartOnce, 6)], 5, &done).is_some());
    }

    #[test]
    fn an_error_without_a_cause_gets_the_one_that_was_printed_and_another_keeps_its_own() {
        let nan = trace(Nan, RestartOnce, 1);
        let found = error(explained(failed(Unknown, None), Some(&nan)));
        assert_eq!((found.class, found.poisons()), (Some(Nan), true));
        assert!(found.message.starts_with("it broke; meanwhile it printed: nan 1; "), "{}", found.message);
        let found = error(explained(failed(OomGpu, None), Some(&nan)));
        assert_eq!((found.class, found.poisons(), found.message.as_str()), (Some(OomGpu), true, "it broke"));
        let found = error(explained(failed(Driver, Some(Restart)), Some(&nan)));
        assert_eq!(found.action, Some(Restart));
        let refused =
            AttemptEnd::Failed(JobError { status: Some(422), ..JobError::new(Some(Unknown), "no such sampler") });
        assert_eq!(explained(refused.clone(), Some(&nan)), refused);
        assert_eq!(explained(AttemptEnd::Stopped, Some(&nan)), AttemptEnd::Stopped);
        assert_eq!(explained(failed(Unknown, None), None), failed(Unknown, None));
    }

    #[test]
    fn a_poisoned_run_is_restarted_for_a_job_once() {
        let no = |_| panic!("that is asked of lines alone");
        let recycle = Some(Remedy::Recycle("a job on it failed by nan".to_owned()));
        assert_eq!(remedy(&failed(Nan, Some(RestartOnce)), None, false, no), recycle);
        assert_eq!(remedy(&failed(Nan, Some(RestartOnce)), None, true, no), None);
        assert_eq!(remedy(&failed(Nan, None), None, false, no), None);
        for (action, sentence) in
            [(Restart, Sentence::Restart), (Stop, Sentence::Stop), (Quarantine, Sentence::Quarantine)]
        {
            let why = "a job on it failed by driver".to_owned();
            let condemned = Some(Remedy::Condemn { class: Driver, sentence, why });
            assert_eq!(remedy(&failed(Driver, Some(action)), None, true, no), condemned);
        }
    }

    #[test]
    fn a_line_that_kept_no_job_from_its_end_restarts_a_run_now_and_then() {
        let (done, nan) = (AttemptEnd::Done(JobResult::default()), trace(Nan, RestartOnce, 1));
        assert!(matches!(remedy(&done, Some(&nan), false, |_| true), Some(Remedy::Recycle(_))));
        assert_eq!(remedy(&done, Some(&nan), false, |_| false), None);
        assert_eq!(remedy(&done, None, false, |_| true), None);
        let stopped = remedy(&AttemptEnd::Stopped, Some(&trace(Driver, Restart, 1)), false, |_| false);
        assert!(
            matches!(stopped, Some(Remedy::Condemn { class: Driver, sentence: Sentence::Restart, .. })),
            "{stopped:?}"
        );
    }

    #[test]
    fn what_a_rule_has_recognised_is_told_and_anything_else_is_not() {
        let told = |class, action| sign(&error(failed(class, action))).map(|(class, action, _)| (class, action));
        assert_eq!(told(Nan, Some(RestartOnce)), Some((Nan, RestartOnce)));
        assert_eq!(told(OomGpu, None), Some((OomGpu, FailureAction::None)));
        assert_eq!(told(Unknown, None), None);
        assert_eq!(told(Unknown, Some(Restart)), Some((Unknown, Restart)));
    }

    #[test]
    fn the_services_own_rules_say_what_is_done_about_a_class() {
        let own = [FailureRule { pattern: "x".to_owned(), class: Driver, action: Restart }];
        assert_eq!((action_about(Driver, &own), action_about(Nan, &own)), (Restart, RestartOnce));
        assert_eq!(action_about(OomGpu, &[]), FailureAction::None);
    }
}
