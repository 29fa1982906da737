//! How the stand-in ends badly.

use nix::sys::signal::{Signal, raise};

use super::output;

/// The end that `--signal` and `--exit-code` ask for. Returns the exit status, if no signal ended the process before.
pub fn crash(signal: Option<Signal>, exit_code: i32) -> i32 {
    if let Some(signal) = signal {
        // Twice: the first SIGSEGV goes to the handler by which Rust reports a stack overflow, which then takes itself
        // away.
        for _ in 0..2 {
            if let Err(error) = raise(signal) {
                output::complain(&format!("cannot raise {signal}: {error}"));
            }
        }
    }
    exit_code
}
