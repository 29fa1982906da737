//! ComfyUI. It loads models with the first prompt that needs them, so there is nothing to tell while it starts.

use super::{
    engine::{Engine, FailureLine},
    names::{last_part, program_name, python_words},
};
use crate::{failure::FailureClass, probe::Probe};

/// Ends at the first SIGTERM (48 ms on a CPU).
pub(super) struct Comfyui;

impl Engine for Comfyui {
    fn name(&self) -> &str {
        "comfyui"
    }

    fn recognises(&self, program: &str, arguments: &[&str]) -> bool {
        let is_script = |word: String| last_part(&word) == "main.py" && word.contains("comfyui");
        matches!(program_name(program).as_str(), "comfyui" | "comfy") || python_words(program, arguments).any(is_script)
    }

    /// `server.py`.
    fn ready_probe(&self) -> Probe {
        Probe::Http("/system_stats".to_owned())
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }
}

/// On top of what PyTorch says.
const LINES: &[FailureLine] = &[
    ("Got an OOM, unloading all loaded models", FailureClass::OomGpu),
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("Torch not compiled with CUDA enabled", FailureClass::Driver),
];
