//! The control socket of a runtime and its door for model traffic, in a build that has them (Cargo feature `gateway`), and
//! what stands in their place otherwise.

#[cfg(feature = "gateway")]
pub use crate::gateway::{
    door::{DoorError, Listeners},
    server::{ControlError, bind},
};
#[cfg(feature = "gateway")]
pub use open::admit_traffic;

#[cfg(not(feature = "gateway"))]
pub use closed::{ControlError, DoorError, Listeners, admit_traffic, bind};

#[cfg(feature = "gateway")]
mod open {
    use actix::{Actor, Addr};
    use greenroom_actors::{
        assembly::HISTORY_UNIT,
        shutdown_coordinator::{ShutdownCoordinator, messages::Register},
        spec::RuntimeSpec,
    };

    use crate::{
        gateway::door::{DoorError, Listeners, open, unit},
        runtime::RuntimeHandle,
    };

    /// Serves model traffic on these listeners, if there are any, until the ordered stop tells the unit `gateway` to end.
    ///
    /// # Errors
    /// When the system refuses, or the stop has begun already.
    pub async fn admit_traffic(
        listeners: Listeners,
        spec: &RuntimeSpec,
        handle: &RuntimeHandle,
        coordinator: &Addr<ShutdownCoordinator>,
    ) -> Result<(), DoorError> {
        if listeners.is_empty() {
            return Ok(());
        }
        let urls = listeners.urls().join(", ");
        let door = open(listeners, &spec.gateway, handle.clone())?;
        let drain = spec.shutdown.drain;
        let stop = unit::Doorkeeper::new(door, handle.clone(), drain).start().recipient();
        let (name, bound) = (unit::UNIT.to_owned(), unit::bound(drain));
        let register = Register { name, depends_on: vec![HISTORY_UNIT.to_owned()], bound, stop };
        let registered = coordinator.send(register).await;
        if !matches!(registered, Ok(Ok(()))) {
            return Err(DoorError::NoOrder);
        }
        if !urls.is_empty() {
            tracing::info!("the gateway listens on {urls}");
        }
        Ok(())
    }
}

#[cfg(not(feature = "gateway"))]
mod closed {
    use std::path::Path;

    use actix::Addr;
    use greenroom_actors::{shutdown_coordinator::ShutdownCoordinator, spec::RuntimeSpec};

    use crate::runtime::RuntimeHandle;

    /// Why there is no door: in this build nobody tries.
    #[derive(Debug, thiserror::Error)]
    pub enum DoorError {}

    /// No addresses at all.
    #[derive(Debug)]
    pub struct Listeners;

    impl Listeners {
        /// Opens none, and says so where some were wanted.
        ///
        /// # Errors
        /// Never.
        pub fn bind(spec: &RuntimeSpec) -> Result<Self, DoorError> {
            let is_wanted = !spec.gateway.listen.is_empty() || spec.services.iter().any(|s| s.door.listen.is_some());
            if is_wanted {
                tracing::warn!(
                    "this build has no gateway (Cargo feature `gateway`), so gateway.listen and service.*.listen are not served"
                );
            }
            Ok(Self)
        }

        /// Nowhere.
        #[must_use]
        pub fn urls(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// Serves nothing.
    ///
    /// # Errors
    /// Never.
    pub async fn admit_traffic(
        _: Listeners,
        _: &RuntimeSpec,
        _: &RuntimeHandle,
        _: &Addr<ShutdownCoordinator>,
    ) -> Result<(), DoorError> {
        Ok(())
    }

    /// Why the control socket could not be made: in this build nobody tries.
    #[derive(Debug, thiserror::Error)]
    pub enum ControlError {}

    /// No socket at all.
    #[derive(Debug)]
    pub struct NoServer;

    /// Makes no socket: the runtime is told what to do by its handles alone.
    ///
    /// # Errors
    /// Never.
    pub fn bind(_: &Path, _: RuntimeHandle) -> Result<NoServer, ControlError> {
        Ok(NoServer)
    }

    impl NoServer {
        /// There is nothing to close.
        pub async fn stop(self) {}
    }
}
