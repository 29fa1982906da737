//! Models and options that estimates are held against.

use crate::common::architectures::{DENSE, Experts, Mix, Plan, Type};

pub struct Case {
    pub name: &'static str,
    pub plan: Plan,
    pub options: &'static str,
}

const fn case(name: &'static str, plan: Plan, options: &'static str) -> Case {
    Case { name, plan, options }
}

const GROUPED: Plan = Plan { heads_kv: 2, embedding: 1024, heads: 16, feed_forward: 2816, vocabulary: 32_000, ..DENSE };
const WIDE: Plan = Plan {
    embedding: 2048,
    heads: 16,
    heads_kv: 4,
    head: 128,
    feed_forward: 8192,
    layers: 6,
    weights: Type::Q8,
    ..GROUPED
};
const TIED: Plan = Plan { tied: true, heads_kv: 2, vocabulary: 32_000, ..DENSE };
const Q4: Plan = Plan { weights: Type::Q4, vocabulary: 32_000, ..DENSE };
const FEW_EXPERTS: Plan = Plan { experts: Some(Experts { count: 16, used: 4, feed_forward: 512 }), ..DENSE };
const MANY_EXPERTS: Plan = Plan {
    experts: Some(Experts { count: 128, used: 8, feed_forward: 256 }),
    embedding: 1024,
    heads: 16,
    heads_kv: 4,
    weights: Type::Q4,
    vocabulary: 32_000,
    ..DENSE
};
/// In the proportions of a Qwen3 30B-A3B.
const WIDE_EXPERTS: Plan = Plan {
    experts: Some(Experts { count: 128, used: 8, feed_forward: 768 }),
    embedding: 2048,
    heads: 32,
    heads_kv: 4,
    head: 128,
    layers: 4,
    weights: Type::Q8,
    ..DENSE
};
const WINDOWS: Plan = Plan {
    mix: Mix::Windows(512),
    layers: 12,
    tied: true,
    heads_kv: 4,
    vocabulary: 32_000,
    trained_context: 32_768,
    ..DENSE
};
const WIDE_WINDOWS: Plan = Plan {
    mix: Mix::Windows(1024),
    layers: 14,
    heads_kv: 2,
    head: 128,
    embedding: 1024,
    feed_forward: 4096,
    ..WINDOWS
};
const LATENT: Plan = Plan { mix: Mix::Latent { rank: 512, rotated: 64 }, head: 128, vocabulary: 16_000, ..FEW_EXPERTS };
const SMALL_LATENT: Plan =
    Plan { mix: Mix::Latent { rank: 256, rotated: 32 }, head: 64, heads: 16, embedding: 1024, layers: 10, ..LATENT };
const STATES: Plan = Plan { mix: Mix::State { inner: 1024, state: 16 }, ..DENSE };
const WIDE_STATES: Plan = Plan {
    mix: Mix::State { inner: 4096, state: 16 },
    embedding: 2048,
    vocabulary: 32_000,
    weights: Type::Q8,
    ..DENSE
};
const ENCODER: Plan = Plan { mix: Mix::Encoder, trained_context: 512, ..DENSE };
const WIDE_ENCODER: Plan = Plan {
    embedding: 1024,
    heads: 16,
    heads_kv: 16,
    feed_forward: 4096,
    layers: 12,
    vocabulary: 30_000,
    trained_context: 2048,
    ..ENCODER
};

