//! Asking a running runtime for a reload.

use super::{ReloadError, ReloadReport};
use crate::runtime::RuntimeHandle;

impl RuntimeHandle {
    /// Reads the configuration anew, applies what has changed, and waits for what comes of it: for the services that it
    /// restarts or adds, until they are ready or will not be. A service that fails is in the report. Dropping the future
    /// stops the waiting, not the reload. Needs no executor of its own.
    ///
    /// # Errors
    /// When the configuration cannot be used, or there is none to read. Nothing has changed then.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        self.bell()?.ask(true).await
    }

    /// The same, but it waits only until the services have been told.
    ///
    /// # Errors
    /// As [`reload`](Self::reload).
    pub async fn reload_without_waiting(&self) -> Result<ReloadReport, ReloadError> {
        self.bell()?.ask(false).await
    }

    /// Asks for a reload and returns at once: log and events say what comes of it.
    ///
    /// # Errors
    /// When there is no configuration to read, or too many wait for theirs.
    pub fn request_reload(&self) -> Result<(), ReloadError> {
        self.bell()?.signal()
    }
}
