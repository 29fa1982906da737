//! Chooses the layer: the best one that works here and that the config accepts.

use std::{error::Error, fmt, sync::Arc};

use serde::Serialize;

use super::{
    Containment, ContainmentKind, Place,
    best_effort::BestEffortContainment,
    cgroup::CgroupContainment,
    location::{self, CgroupProblem},
    probe,
};
use crate::{
    cause::chain,
    spec::{ContainmentChoice, GuardianChoice},
};

/// A layer that does not work here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Which one.
    pub layer: ContainmentKind,
    /// Why it does not work, with all causes.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// The layer in force.
#[derive(Debug, Clone)]
pub struct Selection {
    /// It.
    pub containment: Arc<dyn Containment>,
    /// Better ones that do not work.
    pub tried: Vec<Tried>,
}

/// No layer works that the config accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Every layer that was tried.
    pub tried: Vec<Tried>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("process trees cannot be held safely here, so nothing is started")?;
        for tried in &self.tried {
            write!(f, "\n  {}: {}\n    {}", tried.layer.name(), tried.problem, tried.remedy)?;
        }
        f.write_str(
            "\n  runtime.guardian = \"best_effort\" with runtime.containment = \"auto\" would start all the same; \
             then a process that hides may outlive its service",
        )
    }
}

impl Error for Refusal {}

/// Finds the layer and sets it up for one incarnation. Blocks for some milliseconds.
///
/// # Errors
/// When none works that is accepted; nothing is left behind then.
pub fn select(choice: ContainmentChoice, guardian: GuardianChoice, place: &Place) -> Result<Selection, Refusal> {
    let problem = match cgroup(place) {
        Ok(containment) => return Ok(Selection { containment: Arc::new(containment), tried: Vec::new() }),
        Err(problem) => problem,
    };
    let tried = vec![Tried::of(&problem)];
    match (choice, guardian) {
        (ContainmentChoice::Auto, GuardianChoice::BestEffort) => {
            Ok(Selection { containment: Arc::new(BestEffortContainment::new(place)), tried })
        }
        (ContainmentChoice::Cgroup, _) | (ContainmentChoice::Auto, GuardianChoice::Required) => Err(Refusal { tried }),
    }
}

fn cgroup(place: &Place) -> Result<CgroupContainment, CgroupProblem> {
    let own = location::own()?;
    probe(&own)?;
    CgroupContainment::new(&own, place)
}

impl Tried {
    /// That cgroups do not work.
    #[must_use]
    pub fn of(problem: &CgroupProblem) -> Self {
        Self { layer: ContainmentKind::Cgroup, problem: chain(problem), remedy: problem.remedy().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_layer_cause_and_remedy() {
        let source = std::io::Error::from_raw_os_error(13);
        let problem = CgroupProblem::NotWritable { path: "/c".into(), source };
        let text = Refusal { tried: vec![Tried::of(&problem)] }.to_string();
        for part in ["cgroup: no cgroup can be made in /c: Permission denied", "Delegate=yes", "best_effort"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
