//! Which memory controllers lie above a process, and what their files say.

use std::path::{Path, PathBuf};

use super::HostMemory;
use crate::os::containment::location::unescape;

/// Which interface a controller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// `memory.limit_in_bytes` and so on.
    One,
    /// `memory.max` and so on.
    Two,
}

/// One group above the process, or its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// Its folder.
    pub folder: PathBuf,
    /// What its files are called.
    pub version: Version,
}

/// From the texts of `/proc/self/cgroup` and `/proc/self/mountinfo` (proc(5), cgroups(7)): every group of a hierarchy that
/// may have a memory controller, the innermost first. What lies above a mount cannot be seen.
pub(super) fn find(cgroup: &str, mountinfo: &str) -> Vec<Level> {
    let mut levels = Vec::new();
    for line in mountinfo.lines() {
        let Some((version, root, point)) = mount(line) else { continue };
        let Some(own) = group(cgroup, version) else { continue };
        let Ok(inside) = Path::new(own).strip_prefix(root) else { continue };
        // Outside of what our namespace shows.
        if inside.components().any(|part| part.as_os_str() == "..") {
            continue;
        }
        for group in inside.ancestors() {
            // Joining nothing would add a slash.
            let folder = if group.as_os_str().is_empty() { point.clone() } else { point.join(group) };
            let level = Level { folder, version };
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
    }
    levels
}

/// A mount of a hierarchy with memory: its version, which group is at its top, and where it is.
fn mount(line: &str) -> Option<(Version, String, PathBuf)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut kind = filesystem.split(' ');
    let version = match kind.next()? {
        "cgroup2" => Version::Two,
        "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => Version::One,
        _ => return None,
    };
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    Some((version, root, point.into()))
}

/// The process's own group in a hierarchy.
fn group(cgroup: &str, version: Version) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match version {
            Version::One => controllers.split(',').any(|name| name == "memory"),
            Version::Two => number == "0" && controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

/// From the text of `/proc/meminfo`, whose `kB` are KiB.
pub(super) fn meminfo(text: &str) -> Option<HostMemory> {
    let kib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1 << 10)
    };
    Some(HostMemory { total: kib("MemTotal")?, available: kib("MemAvailable")? })
}

/// One figure of a `memory.stat`, in bytes.
pub(super) fn stat(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folders(cgroup: &str, mountinfo: &str) -> Vec<String> {
        find(cgroup, mountinfo).into_iter().map(|level| level.folder.display().to_string()).collect()
    }

    #[test]
    fn groups_are_followed_up_to_the_mount() {
        let whole = "41 31 0:38 / /cg rw shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(folders("0::/a/b\n", whole), ["/cg/a/b", "/cg/a", "/cg"]);
        assert_eq!(folders("0::/\n", whole), ["/cg"]);
        let part = "41 31 0:38 /docker/abc /my\\040cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(folders("0::/docker/abc/x\n", part), ["/my cg/x", "/my cg"]);
        assert_eq!(folders("0::/other\n", part), Vec::<String>::new());
        assert_eq!(folders("0::/../x\n", whole), Vec::<String>::new());
    }

    #[test]
    fn only_hierarchies_with_memory_count() {
        let mounts =
            "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /cg/mem rw - cgroup cgroup rw,memory\n";
        assert_eq!(folders("4:memory:/a\n1:cpu:/b\n", mounts), ["/cg/mem/a", "/cg/mem"]);
        assert_eq!(find("4:memory:/a\n", mounts)[0].version, Version::One);
    }

    #[test]
    fn figures_are_found_by_their_whole_name() {
        let text = "total_inactive_file 3\ninactive_file_x 1\ninactive_file 2\n";
        assert_eq!((stat(text, "inactive_file"), stat(text, "active_file")), (Some(2), None));
        assert_eq!(meminfo("MemTotal: 1 kB\n"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_text_makes_the_parsers_panic(cgroup in "[ -~\\n]{0,80}", mounts in "([ -~]{0,40} - cgroup2? [ -~]{0,20}\\n){0,3}") {
            let _levels = find(&cgroup, &mounts);
            let _memory = (meminfo(&cgroup), stat(&cgroup, "a"));
        }
    }
}
