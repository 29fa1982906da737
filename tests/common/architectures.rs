//! Writes GGUF files of several architectures, in shapes of the test's choosing, to be loaded and never to be asked.
//!
//! What memory a model takes depends on its shapes and types, not on its numbers: the tensors are holes in a sparse file,
//! all zeros, so that a model of a gigabyte takes some kilobytes of disk. Names and shapes of tensors are those that
//! `src/llama-model.cpp` of llama.cpp asks for.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::gguf::{Value, text};

/// Tensors begin at multiples of this; the default of the format.
const ALIGNMENT: u64 = 32;

/// Types of tensors, with their numbers in `ggml.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    F32,
    F16,
    Q4,
    Q8,
}

impl Type {
    fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4 => 2,
            Self::Q8 => 8,
        }
    }

    fn bytes(self, numbers: u64) -> u64 {
        match self {
            Self::F32 => numbers * 4,
            Self::F16 => numbers * 2,
            Self::Q4 => numbers / 32 * 18,
            Self::Q8 => numbers / 32 * 34,
        }
    }
}

/// Experts of each layer.
#[derive(Debug, Clone, Copy)]
pub struct Experts {
    pub count: u32,
    pub used: u32,
    pub feed_forward: u32,
}

/// How a layer mixes what came before.
#[derive(Debug, Clone, Copy)]
pub enum Mix {
    /// Attention, as `llama` and `qwen3moe` have it.
    Attention,
    /// Most layers see only this many tokens back; every `of_each`-th sees all (`gemma3`: 6).
    Windows(u32),
    /// Keys and values from one latent vector of this width, with so many rotated numbers besides (`deepseek2`).
    Latent { rank: u32, rotated: u32 },
    /// A state instead of a context: `mamba` with this inner width and this state.
    State { inner: u32, state: u32 },
    /// Both directions at once and no cache: `bert`.
    Encoder,
}

/// A model to be written.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub mix: Mix,
    pub layers: u32,
    pub embedding: u32,
    pub heads: u32,
    pub heads_kv: u32,
    /// Width of a head.
    pub head: u32,
    pub feed_forward: u32,
    pub experts: Option<Experts>,
    pub vocabulary: u32,
    /// Whether the output has no matrix of its own.
    pub tied: bool,
    pub weights: Type,
    pub trained_context: u32,
}

/// A dense `llama` of 80 MB.
pub const DENSE: Plan = Plan {
    mix: Mix::Attention,
    layers: 8,
    embedding: 512,
    heads: 8,
    heads_kv: 8,
    head: 64,
    feed_forward: 1408,
    experts: None,
    vocabulary: 8192,
    tied: false,
    weights: Type::F16,
    trained_context: 8192,
};

/// Writes it.
pub fn write(path: &Path, plan: &Plan) -> io::Result<()> {
    write_file(path, &plan.metadata(), &plan.tensors())
}

/// Writes it spread over two files, as `llama-gguf-split` does; gives back the first.
pub fn write_in_parts(folder: &Path, plan: &Plan) -> io::Result<PathBuf> {
    let (all, mut metadata) = (plan.tensors(), plan.metadata());
    let part = |n: u32| folder.join(format!("model-{n:05}-of-00002.gguf"));
    let split = |n: u16| {
        let entry = |name: &str, value| (format!("split.{name}"), value);
        vec![
            entry("no", Value::U16(n)),
            entry("count", Value::U16(2)),
            entry("tensors.count", Value::I32(all.len() as i32)),
        ]
    };
    metadata.extend(split(0));
    let (first, rest) = all.split_at(all.len() / 2);
    write_file(&part(1), &metadata, first)?;
    write_file(&part(2), &split(1), rest)?;
    Ok(part(1))
}

fn write_file(path: &Path, metadata: &[(String, Value)], tensors: &[Tensor]) -> io::Result<()> {
    let mut head = Vec::new();
    head.extend(b"GGUF");
    head.extend(3_u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut head, key);
        value.write(&mut head);
    }
    let mut offset = 0_u64;
    for Tensor { name, shape, kind } in tensors {
        text(&mut head, name);
        head.extend((shape.len() as u32).to_le_bytes());
        head.extend(shape.iter().flat_map(|n| n.to_le_bytes()));
        head.extend(kind.number().to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset += kind.bytes(shape.iter().product()).next_multiple_of(ALIGNMENT);
    }
    let data = (head.len() as u64).next_multiple_of(ALIGNMENT);
    let mut file = File::create(path)?;
    file.write_all(&head)?;
    file.set_len(data + offset)
}

struct Tensor {
    name: String,
    /// Fastest-changing dimension first.
    shape: Vec<u64>,
    kind: Type,
}

/// Collects the tensors of a layer.
struct Layer<'a> {
    all: &'a mut Vec<Tensor>,
    number: u32,
    weights: Type,
}

