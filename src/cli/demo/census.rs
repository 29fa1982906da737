//! Counts processes by looking at `/proc`: those that carry a word in their command line, whoever started them and
//! whatever session, parent or environment they have.

use std::{collections::HashSet, fs};

use greenroom_actors::{ids::Pid, os::proc::ProcessIdentity};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid as RawPid,
};

/// Processes of one moment, by identities that are never used again.
#[derive(Debug, Clone, Default)]
pub struct Census(Vec<ProcessIdentity>);

impl Census {
    /// Everybody alive whose command line has `tag` as a word.
    #[must_use]
    pub fn take(tag: &str) -> Self {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
        let carries = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == tag.as_bytes())
        };
        let found = pids.filter(carries).filter_map(|pid| ProcessIdentity::of(Pid(pid)).ok());
        Self(found.filter(ProcessIdentity::is_alive).collect())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those of them that still live.
    #[must_use]
    pub fn alive(&self) -> Self {
        Self(self.0.iter().filter(|p| p.is_alive()).cloned().collect())
    }

    /// Their ids.
    #[must_use]
    pub fn pids(&self) -> HashSet<Pid> {
        self.0.iter().map(|p| p.pid).collect()
    }

    /// Kills those that still live.
    pub fn kill(&self) {
        for process in self.0.iter().filter(|p| p.is_alive()) {
            signal(process.pid, Signal::SIGKILL);
        }
    }
}

/// Sends a signal; to a process that has just ended it does nothing.
pub fn signal(pid: Pid, signal: Signal) {
    if let Ok(raw) = i32::try_from(pid.0) {
        kill(RawPid::from_raw(raw), signal).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Child, Command},
        time::Duration,
    };

    use greenroom_actors::os::clock;

    use super::*;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    #[test]
    fn a_process_is_counted_by_a_word_while_it_lives() {
        let tag = format!("census-{}", std::process::id());
        let script = ["-c", "read line", "sh", tag.as_str()];
        let mut child =
            Command::new("sh").args(script).stdin(std::process::Stdio::piped()).spawn().map(Ended).expect("sh");
        // A spawn returns before the kernel shows the new command line.
        let end = clock::now() + Duration::from_secs(20);
        let mut census = Census::take(&tag);
        while census.len() == 0 && clock::now() < end {
            std::thread::yield_now();
            census = Census::take(&tag);
        }
        assert_eq!(census.pids(), HashSet::from([Pid(child.0.id())]));
        assert_eq!(Census::take(&tag[1..]).len(), 0, "whole words only");
        census.kill();
        child.0.wait().expect("ended");
        assert_eq!(census.alive().len(), 0);
    }
}
