//! The state dir: one runtime at a time, whose name is known.
//!
//! The claim is a lock on `runtime.lock`, which the kernel takes back however the runtime ends; so a file that is there
//! without a lock is stale and nothing has to be guessed. Who holds it is written inside, for people. A second lock,
//! `guardian.lock`, is held by the guardian: the next runtime waits until the earlier one's guardian has done its work.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    clock,
    containment::Place,
    pidfd,
    proc::{self, ProcessIdentity},
};
use crate::ids::Pid;

/// The control socket's file name.
pub const SOCKET: &str = "greenroom.sock";
/// The guardian's lock.
pub(super) const GUARDIAN_LOCK: &str = "guardian.lock";
/// The runtime's.
pub(super) const RUNTIME_LOCK: &str = "runtime.lock";

/// Longest path of a unix socket in bytes (`sun_path` is 108 with its closing zero).
pub const MAX_SOCKET_PATH: usize = 107;

/// How long a start waits for the guardian of an earlier runtime. It needs some milliseconds, or gives up on what
/// SIGKILL does not end after ten seconds.
pub const GUARDIAN_WAIT: Duration = Duration::from_secs(15);

/// How long a guardian that is killed for not doing its work may take to go.
const GUARDIAN_END: Duration = Duration::from_secs(2);

/// Why a state dir cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It cannot be made.
    #[error("cannot make the state dir {}; choose another with runtime.state_dir or --state-dir", path.display())]
    NotMade {
        /// The state dir.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing can be written there.
    #[error("cannot write to the state dir {}; choose another with runtime.state_dir or --state-dir", path.display())]
    NotWritable {
        /// The state dir.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The control socket's path would not fit.
    #[error(
        "the state dir {} is too long for a socket: its path may have {} bytes and has {length}; choose a shorter one \
         with runtime.state_dir or --state-dir",
        path.display(),
        MAX_SOCKET_PATH - SOCKET.len() - 1
    )]
    TooLong {
        /// The state dir.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Another runtime is at work there.
    #[error(
        "another runtime{} uses the state dir {}; stop it with `greenroom shutdown`, or choose another state dir",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        path.display()
    )]
    AlreadyRunning {
        /// The state dir.
        path: PathBuf,
        /// That runtime's process, if it has said so.
        pid: Option<Pid>,
    },
    /// The guardian of an earlier runtime does not come to an end, not even by a kill.
    #[error(
        "the guardian of an earlier runtime is still ending its processes in {}; see guardian.log there",
        path.display()
    )]
    GuardianBusy {
        /// The state dir.
        path: PathBuf,
    },
}

/// Names a state dir in cgroup names: 16 hexadecimal digits, the same for the same canonical path on every machine
/// (64-bit FNV-1a).
#[must_use]
pub fn instance(state_dir: &Path) -> String {
    let hash = state_dir
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// Claims state dirs.
#[derive(Debug, Clone, Copy)]
pub struct StateDir;

impl StateDir {
    /// Makes the state dir if need be (0700, with its parents) and claims it for this process. Blocks for at most
    /// [`GUARDIAN_WAIT`] while the guardian of an earlier runtime is at work.
    ///
    /// # Errors
    /// See [`StateDirError`]; [`StateDirError::AlreadyRunning`] comes at once.
    pub fn claim(path: &Path) -> Result<StateDirClaim, StateDirError> {
        Self::claim_within(path, GUARDIAN_WAIT)
    }

    /// As [`Self::claim`], with another bound.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub fn claim_within(path: &Path, wait: Duration) -> Result<StateDirClaim, StateDirError> {
        let not_made = |source| StateDirError::NotMade { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(not_made)?;
        let path = path.canonicalize().map_err(not_made)?;
        if path.join(SOCKET).as_os_str().len() > MAX_SOCKET_PATH {
            let length = path.as_os_str().len();
            return Err(StateDirError::TooLong { path, length });
        }
        let not_writable = |source| StateDirError::NotWritable { path: path.clone(), source };
        let mut lock = open_lock(&path.join(RUNTIME_LOCK)).map_err(not_writable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_owner(&path).ok().flatten().map(|owner| owner.identity.pid);
                return Err(StateDirError::AlreadyRunning { path, pid });
            }
            Err(TryLockError::Error(source)) => return Err(not_writable(source)),
        }
        write_owner(&mut lock).map_err(not_writable)?;
        let claim = StateDirClaim { instance: instance(&path), incarnation: incarnation(), path: path.clone(), lock };
        let guardian = open_lock(&path.join(GUARDIAN_LOCK)).map_err(not_writable)?;
        if !wait_for_guardian(&path, &guardian, wait) {
            return Err(StateDirError::GuardianBusy { path });
        }
        // Let go of again by closing the file: it is for this runtime's guardian.
        Ok(claim)
    }
}

/// Waits until no guardian holds its lock. One that is stopped, or has not come to an end in time, is killed: what it
/// was to end, the sweep that follows ends.
fn wait_for_guardian(state_dir: &Path, lock: &File, wait: Duration) -> bool {
    let free = || lock.try_lock().is_ok();
    let file = state_dir.join(GUARDIAN_LOCK);
    let holder = || read_identity(&file).ok().flatten();
    let stopped = || holder().is_some_and(|one| proc::stat(one.pid).is_ok_and(|stat| matches!(stat.state, 'T' | 't')));
    let mut is_free = false;
    clock::wait_until(wait, || {
        is_free = free();
        is_free || stopped()
    });
    if is_free {
        return true;
    }
    // A failure shows in the lock.
    holder().map(|guardian| pidfd::kill_started_at(guardian.pid, guardian.start_time).ok());
    clock::wait_until(GUARDIAN_END, free)
}

