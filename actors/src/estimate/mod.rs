//! What model files say of themselves: how large they are, and how many layers they have. Never reads weights.
//!
//! [`gguf_head`] reads the header of one file and is pure; [`files`] looks at the file system.

pub mod files;
pub mod gguf_head;
