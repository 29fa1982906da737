//! Starting one process inside its hold.
//!
//! The program that is spawned is this very binary with `__exec`, which enters the hold, checks that the runtime still
//! lives, and becomes the service's program under the same pid (see [`crate::os::exec`]). No `pre_exec`, so that a
//! large embedding application pays for no copy of its page tables.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::fs::{Access, access};
use tokio::process::Command;

use super::{entry, limits, pidfd, running::Running, shim::link::LinkError};
use crate::ids::Pid;

/// What to start.
#[derive(Debug)]
pub struct SpawnRequest {
    /// Program and arguments, every hole filled. Never empty.
    pub command: Vec<String>,
    /// The child's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub working_dir: PathBuf,
}

/// A started process.
#[derive(Debug)]
pub struct Spawned {
    /// Its output and its exit status.
    pub running: Running,
    /// Readable once the process has ended. Opened before anybody could have reaped it.
    pub pidfd: OwnedFd,
    /// Its id; 0 when it had ended, in a namespace of its own, before it could be looked up.
    pub pid: Pid,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program is not there or is not executable.
    #[error("cannot run `{program}`: {why}")]
    Program {
        /// As it was written.
        program: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The working directory is not there.
    #[error("the working directory {} does not exist or cannot be entered", .0.display())]
    WorkingDir(PathBuf),
    /// The kernel refused (out of processes, out of memory, ...).
    #[error("cannot start a process")]
    Kernel(#[source] io::Error),
    /// Its shim is not there or could not start it.
    #[error(transparent)]
    Shim(#[from] LinkError),
}

/// Says what is wrong with a request before anything is started for it.
///
/// # Errors
/// See [`SpawnError`]; only those about the program and its folder.
pub fn check(request: &SpawnRequest) -> Result<(), SpawnError> {
    let program = request.command.first().ok_or_else(no_program)?;
    if !request.working_dir.is_dir() || access(&request.working_dir, Access::EXEC_OK).is_err() {
        return Err(SpawnError::WorkingDir(request.working_dir.clone()));
    }
    let path = request.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let found = find_program(program, path, &request.working_dir, look_at);
    found.map(drop).map_err(|why| SpawnError::Program { program: program.clone(), why })
}

fn no_program() -> SpawnError {
    SpawnError::Program { program: String::new(), why: "the command is empty" }
}

/// Starts a process in its hold. Standard input is `/dev/null`, output and errors are pipes; no other descriptor is
/// inherited. `enter` are the options for `__exec` that make it enter its hold. To be called inside a tokio runtime.
///
/// # Errors
/// See [`SpawnError`]; nothing was started then.
pub fn spawn(request: &SpawnRequest, enter: &[OsString]) -> Result<Spawned, SpawnError> {
    check(request)?;
    let Some((program, arguments)) = request.command.split_first() else { return Err(no_program()) };
    let mut command = Command::new(entry::helper().map_err(SpawnError::Kernel)?);
    command.arg(entry::EXEC).args(enter).arg("--runtime").arg(std::process::id().to_string());
    if let Some(soft) = limits::original_nofile() {
        command.arg("--nofile").arg(soft.to_string());
    }
    command.arg("--").arg(program).args(arguments);
    command.env_clear().envs(request.env.iter().map(|(name, value)| (name, value))).current_dir(&request.working_dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(false);
    let mut child = command.spawn().map_err(SpawnError::Kernel)?;
    match own_pidfd(&child) {
        Ok((pid, pidfd)) => Ok(Spawned { running: Running::child(child), pidfd, pid }),
        Err(error) => {
            // Without a pidfd its end could not be seen. It is in `__exec` still, or in the hold, which the caller ends.
            drop(child.start_kill());
            Err(SpawnError::Kernel(error))
        }
    }
}

fn own_pidfd(child: &tokio::process::Child) -> io::Result<(Pid, OwnedFd)> {
    // Nobody has waited for it yet, so there is an id and it is still its own.
    let pid = Pid(child.id().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?);
    Ok((pid, pidfd::open(pid)?))
}

/// What is at a path where a program is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing, or nothing that can be looked at.
    Nothing,
    /// A folder.
    Folder,
    /// A file that this user may not execute.
    NotExecutable,
    /// A file that may be executed.
    Program,
}

pub(super) fn look_at(path: &Path) -> Seen {
    match std::fs::metadata(path) {
        Err(_) => Seen::Nothing,
        Ok(found) if found.is_dir() => Seen::Folder,
        Ok(_) if access(path, Access::EXEC_OK).is_err() => Seen::NotExecutable,
        Ok(_) => Seen::Program,
    }
}

/// Where `exec` will find a program: a name with a slash is a path (from the working directory), any other is looked
/// up in the child's `PATH`. Says what is wrong when it is nowhere. Pure but for `look`.
pub(super) fn find_program(
    program: &str,
    path: Option<&OsStr>,
    working_dir: &Path,
    look: impl Fn(&Path) -> Seen,
) -> Result<PathBuf, &'static str> {
    if program.is_empty() {
        return Err("the program's name is empty");
    }
    if program.contains('/') {
        let file = working_dir.join(program);
        return match look(&file) {
            Seen::Program => Ok(file),
            Seen::Nothing => Err("there is no such file"),
            Seen::Folder => Err("it is a directory"),
            Seen::NotExecutable => Err("the file is not executable (chmod +x would make it so)"),
        };
    }
    // What the C library takes where PATH is not set.
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut not_executable = false;
    for folder in std::env::split_paths(path) {
        let file = working_dir.join(folder).join(program);
        match look(&file) {
            Seen::Program => return Ok(file),
            Seen::NotExecutable => not_executable = true,
            Seen::Nothing | Seen::Folder => {}
        }
    }
    if not_executable { Err("what PATH has under that name is not executable") } else { Err("it is not found on PATH") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &Path) -> Seen {
        match path.to_str() {
            Some("/usr/bin/tool" | "/srv/rel/run.sh" | "/bin/sh" | "/srv/rel/tool2") => Seen::Program,
            Some("/opt/tool" | "/opt/data") => Seen::NotExecutable,
            Some("/srv/bin") => Seen::Folder,
            _ => Seen::Nothing,
        }
    }

    fn find(program: &str, path: Option<&str>) -> Result<PathBuf, &'static str> {
        find_program(program, path.map(OsStr::new), Path::new("/srv"), disk)
    }

    #[test]
    fn a_plain_name_is_looked_up_in_the_childs_path() {
        assert_eq!(find("tool", Some("/opt:/usr/bin")), Ok("/usr/bin/tool".into()));
        assert_eq!(find("tool2", Some("rel")), Ok("/srv/rel/tool2".into()));
        assert_eq!(find("sh", None), Ok("/bin/sh".into()));
        assert_eq!(find("data", Some("/opt")), Err("what PATH has under that name is not executable"));
        assert_eq!(find("absent", Some("/opt:/usr/bin")), Err("it is not found on PATH"));
    }

    #[test]
    fn a_name_with_a_slash_is_a_path_from_the_working_directory() {
        assert_eq!(find("rel/run.sh", None), Ok("/srv/rel/run.sh".into()));
        assert_eq!(find("./absent.sh", None), Err("there is no such file"));
        assert_eq!(find("/usr/bin/tool", None), Ok("/usr/bin/tool".into()));
        assert_eq!(find("/srv/bin", None), Err("it is a directory"));
        assert_eq!(find("/opt/tool", None), Err("the file is not executable (chmod +x would make it so)"));
    }
}
