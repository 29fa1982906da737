//! `system.txt`: the machine, as far as it can be read without rights.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::units::ByteSize;

/// Most bytes of one file.
const MOST: u64 = 8 << 10;
/// Deepest group whose limits are shown; what lies above these is of the machine.
const GROUPS: usize = 12;

/// What is read as it stands.
const FILES: [&str; 13] = [
    "/proc/version",
    "/etc/os-release",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/swappiness",
    "/proc/self/limits",
    "/proc/self/cgroup",
    "/proc/driver/nvidia/version",
];

/// What is read of each control group (cgroup v2; kernel documentation, `admin-guide/cgroup-v2.rst`).
const OF_GROUP: [&str; 9] = [
    "cgroup.controllers",
    "memory.max",
    "memory.high",
    "memory.current",
    "memory.swap.max",
    "memory.events",
    "pids.max",
    "pids.current",
    "cpu.max",
];

/// The whole text. What is not there is left out.
pub(super) fn system(version: &str, state_dir: &Path) -> Vec<u8> {
    let mut text = format!("Greenroom {version}, process {}\n\n", std::process::id());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = read(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    text.push_str(&format!("{cores} processor cores to be used: {}\n", model.unwrap_or("of an unknown kind")));
    if let Ok(disk) = rustix::fs::statvfs(state_dir) {
        let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(disk.f_frsize));
        let (free, all) = (bytes(disk.f_bavail), bytes(disk.f_blocks));
        text.push_str(&format!("state dir {}: {free} of {all} free\n", state_dir.display()));
    }
    let groups = groups(&read(Path::new("/proc/self/cgroup")).unwrap_or_default());
    let of_groups = groups.iter().flat_map(|group| OF_GROUP.iter().map(|file| group.join(file)));
    for path in FILES.iter().map(PathBuf::from).chain(of_groups) {
        if let Some(contents) = read(&path) {
            text.push_str(&format!("\n== {}\n{}\n", path.display(), contents.trim_end()));
        }
    }
    text.into_bytes()
}

/// The folders of the group that `/proc/self/cgroup` names (the line that begins with `0::`) and of those above it.
fn groups(own: &str) -> Vec<PathBuf> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(path);
    folder.ancestors().take_while(|folder| *folder != root).take(GROUPS).map(Path::to_owned).collect()
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = String::from_utf8(system("1.2.3", dir.path())).expect("text");
        for part in ["Greenroom 1.2.3", "processor cores", "MemTotal:", "Max open files", "== /proc/version", " free\n"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.len() < 200_000);
    }

    #[test]
    fn groups_are_those_on_the_way_up() {
        let folders = groups("1:cpu:/x\n0::/user.slice/a.service\n");
        assert_eq!(folders, [Path::new("/sys/fs/cgroup/user.slice/a.service"), Path::new("/sys/fs/cgroup/user.slice")]);
        assert!(groups("0::/\n").is_empty() && groups("").is_empty());
    }
}
