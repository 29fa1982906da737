//! An engine as specs carry it.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::{engine::Engine, generic, rules::RuleSet};

/// An engine, built in or an application's own. Cheap to clone; two are equal if their names are.
#[derive(Clone)]
pub struct EngineRef(Arc<Known>);

/// The engine, and what its patterns become: compiled when first asked for, once for all services.
struct Known {
    engine: Box<dyn Engine>,
    failures: OnceLock<Result<Arc<RuleSet>, regex::Error>>,
    progress: OnceLock<Result<Arc<RegexSet>, regex::Error>>,
    steps: OnceLock<Result<Arc<RegexSet>, regex::Error>>,
}

impl EngineRef {
    /// An application's own engine.
    pub fn new(engine: impl Engine) -> Self {
        let (failures, progress, steps) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Known { engine: Box::new(engine), failures, progress, steps }))
    }

    /// The engine of a program of which nothing is known.
    #[must_use]
    pub fn generic() -> Self {
        static GENERIC: OnceLock<EngineRef> = OnceLock::new();
        GENERIC.get_or_init(|| Self::new(generic::Generic)).clone()
    }

    /// Whether nothing is known of the program.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        self.name() == generic::NAME
    }

    /// Its failure lines, then what any program says.
    pub(super) fn failure_rules(&self) -> Result<Arc<RuleSet>, regex::Error> {
        let lines = || self.failures().iter().chain(generic::LINES).copied();
        self.0.failures.get_or_init(|| RuleSet::new(lines()).map(Arc::new)).clone()
    }

    /// The patterns of the lines that tell progress; they match in a block of output as in a line.
    pub(super) fn progress_set(&self) -> Result<Arc<RegexSet>, regex::Error> {
        self.0.progress.get_or_init(|| lines(self.progress_lines())).clone()
    }

    /// The same for the lines that tell how a job gets on.
    pub(super) fn step_set(&self) -> Result<Arc<RegexSet>, regex::Error> {
        self.0.steps.get_or_init(|| lines(self.step_lines())).clone()
    }
}

fn lines(patterns: &[&str]) -> Result<Arc<RegexSet>, regex::Error> {
    RegexSetBuilder::new(patterns).multi_line(true).crlf(true).build().map(Arc::new)
}

impl Deref for EngineRef {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        self.0.engine.as_ref()
    }
}

impl PartialEq for EngineRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for EngineRef {}

impl fmt::Debug for EngineRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineRef").field(&self.name()).finish()
    }
}
