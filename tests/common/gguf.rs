//! Writes a small random-weight model that a real llama-server loads and generates with.
//!
//! The format is GGUF version 3 (`docs/gguf.md` of ggml): header, metadata, table of tensors, then the tensors' data,
//! aligned. The architecture is `llama`. What it says is nonsense, but always words: the rows of the output matrix for
//! words come in pairs of opposite sign and are large, so that one word at least has a logit far above zero, while all
//! other tokens (bytes, control, end of text) have rows of zeros. A byte token in an answer would make llama-server
//! refuse its own output.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Tensors begin at multiples of this; the default of the format.
const ALIGNMENT: u64 = 32;
/// Tokens of a byte each, so that any prompt can be read.
const BYTES: usize = 256;
/// `<unk>`, `<s>`, `</s>`.
const CONTROL: usize = 3;

/// How large the model is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Transformer blocks.
    pub layers: u32,
    /// Width; a multiple of 64, the width of a head.
    pub embedding: u32,
    /// Width of the feed-forward part.
    pub feed_forward: u32,
    /// Words it knows; even.
    pub words: u32,
}

impl Default for Shape {
    /// 5 MB.
    fn default() -> Self {
        Self { layers: 4, embedding: 256, feed_forward: 384, words: 256 }
    }
}

/// Writes the model.
pub fn write(path: &Path, shape: Shape) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let tensors = tensors(shape);
    let mut head = Vec::new();
    header(&mut head, shape, &tensors);
    head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);
    out.write_all(&head)?;
    let mut random = Random(0x5EED);
    for tensor in &tensors {
        let mut data = tensor.data(&mut random, shape);
        data.resize(data.len().next_multiple_of(ALIGNMENT as usize), 0);
        out.write_all(&data)?;
    }
    out.flush()
}

/// How a tensor is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// 32-bit ones: the scale of a norm.
    Ones,
    /// 16-bit random numbers of either sign, from 1/64 to 1/32.
    Weights,
    /// 16-bit rows for the output: zeros but for the words.
    Output,
}

#[derive(Debug)]
struct Tensor {
    name: String,
    /// Fastest-changing dimension first.
    shape: Vec<u64>,
    fill: Fill,
}

impl Tensor {
    fn new(name: impl Into<String>, shape: &[u32], fill: Fill) -> Self {
        Self { name: name.into(), shape: shape.iter().map(|&n| n.into()).collect(), fill }
    }

    fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    /// `GGML_TYPE_F32` or `GGML_TYPE_F16`.
    fn kind(&self) -> u32 {
        u32::from(self.fill != Fill::Ones)
    }

    fn bytes(&self) -> u64 {
        self.len() * if self.fill == Fill::Ones { 4 } else { 2 }
    }

    fn data(&self, random: &mut Random, shape: Shape) -> Vec<u8> {
        match self.fill {
            Fill::Ones => 1f32.to_le_bytes().repeat(self.len() as usize),
            Fill::Weights => (0..self.len()).flat_map(|_| random.half(-6).to_le_bytes()).collect(),
            Fill::Output => output_rows(random, shape),
        }
    }
}

fn output_rows(random: &mut Random, shape: Shape) -> Vec<u8> {
    let width = shape.embedding as usize;
    let mut data = vec![0; (CONTROL + BYTES) * width * 2];
    for _ in 0..shape.words / 2 {
        let row: Vec<u16> = (0..width).map(|_| random.half(0)).collect();
        data.extend(row.iter().flat_map(|half| half.to_le_bytes()));
        data.extend(row.iter().flat_map(|half| (half ^ 0x8000).to_le_bytes()));
    }
    data
}

fn tensors(shape: Shape) -> Vec<Tensor> {
    let Shape { layers, embedding: width, feed_forward: wide, .. } = shape;
    let vocabulary = vocabulary(shape).len() as u32;
    let mut all = vec![Tensor::new("token_embd.weight", &[width, vocabulary], Fill::Weights)];
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        all.push(Tensor::new(name("attn_norm"), &[width], Fill::Ones));
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            all.push(Tensor::new(name(part), &[width, width], Fill::Weights));
        }
        all.push(Tensor::new(name("ffn_norm"), &[width], Fill::Ones));
        all.push(Tensor::new(name("ffn_gate"), &[width, wide], Fill::Weights));
        all.push(Tensor::new(name("ffn_up"), &[width, wide], Fill::Weights));
        all.push(Tensor::new(name("ffn_down"), &[wide, width], Fill::Weights));
    }
    all.push(Tensor::new("output_norm.weight", &[width], Fill::Ones));
    all.push(Tensor::new("output.weight", &[width, vocabulary], Fill::Output));
    all
}

