//! What `why` says of memory: what a service needs and from where that is known, what it may hold, who holds what it
//! lacks, and when it comes back. Pure.

use greenroom_actors::{
    ids::ServiceName,
    memory::{Holder, Refusal, RefusalKind, Stays},
    resource_orchestrator::view::MemorySnapshot,
    spec::{Figure, GpuChoice, ReloadPolicy, ServiceSpec},
    state::ServiceState,
    units::format_duration,
};

use super::{told, view::ServiceView};

/// Why it has its memory, or has none.
#[must_use]
pub fn because(service: &ServiceView, spec: &ServiceSpec, memory: &MemorySnapshot) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(refusal) = &service.refusal {
        let sentence = refusal.to_string();
        // Mostly it is the reason of its state as well.
        if !service.reason.as_deref().is_some_and(|reason| reason.contains(&sentence)) {
            said.push(format!("when it was wanted last, {sentence}"));
        }
    }
    said.extend(service.need.as_ref().and_then(told::need).map(|need| format!("it needs {need}")));
    let counts_nothing = memory.backend == "none" && memory.problem.is_none();
    if counts_nothing && spec.memory.gpu == GpuChoice::Any && spec.memory.vram != Figure::Auto {
        said.push("its `vram` does not count: there is no card here, and it is on the host as a whole".to_owned());
    }
    let lease = memory.leases.get(&service.name);
    if let Some(lease) = lease
        && let Some(holds) = told::amounts(&lease.amounts, &memory.cards)
    {
        let layers = lease.gpu_layers.map(|n| format!(", with {n} layers on the card")).unwrap_or_default();
        let measured = told::amounts(&lease.measured, &memory.cards);
        let measured = measured.map(|text| format!("; measured: {text}")).unwrap_or_default();
        said.push(format!("it may hold {holds}{layers} (lease {}){measured}", lease.state));
    }
    if needs_card(service) {
        let lost = memory.cards.iter().filter(|card| card.state != "works");
        said.extend(lost.map(|card| {
            let problem = card.problem.as_deref().unwrap_or("no reason given");
            format!("GPU {} ({}) is {}: {problem}", card.index, card.name, card.state)
        }));
        said.extend(memory.problem.as_ref().map(|problem| format!("nobody measures the cards: {problem}")));
    }
    if let Some(first) = service.waiting.first() {
        let n = service.in_line;
        let who = if n == 1 { "1 request waits for it".to_owned() } else { format!("{n} requests wait for it") };
        said.push(format!("{who}: {}", first.reason));
    }
    said.extend(ahead(service, memory));
    said.extend(comes_back(service, spec));
    let timeout = spec.memory.idle_timeout;
    if let (Some(idle), false) = (service.idle_for, timeout.is_zero()) {
        said.push(format!("idle for {}; offloaded after {}", told::seconds(idle), format_duration(timeout)));
    }
    said
}

/// What to do about it, if anything.
#[must_use]
pub fn remedy(service: &ServiceView) -> Vec<String> {
    let Some(refusal) = &service.refusal else {
        return match service.state {
            ServiceState::Reclaiming => {
                vec!["it ends by itself, after `resources.reclaim_timeout` at the latest: greenroom gpus".to_owned()]
            }
            _ => Vec::new(),
        };
    };
    let mut said: Vec<String> = refusal.holders.iter().map(|holder| about(holder, &refusal.service)).collect();
    said.dedup();
    said.extend(general(refusal));
    said.push(format!("what a load would do now: greenroom plan {}", service.name));
    said
}

fn needs_card(service: &ServiceView) -> bool {
    service.need.is_some_and(|need| need.vram != Some(0))
}

/// Who asked for memory before it, where it asks itself.
fn ahead(service: &ServiceView, memory: &MemorySnapshot) -> Option<String> {
    let place = memory.waiting.iter().position(|waiting| waiting.service == service.name)?;
    let names: Vec<&str> = memory.waiting[..place].iter().map(|waiting| waiting.service.as_str()).collect();
    (!names.is_empty()).then(|| format!("before it memory was asked for by {}", names.join(", ")))
}

/// When it is loaded again, of one that is out.
fn comes_back(service: &ServiceView, spec: &ServiceSpec) -> Option<String> {
    if !matches!(service.state, ServiceState::Offloaded | ServiceState::Sleeping) {
        return None;
    }
    let (when, word) = match spec.memory.offload.reload {
        ReloadPolicy::WhenFree => ("by itself, as soon as there is room", "when_free"),
        ReloadPolicy::OnDemand => ("when somebody asks for it", "on_demand"),
        ReloadPolicy::Never => ("only by hand", "never"),
    };
    Some(format!("it comes back {when} (`offload.reload = \"{word}\"`)"))
}

fn about(holder: &Holder, wanted: &ServiceName) -> String {
    let Some(service) = &holder.service else {
        let amount = holder.pool.tell(holder.amount);
        return format!("other programs hold {amount}: end them, or wait until they end (greenroom gpus)");
    };
    match holder.why {
        Stays::Pinned => {
            format!("`{service}` is pinned: greenroom offload {service}, or take `pinned` from its config")
        }
        Stays::Held => format!("the application holds `{service}`: it has to let go of it"),
        Stays::Busy => format!("`{service}` works: try again when it is done, or raise its `offload.drain`"),
        Stays::Loading => format!("`{service}` is loading: try again when it is ready"),
        Stays::NotBack => format!("`{service}` has ended and its memory is not back: greenroom gpus"),
        Stays::NotForThis => format!("`{service}` leaves when somebody asks: greenroom load {wanted}"),
        Stays::Needed => {
            format!(
                "`{wanted}` depends on `{service}` and has no room beside it: give one of them less to hold, or another card"
            )
        }
        Stays::NeededBy => match &holder.needed_by {
            Some(dependant) => format!(
                "`{dependant}` is up and depends on `{service}`: take that out of memory first: greenroom offload {dependant}"
            ),
            None => format!("services that are up depend on `{service}`: take those out of memory first"),
        },
        Stays::Stranger => format!("`{service}` is not Greenroom's to end"),
    }
}

fn general(refusal: &Refusal) -> Option<String> {
    match &refusal.kind {
        RefusalKind::TooLarge => Some(
            "give it less to hold (fewer layers on the card, a smaller context, a smaller quantization), or give out \
             more (`resources.vram_limit`, `resources.vram_reserve`, `resources.ram_limit`, `resources.ram_reserve`)"
                .to_owned(),
        ),
        RefusalKind::NotInTime => Some("look at who still holds it: greenroom gpus".to_owned()),
        RefusalKind::NoCard { .. } => Some("look at the cards: greenroom gpus, greenroom doctor".to_owned()),
        RefusalKind::InTheWay => None,
    }
}

#[cfg(test)]
#[path = "why_memory_tests.rs"]
mod tests;
