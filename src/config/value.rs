//! Values of settings that are made in code.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    source::Span,
    tree::{Entry, Node, Value as Written},
};

/// A value for a key. Made from what stands for it in Rust: texts, numbers, booleans, paths, durations, lists of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Value(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
    /// A path that no text can name.
    NotText(PathBuf),
}

impl Value {
    /// A list.
    #[must_use]
    pub fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self(Kind::List(items.into_iter().map(Into::into).collect()))
    }

    /// An empty table, to be filled by [`entry`](Self::entry).
    #[must_use]
    pub fn table() -> Self {
        Self(Kind::Table(Vec::new()))
    }

    /// The same table with one more key; anything else becomes a table with this key alone.
    #[must_use]
    pub fn entry(self, key: &str, value: impl Into<Self>) -> Self {
        let mut entries = match self.0 {
            Kind::Table(entries) => entries,
            _ => Vec::new(),
        };
        entries.push((key.to_owned(), value.into()));
        Self(Kind::Table(entries))
    }

    /// A size.
    #[must_use]
    pub fn bytes(bytes: u64) -> Self {
        Self(Kind::Text(format!("{bytes}B")))
    }

    /// A path as it stands: nothing in it is filled in.
    #[must_use]
    pub fn path(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self(Kind::Text(text.replace("${", "$${"))),
            None => Self(Kind::NotText(path.to_owned())),
        }
    }

    /// As a file's value at `span`; a path that is no text comes back.
    pub(super) fn to_node(&self, span: Span) -> Result<Node, PathBuf> {
        let value = match &self.0 {
            Kind::Bool(value) => Written::Bool(*value),
            Kind::Int(value) => Written::Int(*value),
            Kind::Float(value) => Written::Float(*value),
            Kind::Text(text) => Written::Text(text.clone()),
            Kind::List(items) => Written::List(items.iter().map(|item| item.to_node(span)).collect::<Result<_, _>>()?),
            Kind::Table(entries) => {
                let entry = |(key, value): &(String, Self)| {
                    value.to_node(span).map(|node| Entry { key: key.clone(), key_span: span, node })
                };
                Written::Table(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            Kind::NotText(path) => return Err(path.clone()),
        };
        Ok(Node::new(value, span))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Kind::Text(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(Kind::Text(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self(Kind::Bool(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self(Kind::Int(value))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        i64::from(value).into()
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        i64::from(value).into()
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        i64::from(value).into()
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self(Kind::Float(value))
    }
}

impl From<&Path> for Value {
    fn from(path: &Path) -> Self {
        Self::path(path)
    }
}

impl From<PathBuf> for Value {
    fn from(path: PathBuf) -> Self {
        Self::path(&path)
    }
}

impl From<Duration> for Value {
    /// In whole milliseconds, which is as fine as any key takes.
    fn from(time: Duration) -> Self {
        Self(Kind::Text(format!("{}ms", time.as_millis())))
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        Self::list(items)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::list(items)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    fn toml(value: impl Into<Value>) -> String {
        value.into().to_node(Span::default()).expect("text").to_toml()
    }

    #[test]
    fn values_are_what_a_file_would_hold() {
        assert_eq!(toml(["a", "b c"]), r#"["a", "b c"]"#);
        assert_eq!(toml(vec![1, 2]), "[1, 2]");
        assert_eq!(toml(Duration::from_millis(1500)), "\"1500ms\"");
        assert_eq!(toml(Path::new("/a/${b}")), "\"/a/$${b}\"");
        assert_eq!(toml(Value::table().entry("exec", ["x"]).entry("on", true)), "{ exec = [\"x\"], on = true }");
    }

    #[test]
    fn a_path_that_is_no_text_is_not_bent_into_one() {
        let path = Path::new(OsStr::from_bytes(b"/a\xff"));
        assert_eq!(Value::list([path]).to_node(Span::default()), Err(path.to_owned()));
    }
}
