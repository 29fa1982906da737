//! Where secrets stand that nobody has told us: behind a word that tells of one, or by their own form. Pure.
//!
//! Every form looks at the text as it came, and what they find is put together at the end, so that none of them sees what
//! another one has changed. A value begins behind its word; [`values`](super::values) says where it ends.

use std::{ops::Range, sync::LazyLock};

use regex::bytes::Regex;

use super::values::{Ends, Value, blank_lines, blanks, is_list, last_quote, list, value};

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub at: Range<usize>,
    /// Quotes that its mask needs, so that JSON stays JSON where it has had none.
    pub quote: Vec<u8>,
}

/// What stands before a value.
struct Before {
    word: Regex,
    ends: Ends,
    is_option: bool,
}

/// The words, where a value behind them ends, and whether they are options of a command. Backslashes stand before quotes
/// within the strings of JSON, as many as these are deep.
const BEFORE: [(&str, Ends, bool); 7] = [
    // An option and its value, as on a command line, with zero bytes between them, and as members of a list.
    (
        r#"(?i)--?[a-z0-9_-]*(?:api[_-]?keys?|token|secret|password|passwd)(?:=|[\s\x00]+|\\*["']\s*,\s*)"#,
        Ends::Blank,
        true,
    ),
    // A header, or what stands for it in JSON.
    (r#"(?i)authorization\\*["']?\s*[:=]\s*(?:(?:bearer|basic|digest|token)\s+)?"#, Ends::Blank, false),
    (r"(?i)\bbearer\s+", Ends::Blank, false),
    // A parameter of a URL.
    (r"(?i)[?&](?:key|token|api_key|access_token|sig|signature|secret|password)=", Ends::Blank, false),
    // A variable of an environment, as it stands and as a key of JSON.
    (r"\b[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)[A-Z0-9_]*=", Ends::Blank, false),
    (r#"\b[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)[A-Z0-9_]*\\*["']\s*[:=]\s*"#, Ends::Member, false),
    // A key of JSON, TOML or YAML, or a header such as `x-api-key`.
    (
        r#"(?i)[a-z0-9_-]*(?:api[_-]?keys?|access[_-]?key|access[_-]?token|auth[_-]?token|secret|password|passwd)\\*["']?\s*[:=]\s*"#,
        Ends::Member,
        false,
    ),
];

/// What is a secret by its own form, as the group 1: the password of a URL, and tokens that say by whom they were made.
const WHOLE: [&str; 2] = [
    r#"(?i)\b[a-z][a-z0-9+.-]*://[^/\s:@"']*:([^@/\s"']+)@"#,
    r"\b(sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*)",
];

/// An option that tells of a secret, at the beginning.
const OPTION: &str = r"(?i)^--?[a-z0-9_-]*(?:api[_-]?keys?|token|secret|password|passwd)(?:[\s\x00=]|$)";

struct Forms {
    before: Vec<Before>,
    whole: Vec<Regex>,
    option: Option<Regex>,
}

static FORMS: LazyLock<Forms> = LazyLock::new(|| {
    // Of bytes: a log may hold anything.
    let regex = |form: &str| Regex::new(&format!("(?-u){form}")).ok();
    let before = BEFORE.iter().filter_map(|(form, ends, is_option)| {
        regex(form).map(|word| Before { word, ends: *ends, is_option: *is_option })
    });
    Forms {
        before: before.collect(),
        whole: WHOLE.iter().filter_map(|form| regex(form)).collect(),
        option: regex(OPTION),
    }
});

/// Every secret that is told by the words before it or by its own form, in their order, none of them within another.
#[must_use]
pub fn find(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for before in &FORMS.before {
        behind(bytes, before, &mut found);
    }
    for whole in &FORMS.whole {
        let tokens = whole.captures_iter(bytes).filter_map(|captures| captures.get(1));
        found.extend(tokens.map(|token| Found { at: token.range(), quote: Vec::new() }));
    }
    // Two words may tell of the same.
    found.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
    let mut apart: Vec<Found> = Vec::with_capacity(found.len());
    for next in found {
        match apart.last_mut() {
            Some(last) if next.at.start < last.at.end => last.at.end = last.at.end.max(next.at.end),
            Some(_) | None => apart.push(next),
        }
    }
    apart
}

/// What stands behind one of the words, wherever that does.
fn behind(bytes: &[u8], before: &Before, found: &mut Vec<Found>) {
    let mut from = 0;
    while let Some(word) = before.word.find_at(bytes, from) {
        from = word.end();
        let values =
            if before.is_option { of_option(bytes, word.range()) } else { of_key(bytes, word.end(), before.ends) };
        let around = key_quote(word.as_bytes());
        for value in values {
            from = from.max(value.end);
            let content = &bytes[value.content.clone()];
            let says_nothing = matches!(content, b"null" | b"true" | b"false" | b"None" | b"True" | b"False");
            if content.is_empty() || (!value.is_quoted && !around.is_empty() && says_nothing) {
                continue;
            }
            let quote = if value.is_quoted { &[] } else { around };
            found.push(Found { at: value.content, quote: quote.to_vec() });
        }
    }
}

/// The quote around a key or the member of a list, where a word ends with that.
fn key_quote(word: &[u8]) -> &[u8] {
    let word = word.trim_ascii_end();
    word.strip_suffix(b":").or_else(|| word.strip_suffix(b",")).map_or(&[], |key| last_quote(key.trim_ascii_end()))
}

/// One value, or those of a list.
fn of_key(bytes: &[u8], at: usize, ends: Ends) -> Vec<Value> {
    if is_list(bytes, at, ends) {
        return list(bytes, at).unwrap_or_default();
    }
    // A table, whose own keys tell what in it is secret.
    let is_table =
        bytes.get(at) == Some(&b'{') && matches!(bytes.get(at + 1), None | Some(b'}' | b' ' | b'\n' | b'\r'));
    if is_table { Vec::new() } else { value(bytes, at, ends).into_iter().collect() }
}

/// The values of an option. One that takes keys may take several of them.
fn of_option(bytes: &[u8], word: Range<usize>) -> Vec<Value> {
    let text = &bytes[word.clone()];
    let many = text.to_ascii_lowercase().windows(3).any(|part| part == b"key");
    if text.ends_with(b"=") {
        return of_key(bytes, word.end, Ends::Blank);
    }
    let is_member = text.trim_ascii_end().ends_with(b",");
    let next_of = |value: &Value| match is_member {
        true => {
            let at = blank_lines(bytes, value.end);
            (value.is_quoted && bytes.get(at) == Some(&b',')).then(|| blank_lines(bytes, at + 1))
        }
        // `--api-key one two`, also with zero bytes between them.
        false => {
            let rest = &bytes[value.end..];
            let count = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0)).count();
            (count > 0).then_some(value.end + count)
        }
    };
    let ends = if is_member { Ends::Member } else { Ends::Blank };
    let mut at = word.end;
    if is_list(bytes, at, Ends::Blank) {
        return list(bytes, at).unwrap_or_default();
    }
    // YAML puts a dash before each member.
    if !is_member && bytes[at..].starts_with(b"- ") {
        at = blanks(bytes, at + 1);
    }
    let mut values = Vec::new();
    while let Some(next) = value(bytes, at, ends) {
        if !is_value_of_option(&bytes[next.content.clone()], values.is_empty()) {
            break;
        }
        let after = next_of(&next);
        values.push(next);
        match after {
            Some(after) if many => at = after,
            Some(_) | None => break,
        }
    }
    values
}

/// Whether this is a value of an option, and nothing that comes behind it. The first one is, unless it is another option that
/// tells of a secret; it may begin with a dash.
fn is_value_of_option(content: &[u8], is_first: bool) -> bool {
    if is_first {
        return !FORMS.option.as_ref().is_some_and(|option| option.is_match(content));
    }
    // Another option, what a shell takes for itself, and the dots where a command line is cut.
    let is_other = content.first().is_none_or(|first| b"-&|;<>)]}".contains(first));
    !is_other && !content.iter().all(|byte| *byte == b'.')
}

#[cfg(test)]
#[path = "forms_tests.rs"]
mod tests;
