//! What a header says in words and numbers.

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

use super::walk::{GgufError, Walk, Wrong};

/// Metadata entries that are looked at; real files have some dozens.
pub(super) const MOST_ENTRIES: u64 = 65_536;
/// The least an entry takes: the length of an empty key, a type, a byte.
pub(super) const LEAST_ENTRY: u64 = 13;
/// Longest key, by the format.
const LONGEST_KEY: u64 = 65_535;
/// Longest text that is kept; chat templates and licences are longer and are not wanted.
const LONGEST_TEXT: u64 = 256;
/// Longest list of numbers that is kept: one for each layer. Scores and types of tokens are longer.
const LONGEST_LIST: u64 = 4096;
/// Entries that are kept.
const MOST_KEPT: usize = 4096;

/// A value, as far as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number; a truth value is 0 or 1.
    Whole(i128),
    /// A short text.
    Text(String),
    /// A short list of whole numbers or truth values.
    List(Vec<i128>),
    /// Any other list, of so many.
    Long(u64),
}

/// Entries by their keys. Numbers with a fraction and long texts are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    /// What stands under this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            Value::Whole(_) | Value::List(_) | Value::Long(_) => None,
        }
    }

    /// A whole number that is not negative and fits.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Whole(number) => u64::try_from(*number).ok(),
            Value::Text(_) | Value::List(_) | Value::Long(_) => None,
        }
    }

    /// A number for layer `layer`, where the file has one for each, or one for all.
    #[must_use]
    pub fn of_layer(&self, key: &str, layer: usize) -> Option<u64> {
        match self.get(key)? {
            Value::Whole(number) => u64::try_from(*number).ok(),
            Value::List(numbers) => numbers.get(layer).and_then(|number| u64::try_from(*number).ok()),
            Value::Text(_) | Value::Long(_) => None,
        }
    }

    /// How long a list is.
    #[must_use]
    pub fn length(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Long(length) => Some(*length),
            Value::List(numbers) => Some(numbers.len() as u64),
            Value::Whole(_) | Value::Text(_) => None,
        }
    }

    /// Reads so many entries.
    pub(super) fn read<S: Read + Seek>(walk: &mut Walk<S>, entries: u64) -> Result<Self, GgufError> {
        let mut all = Self::default();
        for _ in 0..entries {
            let key = walk.text("bytes of a key", LONGEST_KEY)?;
            let kind = walk.u32()?;
            if let Some(value) = value(walk, kind)?
                && all.0.len() < MOST_KEPT
            {
                all.0.insert(key, value);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
impl FromIterator<(String, Value)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// Types of values, as `gguf.h` numbers them.
const TEXT: u32 = 8;
const LIST: u32 = 9;

fn value<S: Read + Seek>(walk: &mut Walk<S>, kind: u32) -> Result<Option<Value>, GgufError> {
    match (kind, plain(kind)) {
        (TEXT, _) => {
            let length = walk.u64()?;
            if length > LONGEST_TEXT {
                return walk.skip(length).map(|()| None);
            }
            let bytes = (0..length).map(|_| walk.array::<1>()).collect::<Result<Vec<_>, _>>()?;
            // A text that is none is not wanted either.
            Ok(String::from_utf8(bytes.concat()).ok().map(Value::Text))
        }
        (LIST, _) => list(walk).map(Some),
        (_, Some(Plain::Whole { width, signed })) => walk.whole(width, signed).map(|n| Some(Value::Whole(n))),
        (_, Some(Plain::Fraction { width })) => walk.skip(width).map(|()| None),
        (unknown, None) => Err(walk.error(Wrong::UnknownType(unknown))),
    }
}

fn list<S: Read + Seek>(walk: &mut Walk<S>) -> Result<Value, GgufError> {
    let kind = walk.u32()?;
    let Some(plain) = plain(kind) else {
        if kind != TEXT {
            return Err(walk.error(Wrong::UnknownType(kind)));
        }
        let length = walk.count("texts in a list", 8, u64::MAX)?;
        for _ in 0..length {
            let bytes = walk.u64()?;
            walk.skip(bytes)?;
        }
        return Ok(Value::Long(length));
    };
    let length = walk.count("numbers in a list", plain.width(), u64::MAX)?;
    match plain {
        Plain::Whole { width, signed } if length <= LONGEST_LIST => {
            let numbers = (0..length).map(|_| walk.whole(width, signed)).collect::<Result<_, _>>()?;
            Ok(Value::List(numbers))
        }
        // The length has been held against the file's size: this cannot overflow.
        _ => walk.skip(length.saturating_mul(plain.width())).map(|()| Value::Long(length)),
    }
}

/// A value that always takes the same.
enum Plain {
    Whole { width: u64, signed: bool },
    Fraction { width: u64 },
}

impl Plain {
    fn width(&self) -> u64 {
        match self {
            Self::Whole { width, .. } | Self::Fraction { width } => *width,
        }
    }
}

fn plain(kind: u32) -> Option<Plain> {
    let whole = |width, signed| Some(Plain::Whole { width, signed });
    match kind {
        0 | 7 => whole(1, false),
        1 => whole(1, true),
        2 => whole(2, false),
        3 => whole(2, true),
        4 => whole(4, false),
        5 => whole(4, true),
        6 => Some(Plain::Fraction { width: 4 }),
        10 => whole(8, false),
        11 => whole(8, true),
        12 => Some(Plain::Fraction { width: 8 }),
        _ => None,
    }
}
