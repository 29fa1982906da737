//! What has come of a command, read from a service's status. Pure.
//!
//! Whoever gave a command wants to know how it fared, so a start that failed is an answer. Whoever wants to use a service
//! wants it to be there, and waits through such a failure: that is judged in [`admission`](super::admission).

use std::time::Duration;

use greenroom_actors::{
    ids::RunId,
    spec::{Probe, ServiceSpec},
    state::{Disposition, ServiceState, ServiceStatus},
    time::Timestamp,
};

use super::command::ServiceCommand;

/// How long a service without a probe must go on running before a start of it counts: a program that lacks a library
/// or its file ends sooner.
const PROOF: Duration = Duration::from_millis(200);

/// What has come of a command so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was wanted.
    Reached,
    /// Something else, and waiting will not change it.
    Missed,
    /// Nothing yet.
    Open,
}

/// Judges a status that was published after `command` was taken. `before` is the run from before it; `blocked` says
/// that something the service waits for cannot come.
#[must_use]
pub fn of(command: ServiceCommand, before: Option<RunId>, now: &ServiceStatus, blocked: bool) -> Outcome {
    use ServiceState as S;
    let is_new = now.run_id.is_some() && now.run_id != before;
    match (command, now.state) {
        (ServiceCommand::Reset, _)
        | (ServiceCommand::Start | ServiceCommand::Load, S::Ready | S::Completed)
        | (
            ServiceCommand::Stop | ServiceCommand::Offload,
            S::Stopped | S::Offloaded | S::Completed | S::Failed | S::Quarantined,
        )
        | (ServiceCommand::Offload, S::Sleeping) => Outcome::Reached,
        (ServiceCommand::Restart, S::Ready | S::Completed) if is_new => Outcome::Reached,
        (_, S::Stuck) => Outcome::Missed,
        // It was out and is back already.
        (ServiceCommand::Offload, S::Ready | S::Unready) if is_new => Outcome::Reached,
        // Whoever was in did not leave in time, so it stays.
        (ServiceCommand::Offload, S::Ready | S::Unready) => Outcome::Missed,
        // A failed start is tried again, but whoever waits wants the cause now.
        (
            ServiceCommand::Start | ServiceCommand::Load | ServiceCommand::Restart,
            S::Failed | S::Quarantined | S::Backoff,
        ) => Outcome::Missed,
        (ServiceCommand::Start | ServiceCommand::Load | ServiceCommand::Restart, S::Stopped) if blocked => {
            Outcome::Missed
        }
        // There is no memory for it.
        (
            ServiceCommand::Start | ServiceCommand::Load | ServiceCommand::Restart,
            S::Stopped | S::Offloaded | S::Sleeping,
        ) if now.refusal.is_some() => Outcome::Missed,
        // It failed and nobody else misses it, or was taken out of memory again. One that asks for memory gives no reason.
        (ServiceCommand::Start | ServiceCommand::Load | ServiceCommand::Restart, S::Offloaded)
            if is_new || (now.reason.is_some() && command != ServiceCommand::Restart) =>
        {
            Outcome::Missed
        }
        // Somebody else has asked for a stop meanwhile.
        (ServiceCommand::Start | ServiceCommand::Load | ServiceCommand::Restart, S::Stopped)
            if now.disposition == Disposition::Down =>
        {
            Outcome::Missed
        }
        (
            ServiceCommand::Start
            | ServiceCommand::Load
            | ServiceCommand::Stop
            | ServiceCommand::Offload
            | ServiceCommand::Restart,
            S::Stopped
            | S::Reserved
            | S::Spawning
            | S::Starting
            | S::Ready
            | S::Unready
            | S::Draining
            | S::Stopping
            | S::Killing
            | S::Reclaiming
            | S::Offloaded
            | S::Sleeping
            | S::Backoff
            | S::Completed,
        ) => Outcome::Open,
    }
}

