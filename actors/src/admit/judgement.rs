//! What somebody who wants to use a service does next, read from its status. Pure.
//!
//! Whoever waits looks at the newest status alone, so it does not matter how many were published in between: a service
//! that came up and went again is one that rests and has not been asked for since.

use std::{sync::Arc, time::Duration};

use crate::{
    ids::{RunId, ServiceName},
    memory::Refusal,
    state::{Disposition, ServiceState, ServiceStatus},
    time::Timestamp,
};

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdmitError {
    /// There is no such service, or none any more.
    #[error("there is no service `{0}`")]
    Gone(String),
    /// The runtime is stopping.
    #[error("the runtime is stopping and starts nothing")]
    Stopping,
    /// It is kept down until somebody starts it.
    #[error("`{0}` is stopped; it stays so until it is started or loaded")]
    Down(ServiceName),
    /// There is no memory for it.
    #[error("`{service}` is not loaded: {refusal}")]
    NoMemory {
        /// Which service.
        service: ServiceName,
        /// Why, and who holds it.
        refusal: Arc<Refusal>,
    },
    /// Its start has failed, and waiting would not change that. The status says how it ended.
    #[error("`{}` is {}{}{}", .0.name, .0.state.name(), because(.0.reason.as_deref()), lifted_by(.0))]
    Failed(Box<ServiceStatus>),
    /// What it depends on cannot come up.
    #[error(
        "`{service}` waits for `{}`, which cannot come up{}{}", .on.name, because(.on.reason.as_deref()), lifted_by(.on)
    )]
    Dependency {
        /// Which service.
        service: ServiceName,
        /// What it depends on: how that is, and why.
        on: Box<ServiceStatus>,
    },
    /// Something of it outlived SIGKILL.
    #[error("`{service}` is stuck{}", because(.reason.as_deref()))]
    Stuck {
        /// Which service.
        service: ServiceName,
        /// What outlived it.
        reason: Option<String>,
    },
    /// As many wait for it as may.
    #[error("{waiting} wait for `{service}` already, and no more may (gateway.queue.max_waiting)")]
    QueueFull {
        /// Which service.
        service: ServiceName,
        /// How many wait.
        waiting: u32,
        /// When it is of use to come again.
        retry_after: Duration,
    },
    /// It could not be used in time.
    #[error("`{service}` could not be used within {waited:?}: it is {}{}", state.name(), because(.reason.as_deref()))]
    TooLate {
        /// Which service.
        service: ServiceName,
        /// How long somebody waited.
        waited: Duration,
        /// What it was doing then.
        state: ServiceState,
        /// Why.
        reason: Option<String>,
        /// When it is of use to come again.
        retry_after: Duration,
    },
}

impl AdmitError {
    /// There is no room in the line of a service.
    #[must_use]
    pub fn queue_full(now: &ServiceStatus, waiting: u32) -> Self {
        Self::QueueFull { service: now.name.clone(), waiting, retry_after: retry_after(now) }
    }

    /// It has not come up, or had no room, for so long.
    #[must_use]
    pub fn too_late(now: &ServiceStatus, waited: Duration) -> Self {
        let taken = || (now.state == ServiceState::Ready).then(|| "as many use it as may".to_owned());
        let (service, state, reason) = (now.name.clone(), now.state, now.reason.clone().or_else(taken));
        Self::TooLate { service, waited, state, reason, retry_after: retry_after(now) }
    }
}

/// When things may be otherwise: after a load, as far as it is known how long one takes, and not at once.
fn retry_after(now: &ServiceStatus) -> Duration {
    now.loaded_in.unwrap_or_default().max(Duration::from_secs(1))
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// What ends a quarantine, for whoever comes upon it and has done nothing wrong.
fn lifted_by(status: &ServiceStatus) -> String {
    if status.state != ServiceState::Quarantined {
        return String::new();
    }
    format!("; no request ends its quarantine: mend the cause, then `greenroom start {}`", status.name)
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask for it to be loaded, then look again.
    Ask,
    /// Look again when something changes.
    Wait,
    /// It is no use.
    GiveUp(AdmitError),
}

/// How a service was found when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    run: Option<RunId>,
    since: Timestamp,
}

