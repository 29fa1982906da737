//! What a bundle is made from.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::secrets::Secrets;
use crate::{
    event::EventBus, os::containment::Containment, resource_orchestrator::view::MemoryBoard, services::ServiceSet,
    time::Timestamp,
};

/// Where everything is that a bundle tells of.
#[derive(Debug, Clone)]
pub struct Source {
    /// The version of Greenroom.
    pub version: String,
    /// The state dir: logs, and the reports of earlier ends.
    pub state_dir: PathBuf,
    /// The database of the history.
    pub history: PathBuf,
    /// The configuration that was read last, and the secrets of all.
    pub config: ConfigText,
    /// The runtime, if one is running in this process.
    pub running: Option<Running>,
}

/// A running runtime, to be looked at without asking any actor: one of them may be what hangs.
#[derive(Debug, Clone)]
pub struct Running {
    /// When it was started.
    pub started: Timestamp,
    /// What happened last.
    pub bus: EventBus,
    /// Its services.
    pub services: ServiceSet,
    /// The workers of its jobs.
    pub workers: ServiceSet,
    /// How trees are held.
    pub containment: Arc<dyn Containment>,
    /// Cards, leases, needs.
    pub memory: MemoryBoard,
    /// What the watchdog has seen: alerts and its last sample.
    pub watch: Shown,
}

/// Something that can be shown as JSON at any time, from any thread, without a wait.
#[derive(Clone)]
pub struct Shown(Arc<dyn Fn() -> serde_json::Value + Send + Sync>);

impl Shown {
    /// What `show` gives.
    pub fn new(show: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> serde_json::Value {
        (self.0)()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// The configuration that was read last as text, with its secrets masked; and the secrets of every one that was read, so that
/// they can be taken out of everything else. Clones are the same: whoever reads a configuration anew puts it here.
#[derive(Debug, Clone, Default)]
pub struct ConfigText(Arc<Mutex<(Option<String>, Secrets)>>);

impl ConfigText {
    /// Puts another one in its place; without a text where there is none, as for a runtime that was built in code. Secrets stay
    /// known: logs and history still hold those of before, and some are in force until the next start.
    pub fn put(&self, text: Option<String>, secrets: &Secrets) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut known.1).and(secrets);
        *known = (text, all);
    }

    /// The text, if there is one, and the secrets.
    #[must_use]
    pub fn look(&self) -> (Option<String>, Secrets) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
