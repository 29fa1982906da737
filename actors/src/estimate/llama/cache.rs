//! How the context is divided, and what it keeps.
//!
//! `src/llama-context.cpp`, `src/llama-kv-cache.cpp`, `src/llama-kv-cache-iswa.cpp`, `src/llama-memory-recurrent.cpp`.

use super::{
    options::Options,
    shape::{Kept, Shape},
};
use crate::estimate::gguf::bytes_of;

/// Slots where the server decides (`tools/server`).
const SLOTS: u64 = 4;
/// Contexts are rounded up to this many tokens.
const PADDING: u64 = 256;

/// A context, as the server lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Slots.
    pub slots: u64,
    /// Caches side by side: one for each slot, or one for all.
    pub streams: u64,
    /// Tokens that each cache holds.
    pub tokens: u64,
    /// Tokens that each cache of a layer with a window holds.
    pub windowed: u64,
    /// Tokens that are computed at a time.
    pub batch: u64,
    /// Of these, how many have an output.
    pub outputs: u64,
}

impl Layout {
    /// Lays it out.
    pub fn of(shape: &Shape, options: &Options) -> Self {
        let asked = options.context.unwrap_or(shape.context).max(1);
        let slots = options.slots.unwrap_or(SLOTS);
        let unified = options.unified.unwrap_or(options.slots.is_none());
        let streams = if unified { 1 } else { slots };
        let tokens = padded(asked / streams);
        let batch = options.micro_batch.min(options.batch).min(asked);
        let seen = shape.window.saturating_mul(if unified { slots } else { 1 }).saturating_add(batch);
        let windowed = if options.full_windows { tokens } else { padded(tokens.min(seen)) };
        let outputs = if options.embeddings { batch } else { slots };
        Self { slots, streams, tokens, windowed, batch, outputs }
    }

    /// What a layer keeps, in bytes.
    pub fn kept(&self, layer: &Kept, options: &Options) -> u64 {
        let tokens = self.streams.saturating_mul(if layer.window { self.windowed } else { self.tokens });
        let bytes = |kind, numbers| bytes_of(kind, tokens.saturating_mul(numbers)).unwrap_or(u64::MAX);
        let context = bytes(options.keys, layer.keys).saturating_add(bytes(options.values, layer.values));
        context.saturating_add(self.slots.saturating_mul(layer.state).saturating_mul(4))
    }
}

fn padded(tokens: u64) -> u64 {
    tokens.max(1).checked_next_multiple_of(PADDING).unwrap_or(u64::MAX)
}
