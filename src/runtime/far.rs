//! What is spoken to elsewhere: the remotes, as the door and the jobs of a runtime share them, and the webhook that is told
//! of alerts.

use std::sync::Arc;

use greenroom_actors::{
    job_queue::runner::far::Far,
    remote::Remotes,
    spec::{NotifySpec, RemoteSpec},
    watchdog::notify::Post,
};

/// Those of a configuration, and how they are spoken to.
#[cfg(feature = "gateway")]
pub(super) fn far(specs: &[RemoteSpec]) -> Far {
    let remotes = Remotes::new(specs);
    let wires: Arc<dyn greenroom_actors::job_queue::runner::far::FarWires> =
        Arc::new(crate::gateway::FarConnections::new(&remotes));
    Far { wires: Some(wires), remotes }
}

/// Without the gateway nobody knows how to speak to one.
#[cfg(not(feature = "gateway"))]
pub(super) fn far(specs: &[RemoteSpec]) -> Far {
    Far { wires: None, remotes: Remotes::new(specs) }
}

/// What sends alerts to a webhook, if there is one.
#[cfg(feature = "gateway")]
pub(super) fn post(notify: &NotifySpec) -> Option<Arc<dyn Post>> {
    let url = notify.webhook.as_ref()?;
    Some(Arc::new(crate::gateway::Postman::for_url(url)))
}

/// Without the gateway nobody knows how.
#[cfg(not(feature = "gateway"))]
pub(super) fn post(_: &NotifySpec) -> Option<Arc<dyn Post>> {
    None
}
