//! What it means for a job that it was not let in, and what it waits for. Pure.

use crate::{
    admit::AdmitError,
    failure::FailureClass,
    job::JobError,
    memory::RefusalKind,
    state::{ServiceState, ServiceStatus},
};

/// What a job does that was not let in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It comes again later, for this reason.
    Again(String),
    /// It fails.
    Never(JobError),
    /// It waits to be stopped.
    Stopping,
}

/// A job waits for what may change: memory, a full line, somebody who keeps the service down, something that is stuck. What
/// has failed has failed for the job, too; its retries see whether that was for good.
pub(super) fn judge(error: AdmitError) -> Verdict {
    let told = error.to_string();
    match error {
        AdmitError::Stopping => Verdict::Stopping,
        AdmitError::NoMemory { refusal, .. } if refusal.kind == RefusalKind::TooLarge => {
            Verdict::Never(JobError { no_memory: true, ..JobError::new(Some(FailureClass::Unknown), told) })
        }
        AdmitError::NoMemory { .. }
        | AdmitError::Down(_)
        | AdmitError::Gone(_)
        | AdmitError::QueueFull { .. }
        | AdmitError::TooLate { .. }
        | AdmitError::Stuck { .. } => Verdict::Again(told),
        AdmitError::Failed(status) => Verdict::Never(of_exit(&status, told)),
        AdmitError::Dependency { on, .. } if on.refusal.is_some() => Verdict::Again(told),
        AdmitError::Dependency { on, .. } => Verdict::Never(of_exit(&on, told)),
    }
}

/// A failure with the last words of a service.
pub(in crate::job_queue::runner) fn of_exit(status: &ServiceStatus, message: String) -> JobError {
    let Some(exit) = &status.last_exit else { return JobError::new(Some(FailureClass::Unknown), message) };
    JobError {
        code: exit.code,
        signal: exit.signal,
        stderr: exit.stderr.clone(),
        ..JobError::new(Some(exit.class.unwrap_or(FailureClass::Unknown)), message)
    }
}

/// What one in line waits for, in a sentence.
pub(super) fn waits_for(status: &ServiceStatus) -> String {
    let name = &status.name;
    let why = match (&status.load, &status.reason) {
        (Some(load), _) if status.state == ServiceState::Starting => format!(": {load}"),
        (_, Some(reason)) => format!(": {reason}"),
        (_, None) => String::new(),
    };
    match status.state {
        ServiceState::Ready => format!("others use `{name}`"),
        state => format!("`{name}` is {}{why}", state.name()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        memory::Refusal,
        spec::StartMode,
        state::{Disposition, ExitReport, LoadProgress},
        time::Timestamp,
    };

    fn status(state: ServiceState) -> ServiceStatus {
        let now = Timestamp::from_micros(0);
        ServiceStatus {
            state,
            ..ServiceStatus::initial("webui".parse().expect("a name"), Disposition::of(StartMode::OnDemand), now)
        }
    }

    fn no_memory(kind: RefusalKind) -> AdmitError {
        let service: crate::ids::ServiceName = "webui".parse().expect("a name");
        let refusal = Refusal { service: service.clone(), kind, missing: Vec::new(), holders: Vec::new() };
        AdmitError::NoMemory { service, refusal: Arc::new(refusal) }
    }

    #[test]
    fn what_may_change_is_waited_for_and_what_never_fits_is_not() {
        assert!(matches!(judge(no_memory(RefusalKind::InTheWay)), Verdict::Again(_)));
        let Verdict::Never(error) = judge(no_memory(RefusalKind::TooLarge)) else { panic!("it never fits") };
        assert!(error.no_memory, "who asked is told that there is no memory for it: {error:?}");
        assert!(error.is_permanent());
        assert!(matches!(judge(AdmitError::Down("webui".parse().expect("a name"))), Verdict::Again(_)));
        assert_eq!(judge(AdmitError::Stopping), Verdict::Stopping);
    }

    #[test]
    fn what_failed_brings_its_last_words() {
        let at = Timestamp::from_micros(1);
        let exit = ExitReport {
            code: Some(1),
            signal: None,
            class: Some(FailureClass::BadModel),
            stderr: vec!["bad".to_owned()],
            at,
        };
        let failed = ServiceStatus { last_exit: Some(exit), ..status(ServiceState::Failed) };
        let Verdict::Never(error) = judge(AdmitError::Failed(Box::new(failed))) else { panic!("it has failed") };
        assert_eq!(
            (error.class, error.code, error.stderr),
            (Some(FailureClass::BadModel), Some(1), vec!["bad".to_owned()])
        );
    }

    #[test]
    fn what_is_waited_for_is_told() {
        assert_eq!(waits_for(&status(ServiceState::Ready)), "others use `webui`");
        let load = LoadProgress { phase: "weights".to_owned(), done: 1, total: 4, eta: None };
        let starting = ServiceStatus { load: Some(load), ..status(ServiceState::Starting) };
        assert_eq!(waits_for(&starting), "`webui` is starting: weights 1/4");
        let reserved = ServiceStatus { reason: Some("drain of chat".to_owned()), ..status(ServiceState::Reserved) };
        assert_eq!(waits_for(&reserved), "`webui` is reserved: drain of chat");
    }
}