impl Mark {
    /// To be taken from the status just before the question.
    #[must_use]
    pub fn of(status: &ServiceStatus) -> Self {
        Self { run: status.run_id, since: status.since }
    }
}

/// Whether a person keeps it down, and it is down.
#[must_use]
pub fn is_kept_down(status: &ServiceStatus) -> bool {
    use ServiceState::{Offloaded, Sleeping, Stopped};
    status.disposition == Disposition::Down && matches!(status.state, Stopped | Offloaded | Sleeping)
}

/// Says what one who is still outside does. `asked` is how the service was when this one asked for it last; `dead` is
/// what it depends on and cannot have.
#[must_use]
pub fn next(now: &ServiceStatus, asked: Option<&Mark>, dead: Option<ServiceStatus>) -> Step {
    use ServiceState as S;
    let service = || now.name.clone();
    if now.state == S::Stuck {
        return Step::GiveUp(AdmitError::Stuck { service: service(), reason: now.reason.clone() });
    }
    if now.retired {
        return Step::GiveUp(AdmitError::Gone(now.name.to_string()));
    }
    if now.disposition == Disposition::Down {
        return Step::GiveUp(AdmitError::Down(service()));
    }
    let failed = || Step::GiveUp(AdmitError::Failed(Box::new(now.clone())));
    match now.state {
        S::Failed | S::Quarantined | S::Completed => failed(),
        // It comes again by itself, after the pause that it needs, unless that is of no use.
        S::Backoff => {
            let class = now.last_exit.as_ref().and_then(|exit| exit.class);
            if class.is_some_and(|class| class.is_permanent()) { failed() } else { Step::Wait }
        }
        S::Stopped | S::Offloaded | S::Sleeping | S::Reserved => match (asked, &now.refusal, dead) {
            // A request would not bring it up: it need not be tried.
            (_, _, Some(on)) if is_kept_down(&on) => Step::GiveUp(AdmitError::Down(on.name)),
            (None, _, _) => Step::Ask,
            (Some(_), Some(refusal), _) if now.state != S::Reserved => {
                Step::GiveUp(AdmitError::NoMemory { service: service(), refusal: Arc::clone(refusal) })
            }
            (Some(_), _, Some(on)) => Step::GiveUp(AdmitError::Dependency { service: service(), on: Box::new(on) }),
            (Some(_), _, None) if now.state == S::Reserved => Step::Wait,
            // It was there, or on its way out, and rests now; or it has failed and asks for its memory anew, and then the
            // question changes nothing. One that fails with every request is given up by its supervisor.
            (Some(mark), _, None) if *mark != Mark::of(now) => Step::Ask,
            (Some(_), _, None) => Step::Wait,
        },
        // Asking one that ends would take it for a wish to begin anew at once, also where it ends because it has failed.
        S::Spawning
        | S::Starting
        | S::Ready
        | S::Unready
        | S::Draining
        | S::Stopping
        | S::Killing
        | S::Reclaiming
        | S::Stuck => Step::Wait,
    }
}

/// Whether whoever waits for this service to come up waits in vain.
#[must_use]
pub fn is_dead_end(status: &ServiceStatus) -> bool {
    use ServiceState::{Failed, Offloaded, Quarantined, Sleeping, Stopped, Stuck};
    let is_refused = status.refusal.is_some() && matches!(status.state, Stopped | Offloaded | Sleeping);
    matches!(status.state, Failed | Quarantined | Stuck) || is_refused
}

/// Whether it may be started for those who depend on it, and that would do anything for it. What is in quarantine needs a
/// word of its own.
#[must_use]
pub fn may_be_started(status: &ServiceStatus) -> bool {
    use ServiceState::{Failed, Offloaded, Sleeping, Stopped};
    matches!(status.state, Stopped | Offloaded | Sleeping | Failed)
}

