//! Failure lines, compiled: one set per engine for all services, and one per service for the rules of its config.
//!
//! Output may come at the speed of memory, so there are two questions: [`FailureRules::may_match`] asks about a whole
//! block of output and is fast, since most patterns begin with plain text; [`FailureRules::class_of`] asks about one
//! line and is asked only where the first says yes.

use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::{generic, traits::traits};
use crate::spec::{EngineKind, FailureClass, FailureRule};

/// Patterns and their classes, the one that wins first.
#[derive(Debug)]
struct Compiled {
    set: RegexSet,
    classes: Vec<FailureClass>,
}

impl Compiled {
    fn new<'a>(rules: impl Iterator<Item = (&'a str, FailureClass)>) -> Result<Self, regex::Error> {
        let (patterns, classes): (Vec<_>, Vec<_>) = rules.unzip();
        // With several lines, so that `^` and `$` mean the same in a block as in a line.
        let set = RegexSetBuilder::new(patterns).multi_line(true).crlf(true).build()?;
        Ok(Self { set, classes })
    }

    /// Of an engine and of what any program says. The patterns are our own: a test compiles each of them, and a set that
    /// cannot be built recognises nothing.
    fn of(engine: EngineKind) -> Self {
        let own = if engine == EngineKind::Generic { &[] } else { traits(engine).failures };
        Self::new(own.iter().chain(generic::LINES).copied())
            .unwrap_or_else(|_| Self { set: RegexSet::empty(), classes: Vec::new() })
    }
}

static LLAMA_SERVER: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(EngineKind::LlamaServer));
static SD_SERVER: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(EngineKind::SdServer));
static COMFYUI: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(EngineKind::Comfyui));
static A1111: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(EngineKind::A1111));
static VLLM: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(EngineKind::Vllm));
static GENERIC: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(EngineKind::Generic));

/// The failure lines of one service: those of its config, then its engine's, then what any program says.
#[derive(Debug)]
pub struct FailureRules {
    own: Option<Compiled>,
    engine: &'static Compiled,
}

impl FailureRules {
    /// Compiles a service's rules.
    ///
    /// # Errors
    /// When one of `own` is not a regular expression, which the config has made sure of.
    pub fn new(engine: EngineKind, own: &[FailureRule]) -> Result<Self, regex::Error> {
        let own = match own {
            [] => None,
            rules => Some(Compiled::new(rules.iter().map(|r| (r.pattern.as_str(), r.class)))?),
        };
        let engine = match engine {
            EngineKind::LlamaServer => &*LLAMA_SERVER,
            EngineKind::SdServer => &*SD_SERVER,
            EngineKind::Comfyui => &*COMFYUI,
            EngineKind::A1111 => &*A1111,
            EngineKind::Vllm => &*VLLM,
            EngineKind::Generic => &*GENERIC,
        };
        Ok(Self { own, engine })
    }

    /// Whether any line of this block of output can match. May be wrong with yes, never with no.
    #[must_use]
    pub fn may_match(&self, block: &[u8]) -> bool {
        self.engine.set.is_match(block) || self.own.as_ref().is_some_and(|own| own.set.is_match(block))
    }

    /// The class of this line and its rank: the lower, the closer to the cause.
    #[must_use]
    pub fn class_of(&self, line: &[u8]) -> Option<(usize, FailureClass)> {
        let first = |rules: &Compiled| rules.set.matches(line).iter().next();
        let own = self.own.as_ref();
        if let Some((rules, i)) = own.and_then(|rules| Some((rules, first(rules)?))) {
            return Some((i, rules.classes[i]));
        }
        let before = own.map_or(0, |rules| rules.classes.len());
        first(self.engine).map(|i| (before + i, self.engine.classes[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINES: [EngineKind; 6] = [
        EngineKind::LlamaServer,
        EngineKind::SdServer,
        EngineKind::Comfyui,
        EngineKind::A1111,
        EngineKind::Vllm,
        EngineKind::Generic,
    ];

    fn class(engine: EngineKind, line: &str) -> Option<FailureClass> {
        let rules = FailureRules::new(engine, &[]).expect("no own rules");
        let found = rules.class_of(line.as_bytes()).map(|(_, class)| class);
        assert_eq!(rules.may_match(format!("before\n{line}\nafter\n").as_bytes()), found.is_some());
        found
    }

    #[test]
    fn every_pattern_of_every_engine_compiles() {
        for engine in ENGINES {
            let own = if engine == EngineKind::Generic { 0 } else { traits(engine).failures.len() };
            let rules = FailureRules::new(engine, &[]).expect("no own rules");
            assert_eq!(rules.engine.set.len(), own + generic::LINES.len(), "{engine:?}");
        }
    }

    #[test]
    fn lines_that_engines_really_print_are_recognised() {
        use EngineKind::{A1111, Generic, LlamaServer, SdServer};
        use FailureClass::{BadModel, MissingLibrary, Nan, OomGpu, OomHost, PortInUse};
        for (engine, line, expected) in [
            (Generic, "x: error while loading shared libraries: libcudart.so.12: cannot open", Some(MissingLibrary)),
            (Generic, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", Some(OomGpu)),
            (Generic, "OSError: [Errno 98] Address already in use", Some(PortInUse)),
            (Generic, "loaded 12 tensors", None),
            (LlamaServer, "main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 1", Some(PortInUse)),
            (LlamaServer, "gguf_init_from_file_impl: invalid magic characters: 'abcd'", Some(BadModel)),
            (LlamaServer, "llama_model_load: error: data is not within the file bounds", Some(BadModel)),
            (LlamaServer, "error: unable to allocate CUDA0 buffer", Some(OomGpu)),
            (LlamaServer, "ggml_aligned_malloc: insufficient memory (attempted to allocate 9 MB)", Some(OomHost)),
            (SdServer, "[ERROR] alloc params backend buffer failed", Some(OomGpu)),
            (A1111, "modules.devices.NansException: A tensor with all NaNs was produced in Unet.", Some(Nan)),
        ] {
            assert_eq!(class(engine, line), expected, "{line}");
        }
    }

    #[test]
    fn the_configs_own_rules_come_first_and_anchors_hold_in_a_block() {
        let own = [FailureRule { pattern: "^CUDA .* memory$".to_owned(), class: FailureClass::Driver }];
        let rules = FailureRules::new(EngineKind::Generic, &own).expect("a regex");
        assert_eq!(rules.class_of(b"CUDA out of memory"), Some((0, FailureClass::Driver)));
        assert!(rules.may_match(b"a\r\nCUDA error of memory\r\nb"));
        assert_eq!(rules.class_of(b"the CUDA out of memory"), Some((3, FailureClass::OomGpu)));
    }
}
