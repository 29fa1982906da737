//! The last lines of a text that may hold anything. Pure.

/// The last `lines` lines of `bytes`, which are at most the last `most` bytes of it. Where the beginning is cut off, the rest
/// of that line, or word, goes as well: it may be half of what would have to be masked.
#[must_use]
pub fn last_lines(bytes: &[u8], lines: usize, most: usize) -> &[u8] {
    let mut kept = bytes;
    if bytes.len() > most {
        kept = &bytes[bytes.len() - most..];
        let line = kept.iter().position(|byte| *byte == b'\n');
        let word = || kept.iter().position(u8::is_ascii_whitespace);
        // Without any end of a line it is one line, and its end is worth more than nothing.
        let cut = line.filter(|at| at + 1 < kept.len()).or_else(word).map_or(0, |at| at + 1);
        kept = &kept[cut..];
    }
    let body = kept.strip_suffix(b"\n").unwrap_or(kept);
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let from = lines.checked_sub(1).and_then(|before| ends.into_iter().nth(before)).map_or(0, |at| at + 1);
    if lines == 0 { &[] } else { &kept[from..] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines(b"one\ntwo\nthree\n", 2, 99), b"two\nthree\n");
        assert_eq!(last_lines(b"one\ntwo", 1, 99), b"two");
        assert_eq!(last_lines(b"one\ntwo\n", 9, 99), b"one\ntwo\n");
        assert_eq!(last_lines(b"one\ntwo\nthree\n", 9, 8), b"three\n");
        assert_eq!(last_lines(b"secret word end", 9, 10), b"word end");
        assert_eq!(last_lines(b"", 9, 9), b"");
        assert_eq!(last_lines(b"one\n", 0, 9), b"");
    }

    proptest! {
        #[test]
        fn never_more_than_asked_for_and_always_the_end(
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b' ')], 0..200),
            lines in 0usize..20,
            most in 0usize..200,
        ) {
            let kept = last_lines(&bytes, lines, most);
            prop_assert!(bytes.ends_with(kept) && kept.len() <= most);
            let count = kept.strip_suffix(b"\n").unwrap_or(kept).split(|byte| *byte == b'\n').count();
            prop_assert!(kept.is_empty() || count <= lines, "{} lines of {}", count, lines);
        }
    }
}
