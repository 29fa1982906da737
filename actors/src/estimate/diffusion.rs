//! What a model that makes images takes: its weights, sorted by what they are for, and the memory that it works in.
//!
//! Weights are exact. The memory is a fit: programs size it by rules of their own, and these are two of them
//! (`comfy/model_base.py`, `comfy/sd.py` of ComfyUI; what stable-diffusion.cpp logs for its image decoder).

use super::{Basis, Estimate, Side};

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The U-Net or the transformer that takes the noise away.
    Diffusion,
    /// Reads the prompt.
    Text,
    /// Turns latents into pixels and back.
    Image,
    /// Whatever else.
    Other,
}

/// Beginnings of names, and folders of a model that is spread over several (diffusers, ComfyUI).
const ROLES: &[(&str, Role)] = &[
    ("model.diffusion_model.", Role::Diffusion),
    ("diffusion_model.", Role::Diffusion),
    ("double_blocks.", Role::Diffusion),
    ("single_blocks.", Role::Diffusion),
    ("joint_blocks.", Role::Diffusion),
    ("transformer_blocks.", Role::Diffusion),
    ("single_transformer_blocks.", Role::Diffusion),
    ("down_blocks.", Role::Diffusion),
    ("up_blocks.", Role::Diffusion),
    ("mid_block.", Role::Diffusion),
    ("unet", Role::Diffusion),
    ("transformer/", Role::Diffusion),
    ("diffusion_models/", Role::Diffusion),
    ("conditioner.", Role::Text),
    ("cond_stage_model.", Role::Text),
    ("text_encoder", Role::Text),
    ("text_model.", Role::Text),
    ("clip/", Role::Text),
    ("first_stage_model.", Role::Image),
    ("vae", Role::Image),
    ("encoder.", Role::Image),
    ("decoder.", Role::Image),
];

/// What something of this name is for.
#[must_use]
pub fn role(name: &str) -> Role {
    ROLES.iter().find(|(begin, _)| name.starts_with(begin)).map_or(Role::Other, |(_, role)| *role)
}

/// Weights by what they are for, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Of the diffusion model.
    pub diffusion: u64,
    /// Of the text encoders.
    pub text: u64,
    /// Of the image decoder.
    pub image: u64,
    /// Of whatever else.
    pub other: u64,
}

impl Bundle {
    /// Adds so many bytes.
    pub fn add(&mut self, role: Role, bytes: u64) {
        let sum = match role {
            Role::Diffusion => &mut self.diffusion,
            Role::Text => &mut self.text,
            Role::Image => &mut self.image,
            Role::Other => &mut self.other,
        };
        *sum = sum.saturating_add(bytes);
    }
}

/// What is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: u64,
    /// In pixels.
    pub height: u64,
    /// At a time.
    pub batch: u64,
}

impl Default for Picture {
    /// What SDXL and its successors were trained with.
    fn default() -> Self {
        Self { width: 1024, height: 1024, batch: 1 }
    }
}

/// Which parts are on the host although there is a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OnHost {
    /// The diffusion model.
    pub diffusion: bool,
    /// The text encoders.
    pub text: bool,
    /// The image decoder.
    pub image: bool,
}

/// What a picture is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// What is to be made.
    pub picture: Picture,
    /// What of it is on the host.
    pub on_host: OnHost,
    /// Whether there is a card; without one all of it is on the host.
    pub card: bool,
    /// Pixels along each side of a tile, where it is decoded in such.
    pub tile: Option<u64>,
}

/// Pixels for each latent, along each side.
const LATENT: u64 = 8;
/// With guidance each picture is computed twice, with its prompt and without.
const GUIDED: u64 = 2;
/// Bytes for each latent of a step: 2 bytes x 0.01 MiB x 2.0 (`memory_required` with flash attention and 16-bit numbers, and the
/// factor of a model that has none of its own).
const STEP: u64 = 41_943;
/// Bytes for each pixel that is decoded in 32-bit numbers: stable-diffusion.cpp logs 6656 MiB for 1024 x 1024. ComfyUI
/// reckons with 2178 numbers a pixel, which are 4356 bytes in 16 bits.
const DECODE: u64 = 6656;

