//! AUTOMATIC1111's and Forge's WebUI.

use super::traits::{Line, Traits};
use crate::spec::FailureClass;

/// Ends at the first signal.
pub const TRAITS: Traits = Traits { failures: LINES, second_signal: None };

/// On top of what PyTorch says.
const LINES: &[Line] = &[
    ("A tensor with all NaNs was produced", FailureClass::Nan),
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("Torch is not able to use GPU", FailureClass::Driver),
    ("No checkpoints found", FailureClass::BadModel),
    ("Cannot find empty port in range", FailureClass::PortInUse),
];
