//! Holds one source's tree against the schema and collects every problem. Pure but for the holes it fills.
//!
//! What passes comes out flat: a path and a value for each key. What does not is left out, so that the checks on the
//! merged whole can still run; its path is remembered as `faulty`, so that they do not report it missing too.

use std::collections::BTreeSet;

use greenroom_actors::{engines::Engines, ids::ServiceName};

use super::{
    kind::{Checker, Fault},
    outside::Outside,
    problem::Problem,
    schema::{Found, Key, children, lookup},
    source::{SourceKind, SourceMap, Span},
    suggest::nearest,
    tree::{Entry, Node, Value, dotted},
};

/// After this many problems in one source the rest is not looked for: the file is something else.
const MAX_PROBLEMS: usize = 1_000;

/// Where a key stands in the whole.
pub type KeyPath = Vec<String>;

/// A key that was set, with a value that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Its path.
    pub path: KeyPath,
    /// Its value.
    pub node: Node,
}

/// What one source says.
#[derive(Debug, Default)]
pub struct Checked {
    /// The keys that are right.
    pub leaves: Vec<Leaf>,
    /// Every table and key that was named, in the order of the source.
    pub mentions: Vec<(KeyPath, Span)>,
    /// Keys that are there and wrong.
    pub faulty: BTreeSet<KeyPath>,
    /// What is wrong, and warnings.
    pub problems: Vec<Problem>,
}

/// Checks `root`, the tree of one source.
#[must_use]
pub fn walk(sources: &SourceMap, outside: &dyn Outside, engines: &Engines, root: &Node) -> Checked {
    let mut walker = Walker { sources, outside, engines, out: Checked::default() };
    match &root.value {
        Value::Table(entries) => walker.table(&mut Vec::new(), entries),
        value => {
            let message = format!("a configuration is a table of sections, not {}", value.sort());
            walker.out.problems.push(sources.error(root.span, message));
        }
    }
    walker.out
}

struct Walker<'a> {
    sources: &'a SourceMap,
    outside: &'a dyn Outside,
    engines: &'a Engines,
    out: Checked,
}

impl Walker<'_> {
    fn table(&mut self, path: &mut KeyPath, entries: &[Entry]) {
        for entry in entries {
            if self.out.problems.len() >= MAX_PROBLEMS {
                return;
            }
            path.push(entry.key.clone());
            self.entry(path, entry);
            path.pop();
        }
    }

    fn entry(&mut self, path: &mut KeyPath, entry: &Entry) {
        match (lookup(path), &entry.node.value) {
            (Found::Unknown, _) => return self.unknown(path, entry),
            (Found::Key(key), _) => self.key(key, path, entry),
            (Found::Section, Value::Table(entries)) => {
                self.mention(path, entry.key_span);
                self.check_name(path, entry);
                self.table(path, entries);
                return;
            }
            // An empty section in YAML.
            (Found::Section, Value::Null) => {}
            (Found::Section, Value::Text(_)) if is_short_probe(path) => {
                path.push("probe".to_owned());
                if let Found::Key(key) = lookup(path) {
                    self.key(key, path, entry);
                }
                path.pop();
            }
            (Found::Section, value) => {
                let message = format!("`{}`: expected a table, found {}", dotted(path), value.sort());
                self.error(entry.node.span, message, Some(section_help(path)));
            }
        }
        self.mention(path, entry.key_span);
    }

    fn key(&mut self, key: &'static Key, path: &KeyPath, entry: &Entry) {
        let base = self.sources.base(entry.node.span);
        let checker = Checker { outside: self.outside, base, engines: self.engines };
        let checked = checker.check(&key.kind, &entry.node).or_else(|fault| {
            // What stands in a variable or an argument may be plain text that only looks like something else.
            let plain = self.plain_text(&entry.node).ok_or_else(|| fault.clone())?;
            checker.check(&key.kind, &plain).map_err(|_| fault)
        });
        match checked {
            Ok(node) => {
                self.out.leaves.push(Leaf { path: path.clone(), node });
            }
            Err(Fault { span, message, help, .. }) => {
                self.out.faulty.insert(path.clone());
                self.error(span, format!("`{}`: {message}", dotted(path)), help);
            }
        }
    }

    fn plain_text(&self, node: &Node) -> Option<Node> {
        let source = self.sources.get(node.span.source)?;
        let outer = matches!(source.kind, SourceKind::Variable | SourceKind::Argument);
        outer.then(|| Node::new(Value::Text(source.text.clone()), node.span))
    }

    fn unknown(&mut self, path: &[String], entry: &Entry) {
        let Some((key, section)) = path.split_last() else { return };
        let known = children(section);
        let near = nearest(key, known.iter().copied());
        if let Some(near) = near {
            // The right key is not missing, it is misspelt.
            self.out.faulty.insert(section.iter().cloned().chain([near.to_owned()]).collect());
        }
        let is_form = ["http", "tcp", "log", "exec", "delay"].contains(&key.as_str()) && is_short_probe(section);
        let help = match near {
            _ if is_form => format!("did you mean `probe = {{ {key} = ... }}`?"),
            Some(near) => format!("did you mean `{near}`?"),
            None if is_split_name(section, key) => {
                format!("a name with a dot must be quoted: service.\"{}.{key}\"", section[1])
            }
            None if known.is_empty() => "nothing can stand below it".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        self.error(entry.key_span, format!("unknown key `{}`", dotted(path)), Some(help));
    }

    /// A name that the user chose must fit file names and URLs.
    fn check_name(&mut self, path: &[String], entry: &Entry) {
        let [section, name] = path else { return };
        if !["service", "job", "remote"].contains(&section.as_str()) {
            return;
        }
        if let Err(bad) = name.parse::<ServiceName>() {
            self.error(entry.key_span, format!("`{name}` cannot name a {section}: {bad}"), None);
        }
    }

    fn mention(&mut self, path: &KeyPath, span: Span) {
        self.out.mentions.push((path.clone(), span));
    }

    fn error(&mut self, span: Span, message: String, help: Option<String>) {
        let problem = self.sources.error(span, message);
        self.out.problems.push(Problem { help, ..problem });
    }
}

/// Whether the path is that of a section whose `probe` may stand for the whole: `ready = "/health"`.
fn is_short_probe(path: &[String]) -> bool {
    path.len() == 3
        && matches!(path[2].as_str(), "ready" | "alive")
        && matches!(path[0].as_str(), "service" | "defaults")
}

/// What a table at `path` looks like.
fn section_help(path: &[String]) -> String {
    match (path.last().map(String::as_str), children(path).as_slice()) {
        (Some("depends_on"), _) => "write it like { db = \"ready\" }".to_owned(),
        (_, ["*"]) => "its keys are names that you choose".to_owned(),
        (_, names) => format!("its keys are: {}", names.join(", ")),
    }
}

/// Whether a name was split at its dot: `[service.qwen2.5]`.
fn is_split_name(section: &[String], key: &str) -> bool {
    section.len() == 2 && section[0] == "service" && key.starts_with(|c: char| c.is_ascii_digit())
}
