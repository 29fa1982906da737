//! Where values come from: files, environment variables, arguments, and the built-in defaults.
//!
//! Every value of a configuration carries a [`Span`]: which source it stands in and where. [`SourceMap`] turns a span
//! into what a person can look up (`greenroom.toml:4:3`). Pure: the texts are read elsewhere.

use std::path::{Path, PathBuf};

use super::problem::{Place, Problem, Severity, Snippet, printable};

/// One source, by its position in the [`SourceMap`]. Position 0 is the built-in defaults.
pub type SourceId = usize;

/// The built-in defaults.
pub const DEFAULTS: SourceId = 0;

/// A stretch of a source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Which source.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// What kind of source it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// What the program brings.
    Defaults,
    /// A file, or a text that stands for one.
    File,
    /// One environment variable.
    Variable,
    /// One command line argument.
    Argument,
    /// One setting made in code.
    Code,
}

/// One source.
#[derive(Debug, Clone)]
pub struct Source {
    /// File name, variable or argument, as people know it.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Its text; for variables and arguments the value alone.
    pub text: String,
    /// What relative paths in it are relative to.
    pub base: PathBuf,
    line_starts: Vec<usize>,
}

/// All sources of one configuration, in the order of their layers.
#[derive(Debug, Clone)]
pub struct SourceMap(Vec<Source>);

impl SourceMap {
    /// Only the defaults, whose relative paths are relative to `base`.
    #[must_use]
    pub fn new(base: PathBuf) -> Self {
        let mut map = Self(Vec::new());
        map.add(SourceKind::Defaults, "default", String::new(), base);
        map
    }

    /// Adds a source above those that are there.
    pub fn add(&mut self, kind: SourceKind, name: impl Into<String>, text: String, base: PathBuf) -> SourceId {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.0.push(Source { name: name.into(), kind, text, base, line_starts });
        self.0.len() - 1
    }

    /// A source by its id.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(id)
    }

    /// What relative paths at `span` are relative to.
    #[must_use]
    pub fn base(&self, span: Span) -> &Path {
        self.get(span.source).map_or(Path::new("."), |source| &source.base)
    }

    /// Where `span` is, for people. Lines and columns (in characters) count from 1.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let Some(source) = self.get(span.source) else { return Place::default() };
        if source.kind != SourceKind::File {
            return Place { source: source.name.clone(), line: None, column: None };
        }
        let (line, column, _) = source.locate(span.start);
        Place { source: source.name.clone(), line: Some(line), column: Some(column) }
    }

    /// A problem at `span`, with the line it stands in.
    #[must_use]
    pub fn problem(&self, severity: Severity, span: Span, message: impl Into<String>) -> Problem {
        let snippet = self.get(span.source).filter(|s| s.kind == SourceKind::File).and_then(|s| s.snippet(span));
        Problem { severity, place: self.place(span), message: printable(&message.into()), snippet, help: None }
    }

    /// An error at `span`.
    #[must_use]
    pub fn error(&self, span: Span, message: impl Into<String>) -> Problem {
        self.problem(Severity::Error, span, message)
    }
}

impl Source {
    /// Line and column of a byte, both from 1, and the line itself.
    fn locate(&self, at: usize) -> (usize, usize, &str) {
        let at = floor_char(&self.text, at);
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        (line, column, self.text.get(start..end).unwrap_or_default().trim_end_matches('\r'))
    }

    fn snippet(&self, span: Span) -> Option<Snippet> {
        let (line, column, text) = self.locate(span.start);
        let marked = self.text.get(floor_char(&self.text, span.start)..floor_char(&self.text, span.end))?;
        let width = marked.lines().next().map_or(0, |first| first.chars().count());
        Some(Snippet::cut(line, column, width, text))
    }
}

/// The start of the character that byte `at` belongs to.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> SourceMap {
        let mut map = SourceMap::new(PathBuf::from("/"));
        map.add(SourceKind::File, "f.toml", text.to_owned(), PathBuf::from("/"));
        map
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let map = map("a = 1\nä = \"ö\" # x\r\nb");
        assert_eq!(map.place(Span { source: 1, start: 0, end: 1 }).to_string(), "f.toml:1:1");
        assert_eq!(map.place(Span { source: 1, start: 11, end: 15 }).to_string(), "f.toml:2:5");
        assert_eq!(map.place(Span { source: 1, start: 999, end: 999 }).to_string(), "f.toml:3:2");
    }

    #[test]
    fn a_caret_stands_under_what_is_meant() {
        let problem = map("ä = \"ö\" # x").error(Span { source: 1, start: 5, end: 9 }, "no");
        assert_eq!(problem.to_string(), "f.toml:1:5: no\n  |\n1 | ä = \"ö\" # x\n  |     ^^^");
    }
}
