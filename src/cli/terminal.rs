//! The terminal: whether it takes colours, how wide it is, and writing to it.
//!
//! Only this module writes to standard output and standard error for commands. A reader that has gone (`| head`) is
//! an error like any other and ends the command quietly.

use std::io::{self, IsTerminal, Write};

use greenroom_actors::plain::plain;
use serde::Serialize;

use super::{args::Global, failure::Failure};

/// Columns where the width is not known.
const DEFAULT_WIDTH: usize = 80;

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Print for programs.
    pub json: bool,
    /// Colours on standard output.
    pub color: bool,
    /// Columns of standard output; `None` when it is not a terminal and nothing has to be cut.
    pub width: Option<usize>,
}

impl Terminal {
    /// What this process has.
    #[must_use]
    pub fn detect(global: &Global) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let wanted = !global.no_color && !global.json && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let width = || terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        Self { json: global.json, color: wanted && is_terminal, width: is_terminal.then(width) }
    }

    /// Writes `text` and a line end to standard output.
    ///
    /// # Errors
    /// When nobody reads it any more, or it cannot be written.
    pub fn say(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Writes bytes to standard output as they are.
    ///
    /// # Errors
    /// When nobody reads them any more, or they cannot be written.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::Output)
    }

    /// Writes a value as JSON, over several lines.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub fn value(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.say(serde_json::to_string_pretty(value).unwrap_or_default())
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub fn line(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.say(serde_json::to_string(value).unwrap_or_default())
    }

    /// Writes a remark to standard error. One that nobody reads is no failure of the command.
    pub fn note(&self, text: impl AsRef<str>) {
        drop(writeln!(io::stderr().lock(), "{}", text.as_ref()));
    }

    /// Columns of the line on standard error that can be drawn anew; `None` where it is no terminal.
    #[must_use]
    pub fn redraws(&self) -> Option<usize> {
        let is_terminal = !self.json && io::stderr().is_terminal();
        is_terminal.then(|| {
            terminal_size::terminal_size_of(io::stderr()).map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0))
        })
    }

    /// Draws the line on standard error anew. One that nobody sees is no failure of the command.
    pub fn redraw(&self, text: &str) {
        let mut out = io::stderr().lock();
        drop(write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()));
    }

    /// Writes why the command failed to standard error.
    pub fn fail(&self, failure: &Failure) {
        if failure.exit_code() == 0 {
            return;
        }
        if self.json {
            self.note(failure.json().to_string());
        } else {
            let word = if io::stderr().is_terminal() && self.color { "\x1b[31merror:\x1b[0m" } else { "error:" };
            self.note(format!("{word} {}", readable(&failure.chain())));
        }
    }
}

/// Several lines of which none does anything to the terminal: a runtime elsewhere has written them, or a program.
fn readable(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_several_lines_stays_so_and_does_nothing_to_the_terminal() {
        assert_eq!(readable("it ended:\n  | \u{1b}[2Jout of memory\u{7}"), "it ended:\n  |  [2Jout of memory ");
    }
}
