//! AUTOMATIC1111's and Forge's WebUI.

use super::{
    engine::{BusyProbe, Engine, FailureLine, HttpCall, LoadStep, SleepCalls},
    loading::after,
    names::{last_part, program_name, python_words},
};
use crate::{failure::FailureClass, probe::Probe};

/// Ends at the first signal.
pub(super) struct A1111;

impl Engine for A1111 {
    fn name(&self) -> &str {
        "a1111"
    }

    fn recognises(&self, program: &str, arguments: &[&str]) -> bool {
        let is_script = |word: String| matches!(last_part(&word).as_str(), "webui.py" | "launch.py");
        program_name(program) == "webui" || python_words(program, arguments).any(is_script)
    }

    /// `modules/api` and Gradio's own routes.
    fn ready_probe(&self) -> Probe {
        Probe::Http("/internal/ping".to_owned())
    }

    /// `modules/api`: the weights go to RAM, and the next image loads them again.
    fn sleep(&self) -> Option<SleepCalls> {
        let call = |path| HttpCall::new("POST", path);
        let wake = Some(call("/sdapi/v1/reload-checkpoint"));
        Some(SleepCalls { sleep: call("/sdapi/v1/unload-checkpoint"), wake })
    }

    /// `modules/api`: `progress` is above zero while an image is made.
    fn busy(&self) -> Option<BusyProbe> {
        let path = "/sdapi/v1/progress?skip_current_image=true".to_owned();
        Some(BusyProbe { path, nonempty: vec!["progress".to_owned()] })
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }

    fn progress_lines(&self) -> &[&'static str] {
        &[WEIGHTS]
    }

    /// Only that it has begun: nothing is counted.
    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        after(line, WEIGHTS).map(|_| LoadStep::new("weights", 0, 1))
    }
}

/// `modules/sd_models.py`, followed by a hash and the file.
const WEIGHTS: &str = "Loading weights ";

/// On top of what PyTorch says.
const LINES: &[FailureLine] = &[
    ("A tensor with all NaNs was produced", FailureClass::Nan),
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("Torch is not able to use GPU", FailureClass::Driver),
    ("No checkpoints found", FailureClass::BadModel),
    ("Cannot find empty port in range", FailureClass::PortInUse),
];
