//! What a sweep found and what became of it.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::{ids::Pid, os::keep::KeptProcess};

/// The outcome of one sweep.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SweepReport {
    /// Whether it only looked.
    pub dry_run: bool,
    /// Every process that was found.
    pub processes: Vec<SweptProcess>,
    /// Cgroup roots that were removed.
    pub cgroups_removed: Vec<PathBuf>,
    /// Cgroup roots in which somebody still lives.
    pub cgroups_left: Vec<PathBuf>,
    /// Registry entries that were removed.
    pub entries: usize,
    /// Runs that were meant to outlive their runtime and were spared.
    pub kept: Vec<KeptProcess>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SweptProcess {
    /// Its id.
    pub pid: Pid,
    /// Its command line, shortened.
    pub command: String,
    /// The trace that led to it.
    pub found_by: FoundBy,
    /// What became of it.
    pub outcome: Outcome,
}

/// The traces, surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// It was in the cgroup of an earlier incarnation.
    Cgroup,
    /// It, or one it descends from, is the main process of a registered run.
    Registry,
    /// Its environment names the state dir.
    Environment,
    /// It is below a shim of that state dir, or is one.
    Shim,
}

impl FoundBy {
    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "its cgroup",
            Self::Registry => "the registry",
            Self::Environment => "its environment",
            Self::Shim => "its shim",
        }
    }
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing: the sweep only looked.
    Found,
    /// It has ended.
    Ended,
    /// It lives in spite of SIGKILL.
    Stuck,
}

impl SweepReport {
    /// Those that could not be ended.
    pub fn stuck(&self) -> impl Iterator<Item = &SweptProcess> {
        self.processes.iter().filter(|process| process.outcome == Outcome::Stuck)
    }

    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.cgroups_removed.is_empty()
            && self.cgroups_left.is_empty()
            && self.entries == 0
    }
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_ended(f)?;
        self.kept.iter().try_for_each(|kept| write!(f, "\n  kept: {} (process {})", kept.service, kept.pid))
    }
}

impl SweepReport {
    fn fmt_ended(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was left by an earlier run");
        }
        let stuck = self.stuck().count();
        match (self.dry_run, self.processes.len()) {
            (true, found) => write!(f, "{} left by an earlier run", processes(found))?,
            (false, found) => write!(f, "{} of an earlier run ended", processes(found - stuck))?,
        }
        if stuck > 0 {
            write!(
                f,
                ", {} not end on SIGKILL (see the kernel log: most often a driver holds it)",
                match stuck {
                    1 => "1 does".to_owned(),
                    many => format!("{many} do"),
                }
            )?;
        }
        if !self.cgroups_removed.is_empty() {
            let count = self.cgroups_removed.len();
            write!(f, ", {count} {} removed", if count == 1 { "cgroup" } else { "cgroups" })?;
        }
        for process in &self.processes {
            let outcome = match process.outcome {
                Outcome::Found => "lives",
                Outcome::Ended => "ended",
                Outcome::Stuck => "STUCK",
            };
            write!(f, "\n  {outcome} {} {} (by {})", process.pid, process.command, process.found_by.name())?;
        }
        Ok(())
    }
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_ended_and_what_did_not() {
        let process = |pid, outcome| SweptProcess {
            pid: Pid(pid),
            command: "sleep 60".to_owned(),
            found_by: FoundBy::Registry,
            outcome,
        };
        let processes = vec![process(7, Outcome::Ended), process(8, Outcome::Stuck)];
        let report = SweepReport { processes, ..SweepReport::default() };
        let text = report.to_string();
        assert!(text.starts_with("1 process of an earlier run ended, 1 does not end on SIGKILL"), "{text}");
        assert!(text.contains("\n  STUCK 8 sleep 60 (by the registry)"), "{text}");
        assert_eq!(SweepReport::default().to_string(), "nothing was left by an earlier run");
    }
}
