//! How much memory a model takes, before it has ever run, from the headers of its files. Never reads weights.
//!
//! [`gguf`] reads the header of a GGUF file, [`llama`] turns headers and options into an [`Estimate`] of named parts;
//! [`safetensors`] and [`diffusion`] do the same for models that make images. These are pure. [`files`] looks at the file
//! system, and [`found`] at what a path holds.

pub mod diffusion;
pub mod files;
pub mod found;
pub mod gguf;
pub mod llama;
mod part;
pub mod safetensors;

pub use part::{Basis, Estimate, Part, Side};
