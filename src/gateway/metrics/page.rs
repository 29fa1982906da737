//! Which figures there are. Pure.
//!
//! Labels are names of services, pools and cards, states, statuses and codes: nothing that a stranger sends. What nobody measures
//! is left out and not told as 0.

use std::collections::BTreeSet;

use greenroom_actors::{
    ids::ServiceName,
    job::{JobName, JobState},
    resource_orchestrator::view::{CardView, MemorySnapshot},
    state::ServiceState,
};

use super::text::{Kind, Page};
use crate::runtime::{
    JobCount,
    metrics::Metrics,
    view::{ServiceView, StatusView},
};

/// The names on the page, in their order.
pub const NAMES: [&str; 22] = [
    "greenroom_service_state",
    "greenroom_service_restarts_total",
    "greenroom_service_processes",
    "greenroom_service_ram_bytes",
    "greenroom_service_vram_bytes",
    "greenroom_service_in_flight",
    "greenroom_queue_waiting",
    "greenroom_gpu_memory_used_bytes",
    "greenroom_gpu_memory_total_bytes",
    "greenroom_lease_bytes",
    "greenroom_requests_total",
    "greenroom_request_seconds",
    "greenroom_queue_wait_seconds",
    "greenroom_requests_unrecorded_total",
    "greenroom_requests_refused_total",
    "greenroom_swaps_total",
    "greenroom_swap_seconds",
    "greenroom_jobs",
    "greenroom_jobs_total",
    "greenroom_watchdog_alerts_total",
    "greenroom_actor_mailbox_lag_seconds",
    "greenroom_orphans_swept_total",
];

/// The page at this moment.
#[must_use]
pub fn page(status: &StatusView, open: &[JobCount], memory: &MemorySnapshot, metrics: &Metrics) -> String {
    let mut page = Page::default();
    services(&mut page, &status.services);
    cards(&mut page, &status.services, memory);
    requests(&mut page, metrics);
    swaps(&mut page, metrics);
    jobs(&mut page, open, metrics);
    watch(&mut page, status, metrics);
    let help = "Processes of an earlier runtime that were ended at the start.";
    page.family("greenroom_orphans_swept_total", Kind::Counter, help).whole(&[], metrics.swept);
    page.finish()
}

fn services(page: &mut Page, services: &[ServiceView]) {
    let help = "1 for the state in which a service is, 0 for the others.";
    let mut family = page.family("greenroom_service_state", Kind::Gauge, help);
    for service in services {
        for state in ServiceState::ALL {
            let labels = [("service", service.name.as_str()), ("state", state.name())];
            family.whole(&labels, u64::from(service.state == state));
        }
    }
    let restarts = ("greenroom_service_restarts_total", Kind::Counter, "Restarts of a service after failures.");
    each(page, services, restarts, &|service| service.restarts.total);
    let processes = ("greenroom_service_processes", Kind::Gauge, "Processes of a service.");
    each(page, services, processes, &|service| service.containment.processes as u64);
    let ram = ("greenroom_service_ram_bytes", Kind::Gauge, "Resident host memory of all processes of a service.");
    each(page, services, ram, &|service| service.memory.ram);
    let help = "GPU memory of a service by card: measured, or, where nobody measures, as much as it may hold.";
    let mut family = page.family("greenroom_service_vram_bytes", Kind::Gauge, help);
    for service in services {
        for (gpu, bytes) in &service.memory.vram {
            family.whole(&[("service", service.name.as_str()), ("gpu", gpu)], *bytes);
        }
    }
    let help = "Requests, and users in an embedding application, that use a service.";
    let in_flight = ("greenroom_service_in_flight", Kind::Gauge, help);
    each(page, services, in_flight, &|service| u64::from(service.in_flight));
    let help = "Requests, and users in an embedding application, that wait for a service.";
    let mut family = page.family("greenroom_queue_waiting", Kind::Gauge, help);
    for service in services {
        family.whole(&[("model", service.name.as_str())], u64::from(service.in_line));
    }
}

/// One figure of each service.
fn each(
    page: &mut Page,
    services: &[ServiceView],
    (name, kind, help): (&str, Kind, &str),
    value: &dyn Fn(&ServiceView) -> u64,
) {
    let mut family = page.family(name, kind, help);
    for service in services {
        family.whole(&[("service", service.name.as_str())], value(service));
    }
}

