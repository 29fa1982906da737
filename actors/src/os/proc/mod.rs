//! Processes as `/proc` shows them.
//!
//! [`stat()`] is what the kernel says of one in numbers, [`command`] and its neighbours what is told of it besides,
//! [`ProcessIdentity`] its name for good, [`tree()`] and [`table`] who descends from whom, and [`anonymous_bytes`] what
//! several hold together. Everything here is a look that may be out of date when it is read: whoever sends a signal holds
//! a pidfd and looks again (see [`super::pidfd`]).

mod about;
mod file;
mod identity;
mod memory;
mod stat;
mod tree;

pub use about::{any_variable, command, is_same_user};
pub use identity::{ProcessIdentity, boot_id};
pub use memory::{anonymous_bytes, resident_bytes};
pub use stat::{Stat, stat};
pub use tree::{all, ancestors, children, descendants, table, tree};
pub(super) use tree::{listed_children, lists_children};