/// Without a card.
pub const CASES: &[Case] = &[
    case("dense", DENSE, "-c 4096 -np 1"),
    case("dense", DENSE, ""),
    case("dense", DENSE, "-c 8192 -np 4"),
    case("dense", DENSE, "-c 5000 -np 3"),
    case("dense", DENSE, "-c 4096 -np 4 -kvu"),
    case("dense", DENSE, "-c 4096 -np 1 -ub 128"),
    case("dense", DENSE, "-c 4096 -np 1 -ub 4096 -b 4096"),
    case("dense", DENSE, "-c 8192 -np 1 -fa off"),
    case("dense", DENSE, "-c 4096 -np 1 -ctk q8_0 -ctv q8_0"),
    case("dense", DENSE, "-c 4096 -np 1 -ctk q4_0 -ctv q4_0"),
    case("dense", DENSE, "-c 4096 -np 1 -ctk f32 -ctv f32"),
    case("dense", DENSE, "-c 100 -np 1 --no-mmap"),
    case("dense, 16 layers", Plan { layers: 16, ..DENSE }, "-c 4096 -np 1"),
    case("dense, wide heads", Plan { head: 128, ..DENSE }, "-c 8192 -np 1 -fa off"),
    case("dense, large vocabulary", Plan { vocabulary: 131_072, ..DENSE }, "-c 4096 -np 1 --embeddings"),
    case("grouped queries", GROUPED, "-c 4096 -np 1"),
    case("grouped queries", GROUPED, "-c 8192 -np 1 -fa off"),
    case("grouped queries, q8_0", WIDE, "-c 4096 -np 2"),
    case("tied output", TIED, "-c 4096 -np 1"),
    case("tied output", TIED, "-c 4096 -np 1 --embeddings"),
    case("q4_0", Q4, "-c 4096 -np 1"),
    case("q4_0", Q4, "-c 4096 -np 1 --no-repack"),
    case("q4_0", Q4, "-c 4096 -np 1 --no-mmap"),
    case("4 of 16 experts", FEW_EXPERTS, "-c 4096 -np 1"),
    case("8 of 128 experts, q4_0", MANY_EXPERTS, "-c 4096 -np 1"),
    case("8 of 128 experts, q8_0", WIDE_EXPERTS, "-c 8192 -np 2"),
    case("windows of 512", WINDOWS, "-c 8192 -np 4"),
    case("windows of 512", WINDOWS, "-c 4096"),
    case("windows of 512", WINDOWS, "-c 8192 -np 2 --swa-full"),
    case("windows of 1024", WIDE_WINDOWS, "-c 8192 -np 1 -fa off"),
    case("latent", LATENT, "-c 4096 -np 1"),
    case("latent", SMALL_LATENT, "-c 8192 -np 1 -fa off"),
    case("states", STATES, "-np 1"),
    case("states, q8_0", WIDE_STATES, "-np 4"),
    case("encoder", ENCODER, "--embeddings"),
    case("encoder", WIDE_ENCODER, "-c 2048 -fa off --embeddings"),
];

/// With a card.
pub const ON_CARD: &[Case] = &[
    case("dense", DENSE, "-c 4096 -np 1 -ngl 1"),
    case("dense", DENSE, "-c 4096 -np 1 -ngl 4"),
    case("dense", DENSE, "-c 4096 -np 1 -ngl 8"),
    case("dense", DENSE, "-c 4096 -np 1 -ngl 99"),
    case("dense", DENSE, "-c 4096 -np 1 -ngl 9 --no-kv-offload"),
    case("dense", DENSE, "-c 4096 -np 1 -ngl 4 --no-mmap"),
    case("tied output", TIED, "-c 4096 -np 1 -ngl 4"),
    case("tied output", TIED, "-c 4096 -np 1 -ngl 9"),
    case("grouped queries", GROUPED, "-c 4096 -np 1 -ngl 4"),
    case("grouped queries", GROUPED, "-c 4096 -np 1 -ngl 9"),
    case("grouped queries, q8_0", WIDE, "-c 4096 -np 1 -ngl 7"),
    case("windows of 512", WINDOWS, "-c 4096 -np 1 -ngl 5"),
    case("windows of 512", WINDOWS, "-c 4096 -np 1 -ngl 13"),
    case("4 of 16 experts", FEW_EXPERTS, "-c 4096 -np 1 -ngl 4"),
    case("4 of 16 experts", FEW_EXPERTS, "-c 4096 -np 1 -ngl 9"),
    case("4 of 16 experts", FEW_EXPERTS, "-c 4096 -np 1 -ngl 9 --cpu-moe"),
    case("4 of 16 experts", FEW_EXPERTS, "-c 4096 -np 1 -ngl 9 --n-cpu-moe 3"),
];
