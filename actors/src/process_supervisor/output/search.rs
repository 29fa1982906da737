//! What is searched for in lines, and what was found: causes, what is to be acted on, readiness, progress. Pure.

use regex::bytes::Regex;

use crate::{
    engines::{FailureRules, LoadLines, LoadStep},
    spec::{FailureAction, FailureClass},
};

/// Bytes kept of the line that names a cause.
const CAUSE_BYTES: usize = 500;

/// A line that is drawn piece by piece is looked at for progress before it ends, while it is at most this long.
const LONGEST_BAR: usize = 512;

/// A line that names the cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The class it stands for.
    pub class: FailureClass,
    /// The line, shortened.
    pub line: String,
}

/// A line after which something is to be done, although the program goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// The class that it stands for.
    pub class: FailureClass,
    /// What its rule wants done.
    pub action: FailureAction,
    /// The line, shortened.
    pub line: String,
}

/// What is searched for, and what was found.
#[derive(Debug)]
pub(super) struct Search {
    rules: FailureRules,
    ready: Option<Regex>,
    is_ready: bool,
    cause: Option<(usize, Cause)>,
    /// The first line for each rule since they were taken, by the rank of the rule; `None` for one that wants nothing done.
    noticed: Vec<(usize, Option<Noticed>)>,
    loading: Option<LoadLines>,
    /// Whether progress is looked for.
    is_loading: bool,
    step: Option<LoadStep>,
}

impl Search {
    /// Names causes by `rules`, sees readiness by `ready` and progress by `loading`.
    pub(super) fn new(rules: FailureRules, ready: Option<Regex>, loading: Option<LoadLines>) -> Self {
        Self { rules, ready, is_ready: false, cause: None, noticed: Vec::new(), loading, is_loading: true, step: None }
    }

    /// Searches for something else from now on. What was found stays found, the place of a cause among its rules too.
    pub(super) fn replace(&mut self, rules: FailureRules, ready: Option<Regex>) {
        self.rules = rules;
        self.noticed.clear();
        self.ready = ready.filter(|_| !self.is_ready);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn take_step(&mut self) -> Option<LoadStep> {
        self.step.take()
    }

    pub(super) fn watch_load(&mut self, wanted: bool) {
        self.is_loading = wanted;
    }

    pub(super) fn take_noticed(&mut self) -> Vec<Noticed> {
        std::mem::take(&mut self.noticed).into_iter().filter_map(|(_, noticed)| noticed).collect()
    }

    pub(super) fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref().map(|(_, cause)| cause)
    }

    /// Whether anything that is searched for can be in these bytes, which may hold many lines.
    pub(super) fn may_match(&self, block: &[u8]) -> bool {
        self.rules.may_match(block)
            || self.ready.as_ref().is_some_and(|ready| ready.is_match(block))
            || self.load_lines().is_some_and(|lines| lines.may_match(block))
    }

    /// Looks at a whole line.
    pub(super) fn look(&mut self, text: &[u8]) {
        if self.ready.as_ref().is_some_and(|ready| ready.is_match(text)) {
            self.is_ready = true;
            self.ready = None;
        }
        self.look_for_progress(text);
        let Some((rank, class)) = self.rules.class_of(text) else { return };
        if self.cause.as_ref().is_none_or(|(best, _)| rank <= *best) {
            self.cause = Some((rank, Cause { class, line: self.told(text) }));
        }
        if !self.noticed.iter().any(|(seen, _)| *seen == rank) {
            let rule = self.rules.action_of(text).filter(|(_, action)| *action != FailureAction::None);
            let noticed = rule.map(|(class, action)| Noticed { class, action, line: self.told(text) });
            self.noticed.push((rank, noticed));
        }
    }

    /// As much of a line that a rule knows as is shown: where a bar was drawn over itself before it, without the bar.
    fn told(&self, text: &[u8]) -> String {
        let mut parts = text.rsplit(|byte| *byte == b'\r');
        let known = parts.find(|part| self.rules.class_of(part).is_some()).unwrap_or(text);
        String::from_utf8_lossy(&known[..known.len().min(CAUSE_BYTES)]).trim().to_owned()
    }

    /// The lines that tell how the load gets on, while anybody wants to know.
    fn load_lines(&self) -> Option<&LoadLines> {
        self.loading.as_ref().filter(|_| self.is_loading)
    }

    /// Looks at a line that has begun and may go on.
    pub(super) fn look_at_bar(&mut self, text: &[u8]) {
        if !text.is_empty() && text.len() <= LONGEST_BAR {
            self.look_for_progress(text);
        }
    }

    fn look_for_progress(&mut self, text: &[u8]) {
        if let Some(step) = self.load_lines().and_then(|lines| lines.step(text)) {
            self.step = Some(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engines::{EngineRef, Engines},
        failure::FailureRule,
    };

    #[test]
    fn two_rules_of_one_class_want_what_each_of_them_says() {
        let rule =
            |pattern: &str, action| FailureRule { pattern: pattern.to_owned(), class: FailureClass::Driver, action };
        let own = [rule("^soft", FailureAction::None), rule("^hard", FailureAction::Quarantine)];
        let rules = FailureRules::new(&EngineRef::generic(), &own).expect("rules");
        let mut search = Search::new(rules, None, None);
        ["soft", "hard", "soft", "hard again"].iter().for_each(|line| search.look(line.as_bytes()));
        let noticed: Vec<_> = search.take_noticed().into_iter().map(|n| (n.action, n.line)).collect();
        assert_eq!(noticed, [(FailureAction::Quarantine, "hard".to_owned())]);
        assert_eq!(search.cause().map(|cause| cause.line.as_str()), Some("soft"));
    }

    #[test]
    fn what_was_drawn_over_before_a_cause_is_not_told_with_it() {
        let engine = Engines::default().named("llama-server").expect("an engine");
        let mut search = Search::new(FailureRules::new(&engine, &[]).expect("rules"), None, None);
        search.look(b" 25%|##   | 1/4\r 50%|###  | 2/4\runable to allocate CUDA0 buffer\r");
        assert_eq!(search.cause().map(|cause| cause.line.as_str()), Some("unable to allocate CUDA0 buffer"));
    }
}