/// A lock file; the standard library opens it close-on-exec, so no child can keep the lock.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Names one start: its time in microseconds and its process. No two starts share it, also after a change of the clock
/// within one boot.
fn incarnation() -> String {
    format!("{:x}_{}", clock::wall().as_micros(), std::process::id())
}

/// The right to be the runtime of a state dir, until it is dropped or the process ends.
#[derive(Debug)]
pub struct StateDirClaim {
    path: PathBuf,
    instance: String,
    incarnation: String,
    lock: File,
}

impl StateDirClaim {
    /// The state dir, canonical.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control socket's path; it fits.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// The names that this start's containment carries.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { state_dir: self.path.clone(), instance: self.instance.clone(), incarnation: self.incarnation.clone() }
    }
}

impl Drop for StateDirClaim {
    fn drop(&mut self) {
        // Nobody owns it any more; should this fail, the name inside is that of a process that has ended.
        drop(self.lock.set_len(0));
    }
}

/// Who was the last to claim a state dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// That process.
    pub identity: ProcessIdentity,
    /// Whether it still lives.
    pub alive: bool,
}

/// Who claims a state dir; `None` when nobody does, or the last one has given it back.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read_owner(state_dir: &Path) -> io::Result<Option<Owner>> {
    let identity = read_identity(&state_dir.join(RUNTIME_LOCK))?;
    Ok(identity.map(|identity| Owner { alive: identity.is_alive(), identity }))
}

/// Who is written in a lock file.
fn read_identity(lock: &Path) -> io::Result<Option<ProcessIdentity>> {
    match fs::read(lock) {
        // Empty or half written: a claim is under way or over.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes this process into a lock file that it holds.
pub(super) fn write_owner(lock: &mut File) -> io::Result<()> {
    let text = serde_json::to_vec(&ProcessIdentity::own()?)?;
    lock.set_len(0)?;
    lock.write_all(&text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_claimed_state_dir_is_private_and_says_who_owns_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a/b");
        let claim = StateDir::claim(&path).expect("a claim");
        let mode = fs::metadata(&path).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let owner = read_owner(&path).expect("readable").expect("an owner");
        assert_eq!((owner.identity.pid, owner.alive), (Pid(std::process::id()), true));
        assert_eq!(claim.place().instance.len(), 16);
        drop(claim);
        assert_eq!(read_owner(&path).expect("readable"), None);
    }

    #[test]
    fn a_second_claim_is_refused_with_the_first_ones_process() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = StateDir::claim(dir.path()).expect("a claim");
        match StateDir::claim(dir.path()) {
            Err(StateDirError::AlreadyRunning { pid, .. }) => assert_eq!(pid, Some(Pid(std::process::id()))),
            other => panic!("{other:?}"),
        }
        drop(first);
        // A child that another test has just begun holds what was locked here until it is its program.
        assert!(clock::wait_until(Duration::from_secs(30), || StateDir::claim(dir.path()).is_ok()), "free again");
    }

    #[test]
    fn a_file_that_a_killed_runtime_left_is_stale() {
        let dir = tempfile::tempdir().expect("a folder");
        let ghost = ProcessIdentity { boot_id: "earlier".to_owned(), pid: Pid(1), start_time: 1 };
        fs::write(dir.path().join(RUNTIME_LOCK), serde_json::to_vec(&ghost).expect("text")).expect("written");
        assert!(!read_owner(dir.path()).expect("readable").expect("an owner").alive);
        StateDir::claim(dir.path()).expect("a claim");
    }

    #[test]
    fn a_guardian_at_work_is_waited_for_within_a_bound() {
        let dir = tempfile::tempdir().expect("a folder");
        let guardian = open_lock(&dir.path().join(GUARDIAN_LOCK)).expect("a lock");
        guardian.lock().expect("locked");
        let early = StateDir::claim_within(dir.path(), Duration::from_millis(30));
        assert!(matches!(early, Err(StateDirError::GuardianBusy { .. })));
        drop(guardian);
        StateDir::claim(dir.path()).expect("a claim");
    }

    #[test]
    fn a_path_too_long_for_a_socket_and_one_that_is_a_file_are_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        let long = dir.path().join("x".repeat(100));
        assert!(matches!(StateDir::claim(&long), Err(StateDirError::TooLong { .. })));
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(matches!(StateDir::claim(&file.join("below")), Err(StateDirError::NotMade { .. })));
        assert!(matches!(StateDir::claim(&file), Err(StateDirError::NotMade { .. })));
    }

    #[test]
    fn an_instance_is_stable_and_differs_by_path() {
        assert_eq!(instance(Path::new("")), "cbf29ce484222325");
        assert_eq!(instance(Path::new("a")), "af63dc4c8601ec8c");
        assert_ne!(instance(Path::new("/a/b")), instance(Path::new("/a/c")));
    }
}
