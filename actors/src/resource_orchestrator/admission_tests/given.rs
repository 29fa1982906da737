//! Services, needs and `[resources]` for these tests.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    engines::EngineRef,
    ids::ServiceName,
    memory::{Need, NeedSource, VramNeed},
    probe::Probe,
    spec::{
        AliveSpec, GpuLayers, InheritEnv, OnRuntimeExit, ReadySpec, ResourcesSpec, RestartPolicy, RestartSpec,
        ServiceSpec, StartMode, StopSignal, StopSpec,
    },
    template::Template,
    units::{ByteSize, DurationRange},
};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

/// A service that takes part in memory as `change` says.
pub fn spec(text: &str, change: impl FnOnce(&mut ServiceSpec)) -> ServiceSpec {
    let range = DurationRange { min: ms(100), max: ms(800) };
    let mut spec = ServiceSpec {
        name: name(text),
        engine: EngineRef::generic(),
        command: vec![Template::text("x")],
        model_file: None,
        gpu_layers: GpuLayers::Auto,
        serves: Vec::new(),
        env: BTreeMap::new(),
        inherit_env: InheritEnv::All,
        working_dir: "/".into(),
        port: None,
        owner_check: true,
        start: StartMode::OnDemand,
        depends_on: Vec::new(),
        ready: ReadySpec { probe: Probe::None, timeout: ms(3000), interval: range },
        alive: AliveSpec { probe: Probe::None, interval: ms(1000), timeout: ms(1000), failures: 3 },
        restart: RestartSpec { policy: RestartPolicy::OnFailure, max: 3, backoff: range, reset_after: ms(600_000) },
        stop: StopSpec {
            signal: StopSignal::SigTerm,
            grace: ms(500),
            http: None,
            exec: Vec::new(),
            on_runtime_exit: OnRuntimeExit::Stop,
        },
        failure: Vec::new(),
        memory: crate::spec::MemorySpec::default(),
    };
    spec.memory.offload.drain = ms(1000);
    spec.memory.offload.backoff = range;
    change(&mut spec);
    spec
}

pub fn need(vram: u64, ram: u64) -> Need {
    Need {
        vram: if vram == 0 { VramNeed::None } else { VramNeed::Bytes(vram) },
        ram,
        vram_source: NeedSource::User,
        ram_source: NeedSource::User,
        ..Need::nothing()
    }
}

/// `[resources]` of these tests: small reserves, two seconds for memory to come back.
pub fn rules() -> ResourcesSpec {
    ResourcesSpec {
        vram_reserve: ByteSize(512 * MIB),
        ram_reserve: ByteSize(GIB),
        reclaim_timeout: ms(2000),
        custom: [("npu".to_owned(), 2)].into(),
        ..ResourcesSpec::default()
    }
}
