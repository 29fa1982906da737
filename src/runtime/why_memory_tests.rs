//! What `why` says of memory.

use greenroom_actors::{
    memory::{Amounts, GpuId, NeedSource, Pool, Shortage},
    os::containment::ContainmentKind,
    resource_orchestrator::view::{CardView, LeaseView, NeedView, WaitingView},
    state::{Disposition, ServiceStatus},
    time::Timestamp,
};

use super::*;
use crate::{
    config::{Sources, load_text},
    runtime::view::MemoryView,
};

fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

fn spec() -> ServiceSpec {
    let text = "[service.image]\ncommand = [\"sleep\", \"1\"]\n";
    let sources = Sources { state_dir: Some("/state".into()), ..Sources::default() };
    let loaded = load_text("greenroom.toml", text, std::path::Path::new("/"), &sources).expect("a configuration");
    loaded.spec.services.into_iter().next().expect("a service")
}

#[test]
fn a_figure_for_a_card_that_there_is_not_does_not_count() {
    let mut spec = spec();
    let peak = greenroom_actors::units::ByteSize(1 << 30);
    spec.memory.vram = Figure::Known { idle: None, peak };
    let on = |backend: &str| {
        let known = MemorySnapshot { backend: backend.to_owned(), ..MemorySnapshot::default() };
        because(&view(ServiceState::Ready, None), &spec, &known)
    };
    assert_eq!(on("none"), ["its `vram` does not count: there is no card here, and it is on the host as a whole"]);
    assert!(on("nvml").is_empty());
}

fn view(state: ServiceState, refusal: Option<Refusal>) -> ServiceView {
    let at = Timestamp::from_micros(0);
    let status = ServiceStatus {
        state,
        refusal: refusal.map(Into::into),
        ..ServiceStatus::initial(name("image"), Disposition::Up, at)
    };
    ServiceView::new(&spec(), status, ContainmentKind::Cgroup, MemoryView::default(), 0)
}

fn vram() -> Pool {
    Pool::Vram(GpuId("GPU-1".to_owned()))
}

fn refusal(kind: RefusalKind, holders: Vec<Holder>) -> Refusal {
    let missing = vec![Shortage { pool: vram(), needed: 4 << 30, free: 1 << 30, capacity: 7 << 30 }];
    Refusal { service: name("image"), kind, missing, holders }
}

fn holder(service: Option<&str>, why: Stays) -> Holder {
    Holder::new(service.map(name), vram(), 6 << 30, why)
}

fn card(state: &str) -> CardView {
    CardView {
        id: GpuId("GPU-1".to_owned()),
        index: 0,
        name: "RTX".to_owned(),
        state: state.to_owned(),
        problem: (state != "works").then(|| "fallen off the bus".to_owned()),
        total: 8 << 30,
        used: None,
        services: [].into(),
        strangers: 0,
        free: 0,
        capacity: 7 << 30,
        utilization: None,
        temperature: None,
    }
}

const NEED: NeedView = NeedView {
    source: NeedSource::FileSize,
    vram: Some(4 << 30),
    ram: 0,
    ram_source: NeedSource::Nothing,
    layers: None,
};

