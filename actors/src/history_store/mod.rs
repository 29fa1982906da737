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
//! Without the Cargo feature `history` there is no SQLite in the program, and `forgetful` stands for all of this.
//!
//! It must never make a sender wait, panic over what a disk does, or acknowledge what is not on disk.

#[cfg(feature = "history")]
mod actor;
#[cfg(feature = "history")]
mod backlog;
#[cfg(feature = "history")]
mod bus;
#[cfg(feature = "history")]
mod database;
#[cfg(feature = "history")]
mod fault;
#[cfg(feature = "history")]
mod files;
#[cfg(not(feature = "history"))]
mod forgetful;
pub mod messages;
#[cfg(feature = "history")]
mod migrations;
#[cfg(feature = "history")]
mod offline;
#[cfg(feature = "history")]
mod query;
#[cfg(feature = "history")]
mod reader;
#[cfg(feature = "history")]
mod retention;
#[cfg(feature = "history")]
mod schema;
#[cfg(feature = "history")]
mod sink;
#[cfg(feature = "history")]
mod start;
#[cfg(feature = "history")]
mod store;
#[cfg(feature = "history")]
mod writer;

#[cfg(feature = "history")]
pub use actor::HistoryStore;
#[cfg(feature = "history")]
pub use database::Trouble;
#[cfg(feature = "history")]
pub use offline::append_shutdown_report;
#[cfg(feature = "history")]
pub use query::MOST_ROWS;
#[cfg(feature = "history")]
pub use reader::{HistoryError, HistoryReader};
#[cfg(feature = "history")]
pub use sink::HistorySink;
#[cfg(feature = "history")]
pub use start::History;

#[cfg(not(feature = "history"))]
pub use forgetful::{
    History, HistoryError, HistoryReader, HistorySink, HistoryStore, MOST_ROWS, append_shutdown_report,
};