impl Layer<'_> {
    fn put(&mut self, part: &str, shape: &[u32], kind: Type) {
        let name = format!("blk.{}.{part}", self.number);
        self.all.push(Tensor { name, shape: shape.iter().map(|n| u64::from(*n)).collect(), kind });
    }

    fn matrix(&mut self, part: &str, shape: &[u32]) {
        let kind = self.weights;
        self.put(&format!("{part}.weight"), shape, kind);
    }

    fn norm(&mut self, part: &str, width: u32) {
        self.put(&format!("{part}.weight"), &[width], Type::F32);
    }

    fn bias(&mut self, part: &str, width: u32) {
        self.put(&format!("{part}.bias"), &[width], Type::F32);
    }
}

impl Plan {
    /// Its name as llama.cpp knows it.
    pub fn architecture(&self) -> &'static str {
        match (self.mix, self.experts) {
            (Mix::Attention, None) => "llama",
            (Mix::Attention, Some(_)) => "qwen3moe",
            (Mix::Windows(_), _) => "gemma3",
            (Mix::Latent { .. }, _) => "deepseek2",
            (Mix::State { .. }, _) => "mamba",
            (Mix::Encoder, _) => "bert",
        }
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (width, words) = (u64::from(self.embedding), u64::from(self.vocabulary));
        let mut all = Vec::new();
        let whole = |name: &str, shape: &[u64], kind| Tensor { name: name.to_owned(), shape: shape.to_vec(), kind };
        all.push(whole("token_embd.weight", &[width, words], self.weights));
        for number in 0..self.layers {
            self.layer(&mut Layer { all: &mut all, number, weights: self.weights });
        }
        if matches!(self.mix, Mix::Encoder) {
            all.push(whole("token_types.weight", &[width, 2], Type::F32));
            all.push(whole("position_embd.weight", &[width, self.trained_context.into()], Type::F32));
            all.push(whole("token_embd_norm.weight", &[width], Type::F32));
            all.push(whole("token_embd_norm.bias", &[width], Type::F32));
            return all;
        }
        all.push(whole("output_norm.weight", &[width], Type::F32));
        if !self.tied {
            all.push(whole("output.weight", &[width, words], self.weights));
        }
        all
    }

    fn layer(&self, layer: &mut Layer<'_>) {
        let width = self.embedding;
        match self.mix {
            Mix::Encoder => {
                for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
                    layer.matrix(part, &[width, width]);
                    layer.bias(part, width);
                }
                layer.matrix("ffn_up", &[width, self.feed_forward]);
                layer.bias("ffn_up", self.feed_forward);
                layer.matrix("ffn_down", &[self.feed_forward, width]);
                layer.bias("ffn_down", width);
                for part in ["attn_output_norm", "layer_output_norm"] {
                    layer.norm(part, width);
                    layer.bias(part, width);
                }
                return;
            }
            Mix::State { inner, state } => return self.state_layer(layer, inner, state),
            Mix::Latent { rank, rotated } => self.latent(layer, rank, rotated),
            Mix::Attention | Mix::Windows(_) => self.attention(layer),
        }
        layer.norm("ffn_norm", width);
        match self.experts {
            None => {
                layer.matrix("ffn_gate", &[width, self.feed_forward]);
                layer.matrix("ffn_up", &[width, self.feed_forward]);
                layer.matrix("ffn_down", &[self.feed_forward, width]);
            }
            Some(Experts { count, feed_forward, .. }) => {
                layer.put("ffn_gate_inp.weight", &[width, count], Type::F32);
                layer.matrix("ffn_gate_exps", &[width, feed_forward, count]);
                layer.matrix("ffn_up_exps", &[width, feed_forward, count]);
                layer.matrix("ffn_down_exps", &[feed_forward, width, count]);
                if matches!(self.mix, Mix::Latent { .. }) {
                    layer.matrix("ffn_gate_shexp", &[width, feed_forward]);
                    layer.matrix("ffn_up_shexp", &[width, feed_forward]);
                    layer.matrix("ffn_down_shexp", &[feed_forward, width]);
                }
            }
        }
    }

    fn attention(&self, layer: &mut Layer<'_>) {
        let (width, head) = (self.embedding, self.head);
        layer.norm("attn_norm", width);
        layer.matrix("attn_q", &[width, self.heads * head]);
        layer.matrix("attn_k", &[width, self.heads_kv * head]);
        layer.matrix("attn_v", &[width, self.heads_kv * head]);
        layer.matrix("attn_output", &[self.heads * head, width]);
        if self.architecture() != "llama" {
            layer.norm("attn_q_norm", head);
            layer.norm("attn_k_norm", head);
        }
        if matches!(self.mix, Mix::Windows(_)) {
            layer.norm("post_attention_norm", width);
            layer.norm("post_ffw_norm", width);
        }
    }

    fn latent(&self, layer: &mut Layer<'_>, rank: u32, rotated: u32) {
        let (width, head, heads) = (self.embedding, self.head, self.heads);
        layer.norm("attn_norm", width);
        layer.matrix("attn_q_a", &[width, rank]);
        layer.norm("attn_q_a_norm", rank);
        layer.matrix("attn_q_b", &[rank, heads * (head + rotated)]);
        layer.matrix("attn_kv_a_mqa", &[width, rank + rotated]);
        layer.norm("attn_kv_a_norm", rank);
        layer.matrix("attn_k_b", &[head, rank, heads]);
        layer.matrix("attn_v_b", &[rank, head, heads]);
        layer.matrix("attn_output", &[heads * head, width]);
    }

    fn state_layer(&self, layer: &mut Layer<'_>, inner: u32, state: u32) {
        let (width, rank) = (self.embedding, self.embedding / 16);
        layer.norm("attn_norm", width);
        layer.matrix("ssm_in", &[width, 2 * inner]);
        layer.put("ssm_conv1d.weight", &[CONVOLUTION, inner], Type::F32);
        layer.bias("ssm_conv1d", inner);
        layer.matrix("ssm_x", &[inner, rank + 2 * state]);
        layer.matrix("ssm_dt", &[rank, inner]);
        layer.bias("ssm_dt", inner);
        layer.put("ssm_a", &[state, inner], Type::F32);
        layer.put("ssm_d", &[inner], Type::F32);
        layer.matrix("ssm_out", &[inner, width]);
    }

    fn metadata(&self) -> Vec<(String, Value)> {
        let own = |key: &str, value| (format!("{}.{key}", self.architecture()), value);
        let mut all = vec![
            ("general.architecture".to_owned(), Value::Text(self.architecture().to_owned())),
            own("context_length", Value::U32(self.trained_context)),
            own("embedding_length", Value::U32(self.embedding)),
            own("block_count", Value::U32(self.layers)),
            own("feed_forward_length", Value::U32(self.feed_forward)),
            own("attention.head_count", Value::U32(self.heads)),
            own("attention.head_count_kv", Value::U32(self.heads_kv)),
            own("attention.key_length", Value::U32(self.head)),
            own("attention.value_length", Value::U32(self.head)),
            own("attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            own("rope.dimension_count", Value::U32(self.head)),
        ];
        let mut set = |key: &str, value: u32| {
            let name = format!("{}.{key}", self.architecture());
            all.retain(|(known, _)| *known != name);
            all.push((name, Value::U32(value)));
        };
        if let Some(Experts { count, used, feed_forward }) = self.experts {
            set("expert_count", count);
            set("expert_used_count", used);
            set("expert_feed_forward_length", feed_forward);
        }
        match self.mix {
            Mix::Attention => {}
            Mix::Windows(window) => set("attention.sliding_window", window),
            Mix::Latent { rank, rotated } => {
                set("attention.head_count_kv", 1);
                set("attention.q_lora_rank", rank);
                set("attention.kv_lora_rank", rank);
                set("attention.key_length", rank + rotated);
                set("attention.value_length", rank);
                set("attention.key_length_mla", self.head + rotated);
                set("attention.value_length_mla", self.head);
                set("rope.dimension_count", rotated);
                set("leading_dense_block_count", 0);
                set("expert_shared_count", 1);
            }
            Mix::State { inner, state } => {
                set("ssm.conv_kernel", CONVOLUTION);
                set("ssm.inner_size", inner);
                set("ssm.state_size", state);
                set("ssm.time_step_rank", self.embedding / 16);
                set("attention.head_count", 0);
                set("attention.head_count_kv", 0);
            }
            Mix::Encoder => {
                all.push(("bert.attention.layer_norm_epsilon".to_owned(), Value::F32(1e-12)));
                all.push(("bert.attention.causal".to_owned(), Value::Bool(false)));
                all.push(("bert.pooling_type".to_owned(), Value::U32(1)));
                all.push(("tokenizer.ggml.token_type_count".to_owned(), Value::U32(2)));
            }
        }
        all.extend(self.tokens());
        all
    }

    /// A vocabulary of the right length: control tokens, a token for each byte, and numbered words.
    fn tokens(&self) -> Vec<(String, Value)> {
        let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        tokens.extend((tokens.len() as u32..self.vocabulary).map(|n| format!("\u{2581}{n}")));
        let mut kinds = vec![2, 3, 3];
        kinds.extend([6; 256]);
        kinds.resize(tokens.len(), 1);
        let entry = |name: &str, value| (format!("tokenizer.ggml.{name}"), value);
        vec![
            entry("model", Value::Text("llama".to_owned())),
            entry("scores", Value::F32s(vec![0.0; tokens.len()])),
            entry("token_type", Value::I32s(kinds)),
            entry("tokens", Value::Texts(tokens)),
            entry("unknown_token_id", Value::U32(0)),
            entry("bos_token_id", Value::U32(1)),
            entry("eos_token_id", Value::U32(2)),
        ]
    }
}

/// Tokens that a convolution of a recurrent layer sees.
const CONVOLUTION: u32 = 4;
