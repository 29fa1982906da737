//! Memory in words: needs, amounts and swaps, as the log, `why` and the command line tell them. Pure.

use greenroom_actors::{
    event::SwapSeconds,
    ids::ServiceName,
    memory::{Amounts, GpuId, NeedSource, Pool},
    resource_orchestrator::view::{CardView, NeedView},
    units::ByteSize,
};

/// Less than this of a swap, in seconds, is left out: nobody waited for it.
const WORTH_TELLING: f64 = 0.001;

/// A size in few characters: a fraction below ten of a unit only, and the nearest whole number from there on.
#[must_use]
pub fn size(bytes: u64) -> String {
    let unit = [1u64 << 40, 1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= *unit).unwrap_or(1);
    if bytes / unit < 10 {
        return ByteSize(bytes).to_string();
    }
    let whole = bytes / unit + u64::from(bytes % unit >= unit.div_ceil(2));
    ByteSize(whole.saturating_mul(unit)).to_string()
}

/// `7.1GiB of VRAM (measured in earlier runs) and 656MiB of RAM (configured)`; nothing for a need of nothing.
#[must_use]
pub fn need(need: &NeedView) -> Option<String> {
    let told = |what: String, source: NeedSource| format!("{what} ({})", source.told());
    let vram = match need.vram {
        Some(0) => None,
        Some(bytes) => Some(told(format!("{} of VRAM", size(bytes)), need.source)),
        None => Some("a card to itself until it has been measured (nobody knows its need yet)".to_owned()),
    };
    let ram = (need.ram > 0).then(|| told(format!("{} of RAM", size(need.ram)), need.ram_source));
    let parts: Vec<String> = vram.into_iter().chain(ram).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// `7.1GiB of VRAM of GPU 0 and 656MiB of RAM`; nothing for no amount at all.
#[must_use]
pub fn amounts(amounts: &Amounts, cards: &[CardView]) -> Option<String> {
    let tell = |(pool, amount): (Pool, u64)| match &pool {
        Pool::Vram(gpu) => format!("{} of VRAM of {}", size(amount), card(gpu, cards)),
        Pool::Ram => format!("{} of RAM", size(amount)),
        Pool::Custom(_) => pool.tell(amount),
    };
    let parts: Vec<String> = amounts.iter().filter(|(_, amount)| *amount > 0).map(tell).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// `GPU 0`; of one that is not known, its id.
#[must_use]
pub fn card(id: &GpuId, cards: &[CardView]) -> String {
    cards.iter().find(|card| card.id == *id).map_or_else(|| id.to_string(), |card| format!("GPU {}", card.index))
}

/// `image in after 3.2s: chat left (drain 100ms, stop 300ms), memory back after 800ms, load 2.0s`.
#[must_use]
pub fn swap(service: &ServiceName, from: &[ServiceName], took: &SwapSeconds) -> String {
    let part = |what: &str, span: f64| (span >= WORTH_TELLING).then(|| format!("{what} {}", seconds(span)));
    let queue = (took.queue >= WORTH_TELLING).then(|| format!("{} behind others", seconds(took.queue)));
    let names: Vec<&str> = from.iter().map(ServiceName::as_str).collect();
    let left = (!names.is_empty()).then(|| {
        let how: Vec<String> = [part("drain", took.drain), part("stop", took.stop)].into_iter().flatten().collect();
        let how = if how.is_empty() { String::new() } else { format!(" ({})", how.join(", ")) };
        format!("{} left{how}", names.join(", "))
    });
    let parts = [queue, left, part("memory back after", took.reclaim), part("load", took.load)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let how = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{service} in after {}{how}", seconds(took.total))
}

/// A span in seconds, to the millisecond below one second and to a tenth above.
#[must_use]
pub fn seconds(span: f64) -> String {
    if span < 0.9995 { format!("{:.0}ms", span.max(0.0) * 1e3) } else { format!("{span:.1}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_swap_says_where_the_time_went() {
        let took = SwapSeconds { queue: 0.0, drain: 0.1, stop: 0.3, reclaim: 0.8, load: 2.0, total: 3.2 };
        assert_eq!(
            swap(&name("image"), &[name("chat")], &took),
            "image in after 3.2s: chat left (drain 100ms, stop 300ms), memory back after 800ms, load 2.0s"
        );
        let alone = SwapSeconds { queue: 1.5, load: 0.02, total: 1.52, ..SwapSeconds::default() };
        assert_eq!(swap(&name("image"), &[], &alone), "image in after 1.5s: 1.5s behind others, load 20ms");
        assert_eq!(
            swap(&name("image"), &[name("a"), name("b")], &SwapSeconds::default()),
            "image in after 0ms: a, b left"
        );
    }

    #[test]
    fn a_need_names_the_source_of_each_figure() {
        let view = NeedView {
            source: NeedSource::Calibrated,
            vram: Some(7_575_000_000),
            ram: 0,
            ram_source: NeedSource::User,
            layers: None,
        };
        assert_eq!(need(&view).as_deref(), Some("7.1GiB of VRAM (measured in earlier runs)"));
        let both = NeedView { ram: 640 << 20, ..view };
        assert_eq!(
            need(&both).as_deref(),
            Some("7.1GiB of VRAM (measured in earlier runs) and 640MiB of RAM (configured)")
        );
        assert_eq!(need(&NeedView { vram: Some(0), ..view }), None);
        let unknown = NeedView { vram: None, source: NeedSource::Unknown, ..view };
        assert!(need(&unknown).is_some_and(|text| text.starts_with("a card to itself")));
    }

    #[test]
    fn amounts_name_their_pools() {
        let lease = Amounts { vram: [(GpuId("GPU-1".to_owned()), 7 << 30)].into(), ram: 1 << 30, ..Amounts::default() };
        assert_eq!(amounts(&lease, &[]).as_deref(), Some("7GiB of VRAM of GPU-1 and 1GiB of RAM"));
        assert_eq!(amounts(&Amounts::default(), &[]), None);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(7_575_000_000), "7.1GiB");
        assert_eq!(size(23_475_000_000), "22GiB");
        assert_eq!(size(300_000_000), "286MiB");
        assert_eq!(size(103_129_088), "98MiB", "no more than there is");
        assert_eq!(size((36 << 20) - (1 << 18)), "36MiB");
        assert_eq!(size(5 << 20), "5MiB");
        assert_eq!(size(100), "100B");
        assert_eq!(size(u64::MAX), "16777216.0TiB");
    }
}
