//! Failure lines, compiled: one set per engine for all services, and one per service for the rules of its config.
//!
//! Output may come at the speed of memory, so there are two questions: [`FailureRules::may_match`] asks about a whole
//! block of output and is fast, since most patterns begin with plain text; [`FailureRules::class_of`] asks about one
//! line and is asked only where the first says yes.

use std::sync::Arc;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::EngineRef;
use crate::failure::{FailureAction, FailureClass, FailureRule};

/// Patterns and their classes, the one that wins first.
#[derive(Debug)]
pub(super) struct RuleSet {
    set: RegexSet,
    classes: Vec<FailureClass>,
}

impl RuleSet {
    pub(super) fn new<'a>(rules: impl Iterator<Item = (&'a str, FailureClass)>) -> Result<Self, regex::Error> {
        let (patterns, classes): (Vec<_>, Vec<_>) = rules.unzip();
        // With several lines, so that `^` and `$` mean the same in a block as in a line.
        let set = RegexSetBuilder::new(patterns).multi_line(true).crlf(true).build()?;
        Ok(Self { set, classes })
    }
}

/// The failure lines of one service: those of its config, then its engine's, then what any program says.
#[derive(Debug)]
pub struct FailureRules {
    own: Option<RuleSet>,
    own_actions: Vec<FailureAction>,
    engine: Arc<RuleSet>,
}

impl FailureRules {
    /// Compiles a service's rules.
    ///
    /// # Errors
    /// When one of `own`, or of an application's engine, is not a regular expression, which the config has made sure of.
    pub fn new(engine: &EngineRef, own: &[FailureRule]) -> Result<Self, regex::Error> {
        let own_actions = own.iter().map(|rule| rule.action).collect();
        let own = match own {
            [] => None,
            rules => Some(RuleSet::new(rules.iter().map(|r| (r.pattern.as_str(), r.class)))?),
        };
        Ok(Self { own, own_actions, engine: engine.failure_rules()? })
    }

    /// Whether any line of this block of output can match. May be wrong with yes, never with no.
    #[must_use]
    pub fn may_match(&self, block: &[u8]) -> bool {
        self.engine.set.is_match(block) || self.own.as_ref().is_some_and(|own| own.set.is_match(block))
    }

    /// The class of this line and its rank: the lower, the closer to the cause.
    #[must_use]
    pub fn class_of(&self, line: &[u8]) -> Option<(usize, FailureClass)> {
        let first = |rules: &RuleSet| rules.set.matches(line).iter().next();
        let own = self.own.as_ref();
        if let Some((rules, i)) = own.and_then(|rules| Some((rules, first(rules)?))) {
            return Some((i, rules.classes[i]));
        }
        let before = own.map_or(0, |rules| rules.classes.len());
        first(&self.engine).map(|i| (before + i, self.engine.classes[i]))
    }

    /// The class of this line, and what its rule wants done about a program that goes on.
    #[must_use]
    pub fn action_of(&self, line: &[u8]) -> Option<(FailureClass, FailureAction)> {
        let (rank, class) = self.class_of(line)?;
        Some((class, self.own_actions.get(rank).copied().unwrap_or_else(|| class.action())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::{Engines, generic};

    fn class(engine: &str, line: &str) -> Option<FailureClass> {
        let engine = Engines::default().named(engine).expect("an engine");
        let rules = FailureRules::new(&engine, &[]).expect("no own rules");
        let found = rules.class_of(line.as_bytes()).map(|(_, class)| class);
        assert_eq!(rules.may_match(format!("before\n{line}\nafter\n").as_bytes()), found.is_some());
        found
    }

    #[test]
    fn every_pattern_of_every_engine_compiles() {
        for engine in Engines::default().all() {
            let rules = FailureRules::new(engine, &[]).unwrap_or_else(|error| panic!("{engine:?}: {error}"));
            assert_eq!(rules.engine.set.len(), engine.failures().len() + generic::LINES.len(), "{engine:?}");
            assert!(engine.progress_set().is_ok(), "{engine:?}");
        }
    }

    #[test]
    fn lines_that_engines_really_print_are_recognised() {
        use FailureClass::{BadModel, MissingLibrary, Nan, OomGpu, OomHost, PortInUse};
        for (engine, line, expected) in [
            ("generic", "x: error while loading shared libraries: libcudart.so.12: cannot open", Some(MissingLibrary)),
            ("generic", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", Some(OomGpu)),
            ("generic", "OSError: [Errno 98] Address already in use", Some(PortInUse)),
            ("generic", "loaded 12 tensors", None),
            ("llama-server", "main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 1", Some(PortInUse)),
            ("llama-server", "gguf_init_from_file_impl: invalid magic characters: 'abcd'", Some(BadModel)),
            ("llama-server", "llama_model_load: error: data is not within the file bounds", Some(BadModel)),
            ("llama-server", "error: unable to allocate CUDA0 buffer", Some(OomGpu)),
            ("llama-server", "ggml_aligned_malloc: insufficient memory (attempted to allocate 9 MB)", Some(OomHost)),
            ("sd-server", "[ERROR] alloc params backend buffer failed", Some(OomGpu)),
            ("sd-cpp", "[ERROR] model manager alloc params backend buffer failed, size = 123.00MB", Some(OomGpu)),
            ("sd-cpp", "[ERROR] unet: failed to allocate the compute buffer", Some(OomGpu)),
            ("sd-cpp", "ggml_aligned_malloc: insufficient memory (attempted to allocate 9 MB)", Some(OomHost)),
            ("sd-cpp", "[ERROR] generate failed", None),
            ("a1111", "x/processing.py:980: RuntimeWarning: invalid value encountered in cast", Some(Nan)),
            ("comfyui", "/app/nodes.py:1585: RuntimeWarning: invalid value encountered in cast", Some(Nan)),
            ("comfyui", "Got an OOM, unloading all loaded models.", Some(OomGpu)),
            ("a1111", "modules.devices.NansException: A tensor with all NaNs was produced in Unet.", Some(Nan)),
        ] {
            assert_eq!(class(engine, line), expected, "{line}");
        }
    }

    #[test]
    fn the_configs_own_rules_come_first_and_anchors_hold_in_a_block() {
        let own = [FailureRule {
            pattern: "^CUDA .* memory$".to_owned(),
            class: FailureClass::Driver,
            action: crate::failure::FailureAction::None,
        }];
        let rules = FailureRules::new(&EngineRef::generic(), &own).expect("a regex");
        assert_eq!(rules.class_of(b"CUDA out of memory"), Some((0, FailureClass::Driver)));
        assert_eq!(rules.action_of(b"CUDA out of memory"), Some((FailureClass::Driver, FailureAction::None)));
        assert_eq!(rules.action_of(b"NansException"), Some((FailureClass::Nan, FailureAction::RestartOnce)));
        assert!(rules.may_match(b"a\r\nCUDA error of memory\r\nb"));
        assert_eq!(rules.class_of(b"the CUDA out of memory"), Some((3, FailureClass::OomGpu)));
    }
}
