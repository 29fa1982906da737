//! The history: what happened, in SQLite, on its own thread.
//!
//! Everybody hands [`Record`](messages::Record)s to a [`HistorySink`] and never waits, or asks for an acknowledgement
//! and waits for that. The store writes everything that has gathered in its mailbox in one transaction, and
//! acknowledges once it is on disk (group commit; WAL, `synchronous = FULL`): what was acknowledged survives `kill -9`.
//! Rows have keys of their own, so writing one twice leaves one.
//!
//! A database that cannot be written never stops supervision. A damaged one is set aside and a fresh one made; with a
//! full disk, a read-only folder or a locked file, records wait in memory up to a bound and are tried again. Both are
//! said in the log and as `alert.raised`. A database of another program, or of a newer Greenroom, is left alone.
//!
//! The rooms: `schema` and `migrations` are the shape of the file; `fault` and `backlog` decide (pure); `files` looks
//! at the file from outside; `database` is an open file; `store` decides what becomes of records; `actor`, `sink`,
//! `bus` and `start` connect it to the runtime; `query`, `reader` and `offline` work without one.
//!
//! It must never make a sender wait, panic over what a disk does, or acknowledge what is not on disk.

mod actor;
mod backlog;
mod bus;
mod database;
mod fault;
mod files;
pub mod messages;
mod migrations;
mod offline;
mod query;
mod reader;
mod retention;
mod schema;
mod sink;
mod start;
mod store;
mod writer;

pub use actor::HistoryStore;
pub use database::Trouble;
pub use offline::append_shutdown_report;
pub use query::MOST_ROWS;
pub use reader::{HistoryError, HistoryReader};
pub use sink::HistorySink;
pub use start::History;
