//! What is told to all services when the runtime starts.

use std::cmp::Reverse;

use crate::{
    lease::Wish,
    process_supervisor::messages::{AdoptService, StartService},
    services::{Supervised, with_dependencies},
    spec::StartMode,
};

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