/// A token with its type as llama.cpp numbers them: 1 normal, 2 unknown, 3 control, 6 byte.
fn vocabulary(shape: Shape) -> Vec<(String, i32)> {
    const SYLLABLES: [&str; 16] =
        ["ba", "do", "fi", "ga", "he", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "zo"];
    let mut tokens: Vec<(String, i32)> = vec![("<unk>".into(), 2), ("<s>".into(), 3), ("</s>".into(), 3)];
    tokens.extend((0..BYTES).map(|byte| (format!("<0x{byte:02X}>"), 6)));
    // A word is its number in base 16, written in syllables, with the mark of a word's beginning.
    tokens.extend((0..shape.words).map(|n| {
        let digits = format!("{n:02x}");
        let spell = |digit: char| SYLLABLES[digit.to_digit(16).unwrap_or(0) as usize];
        (format!("\u{2581}{}", digits.chars().map(spell).collect::<String>()), 1)
    }));
    tokens
}

fn header(out: &mut Vec<u8>, shape: Shape, tensors: &[Tensor]) {
    let metadata = metadata(shape);
    out.extend(b"GGUF");
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in &metadata {
        text(out, key);
        value.write(out);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        text(out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        out.extend(tensor.shape.iter().flat_map(|n| n.to_le_bytes()));
        out.extend(tensor.kind().to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
}

fn metadata(shape: Shape) -> Vec<(&'static str, Value)> {
    let heads = shape.embedding / 64;
    let vocabulary = vocabulary(shape);
    let (tokens, kinds): (Vec<_>, Vec<_>) = vocabulary.into_iter().unzip();
    vec![
        ("general.architecture", Value::Text("llama".into())),
        ("general.name", Value::Text("greenroom test model".into())),
        ("general.file_type", Value::U32(1)),
        ("llama.context_length", Value::U32(4096)),
        ("llama.embedding_length", Value::U32(shape.embedding)),
        ("llama.block_count", Value::U32(shape.layers)),
        ("llama.feed_forward_length", Value::U32(shape.feed_forward)),
        ("llama.attention.head_count", Value::U32(heads)),
        ("llama.attention.head_count_kv", Value::U32(heads)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.dimension_count", Value::U32(64)),
        ("llama.vocab_size", Value::U32(tokens.len() as u32)),
        ("tokenizer.ggml.model", Value::Text("llama".into())),
        ("tokenizer.ggml.scores", Value::F32s(vec![0.0; tokens.len()])),
        ("tokenizer.ggml.token_type", Value::I32s(kinds)),
        ("tokenizer.ggml.tokens", Value::Texts(tokens)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        (
            "tokenizer.chat_template",
            Value::Text("{% for message in messages %}{{ message['content'] }} {% endfor %}".into()),
        ),
    ]
}

/// A metadata value.
#[derive(Debug)]
pub enum Value {
    U16(u16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
}

impl Value {
    /// Type numbers as in `gguf.h`: 2 u16, 4 u32, 5 i32, 6 f32, 7 bool, 8 string, 9 array.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut array = |kind: u32, len: usize| {
            out.extend(9u32.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend((len as u64).to_le_bytes());
        };
        match self {
            Self::Texts(values) => {
                array(8, values.len());
                values.iter().for_each(|value| text(out, value));
            }
            Self::F32s(values) => {
                array(6, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::I32s(values) => {
                array(5, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::U32(value) => {
                out.extend(4u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::F32(value) => {
                out.extend(6u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::U16(value) => {
                out.extend(2u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::I32(value) => {
                out.extend(5u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::Bool(value) => {
                out.extend(7u32.to_le_bytes());
                out.push(u8::from(*value));
            }
            Self::Text(value) => {
                out.extend(8u32.to_le_bytes());
                text(out, value);
            }
        }
    }
}

/// A text as the format writes it: its length, then its bytes.
pub fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// SplitMix64: the same model at every run, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A 16-bit float of either sign, from 2^`exponent` to twice that. Its bits: sign, 5 of exponent with a bias of 15,
    /// 10 of fraction.
    fn half(&mut self, exponent: i16) -> u16 {
        let random = self.next() as u16;
        (random & 0x8000) | (((exponent + 15) as u16) << 10) | (random & 0x03FF)
    }
}
