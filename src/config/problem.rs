//! What is wrong with a configuration, as people and programs read it.
//!
//! A problem prints as `file:line:column: message`, the line with a caret under what is meant, and what to do.

use std::fmt;

use serde::Serialize;

/// Longest part of a line that is shown, in characters: a terminal's width and some.
const SHOWN: usize = 140;

/// Longest message, in characters. What was written is part of it, and may be anything.
const MESSAGE: usize = 600;

/// Whether it stops the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is started.
    Error,
    /// It is said and the start goes on.
    Warning,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Place {
    /// The file as it was named, `env GREENROOM__...`, `--set ...` or `default`.
    pub source: String,
    /// Line from 1, in files.
    pub line: Option<usize>,
    /// Column from 1 in characters, in files.
    pub column: Option<usize>,
}

/// The line a problem stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// Line number from 1.
    pub line: usize,
    /// The line, cut to what a terminal shows, control characters made blanks.
    pub text: String,
    /// Where the caret stands in `text`, in characters from 0.
    pub caret: usize,
    /// How many characters are meant, at least 1.
    pub width: usize,
}

/// One thing that is wrong, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it stops the start.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What, in a sentence without a full stop.
    pub message: String,
    /// The line, if the place is in a file.
    pub snippet: Option<Snippet>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Every problem of a configuration that cannot be used. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", list(.0))]
pub struct ConfigErrors(pub Vec<Problem>);

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

impl Problem {
    /// An error without a line, for what is wrong with a source as a whole.
    #[must_use]
    pub fn whole(source: impl Into<String>, message: impl Into<String>) -> Self {
        let place = Place { source: source.into(), line: None, column: None };
        Self { severity: Severity::Error, place, message: message.into(), snippet: None, help: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A message as it can be printed: of bounded length, without what would move a terminal's cursor.
pub(super) fn printable(message: &str) -> String {
    let mut cut: String = message.chars().take(MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < message.len() && message.chars().count() > MESSAGE {
        cut.push_str("...");
    }
    cut
}

impl Snippet {
    /// Cuts `line` so that column `column` (from 1) is in it.
    pub(super) fn cut(number: usize, column: usize, width: usize, line: &str) -> Self {
        let at = column - 1;
        let skip = at.saturating_sub(SHOWN / 2);
        let shown = line.chars().skip(skip).take(SHOWN).map(|c| if c.is_control() { ' ' } else { c });
        let text = shown.collect::<String>().trim_end().to_owned();
        let caret = at - skip;
        let room = text.chars().count().saturating_sub(caret);
        Self { line: number, caret, width: width.min(room).max(1), text }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, ":{line}:{column}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(Snippet { line, text, caret, width }) = &self.snippet {
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n{margin} |\n{number} | {text}\n{margin} | {}{}", " ".repeat(*caret), "^".repeat(*width))?;
        }
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = "x".repeat(10_000);
        let snippet = Snippet::cut(7, 5_000, 3, &line);
        assert_eq!(snippet.text.len(), SHOWN);
        assert_eq!((snippet.caret, snippet.width), (SHOWN / 2, 3));
    }

    #[test]
    fn a_message_cannot_move_the_cursor_or_fill_the_disk() {
        assert_eq!(printable("a\u{1b}[2J\n"), "a [2J ");
        assert_eq!(printable(&"ä".repeat(MESSAGE)), "ä".repeat(MESSAGE));
        assert_eq!(printable(&"ä".repeat(9_999)).chars().count(), MESSAGE + 3);
    }

    #[test]
    fn a_place_past_the_end_of_a_line_still_has_a_caret() {
        assert_eq!(Snippet::cut(1, 9, 40, "ab\u{7}").width, 1);
    }
}
