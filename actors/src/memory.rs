//! Memory as it is counted: pools, amounts, needs, placements, and why room could not be made. Values alone.
//!
//! All sizes are bytes. A *pool* is what amounts are taken from: a card's VRAM, the host's RAM, or one of
//! `resources.custom`, which counts whole units.

mod source;

use std::{
    collections::BTreeMap,
    fmt,
    ops::{AddAssign, SubAssign},
};

use serde::{Deserialize, Serialize};

use crate::{ids::ServiceName, units::ByteSize};

pub use source::NeedSource;

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

/// What a service needs while it works. Where it goes is the planner's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// GPU memory, and RAM where the two depend on each other.
    pub vram: VramNeed,
    /// Host memory, on top of what [`VramNeed::Layers`] adds.
    pub ram: u64,
    /// Of `resources.custom`.
    pub custom: BTreeMap<String, u64>,
    /// GPU memory that it keeps while it sleeps, where somebody knows.
    pub asleep: Option<u64>,
    /// Where the GPU figure comes from.
    pub vram_source: NeedSource,
    /// Where the host figure comes from.
    pub ram_source: NeedSource,
}

impl Need {
    /// Nothing that is counted.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            vram: VramNeed::None,
            ram: 0,
            custom: BTreeMap::new(),
            asleep: None,
            vram_source: NeedSource::Nothing,
            ram_source: NeedSource::Nothing,
        }
    }

    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.vram == VramNeed::None && self.ram == 0 && self.custom.values().all(|amount| *amount == 0)
    }
}

/// GPU memory that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VramNeed {
    /// None.
    None,
    /// So many bytes, on one card or spread over several.
    Bytes(u64),
    /// As many layers as fit go to the card, the rest to the host (`gpu_layers = "auto"`).
    Layers(Layered),
    /// Nobody knows: a card to itself.
    WholeCard,
}

/// A model whose layers may lie on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layered {
    /// How many layers there are; at least 1.
    pub layers: u32,
    /// What one layer takes, on either side.
    pub layer: u64,
    /// What the card takes on top of its layers, if it has any.
    pub card: u64,
}

impl Layered {
    /// VRAM with so many layers on the card.
    #[must_use]
    pub fn vram(&self, on_card: u32) -> u64 {
        match on_card.min(self.layers) {
            0 => 0,
            n => self.layer.saturating_mul(u64::from(n)).saturating_add(self.card),
        }
    }

    /// RAM with so many layers on the card.
    #[must_use]
    pub fn ram(&self, on_card: u32) -> u64 {
        self.layer.saturating_mul(u64::from(self.layers - on_card.min(self.layers)))
    }
}

/// Where a run goes, and what it may hold there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// The cards, in the order of their indexes; empty for none.
    pub gpus: Vec<GpuId>,
    /// Layers on them where the planner chose; otherwise as configured.
    pub gpu_layers: Option<u32>,
    /// What it may hold.
    pub lease: Amounts,
}

/// Why somebody's memory is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stays {
    /// `pinned = true`.
    Pinned,
    /// An application holds it.
    Held,
    /// It works, and did not finish within `offload.drain`.
    Busy,
    /// It is on its way in.
    Loading,
    /// It is on its way out, and its memory was not measured back in time.
    NotBack,
    /// Who asks may push out nobody: an eager start or a reload.
    NotForThis,
    /// Who asks depends on it.
    Needed,
    /// Another service depends on it, and is up or on its way.
    NeededBy,
    /// It does not belong to Greenroom.
    Stranger,
}

impl Stays {
    /// As it stands in a sentence, in parentheses.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Held => "held by the application",
            Self::Busy => "busy",
            Self::Loading => "loading",
            Self::NotBack => "ended, and its memory is not back",
            Self::NotForThis => "not pushed out for this",
            Self::Needed => "which it depends on",
            Self::NeededBy => "needed by others",
            Self::Stranger => "not Greenroom's",
        }
    }
}

/// Somebody who holds what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The service; `None` for other programs.
    pub service: Option<ServiceName>,
    /// Of which pool.
    pub pool: Pool,
    /// How much.
    pub amount: u64,
    /// Why it stays.
    pub why: Stays,
    /// With [`Stays::NeededBy`]: one who needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_by: Option<ServiceName>,
}

