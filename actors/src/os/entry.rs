//! Where a binary finds out that it was started as one of Greenroom's own small processes.
//!
//! The launcher, and every application that embeds the runtime, calls [`dispatch`] as the first thing in `main`, before
//! any thread exists. For an ordinary start that costs two comparisons. The runtime starts these processes from
//! `/proc/self/exe`, which is the running program also when its file has been replaced on disk.
//!
//! A binary that never calls [`dispatch`] must not be started as a helper: it would run the whole application again.
//! So [`helper`] gives no path until [`dispatch`] was called here or another binary was named.

use std::{
    ffi::OsString,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{exec, guardian};

/// First argument of a process that enters a hold and becomes a service's program.
pub(crate) const EXEC: &str = "__exec";
/// First argument of the guardian.
pub(crate) const GUARDIAN: &str = "__guardian";
/// First argument of a process that does nothing until its standard input ends; containments are probed with it.
pub(crate) const PROBE: &str = "__probe";

/// The running program, whatever has become of its file.
const SELF: &str = "/proc/self/exe";

static HELPER: OnceLock<PathBuf> = OnceLock::new();

/// Runs the small process that `args` (without the program's own name) ask for and gives the exit code to end with;
/// `None` when this is an ordinary start.
#[must_use]
pub fn dispatch(args: &[OsString]) -> Option<i32> {
    match args.first().and_then(|first| first.to_str()) {
        Some(EXEC) => Some(exec::run(args.get(1..).unwrap_or_default())),
        Some(GUARDIAN) => Some(guardian::process::run(args.get(1..).unwrap_or_default())),
        Some(PROBE) => Some(wait_for_end_of_input()),
        _ => {
            // Whoever was first decides: a binary that was named before stays.
            HELPER.get_or_init(|| PathBuf::from(SELF));
            None
        }
    }
}

/// Names another binary than this one for the small processes: one whose `main` begins with [`dispatch`].
///
/// # Errors
/// Gives the path back when one has been named already, or [`dispatch`] was called.
pub fn set_helper(binary: PathBuf) -> Result<(), PathBuf> {
    HELPER.set(binary)
}

/// The binary to start small processes from.
///
/// # Errors
/// When nothing guarantees that it would become one, see the module's text.
pub fn helper() -> io::Result<&'static Path> {
    let missing =
        "this program does not call `guardian::init()` first thing in `main`, and no greenroom binary is named";
    HELPER.get().map(PathBuf::as_path).ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, missing))
}

/// Reads and drops standard input; ends with whoever holds its other end.
fn wait_for_end_of_input() -> i32 {
    let mut buffer = [0; 64];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return 0,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return 1,
        }
    }
}
