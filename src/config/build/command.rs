//! Commands: a list, or one string that is split like a POSIX shell would.
//!
//! The string is split *before* its holes are filled, so a macro or variable with spaces in it stays one argument. The
//! one exception is a macro that is the whole first word: it holds program and arguments, and is split in its turn.

use std::path::Path;

use greenroom_actors::template::{Part, Template};

use super::{
    read::Reader,
    scope::Scope,
    template::{macro_text, template},
};
use crate::config::{
    holes::{Piece, expand, pieces},
    outside::Program,
    source::Span,
    tree::{Node, Value},
};

/// A word of a command and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    span: Span,
}

/// Program and arguments of a checked command value; `what` names it in problems. Empty if it is none.
pub(super) fn command(reader: &mut Reader<'_>, scope: &Scope<'_>, node: &Node, what: &str) -> Vec<Template> {
    let mut words = match words(node) {
        Some(words) => words,
        None => {
            reader.error(
                node.span,
                format!("{what}: a quote is not closed"),
                "close it, or write the command as a list",
            );
            return Vec::new();
        }
    };
    // A macro may begin with a macro; the bound is that of macros within macros.
    for _ in 0..16 {
        let Some(spliced) = words.first().and_then(|first| splice(reader, first)) else { break };
        let Some(spliced) = spliced else {
            reader.error(node.span, format!("{what}: a quote in its macro is not closed"), "close it");
            return Vec::new();
        };
        words.splice(..1, spliced);
    }
    let mut parts: Vec<Template> = words.iter().map(|word| template(reader, scope, &word.text, word.span)).collect();
    if let Some(first) = parts.first_mut() {
        *first = program(reader, first, words[0].span, what);
    }
    parts
}

