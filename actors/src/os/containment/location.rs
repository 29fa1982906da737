//! Where this process stands in the cgroup v2 hierarchy, and why it may not be usable.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::ids::Pid;

/// Why cgroup v2 cannot hold the trees here.
#[derive(Debug, thiserror::Error)]
pub enum CgroupProblem {
    /// `/proc` does not tell.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state dir cannot take note of the cgroup, so a later sweep might not find it.
    #[error("cannot write {}", path.display())]
    NotListed {
        /// The list.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel or the container has no cgroup v2.
    #[error("no cgroup v2 file system is mounted")]
    NotMounted,
    /// This process lies outside of what is mounted.
    #[error("the cgroup of this process, `{own}`, lies outside of the cgroup v2 file system that is mounted here")]
    Outside {
        /// As `/proc/self/cgroup` says it.
        own: String,
    },
    /// The cgroup is somebody else's.
    #[error("no cgroup can be made in {}", path.display())]
    NotWritable {
        /// This process's cgroup.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel is older than 5.14.
    #[error("the kernel has no cgroup.kill (it came with Linux 5.14)")]
    NoKill,
    /// A process could not be started to prove it.
    #[error("a process cannot be started to try it")]
    NotTried(#[source] io::Error),
    /// A process could not be moved in.
    #[error("a process cannot be moved into a cgroup below {}: {said}", path.display())]
    NotMoved {
        /// This process's cgroup.
        path: PathBuf,
        /// What the process said.
        said: String,
    },
    /// A process that was moved in did not end.
    #[error("a process in a cgroup below {} did not end by cgroup.kill", path.display())]
    NotKilled {
        /// This process's cgroup.
        path: PathBuf,
        /// What the kernel said, if it said anything.
        #[source]
        source: Option<io::Error>,
    },
}

impl CgroupProblem {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "mount /proc",
            Self::NotListed { .. } => {
                "make the state dir writable and make room on its disk, or choose another with --state-dir"
            }
            Self::NotMounted => {
                "mount it (mount -t cgroup2 none /sys/fs/cgroup), or boot with systemd.unified_cgroup_hierarchy=1; \
                 in Docker: --cgroupns=private with a writable mount of /sys/fs/cgroup"
            }
            Self::NotWritable { .. } | Self::NotMoved { .. } => {
                "start it in a cgroup of its own: systemd-run --user --scope -p Delegate=yes greenroom run ..., \
                 or a systemd unit with Delegate=yes; in Docker: --cgroupns=private with a writable mount of \
                 /sys/fs/cgroup"
            }
            Self::Outside { .. } => "start the container with --cgroupns=private, or mount its own cgroup tree",
            Self::NoKill => "use Linux 5.14 or later",
            Self::NotTried(_) => "see the limits on processes and descriptors (ulimit -a)",
            Self::NotKilled { .. } => "look at the kernel log: processes that SIGKILL does not end point to a driver",
        }
    }
}

/// The cgroup of this process as a path in the file system.
///
/// # Errors
/// When there is no cgroup v2 or it cannot be reached from here.
pub fn own() -> Result<PathBuf, CgroupProblem> {
    let read =
        |path: &str| fs::read_to_string(path).map_err(|source| CgroupProblem::Unreadable { path: path.into(), source });
    locate(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
}

/// The cgroup of another process, as [`own`]; `None` when it has ended or cannot be placed.
#[must_use]
pub fn of(pid: Pid) -> Option<PathBuf> {
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    locate(&cgroup, &fs::read_to_string("/proc/self/mountinfo").ok()?).ok()
}

/// Whether a path lies in a mounted cgroup v2 file system.
#[must_use]
pub fn is_in_cgroup2(path: &Path) -> bool {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts(&mountinfo).any(|mount| path.starts_with(&mount.point))
}

/// One mount of the hierarchy.
struct Mount {
    /// Which cgroup is seen at its top.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

/// The cgroup v2 mounts of a `mountinfo`.
fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount> {
    mountinfo.lines().filter_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        if filesystem.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        Some(Mount { root: unescape(fields.next()?).into(), point: unescape(fields.next()?).into() })
    })
}

/// From the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`. Pure.
fn locate(cgroup: &str, mountinfo: &str) -> Result<PathBuf, CgroupProblem> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::")).ok_or(CgroupProblem::NotMounted)?;
    // What the kernel appends when the cgroup was removed under its process.
    let own = own.trim_end_matches(" (deleted)");
    let mut mounted = false;
    for mount in mounts(mountinfo) {
        mounted = true;
        if own.starts_with("/..") {
            continue;
        }
        if let Ok(below) = Path::new(own).strip_prefix(&mount.root) {
            // An empty rest must not add a slash at the end.
            return Ok(if below.as_os_str().is_empty() { mount.point } else { mount.point.join(below) });
        }
    }
    Err(if mounted { CgroupProblem::Outside { own: own.to_owned() } } else { CgroupProblem::NotMounted })
}

/// Undoes the octal escapes of `mountinfo` (space, tab, newline, backslash).
pub(in crate::os) fn unescape(field: &str) -> String {
    let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    pairs.iter().fold(field.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_machine_has_it_beside_the_old_controllers() {
        let cgroup = "6:freezer:/x\n0::/user.slice/app.scope\n";
        let own = locate(cgroup, HYBRID).expect("a place");
        assert_eq!(own, Path::new("/sys/fs/cgroup/unified/user.slice/app.scope"));
        assert_eq!(locate("0::/\n", HYBRID).expect("a place").as_os_str(), "/sys/fs/cgroup/unified");
    }

    #[test]
    fn a_mount_of_a_part_is_followed() {
        let part = "41 31 0:38 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(locate("0::/docker/abc/x\n", part).expect("a place"), Path::new("/sys/fs/cgroup/x"));
        assert!(matches!(locate("0::/other\n", part), Err(CgroupProblem::Outside { .. })));
        assert!(matches!(locate("0::/../x\n", HYBRID), Err(CgroupProblem::Outside { .. })));
    }

    #[test]
    fn no_mount_and_no_line_are_told_apart_from_a_bad_place() {
        assert!(matches!(locate("6:freezer:/x\n", HYBRID), Err(CgroupProblem::NotMounted)));
        assert!(matches!(locate("0::/\n", "32 31 0:29 / /c rw - cgroup cgroup rw\n"), Err(CgroupProblem::NotMounted)));
    }

    #[test]
    fn spaces_in_a_mount_point_are_unescaped() {
        let odd = "41 31 0:38 / /my\\040cgroups rw - cgroup2 cgroup2 rw\n";
        assert_eq!(locate("0::/a\n", odd).expect("a place"), Path::new("/my cgroups/a"));
    }
}