/// How much longer to look at a service that has come up and whose readiness nothing has proven: one without a probe
/// is ready as soon as it runs. `None` when nothing is open.
#[must_use]
pub fn unproven_for(
    command: ServiceCommand,
    spec: &ServiceSpec,
    now: &ServiceStatus,
    wall: Timestamp,
) -> Option<Duration> {
    let came_up = matches!(command, ServiceCommand::Start | ServiceCommand::Load | ServiceCommand::Restart);
    let ready = now.ready_since.filter(|_| now.state == ServiceState::Ready)?;
    if !came_up || spec.ready.probe != Probe::None {
        return None;
    }
    PROOF.checked_sub(wall.since(ready)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use greenroom_actors::{
        ids::ServiceName,
        memory::{Refusal, RefusalKind},
        time::Timestamp,
    };

    use super::*;

    fn status(state: ServiceState) -> ServiceStatus {
        let name: ServiceName = "chat".parse().expect("a name");
        ServiceStatus { state, ..ServiceStatus::initial(name, Disposition::Up, Timestamp::from_micros(0)) }
    }

    #[test]
    fn a_start_is_open_until_ready_and_says_so_when_it_fails() {
        let judge = |state| of(ServiceCommand::Start, None, &status(state), false);
        assert_eq!(judge(ServiceState::Stopped), Outcome::Open);
        assert_eq!(judge(ServiceState::Starting), Outcome::Open);
        assert_eq!(judge(ServiceState::Ready), Outcome::Reached);
        assert_eq!(judge(ServiceState::Backoff), Outcome::Missed);
        assert_eq!(judge(ServiceState::Failed), Outcome::Missed);
        assert_eq!(of(ServiceCommand::Start, None, &status(ServiceState::Stopped), true), Outcome::Missed);
    }

    #[test]
    fn a_restart_is_done_only_with_another_run() {
        let run = RunId::fresh();
        let now = ServiceStatus { run_id: Some(run), ..status(ServiceState::Ready) };
        assert_eq!(of(ServiceCommand::Restart, Some(run), &now, false), Outcome::Open);
        assert_eq!(of(ServiceCommand::Restart, Some(RunId::fresh()), &now, false), Outcome::Reached);
    }

    #[test]
    fn an_offload_ends_out_of_memory_or_with_those_who_did_not_leave() {
        let run = Some(RunId::fresh());
        let judge = |state| of(ServiceCommand::Offload, run, &ServiceStatus { run_id: run, ..status(state) }, false);
        assert_eq!([ServiceState::Draining, ServiceState::Reclaiming].map(judge), [Outcome::Open; 2]);
        assert_eq!([ServiceState::Offloaded, ServiceState::Sleeping].map(judge), [Outcome::Reached; 2]);
        assert_eq!(judge(ServiceState::Ready), Outcome::Missed);
        let back = ServiceStatus { run_id: Some(RunId::fresh()), ..status(ServiceState::Ready) };
        assert_eq!(of(ServiceCommand::Offload, run, &back, false), Outcome::Reached);
    }

    #[test]
    fn a_load_waits_while_memory_is_asked_for_and_ends_with_a_refusal_or_a_failure() {
        let run = Some(RunId::fresh());
        let out = ServiceStatus { run_id: run, ..status(ServiceState::Offloaded) };
        let judge = |now: &ServiceStatus| of(ServiceCommand::Load, run, now, false);
        assert_eq!(judge(&out), Outcome::Open);
        assert_eq!(judge(&ServiceStatus { state: ServiceState::Reserved, ..out.clone() }), Outcome::Open);
        let crashed = ServiceStatus { reason: Some("ended with exit code 1".to_owned()), ..out.clone() };
        assert_eq!(judge(&crashed), Outcome::Missed);
        let refusal = Refusal {
            service: out.name.clone(),
            kind: RefusalKind::InTheWay,
            missing: Vec::new(),
            holders: Vec::new(),
        };
        for state in [ServiceState::Stopped, ServiceState::Offloaded, ServiceState::Sleeping] {
            let refused = ServiceStatus { state, refusal: Some(Arc::new(refusal.clone())), ..out.clone() };
            assert_eq!(
                (judge(&refused), greenroom_actors::admit::is_dead_end(&refused)),
                (Outcome::Missed, true),
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_stop_ends_with_nothing_running_or_with_stuck() {
        let judge = |state| of(ServiceCommand::Stop, None, &status(state), false);
        assert_eq!(judge(ServiceState::Killing), Outcome::Open);
        assert_eq!(judge(ServiceState::Stopped), Outcome::Reached);
        assert_eq!(judge(ServiceState::Stuck), Outcome::Missed);
    }
}
