//! The model that is not one: memory that is really there.

use greenroom_actors::units::ByteSize;

/// Smallest page of the platforms that are supported; larger pages are only touched more often.
const PAGE: usize = 4096;

/// Takes `size` bytes and writes to each page of them, so that they count as resident.
pub fn take(size: ByteSize) -> Vec<u8> {
    let mut memory = vec![0; usize::try_from(size.0).unwrap_or(usize::MAX)];
    for page in memory.chunks_mut(PAGE) {
        page[0] = 1;
    }
    memory
}
