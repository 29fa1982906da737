//! stable-diffusion.cpp's `sd-server`.

use super::traits::{Line, Traits};
use crate::spec::FailureClass;

/// Ends at the first SIGTERM.
pub const TRAITS: Traits = Traits { failures: LINES, second_signal: None };

/// `new_sd_ctx_t failed` follows on most of the others and so comes last.
const LINES: &[Line] = &[
    ("alloc params backend buffer failed", FailureClass::OomGpu),
    ("failed to allocate the compute buffer", FailureClass::OomGpu),
    ("ggml_aligned_malloc: insufficient memory", FailureClass::OomHost),
    ("invalid magic characters", FailureClass::BadModel),
    ("init model loader from file failed", FailureClass::BadModel),
    ("get sd version from file failed", FailureClass::BadModel),
    ("new_sd_ctx_t failed", FailureClass::BadModel),
];
