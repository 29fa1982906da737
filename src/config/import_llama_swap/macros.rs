//! llama-swap's macros, and its texts in Greenroom's words. Pure.
//!
//! `${NAME}` stands for a macro's value, which may hold macros; a text that is nothing but a macro has the macro's
//! type. `${env.NAME}` is the same in both programs and stays, so that no secret is written down. What is left then is
//! `${PORT}` and `${PID}`, which only a start knows, and what stands for nothing.

use std::cell::Cell;

use crate::config::tree::{Entry, Node, Value};

/// Deepest chain of macros within macros. A macro that leads back to itself ends there.
const MAX_CHAIN: usize = 16;

/// How much all macros of a file may grow to, in bytes.
const MAX_GROWTH: usize = 8 << 20;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// `${NAME}` of letters, digits, `_` and `-`.
    Macro(&'a str),
    /// `${env.NAME}`.
    Variable(&'a str),
}

/// Splits a text at what llama-swap takes for a macro; anything else in `${...}` is text to it.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut found, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = text[at..].find("${").map(|open| at + open) {
        at = open + 2;
        let Some(close) = text[at..].find('}').map(|close| at + close) else { break };
        let inner = &text[at..close];
        let is_word = |word: &str, more: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let piece = match inner.strip_prefix("env.") {
            Some(name) if is_word(name, "_") => Piece::Variable(name),
            None if is_word(inner, "_-") => Piece::Macro(inner),
            _ => continue,
        };
        found.extend([Piece::Text(&text[from..open]), piece]);
        (from, at) = (close + 1, close + 1);
    }
    found.push(Piece::Text(&text[from..]));
    found.retain(|piece| *piece != Piece::Text(""));
    found
}

/// The macros that hold at a place.
#[derive(Debug, Clone)]
pub(super) struct Macros<'a> {
    list: Vec<(&'a str, Node)>,
    left: &'a Cell<usize>,
}

/// What all macros of one file may grow to together.
pub(super) fn growth() -> Cell<usize> {
    Cell::new(MAX_GROWTH)
}

impl<'a> Macros<'a> {
    /// Those of a table `macros`, if there is one. `left` bounds what they grow to.
    pub(super) fn new(table: Option<&'a Node>, left: &'a Cell<usize>) -> Self {
        Self { list: Vec::new(), left }.with(table)
    }

    /// With those of a further table, which win.
    pub(super) fn with(mut self, table: Option<&'a Node>) -> Self {
        if let Some(Node { value: Value::Table(entries), .. }) = table {
            self.list.extend(entries.iter().map(|entry| (entry.key.as_str(), entry.node.clone())));
        }
        self
    }

    /// With the name of the model they are used for.
    pub(super) fn for_model(mut self, id: &'a str, at: &Node) -> Self {
        self.list.push(("MODEL_ID", Node::new(Value::Text(id.to_owned()), at.span)));
        self
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.list.iter().rev().find(|(known, _)| *known == name).map(|(_, node)| node)
    }

    /// The tree with its texts filled in. Comment lines of commands go first: a macro in them means nothing.
    pub(super) fn fill(&self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Text(text) => self.value(text),
            Value::List(items) => Value::List(items.iter().map(|item| self.fill(item)).collect()),
            Value::Table(entries) => Value::Table(entries.iter().map(|entry| self.entry(entry)).collect()),
            other => other.clone(),
        };
        Node { value, ..node.clone() }
    }

    fn entry(&self, entry: &Entry) -> Entry {
        let node = match (&entry.node.value, entry.key.as_str()) {
            (Value::Text(text), "cmd" | "cmdStop") => {
                Node { value: Value::Text(self.text(&without_comments(text), 0)), ..entry.node.clone() }
            }
            _ => self.fill(&entry.node),
        };
        Entry { key: entry.key.clone(), key_span: entry.key_span, node }
    }

    fn value(&self, text: &str) -> Value {
        if let [Piece::Macro(name)] = pieces(text).as_slice()
            && let Some(node) = self.get(name)
        {
            return match &node.value {
                Value::Text(text) => Value::Text(self.text(text, 1)),
                other => other.clone(),
            };
        }
        Value::Text(self.text(text, 0))
    }

    fn text(&self, text: &str, depth: usize) -> String {
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(name) => filled.push_str(&format!("${{env.{name}}}")),
                Piece::Macro(name) => {
                    let found = self.get(name).filter(|_| depth < MAX_CHAIN);
                    let inner = found.and_then(|node| match &node.value {
                        Value::Text(text) => Some(self.text(text, depth + 1)),
                        Value::List(_) | Value::Table(_) | Value::Null | Value::Date => None,
                        scalar => Some(Node::new(scalar.clone(), node.span).to_toml()),
                    });
                    let inner = inner.filter(|inner| inner.len() <= self.left.get());
                    self.left.set(self.left.get().saturating_sub(inner.as_ref().map_or(0, String::len)));
                    filled.push_str(&inner.unwrap_or_else(|| format!("${{{name}}}")));
                }
            }
        }
        filled
    }
}

