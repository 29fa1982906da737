//! What can never be had, said beforehand: cards that are not declared, needs beyond what there is.
//!
//! Only what is certain is said. Cards that a driver measures are not asked; the figures are the user's; and of the
//! host's memory what it has in all counts, not what is free now.

use greenroom_actors::{
    memory::GpuId,
    spec::{Figure, GpuBackend, GpuChoice, GpuName, JobWork, ResourcesSpec, RuntimeSpec, ServiceSpec, StartMode},
    units::ByteSize,
};

use super::{memory::span, owner::Owner, read::Reader};
use crate::config::source::Span;

/// A pool whose size is known before anything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known<'a> {
    Vram,
    Ram,
    Custom(&'a str),
}

pub(super) fn check(reader: &mut Reader<'_>, spec: &RuntimeSpec) {
    let workers = spec.jobs.iter().filter_map(|job| match &job.work {
        JobWork::Process(process) => Some(&process.service),
        JobWork::Request(_) => None,
    });
    let started: Vec<&ServiceSpec> = spec.services.iter().chain(workers).collect();
    for service in &started {
        cards(reader, &spec.resources, service);
    }
    let ram = reader.outside.ram().map(|total| spec.resources.ram_capacity(total));
    if let (Some(total), Some(0)) = (reader.outside.ram(), ram) {
        let message = format!("nothing of the host's memory, {}, can be given out", ByteSize(total));
        let help = "lower resources.ram_reserve, or raise resources.ram_limit";
        let key = if spec.resources.ram_reserve.0 >= total { "ram_reserve" } else { "ram_limit" };
        reader.warn(span(reader, &["resources", key]), message, help);
    }
    let vram = cards_known(&spec.resources).then(|| capacity(&spec.resources, &GpuChoice::Any));
    let mut pools: Vec<(Known<'_>, u64)> = Vec::new();
    pools.extend(vram.map(|vram| (Known::Vram, vram)));
    pools.extend(ram.map(|ram| (Known::Ram, ram)));
    pools.extend(spec.resources.custom.iter().map(|(name, units)| (Known::Custom(name), *units)));
    for (pool, capacity) in &pools {
        let fits = |s: &&ServiceSpec| alone(reader, &spec.resources, s, pool, *capacity);
        let fitting: Vec<_> = started.iter().copied().filter(fits).collect();
        together(reader, &fitting, pool, *capacity);
    }
}

/// Whether the cards are known without a driver.
fn cards_known(resources: &ResourcesSpec) -> bool {
    matches!(resources.backend, GpuBackend::Declared | GpuBackend::None)
}

/// How many cards there are, where that is known.
fn count(resources: &ResourcesSpec) -> usize {
    if resources.backend == GpuBackend::Declared { resources.declared.len() } else { 0 }
}

/// Every card that a service names is there.
fn cards(reader: &mut Reader<'_>, resources: &ResourcesSpec, service: &ServiceSpec) {
    let GpuChoice::These(names) = &service.memory.gpu else { return };
    // Without any declared card that is what has been reported.
    let reported = resources.backend == GpuBackend::Declared && resources.declared.is_empty();
    if !cards_known(resources) || reported {
        return;
    }
    let who = Owner::of(service);
    let at = span(reader, &who.key(&["gpu"]));
    let places: Vec<Option<usize>> = names.iter().map(place).collect();
    if (1..places.len()).any(|n| places[n].is_some() && places[..n].contains(&places[n])) {
        let message = format!("{who}: `gpu` names one card twice, by its index and its UUID");
        reader.error(at, message, "name each card once");
    }
    for name in names.iter().filter(|name| place(name).is_none_or(|index| index >= count(resources))) {
        let told = match name {
            GpuName::Index(index) => index.to_string(),
            GpuName::Id(GpuId(id)) => format!("\"{id}\""),
        };
        let help = match count(resources) {
            0 => "with gpu_backend = \"none\" there are no cards: write gpu = \"none\"".to_owned(),
            1 => "one card is declared: 0, or \"declared-0\"".to_owned(),
            n => format!("{n} cards are declared: 0 to {}, or \"declared-0\" and so on", n - 1),
        };
        reader.error(at, format!("{who}: `gpu`: there is no card {told}"), help);
    }
}

/// The place of a declared card.
fn place(name: &GpuName) -> Option<usize> {
    match name {
        GpuName::Index(index) => usize::try_from(*index).ok(),
        GpuName::Id(GpuId(id)) => id.strip_prefix("declared-")?.parse().ok(),
    }
}

/// What the cards of a choice can give together.
fn capacity(resources: &ResourcesSpec, choice: &GpuChoice) -> u64 {
    let of = |index: usize| resources.declared.get(index).map_or(0, |card| resources.vram_capacity(card.memory.0));
    let all = 0..count(resources);
    match choice {
        GpuChoice::None => 0,
        GpuChoice::Any => all.map(of).fold(0, u64::saturating_add),
        GpuChoice::These(names) => {
            names.iter().filter_map(place).filter(|index| all.contains(index)).map(of).fold(0, u64::saturating_add)
        }
    }
}

/// What a service is said to take of a pool.
fn need(service: &ServiceSpec, pool: &Known<'_>) -> u64 {
    let figure = match pool {
        Known::Vram => service.memory.vram,
        Known::Ram => service.memory.ram,
        Known::Custom(name) => return service.memory.needs.get(*name).copied().unwrap_or(0),
    };
    match figure {
        Figure::Auto => 0,
        Figure::Known { peak, .. } => peak.0,
    }
}

/// Where the configuration says so.
fn said(reader: &Reader<'_>, service: &ServiceSpec, pool: &Known<'_>) -> Span {
    let who = Owner::of(service);
    match pool {
        Known::Vram => span(reader, &who.key(&["vram"])),
        Known::Ram => span(reader, &who.key(&["ram"])),
        Known::Custom(name) => span(reader, &who.key(&["needs", name])),
    }
}

fn amount(pool: &Known<'_>, amount: u64) -> String {
    match pool {
        Known::Vram | Known::Ram => ByteSize(amount).to_string(),
        Known::Custom(_) => amount.to_string(),
    }
}

fn told(pool: &Known<'_>) -> String {
    match pool {
        Known::Vram => "VRAM".to_owned(),
        Known::Ram => "RAM".to_owned(),
        Known::Custom(name) => format!("`{name}`"),
    }
}

/// What to do where one service alone is too large for a pool.
fn remedy(pool: &Known<'_>) -> &'static str {
    match pool {
        Known::Vram => {
            "it will be refused whenever it is to start: lower it, or give out more with resources.vram_limit and \
             resources.vram_reserve"
        }
        Known::Ram => {
            "it will be refused whenever it is to start: lower it, or give out more with resources.ram_limit and \
             resources.ram_reserve"
        }
        Known::Custom(_) => "it will be refused whenever it is to start: lower it, or raise resources.custom",
    }
}

/// Whether a service can fit when nobody else is there.
fn alone(
    reader: &mut Reader<'_>,
    resources: &ResourcesSpec,
    service: &ServiceSpec,
    pool: &Known<'_>,
    whole: u64,
) -> bool {
    let most = if *pool == Known::Vram { capacity(resources, &service.memory.gpu) } else { whole };
    let needed = need(service, pool);
    let fits = needed <= most;
    // VRAM without a card is an error already, and so is too much of a custom pool.
    let told_already = match pool {
        Known::Vram => service.memory.gpu == GpuChoice::None,
        Known::Ram => false,
        Known::Custom(_) => true,
    };
    if !fits && !told_already {
        let who = Owner::of(service);
        let (needed, most, what) = (amount(pool, needed), amount(pool, most), told(pool));
        let (message, help) = if *pool == Known::Vram && count(resources) == 0 {
            let message = format!("{who} is given `vram`, and there is no card: the figure does not count");
            (message, "it will be started on the host; say what it needs there with `ram`")
        } else {
            let message = format!("{who} needs {needed} of {what}, of which at most {most} can be given");
            (message, remedy(pool))
        };
        reader.warn(said(reader, service, pool), message, help);
    }
    fits
}

/// Whether those that are started with the runtime have room side by side.
fn together(reader: &mut Reader<'_>, services: &[&ServiceSpec], pool: &Known<'_>, capacity: u64) {
    let eager = services.iter().filter(|service| service.start == StartMode::Eager && need(service, pool) > 0);
    let eager: Vec<&ServiceSpec> = eager.copied().collect();
    let sum = eager.iter().fold(0, |sum: u64, service| sum.saturating_add(need(service, pool)));
    let Some(last) = eager.last().filter(|_| sum > capacity) else { return };
    let names: Vec<String> = eager.iter().map(|s| format!("`{}` ({})", s.name, amount(pool, need(s, pool)))).collect();
    let (sum, most, what) = (amount(pool, sum), amount(pool, capacity), told(pool));
    let message = format!(
        "the eager services {} need {sum} of {what} together, of which at most {most} can be given",
        names.join(", ")
    );
    let help = "not all of them will be started: none of them pushes another one out; see `start`";
    reader.warn(said(reader, last, pool), message, help);
}
