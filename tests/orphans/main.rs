//! No orphan, whatever a child did and however the runtime ended.

#[path = "../common/mod.rs"]
mod common;
mod families;
mod guardian;
mod killed;
mod random;
mod shims;
mod stop;
