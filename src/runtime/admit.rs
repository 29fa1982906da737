//! The way in: the right to use a service, for whoever has a request for it.
//!
//! Where its gate is open, there is room, and nobody waits, this is one compare-and-swap and a look at its status. Otherwise
//! the service is loaded if need be, and whoever waits stands in line at its gate until he is in, gives up, or is dropped.
//! What to do next is decided in [`admission`](super::admission).

use std::time::Duration;

use greenroom_actors::{
    assembly::Supervised,
    gate::{Permit, Ticket},
    ids::{RunId, ServiceName},
    os::clock,
    state::{ServiceState, ServiceStatus},
};
use tokio::sync::watch;

use super::{
    RuntimeHandle,
    admission::{AdmitError, Mark, Step, is_kept_down, next},
    orders::{BY_REQUEST, any_changes},
    outcome,
};

/// How long a supervisor may take to notice the end of a run: milliseconds, on a machine that is not overloaded.
const NOTICED: Duration = Duration::from_secs(2);

/// How somebody comes who wants to use a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// Of those who wait for one service, those with a higher one go first; 0 is usual.
    pub priority: i32,
    /// The longest wait; `None`: until it is known that waiting is of no use.
    pub max_wait: Option<Duration>,
}

/// One who is in. The run is not offloaded before the permit is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// Leaves with its drop.
    pub permit: Permit,
    /// Where it is to be found.
    pub endpoint: RunEndpoint,
}

/// Where a run that can be used is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEndpoint {
    /// Whose.
    pub service: ServiceName,
    /// Which run.
    pub run: RunId,
    /// Its port on 127.0.0.1, if it has one.
    pub port: Option<u16>,
}

impl RunEndpoint {
    /// For whoever has no permit.
    fn of(status: &ServiceStatus) -> Option<Self> {
        Self::in_state(status, |state| state == ServiceState::Ready)
    }

    /// For whoever is in: what drains waits for him, too.
    fn inside(status: &ServiceStatus) -> Option<Self> {
        Self::in_state(status, |state| matches!(state, ServiceState::Ready | ServiceState::Draining))
    }

    fn in_state(status: &ServiceStatus, is_fit: impl FnOnce(ServiceState) -> bool) -> Option<Self> {
        let run = status.run_id.filter(|_| is_fit(status.state))?;
        Some(Self { service: status.name.clone(), run, port: status.port })
    }
}

impl RuntimeHandle {
    /// The right to use a service: at once if it is ready and has room, otherwise when the turn of this one has come, after
    /// it has been loaded if need be, which is asked for once, and again if it has gone meanwhile. Waits through restarts.
    /// Dropping the future ends the waiting. Works on any executor.
    ///
    /// # Errors
    /// When too many wait already, or it took too long, and as soon as it is known that waiting is of no use; see
    /// [`AdmitError`].
    pub async fn admit(&self, service: &str, arrival: Arrival) -> Result<Admitted, AdmitError> {
        let target = self.find(service).map_err(|_| AdmitError::Gone(service.to_owned()))?;
        if let Some(admitted) = enter(&target) {
            return Ok(admitted);
        }
        let ticket = Ticket { arrival: clock::now(), priority: arrival.priority };
        let Some(max_wait) = arrival.max_wait else { return self.wait_to_enter(&target, ticket).await };
        let patience = self.timer().after(max_wait);
        tokio::select! {
            biased;
            outcome = self.wait_to_enter(&target, ticket) => outcome,
            in_time = patience => {
                let too_late = || AdmitError::too_late(&target.status.borrow(), max_wait);
                Err(if in_time { too_late() } else { AdmitError::Stopping })
            }
        }
    }

    /// A ready run for what is not work: it is neither loaded nor kept. `None` where it is not ready.
    #[must_use]
    pub fn look_in(&self, service: &str) -> Option<RunEndpoint> {
        let target = self.find(service).ok()?;
        RunEndpoint::of(&target.status.borrow())
    }

