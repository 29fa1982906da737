//! What this machine offers, what is missing, what that costs and what to do about it.
//!
//! [`examine`] looks at one thing after the other; each look ends in a [`Finding`], whatever it meets.

mod containment;
mod gpu;
mod host;
mod trial;

use std::{fmt, path::Path};

use serde::Serialize;

use crate::spec::ResourcesSpec;

/// Where `${port}` comes from when the config does not say.
pub const DEFAULT_PORTS: (u16, u16) = (10_800, 10_999);

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// It works, with a drawback.
    Degraded,
    /// It is not there or does not work.
    Missing,
}

impl FindingState {
    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What, for example `containment`.
    pub name: String,
    /// How it stands.
    pub state: FindingState,
    /// What was found.
    pub detail: String,
    /// What is lost by it, unless it is as it should be.
    pub cost: Option<String>,
    /// What it cannot do even so.
    pub limit: Option<String>,
    /// What to do, unless it is as it should be.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(name: &str, detail: impl Into<String>) -> Self {
        let (name, detail) = (name.to_owned(), detail.into());
        Self { name, state: FindingState::Ok, detail, cost: None, limit: None, remedy: None }
    }

    fn lacking(name: &str, state: FindingState, detail: impl Into<String>, cost: &str, remedy: &str) -> Self {
        let (cost, remedy) = (Some(cost.to_owned()), Some(remedy.to_owned()));
        Self { name: name.to_owned(), state, detail: detail.into(), cost, limit: None, remedy }
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// In the order of importance.
    pub findings: Vec<Finding>,
}

impl DoctorReport {
    /// How the worst of them stands.
    #[must_use]
    pub fn worst(&self) -> FindingState {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(FindingState::Ok)
    }

    /// One finding by its name.
    #[must_use]
    pub fn finding(&self, name: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.name == name)
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{:9} {}: {}", finding.state.name(), finding.name, finding.detail)?;
            for (what, text) in [("cost", &finding.cost), ("limit", &finding.limit), ("remedy", &finding.remedy)] {
                if let Some(text) = text {
                    write!(f, "\n          {what}: {text}")?;
                }
            }
        }
        Ok(())
    }
}

/// Looks at everything, with the default port range and whatever cards there are. Blocks for some 100 ms, and for 3 s
/// more where a graphics driver hangs; changes nothing that lasts.
#[must_use]
pub fn examine(state_dir: &Path) -> DoctorReport {
    examine_with(state_dir, DEFAULT_PORTS, &ResourcesSpec::default())
}

/// As [`examine`], with the port range and `[resources]` of a config.
#[must_use]
pub fn examine_with(state_dir: &Path, ports: (u16, u16), resources: &ResourcesSpec) -> DoctorReport {
    let mut findings = vec![host::kernel()];
    findings.extend(containment::layers());
    findings.extend([
        host::state_dir(state_dir),
        host::ports(ports),
        host::descriptors(),
        host::processes(),
        host::memory(),
        gpu::look(resources),
    ]);
    DoctorReport { findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_looked_at_and_what_lacks_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let report = examine(dir.path());
        for name in [
            "kernel",
            "containment",
            "cgroup",
            "shim",
            "namespace",
            "guardian",
            "state_dir",
            "ports",
            "descriptors",
            "memory",
            "gpu",
        ] {
            assert!(report.finding(name).is_some(), "{name} is not looked at");
        }
        for finding in &report.findings {
            assert!(!finding.detail.is_empty(), "{finding:?}");
            assert_eq!(finding.state == FindingState::Ok, finding.remedy.is_none(), "{finding:?}");
        }
        assert_eq!(report.to_string().lines().filter(|line| !line.starts_with(' ')).count(), report.findings.len());
    }
}
