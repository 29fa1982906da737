//! What bundles are called, and which of them go. Pure.
//!
//! `greenroom-20261121-090613-runaway.tar`: in the order of their names they are in the order of their time (UTC), and a name
//! says whether a file is one of ours.

use crate::time::Timestamp;

/// What every name begins with.
const FIRST: &str = "greenroom-";
/// What every name ends with.
const LAST: &str = ".tar";
/// What is put behind a name while the file is written.
const PARTIAL: &str = ".partial";
/// Longest word for what it was made for, in bytes.
const LONGEST_WHAT: usize = 40;

/// The name of a bundle that is made at `at` for `what`; other characters than letters, digits and `_` become `_`. `another`
/// counts those that were made in the same second.
#[must_use]
pub fn file_name(at: Timestamp, what: &str, another: u32) -> String {
    // 2026-11-21T09:06:13.000250Z
    let text = at.to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let what: String = what.chars().map(fits).take(LONGEST_WHAT).collect();
    let what = if what.is_empty() { "unknown".to_owned() } else { what };
    let again = if another == 0 { String::new() } else { format!("-{}", another + 1) };
    format!("{FIRST}{day}-{time}-{what}{again}{LAST}")
}

/// What a file is called until it is whole.
#[must_use]
pub fn partial(name: &str) -> String {
    format!(".{name}{PARTIAL}")
}

/// Whether this is the name of a bundle: what [`file_name`] may give, and nothing else.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let middle = name.strip_prefix(FIRST).and_then(|rest| rest.strip_suffix(LAST));
    let mut parts = middle.unwrap_or_default().split('-');
    let number = |part: Option<&str>, digits: usize| {
        part.is_some_and(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    number(parts.next(), 8)
        && number(parts.next(), 6)
        && parts.next().is_some_and(is_word)
        && parts.next().is_none_or(|again| !again.is_empty() && again.bytes().all(|b| b.is_ascii_digit()))
        && parts.next().is_none()
}

/// Those of the files in a folder that go when `keep` bundles stay: the oldest of ours, and what was left half written. No
/// other file is among them.
#[must_use]
pub fn outdated(names: &[String], keep: u32) -> Vec<&str> {
    let mut ours: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_file_name(name)).collect();
    // The count of one second's bundles is no part of the order of bytes.
    ours.sort_by_key(|name| (name.get(..FIRST.len() + 15).unwrap_or_default().to_owned(), name.len(), *name));
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    ours.truncate(ours.len().saturating_sub(keep));
    let is_half = |name: &&str| {
        let inner = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(PARTIAL));
        inner.is_some_and(is_file_name)
    };
    ours.extend(names.iter().map(String::as_str).filter(is_half));
    ours
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_763_715_600 + seconds) * 1_000_000)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_says_when_and_what_for() {
        assert_eq!(file_name(at(0), "runaway", 0), "greenroom-20251121-090000-runaway.tar");
        assert_eq!(file_name(at(61), "OOM gpu/../x", 1), "greenroom-20251121-090101-oom_gpu____x-2.tar");
        assert_eq!(file_name(at(0), "", 0), "greenroom-20251121-090000-unknown.tar");
    }

    #[test]
    fn the_oldest_of_ours_go_and_nothing_else() {
        let files = names(&[
            "greenroom-20251121-090000-nan.tar",
            "greenroom-20251121-090000-nan-2.tar",
            "greenroom-20251122-090000-asked.tar",
            ".greenroom-20251120-090000-nan.tar.partial",
            "notes.txt",
            "greenroom.tar",
            "greenroom-2025-090000-nan.tar",
            "greenroom-20251121-090000-nan.tar.gz",
            "greenroom-20251121-090000-nan-2-3.tar",
            "greenroom-20251121-090000-Mine.tar",
            ".mine.partial",
        ]);
        let half = ".greenroom-20251120-090000-nan.tar.partial";
        assert_eq!(outdated(&files, 9), [half]);
        assert_eq!(outdated(&files, 2), ["greenroom-20251121-090000-nan.tar", half]);
        assert_eq!(outdated(&files, 1), [files[0].as_str(), &files[1], half]);
        assert_eq!(outdated(&files, 0).len(), 4);
    }

    proptest! {
        #[test]
        fn what_we_write_is_file_name_and_the_newest_stay(
            moments in proptest::collection::vec((0i64..100_000_000, "\\PC{0,60}", 0u32..20), 1..20),
            keep in 0u32..25,
        ) {
            let files: Vec<String> = moments.iter().map(|(s, what, again)| file_name(at(*s), what, *again)).collect();
            prop_assert!(files.iter().all(|name| is_file_name(name) && !name.contains('/') && name.len() < 100));
            let gone = outdated(&files, keep);
            prop_assert_eq!(gone.len(), files.len().saturating_sub(keep as usize));
            let second = |name: &str| name[FIRST.len()..FIRST.len() + 15].to_owned();
            let newest_gone = gone.iter().map(|name| second(name)).max();
            let oldest_kept = files.iter().filter(|name| !gone.contains(&name.as_str())).map(|name| second(name)).min();
            if let (Some(gone), Some(kept)) = (newest_gone, oldest_kept) {
                prop_assert!(gone <= kept);
            }
        }
    }
}
