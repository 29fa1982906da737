//! Any program: what loaders, shells, runtimes and drivers say, whatever is run. Part of every other engine's rules.

use super::{
    engine::{Engine, FailureLine},
    need::{ModelFacts, NeedHint, layers_said},
};
use crate::failure::FailureClass;

/// Its name in the configuration.
pub(super) const NAME: &str = "generic";

/// A program of which nothing is known: what no other engine recognises. What any program may say comes to every
/// engine's lines, and so to this one's, which has none of its own.
pub(super) struct Generic;

impl Engine for Generic {
    fn name(&self) -> &str {
        NAME
    }

    /// Of a program without a model file nothing is expected. It may be a llama-server by another name.
    fn need(&self, facts: &ModelFacts<'_>) -> NeedHint {
        match (facts.size, layers_said(facts.arguments)) {
            (None, _) => NeedHint::Nothing,
            (Some(_), None) => NeedHint::ByFile,
            (Some(_), Some(layers)) => NeedHint::Layers(layers),
        }
    }
}

/// Lines of the dynamic loader, of CUDA and PyTorch, of the C library and the common network libraries.
pub(super) const LINES: &[FailureLine] = &[
    ("error while loading shared libraries", FailureClass::MissingLibrary),
    ("cannot open shared object file", FailureClass::MissingLibrary),
    ("CUDA out of memory", FailureClass::OomGpu),
    ("CUDA error: out of memory", FailureClass::OomGpu),
    ("cudaMalloc failed: out of memory", FailureClass::OomGpu),
    ("OutOfMemoryError", FailureClass::OomGpu),
    ("HIP out of memory", FailureClass::OomGpu),
    ("ErrorOutOfDeviceMemory", FailureClass::OomGpu),
    ("NansException", FailureClass::Nan),
    ("tensor with (all )?NaNs", FailureClass::Nan),
    ("NVML: Driver/library version mismatch", FailureClass::Driver),
    ("CUDA driver version is insufficient", FailureClass::Driver),
    ("CUDA error: (unspecified launch failure|an illegal memory access|device-side assert)", FailureClass::Driver),
    ("no CUDA-capable device is detected", FailureClass::Driver),
    ("std::bad_alloc", FailureClass::OomHost),
    ("MemoryError", FailureClass::OomHost),
    ("Cannot allocate memory", FailureClass::OomHost),
    ("DefaultCPUAllocator: (can't|not enough)", FailureClass::OomHost),
    ("Address already in use", FailureClass::PortInUse),
    ("address already in use", FailureClass::PortInUse),
    ("EADDRINUSE", FailureClass::PortInUse),
    ("couldn't bind", FailureClass::PortInUse),
];
