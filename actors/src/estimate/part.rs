//! What an estimate is made of.

/// What a driver takes of a card for a process that computes on it, besides what the process asks for: its context, kernels,
/// and the workspace of its matrix library. Between 300 and 600 MiB with CUDA.
const DRIVER: u64 = 512 << 20;
/// What a driver takes of host memory for the same.
const DRIVER_ON_HOST: u64 = 200 << 20;

/// Where a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// On the cards.
    Gpu,
    /// In memory of the process, which nobody can take from it.
    Ram,
    /// Pages of a mapped file. They have to stay for the model to be fast; they need not be free for it to start.
    PageCache,
}

impl Side {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Ram => "ram",
            Self::PageCache => "page_cache",
        }
    }
}

/// How well a part is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// It stands in the file.
    Exact,
    /// The program's own arithmetic, read in its source.
    Formula,
    /// A formula that was fitted to what the program says it takes.
    Fit,
    /// A round figure that leaves room.
    Allowance,
}

impl Basis {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Formula => "formula",
            Self::Fit => "fit",
            Self::Allowance => "allowance",
        }
    }
}

/// One thing that takes memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, in a few words.
    pub what: &'static str,
    /// Where it lies.
    pub side: Side,
    /// How much it takes.
    pub bytes: u64,
    /// How well that is known.
    pub basis: Basis,
}

/// What a model takes, part by part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The parts, none of them empty.
    pub parts: Vec<Part>,
    /// What is not known, and which way the figures lean for it: sentences without a full stop.
    pub notes: Vec<String>,
}

impl Estimate {
    /// Adds a part, if it takes anything.
    pub(super) fn put(&mut self, what: &'static str, side: Side, bytes: u64, basis: Basis) {
        if bytes > 0 {
            self.parts.push(Part { what, side, bytes, basis });
        }
    }

    /// Adds what the driver of a card takes for a process that uses one.
    pub(super) fn put_driver(&mut self) {
        self.put("driver", Side::Gpu, DRIVER, Basis::Allowance);
        self.put("driver", Side::Ram, DRIVER_ON_HOST, Basis::Allowance);
    }

    /// With files that are loaded besides the model, which weigh so many bytes: a fifth more for what they work in. They go
    /// to the card where there is one.
    #[must_use]
    pub fn beside(mut self, bytes: u64, card: bool) -> Self {
        let side = if card { Side::Gpu } else { Side::Ram };
        self.put("files beside it, x 1.2", side, bytes.saturating_add(bytes.div_ceil(5)), Basis::Allowance);
        self
    }

    /// What lies on one side.
    #[must_use]
    pub fn on(&self, side: Side) -> u64 {
        let there = self.parts.iter().filter(|part| part.side == side);
        there.fold(0, |sum, part| sum.saturating_add(part.bytes))
    }

    /// GPU memory, of all cards together.
    #[must_use]
    pub fn vram(&self) -> u64 {
        self.on(Side::Gpu)
    }

    /// Host memory, page cache and all: a model whose pages do not stay is slower than one that waits.
    #[must_use]
    pub fn ram(&self) -> u64 {
        self.on(Side::Ram).saturating_add(self.on(Side::PageCache))
    }
}
