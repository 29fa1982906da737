//! Whether a service's dependencies allow its start. Pure.

use crate::{
    ids::ServiceName,
    spec::DependencyCondition,
    state::{ServiceState, ServiceStatus},
};

/// Says what is waited for, or `None` if nothing is.
#[must_use]
pub fn blocked<'a>(
    dependencies: impl Iterator<Item = (&'a ServiceName, DependencyCondition, &'a ServiceStatus)>,
) -> Option<String> {
    let mut open = dependencies.filter(|(_, condition, status)| !is_met(*condition, status.state)).map(told);
    let first = open.next()?;
    Some(open.fold(format!("waits for {first}"), |text, next| format!("{text}, and for {next}")))
}

/// What has run to its end with status 0 was started and was ready: a short one may be over before anybody looks.
fn is_met(condition: DependencyCondition, state: ServiceState) -> bool {
    use ServiceState::{Completed, Ready, Starting, Unready};
    match condition {
        DependencyCondition::Started => matches!(state, Starting | Ready | Unready | Completed),
        DependencyCondition::Ready => matches!(state, Ready | Completed),
        DependencyCondition::Completed => state == Completed,
    }
}

fn told((name, condition, status): (&ServiceName, DependencyCondition, &ServiceStatus)) -> String {
    let wanted = match condition {
        DependencyCondition::Started => "started",
        DependencyCondition::Ready => "ready",
        DependencyCondition::Completed => "completed",
    };
    use ServiceState::{Backoff, Failed, Quarantined, Stuck};
    let in_trouble = matches!(status.state, Failed | Quarantined | Backoff | Stuck);
    match (&status.reason, in_trouble) {
        (Some(reason), true) => format!("{name} to be {wanted}, which is {}: {reason}", status.state.name()),
        (None, true) => format!("{name} to be {wanted}, which is {}", status.state.name()),
        (_, false) => format!("{name} to be {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{state::Disposition, time::Timestamp};

    fn service(name: &str, state: ServiceState, reason: Option<&str>) -> (ServiceName, ServiceStatus) {
        let name: ServiceName = name.parse().expect("a name");
        let mut status = ServiceStatus::initial(name.clone(), Disposition::Up, Timestamp::from_micros(0));
        (status.state, status.reason) = (state, reason.map(str::to_owned));
        (name, status)
    }

    #[test]
    fn what_is_waited_for_is_named_with_its_trouble() {
        let db = service("db", ServiceState::Starting, None);
        let init = service("init", ServiceState::Failed, Some("gave up"));
        let all = [(&db, DependencyCondition::Ready), (&init, DependencyCondition::Completed)];
        let told = blocked(all.iter().map(|((name, status), condition)| (name, *condition, status)));
        let expected = "waits for db to be ready, and for init to be completed, which is failed: gave up";
        assert_eq!(told.as_deref(), Some(expected));
    }

    #[test]
    fn each_condition_is_met_by_its_own_states() {
        use DependencyCondition::{Completed, Ready, Started};
        for (condition, met) in [
            (
                Started,
                &[ServiceState::Starting, ServiceState::Ready, ServiceState::Unready, ServiceState::Completed][..],
            ),
            (Ready, &[ServiceState::Ready, ServiceState::Completed]),
            (Completed, &[ServiceState::Completed]),
        ] {
            for state in ServiceState::ALL {
                let (name, status) = service("x", state, None);
                let told = blocked(std::iter::once((&name, condition, &status)));
                assert_eq!(told.is_none(), met.contains(&state), "{condition:?} {state:?}");
            }
        }
    }
}
