//! The services there are, as everybody but their supervisors sees them.

use std::{cmp::Reverse, sync::Arc};

use actix::WeakAddr;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{
    gate::Gate,
    ids::ServiceName,
    lease::Wish,
    process_supervisor::{
        ProcessSupervisor,
        messages::{AdoptService, StartService},
    },
    spec::{ServiceSpec, StartMode},
    state::ServiceStatus,
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

    fn swap(&self, change: impl Fn(&mut Vec<Supervised>)) {
        self.0.services.rcu(|services| {
            let mut services = (**services).clone();
            change(&mut services);
            services
        });
        self.0.swapped.send_replace(());
    }

    /// Adds one at the end, or puts it in the place of the one of its name.
    pub(super) fn put(&self, service: &Supervised) {
        self.swap(|services| match services.iter_mut().find(|s| s.spec.name == service.spec.name) {
            Some(place) => *place = service.clone(),
            None => services.push(service.clone()),
        });
    }

    pub(super) fn remove(&self, name: &ServiceName) {
        self.swap(|services| services.retain(|s| s.spec.name != *name));
    }

    /// Puts them into this order; those that it does not name come last, as they were.
    pub(super) fn arrange(&self, names: &[ServiceName]) {
        let place = |s: &Supervised| names.iter().position(|name| *name == s.spec.name).unwrap_or(names.len());
        self.swap(|services| services.sort_by_key(place));
    }
}

/// Hands every service its run of an earlier runtime, where one lives. To be called before anything is started.
pub fn adopt_kept(services: &[Supervised]) {
    for supervisor in by_priority(services.iter()).into_iter().filter_map(|s| s.supervisor.upgrade()) {
        supervisor.do_send(AdoptService);
    }
}

/// Starts the eager services and what they depend on, higher priorities first: memory is given in the order of the
/// questions. Each waits for its own dependencies, so all are told at once.
pub fn start_eager(services: &[Supervised]) {
    let eager = services.iter().filter(|s| s.spec.start == StartMode::Eager).map(|s| s.spec.name.clone());
    let wanted = with_dependencies(services, eager);
    for service in by_priority(services.iter().filter(|s| wanted.contains(&s.spec.name))) {
        if let Some(supervisor) = service.supervisor.upgrade() {
            supervisor.do_send(StartService { wish: Wish::Eager });
        }
    }
}

/// Supervisors take their turns in the order in which they are first told something, so that order is the same each time.
fn by_priority<'a>(services: impl Iterator<Item = &'a Supervised>) -> Vec<&'a Supervised> {
    let mut order: Vec<&Supervised> = services.collect();
    order.sort_by_key(|service| Reverse(service.spec.memory.priority));
    order
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