impl Bundle {
    /// All of its weights.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        [self.diffusion, self.text, self.image, self.other].into_iter().fold(0, u64::saturating_add)
    }

    /// What it takes while it makes such a picture, all of it on the card.
    #[must_use]
    pub fn estimate(&self, picture: Picture) -> Estimate {
        let mut all = self.estimate_for(&Setup { picture, on_host: OnHost::default(), card: true, tile: None });
        all.notes.push(format!(
            "for {} x {} pixels, {} at a time, decoded in one piece; tiling, or a decoder or encoders on the host, need less",
            picture.width, picture.height, picture.batch
        ));
        all
    }

    /// What it takes while it makes a picture in this way.
    #[must_use]
    pub fn estimate_for(&self, setup: &Setup) -> Estimate {
        let Setup { picture, on_host, card, tile } = *setup;
        let side = |on_host: bool| if on_host || !card { Side::Ram } else { Side::Gpu };
        let (diffusion, text, image) = (side(on_host.diffusion), side(on_host.text), side(on_host.image));
        let mut all = Estimate::default();
        all.put("diffusion model", diffusion, self.diffusion, Basis::Exact);
        all.put("text encoders", text, self.text, Basis::Exact);
        all.put("image decoder", image, self.image, Basis::Exact);
        all.put("other weights", diffusion, self.other, Basis::Exact);
        let pixels = picture.width.saturating_mul(picture.height).saturating_mul(picture.batch.max(1));
        let step = (pixels / (LATENT * LATENT)).saturating_mul(GUIDED * STEP);
        let at_once = tile.map_or(pixels, |tile| pixels.min(tile.saturating_mul(tile)));
        let decode = at_once.saturating_mul(DECODE);
        if diffusion == image {
            // One after the other, never both.
            all.put("working memory", diffusion, step.max(decode), Basis::Fit);
        } else {
            all.put("working memory", diffusion, step, Basis::Fit);
            all.put("decoding", image, decode, Basis::Fit);
        }
        if [diffusion, text, image].contains(&Side::Gpu) {
            all.put_driver();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_what_they_are_for() {
        for (name, expected) in [
            ("model.diffusion_model.input_blocks.0.0.weight", Role::Diffusion),
            ("conditioner.embedders.0.transformer.text_model.x", Role::Text),
            ("cond_stage_model.transformer.x", Role::Text),
            ("first_stage_model.decoder.conv_in.weight", Role::Image),
            ("double_blocks.0.img_attn.qkv.weight", Role::Diffusion),
            ("text_encoder_2/model.safetensors", Role::Text),
            ("vae/diffusion_pytorch_model.safetensors", Role::Image),
            ("unet/diffusion_pytorch_model.fp16.safetensors", Role::Diffusion),
            ("model_ema.decay", Role::Other),
        ] {
            assert_eq!(role(name), expected, "{name}");
        }
    }

    #[test]
    fn a_picture_is_worked_on_and_then_decoded_and_never_both() {
        let bundle = Bundle { diffusion: 5 << 30, text: 1 << 30, image: 1 << 27, other: 0 };
        let driver = 512 << 20;
        let working = |picture| bundle.estimate(picture).vram() - (6 << 30) - (1 << 27) - driver;
        assert_eq!(working(Picture::default()), 6656 << 20);
        assert_eq!(working(Picture { width: 512, height: 512, batch: 1 }), 1664 << 20);
        assert_eq!(working(Picture { width: 512, height: 512, batch: 4 }), 6656 << 20);
        assert!(bundle.estimate(Picture { width: u64::MAX, height: 9, batch: 9 }).vram() > 0, "no overflow");
    }
}
