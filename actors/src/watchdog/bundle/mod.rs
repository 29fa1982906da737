//! Diagnostic bundles: one archive with all that somebody needs who was not there. Nothing secret is in it.
//!
//! [`Bundler`] takes wishes, of whoever judges and of people, and has them carried out one at a time on a thread of its own:
//! a disk that hangs holds up nobody. [`TreeShot`] is what has to be looked at before anything is ended; everything else
//! is gathered afterwards. [`write_archive`] makes one archive, with a runtime or, from what lies on disk, without.
//!
//! Each part is bounded in size and in time. One that cannot be had is a line in `SUMMARY.md`, never a failure. Every byte
//! goes through [`Secrets`] on its way out.
//!
//! The rooms: `tar`, `name`, `desk`, `secrets`, `forms`, `values`, `summary`, `runbook` and `process` decide and format (pure);
//! `tree`, `commands`, `system`, `parts`, `job_logs` and `running` look; `archive` writes; `bundler` has the thread.

mod archive;
mod bundler;
mod commands;
mod desk;
mod forms;
mod job_logs;
mod lines;
mod name;
mod parts;
mod process;
mod runbook;
mod running;
mod secrets;
mod source;
mod summary;
mod system;
mod tar;
mod tree;
mod values;
mod within;

pub use archive::{BundleError, write_archive};
pub use bundler::{Bundler, folder};
pub use name::{file_name, is_file_name};
pub use secrets::Secrets;
pub use source::{ConfigText, Running, Shown, Source};
pub use tree::TreeShot;
