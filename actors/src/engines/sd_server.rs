//! stable-diffusion.cpp's `sd-server`.

use std::path::PathBuf;

use super::{
    diffusion::{self, Options},
    engine::{Engine, FailureLine, Interrupt, LoadStep},
    loading::{after, counted},
    names::program_name,
    need::{ModelFacts, NeedHint},
};
use crate::{estimate::diffusion::Picture, failure::FailureClass, probe::Probe};

/// Ends at the first SIGTERM.
pub(super) struct SdServer;

impl Engine for SdServer {
    fn name(&self) -> &str {
        "sd-server"
    }

    fn recognises(&self, program: &str, _: &[&str]) -> bool {
        program_name(program) == "sd-server"
    }

    /// `examples/server`: it has no path for health, and listens only once it has loaded.
    fn ready_probe(&self) -> Probe {
        Probe::Http("/v1/models".to_owned())
    }

    /// `examples/server`: what runs cannot be cancelled (409), and goes on without anybody who waits for it.
    fn interrupt(&self) -> Interrupt {
        Interrupt::Restart
    }

    fn failures(&self) -> &[FailureLine] {
        LINES
    }

    /// Requests say how large a picture is to be; the size of its command is what they have by default.
    fn need(&self, facts: &ModelFacts<'_>) -> NeedHint {
        diffusion::need(facts, Picture::default().width)
    }

    fn companions(&self, arguments: &[&str]) -> Vec<PathBuf> {
        Options::read(arguments).companions()
    }

    fn progress_lines(&self) -> &[&'static str] {
        &[r"\| \d+/\d+ - [0-9.]+ ?[KMG]?B/s"]
    }

    /// The bar of a load counts tensors and says bytes a second; that of a job says steps.
    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        let (done, total) = counted(after(line, "| ")?)?;
        Some(LoadStep::new("weights", done, total))
    }
}

/// `new_sd_ctx_t failed` follows on most of the others and so comes last.
const LINES: &[FailureLine] = &[
    ("alloc params backend buffer failed", FailureClass::OomGpu),
    ("failed to allocate the compute buffer", FailureClass::OomGpu),
    ("ggml_aligned_malloc: insufficient memory", FailureClass::OomHost),
    ("invalid magic characters", FailureClass::BadModel),
    ("init model loader from file failed", FailureClass::BadModel),
    ("get sd version from file failed", FailureClass::BadModel),
    ("new_sd_ctx_t failed", FailureClass::BadModel),
];
