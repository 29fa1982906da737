//! What `/proc/PID/fdinfo/FD` says of a process's use of cards.
//!
//! Keys and units: "DRM client usage stats" in the kernel's documentation (`gpu/drm-usage-stats`).

/// Where the VRAM in use stands, the best source first: what is resident (`drm-memory-` is the older name for it, which
/// amdgpu writes), else what was asked for.
const VRAM: [&str; 3] = ["drm-memory-vram", "drm-resident-vram", "drm-total-vram"];

/// One open card of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client {
    /// The card's PCI address, like `0000:03:00.0`.
    pub card: String,
    /// The same for all descriptors that share one opening.
    pub id: u64,
    /// VRAM in bytes.
    pub vram: u64,
}

/// Reads one file. `None` when it is not an opened card of amdgpu.
pub(super) fn parse(text: &str) -> Option<Client> {
    let value = |key: &str| {
        text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| *name == key)).map(|(_, rest)| rest.trim())
    };
    if value("drm-driver")? != "amdgpu" {
        return None;
    }
    let vram = VRAM.iter().find_map(|key| value(key)).and_then(bytes).unwrap_or(0);
    Some(Client { card: value("drm-pdev")?.to_ascii_lowercase(), id: value("drm-client-id")?.parse().ok()?, vram })
}

/// `123 KiB`, `5 MiB`, or bytes without a unit.
fn bytes(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let factor = match words.next() {
        None => 1,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("GiB") => 1 << 30,
        Some(_) => return None,
    };
    number.checked_mul(factor)
}

/// What one process has on a card: each opening once, however many descriptors there are of it.
pub(super) fn on_card(clients: &[Client], card: &str) -> Option<u64> {
    let mut mine: Vec<(u64, u64)> = clients.iter().filter(|c| c.card == card).map(|c| (c.id, c.vram)).collect();
    mine.sort_unstable();
    mine.dedup_by_key(|(id, _)| *id);
    (!mine.is_empty()).then(|| mine.iter().fold(0_u64, |sum, (_, vram)| sum.saturating_add(*vram)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(client: u64, key: &str, size: &str) -> String {
        format!(
            "pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-client-id:\t{client}\ndrm-pdev:\t0000:03:00.0\n{key}:\t{size}\n\
             drm-memory-gtt:\t12 KiB\n"
        )
    }

    #[test]
    fn an_opened_card_says_how_much() {
        let vram = |key: &str, size: &str| parse(&text(5, key, size)).expect("a client").vram;
        assert_eq!(vram("drm-memory-vram", "3604480 KiB"), 3_604_480 << 10);
        assert_eq!((vram("drm-resident-vram", "7 MiB"), vram("drm-total-vram", "9")), (7 << 20, 9));
        assert_eq!(vram("drm-memory-gtt", "9 KiB"), 0);
        assert_eq!(parse("pos:\t0\nflags:\t02\n"), None);
        assert_eq!(parse(&text(1, "x", "1").replace("amdgpu", "xe")), None);
    }

    #[test]
    fn an_opening_counts_once_and_only_on_its_card() {
        let client = |card: &str, id, vram| Client { card: card.to_owned(), id, vram };
        let clients = [client("a", 1, 10), client("a", 1, 10), client("a", 2, 5), client("b", 3, 7)];
        assert_eq!((on_card(&clients, "a"), on_card(&clients, "b"), on_card(&clients, "c")), (Some(15), Some(7), None));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_text_makes_the_parser_panic(value in "[ -~]{0,20}") {
            let _client = parse(&text(1, "drm-memory-vram", &value));
        }
    }
}
