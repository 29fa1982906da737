//! The services there are, as everybody but their supervisors sees them.

use std::sync::Arc;

use actix::WeakAddr;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{
    gate::Gate, ids::ServiceName, process_supervisor::ProcessSupervisor, spec::ServiceSpec, state::ServiceStatus,
};

/// One supervised service, as seen from above.
#[derive(Debug, Clone)]
pub struct Supervised {
    /// What it is.
    pub spec: Arc<ServiceSpec>,
    /// Its supervisor. Weak: whoever keeps this to look at it must not keep the actor, and with it its thread's
    /// executor, after the end. The coordinator keeps the actor.
    pub supervisor: WeakAddr<ProcessSupervisor>,
    /// What it is doing.
    pub status: watch::Receiver<ServiceStatus>,
    /// Open while it can be used.
    pub gate: Gate,
}

/// Every service, in the order of the configuration. Clones are the same set; it is swapped whole on a change, so that
/// whoever reads it waits for nobody.
#[derive(Debug, Clone, Default)]
pub struct ServiceSet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    services: ArcSwap<Vec<Supervised>>,
    swapped: watch::Sender<()>,
}

impl ServiceSet {
    /// The services of this moment.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Supervised>> {
        self.0.services.load_full()
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Supervised> {
        self.0.services.load().iter().find(|s| s.spec.name.as_str() == name).cloned()
    }

    /// Changes whenever a service comes, goes, is configured otherwise, or takes another place.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.swapped.subscribe()
    }

    /// How everything fares that a service depends on, and what that depends on.
    #[must_use]
    pub fn statuses_of_dependencies(&self, target: &Supervised) -> Vec<watch::Receiver<ServiceStatus>> {
        let services = self.all();
        let names = with_dependencies(&services, [target.spec.name.clone()]);
        let others = |s: &&Supervised| s.spec.name != target.spec.name && names.contains(&s.spec.name);
        services.iter().filter(others).map(|s| s.status.clone()).collect()
    }

    fn swap(&self, change: impl Fn(&mut Vec<Supervised>)) {
        self.0.services.rcu(|services| {
            let mut services = (**services).clone();
            change(&mut services);
            services
        });
        self.0.swapped.send_replace(());
    }

    /// Adds one at the end, or puts it in the place of the one of its name.
    pub(crate) fn put(&self, service: &Supervised) {
        self.swap(|services| match services.iter_mut().find(|s| s.spec.name == service.spec.name) {
            Some(place) => *place = service.clone(),
            None => services.push(service.clone()),
        });
    }

    pub(crate) fn remove(&self, name: &ServiceName) {
        self.swap(|services| services.retain(|s| s.spec.name != *name));
    }

    /// Puts them into this order; those that it does not name come last, as they were.
    pub(crate) fn arrange(&self, names: &[ServiceName]) {
        let place = |s: &Supervised| names.iter().position(|name| *name == s.spec.name).unwrap_or(names.len());
        self.swap(|services| services.sort_by_key(place));
    }
}

/// `names` and everything they depend on, without repeats.
#[must_use]
pub fn with_dependencies(services: &[Supervised], names: impl IntoIterator<Item = ServiceName>) -> Vec<ServiceName> {
    let mut wanted: Vec<ServiceName> = Vec::new();
    let mut open: Vec<ServiceName> = names.into_iter().collect();
    while let Some(name) = open.pop() {
        if wanted.contains(&name) {
            continue;
        }
        let found = services.iter().find(|s| s.spec.name == name);
        open.extend(found.iter().flat_map(|s| s.spec.depends_on.iter().map(|d| d.service.clone())));
        wanted.push(name);
    }
    wanted
}
