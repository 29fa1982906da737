//! The host's memory: what is there, what is free, and what the cgroups above this process leave of it.

mod levels;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use levels::{Level, Version};

/// More than any of the files that are read has; what is looked for in `/proc/meminfo` stands in its first lines.
const LONGEST: usize = 8 << 10;

/// The host's memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    /// What this process may use at the very most: `MemTotal`, or the lowest limit of a cgroup above it.
    pub total: u64,
    /// What could be had now without swapping: `MemAvailable`, or what the fullest cgroup above leaves, if that is less.
    pub available: u64,
}

/// Who says how full the host is. Fast enough to be asked before every decision.
pub trait Host: Send + std::fmt::Debug {
    /// At this moment.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    fn memory(&self) -> io::Result<HostMemory>;
}

/// The host as `/proc` and the memory controllers above this process show it. Which cgroups there are is found once, as a
/// process is hardly ever moved; their limits are read each time, because they can be changed. The files stay open, which
/// makes an answer twice as fast: 43 us with three levels in a debug build, 27 of them for `/proc/meminfo`.
#[derive(Debug)]
pub struct ProcHost {
    /// `None` where there is no `/proc`.
    meminfo: Option<File>,
    controllers: Vec<Controller>,
}

impl ProcHost {
    /// This machine, as this process may use it.
    #[must_use]
    pub fn new() -> Self {
        Self::below(Path::new("/"))
    }

    /// The same with another root: `proc/meminfo`, `proc/self/cgroup`, `proc/self/mountinfo`, and the mount points named
    /// there, below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let text = |file: &str| fs::read_to_string(root.join("proc/self").join(file)).unwrap_or_default();
        let levels = levels::find(&text("cgroup"), &text("mountinfo"));
        // Levels without a memory controller do not have these files.
        let controllers = levels.iter().filter_map(|level| Controller::open(root, level)).collect();
        Self { meminfo: File::open(root.join("proc/meminfo")).ok(), controllers }
    }
}

impl Default for ProcHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for ProcHost {
    fn memory(&self) -> io::Result<HostMemory> {
        let meminfo =
            self.meminfo.as_ref().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no /proc/meminfo"))?;
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "no MemTotal and MemAvailable in /proc/meminfo");
        let mut memory = look(meminfo, levels::meminfo)?.ok_or_else(missing)?;
        for controller in &self.controllers {
            if let Some((limit, used)) = controller.limit(memory.total) {
                memory.total = memory.total.min(limit);
                memory.available = memory.available.min(limit.saturating_sub(used));
            }
        }
        Ok(memory)
    }
}

/// One group's memory controller.
#[derive(Debug)]
struct Controller {
    limit: File,
    used: File,
    stat: File,
    /// What file cache that is not in active use is called in `stat`.
    cache: &'static str,
}

impl Controller {
    fn open(root: &Path, level: &Level) -> Option<Self> {
        let folder = root.join(level.folder.strip_prefix("/").unwrap_or(&level.folder));
        let Files { limit, used, cache } = level.version.files();
        let open = |name: &str| File::open(folder.join(name)).ok();
        Some(Self { limit: open(limit)?, used: open(used)?, stat: open("memory.stat")?, cache })
    }

    /// The limit and what is used of it, in bytes; `None` when there is none, or one of `host` bytes or more, which leaves
    /// everything. File cache that is not in active use counts as free: the kernel gives it up at the limit before it
    /// kills.
    fn limit(&self, host: u64) -> Option<(u64, u64)> {
        // `max`, the word for no limit, is not a number.
        let number = |file: &File| look(file, |text| text.trim().parse::<u64>().ok()).ok().flatten();
        let limit = number(&self.limit).filter(|limit| *limit < host)?;
        let cache = look(&self.stat, |text| levels::stat(text, self.cache)).ok().flatten().unwrap_or(0);
        Some((limit, number(&self.used)?.saturating_sub(cache)))
    }
}

/// Reads a file of the kernel from its start.
fn look<T>(file: &File, read: impl FnOnce(&str) -> Option<T>) -> io::Result<Option<T>> {
    let mut buffer = [0; LONGEST];
    let length = file.read_at(&mut buffer, 0)?;
    Ok(std::str::from_utf8(&buffer[..length]).ok().and_then(read))
}

/// What the files of a memory controller are called.
struct Files {
    limit: &'static str,
    used: &'static str,
    cache: &'static str,
}

