//! Every key of the configuration, in one table: what it takes, its default, what it does.
//!
//! Strict checking, "did you mean", defaults, `config show --effective` and the reference in `docs/configuration.md`
//! all read this table and nothing else, so they cannot disagree. A key's path may have `*` for a name that the user
//! chooses. The order of the table is the order in which people see the keys. Pure.

mod gateway;
mod job;
mod key;
mod lookup;
mod markdown;
mod operations;
mod remote;
mod resources;
mod runtime;
mod service;

pub use key::{Field, Key, Kind};
pub use lookup::{Found, children, keys, lookup, rank};
pub use markdown::reference;
