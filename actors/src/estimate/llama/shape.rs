//! How a model is built, as its metadata tell.

use crate::estimate::gguf::{Metadata, Wrong};

/// More layers than any model has.
const MOST_LAYERS: u64 = 4096;
/// Larger than any width, count or context of a model: products of two of these fit.
const MOST: u64 = 1 << 31;

/// What a layer keeps for each token of the context, and for each slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Numbers of keys, for each token.
    pub keys: u64,
    /// Numbers of values, for each token.
    pub values: u64,
    /// Whether it sees only a window.
    pub window: bool,
    /// 32-bit numbers of a state, for each slot.
    pub state: u64,
}

/// A model whose keys and values come from one latent vector (`attention.key_length_mla`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latent {
    /// Width of the latent vector.
    pub rank: u64,
    /// Rotated numbers besides.
    pub rotated: u64,
    /// Width of a head's values.
    pub head: u64,
}

/// Sizes that buffers depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// `general.architecture`.
    pub architecture: String,
    /// Layers, from 1.
    pub layers: u32,
    /// Width.
    pub embedding: u64,
    /// Width of the widest feed-forward part.
    pub feed_forward: u64,
    /// Attention heads, of the layer that has most.
    pub heads: u64,
    /// Numbers of the queries of a token, of all heads.
    pub queries: u64,
    /// Experts that work on a token; 0 for none.
    pub experts_used: u64,
    /// Width of an expert.
    pub expert_width: u64,
    /// Words of the vocabulary.
    pub vocabulary: u64,
    /// Tokens of context that it was trained with.
    pub context: u64,
    /// Tokens that a layer with a window sees.
    pub window: u64,
    /// Whether keys and values are latent.
    pub latent: Option<Latent>,
    /// Width of a recurrent layer.
    pub recurrent: u64,
    /// Whether it sees both directions at once and so keeps nothing.
    pub encoder: bool,
    /// What each layer keeps.
    pub kept: Vec<Kept>,
    /// What is not known about it.
    pub unsure: Vec<String>,
}

/// Every how many layers one sees the whole context, by architecture (`set_swa_pattern` in `src/llama-model.cpp`): the last
/// of each group.
const PATTERNS: &[(&str, u64)] = &[
    ("gemma2", 2),
    ("gemma3", 6),
    ("gemma3n", 5),
    ("cohere2", 4),
    ("gpt-oss", 2),
    ("olmo2", 4),
    ("olmo3", 4),
    ("exaone4", 4),
    ("llama4", 4),
];

/// Every how many layers of these one has attention, where the file does not say.
const FULL_ATTENTION: u64 = 4;

struct Reader<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl Reader<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.metadata.number(&self.key(name)).filter(|n| *n <= MOST)
    }

    fn of_layer(&self, name: &str, layer: usize) -> Option<u64> {
        self.metadata.of_layer(&self.key(name), layer).filter(|n| *n <= MOST)
    }

    fn needed(&self, name: &str) -> Result<u64, Wrong> {
        self.number(name).filter(|n| *n > 0).ok_or_else(|| Wrong::Missing(self.key(name)))
    }
}

/// Layers, where the metadata say so.
#[must_use]
pub fn layers(metadata: &Metadata) -> Option<u32> {
    let layers = metadata.number(&format!("{}.block_count", metadata.text("general.architecture")?))?;
    u32::try_from(layers).ok().filter(|n| (1..=MOST_LAYERS).contains(&u64::from(*n)))
}

impl Shape {
    /// Reads it.
    ///
    /// # Errors
    /// When something is missing that every language model says.
    pub fn read(metadata: &Metadata) -> Result<Self, Wrong> {
        let missing = || Wrong::Missing("general.architecture".to_owned());
        let architecture = metadata.text("general.architecture").ok_or_else(missing)?;
        let reader = Reader { metadata, architecture };
        let layers = layers(metadata).ok_or_else(|| Wrong::Missing(reader.key("block_count")))?;
        let count = layers as usize;
        let embedding = reader.needed("embedding_length")?;
        let widest = |name: &str| (0..count).filter_map(|layer| reader.of_layer(name, layer)).max();
        let heads = widest("attention.head_count").unwrap_or(0);
        let head = head_width(&reader, "attention.key_length", embedding, heads);
        let vocabulary = metadata.length("tokenizer.ggml.tokens").or_else(|| reader.number("vocab_size"));
        let feed_forward = widest("feed_forward_length").unwrap_or(0);
        let causal = reader.number("attention.causal").unwrap_or(1) != 0;
        let mut shape = Self {
            architecture: architecture.to_owned(),
            layers,
            embedding,
            feed_forward,
            heads,
            queries: heads.saturating_mul(head),
            experts_used: reader.number("expert_used_count").unwrap_or(0),
            expert_width: reader.number("expert_feed_forward_length").unwrap_or(feed_forward),
            vocabulary: vocabulary.unwrap_or(0).min(MOST),
            context: reader.number("context_length").unwrap_or(0),
            window: reader.number("attention.sliding_window").unwrap_or(0),
            latent: latent(&reader),
            recurrent: reader.number("ssm.inner_size").unwrap_or(0),
            encoder: !causal || matches!(architecture, "bert" | "nomic-bert" | "jina-bert-v2" | "modern-bert"),
            kept: Vec::new(),
            unsure: Vec::new(),
        };
        shape.kept = kept(&reader, &mut shape, head);
        Ok(shape)
    }
}

