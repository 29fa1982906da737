//! Chooses the layer: the best one that works here and that the config accepts.
//!
//! In two steps, because shims need the guardian and the guardian needs to know the cgroup: [`select`] chooses, and
//! once the guardian is at work, [`Selection::settle`] proves what could not be proven without it.

use std::{error::Error, fmt, sync::Arc};

use serde::Serialize;

use super::{
    Containment, ContainmentKind, Place, ProofError,
    best_effort::BestEffortContainment,
    cgroup::CgroupContainment,
    location::{self, CgroupProblem},
    probe, prove,
    shim::ShimContainment,
    user_namespaces,
};
use crate::{
    cause::chain,
    os::shim::nursery::Nursery,
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
    /// Where shims come from; to be given its guardian.
    pub nursery: Nursery,
    terms: Terms,
}

/// What is accepted, and where.
#[derive(Debug, Clone)]
struct Terms {
    choice: ContainmentChoice,
    guardian: GuardianChoice,
    place: Place,
}

/// No layer works that the config accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the config asks for.
    pub choice: ContainmentChoice,
    /// Every layer that was tried.
    pub tried: Vec<Tried>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("process trees cannot be held safely here, so nothing is started")?;
        for tried in &self.tried {
            write!(f, "\n  {}: {}\n    {}", tried.layer.name(), tried.problem, tried.remedy)?;
        }
        f.write_str(match self.choice {
            ContainmentChoice::Auto => {
                "\n  runtime.guardian = \"best_effort\" would start all the same; then a process that hides may outlive \
                 its service"
            }
            ContainmentChoice::Cgroup | ContainmentChoice::Shim | ContainmentChoice::Namespace => {
                "\n  runtime.containment = \"auto\" takes the best layer that works here; `greenroom doctor` tries them all"
            }
        })
    }
}

impl Error for Refusal {}

/// Finds the layer and sets it up for one incarnation. Blocks for some milliseconds. A cgroup is proven; what needs the
/// guardian is not yet.
///
/// # Errors
/// When a cgroup is asked for and does not work; nothing is left behind then.
pub fn select(choice: ContainmentChoice, guardian: GuardianChoice, place: &Place) -> Result<Selection, Refusal> {
    let nursery = Nursery::default();
    let mut tried = Vec::new();
    let containment: Arc<dyn Containment> = match choice {
        ContainmentChoice::Shim => Arc::new(ShimContainment::shims(place, nursery.clone())),
        ContainmentChoice::Namespace => Arc::new(ShimContainment::namespaces(place, nursery.clone())),
        ContainmentChoice::Auto | ContainmentChoice::Cgroup => match cgroup(place) {
            Ok(containment) => Arc::new(containment),
            Err(problem) => {
                tried.push(Tried::cgroup(&problem));
                if choice == ContainmentChoice::Cgroup {
                    return Err(Refusal { choice, tried });
                }
                Arc::new(ShimContainment::shims(place, nursery.clone()))
            }
        },
    };
    let terms = Terms { choice, guardian, place: place.clone() };
    Ok(Selection { containment, tried, nursery, terms })
}

impl Selection {
    /// Proves what [`select`] chose, once the nursery has its guardian; takes some 10 ms. Where the layer was not asked
    /// for by its name and the config accepts it, one that does not work is replaced by [`BestEffortContainment`]. To be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// When it does not work; nothing is left behind then.
    pub async fn settle(mut self) -> Result<Self, Refusal> {
        let kind = self.containment.kind();
        if !matches!(kind, ContainmentKind::Shim | ContainmentKind::Namespace) {
            return Ok(self);
        }
        let Err(problem) = prove(self.containment.as_ref()).await else { return Ok(self) };
        self.tried.push(Tried::shim(kind, &problem));
        match (self.terms.choice, self.terms.guardian) {
            (ContainmentChoice::Auto, GuardianChoice::BestEffort) => {
                self.containment = Arc::new(BestEffortContainment::new(&self.terms.place));
                Ok(self)
            }
            (choice, _) => Err(Refusal { choice, tried: self.tried }),
        }
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
    pub fn cgroup(problem: &CgroupProblem) -> Self {
        Self { layer: ContainmentKind::Cgroup, problem: chain(problem), remedy: problem.remedy().to_owned() }
    }

    /// That shims of one of their kinds do not work.
    #[must_use]
    pub fn shim(layer: ContainmentKind, problem: &ProofError) -> Self {
        let obstacle = (layer == ContainmentKind::Namespace).then(user_namespaces::obstacle).flatten();
        let remedy = match (layer, obstacle) {
            (_, Some(obstacle)) => format!("{}: {}", obstacle.problem, obstacle.remedy),
            (ContainmentKind::Namespace, None) => {
                "see the limits on processes and descriptors (ulimit -a) and, in a container, its seccomp profile, \
                 which may forbid unshare(2)"
                    .to_owned()
            }
            _ => {
                "see the limits on processes and descriptors (ulimit -a), and guardian.log in the state dir".to_owned()
            }
        };
        Self { layer, problem: chain(problem), remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_layer_cause_and_remedy() {
        let source = std::io::Error::from_raw_os_error(13);
        let problem = CgroupProblem::NotWritable { path: "/c".into(), source };
        let tried = vec![Tried::cgroup(&problem), Tried::shim(ContainmentKind::Shim, &ProofError::NotSeen)];
        let text = Refusal { choice: ContainmentChoice::Auto, tried: tried.clone() }.to_string();
        for part in
            ["cgroup: no cgroup can be made in /c: Permission denied", "Delegate=yes", "shim: a hold", "best_effort"]
        {
            assert!(text.contains(part), "{text}");
        }
        let text = Refusal { choice: ContainmentChoice::Cgroup, tried }.to_string();
        assert!(text.contains("\"auto\"") && !text.contains("best_effort"), "{text}");
    }
}
