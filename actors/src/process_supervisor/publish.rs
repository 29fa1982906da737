//! Tells what a life looks like: as status, as events, as alerts.

use std::time::Instant;

use tokio::sync::watch;

use super::lifecycle::{Alert, View};
use crate::{
    event::{EventBus, EventKind, Severity},
    ids::{RunId, ServiceName},
    os::clock,
    state::{ServiceState, ServiceStatus},
};

/// Where one service's supervisor tells how it fares.
#[derive(Debug)]
pub(super) struct Publisher {
    name: ServiceName,
    bus: EventBus,
    status: watch::Sender<ServiceStatus>,
    /// The run that is on its way to ready, and when its process was started.
    begun: Option<(RunId, Instant)>,
}

impl Publisher {
    pub(super) fn new(name: ServiceName, bus: EventBus, status: watch::Sender<ServiceStatus>) -> Self {
        Self { name, bus, status, begun: None }
    }

    /// Publishes what has changed since the last time; a new state, or a new run, is an event as well.
    pub(super) fn publish(&mut self, view: &View, now: Instant) {
        match (view.state, view.run) {
            (ServiceState::Spawning, Some(run)) if self.begun.is_none_or(|(begun, _)| begun != run) => {
                self.begun = Some((run, now));
            }
            _ => {}
        }
        let before = self.status.borrow().clone();
        let status = self.status_of(view, &before, now);
        if status == before {
            return;
        }
        if status.state == ServiceState::Ready {
            // What comes after it, a sleep or a failed probe, is no load from the start.
            self.begun = None;
        }
        if status.state != before.state || status.run_id != before.run_id {
            self.bus.emit(EventKind::ServiceState {
                service: self.name.clone(),
                run_id: status.run_id,
                from: before.state,
                to: status.state,
                reason: status.reason.clone(),
                pid: status.pid,
                exit: if status.last_exit == before.last_exit { None } else { status.last_exit.clone() },
            });
        }
        if let (Some(load), true) = (&status.load, status.load != before.load) {
            let (service, run_id) = (self.name.clone(), status.run_id);
            self.bus.emit(EventKind::ServiceLoad { service, run_id, load: load.clone() });
        }
        self.status.send_replace(status);
    }

    fn status_of(&self, view: &View, before: &ServiceStatus, now: Instant) -> ServiceStatus {
        let wall = clock::wall();
        let same = view.state == before.state && view.run == before.run_id;
        let since = if same { before.since } else { wall };
        let wait = view.next_start.map(|at| at.saturating_duration_since(now));
        let begun = self.begun.filter(|(run, _)| view.state == ServiceState::Ready && view.run == Some(*run));
        ServiceStatus {
            name: self.name.clone(),
            state: view.state,
            disposition: view.disposition,
            reason: view.reason.clone(),
            pid: view.pid,
            run_id: view.run,
            since,
            ready_since: (view.state == ServiceState::Ready).then_some(since),
            loaded_in: begun.map(|(_, at)| now.saturating_duration_since(at)).or(before.loaded_in),
            restarts_consecutive: view.failures,
            restarts_total: view.restarts,
            port: view.port,
            load: view.load.clone(),
            step: view.step,
            last_exit: view.last_exit.clone(),
            next_start: if same && before.next_start.is_some() {
                before.next_start
            } else {
                wait.map(|w| wall.after(w))
            },
            refusal: view.refusal.clone(),
            placement: view.placement.clone(),
            retired: view.retired,
        }
    }

    pub(super) fn raise(&self, alert: Alert, message: String) {
        let (alert, service) = (alert.name().to_owned(), Some(self.name.clone()));
        self.bus.emit(EventKind::AlertRaised { alert, severity: Severity::Critical, service, message });
    }

    pub(super) fn clear(&self, alert: Alert) {
        self.bus.clear(alert.name(), Some(&self.name));
    }
}
