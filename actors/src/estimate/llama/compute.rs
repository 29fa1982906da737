//! Buffers that a graph is computed in.
//!
//! llama.cpp has no formula for these: its allocator (`ggml/src/ggml-alloc.c`) lays out the tensors of a graph so that they
//! share memory, and its size is what comes out. The sums below are what it comes out at, counted in 32-bit numbers for
//! each token of a batch: what is alive at the same time in each stage of a layer. They were found by loading some 60
//! generated models; `docs/estimates.md` has what they miss.

use super::{cache::Layout, options::Options, shape::Shape};
use crate::estimate::gguf::TensorKind;

/// Bytes of a number.
const NUMBER: u64 = 4;
/// Bytes of an entry of the mask that says which token sees which, with flash attention and without.
const MASK: (u64, u64) = (2, 4);

/// Where a graph is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// On the host, without any card.
    Host,
    /// On the card, with everything there but the embedding.
    Card,
    /// On the card, with some weights fetched from the host: batches are computed there all the same (`--op-offload`). The
    /// largest tensor that is fetched has so many bytes.
    Between(u64),
}

/// Bytes of the largest graph.
pub fn buffer(shape: &Shape, layout: &Layout, options: &Options, place: Where) -> u64 {
    let Layout { batch, slots, .. } = *layout;
    let flash = options.flash_attention;
    let stage = feed_forward(shape).max(experts(shape)).max(recurrent(shape));
    let attention = attention(shape, layout, flash);
    let fetched = if flash { shape.embedding } else { 0 };
    // What is fetched makes the pieces fit worse into each other: a tenth more.
    let loosely = |numbers: u64| numbers.saturating_add(fetched).saturating_mul(11) / 10;
    let of = |numbers: u64| {
        product(&[batch, if matches!(place, Where::Between(_)) { loosely(numbers) } else { numbers }, NUMBER])
    };
    let graph = sum(&[
        mask(shape, layout, flash),
        of(stage).max(of(attention).saturating_add(widened(shape, layout, options))),
        // What scans a state works on copies of it.
        product(&[slots, largest_state(shape), NUMBER, 3]) / 2,
        if let Where::Between(largest) = place { largest } else { 0 },
    ]);
    graph.max(outputs(shape, layout))
}

/// Bytes that the host holds beside a card: what goes over to it and comes back.
pub fn host_buffer(shape: &Shape, layout: &Layout, options: &Options) -> u64 {
    let (width, flash) = (shape.embedding, options.flash_attention);
    let keys = widest_keys(shape).saturating_mul(2);
    let mut numbers = width.saturating_mul(2).max(width.saturating_add(keys)).max(state_stage(shape));
    if !flash {
        // Some devices leave attention without flash attention to the host.
        numbers = numbers.saturating_mul(2).max(attention(shape, layout, flash));
    }
    mask(shape, layout, flash).saturating_add(product(&[layout.batch, numbers, NUMBER]))
}

/// Which token sees which: one for the whole context and one for windows, of one stream at a time. An encoder sees its batch.
fn mask(shape: &Shape, layout: &Layout, flash: bool) -> u64 {
    let entry = if flash { MASK.0 } else { MASK.1 };
    let whole = shape.kept.iter().any(|layer| layer.keys > 0 && !layer.window);
    let window = shape.kept.iter().any(|layer| layer.keys > 0 && layer.window);
    let mut tokens = if shape.encoder { layout.batch } else { 0 };
    if whole {
        tokens = layout.tokens;
    }
    if window {
        tokens = tokens.saturating_add(layout.windowed);
    }
    product(&[layout.batch, tokens, entry])
}

/// The gate, what goes up and their product, with the residual and its norm around them. An encoder has no gate.
fn feed_forward(shape: &Shape) -> u64 {
    let wide = if shape.experts_used == 0 { shape.feed_forward } else { 0 };
    if shape.encoder {
        return wide.saturating_add(shape.embedding.saturating_mul(3));
    }
    wide.saturating_mul(3).saturating_add(shape.embedding.saturating_mul(4))
}

