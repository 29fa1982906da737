//! NVIDIA's management library, loaded at run time.
//!
//! A card is known by its UUID from the first time that it was seen. One that answers errors later is lost, with its
//! identity; when the driver as a whole fails, the library is begun anew from time to time, so that a driver that was
//! reloaded comes back.

mod backend;
mod verdict;

pub use backend::NvmlGpus;
