//! Memory as it is counted: pools, amounts, needs, placements, and why room could not be made. Values alone.
//!
//! All sizes are bytes. A *pool* is what amounts are taken from: a card's VRAM, the host's RAM, or one of
//! `resources.custom`, which counts whole units.

mod amounts;
mod need;
mod refusal;
mod source;

pub use amounts::{Amounts, GpuId, Pool};
pub use need::{Layered, Need, Placement, Sides, VramNeed};
pub use refusal::{Holder, Refusal, RefusalKind, Shortage, Stays};
pub use source::NeedSource;
