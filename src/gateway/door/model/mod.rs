//! Where the body of a request names its model: found while the body comes in, piece by piece, so that no byte is looked
//! at twice and what follows the name need not be waited for.
//!
//! [`Scan`] chooses among [`json`], [`multipart`] and [`form`] by the `Content-Type`; `splice` puts another name in the
//! place of the one that was found. All of it is pure; where the pieces are cut changes nothing.

mod form;
mod json;
mod multipart;
mod scan;
mod splice;

pub use form::in_query;
pub use multipart::{boundary, disposition};
pub use scan::{Progress, Scan, Spotted};
pub use splice::splice;

/// Longest name that is looked for, in bytes as it stands in the body. One that is longer names no service.
const LONGEST: usize = 1024;
