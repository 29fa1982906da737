//! vLLM. Its workers (`EngineCore`, tensor-parallel ones) outlive a killed parent and keep the GPU's memory while the
//! port is free: only the end of the whole containment is the end of it.

use std::time::Duration;

use serde_json::json;

use super::{
    engine::{Engine, FailureLine, HttpCall, LoadStep, SleepCalls, reading},
    key::KeyWords,
    loading::{after, counted},
    names::{program_name, python_words},
    need::{ModelFacts, NeedHint},
};
use crate::{failure::FailureClass, probe::Probe};

/// It compiles and captures graphs before it answers.
const READY: Duration = Duration::from_secs(15 * 60);

/// Ends at the first SIGTERM, workers included.
pub(super) struct Vllm;

impl Engine for Vllm {
    fn name(&self) -> &str {
        "vllm"
    }

    fn recognises(&self, program: &str, arguments: &[&str]) -> bool {
        program_name(program) == "vllm" || python_words(program, arguments).any(|word| word.starts_with("vllm."))
    }

    /// `entrypoints`.
    fn ready_probe(&self) -> Probe {
        Probe::Http("/health".to_owned())
    }

    fn ready_timeout(&self, model_file: u64) -> Duration {
        READY.max(reading(model_file))
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }

    /// `--gpu-memory-utilization`: it fills the cards to nine tenths, however small the model is.
    fn need(&self, _: &ModelFacts<'_>) -> NeedHint {
        NeedHint::Unknown
    }

    /// `entrypoints`: only with `VLLM_SERVER_DEV_MODE=1` in its environment.
    fn sleep(&self) -> Option<SleepCalls> {
        let (sleep, wake) = (HttpCall::new("POST", "/sleep?level=1"), HttpCall::new("POST", "/wake_up"));
        Some(SleepCalls { sleep, wake: Some(wake) })
    }

    /// `entrypoints/openai`: answers 404 for a model that it does not serve, before it generates anything.
    fn generation(&self, model: Option<&str>) -> Option<HttpCall> {
        let mut body = json!({ "prompt": "a", "max_tokens": 1 });
        if let Some(model) = model {
            body["model"] = model.into();
        }
        Some(HttpCall::new("POST", "/v1/completions").with(body.to_string()))
    }

    /// `entrypoints/openai/api_server.py`: `--api-key`, or else `VLLM_API_KEY`, for everything below `/v1`.
    fn key_words(&self) -> Option<KeyWords> {
        Some(KeyWords { option: "--api-key", variable: "VLLM_API_KEY", listed: false })
    }

    fn progress_lines(&self) -> &[&'static str] {
        &[r"checkpoint shards: .*\d+/\d+ \[", r"Capturing CUDA graph.*\d+/\d+ \["]
    }

    /// Bars of `tqdm`: files of weights, then graphs.
    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        let (phase, rest) = match after(line, "checkpoint shards: ") {
            Some(rest) => ("weights", rest),
            None => ("graphs", after(line, "Capturing CUDA graph")?),
        };
        let (done, total) = counted(rest)?;
        Some(LoadStep::new(phase, done, total))
    }
}

/// On top of what PyTorch says.
const LINES: &[FailureLine] = &[
    ("Free memory on device .* is less than desired GPU memory utilization", FailureClass::OomGpu),
    ("No available memory for the cache blocks", FailureClass::OomGpu),
    ("ModuleNotFoundError: No module named", FailureClass::MissingLibrary),
    ("is not a local folder and is not a valid model identifier", FailureClass::BadModel),
    ("Failed to infer device type", FailureClass::Driver),
];
