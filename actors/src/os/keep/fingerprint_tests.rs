use std::time::Duration;

use super::*;
use crate::{
    ids::{Pid, RunId},
    os::{proc::ProcessIdentity, registry::KeptRun},
    spec::{GuardianChoice, HistorySpec, ServiceLogSpec, ShutdownSpec, StartMode, StopSignal, StopSpec, sample},
    template::{Part, Template},
    time::Timestamp,
    units::ByteSize,
};

const STATE_DIR: &str = "/s";

fn service() -> ServiceSpec {
    let base = sample::service("chat");
    ServiceSpec {
        command: vec![Template::text("serve"), Template(vec![Part::Port])],
        env: [("A".to_owned(), Template::text("1"))].into(),
        working_dir: "/w".into(),
        port: Some(PortSpec::Assigned),
        start: StartMode::Eager,
        stop: StopSpec { on_runtime_exit: OnRuntimeExit::Keep, ..base.stop },
        ..base
    }
}

fn runtime(service: ServiceSpec) -> RuntimeSpec {
    let second = Duration::from_secs(1);
    RuntimeSpec {
        name: "test".to_owned(),
        state_dir: STATE_DIR.into(),
        ports: (100, 200),
        containment: ContainmentChoice::Auto,
        guardian: GuardianChoice::Required,
        shutdown: ShutdownSpec { deadline: second, drain: second, running_jobs: Default::default() },
        history: HistorySpec { path: "/s/h".into(), retain: second, max_size: ByteSize(1) },
        service_logs: ServiceLogSpec { max_size: ByteSize(1), keep: 1 },
        resources: Default::default(),
        gateway: Default::default(),
        watchdog: Default::default(),
        metrics: false,
        remotes: Vec::new(),
        services: vec![service],
        jobs: Vec::new(),
    }
}

/// A run of [`service`] on port 150, held by a shim.
fn entry() -> RegistryEntry {
    let process = ProcessIdentity { boot_id: "b".to_owned(), pid: Pid(7), start_time: 1 };
    let values = RunValues::of(&service(), Some(150), Path::new(STATE_DIR));
    RegistryEntry {
        run: RunId::fresh(),
        service: service().name,
        main: process.clone(),
        hold: "shim:x".to_owned(),
        port: Some(150),
        kept: Some(KeptRun {
            shim: process,
            cgroup: None,
            namespace: false,
            command: Vec::new(),
            started: Timestamp::from_micros(0),
            fingerprint: fingerprint(&service(), &values),
            gpus: Vec::new(),
            gpu_layers: None,
            signal: StopSignal::SigTerm,
            grace_millis: 1,
        }),
    }
}

fn judged(change: impl FnOnce(&mut RuntimeSpec)) -> Option<&'static str> {
    let mut spec = runtime(service());
    change(&mut spec);
    misfit(Path::new(STATE_DIR), &spec, &entry())
}

#[test]
fn a_run_fits_as_long_as_nothing_that_it_was_started_with_has_changed() {
    assert_eq!(judged(|_| {}), None);
    assert_eq!(judged(|spec| spec.services[0].restart.max = 9), None);
    assert_eq!(judged(|spec| spec.services[0].stop.grace = Duration::from_secs(9)), None);
    assert_eq!(judged(|spec| spec.containment = ContainmentChoice::Shim), None);
}

#[test]
fn every_change_of_the_run_itself_is_seen() {
    type Change = fn(&mut ServiceSpec);
    let changes: [Change; 8] = [
        |service| service.command.push(Template::text("")),
        |service| service.command[0] = Template::text("server"),
        |service| drop(service.env.insert("A".to_owned(), Template::text("2"))),
        |service| service.env.clear(),
        |service| service.inherit_env = InheritEnv::Nothing,
        |service| service.inherit_env = InheritEnv::Only(vec!["all".to_owned()]),
        |service| service.working_dir = "/v".into(),
        |service| service.port = Some(PortSpec::Fixed(151)),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert!(judged(|spec| change(&mut spec.services[0])).is_some(), "change {n}");
    }
}

#[test]
fn what_is_wanted_otherwise_is_said() {
    assert_eq!(judged(|spec| spec.services.clear()), Some("it is no longer in the configuration"));
    let stop = judged(|spec| spec.services[0].stop.on_runtime_exit = OnRuntimeExit::Stop);
    assert_eq!(stop, Some("it is no longer to be kept"));
    let port = Some("its port has changed in the configuration");
    assert_eq!(judged(|spec| spec.ports = (100, 149)), port);
    assert_eq!(judged(|spec| spec.services[0].port = None), port);
    for layer in [ContainmentChoice::Cgroup, ContainmentChoice::Namespace] {
        assert_eq!(
            judged(|spec| spec.containment = layer),
            Some("runtime.containment has changed in the configuration")
        );
    }
}

#[test]
fn texts_cannot_be_moved_across_their_bounds() {
    let of = |command: &[&str]| {
        let command = command.iter().map(|part| Template::text(*part)).collect();
        let spec = ServiceSpec { command, ..service() };
        fingerprint(&spec, &RunValues::of(&spec, None, Path::new(STATE_DIR)))
    };
    assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    assert_ne!(of(&["a", ""]), of(&["a"]));
    assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
}
