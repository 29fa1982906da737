//! `[resources]`.

use super::key::{Field, Key, Kind};

const SHARE: Kind = Kind::OneOf(&[Kind::Ratio, Kind::Size]);

/// What the smallest card has that is worth declaring, in bytes.
const CARD: u64 = 1 << 20;

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "resources.gpu_backend",
        Kind::Word(&["auto", "nvml", "amdgpu", "declared", "none"]),
        "Who measures the cards. `auto`: NVIDIA's library if it finds cards, else the amdgpu driver if it does, else the \
         declared ones, else none.",
    )
    .or("\"auto\""),
    Key::new("resources.nvml_library", Kind::Named, "NVIDIA's library: its path, or a name that the loader finds.")
        .or("\"libnvidia-ml.so.1\""),
    Key::new(
        "resources.vram_reserve",
        Kind::Size,
        "Of each card, never given out; 1 GiB suits one that drives a display.",
    )
    .or("\"512MiB\""),
    Key::new("resources.vram_limit", SHARE, "Share of each card, or a size, that may be given out at most.").or("1.0"),
    Key::new("resources.ram_reserve", Kind::Size, "Host memory that is never given out.").or("\"2GiB\""),
    Key::new("resources.ram_limit", SHARE, "Share of host memory, or a size, that may be given out at most.").or("1.0"),
    Key::new(
        "resources.reclaim_timeout",
        Kind::Pause,
        "How long to wait until memory is measured back after its holder has ended. Past it this is reported, and those \
         who wait are told.",
    )
    .or("\"15s\""),
    Key::new(
        "resources.calibrate",
        Kind::Bool,
        "Learn what services really take at most, and prefer that to estimates.",
    )
    .or("true"),
    Key::new(
        "resources.custom.*",
        Kind::Int(0, i64::MAX),
        "A further pool by its name, in whole units; services take of it by `needs`.",
    ),
    Key::new(
        "resources.gpu",
        Kind::List(&Kind::Record(&[Field::may("name", Kind::Named), Field::must("memory", Kind::SizeFrom(CARD))])),
        "Cards that nobody measures, for `gpu_backend = \"declared\"`: what is free is their memory less what has been \
         given out.",
    )
    .or("[]"),
];
