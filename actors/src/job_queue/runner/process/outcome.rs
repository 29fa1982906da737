//! What the end of a run amounts to for the job. Pure.

use crate::{
    engines::hint,
    failure::{FailureAction, FailureClass, FailureRule},
    job::{JobError, JobResult},
    job_queue::{attempt::AttemptEnd, runner::failing::action_about},
    memory::Refusal,
    state::ExitReport,
};

/// Judges the end of a run that nobody of the queue has stopped. `told` is what the worker says of it, `made` what lies in
/// the output folder, `expected` whether the command names that folder.
pub(super) fn judge(exit: &ExitReport, told: Option<&str>, made: JobResult, expected: bool) -> AttemptEnd {
    let failed = |class: FailureClass, message: String| {
        let (code, signal, stderr) = (exit.code, exit.signal, exit.stderr.clone());
        AttemptEnd::Failed(JobError { code, signal, stderr, ..JobError::new(Some(class), message) })
    };
    let told = told.unwrap_or("ended, nobody knows how");
    match exit.class {
        // The last lines are in the error.
        Some(class @ (FailureClass::Exit | FailureClass::Unknown)) => failed(class, told.to_owned()),
        Some(class) => failed(class, format!("{told}; {}", hint(class))),
        None if exit.code != Some(0) => failed(FailureClass::Killed, format!("it was stopped: {told}")),
        None if expected && made.files.is_empty() => {
            let advice = "check that its command writes to `${output}`, and read its log";
            failed(FailureClass::Exit, format!("it ended with status 0 and made nothing; {advice}"))
        }
        None => AttemptEnd::Done(made),
    }
}

/// With what is to be done about a failure of this class. A run is over with its job: what is left of that is whether the job
/// gets one more.
pub(super) fn with_action(end: AttemptEnd, own: &[FailureRule]) -> AttemptEnd {
    let AttemptEnd::Failed(error) = end else { return end };
    let action = error.class.map(|class| action_about(class, own));
    AttemptEnd::Failed(JobError { action: action.filter(|action| *action == FailureAction::RestartOnce), ..error })
}

/// A job for which there will never be room.
pub(super) fn too_large(refusal: &Refusal) -> AttemptEnd {
    let advice = "let it need less (a smaller model, picture or batch, or parts of it on the host)";
    let error = JobError::new(Some(FailureClass::Unknown), format!("{refusal}; {advice}"));
    AttemptEnd::Failed(JobError { no_memory: true, ..error })
}

/// A job of which nothing could be begun.
pub(super) fn never_begun(message: impl Into<String>) -> AttemptEnd {
    AttemptEnd::Failed(JobError::new(Some(FailureClass::Unknown), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn exit(code: Option<i32>, class: Option<FailureClass>) -> ExitReport {
        let signal = if code.is_none() { Some(9) } else { None };
        ExitReport { code, signal, class, stderr: vec!["last words".to_owned()], at: Timestamp::from_micros(0) }
    }

    fn made(files: &[&str]) -> JobResult {
        JobResult { files: files.iter().map(|&name| name.to_owned()).collect(), json: None }
    }

    fn error(end: AttemptEnd) -> JobError {
        let AttemptEnd::Failed(error) = end else { panic!("{end:?}") };
        error
    }

    #[test]
    fn a_clean_end_is_done_and_one_that_made_nothing_has_failed() {
        let done = judge(&exit(Some(0), None), None, made(&["output.png"]), true);
        assert_eq!(done, AttemptEnd::Done(made(&["output.png"])));
        assert_eq!(judge(&exit(Some(0), None), None, made(&[]), false), AttemptEnd::Done(made(&[])));
        let nothing = error(judge(&exit(Some(0), None), None, made(&[]), true));
        assert!(nothing.message.starts_with("it ended with status 0 and made nothing; "), "{}", nothing.message);
        assert_eq!((nothing.class, nothing.code, nothing.stderr.len()), (Some(FailureClass::Exit), Some(0), 1));
    }

    #[test]
    fn a_failure_says_what_happened_and_what_to_do_whatever_was_made() {
        let told = "ended with exit code 1 (oom_gpu): `generate failed`";
        let failed = error(judge(&exit(Some(1), Some(FailureClass::OomGpu)), Some(told), made(&["x"]), true));
        assert!(failed.message.starts_with(&format!("{told}; give it less to hold")), "{}", failed.message);
        assert_eq!((failed.class, failed.code, failed.signal), (Some(FailureClass::OomGpu), Some(1), None));
        assert_eq!(failed.stderr, ["last words"]);
    }

    #[test]
    fn only_what_is_tried_once_more_on_a_clean_run_is_said_of_a_run_that_is_over() {
        let poisons = |class, own: &[FailureRule]| {
            error(with_action(judge(&exit(Some(1), Some(class)), None, made(&[]), true), own)).poisons()
        };
        assert!(poisons(FailureClass::Nan, &[]) && !poisons(FailureClass::OomGpu, &[]));
        let rule = |action| FailureRule { pattern: "x".to_owned(), class: FailureClass::OomGpu, action };
        assert!(poisons(FailureClass::OomGpu, &[rule(FailureAction::RestartOnce)]));
        assert!(!poisons(FailureClass::OomGpu, &[rule(FailureAction::Quarantine)]));
    }

    #[test]
    fn one_that_somebody_else_stopped_is_not_done() {
        let failed = error(judge(&exit(None, None), Some("somebody asked"), made(&["x"]), true));
        assert_eq!((failed.class, failed.signal), (Some(FailureClass::Killed), Some(9)));
        assert_eq!(failed.message, "it was stopped: somebody asked");
    }
}
