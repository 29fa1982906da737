//! Restarts or ends a service for a job.

use std::time::Duration;

use actix::{Handler, Message};
use tokio::time::timeout;

use crate::{
    gate::{Permit, Shut},
    ids::RunId,
    process_supervisor::{
        ProcessSupervisor,
        messages::{CondemnService, RecycleService},
    },
    services::Supervised,
    state::{ServiceState, ServiceStatus},
};

/// How long a run may take to be gone besides its own grace: the kill, and what is left of it then.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Whether nothing of this run can be used any more.
pub(super) fn is_over(status: &ServiceStatus, run: RunId) -> bool {
    status.run_id != Some(run) || !status.state.is_live()
}

/// Waits until this run is over, however that comes about.
pub(super) async fn over(target: &Supervised, run: RunId) {
    // An error: its supervisor is gone, and nothing of it runs.
    drop(target.status.clone().wait_for(|status| is_over(status, run)).await);
}

/// Waits until nobody else is in, at most as long as a drain may take; says whether that is so.
pub(super) async fn alone(target: &Supervised, shut: &Shut) -> bool {
    timeout(target.spec.memory.offload.drain, shut.alone()).await.is_ok()
}

/// Restarts it, and waits until this run is gone. Whoever shuts the gate keeps everybody out until then. The permit is given
/// back before: a restart waits for those who are in.
///
/// # Errors
/// Why the run is not known to be gone.
pub(super) async fn restart(
    target: &Supervised,
    run: RunId,
    permit: Permit,
    shut: &Shut,
    why: String,
) -> Result<(), String> {
    end(target, run, permit, shut, RecycleService { reason: why, when_idle: false }).await
}

/// Has a run ended for what it has done, and waits until it is gone, as [`restart`] does.
///
/// # Errors
/// Why it is not known to be gone.
pub(super) async fn condemn(
    target: &Supervised,
    permit: Permit,
    shut: &Shut,
    condemned: CondemnService,
) -> Result<(), String> {
    end(target, condemned.run, permit, shut, condemned).await
}

async fn end<M>(target: &Supervised, run: RunId, permit: Permit, _shut: &Shut, message: M) -> Result<(), String>
where
    M: Message<Result = ()> + Send + 'static,
    ProcessSupervisor: Handler<M>,
{
    drop(permit);
    if is_over(&target.status.borrow(), run) {
        return Ok(());
    }
    let name = &target.spec.name;
    let supervisor =
        target.supervisor.upgrade().ok_or_else(|| format!("`{name}` cannot be restarted: nobody supervises it"))?;
    supervisor.do_send(message);
    let mut status = target.status.clone();
    let bound = target.spec.stop.grace + GONE_WITHIN;
    let gone = status.wait_for(|status| is_over(status, run) || status.state == ServiceState::Stuck);
    match timeout(bound, gone).await {
        Ok(Ok(status)) if !is_over(&status, run) => Err(format!("`{name}` is stuck")),
        // Without a supervisor nothing of it runs.
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{name}` was to end and has not within {bound:?}")),
    }
}
