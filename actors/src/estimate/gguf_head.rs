//! The header of a GGUF file, as far as it says how many layers the model has. Pure: reads from whatever can be read.
//!
//! The format (`docs/gguf.md` of ggml): the magic, the version, the number of tensors and of metadata entries, then the
//! entries. An entry is a key, the type of its value and the value. What is not wanted is skipped by its length, and what
//! a file claims is believed only as far as it is bounded here: a hostile one costs some reads and no memory.

use std::io::{self, Read, Seek};

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GgufHead {
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// `<architecture>.block_count`, from 1 to [`MOST_LAYERS`].
    pub layers: Option<u32>,
    /// `split.count`: files that the model is spread over.
    pub splits: Option<u32>,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It begins with something else.
    #[error("it is no GGUF file")]
    NotGguf,
    /// A version that is not known here, or numbers in big-endian order.
    #[error("its GGUF version is {0}, and 2 and 3 are known")]
    Version(u32),
    /// It contradicts itself.
    #[error("its header is broken: {0}")]
    Broken(&'static str),
    /// It ends within the header, or cannot be read.
    #[error("its header cannot be read to the end")]
    Unreadable(#[source] io::Error),
}

/// More layers than any model has; a number beyond this is not believed.
pub const MOST_LAYERS: u32 = 4096;

/// Bytes that are read at most, what is skipped not counted. The list of tokens is walked word by word, 8 bytes each,
/// and the largest vocabularies have some 300,000 of them.
const MOST_READ: u64 = 16 << 20;
/// Metadata entries that are looked at; real files have some dozens.
const MOST_ENTRIES: u64 = 65_536;
/// Longest key, by the format.
const LONGEST_KEY: u64 = 65_535;
/// Longest name of an architecture that is read.
const LONGEST_NAME: u64 = 256;

/// Types of values, as `gguf.h` numbers them.
mod kind {
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
}

/// Reads the header. What stands behind the first 16 MiB is taken as not said.
///
/// # Errors
/// When it is none, or broken.
pub fn read(source: &mut (impl Read + Seek)) -> Result<GgufHead, HeadError> {
    let mut walk = Walk { source, left: MOST_READ };
    match walk.header() {
        Ok(said) => Ok(said.head()),
        Err(Stop::Enough(said)) => Ok(said.head()),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// What was found on the way. An architecture may stand behind the count that is named after it, so counts are kept
/// with the names they stand under, of which a real file has one.
#[derive(Debug, Default)]
struct Said {
    architecture: Option<String>,
    counts: Vec<(String, u32)>,
    splits: Option<u32>,
}

impl Said {
    fn head(self) -> GgufHead {
        let Self { architecture, counts, splits } = self;
        let own = |(name, _): &&(String, u32)| architecture.as_ref().is_none_or(|known| known == name);
        let layers = counts.iter().find(own).map(|(_, layers)| *layers);
        GgufHead { layers: layers.filter(|layers| (1..=MOST_LAYERS).contains(layers)), architecture, splits }
    }
}

/// Why the walk ends before the last entry.
#[derive(Debug)]
enum Stop {
    /// It has read as much as it may; this was found.
    Enough(Said),
    /// There is no header to be had.
    Error(HeadError),
}

impl From<HeadError> for Stop {
    fn from(error: HeadError) -> Self {
        Self::Error(error)
    }
}

/// Entries of this name under an architecture's own.
const BLOCK_COUNT: &str = ".block_count";
/// Architectures whose counts are kept.
const MOST_COUNTS: usize = 8;

struct Walk<'a, S> {
    source: &'a mut S,
    left: u64,
}

impl<S: Read + Seek> Walk<'_, S> {
    fn header(&mut self) -> Result<Said, Stop> {
        if &self.bytes::<4>()? != b"GGUF" {
            return Err(HeadError::NotGguf.into());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(HeadError::Version(version).into());
        }
        let _tensors = self.u64()?;
        let entries = self.u64()?;
        if entries > MOST_ENTRIES {
            return Err(HeadError::Broken("more metadata than any file has").into());
        }
        let mut said = Said::default();
        for _ in 0..entries {
            // The longest key and the widest number fit in this; lists have a bound of their own below.
            if self.left < LONGEST_KEY + 64 {
                return Err(Stop::Enough(said));
            }
            match self.entry(&mut said) {
                Err(Pause::Enough) => return Err(Stop::Enough(said)),
                Err(Pause::Error(error)) => return Err(error.into()),
                Ok(()) => {}
            }
        }
        Ok(said)
    }

    fn entry(&mut self, said: &mut Said) -> Result<(), Pause> {
        let key = self.text(LONGEST_KEY)?;
        let kind = self.u32()?;
        match key.strip_suffix(BLOCK_COUNT) {
            Some(name) if said.counts.len() < MOST_COUNTS => {
                if let Some(layers) = self.number(kind)? {
                    said.counts.push((name.to_owned(), layers));
                }
            }
            _ if key == "general.architecture" && kind == kind::STRING => {
                said.architecture = Some(self.text(LONGEST_NAME)?);
            }
            _ if key == "split.count" => said.splits = self.number(kind)?,
            _ => self.skip_value(kind)?,
        }
        Ok(())
    }

    /// A whole number of any width that fits; `None` for a value of another type, which is skipped.
    fn number(&mut self, kind: u32) -> Result<Option<u32>, Pause> {
        let Some(width @ 1..) = whole_width(kind) else {
            self.skip_value(kind)?;
            return Ok(None);
        };
        let mut bytes = [0; 8];
        self.fill(&mut bytes[..width])?;
        // A negative one has its highest bits set and is too large for what is asked here.
        Ok(u32::try_from(u64::from_le_bytes(bytes)).ok())
    }

    fn skip_value(&mut self, kind: u32) -> Result<(), Pause> {
        match kind {
            kind::STRING => {
                let length = self.u64()?;
                self.skip(length)
            }
            kind::ARRAY => {
                let (kind, length) = (self.u32()?, self.u64()?);
                self.skip_array(kind, length)
            }
            _ => self.skip(fixed_width(kind).ok_or(HeadError::Broken("a value of an unknown type"))?),
        }
    }

    fn skip_array(&mut self, kind: u32, length: u64) -> Result<(), Pause> {
        if kind != kind::STRING {
            // Lists of lists are in the format's text and in no file; llama.cpp refuses them.
            let width = fixed_width(kind).ok_or(HeadError::Broken("a list of something unknown"))?;
            let bytes = length.checked_mul(width).ok_or(HeadError::Broken("a list longer than any file"))?;
            return self.skip(bytes);
        }
        for _ in 0..length {
            let text = self.u64()?;
            self.skip(text)?;
        }
        Ok(())
    }

    fn text(&mut self, longest: u64) -> Result<String, Pause> {
        let length = self.u64()?;
        if length > longest {
            return Err(HeadError::Broken("a name longer than the format allows").into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| HeadError::Broken("a name that is no text").into())
    }

    fn u32(&mut self) -> Result<u32, Pause> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Pause> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Pause> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Pause> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(Pause::Enough)?;
        self.source.read_exact(bytes).map_err(|error| HeadError::Unreadable(error).into())
    }

    /// Past the end is no error here; the next read says so.
    fn skip(&mut self, bytes: u64) -> Result<(), Pause> {
        let bytes = i64::try_from(bytes).map_err(|_| HeadError::Broken("a value longer than any file"))?;
        self.source.seek_relative(bytes).map_err(|error| HeadError::Unreadable(error).into())
    }
}

/// Why one entry could not be read.
#[derive(Debug)]
enum Pause {
    Enough,
    Error(HeadError),
}

impl From<HeadError> for Pause {
    fn from(error: HeadError) -> Self {
        Self::Error(error)
    }
}

impl From<Pause> for Stop {
    /// Before the first entry nothing has been found.
    fn from(pause: Pause) -> Self {
        match pause {
            Pause::Enough => Self::Enough(Said::default()),
            Pause::Error(error) => Self::Error(error),
        }
    }
}

/// Bytes of a value that always takes the same: whole numbers, floats, booleans.
fn fixed_width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Bytes of a whole number, of either sign.
fn whole_width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 => Some(1),
        2 | 3 => Some(2),
        4 | 5 => Some(4),
        10 | 11 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
#[path = "gguf_head_tests.rs"]
mod tests;
