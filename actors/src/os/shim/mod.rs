//! Shims: one small process per run that holds a process tree where no cgroup can, or where a run outlives its runtime.
//!
//! A shim is born by the guardian as a copy of itself (a fork, so that its memory is shared), takes every orphan of its
//! tree (`PR_SET_CHILD_SUBREAPER`, or by being the first process of a pid namespace), starts what it is told to over a
//! socket, and ends the tree when it is told to or its runtime dies: it kills until `waitpid` says that there is nobody
//! left, which proves that nothing is.
//!
//! One thread, no executor, every signal blocked. What goes over the socket is in [`wire`]; the shim's own side is
//! `process`, which does what `course` decides, and the runtime's is [`link`].

mod book;
pub(in crate::os) mod children;
mod course;
pub(in crate::os) mod fork;
pub(in crate::os) mod keeper;
pub mod link;
mod namespace;
pub(in crate::os) mod newborn;
pub mod nursery;
mod process;
pub(in crate::os) mod pump;
pub mod socket;
pub(in crate::os) mod tree;
pub mod wire;
