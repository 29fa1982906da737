//! AUTOMATIC1111's and Forge's WebUI.

use serde_json::Value;

use super::{
    comfyui,
    engine::{BusyProbe, Engine, FailureLine, Followed, HttpCall, Interrupt, LoadStep, SleepCalls},
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
        Some(BusyProbe { path: PROGRESS.to_owned(), nonempty: vec!["progress".to_owned()] })
    }

    /// `modules/api`: whoever waits for the image gets what there is of it.
    fn interrupt(&self) -> Interrupt {
        Interrupt::Calls(vec![HttpCall::new("POST", "/sdapi/v1/interrupt")])
    }

    fn follows(&self, method: &str, path: &str) -> Followed {
        match method == "POST" && path.starts_with("/sdapi/v1/") {
            true => Followed::ByAsking(PROGRESS.to_owned()),
            false => Followed::ByAnswer,
        }
    }

    /// `modules/shared_state.py`: steps of the image that is being made, and which of how many it is. Without them, `progress`
    /// is a share of the whole.
    fn request_step(&self, answer: &[u8]) -> Option<(u64, u64)> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let state = |field: &str| answer.pointer(&format!("/state/{field}")).and_then(Value::as_u64);
        match (state("sampling_step"), state("sampling_steps")) {
            (Some(step), Some(steps)) if steps > 0 => {
                let (before, images) = (state("job_no").unwrap_or(0), state("job_count").unwrap_or(1).max(1));
                let done = before.min(images - 1).saturating_mul(steps).saturating_add(step.min(steps));
                Some((done, images.saturating_mul(steps)))
            }
            _ => {
                let ratio = answer.get("progress")?.as_f64().filter(|ratio| *ratio > 0.0)?;
                Some(((ratio.min(1.0) * 100.0) as u64, 100))
            }
        }
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

/// `modules/api`: how far it has come, without the image so far.
const PROGRESS: &str = "/sdapi/v1/progress?skip_current_image=true";

/// `modules/sd_models.py`, followed by a hash and the file.
const WEIGHTS: &str = "Loading weights ";

/// On top of what PyTorch says.
const LINES: &[FailureLine] = &[
    ("A tensor with all NaNs was produced", FailureClass::Nan),
    // Forge does not check, and gives black pictures.
    comfyui::BLACK,
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("Torch is not able to use GPU", FailureClass::Driver),
    ("No checkpoints found", FailureClass::BadModel),
    ("Cannot find empty port in range", FailureClass::PortInUse),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_over_all_images_and_a_share_stands_in_for_them() {
        let step = |answer: &str| A1111.request_step(answer.as_bytes());
        let state = r#"{"progress":0.4,"state":{"job_no":1,"job_count":2,"sampling_step":5,"sampling_steps":20}}"#;
        assert_eq!(step(state), Some((25, 40)));
        let loading = r#"{"progress":0.01,"state":{"job_no":0,"job_count":-1,"sampling_step":0,"sampling_steps":0}}"#;
        assert_eq!(step(loading), Some((1, 100)));
        assert_eq!([step(r#"{"progress":0.0}"#), step("{}"), step("no")], [None, None, None]);
    }

    #[test]
    fn only_what_makes_images_is_asked_about() {
        assert!(matches!(A1111.follows("POST", "/sdapi/v1/txt2img"), Followed::ByAsking(_)));
        assert_eq!(A1111.follows("GET", "/sdapi/v1/sd-models"), Followed::ByAnswer);
    }
}
