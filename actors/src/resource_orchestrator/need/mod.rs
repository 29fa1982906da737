//! What a service needs of memory, and how that is learned.
//!
//! The figure that is trusted most counts, for VRAM and RAM each by itself:
//! 1. the user's own (`vram`, `ram`);
//! 2. *calibrated*: the most that the last runs of the same command and model file were measured to hold, and 4 % more;
//! 3. *estimate*: what its engine works out from the headers of its model and the options of its command. With mmap the part
//!    on the host is page cache, which need not be free to be had; it is counted all the same, since a model whose pages
//!    do not stay is slower than one that waits;
//! 4. *file size*: the model file x 1.2, where its layers go as `gpu_layers` says;
//! 5. *unknown*: a card to itself, until it has been measured once.
//!
//! `figure` puts the five in order, `learned` turns peaks into a figure, `drift` says when a run holds more than it was
//! given, `key` says which runs are the same: these are pure. [`Book`] looks at files, remembers peaks, and hands them to
//! the history.

mod book;
mod drift;
mod figure;
mod given;
mod key;
mod learned;

use std::sync::Arc;

pub use book::Book;
pub use drift::TOLERANCE;
pub use figure::{Facts, need};
pub use given::Given;
pub use learned::Peak;

use crate::{
    memory::{Amounts, Need, Placement},
    spec::ServiceSpec,
};

/// Who says what a service needs, and is told what it held.
pub trait NeedBook: Send + std::fmt::Debug {
    /// What it needs, as far as is known now.
    fn need(&mut self, spec: &Arc<ServiceSpec>) -> Need;

    /// What its run has held at most so far: from the moment it was ready, whenever that has grown, and with `end` once
    /// more when the run is over. A run that was never ready is told only with `end`, and counts only where it held more
    /// than was expected.
    ///
    /// A card that nobody measures must not appear in `peak`: a lease taken for a measurement would grow with every run.
    fn measured(&mut self, spec: &Arc<ServiceSpec>, placement: &Placement, peak: &Amounts, end: bool);

    /// What can be given out at the very most, in bytes, card by card and of RAM. Without a card, models go to RAM; and
    /// the margin on top of what was measured makes nothing too large that has run.
    fn capacities(&mut self, cards: &[u64], ram: u64) {
        let _ = (cards, ram);
    }
}
