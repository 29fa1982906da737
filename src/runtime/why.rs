//! `why`: a service's state in sentences, and what to do about it. Pure.

use std::path::Path;

use greenroom_actors::{
    engines,
    resource_orchestrator::view::MemorySnapshot,
    spec::{DependencyCondition, FailureClass, ServiceSpec, StartMode},
    state::{Disposition, ExitReport, ServiceState, ServiceStatus},
    time::Timestamp,
};

use super::{view::ServiceView, why_memory};

/// Lines of a failed run that `why` repeats.
const LAST_WORDS: usize = 5;

/// Why it is in that state.
#[must_use]
pub fn because(
    service: &ServiceView,
    spec: &ServiceSpec,
    dependencies: &[ServiceStatus],
    memory: &MemorySnapshot,
) -> Vec<String> {
    let mut said = vec![headline(service)];
    let waits = service.state == ServiceState::Stopped && service.disposition == Disposition::Up;
    for dependency in &spec.depends_on {
        let Some(other) = dependencies.iter().find(|d| d.name == dependency.service) else { continue };
        if (waits || service.state.is_live()) && !is_met(dependency.condition, other) {
            let reason = other.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            said.push(format!("it depends on `{}`, which is {}{reason}", other.name, other.state.name()));
        }
    }
    if service.state == ServiceState::Stopped && service.run_id.is_none() && !waits {
        match spec.start {
            StartMode::Manual => said.push("its config says `start = \"manual\"`".to_owned()),
            StartMode::OnDemand => said.push("its config says `start = \"on_demand\"`".to_owned()),
            StartMode::Eager => {}
        }
    }
    said.extend(service.load.as_ref().map(|load| format!("it loads: {load}")));
    said.extend(why_memory::because(service, spec, memory));
    if let Some(exit) = &service.last_exit {
        said.extend(last_end(service, exit));
    }
    if service.state == ServiceState::Backoff {
        said.extend(service.next_start.map(|due| format!("it is started again at {}", to_the_second(due))));
    }
    // Of one that has failed, the reason says it.
    if service.restarts.consecutive > 0 && !is_given_up(service.state) {
        let n = service.restarts.consecutive;
        let failures = if n == 1 { "failure" } else { "failures" };
        said.push(format!("{n} {failures} in a row; after {} it is given up", spec.restart.max));
    }
    said
}

/// What to do, if anything.
#[must_use]
pub fn remedy(service: &ServiceView, dependencies: &[ServiceStatus], log: &Path) -> Vec<String> {
    let name = &service.name;
    let mut said = Vec::new();
    match service.state {
        ServiceState::Failed | ServiceState::Quarantined | ServiceState::Backoff => {
            let class = service.last_exit.as_ref().and_then(|e| e.class);
            said.extend(class.filter(|c| !is_only_in_its_log(*c)).map(|c| engines::hint(c).to_owned()));
            if class != Some(FailureClass::MissingCommand) {
                said.push(format!("read its output: greenroom logs {name} ({})", log.display()));
            }
            said.push(match service.state {
                ServiceState::Backoff => format!("it is tried again by itself; at once: greenroom start {name}"),
                _ => format!("then: greenroom start {name}"),
            });
        }
        ServiceState::Stuck => said.push(
            "a process of it does not end on SIGKILL, most likely because a driver hangs; look at `dmesg`. Nothing is \
             started in its place until it is gone; it recovers by itself then"
                .to_owned(),
        ),
        // What is in the way says more than that it could be started.
        ServiceState::Stopped | ServiceState::Offloaded if service.refusal.is_some() => {}
        ServiceState::Stopped if service.disposition == Disposition::Up => {
            let broken = dependencies.iter().filter(|d| is_given_up(d.state));
            said.extend(broken.map(|d| format!("mend what it depends on: greenroom why {}", d.name)));
        }
        ServiceState::Stopped => said.push(format!("greenroom start {name}")),
        ServiceState::Unready => said.push(format!("read its output: greenroom logs {name}")),
        ServiceState::Offloaded | ServiceState::Sleeping => said.push(format!("greenroom load {name}")),
        ServiceState::Reserved
        | ServiceState::Spawning
        | ServiceState::Starting
        | ServiceState::Ready
        | ServiceState::Draining
        | ServiceState::Stopping
        | ServiceState::Killing
        | ServiceState::Reclaiming
        | ServiceState::Completed => {}
    }
    said.extend(why_memory::remedy(service));
    said
}

/// Whether it stays as it is until a person does something about it.
fn is_given_up(state: ServiceState) -> bool {
    matches!(state, ServiceState::Failed | ServiceState::Quarantined)
}

/// State, since when, and the reason without the hint that [`remedy`] gives.
fn headline(service: &ServiceView) -> String {
    let class = service.last_exit.as_ref().and_then(|e| e.class);
    let hint = class.map(|class| format!("; {}", engines::hint(class))).unwrap_or_default();
    // What else there is to say may stand behind it.
    let reason = service
        .reason
        .as_ref()
        .map(|r| format!(": {}", if hint.is_empty() { r.clone() } else { r.replacen(&hint, "", 1) }));
    let since = to_the_second(service.since);
    format!("`{}` is {} since {since}{}", service.name, service.state.name(), reason.unwrap_or_default())
}

/// How its last run ended, where the headline does not say so, and its last words, where it failed.
fn last_end(service: &ServiceView, exit: &ExitReport) -> Vec<String> {
    let reason = service.reason.as_deref().unwrap_or_default();
    let told = is_given_up(service.state) || matches!(service.state, ServiceState::Backoff | ServiceState::Completed);
    let mut said = Vec::new();
    if !told {
        said.push(format!("its last run ended {} at {}", how(exit), to_the_second(exit.at)));
    }
    if exit.class.is_some() {
        let words = exit.stderr.iter().skip(exit.stderr.len().saturating_sub(LAST_WORDS));
        let is_told = |line: &String| told && exit.stderr.len() == 1 && reason.contains(line.as_str());
        said.extend(words.filter(|line| !is_told(line)).map(|line| format!("it said: {line}")));
    }
    said
}

fn how(exit: &ExitReport) -> String {
    let end = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("by signal {signal}"),
        (None, Some(code)) => format!("with exit code {code}"),
        (None, None) => "without an exit code".to_owned(),
    };
    exit.class.map_or_else(|| end.clone(), |class| format!("{end}, class {}", class.name()))
}

/// Whether there is nothing to say about a class but where to read more.
fn is_only_in_its_log(class: FailureClass) -> bool {
    matches!(class, FailureClass::Exit | FailureClass::Unknown)
}

fn to_the_second(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn is_met(condition: DependencyCondition, other: &ServiceStatus) -> bool {
    match condition {
        DependencyCondition::Started => {
            matches!(other.state, ServiceState::Starting | ServiceState::Ready | ServiceState::Unready)
        }
        DependencyCondition::Ready => other.state == ServiceState::Ready,
        DependencyCondition::Completed => other.state == ServiceState::Completed,
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