impl Version {
    /// See `cgroup-v2` and `cgroup-v1/memory` in the kernel's documentation. In version 1 the key with `total_` is the one
    /// that counts the groups below as well, as `usage_in_bytes` does.
    fn files(self) -> Files {
        match self {
            Self::One => {
                Files { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file" }
            }
            Self::Two => Files { limit: "memory.max", used: "memory.current", cache: "inactive_file" },
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\nBuffers: 1 kB\n";
    const V2: &str = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n";

    /// A made-up machine.
    struct Tree(TempDir);

    impl Tree {
        fn new(cgroup: &str, mountinfo: &str) -> Self {
            let tree = Self(tempfile::tempdir().expect("a folder"));
            tree.write("proc/meminfo", MEMINFO);
            tree.write("proc/self/cgroup", cgroup);
            tree.write("proc/self/mountinfo", mountinfo);
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }

        fn v2(&self, group: &str, max: &str, current: u64, inactive: u64) {
            self.write(&format!("sys/fs/cgroup/{group}/memory.max"), &format!("{max}\n"));
            self.write(&format!("sys/fs/cgroup/{group}/memory.current"), &format!("{current}\n"));
            self.write(&format!("sys/fs/cgroup/{group}/memory.stat"), &format!("anon 1\ninactive_file {inactive}\n"));
        }

        fn v1(&self, group: &str, max: u64, current: u64, inactive: u64) {
            self.write(&format!("sys/fs/cgroup/memory/{group}/memory.limit_in_bytes"), &format!("{max}\n"));
            self.write(&format!("sys/fs/cgroup/memory/{group}/memory.usage_in_bytes"), &format!("{current}\n"));
            let stat = format!("inactive_file 1\ntotal_inactive_file {inactive}\n");
            self.write(&format!("sys/fs/cgroup/memory/{group}/memory.stat"), &stat);
        }

        /// In KiB.
        fn memory(&self) -> (u64, u64) {
            let memory = ProcHost::below(self.0.path()).memory().expect("it can be read");
            (memory.total >> 10, memory.available >> 10)
        }
    }

    #[test]
    fn without_limits_the_machine_itself_counts() {
        assert_eq!(Tree::new("", "").memory(), (1000, 600));
        assert_eq!(Tree::new("0::/a\n", V2).memory(), (1000, 600));
        let tree = Tree::new("0::/a\n", V2);
        tree.v2("a", "max", 900 << 10, 0);
        assert_eq!(tree.memory(), (1000, 600));
    }

    #[test]
    fn every_group_above_counts_and_cache_does_not() {
        let tree = Tree::new("0::/user.slice/app.scope\n", V2);
        tree.v2("user.slice", "512000", 500 << 10, 300 << 10);
        tree.v2("user.slice/app.scope", "max", 5, 0);
        assert_eq!(tree.memory(), (500, 300));
        tree.v2("user.slice/app.scope", "409600", 350 << 10, 0);
        assert_eq!(tree.memory(), (400, 50));
        // A limit that is exceeded leaves nothing; one that exceeds the machine leaves what that has.
        tree.v2("user.slice/app.scope", "1024", 350 << 10, 0);
        assert_eq!(tree.memory(), (1, 0));
        tree.v2("user.slice/app.scope", "99999999", 350 << 10, 0);
        assert_eq!(tree.memory(), (500, 300));
    }

    #[test]
    fn version_one_has_other_names_and_a_hybrid_machine_has_both() {
        let cgroup = "5:devices:/x\n4:memory:/api/child\n0::/\n";
        let tree = Tree::new(cgroup, &format!("{V1}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"));
        tree.v1("", 9_223_372_036_854_771_712, 1, 0);
        assert_eq!(tree.memory(), (1000, 600));
        tree.v1("api", 300 << 10, 200 << 10, 50 << 10);
        tree.v1("api/child", 9_223_372_036_854_771_712, 1, 0);
        assert_eq!(tree.memory(), (300, 150));
    }

    #[test]
    fn this_machine_can_be_read() {
        let memory = ProcHost::new().memory().expect("it can be read");
        assert!(memory.available > 0 && memory.available <= memory.total, "{memory:?}");
    }

    #[test]
    fn a_machine_without_proc_is_an_error() {
        let nowhere = tempfile::tempdir().expect("a folder");
        assert!(ProcHost::below(nowhere.path()).memory().is_err());
    }
}
