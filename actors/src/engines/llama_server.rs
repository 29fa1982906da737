//! llama.cpp's `llama-server`.

use std::time::Duration;

use super::traits::{Line, Traits};
use crate::spec::FailureClass;

/// SIGTERM makes a busy server finish its generation first (still alive after 40 s in a test); a second one ends it
/// within 0.1 s.
pub const TRAITS: Traits = Traits { failures: LINES, second_signal: Some(Duration::from_secs(1)) };

/// From runs of a real one (build 10068). `error loading model` follows on most of the others and so comes last.
const LINES: &[Line] = &[
    ("unable to allocate (CUDA|Vulkan|ROCm|SYCL|Metal)[^ ]* buffer", FailureClass::OomGpu),
    ("allocating [0-9.]+ MiB on device [0-9]+: cudaMalloc failed", FailureClass::OomGpu),
    ("ggml_vulkan: Device memory allocation of size", FailureClass::OomGpu),
    ("ggml_aligned_malloc: insufficient memory", FailureClass::OomHost),
    ("mmap failed: Cannot allocate memory", FailureClass::OomHost),
    ("unable to allocate", FailureClass::OomGpu),
    ("failed to allocate buffer for kv cache", FailureClass::OomGpu),
    ("failed to allocate compute (pp )?buffers", FailureClass::OomGpu),
    ("couldn't bind HTTP server socket", FailureClass::PortInUse),
    ("invalid magic characters", FailureClass::BadModel),
    ("data is not within the file bounds", FailureClass::BadModel),
    ("failed to read magic", FailureClass::BadModel),
    ("failed to open GGUF file", FailureClass::BadModel),
    ("unknown model architecture", FailureClass::BadModel),
    ("exiting due to model loading error", FailureClass::BadModel),
];
