//! The way in, for whoever holds a handle; see [`admit`](greenroom_actors::admit).

use std::time::Duration;

use greenroom_actors::{
    admit::{AdmitError, Admitted, Applicant, RunEndpoint, enter},
    gate::Ticket,
    os::clock,
    services::Supervised,
};

use super::RuntimeHandle;

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
        let (services, most) = (self.inner.roster.services(), self.inner.spec.gateway.max_waiting);
        Applicant { services, target, ticket, most }.wait(|| self.is_stopping()).await
    }
}
