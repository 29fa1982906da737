//! What was stopped, how, and what was left: the end of a runtime in one value.

use std::{
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use greenroom_actors::{
    os::audit::AuditReport,
    shutdown_coordinator::messages::{StopOutcome, UnitReport},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Past this size `shutdown.log` is begun anew and the old one kept as `shutdown.log.1`.
const LOG_SIZE: u64 = 1 << 20;

/// The end of a runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShutdownReport {
    /// Which runtime, as in event ids.
    pub epoch: u64,
    /// When it had ended.
    pub at: Timestamp,
    /// Who or what asked for it.
    pub reason: String,
    /// Whether the deadline or a second signal cut it short.
    pub forced: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Every actor and service, in the order in which they ended.
    pub units: Vec<UnitReport>,
    /// What was looked for and found afterwards.
    pub audit: AuditReport,
}

impl ShutdownReport {
    /// 0: everything ended and nothing is left; 1: something is left; 5: the end was forced.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match (self.forced, self.is_clean()) {
            (true, _) => 5,
            (false, true) => 0,
            (false, false) => 1,
        }
    }

    /// Whether every unit ended, or was kept as it is configured, and the audit found nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let ended = |u: &UnitReport| match u.outcome {
            StopOutcome::Clean | StopOutcome::Killed | StopOutcome::CutShort | StopOutcome::Kept { .. } => true,
            StopOutcome::Stuck(_) | StopOutcome::TimedOut => false,
        };
        self.audit.is_clean() && self.units.iter().all(ended)
    }

    /// Writes it to `shutdown.log` (appended, for people) and `shutdown.json` (the last one, for programs).
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        let log = log_path(state_dir);
        if fs::metadata(&log).is_ok_and(|m| m.len() > LOG_SIZE) {
            fs::rename(&log, log.with_extension("log.1"))?;
        }
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        writeln!(file, "{} epoch {}\n{self}", self.at, self.epoch)?;
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        // By rename, so that whoever waits for this file never reads half of it.
        let partial = state_dir.join("shutdown.json.partial");
        fs::write(&partial, text)?;
        fs::rename(partial, json_path(state_dir))
    }
}

/// Where the last report is, for programs.
#[must_use]
pub fn json_path(state_dir: &Path) -> PathBuf {
    state_dir.join("shutdown.json")
}

/// Where all reports are, for people.
#[must_use]
pub fn log_path(state_dir: &Path) -> PathBuf {
    state_dir.join("shutdown.log")
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forced = if self.forced { ", by force" } else { "" };
        writeln!(f, "stopped ({}) in {:.2} s{forced}", self.reason, self.seconds)?;
        for unit in &self.units {
            let how = match &unit.outcome {
                StopOutcome::Clean => "ended".to_owned(),
                StopOutcome::Killed => "killed".to_owned(),
                StopOutcome::CutShort => "killed before its grace was over: the deadline".to_owned(),
                StopOutcome::Kept { pid } => format!("kept running (process {pid})"),
                StopOutcome::Stuck(what) => format!("STUCK: {what}"),
                StopOutcome::TimedOut => "NO ANSWER in its time".to_owned(),
            };
            writeln!(f, "  {:<24} {:>7.2} s  {how}", unit.name, unit.seconds)?;
        }
        let audit = &self.audit;
        let ports: Vec<String> = audit.ports.iter().map(ToString::to_string).collect();
        let found = [
            ("processes", &audit.children),
            ("threads", &audit.threads),
            ("descriptors", &audit.descriptors),
            ("cgroups", &audit.cgroups),
            ("ports", &ports),
        ];
        if audit.is_clean() {
            let kept = self.units.iter().any(|unit| matches!(unit.outcome, StopOutcome::Kept { .. }));
            let but = if kept { "but for what is kept, " } else { "" };
            return write!(f, "  audit: {but}no process, thread, descriptor, cgroup or port is left");
        }
        f.write_str("  audit: LEFT BEHIND")?;
        found
            .iter()
            .filter(|(_, left)| !left.is_empty())
            .try_for_each(|(what, left)| write!(f, "\n    {what}: {}", left.join("; ")))
    }
}