fn head_width(reader: &Reader<'_>, name: &str, embedding: u64, heads: u64) -> u64 {
    reader.number(name).unwrap_or_else(|| embedding.checked_div(heads).unwrap_or(0))
}

fn latent(reader: &Reader<'_>) -> Option<Latent> {
    let (keys, values) = (reader.number("attention.key_length_mla")?, reader.number("attention.value_length_mla")?);
    let rank = reader.number("attention.kv_lora_rank")?;
    let rotated = reader.number("rope.dimension_count").unwrap_or_else(|| keys.saturating_sub(values));
    Some(Latent { rank, rotated, head: values })
}

fn kept(reader: &Reader<'_>, shape: &mut Shape, head: u64) -> Vec<Kept> {
    let count = shape.layers as usize;
    if shape.encoder {
        return vec![Kept::default(); count];
    }
    let values = head_width(reader, "attention.value_length", shape.embedding, shape.heads);
    let windows = windows(reader, shape);
    let states = states(reader, shape);
    // Layers at the end that use the cache of an earlier one (`gemma3n`).
    let own = count.saturating_sub(reader.number("attention.shared_kv_layers").unwrap_or(0) as usize);
    let layer = |n: usize| {
        let heads = reader.of_layer("attention.head_count_kv", n).unwrap_or(shape.heads);
        let (state, only_state) = states[n];
        let heads = if only_state || n >= own { 0 } else { heads };
        // A latent cache holds no values: they are computed from the keys.
        let values = if shape.latent.is_some() { 0 } else { values };
        Kept { keys: heads.saturating_mul(head), values: heads.saturating_mul(values), window: windows[n], state }
    };
    (0..count).map(layer).collect()
}

/// Which layers see only a window.
fn windows(reader: &Reader<'_>, shape: &mut Shape) -> Vec<bool> {
    let count = shape.layers as usize;
    if shape.window == 0 {
        shape.window = reader.number("attention.chunk_size").unwrap_or(0);
    }
    if shape.window == 0 {
        return vec![false; count];
    }
    let key = "attention.sliding_window_pattern";
    let of_file = |n: usize| reader.of_layer(key, n);
    if reader.metadata.length(&reader.key(key)).is_some() {
        return (0..count).map(|n| of_file(n).is_some_and(|flag| flag != 0)).collect();
    }
    let known = PATTERNS.iter().find(|(name, _)| *name == shape.architecture).map(|(_, each)| *each);
    let Some(each) = of_file(0).or(known).filter(|each| *each > 0) else {
        let told = "which of its layers see only a window is not known: all are taken to see the whole context";
        shape.unsure.push(told.to_owned());
        shape.window = 0;
        return vec![false; count];
    };
    (0..count as u64).map(|n| n % each < each - 1).collect()
}

/// The state of each layer in numbers, and whether it has nothing else (`n_embd_r` and `n_embd_s` in
/// `src/llama-hparams.cpp`).
fn states(reader: &Reader<'_>, shape: &mut Shape) -> Vec<(u64, bool)> {
    let count = shape.layers as usize;
    let of = |name: &str| reader.number(name).unwrap_or(0);
    let embedding = shape.embedding;
    if let Some(head) = reader.number("wkv.head_size").filter(|head| *head > 0) {
        let shifts = reader.number("token_shift_count").unwrap_or(2);
        shape.recurrent = embedding.saturating_mul(2);
        return vec![(embedding.saturating_mul(shifts.saturating_add(head)), true); count];
    }
    let heads = |n: usize| reader.of_layer("attention.head_count_kv", n).unwrap_or(shape.heads);
    if let Some(cache) = reader.number("shortconv.l_cache").filter(|cache| *cache > 0) {
        return (0..count).map(|n| if heads(n) == 0 { (embedding * (cache - 1), true) } else { (0, false) }).collect();
    }
    if shape.recurrent == 0 {
        return vec![(0, false); count];
    }
    let (inner, state) = (shape.recurrent, of("ssm.state_size"));
    let convolution = of("ssm.conv_kernel").saturating_sub(1);
    let convolved = inner.saturating_add(of("ssm.group_count").saturating_mul(2).saturating_mul(state));
    let numbers = convolution.saturating_mul(convolved).saturating_add(state.saturating_mul(inner));
    let interval = reader.number("full_attention_interval").filter(|each| *each > 0);
    let by_interval = interval.or_else(|| (shape.architecture == "qwen3next").then_some(FULL_ATTENTION));
    let pure = matches!(shape.architecture.as_str(), "mamba" | "mamba2");
    if pure {
        return vec![(numbers, true); count];
    }
    if let Some(each) = by_interval {
        return (1..=count as u64).map(|n| if n % each == 0 { (0, false) } else { (numbers, true) }).collect();
    }
    if (0..count).any(|n| heads(n) == 0) {
        return (0..count).map(|n| if heads(n) == 0 { (numbers, true) } else { (0, false) }).collect();
    }
    if shape.architecture != "falcon-h1" {
        let told = "which of its layers have a state and which a context is not known: all are taken to have both";
        shape.unsure.push(told.to_owned());
    }
    vec![(numbers, false); count]
}
