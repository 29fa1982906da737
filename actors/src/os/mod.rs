//! The operating system behind narrow traits: spawning, holding and ending process trees, and looking at them.
//!
//! Nothing in here decides. Actors say what they want; this says what came of it. Three parts belong together:
//!
//! - **Starting**: [`spawn`] starts this very binary as [`exec`], which enters its [`containment`] and becomes the
//!   service's program. [`entry`] is where a binary recognises that it was started that way.
//! - **Ending**: a [`containment::Hold`] ends one tree, the [`guardian`] ends all of them when the runtime was killed,
//!   and [`sweep`] ends what even that left, by what [`registry`] and [`roots`] have on disk.
//! - **Looking**: [`proc`], [`pidfd`], [`ports`], [`doctor`] and [`audit`].
//!
//! A process id alone is never trusted: signals go through pidfds, and identities carry boot id and start time.

pub mod audit;
pub mod clock;
pub mod containment;
pub mod doctor;
pub mod entry;
pub mod environment;
pub mod exec;
mod exec_request;
pub mod gpu;
pub mod guardian;
pub mod host;
pub mod keep;
mod leftovers;
pub mod limits;
pub mod memory;
pub mod notify_socket;
pub mod pidfd;
pub mod ports;
pub mod proc;
pub mod registry;
pub mod roots;
pub mod running;
pub mod service_log;
pub mod shim;
pub mod spawn;
pub mod state_dir;
pub mod sweep;
pub mod vitals;
