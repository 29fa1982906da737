//! What is known of each engine before it runs: its name in a command, its health path, how long it may load. Pure.
//!
//! The paths were found by running or reading the engines (llama.cpp `tools/server`, stable-diffusion.cpp `examples/server`,
//! ComfyUI `server.py`, AUTOMATIC1111 `modules/api`, vLLM `entrypoints`).

use std::time::Duration;

use greenroom_actors::{
    spec::EngineKind,
    template::{Part, Template},
};

/// How long an engine may take to be ready when its model file does not say more.
const READY: Duration = Duration::from_secs(120);

/// vLLM compiles and captures graphs before it answers.
const READY_VLLM: Duration = Duration::from_secs(15 * 60);

/// A slow disk, in bytes per second: what a cold network volume of a rented machine gives.
const DISK_RATE: u64 = 100_000_000;

/// The engine that a command runs, by the names in it.
pub(super) fn detect(command: &[Template]) -> EngineKind {
    let words: Vec<String> = command.iter().map(plain).collect();
    let Some((program, arguments)) = words.split_first() else { return EngineKind::Generic };
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let program = name(program);
    match program.trim_end_matches(".sh") {
        "llama-server" => return EngineKind::LlamaServer,
        "sd-server" => return EngineKind::SdServer,
        "comfyui" | "comfy" => return EngineKind::Comfyui,
        "webui" => return EngineKind::A1111,
        "vllm" => return EngineKind::Vllm,
        _ => {}
    }
    if !program.starts_with("python") {
        return EngineKind::Generic;
    }
    // `python -u path/to/ComfyUI/main.py ...`: the script or the module says what it is.
    for word in arguments.iter().take(6) {
        let lower = word.to_ascii_lowercase();
        match name(word).as_str() {
            "main.py" if lower.contains("comfyui") => return EngineKind::Comfyui,
            "webui.py" | "launch.py" => return EngineKind::A1111,
            _ if lower.starts_with("vllm.") => return EngineKind::Vllm,
            _ => {}
        }
    }
    EngineKind::Generic
}

fn plain(template: &Template) -> String {
    let text = |part: &Part| if let Part::Text(text) = part { text.clone() } else { String::new() };
    template.0.iter().map(text).collect()
}

/// By its name in the config; `None` for `auto`.
pub(super) fn named(name: &str) -> Option<EngineKind> {
    use EngineKind::{A1111, Comfyui, Generic, LlamaServer, SdServer, Vllm};
    [LlamaServer, SdServer, Comfyui, A1111, Vllm, Generic].into_iter().find(|engine| engine.name() == name)
}

/// Where it says that it is well; `None` for what answers no HTTP.
pub(super) fn health_path(engine: EngineKind) -> Option<&'static str> {
    match engine {
        EngineKind::LlamaServer | EngineKind::Vllm => Some("/health"),
        EngineKind::SdServer => Some("/v1/models"),
        EngineKind::Comfyui => Some("/system_stats"),
        EngineKind::A1111 => Some("/internal/ping"),
        EngineKind::Generic => None,
    }
}

/// `ready.timeout = "auto"`, for a model file of `size` bytes.
pub(super) fn ready_timeout(engine: EngineKind, size: u64) -> Duration {
    let least = if engine == EngineKind::Vllm { READY_VLLM } else { READY };
    least.max(Duration::from_secs(size / DISK_RATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_names() {
        let detect = |text: &str| detect(&text.split(' ').map(Template::text).collect::<Vec<_>>());
        assert_eq!(detect("/opt/bin/llama-server -m x"), EngineKind::LlamaServer);
        assert_eq!(detect("sd-server"), EngineKind::SdServer);
        assert_eq!(detect("/usr/bin/python3 -u /srv/ComfyUI/main.py --port 1"), EngineKind::Comfyui);
        assert_eq!(detect("python main.py"), EngineKind::Generic);
        assert_eq!(detect("/srv/webui.sh --api"), EngineKind::A1111);
        assert_eq!(detect("python -m vllm.entrypoints.openai.api_server"), EngineKind::Vllm);
        assert_eq!(detect("sleep 60"), EngineKind::Generic);
        assert_eq!(super::detect(&[]), EngineKind::Generic);
    }

    #[test]
    fn large_files_get_more_time() {
        assert_eq!(ready_timeout(EngineKind::LlamaServer, 5_000_000_000), Duration::from_secs(120));
        assert_eq!(ready_timeout(EngineKind::LlamaServer, 40_000_000_000), Duration::from_secs(400));
        assert_eq!(ready_timeout(EngineKind::Vllm, 0), Duration::from_secs(900));
    }
}
