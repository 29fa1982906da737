//! Everything together.

use super::{
    cache::Layout,
    compute::{Where, buffer, host_buffer},
    layers::{Split, divided},
    model::Model,
    options::Options,
};
use crate::estimate::{Basis, Estimate, Side};

const MIB: u64 = 1 << 20;
/// What the program itself takes: its code that is not shared, threads, HTTP.
const PROGRAM: u64 = 16 * MIB;
/// Host memory for each word of a vocabulary, in bytes: the text, its score, the entries of two maps.
const WORD: u64 = 160;

impl Model {
    /// What it takes with so many layers on the card, the output counted as one (`-ngl`). `card`: whether the program sees
    /// one at all; without, nothing lies there, and a CPU may keep weights in an order of its own.
    #[must_use]
    pub fn estimate(&self, options: &Options, on_card: u32, card: bool) -> Estimate {
        let card = card && !options.no_device;
        let split = Split::of(self.shape.layers, if card { on_card } else { 0 });
        let layout = Layout::of(&self.shape, options);
        let mut all = Estimate::default();
        let between = self.put_weights(&mut all, options, split, card);
        self.put_cache(&mut all, options, &layout, split, card);
        self.put_buffers(&mut all, options, &layout, card, between);
        if card {
            all.put_driver();
        }
        let words = self.shape.vocabulary.saturating_mul(WORD);
        all.put("program", Side::Ram, PROGRAM.saturating_add(words), Basis::Allowance);
        self.put_notes(&mut all, options);
        all
    }

    /// Puts the weights; what the largest tensor is that has to be fetched from the host, if any has to.
    fn put_weights(&self, all: &mut Estimate, options: &Options, split: Split, card: bool) -> Option<u64> {
        let weights = &self.weights;
        let sides = divided(weights, options, split, options.repack && !card);
        let mut on_card = sides.card;
        if options.overridden && card && !split.is_none() {
            on_card = weights.bytes().saturating_add(weights.tied);
            all.notes.push("where `-ot` puts tensors is not followed: all weights are counted on the card".to_owned());
        }
        all.put("weights", Side::Gpu, on_card, Basis::Exact);
        let host = sides.host;
        all.put("weights in the CPU's order", Side::Ram, host.repacked, Basis::Formula);
        if options.mapped {
            let side = if options.locked { Side::Ram } else { Side::PageCache };
            all.put("weights, mapped", side, host.mapped, Basis::Formula);
        } else {
            all.put("weights", Side::Ram, host.bytes.saturating_sub(host.repacked), Basis::Exact);
        }
        (sides.between || options.overridden).then_some(host.largest)
    }

    fn put_cache(&self, all: &mut Estimate, options: &Options, layout: &Layout, split: Split, card: bool) {
        let (mut there, mut here): (u64, u64) = (0, 0);
        for (n, layer) in self.shape.kept.iter().enumerate() {
            let side = if card && split.has(n) && options.cache_on_card { &mut there } else { &mut here };
            *side = side.saturating_add(layout.kept(layer, options));
        }
        let what = match self.shape.kept.iter().any(|layer| layer.keys > 0) {
            true => "cache",
            false => "states",
        };
        all.put(what, Side::Gpu, there, Basis::Formula);
        all.put(what, Side::Ram, here, Basis::Formula);
        let outputs = layout.slots.saturating_mul(self.shape.vocabulary).saturating_mul(4);
        let vectors = layout.slots.saturating_mul(self.shape.embedding).saturating_mul(4);
        all.put("output", Side::Ram, if self.shape.encoder { vectors } else { outputs }, Basis::Formula);
    }

    fn put_buffers(&self, all: &mut Estimate, options: &Options, layout: &Layout, card: bool, between: Option<u64>) {
        let between = if options.cache_on_card { between } else { between.or(Some(0)) };
        let of = |place| buffer(&self.shape, layout, options, place);
        if !card {
            all.put("compute", Side::Ram, of(Where::Host), Basis::Fit);
            return;
        }
        all.put("compute", Side::Gpu, of(between.map_or(Where::Card, Where::Between)), Basis::Fit);
        all.put("host buffer", Side::Ram, host_buffer(&self.shape, layout, options), Basis::Fit);
    }

    fn put_notes(&self, all: &mut Estimate, options: &Options) {
        all.notes.extend(self.shape.unsure.iter().cloned());
        if options.context.is_none() && self.shape.kept.iter().any(|layer| layer.keys > 0) {
            all.notes.push(format!(
                "the context is not said (`-c`), so it is what the model was trained with: {} tokens",
                self.shape.context
            ));
        }
        match options.prompt_cache {
            Some(0) => {}
            Some(mib) => all.notes.push(format!(
                "finished prompts may take up to {mib} MiB of RAM more as they come in (`--cache-ram`); not counted"
            )),
            None => all.notes.push(
                "finished prompts may take RAM without any limit as they come in (`--cache-ram -1`); not counted"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
#[path = "total_tests.rs"]
mod tests;
