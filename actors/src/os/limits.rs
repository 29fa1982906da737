//! The limit on open descriptors: raised for the runtime, and set back for its children.
//!
//! Two hundred services need some thousand descriptors, more than the usual soft limit of 1024. Children get the
//! original limit back, because programs that use `select` break when descriptors go past 1024.

use std::{io, sync::OnceLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit before it was raised.
static ORIGINAL: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit on open descriptors to the hard one. Children still get the original.
///
/// # Errors
/// When the kernel refuses; the limit is what it was then.
pub fn raise_nofile() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    // Once is enough: a second call finds the raised limit and must not take it for the original.
    if let Some(soft) = limit.current {
        ORIGINAL.get_or_init(|| soft);
    }
    Ok(())
}

/// What children's soft limit has to be set back to, if it was raised here.
pub(super) fn original_nofile() -> Option<u64> {
    ORIGINAL.get().copied()
}

/// Sets the soft limit on open descriptors of this process.
pub(super) fn set_soft_nofile(soft: u64) -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum })?;
    Ok(())
}
