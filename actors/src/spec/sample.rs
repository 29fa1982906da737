//! A service for unit tests, each of which says only what it is about.

use std::time::Duration;

use super::{
    AliveSpec, CleanupSpec, DoorSpec, GpuLayers, InheritEnv, LimitsSpec, MemorySpec, OnRuntimeExit, Probe, ReadySpec,
    RestartPolicy, RestartSpec, ServiceSpec, StartMode, StopSignal, StopSpec,
};
use crate::{engines::EngineRef, template::Template, units::DurationRange};

/// A program on demand of which nothing is known: no port, no probe, nothing said of memory, a second for everything.
pub fn service(name: &str) -> ServiceSpec {
    let second = Duration::from_secs(1);
    let range = DurationRange { min: second, max: second };
    ServiceSpec {
        name: name.parse().expect("a name"),
        engine: EngineRef::generic(),
        command: vec![Template::text("x")],
        model_file: None,
        gpu_layers: GpuLayers::Auto,
        serves: Vec::new(),
        env: [].into(),
        inherit_env: InheritEnv::All,
        working_dir: "/".into(),
        port: None,
        owner_check: true,
        start: StartMode::OnDemand,
        depends_on: Vec::new(),
        ready: ReadySpec { probe: Probe::None, timeout: second, interval: range },
        alive: AliveSpec {
            probe: Probe::None,
            interval: second,
            timeout: second,
            failures: 3,
            busy_timeout: second,
            generation: None,
        },
        restart: RestartSpec { policy: RestartPolicy::Always, max: 3, backoff: range, reset_after: second },
        stop: StopSpec {
            signal: StopSignal::SigTerm,
            grace: second,
            http: None,
            exec: Vec::new(),
            on_runtime_exit: OnRuntimeExit::Stop,
        },
        failure: Vec::new(),
        limits: LimitsSpec::default(),
        memory: MemorySpec::default(),
        door: DoorSpec::default(),
        cleanup: CleanupSpec::default(),
        restart_after_job: false,
        worker: None,
    }
}
