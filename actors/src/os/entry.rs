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
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::unistd::{AccessFlags, access, setsid};

use super::{clock, exec, guardian};

/// First argument of a process that enters a hold and becomes a service's program.
pub(crate) const EXEC: &str = "__exec";
/// First argument of the guardian.
pub(crate) const GUARDIAN: &str = "__guardian";
/// First argument of a process that does nothing until its standard input ends; containments are probed with it. With
/// `--tree SECONDS` it is two processes, of which one leaves the other's session, and both end by themselves after that.
pub(crate) const PROBE: &str = "__probe";

/// The running program, whatever has become of its file.
const SELF: &str = "/proc/self/exe";

/// The binary that was named, if one was.
static NAMED: OnceLock<PathBuf> = OnceLock::new();
/// Whether this program has called [`dispatch`], so that it may be started as a helper itself.
static DISPATCHES: AtomicBool = AtomicBool::new(false);

/// A binary that cannot be the helper.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// One binary serves all runtimes of a process.
    #[error("the helper processes come from {} already, and not from {}: one binary serves all runtimes of a process", named.display(), asked.display())]
    Another {
        /// The one that serves.
        named: PathBuf,
        /// The one that was to.
        asked: PathBuf,
    },
    /// It is not there, or no program.
    #[error("the helper processes cannot be started from {}", .0.display())]
    NotExecutable(PathBuf, #[source] io::Error),
}

/// Runs the small process that `args` (without the program's own name) ask for and gives the exit code to end with;
/// `None` when this is an ordinary start.
#[must_use]
pub fn dispatch(args: &[OsString]) -> Option<i32> {
    match args.first().and_then(|first| first.to_str()) {
        Some(EXEC) => Some(exec::run(args.get(1..).unwrap_or_default())),
        Some(GUARDIAN) => Some(guardian::process::run(args.get(1..).unwrap_or_default())),
        Some(PROBE) => Some(be_probed(args.get(1..).unwrap_or_default())),
        _ => {
            DISPATCHES.store(true, Ordering::Release);
            None
        }
    }
}

/// Names another binary than this one for the small processes: one whose `main` begins with [`dispatch`]. It serves every
/// runtime of this process from then on.
///
/// # Errors
/// When another one has been named already, or it cannot be executed; nothing has changed then.
pub fn set_helper(binary: PathBuf) -> Result<(), HelperError> {
    if let Some(named) = NAMED.get()
        && *named != binary
    {
        return Err(HelperError::Another { named: named.clone(), asked: binary });
    }
    if let Err(error) = executable(&binary) {
        return Err(HelperError::NotExecutable(binary, error));
    }
    if *NAMED.get_or_init(|| binary.clone()) == binary {
        return Ok(());
    }
    let named = NAMED.get().cloned().unwrap_or_default();
    Err(HelperError::Another { named, asked: binary })
}

fn executable(binary: &Path) -> io::Result<()> {
    if binary.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(binary, AccessFlags::X_OK)?)
}

/// The binary to start small processes from.
///
/// # Errors
/// When nothing guarantees that it would become one, see the module's text.
pub fn helper() -> io::Result<&'static Path> {
    let missing =
        "this program does not call `guardian::init()` first thing in `main`, and no greenroom binary is named";
    let own = DISPATCHES.load(Ordering::Acquire).then_some(Path::new(SELF));
    NAMED.get().map(PathBuf::as_path).or(own).ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, missing))
}

fn be_probed(args: &[OsString]) -> i32 {
    let Some([kind, seconds]) = args.first_chunk::<2>() else { return wait_for_end_of_input() };
    let Some(life) = seconds.to_str().and_then(|text| text.parse().ok()) else { return 2 };
    if kind == "--tree" {
        let mut leaf = Command::new(SELF);
        leaf.arg(PROBE).arg("--leaf").arg(seconds).stdin(Stdio::null());
        // Dropping it leaves it alone.
        if leaf.spawn().is_err() {
            return 1;
        }
    } else {
        // Fails only for one that leads a session already.
        setsid().ok();
    }
    clock::pause(Duration::from_secs(life));
    0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_cannot_be_executed_is_refused_and_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("no-program");
        for (path, why) in [(file.clone(), "No such file"), (folder.path().to_owned(), "directory")] {
            let error = set_helper(path).expect_err("no program");
            assert!(crate::cause::chain(&error).contains(why), "{error}");
        }
        std::fs::write(&file, "").expect("written");
        assert!(matches!(set_helper(file), Err(HelperError::NotExecutable(..))));
        assert_eq!(NAMED.get(), None);
    }
}
