//! Whether process trees can be held, and by what: every layer is tried with real processes.

use std::path::PathBuf;

use super::{
    Finding, FindingState,
    trial::{Trial, try_shims},
};
use crate::os::{
    containment::{ContainmentKind, ProofError, Tried, location, location::CgroupProblem, probe},
    entry,
};

/// Without a cgroup and without shims.
const NOTHING: &str = "the runtime does not start, unless runtime.guardian = \"best_effort\" accepts that a process that \
                       hides may outlive its service";

/// What is in force by itself, then each layer, then the guardian.
pub(super) fn layers() -> Vec<Finding> {
    let cgroup = location::own().and_then(|own| probe(&own).map(|()| own));
    let trial = entry::helper().map_err(|error| error.to_string()).and_then(|_| try_shims());
    judge(&cgroup, &trial)
}

/// Pure.
fn judge(cgroup: &Result<PathBuf, CgroupProblem>, trial: &Result<Trial, String>) -> Vec<Finding> {
    let (shim, namespace) = match trial {
        Ok(trial) => (
            of_shim(ContainmentKind::Shim, &trial.shim, "nothing holds process trees where there is no cgroup"),
            of_shim(ContainmentKind::Namespace, &trial.namespace, "runtime.containment = \"namespace\" is refused"),
        ),
        Err(why) => (untried(ContainmentKind::Shim, why), untried(ContainmentKind::Namespace, why)),
    };
    vec![in_force(cgroup.is_ok(), shim.state == FindingState::Ok), of_cgroup(cgroup), shim, namespace, guardian(trial)]
}

fn in_force(cgroup: bool, shim: bool) -> Finding {
    let name = "containment";
    match (cgroup, shim) {
        (true, _) => Finding::ok(name, "runtime.containment = \"auto\" takes cgroup"),
        (false, true) => Finding::lacking(
            name,
            FindingState::Degraded,
            "runtime.containment = \"auto\" takes shim",
            "what shim cannot do, see its limit",
            "see cgroup; `greenroom run --delegate` starts it in one of its own where systemd offers that",
        ),
        (false, false) => {
            Finding::lacking(name, FindingState::Missing, "no layer works", NOTHING, "see cgroup, or else shim")
        }
    }
}

fn of_cgroup(cgroup: &Result<PathBuf, CgroupProblem>) -> Finding {
    match cgroup {
        Ok(own) => works(
            ContainmentKind::Cgroup,
            format!("cgroup v2 in {}, proven by moving a process into a cgroup there and killing it", own.display()),
        ),
        Err(problem) => {
            let tried = Tried::cgroup(problem);
            let cost = "trees are held by shims, or not at all";
            Finding::lacking("cgroup", FindingState::Degraded, tried.problem, cost, &tried.remedy)
        }
    }
}

fn of_shim(kind: ContainmentKind, proof: &Result<(), ProofError>, cost: &str) -> Finding {
    match proof {
        Ok(()) => works(kind, "works, proven by holding a tree of processes and killing it".to_owned()),
        Err(problem) => {
            let tried = Tried::shim(kind, problem);
            Finding::lacking(kind.name(), FindingState::Degraded, tried.problem, cost, &tried.remedy)
        }
    }
}

/// A layer that works has its limits all the same.
fn works(kind: ContainmentKind, detail: String) -> Finding {
    Finding { limit: Some(kind.limits().join("; ")), ..Finding::ok(kind.name(), detail) }
}

fn untried(kind: ContainmentKind, why: &str) -> Finding {
    let detail = format!("not tried, as it needs a guardian: {why}");
    Finding::lacking(kind.name(), FindingState::Degraded, detail, "it cannot be used", "see guardian")
}

/// Whether a guardian can be started.
fn guardian(trial: &Result<Trial, String>) -> Finding {
    match trial {
        Ok(_) => Finding::ok("guardian", "it can be started, and ends what is left when the runtime is killed"),
        Err(why) => Finding::lacking(
            "guardian",
            FindingState::Missing,
            why,
            "what a killed runtime leaves lives on until the next start sweeps it",
            "call greenroom::guardian::init() first thing in main, or name a greenroom binary; see the limits on \
             processes and descriptors (ulimit -a)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(findings: &[Finding]) -> Vec<(&str, FindingState)> {
        findings.iter().map(|finding| (finding.name.as_str(), finding.state)).collect()
    }

    #[test]
    fn every_layer_is_told_and_the_best_is_in_force() {
        use FindingState::{Degraded, Missing, Ok as Fine};
        let works = || Ok(Trial { shim: Ok(()), namespace: Err(ProofError::NotSeen) });
        let found = judge(&Ok("/c".into()), &works());
        let expected =
            [("containment", Fine), ("cgroup", Fine), ("shim", Fine), ("namespace", Degraded), ("guardian", Fine)];
        assert_eq!(states(&found), expected);
        let found = judge(&Err(CgroupProblem::NoKill), &works());
        assert_eq!(states(&found)[..3], [("containment", Degraded), ("cgroup", Degraded), ("shim", Fine)]);
        assert!(found[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("--delegate")), "{found:?}");
        let found = judge(&Err(CgroupProblem::NoKill), &Err("no processes left".to_owned()));
        assert_eq!(states(&found)[0], ("containment", Missing));
        assert_eq!(states(&found)[4], ("guardian", Missing));
        assert!(found[2].detail.contains("no processes left"), "{found:?}");
    }
}
