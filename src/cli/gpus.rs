//! `gpus`: every card with who holds its memory; then RAM and further pools in the same way.

use greenroom_actors::{
    ids::ServiceName,
    memory::{Amounts, Pool},
};

use super::{
    args::Global,
    ask::{Asked, block_on, get, read},
    failure::Failure,
    seen_memory::{Card, Memory, PoolSeen},
    table::{Cell, count, paint, table},
    terminal::Terminal,
    wrap::wrap,
};
use crate::runtime::told::{seconds, size};

const RED: u8 = 31;
/// Colours of services in a bar, taken in turn.
const COLORS: [u8; 4] = [36, 35, 34, 33];
/// A bar needs so many columns to say anything, and gets no more than so many.
const BAR: std::ops::RangeInclusive<usize> = 40..=72;

/// Prints it.
pub fn run(global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    let path = "/api/gpus";
    let value = block_on(get(&asked, path))?;
    if terminal.json {
        terminal.value(&value)?;
        return Ok(0);
    }
    terminal.say(render(&read(path, value)?, terminal.width, terminal.color))?;
    Ok(0)
}

/// The whole of it.
#[must_use]
pub fn render(memory: &Memory, width: Option<usize>, color: bool) -> String {
    let age = memory.age.map(|age| format!(", measured {} ago", seconds(age))).unwrap_or_default();
    let cards = count(memory.cards.len(), "card", "cards");
    let mut lines = vec![format!("{cards} ({}{age})", memory.backend)];
    lines.extend(memory.problem.as_ref().map(|problem| paint(problem, RED, color)));
    for card in &memory.cards {
        lines.push(String::new());
        lines.extend(card_lines(card, memory, width, color));
    }
    let pools = [("RAM", Pool::Ram, memory.ram)].into_iter();
    let custom = memory.custom.iter().map(|(name, pool)| (name.as_str(), Pool::Custom(name.clone()), *pool));
    for (name, pool, room) in pools.chain(custom) {
        lines.push(format!("\n{name}"));
        lines.extend(pool_lines(&pool, room, memory, width));
    }
    if !memory.waiting.is_empty() {
        lines.push("\nwaiting for memory".to_owned());
        let told = |n: usize| {
            let waiting = &memory.waiting[n];
            format!("{}. {}: {} (for {})", n + 1, waiting.service, waiting.reason, seconds(waiting.waited))
        };
        lines.extend((0..memory.waiting.len()).flat_map(|n| wrap(&told(n), width, 2, 5)));
    }
    if memory.reclaim_timeouts > 0 {
        let times = count(usize::try_from(memory.reclaim_timeouts).unwrap_or(usize::MAX), "time", "times");
        lines.push(format!("\n{times} memory was not measured back after its holder had ended: greenroom events"));
    }
    lines.join("\n")
}

fn card_lines(card: &Card, memory: &Memory, width: Option<usize>, color: bool) -> Vec<String> {
    let state = if card.state == "works" { card.state.clone() } else { paint(&card.state, RED, color) };
    let busy = card.utilization.map(|percent| format!(", {percent} % busy")).unwrap_or_default();
    let heat = card.temperature.map(|degrees| format!(", {degrees} °C")).unwrap_or_default();
    let mut lines =
        vec![format!("GPU {}  {}, {}, {state}{busy}{heat}  {}", card.index, card.name, size(card.total), card.id)];
    if let Some(problem) = &card.problem {
        lines.extend(wrap(problem, width, 2, 2));
    }
    lines.extend(bar(card, width, color).map(|bar| format!("  {bar}")));
    let pool = Pool::Vram(card.id.clone());
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let holders = memory.leases.iter().filter(|(_, lease)| lease.amounts.of(&pool) > 0).map(|(name, _)| name);
    let mut names: Vec<&ServiceName> = card.services.keys().chain(holders).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let used = card.services.get(name).map_or_else(|| "-".to_owned(), |bytes| size(*bytes));
        let mut cells = row(name.as_str(), used, lease_note(memory, name, &pool));
        // The colour of its part of the bar.
        cells[0].color = card.services.keys().position(|other| other == name).map(shade);
        rows.push(cells);
    }
    if card.strangers > 0 {
        rows.push(row("others", size(card.strangers), "not Greenroom's".to_owned()));
    }
    rows.push(row("free", size(card.free), format!("of {} that may be given out", size(card.capacity))));
    lines.extend(indented(&rows, width, color));
    lines
}

/// The colour of the `n`th service of a card.
fn shade(n: usize) -> u8 {
    COLORS[n % COLORS.len()]
}

/// What a service may hold of a pool, and how far it is.
fn lease_note(memory: &Memory, name: &ServiceName, pool: &Pool) -> String {
    memory.leases.get(name).map_or_else(String::new, |lease| {
        format!("may hold {} ({})", amount(pool, lease.amounts.of(pool)), lease.state)
    })
}

fn pool_lines(pool: &Pool, room: PoolSeen, memory: &Memory, width: Option<usize>) -> Vec<String> {
    let of = |amounts: &Amounts| amounts.of(pool);
    let holders = memory.leases.iter().filter(|(_, lease)| of(&lease.amounts) > 0);
    let mut rows: Vec<Vec<Cell>> = holders
        .map(|(name, lease)| row(name.as_str(), amount(pool, of(&lease.amounts)), lease.state.clone()))
        .collect();
    let of_all = format!("of {} that may be given out", amount(pool, room.capacity));
    rows.push(row("free", amount(pool, room.free), of_all));
    indented(&rows, width, false)
}