impl Holder {
    /// One of whom nobody is known who needs it.
    #[must_use]
    pub fn new(service: Option<ServiceName>, pool: Pool, amount: u64, why: Stays) -> Self {
        Self { service, pool, amount, why, needed_by: None }
    }
}

/// A pool that has too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Which pool.
    pub pool: Pool,
    /// What is needed of it.
    pub needed: u64,
    /// What may be given out now.
    pub free: u64,
    /// What could be given out at the very most.
    pub capacity: u64,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// It never fits here, whoever leaves.
    TooLarge,
    /// Those who hold the memory stay.
    InTheWay,
    /// Room was being made and was not there in time.
    NotInTime,
    /// No card that it may use works.
    NoCard {
        /// What is wrong with them.
        problem: String,
    },
}

/// Why there is no memory for a service. A value, not a failure: nothing was ended for it that stays ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refusal {
    /// Who asked.
    pub service: ServiceName,
    /// What kind it is.
    pub kind: RefusalKind,
    /// What is missing, on the card where the least is.
    pub missing: Vec<Shortage>,
    /// Who holds it.
    pub holders: Vec<Holder>,
}

impl fmt::Display for Refusal {
    /// `there is no memory for it: it needs 7GiB of VRAM of X, and 1GiB is free; chat holds 6GiB (pinned)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            RefusalKind::TooLarge => f.write_str("it never fits here")?,
            RefusalKind::InTheWay => f.write_str("there is no memory for it")?,
            RefusalKind::NotInTime => f.write_str("memory was not free in time")?,
            RefusalKind::NoCard { problem } => write!(f, "there is no card for it ({problem})")?,
        }
        for (n, Shortage { pool, needed, free, capacity }) in self.missing.iter().enumerate() {
            f.write_str(if n == 0 { ": it needs " } else { ", and " })?;
            f.write_str(&pool.tell(*needed))?;
            match self.kind {
                RefusalKind::TooLarge => write!(f, ", of which at most {} can be given", amount(pool, *capacity))?,
                _ => write!(f, ", of which {} is free", amount(pool, *free))?,
            }
        }
        for (n, holder) in self.holders.iter().enumerate() {
            f.write_str(if n == 0 { "; " } else { ", " })?;
            match &holder.service {
                Some(service) => write!(f, "{service} holds {}", amount(&holder.pool, holder.amount))?,
                None => write!(f, "other programs hold {}", amount(&holder.pool, holder.amount))?,
            }
            match (holder.why, &holder.needed_by) {
                (Stays::Stranger, _) => {}
                (Stays::NeededBy, Some(dependant)) => write!(f, " (needed by {dependant})")?,
                (why, _) => write!(f, " ({})", why.told())?,
            }
        }
        Ok(())
    }
}

fn amount(pool: &Pool, amount: u64) -> String {
    match pool {
        Pool::Vram(_) | Pool::Ram => ByteSize(amount).to_string(),
        Pool::Custom(_) => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let pool = Pool::Vram(GpuId("GPU-1".to_owned()));
        let name = |text: &str| text.parse::<ServiceName>().expect("a name");
        let shortage = Shortage { pool: pool.clone(), needed: 7 << 30, free: 1 << 30, capacity: 8 << 30 };
        let chat = Holder::new(Some(name("chat")), pool.clone(), 6 << 30, Stays::Pinned);
        let db = Holder {
            needed_by: Some(name("app")),
            ..Holder::new(Some(name("db")), pool.clone(), 1 << 28, Stays::NeededBy)
        };
        let game = Holder::new(None, pool, 1 << 29, Stays::Stranger);
        let refusal = Refusal {
            service: name("image"),
            kind: RefusalKind::InTheWay,
            missing: vec![shortage],
            holders: vec![chat, db, game],
        };
        assert_eq!(
            refusal.to_string(),
            "there is no memory for it: it needs 7GiB of VRAM of GPU-1, of which 1GiB is free; chat holds 6GiB (pinned), \
             db holds 256MiB (needed by app), other programs hold 512MiB"
        );
    }

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

    #[test]
    fn layers_are_on_one_side_or_the_other() {
        let model = Layered { layers: 48, layer: 100, card: 50 };
        assert_eq!((model.vram(0), model.ram(0)), (0, 4800));
        assert_eq!((model.vram(44), model.ram(44)), (4450, 400));
        assert_eq!((model.vram(99), model.ram(99)), (4850, 0));
    }
}
