//! The command line: one file per command, each a thin layer over the library, the control socket or the files of a
//! state dir.
//!
//! [`main`] parses, runs the command and gives back the exit code; ending the process is the launcher's. Commands
//! answer a `Failure` instead of printing errors, so that each ends in one place as a sentence (or as JSON) with the
//! right code. What is shown is made by pure functions from views, and only `terminal` writes.

mod args;
mod ask;
mod bundle;
mod bundle_config;
mod check;
mod client;
mod columns;
mod completions;
mod config_show;
mod control;
mod delegate;
mod demo;
mod detach;
mod dispatch;
mod doctor;
mod estimate;
mod events;
mod failure;
mod follow;
mod gpus;
mod history;
mod import;
mod init;
mod interrupt;
mod job;
mod logs;
mod outlook;
mod past;
mod place;
mod plan;
mod progress;
mod reload;
mod remotes;
mod requests;
mod run;
mod seen;
mod seen_memory;
mod shutdown;
mod status;
mod swaps;
mod sweep;
mod table;
mod target;
mod terminal;
mod waves;
mod why;
mod wrap;

pub use dispatch::main;
