//! What is told about the lines of the file: where they stand, what they were, what to do instead.

use std::fmt;

use serde::Serialize;

use super::yaml::Item;
use crate::config::{
    problem::printable,
    source::SourceMap,
    tree::{Value, dotted},
};

/// A line that has no counterpart, or one that means something else now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The file as it was named.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// The key, dotted.
    pub key: String,
    /// What it was, and what to do instead.
    pub message: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.key, self.message)
    }
}

/// Collects what is told, and reads values, telling of those that are of the wrong sort.
#[derive(Debug)]
pub(super) struct Notes<'a> {
    sources: &'a SourceMap,
    told: Vec<Told>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(sources: &'a SourceMap) -> Self {
        Self { sources, told: Vec::new() }
    }

    /// All that was told, in the order of the lines.
    pub(super) fn into_told(mut self) -> Vec<Told> {
        self.told.sort_by_key(|told| told.line);
        self.told
    }

    pub(super) fn tell(&mut self, item: &Item<'_>, message: impl AsRef<str>) {
        let place = self.sources.place(item.at);
        let key = printable(&dotted(&item.path));
        let told =
            Told { file: place.source, line: place.line.unwrap_or(1), key, message: printable(message.as_ref()) };
        if !self.told.contains(&told) {
            self.told.push(told);
        }
    }

    fn wrong(&mut self, item: &Item<'_>, expected: &str) {
        self.tell(item, format!("expected {expected}, found {}; left out", item.node.value.sort()));
    }

    /// A whole number, also one that came out of a macro or variable as text.
    pub(super) fn number(&mut self, item: &Item<'_>) -> Option<i64> {
        let number = match &item.node.value {
            Value::Int(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(item, "a whole number");
        }
        number
    }

    /// True or false, in any of YAML's spellings.
    pub(super) fn flag(&mut self, item: &Item<'_>) -> Option<bool> {
        let flag = match &item.node.value {
            Value::Bool(flag) => Some(*flag),
            Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some(true),
                "false" | "no" | "off" | "n" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.wrong(item, "true or false");
        }
        flag
    }

    /// A text, or the text of a number or flag.
    pub(super) fn text(&mut self, item: &Item<'_>) -> Option<String> {
        let text = match &item.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Some(item.node.to_toml()),
            _ => None,
        };
        if text.is_none() {
            self.wrong(item, "a string");
        }
        text
    }

    /// The texts of a list, each with its place.
    pub(super) fn texts<'t>(&mut self, item: &Item<'t>) -> Vec<(Item<'t>, String)> {
        if !matches!(item.node.value, Value::List(_)) {
            self.wrong(item, "a list");
        }
        item.members().into_iter().filter_map(|member| Some((member.clone(), self.text(&member)?))).collect()
    }

    /// The entries of a table.
    pub(super) fn entries<'t>(&mut self, item: &Item<'t>) -> Vec<Item<'t>> {
        if !matches!(item.node.value, Value::Table(_)) {
            self.wrong(item, "a table");
        }
        item.entries()
    }
}
