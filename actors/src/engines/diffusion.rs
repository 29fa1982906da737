//! What the two programs of stable-diffusion.cpp have in common: the options that say what they load, where to, and what they
//! make (`examples/common/common.cpp`), and the memory that this takes.

use std::path::PathBuf;

use super::need::{ModelFacts, NeedHint};
use crate::{
    estimate::{
        diffusion::{Bundle, OnHost, Picture, Role, Setup},
        found::Found,
    },
    memory::Sides,
};

/// Options that name a further file, and what it is for.
const FILES: &[(&str, Role)] = &[
    ("--clip_l", Role::Text),
    ("--clip_g", Role::Text),
    ("--clip_vision", Role::Text),
    ("--t5xxl", Role::Text),
    ("--llm", Role::Text),
    ("--llm_vision", Role::Text),
    ("--qwen2vl", Role::Text),
    ("--qwen2vl_vision", Role::Text),
    ("--high-noise-diffusion-model", Role::Diffusion),
    ("--control-net", Role::Diffusion),
    ("--vae", Role::Image),
    ("--taesd", Role::Image),
    ("--tae", Role::Image),
];

/// What `--backend` calls the reading of prompts, and the making of pixels (`src/core/ggml_extend_backend.cpp`).
const TEXT: &[&str] =
    &["te", "clip", "text", "textencoder", "textencoders", "conditioner", "cond", "llm", "t5", "t5xxl"];
const IMAGE: &[&str] = &["vae", "firststage", "autoencoder", "tae"];
const DIFFUSION: &[&str] = &["diffusion", "unet", "dit", "model"];
/// And everything that is not named.
const ALL: &[&str] = &["all", "default", "*"];

/// Pixels along each side of a picture of which nobody says more: `-W` and `-H` have this default.
pub(super) const USUAL_SIDE: u64 = 512;
/// Pixels along each side of a tile of the decoder, which are half of this by default, so that larger tiles have room.
const TILE: u64 = 512;

/// What a command says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Options {
    /// Pixels along the sides, where they are said. With `Some(None)` they are, and nobody knows yet how many.
    width: Option<Option<u64>>,
    height: Option<Option<u64>>,
    /// What it puts on the host.
    pub on_host: OnHost,
    /// Whether it places its parts by `--backend`.
    pub places: bool,
    /// Whether it says how many pictures there are to be.
    pub says_batch: bool,
    tiles: bool,
    /// Whether weights wait in RAM for their turn.
    offloads: bool,
    files: Vec<(PathBuf, Role)>,
}

impl Options {
    /// Reads the arguments of a command. What is not known yet is an empty text among them.
    pub fn read(arguments: &[&str]) -> Self {
        let mut options = Self::default();
        for (at, option) in arguments.iter().enumerate() {
            let value = arguments.get(at + 1).copied().unwrap_or_default();
            match *option {
                "-W" | "--width" => options.width = Some(value.parse().ok()),
                "-H" | "--height" => options.height = Some(value.parse().ok()),
                "-b" | "--batch-count" => options.says_batch = true,
                "--clip-on-cpu" => options.on_host.text = true,
                "--vae-on-cpu" => options.on_host.image = true,
                "--vae-tiling" => options.tiles = true,
                "--offload-to-cpu" => options.offloads = true,
                "--backend" => options.place(value),
                _ => {
                    let file = FILES.iter().find(|(name, _)| name == option).filter(|_| !value.is_empty());
                    options.files.extend(file.map(|(_, role)| (PathBuf::from(value), *role)));
                }
            }
        }
        options
    }

    /// `cpu`, or `te=cpu,vae=cuda0`.
    fn place(&mut self, value: &str) {
        self.places = true;
        for each in value.split(',') {
            let (module, backend) = each.split_once('=').unwrap_or(("all", each));
            let module = module.trim().to_ascii_lowercase().replace(['-', '_'], "");
            let is_host = backend.trim().eq_ignore_ascii_case("cpu");
            let named = |names: &[&str]| names.contains(&module.as_str()) || ALL.contains(&module.as_str());
            let OnHost { diffusion, text, image } = &mut self.on_host;
            for (names, place) in [(DIFFUSION, diffusion), (TEXT, text), (IMAGE, image)] {
                if named(names) {
                    *place = is_host;
                }
            }
        }
    }

    /// The further files, in the order of the command.
    pub fn companions(self) -> Vec<PathBuf> {
        self.files.into_iter().map(|(path, _)| path).collect()
    }

    /// The picture. Several of them are made one after the other (`--batch-count`), so that their number makes no difference.
    /// A side that is said and not known is taken to be that of large models.
    fn picture(&self, usual: u64) -> Picture {
        let unknown = Picture::default();
        let side = |said: Option<Option<u64>>, unknown| said.map_or(usual, |known| known.unwrap_or(unknown));
        Picture { width: side(self.width, unknown.width), height: side(self.height, unknown.height), batch: 1 }
    }
}

/// The weights that a command loads, sorted by what they are for; `None` where the headers of its model make no sense here.
pub(super) fn weights(facts: &ModelFacts<'_>, options: &Options) -> Option<Bundle> {
    let Some(Found::Image(bundle)) = facts.found else { return None };
    let mut bundle = *bundle;
    for ((_, role), bytes) in options.files.iter().zip(facts.companions) {
        bundle.add(*role, *bytes);
    }
    Some(bundle)
}