#[cfg(test)]
mod tests {
    use crate::{
        memory::{Refusal, RefusalKind},
        spec::FailureClass,
        state::ExitReport,
    };

    use super::*;

    fn status(state: ServiceState) -> ServiceStatus {
        let name: ServiceName = "chat".parse().expect("a name");
        ServiceStatus { state, ..ServiceStatus::initial(name, Disposition::OnDemand, Timestamp::from_micros(0)) }
    }

    fn exit(class: Option<FailureClass>, at: i64) -> Option<ExitReport> {
        let at = Timestamp::from_micros(at);
        Some(ExitReport { code: Some(1), signal: None, class, stderr: vec!["last words".to_owned()], at })
    }

    fn refusal() -> Arc<Refusal> {
        let service = "chat".parse().expect("a name");
        Arc::new(Refusal { service, kind: RefusalKind::InTheWay, missing: Vec::new(), holders: Vec::new() })
    }

    fn gives_up(step: &Step) -> bool {
        matches!(step, Step::GiveUp(_))
    }

    #[test]
    fn it_is_asked_for_once_and_again_when_it_rests_without_an_answer() {
        for state in [ServiceState::Stopped, ServiceState::Offloaded, ServiceState::Sleeping] {
            let before = status(state);
            assert_eq!(next(&before, None, None), Step::Ask, "{state:?}");
            let mark = Mark::of(&before);
            assert_eq!(next(&before, Some(&mark), None), Step::Wait, "{state:?}");
            let again = ServiceStatus { since: Timestamp::from_micros(9), ..before.clone() };
            assert_eq!(next(&again, Some(&mark), None), Step::Ask, "{state:?}");
            let another = ServiceStatus { run_id: Some(RunId::fresh()), ..before };
            assert_eq!(next(&another, Some(&mark), None), Step::Ask, "{state:?}");
        }
    }

    #[test]
    fn what_is_on_its_way_in_or_out_or_has_no_room_is_waited_for() {
        use ServiceState as S;
        for state in
            [S::Ready, S::Spawning, S::Starting, S::Unready, S::Draining, S::Stopping, S::Killing, S::Reclaiming]
        {
            for asked in [None, Some(&Mark::of(&status(S::Stopped)))] {
                assert_eq!(next(&status(state), asked, None), Step::Wait, "{state:?}");
            }
        }
        let reserved = status(S::Reserved);
        assert_eq!(next(&reserved, None, None), Step::Ask, "whoever waits wants more than a reload does");
        assert_eq!(next(&reserved, Some(&Mark::of(&status(S::Stopped))), None), Step::Wait);
    }

    #[test]
    fn an_old_refusal_counts_no_more_and_a_new_one_ends_the_wait() {
        let refused = ServiceStatus { refusal: Some(refusal()), ..status(ServiceState::Offloaded) };
        assert_eq!(next(&refused, None, None), Step::Ask);
        let step = next(&refused, Some(&Mark::of(&refused)), None);
        assert!(matches!(step, Step::GiveUp(AdmitError::NoMemory { .. })), "{step:?}");
    }

    #[test]
    fn a_failure_is_waited_through_unless_it_is_permanent() {
        let failing = |class| ServiceStatus { last_exit: exit(Some(class), 5), ..status(ServiceState::Backoff) };
        assert_eq!(next(&failing(FailureClass::OomGpu), None, None), Step::Wait);
        assert!(gives_up(&next(&failing(FailureClass::MissingLibrary), None, None)));
        assert!(gives_up(&next(&status(ServiceState::Failed), None, None)));
        assert!(gives_up(&next(&status(ServiceState::Quarantined), None, None)));
    }

    #[test]
    fn one_that_failed_and_is_about_to_begin_anew_is_not_given_up() {
        let mark = Mark::of(&status(ServiceState::Stopped));
        let failed = ServiceStatus {
            last_exit: exit(Some(FailureClass::Exit), 5),
            since: Timestamp::from_micros(5),
            ..status(ServiceState::Stopped)
        };
        assert_eq!(next(&failed, Some(&mark), None), Step::Ask);
        assert_eq!(next(&failed, Some(&Mark::of(&failed)), None), Step::Wait);
    }

