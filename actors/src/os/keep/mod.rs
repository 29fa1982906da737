//! Runs that outlive their runtime (`stop.on_runtime_exit = "keep"`), and how the next runtime takes them over.
//!
//! Such a run has a shim that does not watch the runtime (see [`crate::os::shim`]). It writes the log itself, notes how
//! the run ended ([`record`]), and listens on a socket in the state dir ([`handover`]). In the cgroup layer its tree and
//! its shim live in cgroups outside of the runtime's own unit ([`place`]), so that whoever ends the unit spares them.
//!
//! At its start, before the sweep, a runtime looks at every run that the registry names as kept ([`find`]). It takes one
//! over only if everything about its identity fits (`verdict`) and its configuration is the same ([`fingerprint`]). One
//! whose configuration has changed is ended in order. Everything else is left to the sweep, which spares nothing but
//! what was found sound (`spared`).
//!
//! Never: a process signalled by its id alone, or taken over on a doubt.

mod ending;
mod find;
mod fingerprint;
pub mod handover;
pub mod place;
pub mod record;
pub(in crate::os) mod sight;
pub(in crate::os) mod spared;
mod verdict;

pub use find::{Adoptable, Doubt, EndedRun, FindError, Found, find};
pub use fingerprint::fingerprint;
pub use spared::{KeptProcess, kept_now};
