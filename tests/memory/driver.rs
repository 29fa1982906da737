//! A runtime on cards that a driver measures, and stand-ins that hold memory there.

use std::path::Path;

use serde_json::Value;

use crate::{
    common::{
        BOUND, Greenroom,
        nvml::{self, FakeNvml},
        wait_for,
    },
    house::{door, service},
};

pub const GIB: u64 = 1 << 30;

/// A runtime with the cards of `fake`, further keys of `[resources]`, the door, and these services.
#[track_caller]
pub fn on_cards(fake: &FakeNvml, resources: &str, services: impl FnOnce(&Greenroom) -> String) -> Greenroom {
    Greenroom::running(|greenroom| {
        let cards = format!("{}vram_reserve = \"0B\"\n{resources}\n", fake.config());
        format!("{}{cards}{}", door(greenroom), services(greenroom))
    })
}

/// A service on demand that holds this on cards (`0:2GiB`) as soon as its process runs.
pub fn holder(fake: &FakeNvml, greenroom: &Greenroom, name: &str, keys: &str, held: &[&str]) -> String {
    let held: String = held.iter().map(|held| format!(" --vram {held}")).collect();
    let options = format!("--vram-at-start --vram-dir {}{held}", fake.allocations().display());
    service(greenroom, name, keys, &options)
}

/// What `GET /api/gpus` says.
#[track_caller]
pub fn gpus(greenroom: &Greenroom) -> Value {
    greenroom.api().get("/api/gpus").expect("the control socket answers").json()
}

/// How often `kind` was told of the alert.
fn alerts(greenroom: &Greenroom, kind: &str, alert: &str) -> usize {
    let past = greenroom.api().get("/api/history/events?limit=1000").expect("the control socket answers").json();
    let events = past.as_array().into_iter().flatten().map(|entry| &entry["event"]);
    events.filter(|event| event["type"] == kind && event["alert"] == alert).count()
}

/// Waits until the alert was raised and cleared as often as that.
#[track_caller]
pub fn wait_alerts(greenroom: &Greenroom, alert: &str, raised: usize, cleared: usize) {
    let told = || (alerts(greenroom, "alert.raised", alert), alerts(greenroom, "alert.cleared", alert));
    wait_for(&format!("{alert} is raised {raised} times and cleared {cleared} times"), BOUND, || {
        told() == (raised, cleared)
    });
}

/// All that is held on a card, by those that run and by those whose memory is not back, as
/// [`FakeNvml::allocations`] says.
pub fn held(allocations: &Path, index: u32) -> u64 {
    nvml::held(allocations, |name| name.split('.').nth(1) == Some(&index.to_string()))
}
