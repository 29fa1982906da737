//! The merged configuration with defaults filled in, and where each value comes from. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use config::ConfigError;
use serde::Serialize;

use super::{
    diff::Values,
    layers::{Merged, merge},
    parse::parse_value,
    schema::{Found, Key, keys, lookup, rank},
    source::{DEFAULTS, SourceKind, SourceMap, Span},
    tree::{Node, Value, dotted},
    walk::{Checked, KeyPath, Leaf},
};

/// What stands in place of a secret.
const MASK: &str = "\"***\"";

/// All layers together.
#[derive(Debug, Clone)]
pub struct Effective {
    sources: SourceMap,
    merged: Merged,
    /// First place of every table and key that any source names.
    mentions: BTreeMap<KeyPath, Span>,
    faulty: BTreeSet<KeyPath>,
}

/// One line of `config show --effective`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveRow {
    /// The key as TOML writes it.
    pub key: String,
    /// The value as TOML; secrets are masked.
    pub value: String,
    /// `default`, `greenroom.toml:3:1`, `env GREENROOM__...`, `--set` or `--state-dir`.
    pub origin: String,
}

impl Effective {
    /// Puts the sources on one another, in their order, and the defaults below them.
    ///
    /// # Errors
    /// Only if `config` refuses what the schema has let through, which is a defect here.
    pub fn new(sources: SourceMap, checked: Vec<Checked>) -> Result<Self, ConfigError> {
        let (mut mentions, mut faulty) = (BTreeMap::new(), BTreeSet::new());
        let mut layers = Vec::new();
        for Checked { leaves, mentions: named, faulty: wrong, .. } in checked {
            for (path, span) in named {
                mentions.entry(path).or_insert(span);
            }
            faulty.extend(wrong);
            layers.push(leaves);
        }
        let layers: Vec<&[Leaf]> = layers.iter().map(Vec::as_slice).collect();
        let set = merge(&layers)?;
        let (once, for_each) = defaults(&sources, &mentions, &set);
        let for_services = service_defaults(&mentions, &set);
        let set: Vec<Leaf> = set.into_iter().map(|(path, node)| Leaf { path, node }).collect();
        let mut merged = merge(&[&once, &for_services, &set])?;
        fill(&mut merged, for_each);
        Ok(Self { sources, merged, mentions, faulty })
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, path: &[&str]) -> Option<&Node> {
        // The keys own their parts; a lookup by borrowed ones would need a type of its own for this one use.
        let path: KeyPath = path.iter().map(|part| (*part).to_owned()).collect();
        self.merged.get(&path)
    }

    /// The keys right below `section` with their values, in the order of the sources.
    #[must_use]
    pub fn below(&self, section: &[&str]) -> Vec<(&str, &Node)> {
        let from: KeyPath = section.iter().map(|part| (*part).to_owned()).collect();
        let mut found: Vec<_> = self
            .merged
            .range(from..)
            .take_while(|(path, _)| starts_with(path, section))
            .filter(|(path, _)| path.len() == section.len() + 1)
            .filter_map(|(path, node)| Some((path.last()?.as_str(), node)))
            .collect();
        found.sort_by_key(|(_, node)| node.span);
        found
    }

    /// The names that the sources give below `section`, in their order, with their places.
    #[must_use]
    pub fn names(&self, section: &str) -> Vec<(&str, Span)> {
        names(&self.mentions, section)
    }

    /// Where the sources name a table or key first.
    #[must_use]
    pub fn mention(&self, path: &[&str]) -> Option<Span> {
        let path: KeyPath = path.iter().map(|part| (*part).to_owned()).collect();
        self.mentions.get(&path).copied()
    }

    /// Whether a source sets the key to something that it does not take; that has been reported.
    #[must_use]
    pub fn is_faulty(&self, path: &[&str]) -> bool {
        self.faulty.iter().any(|faulty| faulty.iter().eq(path.iter()))
    }

