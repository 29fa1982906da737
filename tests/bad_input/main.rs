//! Bad input: each a clear error with file, line, service and remedy; never a panic.

#[path = "../common/mod.rs"]
mod common;
mod config;
mod programs;
mod state_dir;