/// A command without the lines that begin with `#`.
pub(super) fn without_comments(text: &str) -> String {
    text.split('\n').filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// A text in Greenroom's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Translated {
    /// The text, with `${port}` and `${env.NAME}`.
    pub(super) text: String,
    /// Whether it has the port in it.
    pub(super) has_port: bool,
    /// What stands for nothing here, as it was written.
    pub(super) strange: Vec<String>,
}

/// Turns a text whose macros are filled in into one that Greenroom reads.
pub(super) fn translate(text: &str) -> Translated {
    let mut out = Translated::default();
    for piece in pieces(text) {
        // A `$` just before a `${` would take its meaning from it.
        if !matches!(piece, Piece::Text(_)) && out.text.ends_with('$') {
            out.strange.push("$$".to_owned());
            out.text.pop();
        }
        match piece {
            Piece::Text(text) => out.text.push_str(&text.replace("${", "$${")),
            Piece::Variable(name) => out.text.push_str(&format!("${{env.{name}}}")),
            Piece::Macro("PORT") => {
                out.has_port = true;
                out.text.push_str("${port}");
            }
            Piece::Macro(name) => {
                out.strange.push(format!("${{{name}}}"));
                out.text.push_str(&format!("$${{{name}}}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{holes, source::Span};

    fn node(value: Value) -> Node {
        Node::new(value, Span::default())
    }

    fn table(entries: &[(&str, Value)]) -> Node {
        let entry = |(key, value): &(&str, Value)| Entry {
            key: (*key).to_owned(),
            key_span: Span::default(),
            node: node(value.clone()),
        };
        node(Value::Table(entries.iter().map(entry).collect()))
    }

    fn words(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn macros_hold_macros_and_keep_their_type() {
        let (growth, global) =
            (growth(), table(&[("ctx", Value::Int(4096)), ("args", words("-c ${ctx}")), ("x", words("far"))]));
        let own = table(&[("x", words("near"))]);
        let at = node(Value::Null);
        let macros = Macros::new(Some(&global), &growth).with(Some(&own)).for_model("a/b", &at);
        let fill = |text: &str| macros.fill(&node(words(text))).value;
        assert_eq!(fill("${ctx}"), Value::Int(4096));
        assert_eq!(
            fill("${args} ${x} ${MODEL_ID} ${PORT} ${env.HOME} ${y:-z}"),
            words("-c 4096 near a/b ${PORT} ${env.HOME} ${y:-z}")
        );
    }

    #[test]
    fn macros_that_lead_back_or_multiply_come_to_an_end() {
        let (growth, circle) = (growth(), table(&[("a", words("${b}")), ("b", words("${a}"))]));
        let end = Macros::new(Some(&circle), &growth).fill(&node(words("x ${a}"))).value;
        assert!(matches!(&end, Value::Text(text) if text.starts_with("x ${")), "{end:?}");
        let names: Vec<String> = (0..16).map(|n| format!("m{n}")).collect();
        let next = |n: usize| words(&format!("${{m{}}}", n + 1).repeat(10));
        let entries: Vec<(&str, Value)> = names.iter().enumerate().map(|(n, name)| (name.as_str(), next(n))).collect();
        let many = table(&entries[12..]);
        let end = Macros::new(Some(&many), &growth).fill(&node(words(&"${m12}".repeat(1000)))).value;
        assert!(matches!(&end, Value::Text(text) if text.len() < 2 * MAX_GROWTH));
    }

    #[test]
    fn a_comment_line_of_a_command_is_not_filled_in() {
        let (growth, global) = (growth(), table(&[("x", words("1\n2"))]));
        let model = table(&[("cmd", words("run\n  # ${x}\n${x}"))]);
        let filled = Macros::new(Some(&global), &growth).fill(&model);
        assert_eq!(filled.field("cmd").and_then(Node::text), Some("run\n1\n2"));
    }

    #[test]
    fn what_greenroom_reads_is_what_llama_swap_meant() {
        let translated = translate("-p ${PORT} ${env.X} ${a:-b} ${PID}");
        assert_eq!(translated.text, "-p ${port} ${env.X} $${a:-b} $${PID}");
        assert_eq!((translated.has_port, translated.strange), (true, vec!["${PID}".to_owned()]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_text_becomes_one_that_reads_back(text in "([${}]|PORT|env\\.X|[a-z.:-]|\\PC){0,24}") {
            let translated = translate(&text);
            let pieces = holes::pieces(&translated.text);
            prop_assert!(pieces.is_ok(), "{}", translated.text);
            if translated.strange.is_empty() && !translated.has_port && !text.contains("${env.") {
                let read: String = pieces.unwrap().iter().map(|piece| match piece {
                    holes::Piece::Text(text) | holes::Piece::Hole(text) => *text,
                }).collect();
                prop_assert_eq!(read, text);
            }
        }
    }
}
