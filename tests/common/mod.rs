//! What the integration tests share: a runtime of their own per test, looked at from outside only.
//!
//! A test says what to supervise, starts the real binary in a folder of its own, and looks at processes, files, the
//! command line and the control socket. Whatever happens, [`Greenroom`] leaves nothing behind when it is dropped.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses a part of it")]

pub mod architectures;
pub mod checkpoint;
mod cli;
pub mod diffusion;
pub mod fetched;
pub mod gguf;
mod greenroom;
mod http;
pub mod jobs;
mod layer;
pub mod llama;
pub mod nvml;
mod ports;
mod processes;
mod programs;
mod seen;
mod wait;
pub mod watch;
pub mod websocket;
mod webui;

pub use cli::Cli;
pub use greenroom::{BIN, Greenroom};
pub use http::{Answer, EventReader, Http, Pending, SseEvent, read_answer, read_request};
pub use layer::Layer;
pub(crate) use layer::{in_every_layer, with_shims};
pub use processes::{
    Process, alive, carrying, catches_term, descriptors, ended, kill_all, pss, signal, taken, threads,
};
pub use programs::write_program;
pub use wait::{BOUND, note, pause, random, stopwatch, timed, wait_for, wait_until};
pub use webui::image_job;
