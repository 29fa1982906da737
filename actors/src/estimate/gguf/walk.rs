//! Steps through a file whose lengths are not to be trusted.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes that are read at most, what is skipped not counted. The lists of tokens and merges are walked word by word, 8
/// bytes each, and the largest have some 500,000 of them.
const MOST_READ: u64 = 32 << 20;

/// A header that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("at byte {at}")]
pub struct GgufError {
    /// Where, in bytes from the start of the file.
    pub at: u64,
    /// What is wrong there.
    #[source]
    pub wrong: Wrong,
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// It begins with something else.
    #[error("this is no GGUF file")]
    NotGguf,
    /// A version that is not known here.
    #[error("GGUF version {0} is not known, 2 and 3 are")]
    Version(u32),
    /// A count or a length that the rest of the file cannot hold, or that no model has.
    #[error("{what}: {claimed} is more than the {most} that are possible here")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// What the file says.
        claimed: u64,
        /// The bound.
        most: u64,
    },
    /// A name that is no text.
    #[error("a name is not valid UTF-8")]
    NotText,
    /// A type of value that the format does not have, or a list of lists, which no reader takes.
    #[error("a value of the unknown type {0}")]
    UnknownType(u32),
    /// The data of a tensor would end behind the end of the file: it was cut short.
    #[error("tensor `{name}` would end at byte {end}, and the file ends at {size}")]
    CutShort {
        /// The tensor.
        name: String,
        /// Where its data would end.
        end: u64,
        /// Where the file ends.
        size: u64,
    },
    /// Dimensions or offsets that overflow.
    #[error("the size of tensor `{0}` is beyond any file")]
    Overflow(String),
    /// Something that a model must say, and that this file does not, or not so that it makes sense.
    #[error("`{0}` is missing, or has no usable value")]
    Missing(String),
    /// The file ends before what should begin here does.
    #[error("the file is cut short here")]
    Ends,
    /// The disk.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
}

/// A place in the file.
pub(super) struct Walk<S> {
    source: S,
    at: u64,
    size: u64,
    left: u64,
    swapped: bool,
}

impl<S: Read + Seek> Walk<S> {
    pub(super) fn new(mut source: S) -> Result<Self, GgufError> {
        let unreadable = |error| GgufError { at: 0, wrong: Wrong::Unreadable(error) };
        let size = source.seek(SeekFrom::End(0)).map_err(unreadable)?;
        source.rewind().map_err(unreadable)?;
        Ok(Self { source, at: 0, size, left: MOST_READ, swapped: false })
    }

    /// From here on numbers are in big-endian order.
    pub(super) fn swap(&mut self) {
        self.swapped = true;
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn error(&self, wrong: Wrong) -> GgufError {
        GgufError { at: self.at, wrong }
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        let bytes = self.array()?;
        Ok(if self.swapped { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        let bytes = self.array()?;
        Ok(if self.swapped { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A whole number of 1, 2, 4 or 8 bytes, its sign carried on.
    pub(super) fn whole(&mut self, width: u64, signed: bool) -> Result<i128, GgufError> {
        let width = usize::try_from(width).unwrap_or(8).min(8);
        let mut bytes = [0_u8; 8];
        self.fill(&mut bytes[..width])?;
        if self.swapped {
            bytes[..width].reverse();
        }
        let raw = u64::from_le_bytes(bytes);
        let unused = 64 - 8 * width as u32;
        Ok(if signed { i128::from((raw << unused).cast_signed() >> unused) } else { i128::from(raw) })
    }

    /// How many of something follow, each at least so many bytes long.
    pub(super) fn count(&mut self, what: &'static str, each: u64, most: u64) -> Result<u64, GgufError> {
        let claimed = self.u64()?;
        self.bounded(what, claimed, each, most)
    }

    pub(super) fn bounded(&self, what: &'static str, claimed: u64, each: u64, most: u64) -> Result<u64, GgufError> {
        let most = most.min((self.size - self.at) / each.max(1));
        if claimed > most { Err(self.error(Wrong::TooMany { what, claimed, most })) } else { Ok(claimed) }
    }

    /// A text of at most so many bytes.
    pub(super) fn text(&mut self, what: &'static str, longest: u64) -> Result<String, GgufError> {
        let length = self.count(what, 1, longest)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| self.error(Wrong::NotText))
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), GgufError> {
        let bytes = self.bounded("bytes of a value", bytes, 1, u64::MAX)?;
        let Ok(step) = i64::try_from(bytes) else {
            return Err(self.error(Wrong::TooMany { what: "bytes of a value", claimed: bytes, most: self.size }));
        };
        self.source.seek_relative(step).map_err(|error| self.error(Wrong::Unreadable(error)))?;
        self.at += bytes;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        let length = bytes.len() as u64;
        let Some(left) = self.left.checked_sub(length) else {
            let claimed = MOST_READ.saturating_add(length);
            return Err(self.error(Wrong::TooMany { what: "bytes of a header", claimed, most: MOST_READ }));
        };
        self.left = left;
        self.source.read_exact(bytes).map_err(|error| {
            let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
            self.error(if is_end { Wrong::Ends } else { Wrong::Unreadable(error) })
        })?;
        self.at += length;
        Ok(())
    }
}
