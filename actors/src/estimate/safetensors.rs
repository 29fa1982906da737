//! The header of a safetensors file. Never reads weights.
//!
//! The format (`README.md` of huggingface/safetensors): 8 bytes with the length of the header, the header in JSON, the
//! data. The header is an object: for each tensor its type, its shape, and where its data lies, counted from the end of
//! the header; and `__metadata__`. It is read as it comes and summed up at once, so that what a file claims costs no memory;
//! its length is held against the size of the file. Pure: reads from whatever can be read.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};

/// Longest header that is read; the largest models have some 2 MiB of it, and the format allows 100 MB.
const LONGEST: u64 = 32 << 20;
/// Bytes that give the length.
const LENGTH: u64 = 8;

/// A header that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// It is shorter than what every file begins with.
    #[error("it ends before byte {LENGTH}, within the length of its header")]
    Ends,
    /// The disk.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// It says that its header is longer than it is, or than any header.
    #[error("at byte 0: a header of {length} bytes is more than the {most} that are possible here")]
    TooLong {
        /// What it says.
        length: u64,
        /// The bound.
        most: u64,
    },
    /// Its header is not what it should be.
    #[error("in the header, from byte {LENGTH}")]
    Broken(#[source] serde_json::Error),
}

/// One tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its data takes.
    pub bytes: u64,
}

/// Reads a header and hands each tensor to `each`. This is what a fuzzer should be pointed at.
///
/// # Errors
/// When it is none, contradicts itself or its file, or cannot be read.
pub fn read(mut source: impl Read + Seek, mut each: impl FnMut(Entry<'_>)) -> Result<(), SafetensorsError> {
    let size = source.seek(SeekFrom::End(0)).map_err(SafetensorsError::Unreadable)?;
    source.rewind().map_err(SafetensorsError::Unreadable)?;
    let mut bytes = [0; LENGTH as usize];
    source.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SafetensorsError::Ends,
        _ => SafetensorsError::Unreadable(error),
    })?;
    let length = u64::from_le_bytes(bytes);
    let most = LONGEST.min(size - LENGTH);
    if length > most {
        return Err(SafetensorsError::TooLong { length, most });
    }
    let data = size - LENGTH - length;
    let mut json = serde_json::Deserializer::from_reader(source.take(length));
    Tensors { data, each: &mut each }.deserialize(&mut json).map_err(SafetensorsError::Broken)?;
    json.end().map_err(SafetensorsError::Broken)
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Bytes of a number of a type; `None` for one that is not known here.
fn width(dtype: &str) -> Option<u64> {
    match dtype {
        "F64" | "I64" | "U64" | "C64" => Some(8),
        "F32" | "I32" | "U32" => Some(4),
        "F16" | "BF16" | "I16" | "U16" => Some(2),
        "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "I8" | "U8" | "BOOL" => Some(1),
        _ => None,
    }
}

impl Tensor {
    /// What its data takes, if that is what its shape says and lies in the file.
    fn bytes(&self, data: u64) -> Result<u64, String> {
        let (begin, end) = self.data_offsets;
        let bytes = end.checked_sub(begin).filter(|_| end <= data);
        let bytes = bytes.ok_or_else(|| format!("its data lies from {begin} to {end}, of {data} bytes of data"))?;
        let numbers = self.shape.iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
        match (width(&self.dtype), numbers) {
            (_, None) => Err("its shape is beyond any file".to_owned()),
            (Some(width), Some(numbers)) if numbers.checked_mul(width) != Some(bytes) => {
                Err(format!("its shape and type do not come to {bytes} bytes"))
            }
            (Some(_) | None, Some(_)) => Ok(bytes),
        }
    }
}

struct Tensors<'a, F> {
    data: u64,
    each: &'a mut F,
}

impl<'de, F: FnMut(Entry<'_>)> DeserializeSeed<'de> for Tensors<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Entry<'_>)> Visitor<'de> for Tensors<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a member for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let tensor: Tensor = map.next_value()?;
            let bytes = tensor.bytes(self.data).map_err(|why| A::Error::custom(format!("tensor `{name}`: {why}")))?;
            (self.each)(Entry { name: &name, bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn sizes(bytes: &[u8]) -> Result<Vec<(String, u64)>, SafetensorsError> {
        let mut all = Vec::new();
        read(Cursor::new(bytes), |entry| all.push((entry.name.to_owned(), entry.bytes)))?;
        Ok(all)
    }

    const USUAL: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},
        "b":{"dtype":"NEW","shape":[7],"data_offsets":[12,20]}}"#;

    #[test]
    fn tensors_are_read_in_their_order() {
        let found = sizes(&file(USUAL, 20)).expect("a header");
        assert_eq!(found, [("a".to_owned(), 12), ("b".to_owned(), 8)]);
        assert_eq!(sizes(&file("{}", 0)).expect("a header"), []);
    }

    #[test]
    fn what_is_no_header_says_why() {
        let why = |bytes: &[u8]| crate::cause::chain(&sizes(bytes).expect_err("no header"));
        assert_eq!(why(b"short"), "it ends before byte 8, within the length of its header");
        let syntax = why(&file("{\"a\":", 0));
        assert_eq!(syntax, "in the header, from byte 8: EOF while parsing a value at line 1 column 5");
        assert!(why(&[0xFF; 64]).contains("a header of 18446744073709551615 bytes is more than the 56"));
        let of = |member: &str| why(&file(&format!("{{\"x\":{member}}}"), 12));
        for (member, told) in [
            (r#"{"dtype":"F16","shape":[2,3],"data_offsets":[0,13]}"#, "of 12 bytes of data"),
            (r#"{"dtype":"F16","shape":[2,3],"data_offsets":[12,0]}"#, "tensor `x`: its data lies from 12 to 0"),
            (r#"{"dtype":"F32","shape":[2,3],"data_offsets":[0,12]}"#, "do not come to 12 bytes"),
            (r#"{"dtype":"F16","shape":[18446744073709551615,2],"data_offsets":[0,12]}"#, "beyond any file"),
            (r#"{"dtype":"F16","shape":[-1],"data_offsets":[0,12]}"#, "in the header"),
            ("[]", "in the header"),
        ] {
            assert!(of(member).contains(told), "{}", of(member));
        }
        assert!(why(&file(&"[".repeat(4000), 0)).contains("in the header"), "nested without end");
        assert!(why(&file("{} {}", 0)).contains("in the header"), "two of them");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn changed_bytes_never_break_it(changes in prop::collection::vec((0_usize..300, any::<u8>()), 1..6), cut in 0_usize..300) {
            let mut bytes = file(USUAL, 20);
            let length = bytes.len();
            changes.iter().for_each(|(at, byte)| bytes[at % length] = *byte);
            drop(sizes(&bytes[..cut.min(length)]));
            if let Ok(found) = sizes(&bytes) {
                prop_assert!(found.iter().all(|(_, bytes)| *bytes <= length as u64));
            }
        }
    }
}