    /// Waits until it is seen that a run has ended, of which somebody has found out before its supervisor. `false` where
    /// that does not happen soon: it lives, and does not do what it should.
    pub async fn has_ended(&self, endpoint: &RunEndpoint) -> bool {
        let Ok(mut status) = self.watch(endpoint.service.as_str()) else { return true };
        let noticed = status.wait_for(|now| RunEndpoint::of(now).as_ref() != Some(endpoint));
        tokio::select! {
            biased;
            // An error means that its supervisor has gone, and it with it.
            _ = noticed => true,
            _ = self.timer().after(NOTICED) => false,
        }
    }

    async fn wait_to_enter(&self, target: &Supervised, ticket: Ticket) -> Result<Admitted, AdmitError> {
        let gone = |_: watch::error::RecvError| match self.is_stopping() {
            true => AdmitError::Stopping,
            false => AdmitError::Gone(target.spec.name.to_string()),
        };
        let mut status = target.status.clone();
        let mut dependencies = self.statuses_of_dependencies(target);
        let mut asked = None;
        // Also tells its supervisor that a restart is of use to somebody.
        let most = self.inner.spec.gateway.max_waiting;
        let place = target.gate.line_up(ticket, most);
        let mut place = place.map_err(|full| AdmitError::queue_full(&status.borrow(), full.waiting))?;
        let mut inside = None;
        loop {
            // Seen before the look at the place: its gate opens before it is told to be ready.
            let now = status.borrow_and_update().clone();
            inside = inside.or_else(|| place.take());
            if let Some(permit) = inside.take() {
                match RunEndpoint::inside(&now) {
                    Some(endpoint) => return Ok(Admitted { permit, endpoint }),
                    // It is about to be told to be ready.
                    None if target.gate.is_open() => {
                        inside = Some(permit);
                        status.changed().await.map_err(gone)?;
                    }
                    // It has ended since. Whoever had come so far is not sent away for the length of the line.
                    None => {
                        drop(permit);
                        let place_kept = target.gate.line_up(ticket, u32::MAX);
                        place = place_kept.map_err(|full| AdmitError::queue_full(&now, full.waiting))?;
                    }
                }
                continue;
            }
            if self.is_stopping() {
                return Err(AdmitError::Stopping);
            }
            // All are seen, also those behind a dead one: a change of theirs is no news then.
            let found: Vec<ServiceStatus> =
                dependencies.iter_mut().map(|one| one.borrow_and_update().clone()).collect();
            let dead = found.into_iter().find(|one| outcome::is_dead_end(one) || is_kept_down(one));
            match next(&now, asked.as_ref(), dead) {
                Step::Ask => {
                    asked = Some(Mark::of(&now));
                    self.ask_for(target).await?;
                    continue;
                }
                Step::Wait => {}
                Step::GiveUp(why) => return Err(why),
            }
            tokio::select! {
                biased;
                permit = &mut place => inside = Some(permit),
                changed = status.changed() => changed.map_err(gone)?,
                () = any_changes(&mut dependencies) => {}
            }
        }
    }

    /// Asks for a load, and is done once that has been heard, so that the status read next is one from after it.
    async fn ask_for(&self, target: &Supervised) -> Result<(), AdmitError> {
        self.tell_dependencies(target, BY_REQUEST);
        let supervisor = target.supervisor.upgrade().ok_or(AdmitError::Stopping)?;
        supervisor.send(BY_REQUEST).await.map_err(|_| AdmitError::Stopping)
    }
}

/// In, if there is room and nobody waits. The status is read with the permit in hand, which keeps the run.
pub(crate) fn enter(target: &Supervised) -> Option<Admitted> {
    let permit = target.gate.enter()?;
    // One that has ended by itself since is not entered.
    let endpoint = RunEndpoint::inside(&target.status.borrow())?;
    Some(Admitted { permit, endpoint })
}
