//! Cards, those who hold them, and those who come.

use std::{collections::BTreeMap, time::Duration};

use super::super::{CardRoom, Demand, Plan, PoolRoom, Resident, Room, plan};
use crate::{
    ids::ServiceName,
    memory::{Amounts, GpuId, Layered, Need, NeedSource, Pool, Refusal, VramNeed},
};

pub const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

pub fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

pub fn gpu(index: usize) -> GpuId {
    GpuId(format!("GPU-{index}"))
}

/// Everything of which is free.
pub fn cards(sizes: &[u64]) -> Room {
    let card = |(index, size): (usize, &u64)| CardRoom {
        id: gpu(index),
        room: PoolRoom { capacity: *size, free: *size, strangers: 0 },
        in_use: false,
    };
    Room {
        cards: sizes.iter().enumerate().map(card).collect(),
        ram: PoolRoom { capacity: 64 * GIB, free: 64 * GIB, strangers: 0 },
        custom: BTreeMap::new(),
    }
}

/// One that wants this on any of four cards, by pushing out others.
pub fn demand(vram: VramNeed) -> Demand {
    Demand {
        service: name("new"),
        need: Need { vram, vram_source: NeedSource::User, ..Need::nothing() },
        gpus: (0..4).map(gpu).collect(),
        all_of_them: false,
        may_push_out: true,
        again: None,
        at_most: None,
    }
}

pub fn resident(service: &str, vram: &[(usize, u64)], ram: u64) -> Resident {
    let vram = vram.iter().map(|(index, bytes)| (gpu(*index), *bytes)).collect();
    Resident {
        service: name(service),
        gives: Amounts { vram, ram, custom: BTreeMap::new() },
        reload: Duration::from_secs(10),
        idle: Duration::ZERO,
        priority: 0,
        busy: false,
        stays: None,
    }
}

/// Takes what they hold out of what is free.
pub fn with(mut room: Room, residents: &[Resident]) -> Room {
    for Resident { gives, .. } in residents {
        for card in &mut room.cards {
            card.room.free -= gives.of(&Pool::Vram(card.id.clone()));
        }
        room.ram.free -= gives.ram;
    }
    room
}

pub fn planned(demand: &Demand, room: &Room, residents: &[Resident]) -> Plan {
    plan(demand, room, residents).unwrap_or_else(|refusal| panic!("{refusal}"))
}

pub fn refused(demand: &Demand, room: &Room, residents: &[Resident]) -> Refusal {
    plan(demand, room, residents).expect_err("there is no way")
}

pub fn vram(plan: &Plan) -> Vec<(usize, u64)> {
    let index = |gpu: &GpuId| gpu.0.trim_start_matches("GPU-").parse().expect("an index");
    plan.placement.lease.vram.iter().map(|(gpu, bytes)| (index(gpu), *bytes)).collect()
}

pub fn who(plan: &Plan) -> Vec<&str> {
    plan.offload.iter().map(ServiceName::as_str).collect()
}

/// A language model of 7.7 GB with 48 layers on a card of 8 GB of which 512 MiB are never given out.
pub fn incident() -> (Demand, Room) {
    let model = Layered { layers: 48, layer: 160_000_000, card: 20_000_000 };
    let need = Need { ram: 100_000_000, ..demand(VramNeed::Layers(model)).need };
    (Demand { need, ..demand(VramNeed::None) }, cards(&[8_000_000_000 - 512 * MIB]))
}
