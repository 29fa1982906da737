//! Which layers lie on the card.

use super::{
    options::{Experts, Options},
    weights::{Group, OnHost, Weights, on_host},
};

/// With `-ngl N`, the output counts as the last layer and goes first: `N` of 1 is the output alone, and one more than there
/// are layers is all of them (`load_tensors` in `src/llama-model.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The first layer that lies on the card.
    pub first: usize,
    /// Whether the output lies there.
    pub output: bool,
}

impl Split {
    /// So many of `layers` and the output.
    pub fn of(layers: u32, on_card: u32) -> Self {
        let first = layers.saturating_add(1).saturating_sub(on_card).min(layers) as usize;
        Self { first, output: on_card > 0 }
    }

    /// Whether nothing lies there.
    pub fn is_none(self) -> bool {
        !self.output
    }

    /// Whether layer `n` lies there.
    pub fn has(self, n: usize) -> bool {
        n >= self.first
    }
}

/// Weights on either side.
pub struct Sides {
    /// On the card.
    pub card: u64,
    /// On the host.
    pub host: OnHost,
    /// Whether any layer, or any part of one, is on the host while the card computes.
    pub between: bool,
}

/// Divides the weights.
pub fn divided(weights: &Weights, options: &Options, split: Split, repack: bool) -> Sides {
    let mut here: Vec<&Group> = vec![&weights.input];
    let mut card: u64 = 0;
    let mut put = |group: &'_ Group, on_card: bool| {
        if on_card {
            card = card.saturating_add(group.bytes);
        }
        !on_card
    };
    let layers = weights.layers.iter().zip(&weights.experts).enumerate();
    for (n, (layer, experts)) in layers {
        let with_layer = match options.experts {
            Experts::WithTheirLayers => true,
            Experts::OnHost(first) => n >= first as usize,
            Experts::AllOnHost => false,
        };
        if put(layer, split.has(n)) {
            here.push(layer);
        }
        if put(experts, split.has(n) && with_layer) {
            here.push(experts);
        }
    }
    if put(&weights.output, split.output) {
        here.push(&weights.output);
    }
    if split.output {
        card = card.saturating_add(weights.tied);
    }
    let fetched = on_host(here.iter().skip(1).copied(), false);
    let mut host = on_host(here.iter().copied(), repack);
    host.largest = fetched.largest;
    Sides { card, host, between: fetched.bytes > 0 }
}
