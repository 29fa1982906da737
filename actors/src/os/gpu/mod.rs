//! Cards, and how full they are.
//!
//! A backend ([`Gpus`]) asks a driver and may hang in it for ever; so it lives on a thread of its own, and everybody else
//! takes the last [`Reading`] with its age. Nobody waits for a driver.
//!
//! - [`nvml`]: NVIDIA's library, which also knows who uses how much.
//! - [`amdgpu`]: the files of AMD's driver.
//! - [`declared`]: cards that the configuration describes and nobody measures, and no cards at all.
//! - [`select`]: which of them is in force.
//! - [`sampler`]: the thread, and what can be asked of it without waiting for it.

pub mod amdgpu;
pub mod declared;
pub mod nvml;
mod reading;
pub mod sampler;
pub mod select;

pub use reading::{Card, CardState, GpuError, Gpus, HANGS_AFTER, Reading, problem_of};
pub use sampler::GpuSampler;
