//! A service's view, with what is known of memory.

use greenroom_actors::{
    memory::{GpuId, NeedSource},
    resource_orchestrator::view::WaitingView,
};
use serde_json::json;

use super::*;
use crate::config::{Sources, load_text};

fn chat(state: ServiceState) -> ServiceView {
    let text = "[service.chat]\ncommand = [\"sleep\", \"1\"]\n";
    let sources = Sources { state_dir: Some("/state".into()), ..Sources::default() };
    let loaded = load_text("greenroom.toml", text, std::path::Path::new("/"), &sources).expect("a configuration");
    let spec = loaded.spec.services.first().expect("chat");
    let at = Timestamp::from_micros(0);
    let status = ServiceStatus { state, ..ServiceStatus::initial(spec.name.clone(), Disposition::Up, at) };
    ServiceView::new(spec, status, ContainmentKind::Cgroup, MemoryView::default(), 0)
}

fn known() -> MemorySnapshot {
    let name: ServiceName = "chat".parse().expect("a name");
    let amounts = Amounts { vram: [(GpuId("GPU-1".to_owned()), 7)].into(), ram: 3, ..Amounts::default() };
    let card = CardView {
        id: GpuId("GPU-1".to_owned()),
        index: 0,
        name: "a card".to_owned(),
        state: "works".to_owned(),
        problem: None,
        total: 16,
        used: Some(10),
        services: [(name.clone(), 6)].into(),
        strangers: 4,
        free: 6,
        capacity: 15,
        utilization: None,
        temperature: None,
    };
    let lease = LeaseView {
        run_id: RunId::fresh(),
        state: "resident".to_owned(),
        amounts,
        gpu_layers: Some(44),
        measured: Amounts::default(),
        idle_for: Some(2.5),
    };
    let need = NeedView {
        source: NeedSource::Calibrated,
        vram: Some(7),
        ram: 3,
        ram_source: NeedSource::User,
        layers: Some(48),
    };
    MemorySnapshot {
        cards: vec![card],
        leases: [(name.clone(), lease)].into(),
        needs: [(name, need)].into(),
        ..MemorySnapshot::default()
    }
}

#[test]
fn lease_need_and_measured_memory_have_the_shapes_of_the_api() {
    let view = serde_json::to_value(chat(ServiceState::Ready).with_memory(&known())).expect("JSON");
    assert_eq!(view["memory"]["vram"], json!({ "GPU-1": 6 }));
    let lease = json!({ "state": "resident", "vram": { "GPU-1": 7 }, "ram": 3, "gpu_layers": 44 });
    assert_eq!(view["lease"], lease);
    let need = json!({ "source": "calibrated", "vram": 7, "ram": 3, "ram_source": "user", "layers": 48 });
    assert_eq!(view["need"], need);
    assert_eq!((&view["idle_for"], &view["refusal"]), (&json!(2.5), &json!(null)));
    let other = serde_json::to_value(chat(ServiceState::Ready).with_memory(&MemorySnapshot::default())).expect("JSON");
    assert_eq!((&other["lease"], &other["need"], &other["memory"]["vram"]), (&json!(null), &json!(null), &json!({})));
}

#[test]
fn those_who_wait_know_their_place_and_for_what() {
    let view = chat(ServiceState::Starting).with_users(0, 2);
    let reasons: Vec<(u32, &str)> = view.waiting.iter().map(|w| (w.position, w.reason.as_str())).collect();
    assert_eq!(reasons, [(1, "it is starting"), (2, "it is starting")]);
    let reason = "waits for image to leave".to_owned();
    let asks = WaitingView { service: view.name.clone(), reason: reason.clone(), waited: 1.0 };
    let known = MemorySnapshot { waiting: vec![asks], ..MemorySnapshot::default() };
    assert!(view.with_memory(&known).waiting.iter().all(|waiter| waiter.reason == reason));
    assert_eq!(chat(ServiceState::Starting).with_users(0, u32::MAX).waiting.len(), MOST_WAITING as usize);
}
