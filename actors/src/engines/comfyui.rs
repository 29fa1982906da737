//! ComfyUI.

use super::traits::{Line, Traits};
use crate::spec::FailureClass;

/// Ends at the first SIGTERM (48 ms on a CPU).
pub const TRAITS: Traits = Traits { failures: LINES, second_signal: None };

/// On top of what PyTorch says.
const LINES: &[Line] = &[
    ("Got an OOM, unloading all loaded models", FailureClass::OomGpu),
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("Torch not compiled with CUDA enabled", FailureClass::Driver),
];
