//! How an application lets itself be started as the guardian and the other helper processes.
//!
//! A process that outlives the runtime ends what a killed runtime leaves. The runtime starts it from the application's
//! own binary, which must recognise that: [`init`].

use std::path::PathBuf;

use greenroom_actors::os::entry;

/// Where the guardian and the other helper processes come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Guardian {
    /// From this very program, which calls [`init`] as the first thing in `main`.
    #[default]
    SelfExec,
    /// From a `greenroom` binary, or another one whose `main` begins with [`init`]. It serves every runtime of this
    /// process from then on. A relative path is looked for below the current folder.
    Binary(PathBuf),
    /// As [`SelfExec`](Self::SelfExec), but where no guardian can be started, or process trees cannot be held safely, the
    /// runtime starts all the same: what it leaves when it is killed is then ended at the next start with the same state
    /// dir. As `runtime.guardian = "best_effort"`.
    BestEffort,
}

/// To be called as the first thing in `main`, before any thread exists and before anything is read or opened. In an
/// ordinary start it looks at the first argument and returns. In a process that the runtime has started as one of its
/// helpers it does the helper's work and ends the process.
///
/// ```no_run
/// fn main() {
///     greenroom::guardian::init();
///     // The application begins here.
/// }
/// ```
#[allow(clippy::needless_doctest_main, reason = "that it stands in `main` is the point")]
pub fn init() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = entry::dispatch(&args) {
        #[allow(
            clippy::disallowed_methods,
            reason = "this process is a helper and nothing of the application runs in it"
        )]
        std::process::exit(code);
    }
}
