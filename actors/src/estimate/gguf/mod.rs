//! The header of a GGUF file: what is said of the model, and which tensors there are. Never reads weights.
//!
//! The format (`docs/gguf.md` of ggml): the magic, the version, the number of tensors and of metadata entries; the
//! entries; the table of tensors; then, aligned, their data. An entry is a key, the type of its value and the value.
//! Versions 2 and 3 are read, in either byte order.
//!
//! What a file claims is held against its size before anything is allocated, and what is not wanted (the tokenizer's
//! lists) is skipped: a hostile file costs some reads and little memory. Pure: reads from whatever can be read.

mod header;
mod kinds;
mod metadata;
mod walk;

pub use header::{Header, Tensor};
pub use kinds::{TensorKind, bytes_of};
pub use metadata::{Metadata, Value};
pub use walk::{GgufError, Wrong};
