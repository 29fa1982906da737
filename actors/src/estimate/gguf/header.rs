//! A whole header: metadata and the table of tensors.

use std::io::{Read, Seek};

use super::{
    kinds::{TensorKind, bytes_of},
    metadata::{LEAST_ENTRY, MOST_ENTRIES, Metadata},
    walk::{GgufError, Walk, Wrong},
};

/// Tensors that are looked at; the largest models have some thousands.
const MOST_TENSORS: u64 = 65_536;
/// The least a tensor takes in the table: the length of its name, dimensions, type, offset.
const LEAST_TENSOR: u64 = 24;
/// Longest name; ggml's own bound is 64.
const LONGEST_NAME: u64 = 256;
/// Dimensions at most (`GGML_MAX_DIMS`).
const MOST_DIMENSIONS: u32 = 4;
/// Where tensors begin, in multiples of bytes, if the file does not say.
const ALIGNMENT: u64 = 32;

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, like `blk.0.attn_q.weight`.
    pub name: String,
    /// Its dimensions, the fastest-changing one first.
    pub shape: Vec<u64>,
    /// The type of its numbers.
    pub kind: TensorKind,
    /// Where its data begins, in bytes from the start of the file.
    pub begins: u64,
    /// What its data takes. Of a type that is not known here: up to where the next one begins.
    pub bytes: u64,
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Words and numbers.
    pub metadata: Metadata,
    /// Tensors in the order of the table.
    pub tensors: Vec<Tensor>,
}

impl Header {
    /// Reads a header. This is what a fuzzer should be pointed at.
    ///
    /// # Errors
    /// When it is none, contradicts itself or its file, or cannot be read.
    pub fn read(source: impl Read + Seek) -> Result<Self, GgufError> {
        let (mut walk, tensors, metadata) = begin(source)?;
        let tensors = table(&mut walk, tensors, &metadata)?;
        Ok(Self { metadata, tensors })
    }

    /// Reads the metadata alone: also of a file whose tensors are not all there.
    ///
    /// # Errors
    /// As above.
    pub fn metadata(source: impl Read + Seek) -> Result<Metadata, GgufError> {
        begin(source).map(|(_, _, metadata)| metadata)
    }
}

fn begin<S: Read + Seek>(source: S) -> Result<(Walk<S>, u64, Metadata), GgufError> {
    let mut walk = Walk::new(source)?;
    if walk.size() < 4 || &walk.array::<4>()? != b"GGUF" {
        return Err(GgufError { at: 0, wrong: Wrong::NotGguf });
    }
    let mut version = walk.u32()?;
    if version.swap_bytes() <= 3 && version > 3 {
        version = version.swap_bytes();
        walk.swap();
    }
    if !(2..=3).contains(&version) {
        return Err(walk.error(Wrong::Version(version)));
    }
    let tensors = walk.count("tensors", LEAST_TENSOR, MOST_TENSORS)?;
    let entries = walk.count("metadata entries", LEAST_ENTRY, MOST_ENTRIES)?;
    let metadata = Metadata::read(&mut walk, entries)?;
    Ok((walk, tensors, metadata))
}

fn table<S: Read + Seek>(walk: &mut Walk<S>, count: u64, metadata: &Metadata) -> Result<Vec<Tensor>, GgufError> {
    let alignment = metadata.number("general.alignment").filter(|n| n.is_power_of_two()).unwrap_or(ALIGNMENT);
    // No capacity in advance: each entry has to be there before it takes memory.
    let mut tensors = Vec::new();
    for _ in 0..count {
        tensors.push(tensor(walk)?);
    }
    let data = walk.at().checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    let size = walk.size();
    for tensor in &mut tensors {
        tensor.begins = tensor.begins.saturating_add(data);
    }
    let mut begins: Vec<u64> = tensors.iter().map(|tensor| tensor.begins).collect();
    begins.sort_unstable();
    for tensor in &mut tensors {
        let numbers = tensor.shape.iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
        let numbers = numbers.ok_or_else(|| walk.error(Wrong::Overflow(tensor.name.clone())))?;
        tensor.bytes = bytes_of(tensor.kind, numbers).unwrap_or_else(|| {
            let next = begins.partition_point(|begin| *begin <= tensor.begins);
            begins.get(next).copied().unwrap_or(size).saturating_sub(tensor.begins)
        });
        let end = tensor.begins.saturating_add(tensor.bytes);
        if end > size {
            return Err(walk.error(Wrong::CutShort { name: tensor.name.clone(), end, size }));
        }
    }
    Ok(tensors)
}

fn tensor<S: Read + Seek>(walk: &mut Walk<S>) -> Result<Tensor, GgufError> {
    let name = walk.text("bytes of a tensor's name", LONGEST_NAME)?;
    let dimensions = walk.u32()?;
    walk.bounded("dimensions of a tensor", dimensions.into(), 8, MOST_DIMENSIONS.into())?;
    let shape = (0..dimensions).map(|_| walk.u64()).collect::<Result<_, _>>()?;
    let kind = TensorKind(walk.u32()?);
    Ok(Tensor { name, shape, kind, begins: walk.u64()?, bytes: 0 })
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
