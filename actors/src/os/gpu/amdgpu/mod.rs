//! AMD's cards, by the files of the `amdgpu` driver.
//!
//! How full a card is stands in sysfs; who uses how much stands in `/proc/PID/fdinfo`, for the processes that one asks
//! about. Reading every process there is would cost more than all else together.

mod backend;
mod fdinfo;

pub use backend::{AmdGpus, Roots};
