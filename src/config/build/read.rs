//! Reading typed values of checked keys.

use std::{str::FromStr, time::Duration};

use greenroom_actors::{
    engines::Engines,
    units::{ByteSize, DurationRange, parse_duration},
};
use serde::{Deserialize, de::IntoDeserializer};

use crate::config::{
    effective::Effective,
    outside::Outside,
    problem::{Problem, Severity},
    source::Span,
    tree::{Node, Value, dotted},
};

/// Reads the merged configuration and collects what is wrong.
pub(super) struct Reader<'a> {
    pub(super) effective: &'a Effective,
    pub(super) outside: &'a dyn Outside,
    pub(super) engines: &'a Engines,
    problems: Vec<Problem>,
}

/// After this many problems the rest is not told: they have one cause.
const MAX_PROBLEMS: usize = 1_000;

impl<'a> Reader<'a> {
    pub(super) fn new(effective: &'a Effective, outside: &'a dyn Outside, engines: &'a Engines) -> Self {
        Self { effective, outside, engines, problems: Vec::new() }
    }

    /// What was wrong; the same trouble met twice (a default of many services) is told once.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for problem in self.problems {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.say(Severity::Error, span, message, help);
    }

    /// How many errors there were so far.
    pub(super) fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    pub(super) fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.say(Severity::Warning, span, message, help);
    }

    fn say(&mut self, severity: Severity, span: Span, message: impl Into<String>, help: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(self.effective.sources().problem(severity, span, message).help(help));
        }
    }

    pub(super) fn node(&self, path: &[&str]) -> Option<&'a Node> {
        self.effective.get(path)
    }

    pub(super) fn duration(&mut self, path: &[&str]) -> Duration {
        self.value(path, |node| parse_duration(node.text()?).ok())
    }

    pub(super) fn range(&mut self, path: &[&str]) -> DurationRange {
        let none = DurationRange { min: Duration::ZERO, max: Duration::ZERO };
        self.value(path, |node| Some(Some(node.text()?.parse().ok()?))).unwrap_or(none)
    }

    pub(super) fn size(&mut self, path: &[&str]) -> ByteSize {
        self.value(path, |node| ByteSize::from_str(node.text()?).ok())
    }

    pub(super) fn text(&mut self, path: &[&str]) -> String {
        self.value(path, |node| node.text().map(str::to_owned))
    }

    pub(super) fn bool(&mut self, path: &[&str]) -> bool {
        self.value(path, |node| match node.value {
            Value::Bool(value) => Some(value),
            _ => None,
        })
    }

    pub(super) fn number<T: TryFrom<i64> + Default>(&mut self, path: &[&str]) -> T {
        self.value(path, |node| match node.value {
            Value::Int(number) => number.try_into().ok(),
            _ => None,
        })
    }

    pub(super) fn texts(&mut self, path: &[&str]) -> Vec<String> {
        self.value(path, |node| Some(node.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect()))
    }

    /// The schema has let every value through that comes here, so a value that does not read is a defect of the two
    /// together; it stops the start as any problem does.
    pub(super) fn value<T: Default>(&mut self, path: &[&str], read: impl FnOnce(&Node) -> Option<T>) -> T {
        let node = self.node(path);
        if let Some(value) = node.and_then(read) {
            return value;
        }
        let span = node.map(|node| node.span).unwrap_or_default();
        self.error(span, format!("`{}` does not read as what it must be", dotted(path)), "report this as a defect");
        T::default()
    }
}

/// A word that the spec's own type reads, so that names are written in one place.
pub(super) fn word<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    T::deserialize(deserializer).ok()
}
