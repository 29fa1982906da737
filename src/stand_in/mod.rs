//! The stand-in engine: a program that behaves like an inference engine, well or badly, as its options say.
//!
//! It is what the demo, the tests and the benchmarks supervise, so that none of them needs a GPU or a model file. It
//! is reached as the hidden subcommand `greenroom stand-in`, and can load slowly, hold real memory, answer like
//! llama-server, crash, ignore signals, flood its output, raise a family of processes that hide or come back, and go
//! wrong while it lives on (`faults`).
//!
//! How it works: one thread runs a small loop over signals and deadlines (`life`) and is the only one that ends the
//! process; HTTP, where wanted, lives on a thread of its own (`http`). A member of a family is this same program with
//! fewer options, without HTTP and without tokio, so that a tree of sixty is up in a blink.
//!
//! It must never outdo a real program in badness: all that it does, some engine or wrapper has done.

mod end;
mod family;
mod faults;
mod http;
mod images;
mod job;
mod key;
mod life;
mod options;
mod others;
mod output;
mod picture;
mod vram;
mod websocket;
mod weights;
mod work;

use std::ffi::OsString;

use clap::Parser;

pub use options::{ChildMode, Options};

/// Runs the stand-in with the arguments that follow `stand-in` on the command line; returns the exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    // First of all, before anything is opened: which descriptors did the parent leave open?
    let inherited = output::open_descriptors();
    match Options::try_parse_from(args) {
        Ok(options) => life::run(options, &inherited),
        Err(error) => {
            // A reader that has gone is no reason to fail differently.
            drop(error.print());
            error.exit_code()
        }
    }
}
