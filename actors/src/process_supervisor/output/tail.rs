//! The last lines of a stream, for errors. Pure.

use std::collections::VecDeque;

use super::splitter::{Ending, Line};

/// Lines kept.
pub const TAIL_LINES: usize = 20;
/// Bytes kept of each.
const TAIL_BYTES: usize = 2 * 1024;

/// The last lines; of overwritten ones only the very last, and only while no whole line has followed.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Vec<u8>>,
    progress: Option<Vec<u8>>,
}

impl Tail {
    /// Takes a line. Blank ones are left out: they would push out those that say something.
    pub fn push(&mut self, line: Line<'_>) {
        let text = line.text.trim_ascii();
        if text.is_empty() {
            return;
        }
        let text = &text[..text.len().min(TAIL_BYTES)];
        match line.ending {
            Ending::Overwritten => fill(self.progress.get_or_insert_default(), text),
            Ending::Newline => {
                self.progress = None;
                let mut kept =
                    if self.lines.len() == TAIL_LINES { self.lines.pop_front() } else { None }.unwrap_or_default();
                fill(&mut kept, text);
                self.lines.push_back(kept);
            }
        }
    }

    /// Whether nothing has been said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.progress.is_none()
    }

    /// The lines, oldest first, at most [`TAIL_LINES`], with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let all = self.lines.iter().chain(&self.progress);
        let skip = (self.lines.len() + usize::from(self.progress.is_some())).saturating_sub(TAIL_LINES);
        all.skip(skip).map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }
}

fn fill(kept: &mut Vec<u8>, text: &[u8]) {
    kept.clear();
    kept.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, ending: Ending) -> Line<'_> {
        Line { text: text.as_bytes(), ending, dropped: 0, joined: false }
    }

    #[test]
    fn the_last_twenty_lines_that_say_something_are_kept_in_order() {
        let mut tail = Tail::default();
        assert!(tail.is_empty());
        for n in 0..30 {
            tail.push(line(&n.to_string(), Ending::Newline));
            tail.push(line("  ", Ending::Newline));
        }
        let expected: Vec<String> = (10..30).map(|n| n.to_string()).collect();
        assert_eq!(tail.lines(), expected);
        tail.push(line(&"y".repeat(5_000), Ending::Newline));
        assert_eq!(tail.lines().last().map(String::len), Some(TAIL_BYTES));
    }

    #[test]
    fn of_a_progress_bar_only_its_last_state_is_kept_and_only_at_the_end() {
        let mut tail = Tail::default();
        tail.push(line("begin", Ending::Newline));
        tail.push(line("1/3", Ending::Overwritten));
        tail.push(line("2/3", Ending::Overwritten));
        assert_eq!(tail.lines(), ["begin", "2/3"]);
        tail.push(line("done", Ending::Newline));
        assert_eq!(tail.lines(), ["begin", "done"]);
    }
}