    #[test]
    fn who_is_sent_away_is_told_when_to_come_again() {
        let ready = status(ServiceState::Ready);
        let late = AdmitError::too_late(&ready, Duration::from_secs(3));
        assert_eq!(late.to_string(), "`chat` could not be used within 3s: it is ready: as many use it as may");
        let slow = ServiceStatus { loaded_in: Some(Duration::from_millis(4500)), ..status(ServiceState::Starting) };
        for (now, expected) in [(ready, Duration::from_secs(1)), (slow, Duration::from_millis(4500))] {
            let (AdmitError::TooLate { retry_after: late, .. }, AdmitError::QueueFull { retry_after: full, .. }) =
                (AdmitError::too_late(&now, Duration::ZERO), AdmitError::queue_full(&now, 7))
            else {
                panic!("these two")
            };
            assert_eq!((late, full), (expected, expected));
        }
    }

    #[test]
    fn what_is_kept_down_is_not_lifted_by_a_request() {
        use ServiceState as S;
        for state in [S::Stopped, S::Draining, S::Stopping, S::Backoff, S::Failed] {
            let down = ServiceStatus { disposition: Disposition::Down, ..status(state) };
            assert_eq!(next(&down, None, None), Step::GiveUp(AdmitError::Down(down.name.clone())), "{state:?}");
        }
    }

    #[test]
    fn one_that_was_taken_out_is_gone_and_not_stopped() {
        use ServiceState as S;
        for state in [S::Stopped, S::Draining, S::Stopping, S::Reserved] {
            let retired = ServiceStatus { disposition: Disposition::Down, retired: true, ..status(state) };
            assert_eq!(next(&retired, None, None), Step::GiveUp(AdmitError::Gone("chat".to_owned())), "{state:?}");
        }
    }

    #[test]
    fn a_dependency_that_is_kept_down_ends_the_wait_before_anything_is_loaded() {
        let name: ServiceName = "db".parse().expect("a name");
        let db = ServiceStatus { name: name.clone(), disposition: Disposition::Down, ..status(ServiceState::Stopped) };
        assert_eq!(next(&status(ServiceState::Offloaded), None, Some(db)), Step::GiveUp(AdmitError::Down(name)));
    }

    #[test]
    fn who_comes_upon_a_quarantine_is_told_why_it_is_and_what_ends_it() {
        let reason = Some("nan: all of it".to_owned());
        let chat = ServiceStatus { reason, ..status(ServiceState::Quarantined) };
        let Step::GiveUp(error) = next(&chat, None, None) else { panic!("it is no use") };
        let what = "nan: all of it; no request ends its quarantine: mend the cause, then `greenroom start chat`";
        assert_eq!(error.to_string(), format!("`chat` is quarantined: {what}"));
        let web = ServiceStatus { name: "web".parse().expect("a name"), ..status(ServiceState::Stopped) };
        let Step::GiveUp(error) = next(&web, Some(&Mark::of(&web)), Some(chat)) else { panic!("it is no use") };
        assert_eq!(error.to_string(), format!("`web` waits for `chat`, which cannot come up: {what}"));
    }

    #[test]
    fn a_dead_dependency_ends_the_wait_once_it_has_been_tried() {
        let name = "db".parse().expect("a name");
        let reason = Some("gave up after 2 failures in a row".to_owned());
        let db = ServiceStatus { name, reason, ..status(ServiceState::Failed) };
        let stopped = status(ServiceState::Stopped);
        assert_eq!(next(&stopped, None, Some(db.clone())), Step::Ask, "the start of it is tried with ours");
        let Step::GiveUp(error) = next(&stopped, Some(&Mark::of(&stopped)), Some(db)) else { panic!("it is no use") };
        let told = "`chat` waits for `db`, which cannot come up: gave up after 2 failures in a row";
        assert_eq!(error.to_string(), told);
    }
}
