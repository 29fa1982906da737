//! `job`: work that is queued, from its submission to what it has made.
//!
//! `args` has what can be written, `run` carries it out, `submit` sends a job and its files, `wait` follows one to its
//! outcome, `fetch` brings what it has made, `find` says which job is meant. `show` and `bar` make the text, and are pure.

mod args;
mod bar;
mod fetch;
mod find;
mod run;
mod show;
mod submit;
mod wait;

pub use args::JobCommand;
pub use run::run;
pub use show::{counted, history};
