//! Another name in the place of the one that was found.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Spotted;

/// The pieces of a body with `name` in the place of the one that was spotted in them. Nothing else is copied. Also gives
/// by how many bytes the body has grown.
#[must_use]
pub fn splice(pieces: VecDeque<Bytes>, spotted: &Spotted, name: &str) -> (VecDeque<Bytes>, i64) {
    let (begin, end) = (spotted.at.start, spotted.at.end);
    let mut named = Some(Bytes::from(spotted.written.write(name)));
    let grown = named.as_ref().map_or(0, Bytes::len) as i64 - (end - begin) as i64;
    let mut spliced = VecDeque::with_capacity(pieces.len() + 2);
    let mut at = 0;
    for piece in pieces {
        // Of this piece, what stands before the old name and behind it.
        let cut = |place: usize| place.saturating_sub(at).min(piece.len());
        let (before, behind) = (piece.slice(..cut(begin)), piece.slice(cut(end)..));
        at += piece.len();
        spliced.extend((!before.is_empty()).then_some(before));
        if at >= end {
            spliced.extend(named.take());
        }
        spliced.extend((!behind.is_empty()).then_some(behind));
    }
    (spliced, grown)
}
