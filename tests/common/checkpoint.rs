//! A checkpoint of Stable Diffusion without weights: every tensor that stable-diffusion.cpp asks of the smallest version
//! it knows (`VERSION_SDXS_512_DS` in its `src/model.h`: a U-Net without a middle, and a tiny decoder), all of them zero.
//!
//! A safetensors file: the length of a header, the header in JSON, the tensors. The zeros are a hole in the file, so its
//! 880 MB take a few blocks on disk; once loaded they are 840 MB of memory, as of any model. What it paints is grey.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde_json::{Map, Value, json};

/// Bytes of an `F16`.
const VALUE: usize = 2;
/// Channels of the U-Net's first level.
const CHANNELS: usize = 320;
/// Length of a time embedding, of a word's.
const TIME: usize = 1280;
const WORD: usize = 768;
/// Channels of the decoder.
const DECODER: usize = 64;

/// Writes the checkpoint.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path) -> io::Result<()> {
    let mut tensors = Tensors::default();
    text_encoder(&mut tensors);
    unet(&mut tensors);
    decoder(&mut tensors);
    tensors.write(path)
}

/// The header so far.
#[derive(Default)]
struct Tensors {
    header: Map<String, Value>,
    bytes: usize,
}

impl Tensors {
    fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        let end = self.bytes + shape.iter().product::<usize>() * VALUE;
        let entry = json!({ "dtype": "F16", "shape": shape, "data_offsets": [self.bytes, end] });
        self.header.insert(name.into(), entry);
        self.bytes = end;
    }

    fn norm(&mut self, name: &str, channels: usize) {
        self.add(format!("{name}.weight"), &[channels]);
        self.add(format!("{name}.bias"), &[channels]);
    }

    fn linear(&mut self, name: &str, from: usize, to: usize) {
        self.matrix(name, from, to);
        self.add(format!("{name}.bias"), &[to]);
    }

    /// A linear layer without a bias.
    fn matrix(&mut self, name: &str, from: usize, to: usize) {
        self.add(format!("{name}.weight"), &[to, from]);
    }

    fn convolution(&mut self, name: &str, from: usize, to: usize, size: usize) {
        self.add(format!("{name}.weight"), &[to, from, size, size]);
        self.add(format!("{name}.bias"), &[to]);
    }

    fn write(self, path: &Path) -> io::Result<()> {
        let mut header = Value::Object(self.header).to_string();
        // The tensors begin at a multiple of 8.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut file = File::create(path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        file.set_len((8 + header.len() + self.bytes) as u64)
    }
}

/// CLIP ViT-L/14, by the names of `transformers`.
fn text_encoder(tensors: &mut Tensors) {
    let model = "cond_stage_model.transformer.text_model";
    tensors.add(format!("{model}.embeddings.token_embedding.weight"), &[49_408, WORD]);
    tensors.add(format!("{model}.embeddings.position_embedding.weight"), &[77, WORD]);
    for layer in 0..12 {
        let layer = format!("{model}.encoder.layers.{layer}");
        for part in ["q", "k", "v", "out"] {
            tensors.linear(&format!("{layer}.self_attn.{part}_proj"), WORD, WORD);
        }
        tensors.norm(&format!("{layer}.layer_norm1"), WORD);
        tensors.norm(&format!("{layer}.layer_norm2"), WORD);
        tensors.linear(&format!("{layer}.mlp.fc1"), WORD, 4 * WORD);
        tensors.linear(&format!("{layer}.mlp.fc2"), 4 * WORD, WORD);
    }
    tensors.norm(&format!("{model}.final_layer_norm"), WORD);
}

