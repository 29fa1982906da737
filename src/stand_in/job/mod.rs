//! A process that does one job and ends: `stand-in --job`, which takes what `sd-cli` of stable-diffusion.cpp takes, says
//! what it says, and fails as it fails.

mod options;
mod play;
mod script;

pub use options::JobOptions;
pub use play::{NotBegun, Play, Turn};