    /// Where everything comes from.
    #[must_use]
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Every key with its value and origin, sections and keys in the order of the reference, services in their own.
    #[must_use]
    pub fn rows(&self) -> Vec<EffectiveRow> {
        let mut leaves: Vec<_> = self.merged.iter().collect();
        leaves.sort_by_cached_key(|(path, _)| self.order(path));
        leaves.into_iter().map(|(path, node)| self.row(path, node)).collect()
    }

    /// Every key with its value as TOML, secrets masked, and behind each where it comes from.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |row: EffectiveRow| {
            let origin: String = row.origin.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("{} = {}  # {origin}\n", row.key, row.value)
        };
        self.rows().into_iter().map(line).collect()
    }

    /// Every text that somebody has written as a value or within one, with its place, and whether it is masked.
    pub(super) fn texts(&self) -> Vec<(&str, Span, bool)> {
        let mut found = Vec::new();
        for (path, node) in self.merged.iter().filter(|(_, node)| node.span.source != DEFAULTS) {
            let mut open = vec![(node, is_secret(path, node))];
            while let Some((node, is_hidden)) = open.pop() {
                match &node.value {
                    Value::Text(text) => found.push((text.as_str(), node.span, is_hidden || node.secret)),
                    Value::Table(entries) => {
                        open.extend(
                            entries.iter().map(|entry| (&entry.node, is_hidden || is_address(path, &entry.key))),
                        );
                    }
                    _ => open.extend(node.items().iter().map(|item| (item, is_hidden))),
                }
            }
        }
        found
    }

    /// What somebody has set, to hold another configuration against.
    #[must_use]
    pub fn values(&self) -> Values {
        let mut values = Values::default();
        for (path, node) in self.merged.iter().filter(|(_, node)| node.span.source != DEFAULTS) {
            values.add(path, node, self.row(path, node).value);
        }
        for section in ["service", "job", "remote"] {
            names(&self.mentions, section).iter().for_each(|(name, _)| values.name(section, name));
        }
        values
    }

    fn order(&self, path: &KeyPath) -> (usize, Option<Span>, usize, KeyPath) {
        let top = path.first().map(String::as_str).unwrap_or_default();
        // Defaults of services stand before the services.
        let top = if top == "defaults" { "service" } else { top };
        let section = keys().position(|key| key.parts().next() == Some(top)).unwrap_or(usize::MAX);
        let name = self.mentions.get(path.get(..2).unwrap_or_default()).copied();
        let named = name.filter(|_| ["service", "job", "remote"].contains(&path[0].as_str()));
        (section, named, rank(path), path.clone())
    }

    fn row(&self, path: &KeyPath, node: &Node) -> EffectiveRow {
        let hidden = node.holds_secret() || is_secret(path, node);
        let value = if hidden { MASK.to_owned() } else { without_address(path, node).to_toml() };
        let origin = match self.sources.get(node.span.source) {
            Some(source) if source.kind == SourceKind::Argument => {
                source.name.split(' ').next().unwrap_or_default().to_owned()
            }
            _ => self.sources.place(node.span).to_string(),
        };
        EffectiveRow { key: dotted(path), value, origin }
    }
}

/// Whether a value must be masked although it was written down plainly. What is written as `${...}` shows as written.
fn is_secret(path: &[String], node: &Node) -> bool {
    let empty = matches!(&node.value, Value::Text(text) if text.is_empty()) || node.value == Value::List(Vec::new());
    let key = matches!(lookup(path), Found::Key(key) if key.is_secret());
    let variable = matches!(path, [.., section, name] if section == "env" && {
        let name = name.to_ascii_uppercase();
        ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.contains(word))
    });
    let by_reference = variable && node.text().is_some_and(|text| text.starts_with("${"));
    (key || variable) && !empty && !by_reference
}

/// Whether this field of a value is a URL to post to: whoever knows it can, so it is a key, and what stands beside it is not.
fn is_address(path: &[String], field: &str) -> bool {
    matches!(path, [section, key] if section == "watchdog" && key == "notify") && field == "webhook"
}

