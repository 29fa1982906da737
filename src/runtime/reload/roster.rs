//! The supervisors of a running runtime, for a reload.

use std::sync::Arc;

use greenroom_actors::{assembly::RosterError, ids::ServiceName, spec::ServiceSpec, state::ServiceStatus};
use tokio::sync::watch;

use super::apply::Supervisors;
use crate::runtime::{RuntimeHandle, ServiceCommand};

impl Supervisors for RuntimeHandle {
    async fn add(&self, spec: Arc<ServiceSpec>) -> Result<(), RosterError> {
        self.inner.roster.add(spec).await.map(drop)
    }

    async fn remove(&self, name: &ServiceName) -> Result<(), RosterError> {
        self.inner.roster.remove(name).await
    }

    async fn reconfigure(&self, spec: Arc<ServiceSpec>, restart: bool) -> Result<(), RosterError> {
        self.inner.roster.reconfigure(spec, restart).await
    }

    fn status(&self, name: &ServiceName) -> Option<watch::Receiver<ServiceStatus>> {
        self.watch(name.as_str()).ok()
    }

    fn start(&self, name: &ServiceName) {
        // An error means that the runtime is stopping, or that the service has been removed again.
        drop(self.tell(name.as_str(), ServiceCommand::Start));
    }

    fn arrange(&self, names: &[ServiceName]) {
        self.inner.roster.arrange(names);
        self.inner.board.nudge();
    }
}
