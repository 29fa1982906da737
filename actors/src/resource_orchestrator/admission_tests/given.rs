//! Services, needs and `[resources]` for these tests.

use std::time::Duration;

use crate::{
    ids::ServiceName,
    memory::{Need, NeedSource, VramNeed},
    spec::{ReadySpec, ResourcesSpec, RestartPolicy, RestartSpec, ServiceSpec, StopSpec, sample},
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
    let base = sample::service(text);
    let mut spec = ServiceSpec {
        ready: ReadySpec { timeout: ms(3000), interval: range, ..base.ready },
        restart: RestartSpec {
            policy: RestartPolicy::OnFailure,
            backoff: range,
            reset_after: ms(600_000),
            ..base.restart
        },
        stop: StopSpec { grace: ms(500), ..base.stop },
        ..base
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
