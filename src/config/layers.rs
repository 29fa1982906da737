//! Puts the layers on one another, by the `config` crate.
//!
//! Every layer has been checked strictly before it comes here, so `config` only decides which layer wins; none of its
//! conversions is used. Each key's value travels as a list of one: `config` merges tables and replaces lists, and a
//! value must be replaced whole (a probe `{ tcp = true }` does not mix with a probe `{ http = "/" }` below it). The
//! place of a value travels in `config`'s own `origin`.

use std::collections::BTreeMap;

use config::{Config, ConfigError, Map, Source, Value as Raw, ValueKind};

use super::{
    source::Span,
    tree::{Entry, Node, Value},
    walk::{KeyPath, Leaf},
};

/// The keys of all layers together.
pub type Merged = BTreeMap<KeyPath, Node>;

/// Merges layers, the later ones winning.
///
/// # Errors
/// Only if `config` refuses what the schema has let through, which is a defect here.
pub fn merge(layers: &[&[Leaf]]) -> Result<Merged, ConfigError> {
    let builder = layers.iter().fold(Config::builder(), |builder, leaves| builder.add_source(Layer::new(leaves)));
    let config = builder.build()?;
    let mut merged = Merged::new();
    collect(&config.cache, &mut Vec::new(), &mut merged);
    Ok(merged)
}

/// One layer as `config` takes it.
#[derive(Debug, Clone)]
struct Layer(Map<String, Raw>);

impl Layer {
    fn new(leaves: &[Leaf]) -> Self {
        let mut root = Map::new();
        for Leaf { path, node } in leaves {
            if let Some((first, rest)) = path.split_first() {
                insert(&mut root, first, rest, Raw::new(None, vec![raw(node)]));
            }
        }
        Self(root)
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Raw>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn insert(table: &mut Map<String, Raw>, key: &str, rest: &[String], value: Raw) {
    let Some((next, rest)) = rest.split_first() else {
        table.insert(key.to_owned(), value);
        return;
    };
    let inner = table.entry(key.to_owned()).or_insert_with(|| Raw::new(None, Map::<String, Raw>::new()));
    if let ValueKind::Table(inner) = &mut inner.kind {
        insert(inner, next, rest, value);
    }
}

fn collect(value: &Raw, path: &mut KeyPath, merged: &mut Merged) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                path.push(key.clone());
                collect(value, path, merged);
                path.pop();
            }
        }
        ValueKind::Array(items) => {
            merged.extend(items.first().map(|item| (path.clone(), node(item))));
        }
        _ => {}
    }
}

fn raw(node: &Node) -> Raw {
    let kind = match &node.value {
        // The schema takes neither, so neither gets here.
        Value::Null | Value::Date => ValueKind::Nil,
        Value::Bool(value) => ValueKind::Boolean(*value),
        Value::Int(value) => ValueKind::I64(*value),
        Value::Float(value) => ValueKind::Float(*value),
        Value::Text(text) => ValueKind::String(text.clone()),
        Value::List(items) => ValueKind::Array(items.iter().map(raw).collect()),
        // A list of pairs keeps the order, which `config`'s tables do not.
        Value::Table(entries) => {
            let pairs = entries.iter().map(|entry| {
                let key = Raw::new(Some(&origin(entry.key_span, false)), entry.key.clone());
                Raw::new(None, vec![key, raw(&entry.node)])
            });
            ValueKind::Table(Map::from_iter([(PAIRS.to_owned(), Raw::new(None, pairs.collect::<Vec<_>>()))]))
        }
    };
    Raw::new(Some(&origin(node.span, node.secret)), kind)
}

/// The one key under which a table that is a value keeps its pairs.
const PAIRS: &str = "pairs";

fn node(raw: &Raw) -> Node {
    let (span, secret) = place(raw.origin().unwrap_or_default());
    let value = match &raw.kind {
        ValueKind::Boolean(value) => Value::Bool(*value),
        ValueKind::I64(value) => Value::Int(*value),
        ValueKind::Float(value) => Value::Float(*value),
        ValueKind::String(text) => Value::Text(text.clone()),
        ValueKind::Array(items) => Value::List(items.iter().map(node).collect()),
        ValueKind::Table(table) => Value::Table(table.get(PAIRS).map(entries).unwrap_or_default()),
        ValueKind::Nil | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => Value::Null,
    };
    Node { value, span, secret }
}

fn entries(pairs: &Raw) -> Vec<Entry> {
    let ValueKind::Array(pairs) = &pairs.kind else { return Vec::new() };
    let entry = |pair: &Raw| {
        let ValueKind::Array(pair) = &pair.kind else { return None };
        let [key, value] = pair.as_slice() else { return None };
        let (key_span, _) = place(key.origin().unwrap_or_default());
        let ValueKind::String(key) = &key.kind else { return None };
        Some(Entry { key: key.clone(), key_span, node: node(value) })
    };
    pairs.iter().filter_map(entry).collect()
}

fn origin(span: Span, secret: bool) -> String {
    format!("{}:{}:{}:{}", span.source, span.start, span.end, u8::from(secret))
}

fn place(origin: &str) -> (Span, bool) {
    let mut numbers = origin.split(':').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (Span { source: next(), start: next(), end: next() }, next() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(path: &[&str], source: usize, value: Value) -> Leaf {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Leaf { path, node: Node { value, span: Span { source, start: 3, end: 7 }, secret: source == 2 } }
    }

    #[test]
    fn the_later_layer_wins_and_places_and_dots_survive() {
        let below = [
            leaf(&["service", "qwen2.5", "port"], 1, Value::Int(1)),
            leaf(&["service", "qwen2.5", "env", "A.B"], 1, Value::Text("80".to_owned())),
        ];
        let above = [leaf(&["service", "qwen2.5", "port"], 2, Value::Text("2".to_owned()))];
        let merged = merge(&[&below, &above]).unwrap();
        assert_eq!(merged.len(), 2);
        assert_eq!(merged.get(&above[0].path), Some(&above[0].node));
        assert_eq!(merged.get(&below[1].path), Some(&below[1].node));
    }

    #[test]
    fn a_value_that_is_a_table_or_a_list_is_replaced_whole() {
        let table = |key: &str| {
            let entry = Entry {
                key: key.to_owned(),
                key_span: Span { source: 1, start: 1, end: 2 },
                node: Node::new(Value::Bool(true), Span::default()),
            };
            Value::Table(vec![entry])
        };
        let path = ["service", "a", "ready", "probe"];
        let (below, above) = ([leaf(&path, 1, table("http"))], [leaf(&path, 1, table("tcp"))]);
        let merged = merge(&[&below, &above]).unwrap();
        assert_eq!(merged.get(&above[0].path), Some(&above[0].node));
        let list = [leaf(&path, 1, Value::List(vec![Node::new(Value::List(Vec::new()), Span::default())]))];
        assert_eq!(merge(&[&below, &list]).unwrap().get(&list[0].path), Some(&list[0].node));
    }
}
