//! The control socket of a runtime, in a build that has one (Cargo feature `gateway`), and what stands in its place
//! otherwise.

#[cfg(feature = "gateway")]
pub use crate::gateway::server::{ControlError, bind};

#[cfg(not(feature = "gateway"))]
pub use closed::{ControlError, bind};

#[cfg(not(feature = "gateway"))]
mod closed {
    use std::path::Path;

    use crate::runtime::RuntimeHandle;

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
