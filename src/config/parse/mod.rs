//! From text to one spanned tree, whatever the language.
//!
//! Text from outside is hostile: its size ([`MAX_FILE`]), its depth ([`MAX_DEPTH`]) and the number of its values
//! ([`MAX_VALUES`]) are bounded, so that nothing can exhaust the stack or the memory. Nothing here knows what the
//! keys mean. Never panics, whatever the input.

mod toml;
mod yaml;

use super::{
    problem::Problem,
    source::{SourceId, SourceMap, Span},
    tree::{Node, Value},
};

pub use self::toml::{parse_key, parse_value};

/// Largest file in bytes. A thousand services with long commands take less than one.
pub const MAX_FILE: u64 = 4 << 20;

/// How deep tables and lists may nest; the schema itself needs seven levels.
pub const MAX_DEPTH: usize = 64;

/// How many values a file may have; bounds what YAML aliases can multiply.
pub const MAX_VALUES: usize = 200_000;

/// The language of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Anything that does not end in `.yaml`, `.yml` or `.json`.
    Toml,
    /// YAML, and JSON, which is YAML for this purpose.
    Yaml,
}

impl Language {
    /// By the file's name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("yaml" | "yml" | "json") => Self::Yaml,
            _ => Self::Toml,
        }
    }
}

/// A parsed source.
#[derive(Debug)]
pub struct Parsed {
    /// The tree. Where `broken` is set it is empty.
    pub root: Node,
    /// What is wrong with the text.
    pub problems: Vec<Problem>,
    /// Whether the text could not be understood as a whole; duplicate keys alone do not break it.
    pub broken: bool,
}

/// Parses the text of `source`.
#[must_use]
pub fn parse(sources: &SourceMap, source: SourceId, language: Language) -> Parsed {
    let Some(text) = sources.get(source).map(|source| source.text.as_str()) else {
        return broken(source, Vec::new());
    };
    if let Some(at) = text.find('\0') {
        let problem = sources.error(Span { source, start: at, end: at + 1 }, "a zero byte: this is not a text file");
        return broken(source, vec![problem]);
    }
    match language {
        Language::Toml => toml::parse(sources, source, text),
        Language::Yaml => yaml::parse(sources, source, text),
    }
}

fn broken(source: SourceId, problems: Vec<Problem>) -> Parsed {
    Parsed { root: empty(source), problems, broken: true }
}

fn empty(source: SourceId) -> Node {
    Node::new(Value::Table(Vec::new()), Span { source, start: 0, end: 0 })
}

fn too_deep(sources: &SourceMap, span: Span) -> Problem {
    sources.error(span, format!("nested deeper than {MAX_DEPTH} levels"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::config::source::SourceKind;

    pub(super) fn parse_text(text: &str, language: Language) -> Parsed {
        let mut sources = SourceMap::new(PathBuf::from("/"));
        let id = sources.add(SourceKind::File, "f", text.to_owned(), PathBuf::from("/"));
        parse(&sources, id, language)
    }

    #[test]
    fn one_tree_whatever_the_language() {
        let texts = [
            ("a.b = 1\n[c]\nd = [true, \"x\", 1.5]\n", Language::Toml),
            ("a:\n  b: 1\nc: { d: [true, x, 1.5] }\n", Language::Yaml),
            ("{\"a\": {\"b\": 1}, \"c\": {\"d\": [true, \"x\", 1.5]}}", Language::Yaml),
        ];
        for (text, language) in texts {
            let parsed = parse_text(text, language);
            assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
            assert_eq!(parsed.root.to_toml(), "{ a = { b = 1 }, c = { d = [true, \"x\", 1.5] } }");
        }
    }

    #[test]
    fn deep_nesting_is_a_problem_and_not_a_crash() {
        let deep = 100_000;
        let texts = [
            (format!("a = {}", "[".repeat(deep)), Language::Toml),
            (format!("a = {}", "{a=".repeat(deep)), Language::Toml),
            (format!("{}a = 1", "a.".repeat(deep)), Language::Toml),
            (format!("[{}a]", "a.".repeat(deep)), Language::Toml),
            (format!("x = {}", format!("{{{}a = ", "a.".repeat(70)).repeat(70)), Language::Toml),
            (format!("x = {}1{}", format!("{{{}a = ", "a.".repeat(70)).repeat(70), "}".repeat(70)), Language::Toml),
            ("[".repeat(deep), Language::Yaml),
            ("{a: ".repeat(deep), Language::Yaml),
            ("- ".repeat(deep), Language::Yaml),
            ((0..2_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(), Language::Yaml),
        ];
        for (text, language) in texts {
            let parsed = parse_text(&text, language);
            assert!(parsed.broken && !parsed.problems.is_empty(), "{}", &text[..20]);
        }
    }

    #[test]
    fn aliases_cannot_multiply_without_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let members = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{members}]\n"));
        }
        assert!(parse_text(&text, Language::Yaml).broken);
    }

    #[test]
    fn duplicate_keys_are_told_with_their_place_and_do_not_hide_the_rest() {
        for (text, language, place) in
            [("a = 1\nb = 2\na = 3\n", Language::Toml, "f:3:1"), ("a: 1\nb: 2\na: 3\n", Language::Yaml, "f:3:1")]
        {
            let parsed = parse_text(text, language);
            assert!(!parsed.broken);
            assert_eq!(parsed.problems.len(), 1);
            assert_eq!(parsed.problems[0].place.to_string(), place);
            assert!(parsed.problems[0].message.contains("duplicate key"), "{}", parsed.problems[0]);
            assert!(parsed.root.field("b").is_some());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_text_makes_a_parser_panic(text in "([a-z]{1,3}|[\\[\\]{}.=:,#\"'\n \t&*!|>%@~0-9-]|\\PC){0,60}") {
            let _toml = parse_text(&text, Language::Toml);
            let _yaml = parse_text(&text, Language::Yaml);
        }
    }
}
