//! Whether process trees can be held, and by what.

use std::fs;

use super::{Finding, FindingState};
use crate::os::{
    containment::{Tried, location, probe},
    entry,
};

/// Proves it by moving a process.
pub(super) fn cgroup() -> Finding {
    let place = location::own();
    match place.and_then(|own| probe(&own).map(|()| own)) {
        Ok(own) => Finding::ok(
            "containment",
            format!("cgroup v2 in {}, proven by moving a process into a cgroup there and killing it", own.display()),
        ),
        Err(problem) => {
            let tried = Tried::of(&problem);
            let cost = "the runtime does not start, unless runtime.guardian = \"best_effort\" accepts that a process \
                        that hides may outlive its service";
            Finding::lacking("containment", FindingState::Missing, tried.problem, cost, &tried.remedy)
        }
    }
}

/// Whether a guardian can be started and what it can do.
pub(super) fn guardian(containment: FindingState) -> Finding {
    let cost = "what a killed runtime leaves lives on until the next start sweeps it";
    match (entry::helper(), containment) {
        (Err(error), _) => Finding::lacking(
            "guardian",
            FindingState::Missing,
            error.to_string(),
            cost,
            "call greenroom::guardian::init() first thing in main, or name a greenroom binary",
        ),
        (Ok(_), FindingState::Ok) => Finding::ok(
            "guardian",
            "it can be started, and ends whole trees by their cgroup when the runtime is killed",
        ),
        (Ok(_), FindingState::Degraded | FindingState::Missing) => Finding::lacking(
            "guardian",
            FindingState::Degraded,
            "it can be started, but finds processes only by registry and environment",
            "a process that hides may outlive a killed runtime",
            "see containment",
        ),
    }
}

/// For a containment that needs no delegation.
pub(super) fn user_namespaces() -> Finding {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let name = "user_namespaces";
    let lacking = |detail: &str, remedy: &str| {
        Finding::lacking(name, FindingState::Degraded, detail, "namespaces cannot hold a process tree here", remedy)
    };
    if number("/proc/sys/user/max_user_namespaces").unwrap_or(0) == 0 {
        return lacking("the kernel allows none", "sysctl user.max_user_namespaces=15000");
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return lacking("only for root", "sysctl kernel.unprivileged_userns_clone=1");
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return lacking("AppArmor allows them to named programs only", "add an AppArmor profile for greenroom");
    }
    Finding::ok(name, "allowed")
}
