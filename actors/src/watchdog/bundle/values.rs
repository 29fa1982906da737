//! Values as texts write them: bare, between quotes, between quotes that are escaped since they stand within others, and as
//! the members of a list. Pure, and in linear time.
//!
//! A text may be cut anywhere, so a quote that is never closed holds everything up to the end of its line, or of the quotes
//! around it. How deep a quote stands is told by the backslashes before it, as JSON writes them: `"`, `\"`, `\\\"`, ...

use std::ops::Range;

/// A value in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is, without its quotes. May be empty.
    pub content: Range<usize>,
    /// Where it is over, with its quotes.
    pub end: usize,
    /// Whether it has quotes.
    pub is_quoted: bool,
}

/// Where a bare value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// At the next blank.
    Blank,
    /// Also where the member of a list or table ends.
    Member,
}

/// A quote with the backslashes before it.
#[derive(Debug, Clone, Copy)]
struct Quote {
    backslashes: usize,
    mark: u8,
}

impl Quote {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let mark = *rest.get(backslashes)?;
        matches!(mark, b'"' | b'\'').then_some(Self { backslashes, mark })
    }

    /// How many other quotes it stands in. Each of them doubles every backslash and puts one before every quote; what is left
    /// over are backslashes of the value itself.
    fn depth(self) -> u32 {
        (self.backslashes + 1).trailing_zeros()
    }

    /// Backslashes that belong to it and not to the value before it.
    fn own(self) -> usize {
        (1 << self.depth()) - 1
    }

    /// Whether it is the end of what `opening` has begun.
    fn closes(self, opening: Self) -> bool {
        // JSON escapes no single quote; Python does where the value holds one.
        let is_escaped = self.mark == b'\'' && opening.backslashes == 0 && self.backslashes > 0;
        self.mark == opening.mark && self.depth() == opening.depth() && !is_escaped
    }
}

/// The value that begins at `at`, if one does.
pub fn value(bytes: &[u8], at: usize, ends: Ends) -> Option<Value> {
    match opening(bytes, at) {
        Some((at, opening)) => quoted(bytes, at + opening.backslashes + 1, opening),
        None => bare(bytes, at, ends),
    }
}

/// The quote that begins at `at`, and where it does: behind the letter of `b'...'`, as Python shows bytes.
fn opening(bytes: &[u8], at: usize) -> Option<(usize, Quote)> {
    let is_prefixed = bytes.get(at).is_some_and(|byte| b"bBuUrR".contains(byte));
    let quote = |at| Quote::at(bytes, at).map(|quote| (at, quote));
    quote(at).or_else(|| is_prefixed.then(|| quote(at + 1)).flatten())
}

fn quoted(bytes: &[u8], from: usize, opening: Quote) -> Option<Value> {
    if closes_what_is_around(bytes, from) {
        return None;
    }
    let (mut backslashes, mut other) = (0, None);
    let mut stop = bytes.len();
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'\\' => {
                backslashes += 1;
                continue;
            }
            // Arguments of a process lie between zero bytes.
            b'\n' | 0 => {
                stop = at;
                break;
            }
            b'"' | b'\'' => {
                let here = Quote { backslashes, mark: *byte };
                if here.closes(opening) {
                    let end = if opening.backslashes == 0 && *byte == b'\'' { at } else { at - here.own() };
                    return Some(Value { content: from..end.max(from), end: at + 1, is_quoted: true });
                }
                if here.mark == opening.mark && here.depth() < opening.depth() {
                    stop = at - here.own();
                    break;
                }
                if here.mark != opening.mark && *byte == b'"' {
                    other = other.or(Some(at - here.own()));
                }
            }
            _ => {}
        }
        backslashes = 0;
    }
    // Single quotes may stand within double ones, which are over with them.
    let stop = other.unwrap_or(stop).max(from);
    Some(Value { content: from..stop, end: stop, is_quoted: true })
}

fn bare(bytes: &[u8], at: usize, ends: Ends) -> Option<Value> {
    let goes_on = |at: usize| match bytes[at] {
        0 | b'"' | b'\'' => false,
        // As JSON escapes what stands behind it.
        b'\\' => !bytes.get(at + 1).is_some_and(|next| b"\"'\\/bfnrtu".contains(next)),
        b',' | b';' | b'}' | b']' | b')' => ends == Ends::Blank,
        byte => !byte.is_ascii_whitespace(),
    };
    let end = (at..bytes.len()).find(|at| !goes_on(*at)).unwrap_or(bytes.len());
    (end > at).then_some(Value { content: at..end, end, is_quoted: false })
}

/// Whether what follows a quote shows that it is the end of the text that the word before it stands in, and not the beginning
/// of a value: `{"run":"serve --token ","port":1}`.
fn closes_what_is_around(bytes: &[u8], after: usize) -> bool {
    let at = blanks(bytes, after);
    match bytes.get(at) {
        None | Some(b'\n' | 0) => true,
        Some(b',' | b':') => {
            let next = blanks(bytes, at + 1);
            Quote::at(bytes, next).is_some() || matches!(bytes.get(next), Some(b'{' | b'['))
        }
        Some(b'}' | b']') => {
            let closing = |byte: &&u8| matches!(byte, b'}' | b']' | b' ');
            let next = at + bytes[at..].iter().take_while(closing).count();
            Quote::at(bytes, next).is_some() || matches!(bytes.get(next), None | Some(b',' | b'\n' | b'\r'))
        }
        Some(_) => false,
    }
}