/// What it needs for pictures of the size that its command says, or of `usual` pixels along each side.
pub(super) fn need(facts: &ModelFacts<'_>, usual: u64) -> NeedHint {
    let options = Options::read(facts.arguments);
    let Some(bundle) = weights(facts, &options) else { return NeedHint::ByFile };
    let setup = Setup {
        picture: options.picture(usual),
        on_host: options.on_host,
        card: facts.card,
        tile: options.tiles.then_some(TILE),
    };
    let estimate = bundle.estimate_for(&setup);
    let waiting = if options.offloads && facts.card { bundle.bytes() } else { 0 };
    let sides = vec![Sides { vram: estimate.vram(), ram: estimate.ram().saturating_add(waiting) }];
    // It has no layers that could lie on either side.
    NeedHint::Split { sides, on_card: Some(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn words(command: &str) -> Vec<&str> {
        command.split(' ').collect()
    }

    fn facts<'a>(arguments: &'a [&'a str], found: &'a Found, companions: &'a [u64], card: bool) -> ModelFacts<'a> {
        let (environment, size, layers) = (&[][..], Some(7 * GIB), None);
        ModelFacts { arguments, environment, size, layers, found: Some(found), companions, card }
    }

    fn sides(command: &str, companions: &[u64], card: bool) -> (u64, u64) {
        let found = Found::Image(Bundle { diffusion: 5 * GIB, text: GIB, image: GIB / 8, other: 0 });
        let arguments = words(command);
        match need(&facts(&arguments, &found, companions, card), USUAL_SIDE) {
            NeedHint::Split { sides, on_card: Some(0) } => (sides[0].vram, sides[0].ram),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_options_are_read() {
        let read = |command| Options::read(&words(command));
        let options = read("-m x --clip_l l.safetensors --t5xxl t.gguf --vae v.safetensors -W 768 --height 512");
        let picture = options.picture(USUAL_SIDE);
        assert_eq!((picture.width, picture.height, picture.batch), (768, 512, 1));
        assert_eq!(options.companions(), ["l.safetensors", "t.gguf", "v.safetensors"].map(PathBuf::from));
        assert_eq!(read("-p x").picture(USUAL_SIDE), Picture { width: 512, height: 512, batch: 1 });
        assert_eq!(Options::read(&["-W", "", "-H"]).picture(USUAL_SIDE), Picture::default());
        assert!(read("-b 4").says_batch && read("--batch-count 4").says_batch && !read("--bat 4").says_batch);
    }

    #[test]
    fn what_is_placed_on_the_host_is_seen_in_either_spelling() {
        let of = |command| Options::read(&words(command)).on_host;
        let host = |diffusion, text, image| OnHost { diffusion, text, image };
        assert_eq!(of("--clip-on-cpu"), host(false, true, false));
        assert_eq!(of("--vae-on-cpu"), host(false, false, true));
        assert_eq!(of("--backend te=cpu,VAE=cuda0"), host(false, true, false));
        assert_eq!(of("--backend text-encoder=CPU,vae=cpu"), host(false, true, true));
        assert_eq!(of("--backend cpu"), host(true, true, true));
        assert_eq!(of("--backend all=cpu,diffusion=cuda0"), host(false, true, true));
        assert_eq!(of("--backend cuda0"), host(false, false, false));
    }

    #[test]
    fn each_part_is_counted_where_it_lies() {
        let (vram, ram) = sides("-W 1024 -H 1024", &[], true);
        let all = (5 * GIB) + GIB + GIB / 8;
        assert_eq!(vram, all + (6656 << 20) + (512 << 20));
        assert_eq!(ram, 200 << 20);
        assert_eq!(sides("-W 1024 -H 1024 --clip-on-cpu", &[], true), (vram - GIB, ram + GIB));
        let (without, host) = sides("-W 1024 -H 1024 --vae-on-cpu", &[], true);
        // A step of 16,384 latents, of which each is computed twice.
        let step = 16_384 * 2 * 41_943;
        assert_eq!((without, host), (vram - GIB / 8 - (6656 << 20) + step, ram + GIB / 8 + (6656 << 20)));
        assert_eq!(sides("-W 1024 -H 1024", &[], false), (0, all + (6656 << 20)));
        assert_eq!(
            sides("-W 1024 -H 1024 --t5xxl t.gguf --clip-on-cpu", &[9 * GIB], true),
            (vram - GIB, ram + 10 * GIB)
        );
        assert_eq!(sides("-W 1024 -H 1024 --offload-to-cpu", &[], true), (vram, ram + all));
        assert!(sides("-W 1024 -H 1024 --vae-tiling", &[], true).0 < vram - (4 << 30));
        assert!(sides("-W 512 -H 512", &[], true).0 < vram);
    }

    #[test]
    fn a_model_that_cannot_be_read_is_reckoned_by_its_size() {
        let arguments = words("-m x");
        let found = Found::Image(Bundle::default());
        let unread = ModelFacts { found: None, ..facts(&arguments, &found, &[], true) };
        assert_eq!(need(&unread, USUAL_SIDE), NeedHint::ByFile);
    }
}
