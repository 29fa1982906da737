//! `[resources]`: what there is to be given out, and who measures it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// `[resources]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourcesSpec {
    /// Who measures the cards.
    pub backend: GpuBackend,
    /// Path or soname of NVML.
    pub nvml_library: String,
    /// Of each card, never given out.
    pub vram_reserve: ByteSize,
    /// Of each card, the most that is given out.
    pub vram_limit: Share,
    /// Of the host, never given out.
    pub ram_reserve: ByteSize,
    /// Of the host, the most that is given out.
    pub ram_limit: Share,
    /// How long memory may take to be measured back after its holder has ended.
    pub reclaim_timeout: Duration,
    /// Whether peaks are learned and preferred to estimates.
    pub calibrate: bool,
    /// Further pools.
    pub custom: BTreeMap<String, u64>,
    /// Cards without telemetry, for [`GpuBackend::Declared`].
    pub declared: Vec<DeclaredCard>,
}

impl Default for ResourcesSpec {
    /// What holds where the configuration says nothing.
    fn default() -> Self {
        Self {
            backend: GpuBackend::Auto,
            nvml_library: "libnvidia-ml.so.1".to_owned(),
            vram_reserve: ByteSize(512 << 20),
            vram_limit: Share::Ratio(1.0),
            ram_reserve: ByteSize(2 << 30),
            ram_limit: Share::Ratio(1.0),
            reclaim_timeout: Duration::from_secs(15),
            calibrate: true,
            custom: BTreeMap::new(),
            declared: Vec::new(),
        }
    }
}

impl ResourcesSpec {
    /// What of a card with so much memory may be given out at most, in bytes.
    #[must_use]
    pub fn vram_capacity(&self, total: u64) -> u64 {
        self.vram_limit.of(total).min(total.saturating_sub(self.vram_reserve.0))
    }

    /// What of a host with so much memory may be given out at most, in bytes.
    #[must_use]
    pub fn ram_capacity(&self, total: u64) -> u64 {
        self.ram_limit.of(total).min(total.saturating_sub(self.ram_reserve.0))
    }
}

/// `resources.gpu_backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuBackend {
    /// NVML if it finds cards, else amdgpu if it does, else none; declared cards if there are any and nothing else is found.
    Auto,
    /// NVIDIA's library.
    Nvml,
    /// The amdgpu driver, in sysfs.
    Amdgpu,
    /// `[[resources.gpu]]`.
    Declared,
    /// No cards.
    None,
}

/// A share of the whole, or a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// From 0 to 1.
    Ratio(f64),
    /// So much.
    Size(ByteSize),
}

impl Share {
    /// What it comes to, never more than the whole.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0..=whole"
    )]
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Ratio(ratio) if ratio >= 1.0 => whole,
            Self::Ratio(ratio) => (whole as f64 * ratio.max(0.0)) as u64,
            Self::Size(size) => size.0.min(whole),
        }
    }
}

/// One of `[[resources.gpu]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredCard {
    /// For people.
    pub name: String,
    /// All of its memory.
    pub memory: ByteSize,
}
