//! The `model` of an URL-encoded form or of a query.

use super::{
    LONGEST,
    scan::{Progress, Spotted, Written},
};
use crate::gateway::door::names::decode;

/// Reads `application/x-www-form-urlencoded` pair by pair.
#[derive(Debug)]
pub struct Form {
    /// Bytes of the body before the pair that is being read.
    at: usize,
    /// That pair, as far as it matters.
    pair: Vec<u8>,
    /// Bytes of it that have come.
    length: usize,
}

impl Form {
    /// For what begins so many bytes after the beginning of the body.
    pub fn at(at: usize) -> Self {
        Self { at, pair: Vec::new(), length: 0 }
    }

    /// Takes in what follows.
    pub fn feed(&mut self, piece: &[u8]) -> Progress {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'&', rest) {
            self.keep(&rest[..end]);
            if let Some(spotted) = self.spotted() {
                return Progress::Found(spotted);
            }
            self.at += self.length + 1;
            self.length = 0;
            self.pair.clear();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
        Progress::More
    }

    /// What the last pair says, behind which nothing comes.
    pub fn finish(self) -> Option<Spotted> {
        self.spotted()
    }

    fn keep(&mut self, part: &[u8]) {
        self.length += part.len();
        // One byte more than may be, so that a pair that is too long shows.
        let room = (KEY.len() + LONGEST + 1).saturating_sub(self.pair.len());
        self.pair.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn spotted(&self) -> Option<Spotted> {
        let raw = self.pair.strip_prefix(KEY)?;
        if raw.len() > LONGEST {
            return None;
        }
        // A line end behind the last pair, as a shell leaves it, is not part of the name.
        let raw = raw.trim_ascii_end();
        let begin = self.at + KEY.len();
        Some(Spotted { name: value(raw)?, at: begin..begin + raw.len(), written: Written::Percent })
    }
}

/// What is looked for.
const KEY: &[u8] = b"model=";

/// The `model` of a query, if it has one.
#[must_use]
pub fn in_query(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| value(pair.strip_prefix("model=")?.as_bytes()))
}

/// Undoes the encoding of a value.
fn value(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    if text.contains('+') { decode(&text.replace('+', " ")) } else { decode(text) }
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
pub fn encode(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}
