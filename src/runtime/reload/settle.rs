//! Waits for what comes of a reload.

use std::time::Duration;

use futures_util::future::join_all;
use greenroom_actors::{
    admit::{any_changes, is_dead_end},
    ids::ServiceName,
    os::clock,
    spec::{RuntimeSpec, ServiceSpec},
    state::ServiceStatus,
};
use tokio::sync::watch;

use super::{
    apply::{Awaited, Supervisors},
    report::{Action, ReloadReport},
};
use crate::runtime::outcome::{Outcome, of, unproven_for};

/// On top of what a service may take by its own rules: drain and kill.
const SLACK: Duration = Duration::from_secs(60);

/// Waits for each of `awaited` until it is where it was sent or will not get there, and completes `report`.
pub(super) async fn settle(
    mut report: ReloadReport,
    awaited: Vec<Awaited>,
    spec: &RuntimeSpec,
    supervisors: &impl Supervisors,
) -> ReloadReport {
    let outcomes = join_all(awaited.iter().map(|awaited| outcome(awaited, spec, supervisors))).await;
    for (Awaited { name, .. }, outcome) in awaited.iter().zip(outcomes) {
        let service = report.services.iter_mut().find(|service| service.name == *name);
        if let (Some(service), Err(error)) = (service, outcome) {
            service.error = Some(error);
        }
    }
    look(&mut report, supervisors);
    report
}

/// Fills in what the services are doing now.
pub(super) fn look(report: &mut ReloadReport, supervisors: &impl Supervisors) {
    for service in report.services.iter_mut().filter(|service| service.action != Action::Removed) {
        let status = supervisors.status(&service.name).map(|status| status.borrow().clone());
        service.pid = status.as_ref().and_then(|status| status.pid);
        service.state = status.map(|status| status.state);
    }
}

async fn outcome(awaited: &Awaited, spec: &RuntimeSpec, supervisors: &impl Supervisors) -> Result<(), String> {
    let Awaited { name, command, before } = awaited;
    let gone = || "it was removed meanwhile".to_owned();
    let own = find(spec, name).ok_or_else(gone)?;
    let mut status = supervisors.status(name).ok_or_else(gone)?;
    let needed = needed(spec, own);
    let mut needs: Vec<watch::Receiver<ServiceStatus>> =
        needed.iter().filter_map(|service| supervisors.status(&service.name)).collect();
    let bound = needed.iter().chain([&own]).map(|service| service.stop.grace + service.ready.timeout).sum::<Duration>();
    let deadline = clock::now() + bound + SLACK;
    loop {
        let now = status.borrow_and_update().clone();
        let blocked = needs.iter().any(|need| is_dead_end(&need.borrow()));
        let look_on = match of(*command, *before, &now, blocked) {
            Outcome::Reached => match unproven_for(*command, own, &now, clock::wall()) {
                Some(moment) => Some(moment),
                None => return Ok(()),
            },
            Outcome::Missed => return Err(told(&now)),
            Outcome::Open => None,
        };
        let until = look_on.map_or(deadline, |moment| clock::now() + moment);
        tokio::select! {
            biased;
            changed = status.changed() => changed.map_err(|_| gone())?,
            () = any_changes(&mut needs) => {}
            () = tokio::time::sleep_until(until.into()) => match look_on {
                Some(_) => return Ok(()),
                None => return Err(format!("{}, and nobody waits any longer", told(&now))),
            },
        }
    }
}

fn told(status: &ServiceStatus) -> String {
    let reason = status.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("in state {}{reason}", status.state.name())
}

fn find<'a>(spec: &'a RuntimeSpec, name: &ServiceName) -> Option<&'a ServiceSpec> {
    spec.services.iter().find(|service| service.name == *name)
}

/// Everything that `service` depends on, by however many steps.
fn needed<'a>(spec: &'a RuntimeSpec, service: &'a ServiceSpec) -> Vec<&'a ServiceSpec> {
    let mut found: Vec<&ServiceSpec> = Vec::new();
    let mut open = vec![service];
    while let Some(next) = open.pop() {
        for other in next.depends_on.iter().filter_map(|dependency| find(spec, &dependency.service)) {
            if !found.iter().any(|known| known.name == other.name) {
                found.push(other);
                open.push(other);
            }
        }
    }
    found
}
