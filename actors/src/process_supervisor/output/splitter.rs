//! Bytes to lines. Pure.
//!
//! Any bytes are taken. A line ends with `\n` or `\r\n`; what ends with a lone `\r` is about to be overwritten (a
//! progress bar) and told apart. Of a very long line the beginning is kept and the rest counted, so memory is bounded by
//! [`MAX_LINE`] whatever comes. Lines that lie whole in one chunk are not copied.

use memchr::memchr2;

/// Bytes kept of one line. The log file has all of it; what people read and rules match stands at the beginning.
pub const MAX_LINE: usize = 16 * 1024;

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a line break, or with the end of the stream.
    Newline,
    /// With a lone carriage return: the next one is written over it.
    Overwritten,
}

/// One line, without its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes, at most [`MAX_LINE`].
    pub text: &'a [u8],
    /// How it ended.
    pub ending: Ending,
    /// Bytes beyond [`MAX_LINE`], dropped.
    pub dropped: u64,
    /// Whether it came in more than one chunk.
    pub joined: bool,
}

/// Splits one stream.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    dropped: u64,
    /// A carriage return was the last byte: a line feed next makes it a line break.
    returned: bool,
}

impl Splitter {
    /// Takes the next bytes and calls `line` for each line that they complete, in order.
    pub fn push(&mut self, mut chunk: &[u8], mut line: impl FnMut(Line<'_>)) {
        if self.returned && !chunk.is_empty() {
            self.returned = false;
            let newline = chunk[0] == b'\n';
            chunk = &chunk[usize::from(newline)..];
            self.complete(&[], if newline { Ending::Newline } else { Ending::Overwritten }, true, &mut line);
        }
        while let Some(at) = memchr2(b'\n', b'\r', chunk) {
            let (text, rest) = chunk.split_at(at);
            let joined = self.is_pending();
            match rest {
                [b'\r'] => {
                    self.keep(text);
                    self.returned = true;
                    return;
                }
                [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => {
                    self.complete(text, Ending::Newline, joined, &mut line);
                    chunk = rest;
                }
                rest => {
                    self.complete(text, Ending::Overwritten, joined, &mut line);
                    chunk = &rest[1..];
                }
            }
        }
        self.keep(chunk);
    }

    /// The stream has ended: what is left is the last line.
    pub fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if self.is_pending() || self.returned {
            self.returned = false;
            self.complete(&[], Ending::Newline, true, &mut line);
        }
    }

    /// What there is of the line that has begun and not ended.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Whether a line has begun and not ended.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn complete(&mut self, text: &[u8], ending: Ending, joined: bool, line: &mut impl FnMut(Line<'_>)) {
        if self.pending.is_empty() {
            let kept = &text[..text.len().min(MAX_LINE)];
            let dropped = (text.len() - kept.len()) as u64;
            return line(Line { text: kept, ending, dropped, joined });
        }
        self.keep(text);
        line(Line { text: &self.pending, ending, dropped: self.dropped, joined });
        self.pending.clear();
        // Most lines are short: a long one must not hold its memory for ever.
        self.pending.shrink_to(256);
        self.dropped = 0;
    }

    fn keep(&mut self, text: &[u8]) {
        let kept = text.len().min(MAX_LINE - self.pending.len());
        self.pending.extend_from_slice(&text[..kept]);
        self.dropped += (text.len() - kept) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, Ending, u64)> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |l| lines.push((l.text.to_vec(), l.ending, l.dropped)));
        }
        splitter.finish(|l| lines.push((l.text.to_vec(), l.ending, l.dropped)));
        lines
    }

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        let mark = |e| if e == Ending::Newline { '.' } else { '<' };
        split(chunks).into_iter().map(|(t, e, _)| format!("{}{}", String::from_utf8_lossy(&t), mark(e))).collect()
    }

    #[test]
    fn line_breaks_of_both_kinds_and_overwritten_lines_are_told_apart() {
        assert_eq!(texts(&[b"a\nb\r\nc"]), ["a.", "b.", "c."]);
        assert_eq!(texts(&[b"1%\r2%\r3%\n"]), ["1%<", "2%<", "3%."]);
        assert_eq!(texts(&[b"a\r", b"\nb\r", b"c\n"]), ["a.", "b<", "c."]);
        assert_eq!(texts(&[b"\n\r\n"]), [".", "."]);
        assert_eq!(texts(&[b"\xff\xfe\0\n"]), ["\u{fffd}\u{fffd}\0."]);
    }

    #[test]
    fn of_a_line_of_ten_megabytes_the_beginning_is_kept_and_the_rest_counted() {
        let part = vec![b'x'; 10_000];
        let mut splitter = Splitter::default();
        for _ in 0..1000 {
            splitter.push(&part, |_| panic!("no line has ended"));
            assert!(splitter.pending.capacity() <= 2 * MAX_LINE);
        }
        let mut seen = None;
        splitter.push(b"\n", |l| seen = Some((l.text.len(), l.dropped)));
        assert_eq!(seen, Some((MAX_LINE, 10_000_000 - MAX_LINE as u64)));
        assert!(splitter.pending.capacity() <= 256);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn how_the_bytes_are_cut_into_chunks_makes_no_difference(
            bytes in prop::collection::vec(prop::sample::select(b"ab\r\n\xff".to_vec()), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&chunks), split(&[&bytes]));
            let kept: usize = split(&chunks).iter().map(|(t, ..)| t.len()).sum();
            prop_assert_eq!(kept, bytes.iter().filter(|b| !b"\r\n".contains(b)).count());
        }
    }
}