/// The value with what it holds of such URLs masked.
fn without_address<'a>(path: &[String], node: &'a Node) -> Cow<'a, Node> {
    let Value::Table(entries) = &node.value else { return Cow::Borrowed(node) };
    if !entries.iter().any(|entry| is_address(path, &entry.key)) {
        return Cow::Borrowed(node);
    }
    let mut entries = entries.clone();
    for entry in entries.iter_mut().filter(|entry| is_address(path, &entry.key)) {
        entry.node.value = Value::Text(MASK.trim_matches('"').to_owned());
    }
    Cow::Owned(Node { value: Value::Table(entries), ..node.clone() })
}

fn starts_with(path: &[String], section: &[&str]) -> bool {
    path.len() >= section.len() && path.iter().zip(section).all(|(a, b)| a == b)
}

fn names<'a>(mentions: &'a BTreeMap<KeyPath, Span>, section: &str) -> Vec<(&'a str, Span)> {
    let mut names: Vec<_> = mentions
        .iter()
        .filter(|(path, _)| path.len() == 2 && path[0] == section)
        .map(|(path, span)| (path[1].as_str(), *span))
        .collect();
    names.sort_by_key(|(_, span)| *span);
    names
}

/// The built-in defaults: those that stand once, and those of each service, job and remote that there is.
fn defaults(sources: &SourceMap, mentions: &BTreeMap<KeyPath, Span>, set: &Merged) -> (Vec<Leaf>, Vec<Leaf>) {
    let (mut once, mut for_each) = (Vec::new(), Vec::new());
    for key in keys() {
        let Some(node) = default_of(sources, key, set) else { continue };
        let parts: KeyPath = key.parts().map(str::to_owned).collect();
        if parts.get(1).is_some_and(|part| part == "*") {
            for (name, _) in names(mentions, &parts[0]) {
                let mut path = parts.clone();
                name.clone_into(&mut path[1]);
                let beside = key.not_beside.map(|other| vec![path[0].clone(), path[1].clone(), other.to_owned()]);
                if beside.is_some_and(|other| mentions.contains_key(&other)) {
                    continue;
                }
                for_each.push(Leaf { path, node: node.clone() });
            }
        } else {
            once.push(Leaf { path: parts, node });
        }
    }
    (once, for_each)
}

/// Adds what nobody has set. Sixty defaults for each service are most of what a large configuration holds, and the lowest
/// layer overrides nothing: merged like the others they took two thirds of the time and memory of loading 200 services.
fn fill(merged: &mut Merged, defaults: Vec<Leaf>) {
    for Leaf { path, node } in defaults {
        let next = merged.range::<[String], _>((Bound::Included(path.as_slice()), Bound::Unbounded)).next();
        // Also what lies below it counts as set: the default of a table is the empty one.
        if !next.is_some_and(|(other, _)| other.starts_with(&path)) {
            merged.insert(path, node);
        }
    }
}

fn default_of(sources: &SourceMap, key: &Key, set: &Merged) -> Option<Node> {
    if let Some(other) = key.same_as {
        let path: KeyPath = other.split('.').map(str::to_owned).collect();
        let default = || keys().find(|key| key.path == other).and_then(|key| default_of(sources, key, set));
        return set.get(&path).cloned().or_else(default);
    }
    let node = parse_value(sources, DEFAULTS, key.default?)?;
    Some(Node::new(node.value, Span::default()))
}

/// `[defaults.service]` as values of each service.
fn service_defaults(mentions: &BTreeMap<KeyPath, Span>, set: &Merged) -> Vec<Leaf> {
    let services = names(mentions, "service");
    let shared = set.iter().filter(|(path, _)| starts_with(path, &["defaults", "service"]));
    shared
        .flat_map(|(path, node)| {
            services.iter().map(move |(name, _)| {
                let own = ["service".to_owned(), (*name).to_owned()].into_iter().chain(path[2..].iter().cloned());
                Leaf { path: own.collect(), node: node.clone() }
            })
        })
        .collect()
}
