//! The `model` of a JSON object: the first string of that name at its top level.
//!
//! It reads as much of JSON as that takes and finds no fault with the rest: whether a body is sound is for the service to
//! say. Of what is not an object it says at once that it names nothing.

use super::{
    LONGEST,
    scan::{Progress, Spotted, Written},
};

/// The key that is looked for.
const KEY: &[u8] = b"\"model\"";
/// The longest way to write it: each letter as `\u006d`.
const LONGEST_KEY: usize = 2 + 5 * 6;

/// Reads a JSON body byte by byte.
#[derive(Debug, Default)]
pub struct Json {
    state: State,
    /// Bytes of the body before the next one.
    at: usize,
    /// The string that is being read, as far as it matters, with its quotes.
    kept: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before the object.
    #[default]
    Before,
    /// Where a key, a comma or the end of the object may come.
    Key,
    /// In a key.
    InKey { escaped: bool },
    /// Between a key and its colon.
    Colon { is_model: bool },
    /// Between the colon and the value.
    Value { is_model: bool },
    /// In the name.
    InName { escaped: bool },
    /// In a value that does not matter, so deep in objects and arrays of its own.
    Other { depth: usize },
    /// In a string of such a value.
    InOther { depth: usize, escaped: bool },
}

impl Json {
    /// For what begins so many bytes after the beginning of the body.
    pub fn at(at: usize) -> Self {
        Self { at, ..Self::default() }
    }

    /// Takes in what follows.
    pub fn feed(&mut self, piece: &[u8]) -> Progress {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            // Long strings, such as images, are passed over at the speed of memory.
            let skipped = self.skip(rest);
            if skipped > 0 {
                self.at += skipped;
                rest = &rest[skipped..];
                continue;
            }
            let progress = self.step(byte);
            self.at += 1;
            if progress != Progress::More {
                return progress;
            }
            rest = after;
        }
        Progress::More
    }

    /// How many of these bytes change nothing.
    fn skip(&self, rest: &[u8]) -> usize {
        match self.state {
            State::InOther { escaped: false, .. } => memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len()),
            _ => 0,
        }
    }

    fn step(&mut self, byte: u8) -> Progress {
        self.state = match self.state {
            State::Before if is_blank(byte) || is_mark(byte, self.at) => State::Before,
            State::Before if byte == b'{' => State::Key,
            State::Before => return Progress::Nothing,

            State::Key if is_blank(byte) || byte == b',' => State::Key,
            State::Key if byte == b'"' => self.begin(State::InKey { escaped: false }),
            State::Key => return Progress::Nothing,

            State::InKey { escaped } => {
                if self.kept.len() < LONGEST_KEY {
                    self.kept.push(byte);
                } else {
                    // Too long to be it, whatever follows: as good as empty.
                    self.kept.truncate(1);
                }
                match string(byte, escaped) {
                    InString::Goes { escaped } => State::InKey { escaped },
                    InString::Ends => State::Colon { is_model: self.is_model() },
                }
            }
            State::Colon { is_model } if is_blank(byte) => State::Colon { is_model },
            State::Colon { is_model } if byte == b':' => State::Value { is_model },
            State::Colon { .. } => return Progress::Nothing,

            State::Value { is_model } if is_blank(byte) => State::Value { is_model },
            State::Value { is_model: true } if byte == b'"' => self.begin(State::InName { escaped: false }),
            // Behind the last value; what comes after the object is nobody's business.
            State::Value { .. } | State::Other { depth: 0 } if byte == b'}' => return Progress::Nothing,
            State::Value { .. } => other(0, byte),

            State::InName { escaped } => {
                self.kept.push(byte);
                match string(byte, escaped) {
                    InString::Goes { .. } if self.kept.len() > LONGEST => return Progress::Nothing,
                    InString::Goes { escaped } => State::InName { escaped },
                    InString::Ends => return self.found(),
                }
            }

            State::Other { depth } => other(depth, byte),
            State::InOther { depth, escaped } => match string(byte, escaped) {
                InString::Goes { escaped } => State::InOther { depth, escaped },
                InString::Ends => State::Other { depth },
            },
        };
        Progress::More
    }

    fn begin(&mut self, state: State) -> State {
        self.kept.clear();
        self.kept.push(b'"');
        state
    }

    fn is_model(&self) -> bool {
        let has_escapes = self.kept.contains(&b'\\');
        self.kept == KEY
            || (has_escapes && serde_json::from_slice::<String>(&self.kept).is_ok_and(|key| key == "model"))
    }

    /// The name that has just been read to its closing quote, which is the byte at `at`.
    fn found(&self) -> Progress {
        let end = self.at + 1;
        match serde_json::from_slice(&self.kept) {
            Ok(name) => Progress::Found(Spotted { name, at: end - self.kept.len()..end, written: Written::Json }),
            Err(_) => Progress::Nothing,
        }
    }
}

/// After this byte of a value that does not matter, outside its strings. A comma behind it is followed by a key.
fn other(depth: usize, byte: u8) -> State {
    match byte {
        b'"' => State::InOther { depth, escaped: false },
        b'{' | b'[' => State::Other { depth: depth + 1 },
        b'}' | b']' => State::Other { depth: depth.saturating_sub(1) },
        b',' if depth == 0 => State::Key,
        _ => State::Other { depth },
    }
}

/// What a byte of a string means for it.
enum InString {
    Goes { escaped: bool },
    Ends,
}

fn string(byte: u8, escaped: bool) -> InString {
    match byte {
        b'"' if !escaped => InString::Ends,
        b'\\' if !escaped => InString::Goes { escaped: true },
        _ => InString::Goes { escaped: false },
    }
}

/// RFC 8259, section 2.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether this is a byte of the mark that some programs put before their UTF-8.
fn is_mark(byte: u8, at: usize) -> bool {
    b"\xef\xbb\xbf".get(at) == Some(&byte)
}
