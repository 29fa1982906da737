//! Waits for the right to use a service.

use actix::{Handler, Message};
use futures_util::future::{FutureExt, select_all};
use tokio::sync::watch;

use super::judgement::{AdmitError, Mark, Step, is_dead_end, is_kept_down, may_be_started, next};
use crate::{
    gate::{Permit, Ticket},
    ids::{RunId, ServiceName},
    lease::Wish,
    process_supervisor::{ProcessSupervisor, messages::LoadService},
    services::{ServiceSet, Supervised, with_dependencies},
    state::{ServiceState, ServiceStatus},
};

/// A load for work that has come, which leaves what is kept down as it is.
pub const BY_REQUEST: LoadService = LoadService { wish: Wish::Wanted, lifts: false };

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
    /// For whoever has no permit: while it is ready.
    #[must_use]
    pub fn of(status: &ServiceStatus) -> Option<Self> {
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

/// In, if there is room and nobody waits. The status is read with the permit in hand, which keeps the run.
#[must_use]
pub fn enter(target: &Supervised) -> Option<Admitted> {
    let permit = target.gate.enter()?;
    // One that has ended by itself since is not entered.
    let endpoint = RunEndpoint::inside(&target.status.borrow())?;
    Some(Admitted { permit, endpoint })
}

/// One who wants to use a service and was not let in at once.
#[derive(Debug)]
pub struct Applicant<'a> {
    /// All there are, for what the service depends on.
    pub services: &'a ServiceSet,
    /// The service.
    pub target: &'a Supervised,
    /// When he came, and how urgent it is.
    pub ticket: Ticket,
    /// He is refused where so many stand in line already.
    pub most: u32,
}

impl Applicant<'_> {
    /// Waits until he is in: loads the service, which is asked for once, and again if it has gone meanwhile. Waits through
    /// restarts. Dropping the future ends the waiting. Works on any executor.
    ///
    /// # Errors
    /// When too many wait already, and as soon as it is known that waiting is of no use.
    pub async fn wait(&self, is_stopping: impl Fn() -> bool) -> Result<Admitted, AdmitError> {
        let Self { target, ticket, most, .. } = *self;
        let gone = |_: watch::error::RecvError| match is_stopping() {
            true => AdmitError::Stopping,
            false => AdmitError::Gone(target.spec.name.to_string()),
        };
        let mut status = target.status.clone();
        let mut dependencies = self.services.statuses_of_dependencies(target);
        let mut asked = None;
        // Also tells its supervisor that a restart is of use to somebody.
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
            if is_stopping() {
                return Err(AdmitError::Stopping);
            }
            // All are seen, also those behind a dead one: a change of theirs is no news then.
            let found: Vec<ServiceStatus> =
                dependencies.iter_mut().map(|one| one.borrow_and_update().clone()).collect();
            let dead = found.into_iter().find(|one| is_dead_end(one) || is_kept_down(one));
            match next(&now, asked.as_ref(), dead) {
                Step::Ask => {
                    asked = Some(Mark::of(&now));
                    self.ask().await?;
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
    async fn ask(&self) -> Result<(), AdmitError> {
        tell_dependencies(self.services, self.target, BY_REQUEST);
        let supervisor = self.target.supervisor.upgrade().ok_or(AdmitError::Stopping)?;
        supervisor.send(BY_REQUEST).await.map_err(|_| AdmitError::Stopping)
    }
}

/// Tells this to everything that a service depends on and that is not up or on its way.
pub fn tell_dependencies<M>(services: &ServiceSet, target: &Supervised, message: M)
where
    M: Message<Result = ()> + Copy + Send + 'static,
    ProcessSupervisor: Handler<M>,
{
    let services = services.all();
    let names = with_dependencies(&services, [target.spec.name.clone()]);
    for service in services.iter().filter(|s| names.contains(&s.spec.name)) {
        let is_down = service.spec.name != target.spec.name && may_be_started(&service.status.borrow());
        if let Some(supervisor) = service.supervisor.upgrade().filter(|_| is_down) {
            supervisor.do_send(message);
        }
    }
}

/// Waits until one of them changes; forever if there is none. One whose sender is gone counts as unchanged.
pub async fn any_changes(statuses: &mut [watch::Receiver<ServiceStatus>]) {
    let open = statuses.iter_mut().filter(|s| s.has_changed().is_ok());
    let waits: Vec<_> = open.map(|s| s.changed().boxed()).collect();
    if waits.is_empty() {
        std::future::pending::<()>().await;
    }
    // Closed or changed, the caller looks again either way.
    drop(select_all(waits).await.0);
}
