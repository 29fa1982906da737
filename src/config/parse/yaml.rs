//! YAML and JSON, by the events of `saphyr`'s parser.
//!
//! Events and not `saphyr`'s finished tree: that one keeps the last of two equal keys without a word, follows aliases
//! without a bound and recurses as deep as the text nests.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use saphyr::{Scalar, ScalarStyle};
use saphyr_parser::{Event, Parser, StrInput, Tag};

use super::{MAX_DEPTH, MAX_VALUES, Parsed, broken, empty, too_deep};
use crate::config::{
    problem::Problem,
    source::{SourceId, SourceMap, Span},
    tree::{Entry, Node, Value},
};

pub(super) fn parse(sources: &SourceMap, source: SourceId, text: &str) -> Parsed {
    let offsets = Offsets::of(text);
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    let mut builder = Builder::new(sources);
    while let Some(next) = parser.next_event() {
        let (event, at) = match next {
            Ok(next) => next,
            Err(error) => {
                let at = offsets.byte(error.marker().index());
                builder.problems.push(sources.error(Span { source, start: at, end: at + 1 }, error.info()));
                return broken(source, builder.problems);
            }
        };
        let at = Span { source, start: offsets.byte(at.start.index()), end: offsets.byte(at.end.index()) };
        if matches!(event, Event::StreamEnd) {
            break;
        }
        if let Err(problem) = builder.take(event, at) {
            builder.problems.push(*problem);
            return broken(source, builder.problems);
        }
    }
    let root = match builder.root {
        Some(root) if root.value == Value::Null => empty(source),
        Some(root) => root,
        None => empty(source),
    };
    Parsed { root, problems: builder.problems, broken: false }
}

/// From the parser's positions, which count characters, to bytes.
struct Offsets {
    /// Start of each character; empty where every character is one byte.
    starts: Vec<usize>,
    len: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let starts = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { starts, len: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.starts.is_empty() {
            return character.min(self.len);
        }
        self.starts.get(character).copied().unwrap_or(self.len)
    }
}

/// A list or table that has begun and not ended.
enum Open {
    List { items: Vec<Node>, at: Span, anchor: usize },
    Table { entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Span)>, at: Span, anchor: usize },
}

struct Builder<'a> {
    sources: &'a SourceMap,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

type Step = Result<(), Box<Problem>>;

impl<'a> Builder<'a> {
    fn new(sources: &'a SourceMap) -> Self {
        Self { sources, open: Vec::new(), anchors: HashMap::new(), values: 0, root: None, problems: Vec::new() }
    }

    fn take(&mut self, event: Event<'_>, at: Span) -> Step {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = Node::new(scalar(self.sources, text, style, tag.as_ref(), at)?, at);
                self.finished(node, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(Open::List { items: Vec::new(), at, anchor }, at),
            Event::MappingStart(anchor, _) => {
                let (entries, seen) = (Vec::new(), HashSet::new());
                self.begin(Open::Table { entries, seen, key: None, at, anchor }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { items, at: from, anchor }) => {
                    self.finished(Node::new(Value::List(items), Span { end: at.end, ..from }), anchor)
                }
                Some(Open::Table { entries, at: from, anchor, .. }) => {
                    self.finished(Node::new(Value::Table(entries), Span { end: at.end, ..from }), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((mut node, size)) => {
                    // Its place is where it is used: two services with one alias have two places.
                    node.span = at;
                    self.values += size;
                    self.finished(node, 0)
                }
                None => Err(Box::new(self.sources.error(at, "an alias inside its own anchor"))),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, open: Open, at: Span) -> Step {
        if let Some(Open::Table { key: None, .. }) = self.open.last() {
            return Err(Box::new(self.sources.error(at, "a key must be a plain word")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(too_deep(self.sources, at)));
        }
        self.open.push(open);
        Ok(())
    }

    fn finished(&mut self, node: Node, anchor: usize) -> Step {
        self.values += 1;
        if self.values > MAX_VALUES || self.open.len() + depth(&node) > MAX_DEPTH + 1 {
            let message = format!("more than {MAX_VALUES} values or {MAX_DEPTH} levels, aliases included");
            return Err(Box::new(self.sources.error(node.span, message)));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size(&node)));
        }
        match self.open.last_mut() {
            None if self.root.is_some() => {
                return Err(Box::new(self.sources.error(node.span, "a second document: one file holds one")));
            }
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Table { entries, seen, key, .. }) => match key.take() {
                Some((key, key_span)) => {
                    if !seen.insert(key.clone()) {
                        let problem = self.sources.error(key_span, format!("duplicate key `{key}`"));
                        self.problems.push(problem.help("write each key once"));
                    } else {
                        entries.push(Entry { key, key_span, node });
                    }
                }
                None => match plain_key(&node.value) {
                    Some(text) => *key = Some((text, node.span)),
                    None => return Err(Box::new(self.sources.error(node.span, "a key must be a plain word"))),
                },
            },
        }
        Ok(())
    }
}

fn plain_key(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        // A service may be called `1` or `true`; YAML reads those as something else.
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Float(_) | Value::Date | Value::List(_) | Value::Table(_) => None,
    }
}

fn scalar(
    sources: &SourceMap,
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Cow<'_, Tag>>,
    at: Span,
) -> Result<Value, Box<Problem>> {
    match Scalar::parse_from_cow_and_metadata(text, style, tag) {
        Some(Scalar::Null) => Ok(Value::Null),
        Some(Scalar::Boolean(value)) => Ok(Value::Bool(value)),
        Some(Scalar::Integer(value)) => Ok(Value::Int(value)),
        Some(Scalar::FloatingPoint(value)) => Ok(Value::Float(value.into_inner())),
        Some(Scalar::String(text)) => Ok(Value::Text(text.into_owned())),
        None => Err(Box::new(sources.error(at, "a value that does not fit its tag"))),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Table(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
        _ => 1,
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Table(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
        _ => 0,
    }
}
