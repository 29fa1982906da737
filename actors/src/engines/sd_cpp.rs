//! stable-diffusion.cpp's command line, `sd-cli` (older builds: `sd`): one picture, or a batch, for each run.

pub mod placement;

use std::path::PathBuf;

use super::{
    diffusion::{self, Options, USUAL_SIDE},
    engine::{Engine, FailureLine},
    loading::{after, counted},
    names::program_name,
    need::{ModelFacts, NeedHint},
};
use crate::failure::FailureClass;

/// Ends at the first SIGTERM.
pub(super) struct SdCpp;

impl Engine for SdCpp {
    fn name(&self) -> &str {
        "sd-cpp"
    }

    fn recognises(&self, program: &str, _: &[&str]) -> bool {
        matches!(program_name(program).as_str(), "sd" | "sd-cli")
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }

    fn need(&self, facts: &ModelFacts<'_>) -> NeedHint {
        diffusion::need(facts, USUAL_SIDE)
    }

    fn companions(&self, arguments: &[&str]) -> Vec<PathBuf> {
        Options::read(arguments).companions()
    }

    fn output_extension(&self) -> Option<&'static str> {
        Some("png")
    }

    fn step_lines(&self) -> &[&'static str] {
        &[r"\| \d+/\d+ - [0-9.]+ ?(it/s|s/it)"]
    }

    /// The bar of a job says steps a second, or seconds a step where they are slow; that of a load, which looks the same
    /// otherwise, says bytes a second (`src/core/util.cpp`).
    fn step(&self, line: &[u8]) -> Option<(u64, u64)> {
        counted(after(line, "| ")?)
    }
}

/// What it says when it fails. Sizes and names of modules differ from version to version, so that only what has stayed the same
/// is looked for. Weights (`src/model_manager.cpp`) and working memory (`src/core/ggml_extend.hpp`) are asked of whatever
/// backend a module was given: where that was the processor's, ggml has said so in a line of its own before (`ggml/src/ggml.c`,
/// `ggml/src/ggml-backend.cpp`), which wins here as the one closer to the cause. `new_sd_ctx_t failed` and `generate failed`
/// follow on any failure and name none, so they are no lines of this list.
const LINES: &[FailureLine] = &[
    ("ggml_aligned_malloc: insufficient memory", FailureClass::OomHost),
    ("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate", FailureClass::OomHost),
    ("alloc params backend buffer failed", FailureClass::OomGpu),
    ("failed to allocate the compute buffer", FailureClass::OomGpu),
    ("invalid magic characters", FailureClass::BadModel),
    ("init model loader from file failed", FailureClass::BadModel),
    ("get sd version from file failed", FailureClass::BadModel),
    // A file that is cut off, or another model's. Last: it is said as well when there is no memory for what is read.
    ("read tensor data failed: '", FailureClass::BadModel),
    ("' not in model file", FailureClass::BadModel),
];
