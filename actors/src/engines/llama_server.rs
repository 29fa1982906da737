//! llama.cpp's `llama-server`.

use std::{path::PathBuf, time::Duration};

use super::{
    engine::{Engine, FailureLine, HttpCall, LoadStep},
    key::KeyWords,
    loading::after,
    names::program_name,
    need::{ModelFacts, NeedHint, slots_said},
};
use crate::{
    estimate::{found::Found, llama::Options},
    failure::FailureClass,
    memory::Sides,
    probe::Probe,
};

/// SIGTERM makes a busy server finish its generation first (still alive after 40 s in a test); a second one ends it
/// within 0.1 s.
pub(super) struct LlamaServer;

impl Engine for LlamaServer {
    fn name(&self) -> &str {
        "llama-server"
    }

    fn recognises(&self, program: &str, _: &[&str]) -> bool {
        program_name(program) == "llama-server"
    }

    /// `tools/server`.
    fn ready_probe(&self) -> Probe {
        Probe::Http("/health".to_owned())
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }

    /// Part by part where the headers of its model can be read; what it loads besides comes on top, on the card.
    fn need(&self, facts: &ModelFacts<'_>) -> NeedHint {
        let options = Options::read(facts.arguments, facts.environment.iter().copied());
        let on_card = if options.no_device { Some(0) } else { options.gpu_layers };
        let Some(Found::Language(model)) = facts.found else {
            return on_card.map_or(NeedHint::ByFile, NeedHint::Layers);
        };
        let card = facts.card && !options.no_device;
        let beside = facts.companions.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        let side = |n| {
            let estimate = model.estimate(&options, n, card).beside(beside, card);
            Sides { vram: estimate.vram(), ram: estimate.ram() }
        };
        NeedHint::Split { sides: (0..=model.all_layers()).map(side).collect(), on_card }
    }

    fn companions(&self, arguments: &[&str]) -> Vec<PathBuf> {
        Options::read(arguments, []).companions
    }

    fn slots(&self, arguments: &[&str]) -> Option<u32> {
        slots_said(arguments)
    }

    fn second_signal(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    /// `tools/server/README.md`: `n_predict` bounds what is generated, and without `cache_prompt` the slot forgets what it was
    /// asked.
    fn generation(&self, _: Option<&str>) -> Option<HttpCall> {
        let body = r#"{"prompt":"a","n_predict":1,"cache_prompt":false}"#;
        Some(HttpCall::new("POST", "/completion").with(body))
    }

    /// `common/arg.cpp`: `--api-key`, a list that commas separate, or `LLAMA_API_KEY`. Without one of them `/completion` is
    /// answered by 401, before a slot is looked for (`tools/server/server-http.cpp`).
    fn key_words(&self) -> Option<KeyWords> {
        Some(KeyWords { option: "--api-key", variable: "LLAMA_API_KEY", listed: true })
    }

    fn progress_lines(&self) -> &[&'static str] {
        &[
            r"^\.+$",
            "load_model: loading model ",
            "load_tensors: loading model tensors",
            "constructing llama_context",
            "warming up the model",
            ", n_slots = ",
        ]
    }

    /// Dots are drawn one by one, at most a hundred (`src/llama.cpp`, the default progress callback); the server has had
    /// a silent callback of its own for some time (build 10068) and only names its phases.
    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        if line.iter().all(|byte| *byte == b'.') {
            return Some(LoadStep::new("weights", line.len() as u64, DOTS));
        }
        let named = PHASES.iter().find(|(text, _)| after(line, text).is_some());
        named.map(|(_, phase)| LoadStep::new(*phase, 0, 1))
    }
}

/// Dots of a whole load.
const DOTS: u64 = 100;

/// What it says when a phase begins. Which of these appear depends on `-lv`: with the default the first and the last.
const PHASES: &[(&str, &str)] = &[
    ("loading model", "weights"),
    ("constructing llama_context", "context"),
    ("warming up the model", "warmup"),
    (", n_slots = ", "slots"),
];

/// From runs of a real one (build 10068). `error loading model` follows on most of the others and so comes last.
const LINES: &[FailureLine] = &[
    ("unable to allocate (CUDA|Vulkan|ROCm|SYCL|Metal)[^ ]* buffer", FailureClass::OomGpu),
    ("allocating [0-9.]+ MiB on device [0-9]+: cudaMalloc failed", FailureClass::OomGpu),
    ("ggml_vulkan: Device memory allocation of size", FailureClass::OomGpu),
    ("ggml_aligned_malloc: insufficient memory", FailureClass::OomHost),
    ("mmap failed: Cannot allocate memory", FailureClass::OomHost),
    ("unable to allocate", FailureClass::OomGpu),
    ("failed to allocate buffer for kv cache", FailureClass::OomGpu),
    ("failed to allocate compute (pp )?buffers", FailureClass::OomGpu),
    ("couldn't bind HTTP server socket", FailureClass::PortInUse),
    ("invalid magic characters", FailureClass::BadModel),
    ("data is not within the file bounds", FailureClass::BadModel),
    ("failed to read magic", FailureClass::BadModel),
    ("failed to open GGUF file", FailureClass::BadModel),
    ("unknown model architecture", FailureClass::BadModel),
    ("exiting due to model loading error", FailureClass::BadModel),
];