/// The same for a program that belongs to no run, so that all of it is known now. One that is missing is reported.
pub(super) fn fixed(reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<Template> {
    let before = reader.errors();
    let words = command(reader, &Scope::NOTHING, node, what);
    if words.is_empty() && reader.errors() == before {
        reader.error(node.span, format!("{what} names no program"), "name the program first");
    }
    words
}

fn words(node: &Node) -> Option<Vec<Word>> {
    let word = |text: String, span| Word { text, span };
    match &node.value {
        Value::Text(text) => Some(split(text)?.into_iter().map(|text| word(text, node.span)).collect()),
        Value::List(items) => {
            Some(items.iter().filter_map(|item| Some(word(item.text()?.to_owned(), item.span))).collect())
        }
        _ => Some(Vec::new()),
    }
}

/// If the word is nothing but a macro: the macro's words, or `None` inside if they cannot be split.
fn splice(reader: &Reader<'_>, first: &Word) -> Option<Option<Vec<Word>>> {
    let parts = pieces(&first.text).ok()?;
    let [Piece::Hole(name)] = parts.as_slice() else { return None };
    let node = macro_text(reader, name)?;
    let words = split(node.text()?);
    Some(words.map(|words| words.into_iter().map(|text| Word { text, span: node.span }).collect()))
}

/// Splits like a POSIX shell, quotes, escapes, comments and line ends included, but keeps `${...}` whole.
fn split(text: &str) -> Option<Vec<String>> {
    // While it is split, a hole is its number between two of a character that the text does not have.
    let mark = ('\u{E000}'..='\u{F8FF}').find(|mark| !text.contains(*mark))?;
    let parts = pieces(text).ok()?;
    let (mut masked, mut holes) = (String::new(), Vec::new());
    for part in parts {
        let hole = match part {
            // Only the escape `$${` makes a `${` in a text, and it must stay one.
            Piece::Text("${") => "$${".to_owned(),
            Piece::Hole(hole) => format!("${{{hole}}}"),
            Piece::Text(text) => {
                masked.push_str(text);
                continue;
            }
        };
        masked.push_str(&format!("{mark}{}{mark}", holes.len()));
        holes.push(hole);
    }
    let restore = |word: String| {
        let parts = word.split(mark).enumerate();
        let part = |(at, part): (usize, &str)| match part.parse::<usize>().ok().filter(|_| at % 2 == 1) {
            Some(number) => holes.get(number).cloned().unwrap_or_default(),
            None => part.to_owned(),
        };
        parts.map(part).collect::<String>()
    };
    Some(shlex::split(&continued(&masked))?.into_iter().map(restore).collect())
}

/// The text with lines that end in a backslash joined to the next, as POSIX has it; `shlex` makes an empty word of a
/// backslash and line end between blanks. Quotes and comments keep theirs.
fn continued(text: &str) -> String {
    #[derive(PartialEq)]
    enum In {
        Word,
        Blank,
        Single,
        Double,
        Comment,
    }
    let (mut state, mut joined) = (In::Blank, String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && !matches!(state, In::Single | In::Comment) {
            if chars.next_if_eq(&'\n').is_none() {
                joined.push(c);
                joined.extend(chars.next());
                state = if state == In::Blank { In::Word } else { state };
            }
            continue;
        }
        joined.push(c);
        state = match (state, c) {
            (In::Comment, '\n') => In::Blank,
            (In::Blank, '#') => In::Comment,
            (In::Blank | In::Word, '\'') => In::Single,
            (In::Blank | In::Word, '"') => In::Double,
            (In::Single, '\'') | (In::Double, '"') => In::Word,
            (In::Blank | In::Word, c) if c.is_ascii_whitespace() => In::Blank,
            (In::Blank, _) => In::Word,
            (state, _) => state,
        };
    }
    joined
}

/// The program's word: looked up on PATH, or relative to its file if it contains a slash.
fn program(reader: &mut Reader<'_>, first: &Template, span: Span, what: &str) -> Template {
    let [Part::Text(name)] = first.0.as_slice() else { return first.clone() };
    if name.is_empty() {
        return first.clone();
    }
    let path = if name.contains('/') {
        expand(name, reader.effective.sources().base(span), reader.outside)
    } else {
        Path::new(name).to_owned()
    };
    let (trouble, help) = match reader.outside.program(&path) {
        Program::Found(path) => return Template::text(path.display().to_string()),
        Program::NotExecutable(path) => {
            (format!("`{}` is not executable", path.display()), format!("chmod +x {}", path.display()))
        }
        Program::Missing if name.contains('/') => (
            format!("the program `{}` is not there", path.display()),
            "a path is relative to the config file".to_owned(),
        ),
        Program::Missing => (format!("the program `{name}` is not on PATH"), "install it, or give its path".to_owned()),
    };
    reader.warn(span, format!("{what}: {trouble}; it will fail with `missing_command`"), help);
    Template::text(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn it_splits_like_a_shell_over_lines_and_comments() {
        let text = "sd -m 'a b' # not ${this}\n  --steps \"2 0\" \\\n -o ${out}.png\n";
        assert_eq!(words(text), ["sd", "-m", "a b", "--steps", "2 0", "-o", "${out}.png"]);
        assert_eq!(split("sd 'a"), None);
    }

    #[test]
    fn a_hole_is_one_word_whatever_stands_in_it() {
        assert_eq!(words("run ${env.X:-a b} x${y}z $${n}"), ["run", "${env.X:-a b}", "x${y}z", "$${n}"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn plain_words_come_back(list in prop::collection::vec("[a-z$]{1,6}|\\$\\{[a-z ]{1,5}\\}", 0..8)) {
            prop_assume!(list.iter().all(|word| !word.ends_with('$')));
            prop_assert_eq!(words(&list.join(" ")), list);
        }

        #[test]
        fn no_text_makes_it_panic(text in "([${}'\"\\\\ #\n\u{E000}a-c]|\\PC){0,40}") {
            let _words = split(&text);
        }
    }
}