#[test]
fn a_refusal_is_said_once_and_each_holder_has_a_way_out() {
    let holders = vec![
        holder(Some("chat"), Stays::Pinned),
        holder(Some("tts"), Stays::Busy),
        holder(Some("stt"), Stays::Held),
        holder(None, Stays::Stranger),
    ];
    let refused = refusal(RefusalKind::InTheWay, holders);
    let service = view(ServiceState::Stopped, Some(refused.clone()));
    let said = because(&service, &spec(), &MemorySnapshot::default());
    assert_eq!(said, [format!("when it was wanted last, {refused}")]);
    let told = ServiceView { reason: Some(refused.to_string()), ..service.clone() };
    assert!(because(&told, &spec(), &MemorySnapshot::default()).is_empty());
    let what = remedy(&service);
    for part in ["greenroom offload chat", "`tts` works", "`stt`: it has to let go", "other programs hold 6GiB of VRAM"]
    {
        assert_eq!(what.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {what:?}");
    }
    assert_eq!(what.last().map(String::as_str), Some("what a load would do now: greenroom plan image"));
}

#[test]
fn what_never_fits_and_what_has_no_card_has_a_way_out_too() {
    let what = |kind| remedy(&view(ServiceState::Stopped, Some(refusal(kind, Vec::new())))).join("\n");
    assert!(what(RefusalKind::TooLarge).contains("`resources.vram_limit`"));
    assert!(what(RefusalKind::NotInTime).contains("greenroom gpus"));
    assert!(what(RefusalKind::NoCard { problem: "lost".to_owned() }).contains("greenroom doctor"));
    assert!(remedy(&view(ServiceState::Ready, None)).is_empty());
}

#[test]
fn need_lease_and_a_lost_card_are_told() {
    let amounts = Amounts { vram: [(GpuId("GPU-1".to_owned()), 4 << 30)].into(), ..Amounts::default() };
    let lease = LeaseView {
        run_id: greenroom_actors::ids::RunId::fresh(),
        state: "resident".to_owned(),
        measured: Amounts { ram: 5 << 20, ..Amounts::default() },
        amounts,
        gpu_layers: Some(44),
        idle_for: None,
    };
    let known = MemorySnapshot {
        cards: vec![card("lost")],
        leases: [(name("image"), lease)].into(),
        needs: [(name("image"), NEED)].into(),
        ..MemorySnapshot::default()
    };
    let service = view(ServiceState::Ready, None).with_memory(&known);
    assert_eq!(
        because(&service, &spec(), &known),
        [
            "it needs 4GiB of VRAM (size of its files x 1.2)",
            "it may hold 4GiB of VRAM of GPU 0, with 44 layers on the card (lease resident); measured: 5MiB of RAM",
            "GPU 0 (RTX) is lost: fallen off the bus",
        ]
    );
    let in_ram = NeedView { vram: Some(0), ..NEED };
    let known = MemorySnapshot { needs: [(name("image"), in_ram)].into(), leases: [].into(), ..known };
    let service = view(ServiceState::Ready, None).with_memory(&known);
    assert!(because(&service, &spec(), &known).is_empty(), "a lost card is nothing to one that uses none");
}

#[test]
fn who_waits_knows_for_what_and_behind_whom() {
    let asks = |service: &str| WaitingView {
        service: name(service),
        reason: "waits for chat to leave".to_owned(),
        waited: 1.0,
    };
    let known = MemorySnapshot { waiting: vec![asks("tts"), asks("image")], ..MemorySnapshot::default() };
    let service = view(ServiceState::Reserved, None).with_users(0, 2, Timestamp::from_micros(0)).with_memory(&known);
    assert_eq!(
        because(&service, &spec(), &known),
        ["2 requests wait for it: waits for chat to leave", "before it memory was asked for by tts"]
    );
}

#[test]
fn one_that_is_out_says_when_it_comes_back() {
    let mut spec = spec();
    for (reload, word) in [
        (ReloadPolicy::WhenFree, "as soon as there is room"),
        (ReloadPolicy::OnDemand, "when somebody asks"),
        (ReloadPolicy::Never, "only by hand"),
    ] {
        spec.memory.offload.reload = reload;
        let said = because(&view(ServiceState::Offloaded, None), &spec, &MemorySnapshot::default());
        assert!(said.len() == 1 && said[0].contains(word), "{said:?}");
    }
}

#[test]
fn an_idle_one_says_when_it_leaves() {
    let mut spec = spec();
    spec.memory.idle_timeout = std::time::Duration::from_secs(600);
    let idle = ServiceView { idle_for: Some(41.2), ..view(ServiceState::Ready, None) };
    assert_eq!(because(&idle, &spec, &MemorySnapshot::default()), ["idle for 41.2s; offloaded after 10m"]);
}