/// The members of the list that begins at `at` with a bracket, one after the other, as far as it goes. `None` if it is none:
/// a table says by its own keys what in it is secret.
pub fn list(bytes: &[u8], at: usize) -> Option<Vec<Value>> {
    let mut members = Vec::new();
    let mut next = blank_lines(bytes, at + 1);
    while let Some(member) = value(bytes, next, Ends::Member) {
        let after = blank_lines(bytes, member.end);
        if bytes.get(after) == Some(&b':') && bytes[at] == b'{' {
            return None;
        }
        members.push(member);
        if bytes.get(after) != Some(&b',') {
            break;
        }
        next = blank_lines(bytes, after + 1);
    }
    Some(members)
}

/// Whether what stands at `at` is a bracket with a quote behind it, or a square one with anything that `ends` there.
pub fn is_list(bytes: &[u8], at: usize, ends: Ends) -> bool {
    let is_quoted = || opening(bytes, blank_lines(bytes, at + 1)).is_some();
    match bytes.get(at) {
        Some(b'[') => ends == Ends::Member || is_quoted(),
        Some(b'(' | b'{') => is_quoted(),
        Some(_) | None => false,
    }
}

/// The first place from `at` on that is no blank, on the same line.
pub fn blanks(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// The first place from `at` on that is neither blank nor the end of a line.
pub fn blank_lines(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The quote with its backslashes at the end of `before`, if one is there.
pub fn last_quote(before: &[u8]) -> &[u8] {
    let Some((b'"' | b'\'', rest)) = before.split_last() else { return &[] };
    let backslashes = rest.iter().rev().take_while(|byte| **byte == b'\\').count();
    &before[before.len() - backslashes - 1..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(text: &str) -> Option<&str> {
        value(text.as_bytes(), 0, Ends::Member).map(|value| &text[value.content])
    }

    #[test]
    fn a_value_is_read_however_it_is_quoted() {
        for (text, expected) in [
            ("abc def", "abc"),
            ("abc, def", "abc"),
            (r#""abc \" def" x"#, r#"abc \" def"#),
            (r#""abc\\" x"#, r"abc\\"),
            (r"'abc' x", "abc"),
            (r"'a\'bc' x", r"a\'bc"),
            (r"b'abc' x", "abc"),
            (r#"'a"bc' x"#, r#"a"bc"#),
            (r#"\"abc\" x"#, "abc"),
            (r#"\\\"abc\\\" x"#, "abc"),
            (r#"\"a\\\"bc\" x"#, r#"a\\\"bc"#),
            (r"ab\cd x", r"ab\cd"),
            (r"ab\ncd x", "ab"),
        ] {
            assert_eq!(content(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn one_that_is_cut_goes_to_the_end_of_its_line_or_of_what_it_stands_in() {
        for (text, expected) in [
            (r#""abc def"#, "abc def"),
            ("\"abc def\nx\"", "abc def"),
            ("\"abc\0--x\"", "abc"),
            (r#"\"abc def","x":1}"#, "abc def"),
            (r#"\\\"abc def\"","x":1}"#, "abc def"),
            (r#"'abc def","x":1}"#, "abc def"),
            ("'abc def", "abc def"),
        ] {
            assert_eq!(content(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_quote_that_ends_what_is_around_begins_nothing() {
        for text in [r#"","b":"c"}"#, r#""}"#, r#""]}, "#, r#"\"}","a":1"#, "\"\nx", "\"", "", " "] {
            assert_eq!(content(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_is_read_member_by_member_and_a_table_is_none() {
        let members = |text: &str| {
            let list = list(text.as_bytes(), 0)?;
            Some(list.into_iter().map(|value| text[value.content].to_owned()).collect::<Vec<_>>())
        };
        let expected = Some(vec!["a b".to_owned(), "c".to_owned()]);
        for text in ["['a b', 'c'] d", "[\n  \"a b\",\n  \"c\"\n]", r#"[\"a b\",\"c\"]"#, "('a b', c)", "{'a b', 'c'}"]
        {
            assert_eq!(members(text), expected, "{text}");
        }
        assert_eq!(members(r#"{"a": "b"}"#), None);
        assert_eq!(members("[]"), Some(Vec::new()));
        assert_eq!(members("['a b', 'c"), expected, "cut");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_json_writes_is_read_whole_however_deep(text in "[ -~]{1,20}", depth in 0usize..4) {
            // Each text around it escapes its quotes once more.
            let mut shown = serde_json::Value::from(text).to_string();
            for _ in 0..depth {
                let around = serde_json::Value::from(shown).to_string();
                shown = around[1..around.len() - 1].to_owned();
            }
            prop_assume!(!closes_what_is_around(shown.as_bytes(), 1 << depth));
            let read = value(format!("{shown} x").as_bytes(), 0, Ends::Blank).expect("a value");
            prop_assert_eq!(read.end, shown.len(), "{}", shown);
            prop_assert!(read.is_quoted);
        }

        #[test]
        fn whatever_it_reads_lies_where_it_looks(text in "[\\\\\"'a,}\n\u{0} \\[\\]:{b]{0,40}", at in 0usize..50) {
            let bytes = text.as_bytes();
            for ends in [Ends::Blank, Ends::Member] {
                if let Some(value) = value(bytes, at, ends) {
                    let Range { start, end } = value.content;
                    prop_assert!(at <= start && start <= end && end <= value.end && value.end <= bytes.len());
                    prop_assert!(value.end > at);
                }
            }
            if bytes.get(at).is_some() {
                drop(list(bytes, at));
                let is_bracket = b"[{(".contains(&bytes[at]);
                prop_assert!(is_bracket || !is_list(bytes, at, Ends::Member));
            }
        }
    }
}
