//! The door's place in the ordered stop: the unit `gateway`.
//!
//! It is registered last and so told first. The history alone waits for its end, for the last requests: each request in it holds a permit of its service,
//! whose own drain waits for that, and services that nobody uses may end meanwhile.

use std::time::Duration;

use actix::{Actor, Context, Handler};
use greenroom_actors::{
    os::clock,
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
};
use tokio::sync::watch;

use super::server::{OpenDoor, THREADS_END};
use crate::runtime::RuntimeHandle;

/// The name of the unit.
pub const UNIT: &str = "gateway";

/// How long the unit may take to stop, with this drain.
#[must_use]
pub fn bound(drain: Duration) -> Duration {
    drain.saturating_add(THREADS_END * 2)
}

/// Closes the door when it is told to.
#[derive(Debug)]
pub struct Doorkeeper {
    door: Option<(OpenDoor, RuntimeHandle)>,
    drain: Duration,
    /// Turns to `true` when nobody is to be waited for any more.
    hurry: watch::Sender<bool>,
}

impl Doorkeeper {
    /// Keeps this door; whoever is in may stay for `drain` once it closes.
    #[must_use]
    pub fn new(door: OpenDoor, runtime: RuntimeHandle, drain: Duration) -> Self {
        Self { door: Some((door, runtime)), drain, hurry: watch::Sender::new(false) }
    }
}

impl Actor for Doorkeeper {
    type Context = Context<Self>;
}

impl Handler<StopUnit> for Doorkeeper {
    type Result = ();

    fn handle(&mut self, StopUnit { name, until, force, answer }: StopUnit, _: &mut Self::Context) {
        if force {
            self.hurry.send_replace(true);
        }
        // Told once more, it has been told to hurry; the first answer is the only one.
        let Some((door, runtime)) = self.door.take() else { return };
        let last = until.checked_sub(THREADS_END).unwrap_or(until);
        let until = clock::now().checked_add(self.drain).map_or(last, |drained| drained.min(last));
        let hurry = self.hurry.subscribe();
        // Not tied to this actor's life: who is in is waited for whatever becomes of it.
        drop(actix_rt::spawn(async move {
            let cut = door.close(until, hurry).await;
            if cut > 0 {
                tracing::warn!("the gateway closed with {cut} requests in flight, whose time was over");
            }
            // The history closes after this, so the last requests are in it.
            runtime.write_requests().await;
            answer.do_send(UnitStopped { name, outcome: StopOutcome::Clean });
        }));
    }
}
