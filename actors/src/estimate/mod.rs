//! How much memory a model takes, before it has ever run, from the headers of its files. Never reads weights.
//!
//! [`gguf`] reads the header of a GGUF file, [`llama`] turns headers and options into an [`Estimate`] of named parts: these
//! are pure. [`files`] looks at the file system.

pub mod files;
pub mod gguf;
pub mod llama;
mod part;

pub use part::{Basis, Estimate, Part, Side};
