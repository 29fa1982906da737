//! What `greenroom init` writes: a commented first configuration for the model files that were named.

use std::{
    collections::HashSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use super::tree::{quote, quote_key};

const HEAD: &str = r#"# Greenroom: what shall run on this machine.
#
#   greenroom check      says everything that is wrong with this file
#   greenroom run        starts what is in it, and stops it in order
#   greenroom status     says how it fares
#
# Every key is described in docs/configuration.md; what is left out has its default.

[runtime]
name = "greenroom"
# state_dir = "~/.local/state/greenroom"   # history, logs, the control socket
# ports = "10800-10999"                    # where ${port} comes from

# One door for the models below: http://127.0.0.1:8484/v1/chat/completions
# [gateway]
# listen = "127.0.0.1:8484"                # [] = no door
# api_keys = ["${env.GREENROOM_KEY}"]      # wanted beyond this machine

# Memory that is left alone.
# [resources]
# vram_reserve = "512MiB"                  # of each card; 1GiB where it drives a display
# ram_reserve = "2GiB"

[runtime.shutdown]
# grace = "5s"                             # from SIGTERM to the kill, per service
# deadline = "30s"                         # the whole stop ends within this

# Keys that every service shall have; each may say otherwise.
# [defaults.service]
# restart.max = 5
"#;

const EXAMPLE: &str = r#"
# A service is a program that is kept running. This one does nothing and needs nothing; put your own in its place.
[service.example]
command = ["sleep", "infinity"]

# A model server: remove the `#` and name your model file.
# [service.chat]
# command = "llama-server --host ${host} --port ${port} -m ${model_file} -ngl ${gpu_layers} -c 8192"
# model_file = "models/model.gguf"
# idle_timeout = "30m"                     # unload after so long without work

# A job is done by a process of its own, which ends: greenroom job submit image -p prompt="a heron" --wait
# [job.image]
# command = "sd-cli -m ${model_file} -p ${param.prompt} -o ${output}"
# model_file = "models/sdxl.gguf"
# params.prompt = {}
"#;

/// What a model's service may want to say besides.
const KEYS: &str = r#"# start = "eager"                        # with the runtime; without this, when a request asks for it
# idle_timeout = "30m"                     # unload after so long without work
# offload.reload = "when_free"             # comes back by itself after it had to make room
# restart.max = 5
"#;

/// A starter file for these model files; one with a harmless example where there are none. It has no warnings but for
/// programs that are not installed.
#[must_use]
pub fn starter(models: &[PathBuf]) -> String {
    let mut text = HEAD.to_owned();
    if models.is_empty() {
        text.push_str(EXAMPLE);
    }
    let mut taken = HashSet::new();
    for model in models {
        let name = free_name(model, &mut taken);
        // Writing to a string does not fail.
        let _written = write!(text, "\n{}", service(&name, model));
    }
    text
}

fn service(name: &str, model: &Path) -> String {
    let file = quote(&model.display().to_string().replace("${", "$${"));
    let key = quote_key(name);
    let (command, engine) = if is_image_model(model) {
        ("sd-server --listen-ip ${host} --listen-port ${port} -m ${model_file}", "stable-diffusion.cpp's server")
    } else {
        (
            "llama-server --host ${host} --port ${port} -m ${model_file} -ngl ${gpu_layers} -c 8192",
            "llama.cpp's server, with a context of 8,192 tokens",
        )
    };
    let mut text = format!(
        "# {engine}; ready as soon as it answers.\n\
         [service.{key}]\n\
         command = \"{command}\"\n\
         model_file = {file}\n"
    );
    if !is_image_model(model) {
        text.push_str("# gpu_layers = \"auto\"                    # as many as fit; \"all\", or a number\n");
    }
    text.push_str(KEYS);
    text
}

/// Whether the name is one that diffusion models have.
fn is_image_model(model: &Path) -> bool {
    let name = model.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    name.ends_with(".safetensors")
        || ["sdxl", "sd_", "sd3", "sd-", "flux", "stable-diffusion"].iter().any(|part| name.contains(part))
}

/// A service's name made of the file's, not taken yet.
fn free_name(model: &Path, taken: &mut HashSet<String>) -> String {
    let stem = model.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let plain: String = plain.trim_matches(['-', '.']).chars().take(48).collect();
    let base = if plain.is_empty() { "model".to_owned() } else { plain };
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(base);
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files_and_never_twice() {
        let mut taken = HashSet::new();
        let mut name = |path: &str| free_name(Path::new(path), &mut taken);
        assert_eq!(name("/m/Qwen2.5 7B_q4.gguf"), "qwen2.5-7b-q4");
        assert_eq!(name("/n/Qwen2.5 7B_q4.gguf"), "qwen2.5-7b-q4-2");
        assert_eq!(name("/n/日本.gguf"), "model");
    }
}
