//! Any program: what loaders, shells, runtimes and drivers say, whatever is run. Part of every other engine's rules.

use super::traits::{Line, Traits};
use crate::spec::FailureClass;

/// What any program may say.
pub const TRAITS: Traits = Traits { failures: LINES, second_signal: None };

/// Lines of the dynamic loader, of CUDA and PyTorch, of the C library and the common network libraries.
pub const LINES: &[Line] = &[
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
