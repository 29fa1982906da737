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

/// What was told of the run that explains the end of this attempt, which began when so much had been told: what came since; and
/// where it has failed, what has poisoned the run before. What poisons it is the cause of the rest. What is done about the run
/// goes by the [gravest].
pub(super) fn omen<'a>(traces: &'a [Trace], began: u64, end: &AttemptEnd) -> Option<&'a Trace> {
    let has_failed = matches!(end, AttemptEnd::Failed(_));
    let concerns = |trace: &Trace| match trace.action {
        FailureAction::None => false,
        FailureAction::RestartOnce => has_failed || trace.number > began,
        FailureAction::Restart | FailureAction::Stop | FailureAction::Quarantine => trace.number > began,
    };
    let concerning = traces.iter().filter(|trace| concerns(trace));
    concerning.max_by_key(|trace| (trace.action == FailureAction::RestartOnce, trace.number))
}

/// Of what was told of the run since so much had been told, that about which the most is to be done; the last of these.
pub(super) fn gravest(traces: &[Trace], since: u64) -> Option<&Trace> {
    let since = traces.iter().filter(|trace| trace.number > since && trace.action != FailureAction::None);
    since.max_by_key(|trace| (trace.action, trace.number))
}

/// Whether this end is a failure that a line of output may still explain: one that names no cause, and was not the refusal of a
/// request.
pub(super) fn is_unexplained(end: &AttemptEnd) -> bool {
    let AttemptEnd::Failed(error) = end else { return false };
    let is_refused = error.status.is_some_and(|status| status < 500);
    error.class.is_none_or(|class| class == FailureClass::Unknown) && error.action.is_none() && !is_refused
}

/// The end of the attempt, with what the program has printed meanwhile in mind: an error that names no cause gets that one,
/// and one that wants nothing done gets what the line wants, which decides about one more attempt. A request that was refused is
/// not explained by anything but that.
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

/// How much the error of this end wants done by itself.
pub(super) fn wanted(end: &AttemptEnd) -> FailureAction {
    match end {
        AttemptEnd::Failed(error) => error.action.unwrap_or(FailureAction::None),
        AttemptEnd::Done(_) | AttemptEnd::Stopped => FailureAction::None,
    }
}

/// What is to be done about the run after this end: the severer of what its error wants and of what the [gravest] line of its
/// time does, which nobody else acts upon. `has_poisoned`: an earlier attempt at this job has had its run restarted for such a
/// failure, and this one was on a clean one; `may_restart`: no run was restarted lately for a line that did not keep the job from
/// its end.
pub(super) fn remedy(
    end: &AttemptEnd,
    gravest: Option<&Trace>,
    has_poisoned: bool,
    may_restart: impl FnOnce(FailureClass) -> bool,
) -> Option<Remedy> {
    let wanted = wanted(end);
    if let Some(trace) = gravest.filter(|trace| trace.action > wanted) {
        return of_line(trace, may_restart);
    }
    let AttemptEnd::Failed(error) = end else { return None };
    let class = error.class.unwrap_or(FailureClass::Unknown);
    // The job would do the same to every run.
    Remedy::by(wanted, class, format!("a job on it failed by {}", class.name()), || !has_poisoned)
}

