//! llama-swap's configuration turned into one of Greenroom.
//!
//! The file is parsed with its places (`parse`), its merge keys and macros are resolved (`yaml`, `macros`), and each
//! part becomes a section (`service` with its `place`, `group`, `global`, `peer`, put together by `whole`). What has no counterpart is
//! told line by line (`notes`) with what to do instead: nothing is dropped without a word.
//!
//! Facts about llama-swap: its `config.example.yaml`, `config-schema.json` and `internal/config/*.go`
//! (github.com/mostlygeek/llama-swap, August 2026).
//!
//! What it must never do: start anything, show a variable's value, write a configuration that Greenroom itself refuses
//! for its form, or panic, whatever the file.

mod command;
mod global;
mod group;
mod macros;
mod notes;
mod peer;
mod place;
mod read;
mod section;
mod service;
mod taken;
mod whole;
mod yaml;

pub use notes::Told;
pub use read::import_llama_swap;
pub use whole::Imported;
