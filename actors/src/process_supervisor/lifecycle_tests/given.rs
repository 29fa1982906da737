//! Services whose memory is counted.

use std::sync::Arc;

use super::world::{World, spec};
use crate::{
    ids::Pid,
    lease::Wish,
    memory::{Refusal, RefusalKind},
    process_supervisor::lifecycle::*,
    state::Disposition,
};

pub fn on_demand() -> LifeSpec {
    LifeSpec { wanted: Disposition::OnDemand, ..spec() }
}

pub fn sleeper() -> LifeSpec {
    LifeSpec { sleeps: true, ..on_demand() }
}

pub fn refusal() -> Arc<Refusal> {
    let (missing, holders) = (Vec::new(), Vec::new());
    let service = "svc".parse().expect("a name");
    Arc::new(Refusal { service, kind: RefusalKind::InTheWay, missing, holders })
}

pub fn offload() -> Event {
    Event::Offload { reason: "makes room".to_owned() }
}

pub const LOAD: Event = Event::Load { wish: Wish::Wanted, lifts: true };

/// A service whose questions are answered by the test.
pub fn asking(spec: LifeSpec) -> World {
    World { grants: None, ..World::with_memory(spec) }
}

pub fn loaded(spec: LifeSpec) -> World {
    let mut w = World::with_memory(spec);
    w.tell(LOAD);
    up(&mut w);
    w
}

/// Runs on a port, since what has none is neither asked nor put to sleep.
pub fn up(w: &mut World) {
    w.news(RunNews::Spawned { pid: Pid(7), port: Some(4000) });
    w.news(RunNews::Ready);
}

pub fn asleep() -> World {
    let mut w = loaded(sleeper());
    w.tell(offload());
    w.news(RunNews::Asleep);
    w.reclaimed();
    w.grants = None;
    w
}
