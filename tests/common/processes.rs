//! Processes as the kernel shows them. Everything here is seen from outside, without help of the runtime.

use std::{collections::BTreeSet, fmt, fs, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::wait::wait_for;

/// A living process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub command: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.command.chars().take(160).collect();
        write!(f, "{} (parent {}): {short}", self.pid, self.parent)
    }
}

/// Living processes that carry `marker` in their command line or environment, or live in one of `cgroups` or below.
/// Zombies do not count: nothing of them is left but their number.
pub fn carrying(marker: &str, cgroups: &BTreeSet<String>) -> Vec<Process> {
    let own = std::process::id() as i32;
    let mut found: Vec<Process> =
        pids().filter(|&pid| pid != own).filter_map(|pid| look(pid, marker, cgroups)).collect();
    found.sort();
    found
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn look(pid: i32, marker: &str, cgroups: &BTreeSet<String>) -> Option<Process> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let command = read("cmdline");
    let held = || String::from_utf8_lossy(&read("cgroup")).lines().any(|line| is_below(line, cgroups));
    if !(contains(&command, marker) || contains(&read("environ"), marker) || held()) {
        return None;
    }
    let (state, parent) = stat(pid)?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    (state != 'Z' && state != 'X').then_some(Process { pid, parent, command })
}

/// Whether a line of `/proc/PID/cgroup` (`0::/path`) lies in one of `cgroups` (`/sys/fs/cgroup/path`).
fn is_below(line: &str, cgroups: &BTreeSet<String>) -> bool {
    let Some(path) = line.strip_prefix("0::") else { return false };
    path != "/" && cgroups.iter().any(|root| format!("{path}/").contains(&format!("{}/", last(root))))
}

fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

fn contains(bytes: &[u8], marker: &str) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
}

/// State and parent from `/proc/PID/stat`.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold anything, also parentheses: what follows the last one is regular.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process lives (a zombie does not).
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// Whether a process has ended with all its threads, so that its descriptors are closed and nobody listens on its ports
/// any more. A zombie alone may be a first thread whose others are still at it.
pub fn ended(pid: i32) -> bool {
    !alive(pid) && threads(pid) <= 1
}

/// Sends a signal; a process that is gone is fine.
pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).ok();
}

/// Kills what `find` finds until nothing is left of it. Families that start their killed members anew are stopped
/// first, so that none is faster.
pub fn kill_all(find: impl Fn() -> Vec<Process>) {
    wait_for("killed processes are gone", Duration::from_secs(20), || {
        let left = find();
        for process in &left {
            signal(process.pid, Signal::SIGSTOP);
        }
        for process in &left {
            signal(process.pid, Signal::SIGKILL);
        }
        left.is_empty()
    });
}

/// Whether a process has a handler for SIGTERM: before that, a request to stop ends it at once whatever its options.
pub fn catches_term(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap_or("0");
    u64::from_str_radix(caught, 16).unwrap_or(0) & (1 << (Signal::SIGTERM as i32 - 1)) != 0
}

/// How many descriptors a process has open.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// How many threads a process has.
pub fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Memory of a process in bytes, shared pages counted in part (PSS); 0 when it is gone.
pub fn pss(pid: i32) -> u64 {
    rolled_up(pid, &["Pss:"])
}

/// Of that what is no page of a file: what a process has taken since, whoever runs the same program meanwhile. A page of
/// the program's own file counts for more in each as soon as fewer run it.
pub fn taken(pid: i32) -> u64 {
    rolled_up(pid, &["Pss_Anon:", "Pss_Shmem:"])
}

fn rolled_up(pid: i32, keys: &[&str]) -> u64 {
    let rollup = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup")).unwrap_or_default();
    let lines = rollup.lines().filter_map(|line| keys.iter().find_map(|key| line.strip_prefix(key)));
    lines.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum::<u64>() * 1024
}
