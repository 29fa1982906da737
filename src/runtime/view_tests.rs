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
    let now = Timestamp::from_micros(0);
    let view = chat(ServiceState::Starting).with_users(0, 2, now);
    let reasons: Vec<(u32, &str)> = view.waiting.iter().map(|w| (w.position, w.reason.as_str())).collect();
    assert_eq!(reasons, [(1, "it is starting"), (2, "it is starting")]);
    let reason = "waits for image to leave".to_owned();
    let asks = WaitingView { service: view.name.clone(), reason: reason.clone(), waited: 1.0 };
    let known = MemorySnapshot { waiting: vec![asks], ..MemorySnapshot::default() };
    let behind = ServiceView { loaded_in: Some(3.0), ..chat(ServiceState::Offloaded) }.with_users(0, 1, now);
    assert_eq!(behind.waiting[0].eta, Some(3.0));
    let behind = behind.with_memory(&known).waiting;
    assert_eq!(behind, [WaiterView { position: 1, reason, eta: None }]);
    let many = chat(ServiceState::Starting).with_users(0, MOST_WAITING + 1, now);
    assert_eq!((many.in_line, many.waiting.len()), (MOST_WAITING + 1, MOST_WAITING as usize), "counted, if not listed");
    let full = ServiceView { max_concurrency: Some(4), ..chat(ServiceState::Ready) }.with_users(4, 1, now);
    assert_eq!(full.waiting[0].reason, "as many use it as may at a time (4)");
}

#[test]
fn when_it_is_ready_is_known_from_its_output_or_from_the_last_time() {
    let at = |state, load: Option<f64>, seconds: i64| {
        let load = load.map(|eta| LoadProgress { phase: "weights".to_owned(), done: 1, total: 4, eta: Some(eta) });
        let view = ServiceView { loaded_in: Some(3.0), load, ..chat(state) };
        view.with_users(0, 1, Timestamp::from_micros(seconds * 1_000_000)).waiting[0].eta
    };
    assert_eq!(at(ServiceState::Starting, Some(0.5), 1), Some(0.5));
    assert_eq!(at(ServiceState::Starting, None, 1), Some(2.0));
    assert_eq!(at(ServiceState::Starting, None, 60), Some(0.0));
    assert_eq!(at(ServiceState::Draining, None, 1), None, "it has to go before it comes");
    let never = chat(ServiceState::Starting).with_users(0, 1, Timestamp::from_micros(0));
    assert_eq!(never.waiting[0].eta, None);
}
