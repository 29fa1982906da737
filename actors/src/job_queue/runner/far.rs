//! The remotes, for jobs that are requests to one.
//!
//! How a remote is spoken to (TLS, certificates) is not known in here: whoever builds the runtime hands it in.

use std::{fmt, sync::Arc};

use super::wire::{Sending, Wire};
use crate::remote::{Remote, Remotes, Site};

/// Knows how to speak to a URL of a remote.
pub trait FarWires: fmt::Debug + Send + Sync {
    /// What sends requests to this URL, with the remote's key.
    fn wire(&self, remote: &Arc<Remote>, site: &Arc<Site>) -> Arc<dyn Wire>;

    /// Asks this URL, which may be on another machine than the remote is (`reset.http`).
    fn ask(&self, remote: &Arc<Remote>, method: &str, url: &str) -> Sending;
}

/// The remotes, and how they are spoken to.
#[derive(Debug, Clone, Default)]
pub struct Far {
    /// All of them.
    pub remotes: Remotes,
    /// How; `None` in a build that cannot.
    pub wires: Option<Arc<dyn FarWires>>,
}
