//! The description of an engine, and where to find each one's.

use std::time::Duration;

use super::{a1111, comfyui, generic, llama_server, sd_server, vllm};
use crate::spec::{EngineKind, FailureClass};

/// A line of output that names the cause of a failure: a regular expression and the class. Patterns begin with plain
/// text wherever possible, which lets a flood of output be searched at the speed of memory.
pub type Line = (&'static str, FailureClass);

/// What is known about one engine.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// Its own failure lines, the cause before its consequences.
    pub failures: &'static [Line],
    /// Send the stop signal once more after this long, for programs that take the first one as "when you are done".
    pub second_signal: Option<Duration>,
}

/// The description of an engine.
#[must_use]
pub fn traits(engine: EngineKind) -> Traits {
    match engine {
        EngineKind::LlamaServer => llama_server::TRAITS,
        EngineKind::SdServer => sd_server::TRAITS,
        EngineKind::Comfyui => comfyui::TRAITS,
        EngineKind::A1111 => a1111::TRAITS,
        EngineKind::Vllm => vllm::TRAITS,
        EngineKind::Generic => generic::TRAITS,
    }
}
