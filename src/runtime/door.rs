//! The control socket of a runtime and its door for model traffic, in a build that has them (Cargo feature `gateway`), and
//! what stands in their place otherwise.

use std::path::PathBuf;

use actix::Addr;
use greenroom_actors::{shutdown_coordinator::ShutdownCoordinator, spec::RuntimeSpec};

#[cfg(feature = "gateway")]
pub use crate::gateway::{
    door::{DoorError, Listeners},
    server::{ControlError, ControlServer, bind},
};
#[cfg(feature = "gateway")]
use open::admit_traffic;

#[cfg(not(feature = "gateway"))]
pub use closed::{ControlError, ControlServer, DoorError, Listeners};
#[cfg(not(feature = "gateway"))]
use closed::{admit_traffic, bind};

use super::{RuntimeHandle, StartError};

/// Where a runtime is to be reached; nobody serves there yet.
#[derive(Debug)]
pub struct Doors {
    /// The path of the control socket.
    pub socket: PathBuf,
    /// Where model traffic comes in. Its addresses are taken already.
    pub listeners: Listeners,
}

impl Doors {
    /// Serves at both; traffic until the ordered stop tells its unit to end. To be called on the control thread.
    ///
    /// # Errors
    /// When one of them cannot be served. Nobody serves at the other one then.
    pub async fn open(
        self,
        spec: &RuntimeSpec,
        handle: &RuntimeHandle,
        coordinator: &Addr<ShutdownCoordinator>,
    ) -> Result<ControlServer, StartError> {
        let server = bind(&self.socket, handle.clone())?;
        match admit_traffic(self.listeners, spec, handle, coordinator).await {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop().await;
                Err(error.into())
            }
        }
    }
}

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
    pub struct ControlServer;

    /// Makes no socket: the runtime is told what to do by its handles alone.
    ///
    /// # Errors
    /// Never.
    pub fn bind(_: &Path, _: RuntimeHandle) -> Result<ControlServer, ControlError> {
        Ok(ControlServer)
    }

    impl ControlServer {
        /// There is nothing to close.
        pub async fn stop(self) {}
    }
}
