//! What an application has of its own, looked at before the runtime starts, while it runs, and after its end.

use std::{collections::BTreeMap, env, fs, time::Duration};

use greenroom::actors::os::clock;

/// Signals 32 and 33, as bits: the C library's own, which gives them a handler with the first thread of a process.
const OF_LIBC: u64 = 0b11 << 31;

/// The state of this process that a library has no business with: a name and what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Untouched(BTreeMap<String, String>);

impl Untouched {
    pub fn look() -> Self {
        let mut seen = BTreeMap::new();
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        // Which signals have a handler, are ignored, are blocked in this thread.
        for name in ["SigCgt:", "SigIgn:", "SigBlk:"] {
            let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let mask = u64::from_str_radix(mask.trim(), 16).map(|mask| format!("{:x}", mask & !OF_LIBC));
            seen.insert(name.to_owned(), mask.unwrap_or_default());
        }
        seen.insert("limits".to_owned(), fs::read_to_string("/proc/self/limits").unwrap_or_default());
        seen.insert("folder".to_owned(), env::current_dir().unwrap_or_default().display().to_string());
        seen.extend(env::vars());
        Self(seen)
    }

    /// Says whether it is still as it was.
    pub fn compare(&self) {
        let now = Self::look();
        let differs = |(name, was): &(&String, &String)| now.0.get(*name) != Some(*was);
        let changed: Vec<_> = self.0.iter().filter(differs).map(|(name, was)| (name, was, now.0.get(name))).collect();
        if changed.is_empty() && self.0.len() == now.0.len() {
            println!("untouched");
        } else {
            println!("TOUCHED: {changed:?}");
        }
    }
}

/// Names of this process's threads, sorted; without those of the application's Tokio, which come and go as it likes.
pub fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<String> =
        names.map(|name| name.trim().to_owned()).filter(|name| !name.starts_with("tokio-")).collect();
    names.sort();
    names
}

/// Waits until the threads are those of `before` and says so: one that has been joined is listed for a moment longer.
pub fn compare_threads(before: &[String]) {
    if clock::wait_until(Duration::from_secs(20), || threads() == before) {
        println!("own threads");
    } else {
        println!("OTHER THREADS: {before:?} are {:?}", threads());
    }
}
