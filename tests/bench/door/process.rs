//! A server as a process, and what it spends.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::{Http, wait_for};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that Debian builds (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Something that spends the processor's time.
pub trait Spends {
    /// Seconds, ever.
    fn spent(&self) -> f64;
}

/// A process alone.
impl Spends for i32 {
    fn spent(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{self}/stat")).unwrap_or_default();
        // The name in brackets may have blanks in it; behind it, the 12th and 13th are user and system time.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
        ticks.sum::<f64>() / TICKS
    }
}

/// A server that ends with this.
pub struct Server(Child);

impl Server {
    /// Started, and listening on this port.
    pub fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).spawn().expect("the server runs");
        let server = Self(child);
        wait_for("it answers", PATIENCE, || Http::Tcp(port).get("/health").is_ok_and(|answer| answer.status == 200));
        server
    }
}

/// A process and its children.
impl Spends for Server {
    fn spent(&self) -> f64 {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse::<i32>().ok());
        pid.spent() + children.map(|child| child.spent()).sum::<f64>()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first, so that it can end its own children.
        crate::common::signal(i32::try_from(self.0.id()).expect("a pid"), nix::sys::signal::Signal::SIGTERM);
        self.0.wait().ok();
    }
}

/// Bytes of memory that a process has resident.
pub fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