fn amount(pool: &Pool, amount: u64) -> String {
    match pool {
        Pool::Vram(_) | Pool::Ram => size(amount),
        Pool::Custom(_) => amount.to_string(),
    }
}

fn row(name: &str, amount: String, note: String) -> Vec<Cell> {
    vec![Cell::text(format!("  {name}")), Cell::number(amount), Cell::text(note)]
}

fn indented(rows: &[Vec<Cell>], width: Option<usize>, color: bool) -> Vec<String> {
    table(&["", "", ""], rows, width, color).into_iter().skip(1).collect()
}

/// The memory of a card from left to right: services, others, and what is not used. Only where it is wide enough.
fn bar(card: &Card, width: Option<usize>, color: bool) -> Option<String> {
    let room = width?.saturating_sub(4).min(*BAR.end());
    if room < *BAR.start() || card.total == 0 {
        return None;
    }
    let services = card.services.values().enumerate().map(|(n, bytes)| {
        let glyph = if n % 2 == 0 { '█' } else { '▓' };
        (*bytes, glyph, Some(shade(n)))
    });
    let mut drawn = 0;
    let mut bytes_so_far = 0u64;
    let mut bar = String::new();
    for (bytes, glyph, shade) in services.chain([(card.strangers, '▒', None)]) {
        bytes_so_far = bytes_so_far.saturating_add(bytes).min(card.total);
        let end = columns(bytes_so_far, card.total, room);
        let part: String = std::iter::repeat_n(glyph, end.saturating_sub(drawn)).collect();
        bar.push_str(&shade.map_or_else(|| part.clone(), |shade| paint(&part, shade, color && !part.is_empty())));
        drawn = end.max(drawn);
    }
    bar.extend(std::iter::repeat_n('·', room - drawn));
    Some(bar)
}

/// How many of `room` columns a share has, to the nearest.
fn columns(bytes: u64, total: u64, room: usize) -> usize {
    let exact = (u128::from(bytes) * room as u128 * 2 + u128::from(total)) / (u128::from(total) * 2);
    usize::try_from(exact).unwrap_or(room).min(room)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn example() -> Value {
        let gib = |n: u64| n << 30;
        json!({
            "backend": "nvml", "problem": null, "age": 0.21,
            "cards": [{ "id": "GPU-1", "index": 0, "name": "RTX", "state": "works", "problem": null,
                        "total": gib(16), "used": gib(12), "services": { "chat": gib(8) }, "strangers": gib(4),
                        "free": gib(3), "capacity": gib(15), "utilization": 97, "temperature": 61 }],
            "ram": { "capacity": gib(62), "free": gib(40) }, "custom": { "npu": { "capacity": 1, "free": 0 } },
            "leases": {
                "chat": { "run_id": "x", "state": "resident", "gpu_layers": 44, "idle_for": 0.0,
                          "amounts": { "vram": { "GPU-1": gib(8) }, "ram": 1 << 29 } },
                "image": { "run_id": "x", "state": "reserved", "amounts": { "vram": { "GPU-1": gib(1) }, "ram": 0 } },
                "tts": { "run_id": "x", "state": "resident", "amounts": { "vram": {}, "ram": 0, "custom": { "npu": 1 } } },
            },
            "needs": {}, "reclaim_timeouts": 1,
            "waiting": [{ "service": "stt", "reason": "waits for image to leave", "waited": 0.4 }],
        })
    }

    fn rendered(value: Value, width: Option<usize>) -> String {
        render(&serde_json::from_value(value).expect("a memory"), width, false)
    }

    #[test]
    fn it_shows_who_holds_what_and_what_is_free() {
        let expected = "\
1 card (nvml, measured 210ms ago)

GPU 0  RTX, 16GiB, works, 97 % busy, 61 °C  GPU-1
  chat    8GiB  may hold 8GiB (resident)
  image      -  may hold 1GiB (reserved)
  others  4GiB  not Greenroom's
  free    3GiB  of 15GiB that may be given out

RAM
  chat  512MiB  resident
  free   40GiB  of 62GiB that may be given out

npu
  tts   1  resident
  free  0  of 1 that may be given out

waiting for memory
  1. stt: waits for image to leave (for 400ms)

1 time memory was not measured back after its holder had ended: greenroom events";
        assert_eq!(rendered(example(), None), expected);
    }

    #[test]
    fn a_wide_terminal_has_bars_and_a_narrow_one_none() {
        let text = rendered(example(), Some(44));
        let bar = text.lines().find(|line| line.contains('█')).expect("a bar");
        assert_eq!(bar.trim(), format!("{}{}{}", "█".repeat(20), "▒".repeat(10), "·".repeat(10)));
        assert!(!rendered(example(), Some(43)).contains('█'));
    }

    #[test]
    fn a_lost_card_and_a_driver_in_trouble_are_named() {
        let mut memory = example();
        memory["problem"] = json!("nvml: the driver does not answer");
        memory["cards"][0]["state"] = json!("lost");
        memory["cards"][0]["problem"] = json!("fallen off the bus");
        let text = rendered(memory, None);
        assert!(text.contains("\nnvml: the driver does not answer\n") && text.contains(", lost,"), "{text}");
        assert!(text.contains("\n  fallen off the bus\n"), "{text}");
    }
}
