//! Types of tensors, and what they take.

/// The type of a tensor's numbers, as `ggml.h` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorKind(pub u32);

/// Number, name, numbers in a block, bytes of a block (`type_traits` in `ggml.c`).
const KINDS: &[(u32, &str, u64, u64)] = &[
    (0, "f32", 1, 4),
    (1, "f16", 1, 2),
    (2, "q4_0", 32, 18),
    (3, "q4_1", 32, 20),
    (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24),
    (8, "q8_0", 32, 34),
    (9, "q8_1", 32, 36),
    (10, "q2_k", 256, 84),
    (11, "q3_k", 256, 110),
    (12, "q4_k", 256, 144),
    (13, "q5_k", 256, 176),
    (14, "q6_k", 256, 210),
    (15, "q8_k", 256, 292),
    (16, "iq2_xxs", 256, 66),
    (17, "iq2_xs", 256, 74),
    (18, "iq3_xxs", 256, 98),
    (19, "iq1_s", 256, 50),
    (20, "iq4_nl", 32, 18),
    (21, "iq3_s", 256, 110),
    (22, "iq2_s", 256, 82),
    (23, "iq4_xs", 256, 136),
    (24, "i8", 1, 1),
    (25, "i16", 1, 2),
    (26, "i32", 1, 4),
    (27, "i64", 1, 8),
    (28, "f64", 1, 8),
    (29, "iq1_m", 256, 56),
    (30, "bf16", 1, 2),
    (34, "tq1_0", 256, 54),
    (35, "tq2_0", 256, 66),
    (39, "mxfp4", 32, 17),
    (40, "nvfp4", 64, 36),
    (41, "q1_0", 128, 18),
];

impl TensorKind {
    /// 32-bit floats.
    pub const F32: Self = Self(0);
    /// 16-bit floats.
    pub const F16: Self = Self(1);
    /// 8-bit blocks of 32.
    pub const Q8_0: Self = Self(8);

    /// The one of this name, in small letters (`q8_0`).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|known| known.1 == name).map(|known| Self(known.0))
    }

    /// Its name, or its number for one that is not known here.
    #[must_use]
    pub fn name(self) -> String {
        KINDS.iter().find(|known| known.0 == self.0).map_or_else(|| self.0.to_string(), |known| known.1.to_owned())
    }

    /// Whether a CPU works on it in an order of its own, so that llama.cpp copies such matrices into memory of the
    /// process, next to the mapped file (`ggml_repack_get_optimal_repack_type` in `ggml-cpu/repack.cpp`): of these, all
    /// that any x86-64 CPU with AVX2 takes, and `q2_k`, which needs AVX-512.
    #[must_use]
    pub fn is_repacked(self) -> bool {
        ["q4_0", "q4_k", "q2_k", "iq4_nl"].contains(&self.name().as_str())
    }
}

/// Bytes of so many numbers of this type; `None` for a type that is not known here, or beyond any file.
#[must_use]
pub fn bytes_of(kind: TensorKind, numbers: u64) -> Option<u64> {
    let (_, _, block, bytes) = KINDS.iter().find(|known| known.0 == kind.0)?;
    numbers.div_ceil(*block).checked_mul(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_whole() {
        assert_eq!(bytes_of(TensorKind::F16, 7), Some(14));
        assert_eq!(bytes_of(TensorKind::Q8_0, 64), Some(68));
        assert_eq!(TensorKind::named("q4_k").and_then(|kind| bytes_of(kind, 4096)), Some(16 * 144));
        assert_eq!(bytes_of(TensorKind(4), 32), None, "that one was taken out of the format");
        assert_eq!(bytes_of(TensorKind::F32, u64::MAX), None);
    }
}
