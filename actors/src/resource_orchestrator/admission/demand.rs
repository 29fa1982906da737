//! From what a service needs to what the planner is asked.

use crate::{
    ids::ServiceName,
    memory::{GpuId, Need, Placement},
    resource_orchestrator::{ledger::Ledger, planner::Demand},
    spec::{GpuChoice, GpuName, ServiceSpec},
};

/// The planner's question. Cards that do not work are left out; where all of several are wanted and one does not work,
/// there is none. `asleep`: where its run sleeps, which can wake up there and nowhere else. `again`: where it was. `at_most`:
/// layers that may go to cards.
pub(super) fn demand(
    ledger: &Ledger,
    spec: &ServiceSpec,
    need: &Need,
    may_push_out: bool,
    (asleep, again): (Option<Placement>, Option<Placement>),
    at_most: Option<u32>,
) -> Demand {
    let (gpus, all_of_them) = match &spec.memory.gpu {
        GpuChoice::Any => (ledger.working().map(|book| book.card.id.clone()).collect(), false),
        GpuChoice::None => (Vec::new(), false),
        GpuChoice::These(names) => (these(ledger, names), names.len() > 1),
    };
    let is_there = |placement: &Placement| placement.gpus.iter().all(|gpu| gpus.contains(gpu));
    let (gpus, again) = match asleep {
        Some(place) if is_there(&place) => (gpus, Some(place)),
        Some(_) => (Vec::new(), None),
        None => {
            let again = again.filter(is_there);
            (gpus, again)
        }
    };
    Demand { service: spec.name.clone(), need: need.clone(), gpus, all_of_them, may_push_out, again, at_most }
}

fn these(ledger: &Ledger, names: &[GpuName]) -> Vec<GpuId> {
    let meant = |name: &GpuName, index: u32, id: &GpuId| match name {
        GpuName::Index(wanted) => *wanted == index,
        GpuName::Id(wanted) => wanted == id,
    };
    let found: Vec<GpuId> = ledger
        .working()
        .filter(|book| names.iter().any(|name| meant(name, book.card.index, &book.card.id)))
        .map(|book| book.card.id.clone())
        .collect();
    if found.len() == names.len() { found } else { Vec::new() }
}

/// Why a service finds no card, where something is known.
pub(super) fn no_card(ledger: &Ledger, spec: &ServiceSpec) -> Option<String> {
    if let Some(problem) = ledger.problems() {
        return Some(problem);
    }
    let GpuChoice::These(names) = &spec.memory.gpu else { return None };
    let there = |name: &&GpuName| these(ledger, std::slice::from_ref(*name)).is_empty();
    names.iter().find(there).map(|name| match name {
        GpuName::Index(index) => format!("there is no card {index}"),
        GpuName::Id(id) => format!("there is no card {id}"),
    })
}

/// `chat`, `chat and image`, `chat, image and voice`.
pub(super) fn names<'a>(services: impl IntoIterator<Item = &'a ServiceName>) -> String {
    let names: Vec<&str> = services.into_iter().map(ServiceName::as_str).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