/// `src/unet.hpp`, `UnetModelBlock`, for a tiny U-Net: three levels with one block each on the way down and two on the
/// way up, attention in all but the first.
fn unet(tensors: &mut Tensors) {
    let model = "model.diffusion_model";
    let level = |n: usize| CHANNELS << n;
    tensors.linear(&format!("{model}.time_embed.0"), CHANNELS, TIME);
    tensors.linear(&format!("{model}.time_embed.2"), TIME, TIME);
    tensors.convolution(&format!("{model}.input_blocks.0.0"), 4, CHANNELS, 3);
    // Channels of what is handed across, and of what goes on.
    let (mut across, mut here) = (vec![CHANNELS], CHANNELS);
    for n in 0..3 {
        let block = format!("{model}.input_blocks.{}", 3 * n + 1);
        residual(tensors, &format!("{block}.0"), here, level(n));
        here = level(n);
        if n > 0 {
            transformer(tensors, &format!("{block}.1"), here);
        }
        across.push(here);
        if n < 2 {
            tensors.convolution(&format!("{model}.input_blocks.{}.0.op", 3 * n + 3), here, here, 3);
            across.push(here);
        }
    }
    let mut place = 0;
    for n in (0..3).rev() {
        for which in 0..2 {
            let block = format!("{model}.output_blocks.{place}");
            residual(tensors, &format!("{block}.0"), here + across.pop().unwrap_or_default(), level(n));
            here = level(n);
            if n > 0 {
                transformer(tensors, &format!("{block}.1"), here);
            }
            place += 1;
            if n > 0 && which == 1 {
                // The program numbers the first of the two anew.
                let part = if place == 2 { 1 } else { 2 };
                tensors.convolution(&format!("{model}.output_blocks.{place}.{part}.conv"), here, here, 3);
                place += 1;
            }
        }
    }
    tensors.norm(&format!("{model}.out.0"), CHANNELS);
    tensors.convolution(&format!("{model}.out.2"), CHANNELS, 4, 3);
}

fn residual(tensors: &mut Tensors, name: &str, from: usize, to: usize) {
    tensors.norm(&format!("{name}.in_layers.0"), from);
    tensors.convolution(&format!("{name}.in_layers.2"), from, to, 3);
    tensors.linear(&format!("{name}.emb_layers.1"), TIME, to);
    tensors.norm(&format!("{name}.out_layers.0"), to);
    tensors.convolution(&format!("{name}.out_layers.3"), to, to, 3);
    if from != to {
        tensors.convolution(&format!("{name}.skip_connection"), from, to, 1);
    }
}

fn transformer(tensors: &mut Tensors, name: &str, channels: usize) {
    tensors.norm(&format!("{name}.norm"), channels);
    tensors.convolution(&format!("{name}.proj_in"), channels, channels, 1);
    tensors.convolution(&format!("{name}.proj_out"), channels, channels, 1);
    let block = format!("{name}.transformer_blocks.0");
    for (attention, context) in [("attn1", channels), ("attn2", WORD)] {
        tensors.matrix(&format!("{block}.{attention}.to_q"), channels, channels);
        tensors.matrix(&format!("{block}.{attention}.to_k"), context, channels);
        tensors.matrix(&format!("{block}.{attention}.to_v"), context, channels);
        tensors.linear(&format!("{block}.{attention}.to_out.0"), channels, channels);
    }
    tensors.linear(&format!("{block}.ff.net.0.proj"), channels, 8 * channels);
    tensors.linear(&format!("{block}.ff.net.2"), 4 * channels, channels);
    for n in 1..=3 {
        tensors.norm(&format!("{block}.norm{n}"), channels);
    }
}

/// `src/tae.hpp`, `TinyDecoder`: three groups of three blocks, each group followed by an enlargement.
fn decoder(tensors: &mut Tensors) {
    let layer = |n: usize| format!("tae.decoder.layers.{n}");
    tensors.convolution(&layer(0), 4, DECODER, 3);
    let mut n = 2;
    for _ in 0..3 {
        for _ in 0..3 {
            tiny(tensors, &layer(n));
            n += 1;
        }
        tensors.add(format!("{}.weight", layer(n + 1)), &[DECODER, DECODER, 3, 3]);
        n += 2;
    }
    tiny(tensors, &layer(n));
    tensors.convolution(&layer(n + 1), DECODER, 3, 3);
}

fn tiny(tensors: &mut Tensors, name: &str) {
    for part in [0, 2, 4] {
        tensors.convolution(&format!("{name}.conv.{part}"), DECODER, DECODER, 3);
    }
}