fn cards(page: &mut Page, services: &[ServiceView], memory: &MemorySnapshot) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&CardView) -> Option<u64>| {
        let mut family = page.family(name, Kind::Gauge, help);
        for card in &memory.cards {
            let index = card.index.to_string();
            let labels = [("id", index.as_str()), ("name", card.name.as_str()), ("uuid", &card.id.0)];
            if let Some(bytes) = value(card) {
                family.whole(&labels, bytes);
            }
        }
    };
    each("greenroom_gpu_memory_used_bytes", "Memory of a card in use, by whomever.", &|card| card.used);
    each("greenroom_gpu_memory_total_bytes", "All memory of a card.", &|card| Some(card.total));
    let help = "Memory that a service may hold, by card (its UUID) and in RAM (`ram`).";
    let mut family = page.family("greenroom_lease_bytes", Kind::Gauge, help);
    for service in services {
        let Some(lease) = &service.lease else { continue };
        let name = service.name.as_str();
        for (gpu, bytes) in &lease.amounts.vram {
            family.whole(&[("service", name), ("pool", &gpu.0)], *bytes);
        }
        family.whole(&[("service", name), ("pool", "ram")], lease.amounts.ram);
    }
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let all = metrics.requests.read();
    let name = |service: &Option<ServiceName>| service.as_ref().map_or("", ServiceName::as_str).to_owned();
    let help = "Requests that have ended, by service and status; without a name those that went to none, with 499 those \
                whose client left before there was an answer.";
    let mut family = page.family("greenroom_requests_total", Kind::Counter, help);
    for (service, counts) in &all {
        for (status, count) in &counts.by_status {
            family.whole(&[("model", &name(service)), ("code", &status.to_string())], *count);
        }
    }
    let help = "Seconds from a request's coming to the end of its answer.";
    let mut family = page.family("greenroom_request_seconds", Kind::Histogram, help);
    for (service, counts) in &all {
        family.histogram(&[("model", &name(service))], &counts.took);
    }
    let help = "Seconds from a request's coming until a service let it in.";
    let mut family = page.family("greenroom_queue_wait_seconds", Kind::Histogram, help);
    for (service, counts) in all.iter().filter(|(service, _)| service.is_some()) {
        family.histogram(&[("model", &name(service))], &counts.waited);
    }
    let help = "Requests that were not written to the history because too many came at once.";
    let mut family = page.family("greenroom_requests_unrecorded_total", Kind::Counter, help);
    family.whole(&[], metrics.ledger.left_out());
    let help = "Requests that the gateway turned away before it looked for whom they were meant, by the code of the answer; \
                they are in no other figure.";
    let mut family = page.family("greenroom_requests_refused_total", Kind::Counter, help);
    for (why, count) in metrics.refused.read() {
        family.whole(&[("reason", why.name())], count);
    }
}

fn swaps(page: &mut Page, metrics: &Metrics) {
    let help = "Swaps by who left and who came; one for which several left counts for each of them.";
    let mut family = page.family("greenroom_swaps_total", Kind::Counter, help);
    for ((from, to), count) in metrics.swaps.pairs() {
        let from = from.as_ref().map_or("", ServiceName::as_str);
        family.whole(&[("from", from), ("to", to.as_str())], count);
    }
    let help =
        "Seconds from the wish for a service to its being ready, where others had to leave or memory to come back.";
    page.family("greenroom_swap_seconds", Kind::Histogram, help).histogram(&[], &metrics.swaps.took());
}

fn jobs(page: &mut Page, open: &[JobCount], metrics: &Metrics) {
    let ended = metrics.jobs.read();
    let kinds: BTreeSet<&JobName> =
        open.iter().map(|count| &count.job).chain(ended.keys().map(|(job, _)| job)).collect();
    let help = "Jobs that are open, by kind and state; of kinds that there was a job of.";
    let mut family = page.family("greenroom_jobs", Kind::Gauge, help);
    for job in kinds {
        for state in JobState::ALL.into_iter().filter(|state| !state.is_final()) {
            let count =
                open.iter().find(|count| count.job == *job && count.state == state).map_or(0, |count| count.count);
            family.whole(&[("job", job.as_str()), ("state", state.name())], count);
        }
    }
    let help = "Jobs that have come to their end, by kind and how they ended.";
    let mut family = page.family("greenroom_jobs_total", Kind::Counter, help);
    for ((job, state), count) in &ended {
        family.whole(&[("job", job.as_str()), ("state", state.name())], *count);
    }
}

fn watch(page: &mut Page, status: &StatusView, metrics: &Metrics) {
    let help = "Alerts that were raised, by name and severity; one that gets worse counts for each severity.";
    let mut family = page.family("greenroom_watchdog_alerts_total", Kind::Counter, help);
    for ((alert, severity), count) in &metrics.alerts.raised() {
        family.whole(&[("kind", alert), ("severity", severity.name())], *count);
    }
    let help = "Seconds that an actor's last sign of life took, or has been waited for.";
    let mut family = page.family("greenroom_actor_mailbox_lag_seconds", Kind::Gauge, help);
    for (actor, lag) in &status.watch.actors {
        family.number(&[("actor", actor)], *lag);
    }
}
