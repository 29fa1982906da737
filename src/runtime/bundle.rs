//! A diagnostic bundle for somebody who asks for one.

use std::path::PathBuf;

use greenroom_actors::watchdog::{bundle::BundleError, deed::Occasion};

use super::RuntimeHandle;

/// What a bundle is made for that a person asks for: a part of its file name.
pub const ASKED: &str = "asked";

impl RuntimeHandle {
    /// Makes a diagnostic bundle, waits for its end, and gives its path: a `tar` archive in the folder `bundles` of the
    /// state dir, without secrets. Takes some tenths of a second, and some seconds for each part of the machine that hangs.
    ///
    /// # Errors
    /// When it cannot be written, or the runtime is stopping.
    pub async fn bundle(&self) -> Result<PathBuf, BundleError> {
        let message = "somebody has asked for this bundle".to_owned();
        self.inner.bundler.make_now(Occasion { what: ASKED.to_owned(), service: None, message }).await
    }
}
