//! A pid namespace whose first process is a shim: when that ends, the kernel ends everybody in it.

use std::{fs, io};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, getegid, geteuid},
};

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub(in crate::os) enum NamespaceError {
    /// The kernel, or what guards it, refuses.
    #[error("a pid namespace cannot be made")]
    Refused(#[source] io::Error),
    /// A user namespace was made and cannot be used.
    #[error("the ids of a user namespace cannot be set ({file})")]
    Ids {
        /// Which file could not be written.
        file: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes the next child of this process the first one of a new pid namespace. Ids of users and groups stay what they are;
/// nothing else but the view of processes and mounts changes.
///
/// # Errors
/// See [`NamespaceError`].
pub(in crate::os) fn enter() -> Result<(), NamespaceError> {
    let (user, group) = (geteuid(), getegid());
    let needed = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    // Root in a container may lack the right and still be allowed a user namespace.
    if user.is_root() && unshare(needed).is_ok() {
        return Ok(());
    }
    unshare(needed | CloneFlags::CLONE_NEWUSER).map_err(|errno| NamespaceError::Refused(errno.into()))?;
    // The kernel lets an ordinary user map his group only once nobody can leave groups any more.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
    write("/proc/self/gid_map", &format!("{group} {group} 1"))
}

fn write(file: &'static str, text: &str) -> Result<(), NamespaceError> {
    fs::write(file, text).map_err(|source| NamespaceError::Ids { file, source })
}

/// To be called by the first process of the namespace: gives it a `/proc` of its own, where the kernel allows it. Without,
/// programs see the processes of the whole machine, under ids that they cannot use.
pub(in crate::os) fn settle() {
    let none = None::<&str>;
    // Mounts must not travel back. Should that fail, nothing may be mounted.
    if mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).is_ok() {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        // Refused where parts of /proc are covered, as in many containers.
        mount(Some("proc"), "/proc", Some("proc"), flags, none).ok();
    }
}

/// Sends a signal to everybody in the namespace but its first process, which must be this one.
pub(in crate::os) fn signal_all(signal: Signal) {
    // For anybody else, -1 means everybody on the machine.
    if Pid::this().as_raw() != 1 {
        return;
    }
    match kill(Pid::from_raw(-1), signal) {
        // Refused for somebody who has become another user, or nobody is there: the next round tells.
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(_) => {}
    }
}
