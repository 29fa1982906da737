//! A decision in sentences.

use super::{
    cost::likely_cost,
    problem::{Demand, Plan, Resident, Room},
};
use crate::{
    memory::{GpuId, Pool, Refusal, VramNeed},
    units::{ByteSize, format_duration},
};
use std::time::Duration;

/// What [`plan`](super::plan) answered, in sentences for people: where it goes and why there, who leaves, what that
/// costs; or what is in the way.
#[must_use]
pub fn explain(demand: &Demand, room: &Room, residents: &[Resident], answer: &Result<Plan, Refusal>) -> Vec<String> {
    match answer {
        Ok(plan) => place(demand, room, plan).into_iter().chain(leavers(residents, plan)).collect(),
        Err(refusal) => vec![refusal.to_string()],
    }
}

fn place(demand: &Demand, room: &Room, plan: &Plan) -> Vec<String> {
    let placement = &plan.placement;
    let mut told = Vec::new();
    let on_cards: Vec<String> = placement.gpus.iter().map(|gpu| card(room, plan, gpu)).collect();
    let ram = ByteSize(placement.lease.ram);
    match (&on_cards[..], placement.lease.ram) {
        ([], 0) => told.push("takes no memory that is counted".to_owned()),
        ([], _) => told.push(format!("goes to RAM ({ram})")),
        (cards, 0) => told.push(format!("goes to {}", cards.join(" and "))),
        (cards, _) => told.push(format!("goes to {}, with {ram} of RAM", cards.join(" and "))),
    }
    for (name, units) in placement.lease.custom.iter().filter(|(_, units)| **units > 0) {
        told.push(format!("takes {}", Pool::Custom(name.clone()).tell(*units)));
    }
    if demand.again.is_some() {
        told.push("goes where it was, as a reload does".to_owned());
        return told;
    }
    match (demand.need.vram, placement.gpu_layers) {
        (VramNeed::WholeCard, _) => {
            told.push("has it to itself: nobody knows yet how much it needs".to_owned());
        }
        (VramNeed::Layers(model), Some(layers)) if layers < model.layers && demand.at_most == Some(layers) => {
            told.push(format!(
                "{layers} of {} layers go to a card: with more of them it ran out of GPU memory while it was loaded",
                model.layers
            ));
        }
        (VramNeed::Layers(model), Some(0)) if !demand.gpus.is_empty() => {
            told.push(format!("none of its {} layers fits on a card", model.layers));
        }
        (VramNeed::Layers(model), Some(layers)) if layers < model.layers => told.push(format!(
            "{layers} of {} layers fit on {}, the others go to RAM: {}",
            model.layers,
            if placement.gpus.len() == 1 { "the card" } else { "the cards" },
            if demand.may_push_out {
                "there is no room for all of them whoever leaves"
            } else {
                "nobody leaves for this"
            },
        )),
        (VramNeed::Bytes(_) | VramNeed::Layers(_), _) => told.extend(several(demand, plan)),
        (VramNeed::None, _) => {}
    }
    told
}

/// `GPU-1 (7GiB of 8GiB)`.
fn card(room: &Room, plan: &Plan, gpu: &GpuId) -> String {
    let lease = ByteSize(plan.placement.lease.vram.get(gpu).copied().unwrap_or(0));
    match room.cards.iter().find(|card| card.id == *gpu) {
        Some(card) => format!("{gpu} ({lease} of {})", ByteSize(card.room.capacity)),
        None => format!("{gpu} ({lease})"),
    }
}

/// Why one card, or why several, where there was a choice.
fn several(demand: &Demand, plan: &Plan) -> Option<String> {
    let told = match (plan.placement.gpus.len(), demand.gpus.len()) {
        (0, _) | (_, 0 | 1) => return None,
        (1, _) if plan.offload.is_empty() => "nobody has to leave there, and it leaves least over",
        (1, _) => "room is made at the least cost there",
        (_, _) if demand.all_of_them => "it is configured for all of them",
        (_, _) => "there is no room on fewer cards whoever leaves",
    };
    Some(told.to_owned())
}

fn leavers(residents: &[Resident], plan: &Plan) -> Vec<String> {
    let leavers = plan.offload.iter().filter_map(|name| residents.iter().find(|resident| resident.service == *name));
    let mut told: Vec<String> = leavers.map(leaver).collect();
    if told.is_empty() {
        told.push("nobody leaves for it".to_owned());
    } else {
        told.push(format!("costs about {} of loading that is likely to come", about(plan.cost)));
    }
    told
}

/// `chat leaves: idle for 5m, back in about 12s`.
fn leaver(resident: &Resident) -> String {
    let Resident { service, reload, idle, busy, priority, .. } = resident;
    let back = about(reload.as_secs_f64());
    let when = match busy {
        true => "when what it works on is done".to_owned(),
        false => format!("idle for {}", about(idle.as_secs_f64())),
    };
    let priority = if *priority == 0 { String::new() } else { format!(", priority {priority}") };
    format!("{service} leaves: {when}{priority}, back in about {back} (counts as {})", about(likely_cost(resident)))
}

/// Two figures are enough to decide by.
fn about(time: f64) -> String {
    let round = |unit: f64| Duration::try_from_secs_f64((time / unit).round() * unit).unwrap_or(Duration::MAX);
    match time {
        ..1.0 => format_duration(round(0.01)),
        ..10.0 => format_duration(round(0.1)),
        ..120.0 => format_duration(round(1.0)),
        ..7_200.0 => format_duration(round(60.0)),
        _ => format_duration(round(3_600.0)),
    }
}
