//! The engines that a configuration can name.

use std::sync::LazyLock;

use super::{
    EngineRef, a1111::A1111, comfyui::Comfyui, engine::Engine, llama_server::LlamaServer, sd_cpp::SdCpp,
    sd_server::SdServer, vllm::Vllm,
};
use crate::probe::Probe;

/// The word in a configuration that means "find out".
const AUTO: &str = "auto";
/// Longer names serve nobody.
const LONGEST_NAME: usize = 64;

static BUILT_IN: LazyLock<Vec<EngineRef>> = LazyLock::new(|| {
    vec![
        EngineRef::new(LlamaServer),
        EngineRef::new(SdServer),
        EngineRef::new(SdCpp),
        EngineRef::new(Comfyui),
        EngineRef::new(A1111),
        EngineRef::new(Vllm),
        EngineRef::generic(),
    ]
});

/// The engines that a configuration can name: those that Greenroom brings, and an application's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Engines {
    own: Vec<EngineRef>,
}

/// What is wrong with an application's engine.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineProblem {
    /// Its name is none that a configuration could use.
    #[error("an engine cannot be called `{0}`: lower-case letters, digits and hyphens, and not `auto`")]
    Name(String),
    /// There is another one of that name.
    #[error("there are two engines called `{0}`")]
    Taken(String),
    /// One of its patterns is not a regular expression.
    #[error("engine `{engine}`: a pattern of its {what} lines does not compile")]
    Pattern {
        /// The engine.
        engine: String,
        /// What the lines tell: `failure`, `progress`, `step`, `ready`, `alive`.
        what: &'static str,
        /// Why.
        #[source]
        source: regex::Error,
    },
    /// A probe asks something that is no path.
    #[error("engine `{engine}`: the path of a probe begins with `/`, and `{path}` does not")]
    Path {
        /// The engine.
        engine: String,
        /// What it asks.
        path: String,
    },
}

impl Engines {
    /// Those that Greenroom brings.
    #[must_use]
    pub fn built_in() -> Self {
        Self { own: Vec::new() }
    }

    /// With one more. What is wrong with it, [`problems`](Self::problems) says, and the configuration with it.
    #[must_use]
    pub fn with(self, engine: impl Engine) -> Self {
        self.with_ref(EngineRef::new(engine))
    }

    /// As [`with`](Self::with), for one that is shared.
    #[must_use]
    pub fn with_ref(mut self, engine: EngineRef) -> Self {
        self.own.push(engine);
        self
    }

    /// All of them, the application's first.
    pub fn all(&self) -> impl Iterator<Item = &EngineRef> {
        self.own.iter().chain(BUILT_IN.iter())
    }

    /// By its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<EngineRef> {
        self.all().find(|engine| engine.name() == name).cloned()
    }

    /// What a command runs: the first engine that recognises it, an application's before those that are built in; the
    /// generic one if none does.
    #[must_use]
    pub fn recognise(&self, program: &str, arguments: &[&str]) -> EngineRef {
        let found = self.all().find(|engine| engine.recognises(program, arguments));
        found.cloned().unwrap_or_else(EngineRef::generic)
    }

    /// What is wrong with the application's engines, all of it.
    #[must_use]
    pub fn problems(&self) -> Vec<EngineProblem> {
        let mut problems = Vec::new();
        for (at, engine) in self.own.iter().enumerate() {
            let name = engine.name();
            if !is_name(name) {
                problems.push(EngineProblem::Name(name.to_owned()));
            } else if self.own[..at].iter().chain(BUILT_IN.iter()).any(|other| other == engine) {
                problems.push(EngineProblem::Taken(name.to_owned()));
            }
            problems.extend(wrong_patterns(engine));
            problems.extend(wrong_paths(engine));
        }
        problems
    }
}

impl Default for Engines {
    fn default() -> Self {
        Self::built_in()
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= LONGEST_NAME && name != AUTO && name.chars().all(fits)
}

fn wrong_patterns(engine: &EngineRef) -> Vec<EngineProblem> {
    let of_probe = |probe| match probe {
        Probe::Log(pattern) => regex::bytes::Regex::new(&pattern).err(),
        Probe::None | Probe::Http(_) | Probe::Tcp | Probe::Exec(_) | Probe::Delay(_) => None,
    };
    let found = [
        ("failure", engine.failure_rules().err()),
        ("progress", engine.progress_set().err()),
        ("step", engine.step_set().err()),
        ("ready", of_probe(engine.ready_probe())),
        ("alive", of_probe(engine.alive_probe())),
    ];
    let named = |(what, error): (_, Option<regex::Error>)| {
        Some(EngineProblem::Pattern { engine: engine.name().to_owned(), what, source: error? })
    };
    found.into_iter().filter_map(named).collect()
}

fn wrong_paths(engine: &EngineRef) -> Option<EngineProblem> {
    [engine.ready_probe(), engine.alive_probe()].into_iter().find_map(|probe| match probe {
        Probe::Http(path) if !path.starts_with('/') => {
            Some(EngineProblem::Path { engine: engine.name().to_owned(), path })
        }
        Probe::Http(_) | Probe::None | Probe::Tcp | Probe::Log(_) | Probe::Exec(_) | Probe::Delay(_) => None,
    })
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
