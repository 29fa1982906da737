//! ComfyUI. It loads models with the first prompt that needs them, so there is nothing to tell while it starts.

use super::{
    engine::{BusyProbe, Engine, FailureLine, Followed, HttpCall, Interrupt, SleepCalls},
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

    /// `server.py`: `/free` empties the card after the current prompt; the next prompt loads what it needs.
    fn sleep(&self) -> Option<SleepCalls> {
        let free = HttpCall::new("POST", "/free").with(r#"{"unload_models":true,"free_memory":true}"#);
        Some(SleepCalls { sleep: free, wake: None })
    }

    /// `server.py`: `POST /prompt` is answered at once, and worked on for minutes.
    fn busy(&self) -> Option<BusyProbe> {
        let nonempty = ["queue_running", "queue_pending"].map(str::to_owned).to_vec();
        Some(BusyProbe { path: "/queue".to_owned(), nonempty })
    }

    /// `server.py`: ends the prompt that is worked on, whose ever it is. Whoever knows his prompt asks first.
    fn interrupt(&self) -> Interrupt {
        Interrupt::Calls(vec![HttpCall::new("POST", "/interrupt")])
    }

    fn follows(&self, method: &str, path: &str) -> Followed {
        let bare = path.split('?').next().unwrap_or(path);
        // Every path of its own stands below `/api`, too.
        match method == "POST" && bare.strip_prefix("/api").unwrap_or(bare) == "/prompt" {
            true => Followed::ByPrompt,
            false => Followed::ByAnswer,
        }
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }
}

/// What NumPy says when a picture of not-a-numbers is made whole numbers, as `nodes.py` does (issue 4241 of ComfyUI): the
/// picture is black, and so may be all that follow until the program is restarted. Nothing else is said of it.
pub(super) const BLACK: FailureLine = ("RuntimeWarning: invalid value encountered in cast", FailureClass::Nan);

/// On top of what PyTorch says.
const LINES: &[FailureLine] = &[
    ("Got an OOM, unloading all loaded models", FailureClass::OomGpu),
    BLACK,
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("Torch not compiled with CUDA enabled", FailureClass::Driver),
];
