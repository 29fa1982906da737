//! What a decision about memory takes: `cargo bench --bench planner`. Prints a table; fails on nothing, for figures of a
//! loaded machine say little.

#[path = "../common/mod.rs"]
mod common;

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use common::stopwatch;
use greenroom_actors::{
    memory::{Amounts, GpuId, Layered, Need, NeedSource, Placement, VramNeed},
    resource_orchestrator::planner::{CardRoom, Demand, PoolRoom, Resident, Room, explain, plan},
};

/// Boxes that differ in everything that is drawn.
const SEEDS: u64 = 50;
/// Decisions in each of them; the quickest counts, since the machine has other work.
const ROUNDS: usize = 15;
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn main() {
    println!("{SEEDS} boxes each, the quickest of {ROUNDS} decisions\n");
    println!("{:<58} {:>12} {:>12} {:>9}", "", "median, us", "maximum, us", "leave");
    row("30 residents, 4 cards: room on one card", |draw| busy_box(draw, 30, bytes(30)));
    row("30 residents, 4 cards: VRAM, RAM and a custom pool", |draw| busy_box(draw, 30, everything()));
    row("30 residents, 4 cards: over two or three cards", |draw| busy_box(draw, 30, bytes(120)));
    row("30 residents, 4 cards: as many layers as fit", |draw| busy_box(draw, 30, layers()));
    row("30 residents, 4 cards: a card to itself", |draw| busy_box(draw, 30, need(VramNeed::WholeCard)));
    row("30 residents, 4 cards: a refusal", |draw| busy_box(draw, 30, bytes(400)));
    row("20 residents, 1 card: all cost what they give, exact", |draw| alike(draw, 20));
    row("30 residents, 1 card: all cost what they give, bounded", |draw| alike(draw, 30));
    row("2,000 services, 12 of them resident", |draw| busy_box(draw, 12, bytes(30)));
    row("2,000 residents with a little RAM each: some leave", |draw| many(draw, 2));
    row("2,000 residents with a little RAM each: most leave", |draw| many(draw, 100));
}

type Question = (Demand, Room, Vec<Resident>);

fn row(what: &str, question: impl Fn(&mut Draw) -> Question) {
    let mut figures = Vec::new();
    let mut leave = 0;
    for seed in 0..SEEDS {
        let (demand, room, residents) = question(&mut Draw(seed));
        let once = || {
            let began = stopwatch();
            let answer = black_box(plan(black_box(&demand), black_box(&room), black_box(&residents)));
            (began.elapsed(), answer)
        };
        let quickest = (0..ROUNDS).map(|_| once().0).min().unwrap_or_default();
        figures.push(quickest.as_secs_f64() * 1e6);
        let answer = once().1;
        assert!(!explain(&demand, &room, &residents, &answer).is_empty());
        leave += answer.map_or(0, |plan| plan.offload.len());
    }
    figures.sort_by(f64::total_cmp);
    let (median, maximum) = (figures[figures.len() / 2], figures[figures.len() - 1]);
    println!("{what:<58} {median:>12.1} {maximum:>12.1} {:>9.1}", leave as f64 / SEEDS as f64);
}

/// Numbers that are the same in every run: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014).
struct Draw(u64);

impl Draw {
    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn gpu(index: u64) -> GpuId {
    GpuId(format!("GPU-7f3a1c52-0d44-4e0b-9c1e-00000000000{index}"))
}

fn need(vram: VramNeed) -> Need {
    Need { vram, vram_source: NeedSource::User, ..Need::nothing() }
}

fn bytes(gib: u64) -> Need {
    need(VramNeed::Bytes(gib * GIB))
}

fn everything() -> Need {
    Need { ram: 90 * GIB, custom: [("npu".to_owned(), 3)].into(), ..bytes(20) }
}

fn layers() -> Need {
    Need { ram: GIB, ..need(VramNeed::Layers(Layered { layers: 120, layer: 2 * GIB, card: GIB })) }
}

/// Four cards of 80 GiB, full, and everybody holds some RAM.
fn busy_box(draw: &mut Draw, count: u64, need: Need) -> Question {
    let residents: Vec<Resident> = (0..count)
        .map(|n| {
            let vram = [(gpu(n % 4), (2_000 + draw.below(9_000)) * MIB)].into();
            let custom = [("npu".to_owned(), draw.below(2))].into();
            let ram = (500 + draw.below(8_000)) * MIB;
            resident(draw, n, Amounts { vram, ram, custom })
        })
        .collect();
    question(need, residents)
}

/// The hard case of a knapsack: the cost of each is what it gives, of two pools, so that no bound tells them apart.
fn alike(draw: &mut Draw, count: u64) -> Question {
    let residents = (0..count).map(|n| {
        let (vram, ram) = (1_000 + draw.below(9_000), 1_000 + draw.below(9_000));
        let gives = Amounts { vram: [(gpu(0), vram * MIB)].into(), ram: ram * MIB, ..Amounts::default() };
        let even = Resident { idle: Duration::ZERO, priority: 0, busy: false, ..resident(draw, n, gives) };
        Resident { reload: Duration::from_millis(vram + ram), ..even }
    });
    let residents: Vec<Resident> = residents.collect();
    question(Need { ram: count * 5 / 2 * GIB, ..bytes(count * 5 / 2) }, residents)
}

/// No card comes into it.
fn many(draw: &mut Draw, gib: u64) -> Question {
    let residents = (0..2_000)
        .map(|n| {
            let ram = (20 + draw.below(80)) * MIB;
            resident(draw, n, Amounts { ram, ..Amounts::default() })
        })
        .collect();
    question(Need { ram: gib * GIB, ..Need::nothing() }, residents)
}

fn resident(draw: &mut Draw, number: u64, gives: Amounts) -> Resident {
    Resident {
        service: format!("service-{number}").parse().expect("a name"),
        gives,
        reload: Duration::from_millis(500 + draw.below(60_000)),
        idle: Duration::from_secs(draw.below(7_200)),
        priority: i32::try_from(draw.below(3)).expect("a small number"),
        busy: draw.below(6) == 0,
        stays: None,
    }
}

/// Nothing is free but what they leave.
fn question(need: Need, residents: Vec<Resident>) -> Question {
    let mut held = Amounts::default();
    residents.iter().for_each(|resident| held += &resident.gives);
    let full = |amount| PoolRoom { capacity: amount, free: 0, strangers: 0 };
    let cards = (0..4).map(|n| CardRoom {
        id: gpu(n),
        room: full(held.vram.get(&gpu(n)).copied().unwrap_or(0)),
        in_use: false,
    });
    let custom: BTreeMap<String, PoolRoom> = held.custom.iter().map(|(n, held)| (n.clone(), full(*held))).collect();
    let room = Room { cards: cards.collect(), ram: full(held.ram), custom };
    let gpus = (0..4).map(gpu).collect();
    let service = "newcomer".parse().expect("a name");
    let again: Option<Placement> = None;
    (Demand { service, need, gpus, all_of_them: false, may_push_out: true, again, at_most: None }, room, residents)
}