/// What is to be done about the run for this line alone.
pub(super) fn of_line(trace: &Trace, may_restart: impl FnOnce(FailureClass) -> bool) -> Option<Remedy> {
    let why = format!("it printed while a job worked with it: {}", plain(trace.line.trim()));
    Remedy::by(trace.action, trace.class, why, || may_restart(trace.class))
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
        let number = |traces: Vec<Trace>| omen(&traces, 5, &broke).map(|trace| trace.number);
        assert_eq!(number(vec![trace(OomGpu, FailureAction::None, 9)]), None);
        assert_eq!(number(vec![trace(Driver, Restart, 5)]), None);
        assert_eq!(number(vec![trace(Driver, Restart, 6)]), Some(6));
        assert_eq!(number(vec![trace(Nan, RestartOnce, 2), trace(Driver, Restart, 6)]), Some(2));
        let done = AttemptEnd::Done(JobResult::default());
        assert_eq!(omen(&[trace(Nan, RestartOnce, 5)], 5, &done), None, "it did no harm to this one");
        assert!(omen(&[trace(Nan, RestartOnce, 6)], 5, &done).is_some());
    }

    #[test]
    fn the_gravest_line_of_its_time_is_acted_upon_whatever_explains_the_end() {
        let said = [
            trace(Nan, RestartOnce, 2),
            trace(Driver, Stop, 5),
            trace(OomGpu, FailureAction::None, 6),
            trace(Driver, Restart, 7),
        ];
        assert_eq!(gravest(&said, 5).map(|trace| trace.number), Some(7));
        assert_eq!(gravest(&said, 7), None);
        assert_eq!(gravest(&said[..3], 5), None, "nothing is to be done about it");
        let alike = [trace(Driver, Restart, 7), trace(Nan, RestartOnce, 9), trace(OomGpu, Restart, 8)];
        assert_eq!(gravest(&alike, 5).map(|trace| trace.number), Some(8), "the last of the gravest");

        // What has poisoned the run before explains the end and is worth another attempt; the run is in quarantine all the same.
        let said = [trace(Nan, RestartOnce, 2), trace(Driver, Quarantine, 6)];
        let end = failed(Unknown, None);
        let end = explained(end.clone(), omen(&said, 5, &end));
        assert!(matches!(&end, AttemptEnd::Failed(error) if error.class == Some(Nan) && error.poisons()), "{end:?}");
        let done = remedy(&end, gravest(&said, 5), false, |_| panic!("it is not restarted"));
        assert!(
            matches!(done, Some(Remedy::Condemn { class: Driver, sentence: Sentence::Quarantine, .. })),
            "{done:?}"
        );
    }

    #[test]
    fn the_severer_of_the_answer_and_the_line_is_done() {
        let no = |_| panic!("that is asked of restarts for lines alone");
        let sentence =
            |own, said: FailureAction| match remedy(&failed(OomGpu, own), Some(&trace(Driver, said, 1)), false, no) {
                Some(Remedy::Condemn { class, sentence, .. }) => (class, sentence),
                other => panic!("{own:?} {said:?}: {other:?}"),
            };
        assert_eq!(sentence(Some(Restart), Quarantine), (Driver, Sentence::Quarantine));
        assert_eq!(sentence(Some(Stop), Restart), (OomGpu, Sentence::Stop));
        assert_eq!(sentence(Some(Restart), Restart), (OomGpu, Sentence::Restart));
        assert_eq!(sentence(Some(RestartOnce), Stop), (Driver, Sentence::Stop));
        assert_eq!(sentence(None, Quarantine), (Driver, Sentence::Quarantine));
    }

    #[test]
    fn a_refused_request_keeps_its_cause_and_the_line_of_its_time_is_acted_upon() {
        let refused = AttemptEnd::Failed(JobError { status: Some(422), ..JobError::new(Some(Unknown), "no") });
        let line = |action| trace(Driver, action, 6);
        let stop = line(Stop);
        assert_eq!(explained(refused.clone(), Some(&stop)), refused);
        let done = remedy(&refused, Some(&stop), false, |_| false);
        assert!(matches!(done, Some(Remedy::Condemn { sentence: Sentence::Stop, .. })), "{done:?}");
        let once = line(RestartOnce);
        assert!(matches!(remedy(&refused, Some(&once), false, |_| true), Some(Remedy::Recycle(_))));
        assert_eq!(remedy(&refused, Some(&once), false, |_| false), None);
    }

    #[test]
    fn only_a_failure_without_a_cause_waits_for_a_line() {
        let of = |class, status, action| {
            let error = JobError { status, action, ..JobError::new(class, "it broke") };
            is_unexplained(&AttemptEnd::Failed(error))
        };
        assert!(of(Some(Unknown), Some(500), None) && of(None, Some(503), None) && of(Some(Unknown), None, None));
        assert!(!of(Some(Unknown), Some(422), None) && !of(Some(OomGpu), Some(500), None));
        assert!(!of(Some(Unknown), None, Some(Restart)));
        assert!(!is_unexplained(&AttemptEnd::Stopped) && !is_unexplained(&AttemptEnd::Done(JobResult::default())));
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
