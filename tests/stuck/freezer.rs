//! A cgroup v1 freezer of the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::common::{BOUND, wait_for};

/// Thaws and goes when it is dropped.
pub struct Freezer {
    folder: PathBuf,
}

impl Freezer {
    /// `None` where there is no freezer or it is not writable.
    pub fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("greenroom-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new("/sys/fs/cgroup/freezer").join(name);
        fs::create_dir(&folder).ok()?;
        Some(Self { folder })
    }

    /// Freezes a process; returns when it is frozen.
    pub fn freeze(&self, pid: i32) {
        self.write("cgroup.procs", &pid.to_string());
        self.write("freezer.state", "FROZEN");
        wait_for("the process is frozen", BOUND, || {
            fs::read_to_string(self.folder.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN")
        });
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.write("freezer.state", "THAWED");
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).expect("the freezer is writable");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        // Nobody may be in it when it is removed: back to the root with those who are.
        let members = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines() {
            fs::write("/sys/fs/cgroup/freezer/cgroup.procs", pid).ok();
        }
        fs::remove_dir(&self.folder).ok();
    }
}
