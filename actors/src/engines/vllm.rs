//! vLLM. Its workers (`EngineCore`, tensor-parallel ones) outlive a killed parent and keep the GPU's memory while the
//! port is free: only the end of the whole containment is the end of it.

use super::traits::{Line, Traits};
use crate::spec::FailureClass;

/// Ends at the first SIGTERM, workers included.
pub const TRAITS: Traits = Traits { failures: LINES, second_signal: None };

/// On top of what PyTorch says.
const LINES: &[Line] = &[
    ("Free memory on device .* is less than desired GPU memory utilization", FailureClass::OomGpu),
    ("No available memory for the cache blocks", FailureClass::OomGpu),
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("is not a local folder and is not a valid model identifier", FailureClass::BadModel),
    ("Failed to infer device type", FailureClass::Driver),
];
