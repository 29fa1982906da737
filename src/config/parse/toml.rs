//! TOML, by the `toml` crate's spanned documents.

use std::ops::Range;

use toml::de::{DeInteger, DeTable, DeValue, Error};

use super::{MAX_DEPTH, Parsed, broken, too_deep};
use crate::config::{
    problem::Problem,
    source::{SourceId, SourceMap, Span},
    tree::{Entry, Node, Value},
};

pub(super) fn parse(sources: &SourceMap, source: SourceId, text: &str) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<_> = errors.iter().map(|error| syntax(sources, source, error)).collect();
    if errors.iter().any(|error| !is_duplicate(error)) {
        return broken(source, problems);
    }
    let whole = span(source, table.span());
    match table_value(sources, source, table.get_ref(), whole, 0) {
        Ok(value) => Parsed { root: Node::new(value, whole), problems, broken: false },
        Err(problem) => {
            problems.push(*problem);
            broken(source, problems)
        }
    }
}

/// Reads a bare value, as in an argument `key=VALUE`; `None` if it is not TOML, so that it is plain text.
#[must_use]
pub fn parse_value(sources: &SourceMap, source: SourceId, text: &str) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let whole = span(source, value.span());
    convert(sources, source, value.get_ref(), whole, 0).ok().filter(|node| node.value != Value::Date)
}

/// Reads a dotted key, with its parts quoted where they hold dots: `service."qwen2.5".port`.
#[must_use]
pub fn parse_key(text: &str) -> Option<Vec<String>> {
    let text = format!("{text} = 0");
    let document = DeTable::parse(&text).ok()?;
    let mut path = Vec::new();
    let mut table = document.get_ref();
    loop {
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else { return None };
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Integer(_) => return Some(path),
            _ => return None,
        }
    }
}

fn is_duplicate(error: &Error) -> bool {
    error.message() == "duplicate key"
}

fn syntax(sources: &SourceMap, source: SourceId, error: &Error) -> Problem {
    let problem = sources.error(span(source, error.span().unwrap_or_default()), error.message());
    if is_duplicate(error) {
        problem.help("write each key once; tables with one name are one table")
    } else if error.message().starts_with("cannot extend value of type") {
        problem.help(
            "the key has a value already; beside others write its parts out: `ready.probe = \"/health\"`, not `ready`",
        )
    } else {
        problem
    }
}

fn span(source: SourceId, range: Range<usize>) -> Span {
    Span { source, start: range.start, end: range.end }
}

fn convert(
    sources: &SourceMap,
    source: SourceId,
    value: &DeValue<'_>,
    at: Span,
    depth: usize,
) -> Result<Node, Box<Problem>> {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Int(
            integer(number).ok_or_else(|| Box::new(sources.error(at, "a whole number that does not fit 64 bits")))?,
        ),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Table(table) => table_value(sources, source, table, at, depth)?,
        DeValue::Array(items) => {
            if depth >= MAX_DEPTH {
                return Err(Box::new(too_deep(sources, at)));
            }
            let nodes =
                items.iter().map(|item| convert(sources, source, item.get_ref(), span(source, item.span()), depth + 1));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
    };
    Ok(Node::new(value, at))
}

fn table_value(
    sources: &SourceMap,
    source: SourceId,
    table: &DeTable<'_>,
    at: Span,
    depth: usize,
) -> Result<Value, Box<Problem>> {
    if depth >= MAX_DEPTH {
        return Err(Box::new(too_deep(sources, at)));
    }
    let entries = table.iter().map(|(key, value)| {
        Ok(Entry {
            key: key.get_ref().to_string(),
            key_span: span(source, key.span()),
            node: convert(sources, source, value.get_ref(), span(source, value.span()), depth + 1)?,
        })
    });
    Ok(Value::Table(entries.collect::<Result<_, Box<Problem>>>()?))
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_key_keeps_quoted_dots() {
        let path = |text| parse_key(text).map(|path| path.join("/"));
        assert_eq!(path("service.\"qwen2.5\".port"), Some("service/qwen2.5/port".to_owned()));
        assert_eq!(path("a b"), None);
        assert_eq!(path("a = 1\nb"), None);
        assert_eq!(path(""), None);
    }
}
