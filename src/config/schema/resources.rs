//! `[resources]`.

use super::key::{Field, Key, Kind};

const SHARE: Kind = Kind::OneOf(&[Kind::Ratio, Kind::Size]);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "resources.gpu_backend",
        Kind::Word(&["auto", "nvml", "amdgpu", "declared", "none"]),
        "Who measures the cards.",
    )
    .or("\"auto\"")
    .later(),
    Key::new("resources.nvml_library", Kind::Named, "Path or soname.").or("\"libnvidia-ml.so.1\"").later(),
    Key::new("resources.vram_reserve", Kind::Size, "Per device, never given out.").or("\"512MiB\"").later(),
    Key::new("resources.vram_limit", SHARE, "Share of each device, or a size, that may be given out.")
        .or("1.0")
        .later(),
    Key::new("resources.ram_reserve", Kind::Size, "Host memory that is never given out.").or("\"2GiB\"").later(),
    Key::new("resources.ram_limit", SHARE, "Share of host memory, or a size, that may be given out.").or("1.0").later(),
    Key::new(
        "resources.reclaim_timeout",
        Kind::Duration,
        "How long to wait for memory to be measured back after a stop.",
    )
    .or("\"15s\"")
    .later(),
    Key::new("resources.calibrate", Kind::Bool, "Learn real peaks and prefer them to estimates.").or("true").later(),
    Key::new("resources.custom.*", Kind::Int(0, i64::MAX), "A further named pool.").later(),
    Key::new(
        "resources.gpu",
        Kind::List(&Kind::Record(&[Field::may("name", Kind::Named), Field::must("memory", Kind::Size)])),
        "Cards without telemetry, for `gpu_backend = \"declared\"`.",
    )
    .or("[]")
    .later(),
];
