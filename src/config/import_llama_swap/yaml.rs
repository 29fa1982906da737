//! The file's tree as YAML means it: merge keys resolved, each value with its path. Pure.

use crate::config::{
    source::Span,
    tree::{Entry, Node, Value},
};

/// YAML's key for "and the entries of these".
const MERGE: &str = "<<";

/// A value with its path, for messages.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// Its keys from the root.
    pub(super) path: Vec<&'a str>,
    /// Where its key stands; a list's member: where it stands itself.
    pub(super) at: Span,
    /// What it is.
    pub(super) node: &'a Node,
}

impl<'a> Item<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { path: Vec::new(), at: node.span, node }
    }

    /// The last key of its path.
    pub(super) fn key(&self) -> &'a str {
        self.path.last().copied().unwrap_or_default()
    }

    fn entry(&self, entry: &'a Entry) -> Self {
        let path = self.path.iter().copied().chain([entry.key.as_str()]).collect();
        Self { path, at: entry.key_span, node: &entry.node }
    }

    /// The entries of a table that say something.
    pub(super) fn entries(&self) -> Vec<Self> {
        let Value::Table(entries) = &self.node.value else { return Vec::new() };
        entries.iter().filter(|entry| entry.node.value != Value::Null).map(|entry| self.entry(entry)).collect()
    }

    /// The entry `key`, if it says something.
    pub(super) fn field(&self, key: &str) -> Option<Self> {
        let Value::Table(entries) = &self.node.value else { return None };
        entries.iter().find(|entry| entry.key == key && entry.node.value != Value::Null).map(|entry| self.entry(entry))
    }

    /// The entry at the end of this path of keys.
    pub(super) fn below(&self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |item, key| item.field(key))
    }

    /// The members of a list, under the list's own path.
    pub(super) fn members(&self) -> Vec<Self> {
        self.node.items().iter().map(|node| Self { path: self.path.clone(), at: node.span, node }).collect()
    }
}

/// The same tree with every `<<` replaced by what it stands for: entries of the table itself win, then those of the
/// first table named. What is named there and is no table is passed over, as llama-swap's reader would not load it.
pub(super) fn merged(node: &Node) -> Node {
    let value = match &node.value {
        Value::List(items) => Value::List(items.iter().map(merged).collect()),
        Value::Table(entries) => {
            let plain = entries.iter().filter(|entry| entry.key != MERGE);
            let mut all: Vec<Entry> = plain.map(|entry| Entry { node: merged(&entry.node), ..entry.clone() }).collect();
            for base in entries.iter().filter(|entry| entry.key == MERGE).map(|entry| &entry.node) {
                let tables = if base.items().is_empty() { std::slice::from_ref(base) } else { base.items() };
                for table in tables {
                    let Value::Table(more) = merged(table).value else { continue };
                    all.extend(more.into_iter().filter(|entry| entries.iter().all(|own| own.key != entry.key)));
                }
            }
            let mut seen = std::collections::HashSet::new();
            all.retain(|entry| seen.insert(entry.key.clone()));
            Value::Table(all)
        }
        other => other.clone(),
    };
    Node { value, ..node.clone() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{
        parse::{Language, parse},
        source::{SourceKind, SourceMap},
    };

    fn tree(text: &str) -> Node {
        let mut sources = SourceMap::new(PathBuf::from("/"));
        let id = sources.add(SourceKind::File, "f", text.to_owned(), PathBuf::from("/"));
        parse(&sources, id, Language::Yaml).root
    }

    #[test]
    fn a_merge_key_adds_what_the_table_does_not_say_itself() {
        let text = "x: &x { a: 1, b: 2 }\ny: &y { b: 3, c: 4 }\nz:\n  <<: [*x, *y]\n  a: 9\nw: { <<: *y, c: 5 }\n";
        let merged = merged(&tree(text));
        let of = |key: &str| merged.field(key).map(Node::to_toml).unwrap_or_default();
        assert_eq!(of("z"), "{ a = 9, b = 2, c = 4 }");
        assert_eq!(of("w"), "{ c = 5, b = 3 }");
    }

    #[test]
    fn a_path_leads_to_a_value_and_what_is_empty_is_not_there() {
        let tree = tree("a:\n  b: { c: 7 }\n  d:\n");
        let root = Item::root(&tree);
        let found = root.below(&["a", "b", "c"]).expect("it is there");
        assert_eq!((found.path.join("."), found.node.value.clone()), ("a.b.c".to_owned(), Value::Int(7)));
        assert!(root.below(&["a", "d"]).is_none() && root.below(&["a", "x", "y"]).is_none());
    }
}
