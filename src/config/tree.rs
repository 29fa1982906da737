//! One tree for what TOML, YAML, JSON, variables and arguments say, each value with its place.

use super::source::Span;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where.
    pub span: Span,
    /// Whether it came out of a file of secrets and must not be shown.
    pub secret: bool,
}

/// What can be written.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A date or time, which no key takes.
    Date,
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A value at a place, not secret.
    #[must_use]
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, secret: false }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of `key`, if this is a table that has it.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The members, if it is a list.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Whether any part of it must not be shown.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        self.secret
            || self.items().iter().any(Self::holds_secret)
            || matches!(&self.value, Value::Table(entries) if entries.iter().any(|entry| entry.node.holds_secret()))
    }

    /// The value as TOML writes it, on one line.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match &self.value {
            Value::Null => "\"\"".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => toml::Value::Float(*value).to_string(),
            Value::Date => "\"(a date)\"".to_owned(),
            Value::Text(text) => quote(text),
            Value::List(items) => {
                format!("[{}]", items.iter().map(Self::to_toml).collect::<Vec<_>>().join(", "))
            }
            Value::Table(entries) if entries.is_empty() => "{}".to_owned(),
            Value::Table(entries) => {
                let inner = entries.iter().map(|e| format!("{} = {}", quote_key(&e.key), e.node.to_toml()));
                format!("{{ {} }}", inner.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Value {
    /// What kind of thing was written, for messages: "a list".
    #[must_use]
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a fraction",
            Self::Date => "a date",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A text as TOML writes it on one line. TOML's escapes are those of JSON, and it wants one character more escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// A key as TOML writes it: quoted where it must be.
#[must_use]
pub fn quote_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quote(key) }
}

/// A path as TOML writes it: `service."qwen2.5".port`.
#[must_use]
pub fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    path.iter().map(|part| quote_key(part.as_ref())).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_with_dots_in_them_are_quoted() {
        assert_eq!(dotted(&["service", "qwen2.5", "port"]), "service.\"qwen2.5\".port");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_quoted_text_reads_back_as_it_was(text in "\\PC{0,10}|[\u{0}-\u{ff}]{0,10}") {
            let read: toml::Table = format!("a = {}", quote(&text)).parse().unwrap();
            prop_assert_eq!(read["a"].as_str(), Some(text.as_str()));
        }
    }
}
