//! The remotes, as the door and the jobs of a runtime share them.

use greenroom_actors::{job_queue::runner::far::Far, remote::Remotes, spec::RemoteSpec};

/// Those of a configuration, and how they are spoken to.
#[cfg(feature = "gateway")]
pub(super) fn far(specs: &[RemoteSpec]) -> Far {
    let remotes = Remotes::new(specs);
    let wires: std::sync::Arc<dyn greenroom_actors::job_queue::runner::far::FarWires> =
        std::sync::Arc::new(crate::gateway::FarConnections::new(&remotes));
    Far { wires: Some(wires), remotes }
}

/// Without the gateway nobody knows how to speak to one.
#[cfg(not(feature = "gateway"))]
pub(super) fn far(specs: &[RemoteSpec]) -> Far {
    Far { wires: None, remotes: Remotes::new(specs) }
}
