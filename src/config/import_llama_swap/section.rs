//! A section of the configuration in the making: its lines, and what is said about them. Pure.

use crate::config::{
    problem::printable,
    tree::{dotted, quote},
};

/// Where a remark is broken, in characters.
const WIDTH: usize = 110;

/// A command that is no longer than this stands on one line, in characters.
const ONE_LINE: usize = 90;

/// `[path]` with its lines.
#[derive(Debug, Clone)]
pub(super) struct Section {
    head: String,
    remarks: Vec<String>,
    lines: Vec<String>,
}

impl Section {
    pub(super) fn new(path: &[&str]) -> Self {
        Self { head: format!("[{}]", dotted(path)), remarks: Vec::new(), lines: Vec::new() }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A comment above its head.
    pub(super) fn remark(&mut self, text: &str) {
        self.remarks.extend(comment(text));
    }

    /// A comment among its lines.
    pub(super) fn aside(&mut self, text: &str) {
        self.lines.extend(comment(text));
    }

    /// A key with its value, which is TOML.
    pub(super) fn set(&mut self, key: &str, value: impl AsRef<str>) {
        self.lines.push(format!("{key} = {}", value.as_ref()));
    }

    /// A key with its value, left for a person to put in force.
    pub(super) fn offer(&mut self, key: &str, value: &str) {
        self.lines.push(format!("# {key} = {value}"));
    }

    /// A key with a text.
    pub(super) fn say(&mut self, key: &str, text: &str) {
        self.set(key, quote(text));
    }

    /// A key with a list of texts.
    pub(super) fn list<S: AsRef<str>>(&mut self, key: &str, texts: &[S]) {
        let texts: Vec<String> = texts.iter().map(|text| quote(text.as_ref())).collect();
        self.set(key, format!("[{}]", texts.join(", ")));
    }

    /// A key with a command: on one line if it fits, else an option with its values to the line.
    pub(super) fn command(&mut self, key: &str, words: &[String]) {
        if words.iter().map(|word| quote(word).len() + 2).sum::<usize>() <= ONE_LINE {
            return self.list(key, words);
        }
        let mut lines: Vec<String> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let quoted = quote(word);
            match lines.last_mut() {
                Some(line) if at > 1 && !word.starts_with('-') => line.push_str(&format!(" {quoted},")),
                _ => lines.push(format!("  {quoted},")),
            }
        }
        self.set(key, format!("[\n{}\n]", lines.join("\n")));
    }

    /// Its text, without an empty line before or behind it.
    pub(super) fn text(&self) -> String {
        let lines = self.remarks.iter().chain([&self.head]).chain(&self.lines);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n") + "\n"
    }
}

/// The lines of a comment, broken between words.
pub(super) fn comment(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in printable(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => line.push_str(&format!(" {word}")),
            _ => lines.push(format!("# {word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_has_an_option_to_the_line() {
        let mut section = Section::new(&["service", "a.b"]);
        let words =
            ["/opt/bin/llama-server", "--port", "${port}", "-m", "/models/a long name.gguf", "--jinja", "-ngl", "99"];
        section.command("command", &words.map(str::to_owned));
        assert_eq!(
            section.text(),
            "[service.\"a.b\"]\ncommand = [\n  \"/opt/bin/llama-server\",\n  \"--port\", \"${port}\",\n  \"-m\", \
             \"/models/a long name.gguf\",\n  \"--jinja\",\n  \"-ngl\", \"99\",\n]\n"
        );
    }

    #[test]
    fn a_remark_is_a_comment_whatever_it_holds() {
        let text = format!("a\n[service.evil]\r\nb {}", "word ".repeat(60));
        let lines = comment(&text);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.starts_with("# ") && !line.contains('\r')));
    }
}
