//! The configuration from the outside: files on disk, layers, places, what is refused and how it is said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cleanup;
mod engines;
mod files;
mod folder;
mod gateway;
mod hostile;
mod import;
mod jobs;
mod layers;
mod memory;
mod problems;
mod remotes;
mod service_doors;
mod values;
mod watchdog;
