//! What `why` says in each state.

use std::path::Path;

use greenroom_actors::{
    ids::Pid,
    state::{LoadProgress, ServiceStatus},
};

use super::*;
use crate::{
    config::{Sources, load_text},
    runtime::view::{MemoryView, ServiceView},
};
use greenroom_actors::os::containment::ContainmentKind;

const CONFIG: &str = r#"
[service.db]
command = ["sleep", "1"]
[service.chat]
command = ["sleep", "1"]
start = "manual"
depends_on = { db = "ready" }
restart.max = 3
"#;

fn specs() -> Vec<ServiceSpec> {
    let sources = Sources { state_dir: Some("/state".into()), ..Sources::default() };
    load_text("greenroom.toml", CONFIG, Path::new("/"), &sources).expect("a configuration").spec.services
}

fn status(name: &str, state: ServiceState) -> ServiceStatus {
    let at = Timestamp::from_micros(1_763_715_600_000_250);
    ServiceStatus { state, ..ServiceStatus::initial(name.parse().expect("a name"), Disposition::Up, at) }
}

fn failed(state: ServiceState, class: FailureClass, reason: &str, stderr: &[&str]) -> ServiceStatus {
    let at = Timestamp::from_micros(1_763_715_600_000_250);
    let exit = ExitReport {
        code: Some(1),
        signal: None,
        class: Some(class),
        stderr: stderr.iter().map(|line| (*line).to_owned()).collect(),
        at,
    };
    let reason = Some(format!("{reason}; {}", engines::hint(class)));
    ServiceStatus { reason, last_exit: Some(exit), restarts_consecutive: 2, ..status("chat", state) }
}

/// Reasons and remedies of `chat`, whose dependency is in state `db`.
fn said(chat: ServiceStatus, db: ServiceState) -> (Vec<String>, Vec<String>) {
    let specs = specs();
    let spec = specs.iter().find(|s| s.name.as_str() == "chat").expect("chat");
    let view = ServiceView::new(spec, chat, ContainmentKind::Cgroup, MemoryView::default(), 0);
    let others = [status("db", db)];
    (because(&view, spec, &others, &MemorySnapshot::default()), remedy(&view, &others, Path::new("/logs/chat")))
}

#[test]
fn a_failure_says_each_thing_once() {
    let reason = "gave up after 3 failures in a row, at last: ended with exit code 1: `boom`";
    let (why, what) = said(failed(ServiceState::Failed, FailureClass::Exit, reason, &["boom"]), ServiceState::Ready);
    assert_eq!(why, [format!("`chat` is failed since 2025-11-21T09:00:00Z: {reason}")]);
    assert_eq!(what, ["read its output: greenroom logs chat (/logs/chat)", "then: greenroom start chat"]);
}

#[test]
fn the_hint_of_a_class_is_what_to_do_and_not_why() {
    let status = failed(ServiceState::Failed, FailureClass::OomGpu, "ended with exit code 1", &["a", "b"]);
    let (why, what) = said(status, ServiceState::Ready);
    let hint = engines::hint(FailureClass::OomGpu);
    assert!(why.iter().all(|line| !line.contains(hint)), "{why:?}");
    assert_eq!(what.iter().filter(|line| line.contains(hint)).count(), 1, "{what:?}");
    assert!(why.ends_with(&["it said: a".to_owned(), "it said: b".to_owned()]), "{why:?}");
}

#[test]
fn a_program_that_is_not_there_has_no_output_to_read() {
    let status = failed(ServiceState::Failed, FailureClass::MissingCommand, "could not be started", &[]);
    let (_, what) = said(status, ServiceState::Ready);
    assert_eq!(what, [engines::hint(FailureClass::MissingCommand), "then: greenroom start chat"]);
}

#[test]
fn a_backoff_says_when_it_ends_and_when_it_is_given_up() {
    let next_start = Some(Timestamp::from_micros(1_763_715_604_700_000));
    let status = failed(ServiceState::Backoff, FailureClass::Timeout, "it was not ready", &[]);
    let (why, what) = said(ServiceStatus { next_start, ..status }, ServiceState::Ready);
    assert_eq!(
        why[1..],
        ["it is started again at 2025-11-21T09:00:04Z", "2 failures in a row; after 3 it is given up"]
    );
    assert_eq!(what.last().map(String::as_str), Some("it is tried again by itself; at once: greenroom start chat"));
}

#[test]
fn what_it_depends_on_is_named_whether_it_waits_or_runs() {
    let waiting = said(status("chat", ServiceState::Stopped), ServiceState::Failed);
    assert!(waiting.0.contains(&"it depends on `db`, which is failed".to_owned()), "{waiting:?}");
    assert_eq!(waiting.1, ["mend what it depends on: greenroom why db"]);
    let running = said(status("chat", ServiceState::Ready), ServiceState::Stopped);
    assert!(running.0.contains(&"it depends on `db`, which is stopped".to_owned()), "{running:?}");
    assert_eq!(said(status("chat", ServiceState::Ready), ServiceState::Ready).0.len(), 1);
}

#[test]
fn of_one_that_loads_it_says_how_far_it_has_come() {
    let load = LoadProgress { phase: "weights".to_owned(), done: 1, total: 4, eta: Some(2.1) };
    let starting = ServiceStatus { load: Some(load), ..status("chat", ServiceState::Starting) };
    let (why, _) = said(starting, ServiceState::Ready);
    assert_eq!(why[1..], ["it loads: weights 1/4, 2.1s left"]);
}

#[test]
fn a_wanted_end_has_no_last_words() {
    let exit = ExitReport {
        code: None,
        signal: Some(15),
        class: None,
        stderr: vec!["tick".to_owned()],
        at: Timestamp::from_micros(1_763_715_600_000_250),
    };
    let mut stopped = status("chat", ServiceState::Stopped);
    stopped.last_exit = Some(exit);
    stopped.pid = Some(Pid(1));
    let (why, _) = said(stopped, ServiceState::Ready);
    assert_eq!(why[1..], ["its last run ended by signal 15 at 2025-11-21T09:00:00Z"]);
}