/// The same for each expert that works on a token, and then what they all bring down. Where that lies depends on the hole
/// that the gate and the rest leave behind.
fn experts(shape: &Shape) -> u64 {
    let (used, width) = (shape.experts_used, shape.embedding);
    if used == 0 {
        return 0;
    }
    let up = product(&[used, shape.expert_width, 3]);
    let down = product(&[used, width]);
    if width <= shape.expert_width.saturating_mul(2) {
        sum(&[up, width.saturating_mul(4)])
    } else if width <= shape.expert_width.saturating_mul(3) {
        sum(&[up, down, width.saturating_mul(5)])
    } else {
        sum(&[down, down, width.saturating_mul(2)]).max(sum(&[up, width.saturating_mul(4)]))
    }
}

/// Queries, keys and values, what attention makes of them, and without flash attention the weight of every token for every
/// other, of all heads.
fn attention(shape: &Shape, layout: &Layout, flash: bool) -> u64 {
    let (width, queries, keys) = (shape.embedding, shape.queries, widest_keys(shape));
    let tokens = if shape.encoder { layout.batch } else { layout.tokens };
    let seen = if flash { 0 } else { product(&[tokens, shape.heads]) };
    let windows = shape.kept.iter().any(|layer| layer.window);
    let rest = if shape.encoder {
        width.saturating_mul(if flash { 3 } else { 6 })
    } else if let Some(latent) = shape.latent {
        // The queries as they are, without and with what is rotated, and in the latent space before and after.
        let heads = shape.heads;
        let of = |each: u64| product(&[heads, each]);
        let (own, space) = (latent.head.saturating_add(latent.rotated), latent.rank.saturating_add(latent.rotated));
        sum(&[of(own), of(latent.head), of(latent.rank), of(space), width.saturating_mul(7)])
    } else if keys == 0 {
        0
    } else if flash {
        sum(&[width, queries]).saturating_mul(2).saturating_add(keys.saturating_mul(5) / 2)
    } else {
        let keys = keys.saturating_mul(if windows { 4 } else { 2 });
        sum(&[width.saturating_mul(3), queries.saturating_mul(2), keys])
    };
    seen.saturating_add(rest)
}

/// What comes in doubled, convolved, and with its step and its gate.
fn recurrent(shape: &Shape) -> u64 {
    if shape.recurrent == 0 {
        return 0;
    }
    sum(&[shape.recurrent.saturating_mul(6), shape.embedding])
}

/// Of that, what may go over to the host where a card has no kernel for it.
fn state_stage(shape: &Shape) -> u64 {
    shape.recurrent.saturating_mul(4)
}

/// Flash attention over 32-bit keys and values makes 16-bit copies of those of a layer.
fn widened(shape: &Shape, layout: &Layout, options: &Options) -> u64 {
    let of = |kind| if kind == TensorKind::F32 && options.flash_attention { 2 } else { 0 };
    product(&[layout.tokens, widest_keys(shape), of(options.keys) + of(options.values)])
}

/// A number for every word, of each token that has an output.
fn outputs(shape: &Shape, layout: &Layout) -> u64 {
    if shape.encoder {
        return 0;
    }
    let widths = if shape.latent.is_some() {
        4
    } else if shape.recurrent > 0 {
        3
    } else {
        2
    };
    let words = product(&[layout.outputs, shape.vocabulary]);
    sum(&[words, product(&[layout.batch, shape.embedding, widths])]).saturating_mul(NUMBER)
}

fn widest_keys(shape: &Shape) -> u64 {
    shape.kept.iter().map(|layer| layer.keys).max().unwrap_or(0)
}

fn largest_state(shape: &Shape) -> u64 {
    shape.kept.iter().map(|layer| layer.state).max().unwrap_or(0)
}

fn product(factors: &[u64]) -> u64 {
    factors.iter().fold(1, |product, factor| product.saturating_mul(*factor))
}

fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}
