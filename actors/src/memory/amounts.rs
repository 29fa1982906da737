//! Pools, and how much of each.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{AddAssign, SubAssign},
};

use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// A card by its UUID. Cards without telemetry have one that is made up: `declared-0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuId(pub String);

impl fmt::Display for GpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What amounts are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The memory of one card.
    Vram(GpuId),
    /// The memory of the host.
    Ram,
    /// One of `resources.custom`.
    Custom(String),
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vram(gpu) => write!(f, "VRAM of {gpu}"),
            Self::Ram => f.write_str("RAM"),
            Self::Custom(name) => write!(f, "`{name}`"),
        }
    }
}

impl Pool {
    /// An amount of it as people read it.
    #[must_use]
    pub fn tell(&self, amount: u64) -> String {
        match self {
            Self::Vram(_) | Self::Ram => format!("{} of {self}", ByteSize(amount)),
            Self::Custom(_) => format!("{amount} of {self}"),
        }
    }
}

/// Amounts by pool. A pool that is not named has nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// VRAM in bytes, card by card.
    pub vram: BTreeMap<GpuId, u64>,
    /// Host memory in bytes.
    pub ram: u64,
    /// Of `resources.custom`, in their own units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, u64>,
}

impl Amounts {
    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().all(|(_, amount)| amount == 0)
    }

    /// How much of this pool.
    #[must_use]
    pub fn of(&self, pool: &Pool) -> u64 {
        match pool {
            Pool::Vram(gpu) => self.vram.get(gpu).copied().unwrap_or(0),
            Pool::Ram => self.ram,
            Pool::Custom(name) => self.custom.get(name).copied().unwrap_or(0),
        }
    }

    /// Every pool with its amount, zeros included where they are written down.
    pub fn iter(&self) -> impl Iterator<Item = (Pool, u64)> + '_ {
        let vram = self.vram.iter().map(|(gpu, amount)| (Pool::Vram(gpu.clone()), *amount));
        let custom = self.custom.iter().map(|(name, amount)| (Pool::Custom(name.clone()), *amount));
        vram.chain([(Pool::Ram, self.ram)]).chain(custom)
    }

    /// VRAM of all cards together.
    #[must_use]
    pub fn total_vram(&self) -> u64 {
        self.vram.values().fold(0, |sum, amount| sum.saturating_add(*amount))
    }
}

impl AddAssign<&Self> for Amounts {
    fn add_assign(&mut self, other: &Self) {
        for (gpu, amount) in &other.vram {
            let here = self.vram.entry(gpu.clone()).or_default();
            *here = here.saturating_add(*amount);
        }
        self.ram = self.ram.saturating_add(other.ram);
        for (name, amount) in &other.custom {
            let here = self.custom.entry(name.clone()).or_default();
            *here = here.saturating_add(*amount);
        }
    }
}

impl SubAssign<&Self> for Amounts {
    /// Never below zero.
    fn sub_assign(&mut self, other: &Self) {
        for (gpu, amount) in &other.vram {
            if let Some(here) = self.vram.get_mut(gpu) {
                *here = here.saturating_sub(*amount);
            }
        }
        self.ram = self.ram.saturating_sub(other.ram);
        for (name, amount) in &other.custom {
            if let Some(here) = self.custom.get_mut(name) {
                *here = here.saturating_sub(*amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_and_never_go_below_zero() {
        let gpu = GpuId("a".to_owned());
        let one = Amounts { vram: [(gpu.clone(), 5)].into(), ram: 7, custom: [("npu".to_owned(), 1)].into() };
        let mut sum = one.clone();
        sum += &one;
        assert_eq!((sum.of(&Pool::Vram(gpu)), sum.ram, sum.of(&Pool::Custom("npu".to_owned()))), (10, 14, 2));
        for _ in 0..3 {
            sum -= &one;
        }
        assert!(sum.is_empty());
    }
}
