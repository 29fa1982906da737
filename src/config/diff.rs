//! What two configurations differ in, key by key, as people read it. Pure.
//!
//! A runtime that may read its configuration anew keeps the [`Values`] of the last one: what somebody has set, as texts.
//! The configuration itself, with its places and defaults, is many times as large. A value that must not be shown is kept
//! as a mask and a fingerprint, so that a change of it is seen and the value is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize};

use super::{
    schema::{Found, Key, keys, lookup},
    tree::{Node, dotted},
};

/// What somebody has set, by the key as TOML writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    set: BTreeMap<String, Shown>,
    /// The tables with names that the user chooses: `service.chat`.
    named: BTreeSet<String>,
}

/// One value as it may be shown.
#[derive(Debug, Clone)]
struct Shown {
    key: Option<&'static Key>,
    text: String,
    print: u64,
}

// A key of the table is the same one wherever it was looked up.
impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.print == other.print
    }
}

impl Eq for Shown {}

/// A key whose value is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// The key as TOML writes it.
    pub key: String,
    /// The value before as TOML, secrets masked; the default where nobody had set it, `null` where there is none.
    pub from: Option<String>,
    /// The value now, in the same way.
    pub to: Option<String>,
}

impl Values {
    /// Adds a value that somebody has set; `shown` is how it may be shown.
    pub(super) fn add(&mut self, path: &[String], node: &Node, shown: String) {
        let mut hasher = DefaultHasher::new();
        node.to_toml().hash(&mut hasher);
        let key = match lookup(path) {
            Found::Key(key) => Some(key),
            Found::Section | Found::Unknown => None,
        };
        self.set.insert(dotted(path), Shown { key, text: shown, print: hasher.finish() });
    }

    /// Adds a table whose name the user has chosen.
    pub(super) fn name(&mut self, section: &str, name: &str) {
        self.named.insert(dotted(&[section, name]));
    }

    /// What is in force without a value of its own: the default, or the value of the key that stands in for it.
    fn default_of(&self, key: Option<&'static Key>) -> Option<String> {
        let key = key?;
        let Some(other) = key.same_as else { return key.default.map(str::to_owned) };
        let set = self.set.get(other).map(|shown| shown.text.clone());
        set.or_else(|| keys().find(|key| key.path == other)?.default.map(str::to_owned))
    }
}

/// The keys that differ, sorted. The keys of a service that only one of the two has are left out: that it was added or
/// removed says it all.
#[must_use]
pub fn difference(old: &Values, new: &Values) -> Vec<KeyChange> {
    let in_one: Vec<String> = old.named.symmetric_difference(&new.named).map(|name| format!("{name}.")).collect();
    let keys: BTreeSet<&String> = old.set.keys().chain(new.set.keys()).collect();
    let both = keys.into_iter().filter(|key| !in_one.iter().any(|name| key.starts_with(name)));
    both.filter_map(|key| change(key, old, new)).collect()
}

fn change(key: &str, old: &Values, new: &Values) -> Option<KeyChange> {
    let (before, after) = (old.set.get(key), new.set.get(key));
    if before.is_some() && before == after {
        return None;
    }
    let known = after.or(before).and_then(|shown| shown.key);
    let text = |values: &Values, shown: Option<&Shown>| match shown {
        Some(shown) => Some(shown.text.clone()),
        None => values.default_of(known),
    };
    let (from, to) = (text(old, before), text(new, after));
    // A default that was written down, or is no longer. Two masks may hide two values.
    if from == to && (before.is_none() || after.is_none()) {
        return None;
    }
    Some(KeyChange { key: key.to_owned(), from, to })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Sources, load_text};

    fn values(text: &str) -> Values {
        let text = format!("[service.web]\ncommand = [\"/bin/true\"]\n{text}");
        let sources = Sources { env: vec![("HOME".to_owned(), "/".to_owned())], ..Sources::default() };
        let loaded = load_text("greenroom.toml", &text, Path::new("/"), &sources);
        loaded.unwrap_or_else(|errors| panic!("{errors}")).effective.values()
    }

    fn changes(old: &str, new: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let found = difference(&values(old), &values(new));
        found.into_iter().map(|change| (change.key, change.from, change.to)).collect()
    }

    fn one(key: &str, from: &str, to: &str) -> Vec<(String, Option<String>, Option<String>)> {
        vec![(key.to_owned(), Some(from.to_owned()), Some(to.to_owned()))]
    }

    #[test]
    fn a_change_names_the_key_and_both_values() {
        let found = changes("restart.max = 3", "restart.max = 4");
        assert_eq!(found, one("service.web.restart.max", "3", "4"));
        assert_eq!(changes("restart.max = 3", "# a remark\nrestart.max = 3"), []);
    }

    #[test]
    fn without_a_value_the_default_is_told_and_writing_it_down_is_no_change() {
        assert_eq!(changes("", "restart.max = 4"), one("service.web.restart.max", "5", "4"));
        assert_eq!(changes("restart.max = 4", ""), one("service.web.restart.max", "4", "5"));
        assert_eq!(changes("", "restart.max = 5"), []);
        let found =
            changes("[runtime]\nshutdown.grace = \"2s\"", "stop.grace = \"3s\"\n[runtime]\nshutdown.grace = \"2s\"");
        assert_eq!(found, one("service.web.stop.grace", "\"2s\"", "\"3s\""));
    }

    #[test]
    fn a_service_that_comes_or_goes_is_not_told_key_by_key() {
        let other = "[service.\"web.2\"]\ncommand = [\"/bin/true\"]\nrestart.max = 4";
        assert_eq!(changes("", other), []);
        assert_eq!(changes(other, ""), []);
    }

    #[test]
    fn a_changed_secret_is_seen_and_not_shown() {
        let found = changes("env.API_KEY = \"one\"", "env.API_KEY = \"two\"");
        assert_eq!(found, one("service.web.env.API_KEY", "\"***\"", "\"***\""));
        assert_eq!(changes("env.API_KEY = \"one\"", "env.API_KEY = \"one\""), []);
    }
}
