//! Services that exclude each other on a card, with the whole of the actors behind them.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler};
use greenroom_actors::{
    event::{EventBus, EventKind, EventStream},
    ids::RunId,
    lease::{AskLease, Fate, LeaseAnswer, LeaseNews, LeaseVerdict, Wish},
    process_supervisor::messages::{LoadService, StopService},
    resource_orchestrator::messages::{GetPlan, Strike},
    spec::{DeclaredCard, Figure, GpuBackend, ReloadPolicy, ResourcesSpec, ServiceSpec, StartMode},
    state::{ServiceState, ServiceStatus},
    units::ByteSize,
};
use tokio::sync::mpsc;

use crate::{
    rig::{PATIENCE, script},
    roster::{House, until},
};

const GIB: u64 = 1 << 30;

/// One card of 8 GiB that nobody measures.
fn one_card() -> ResourcesSpec {
    let declared = vec![DeclaredCard { name: "a card".to_owned(), memory: ByteSize(8 * GIB) }];
    ResourcesSpec { backend: GpuBackend::Declared, declared, ram_reserve: ByteSize(0), ..ResourcesSpec::default() }
}

fn needs(name: &str, vram: u64, change: impl FnOnce(&mut ServiceSpec)) -> ServiceSpec {
    let mut spec = ServiceSpec { name: name.parse().expect("a name"), ..script("exec sleep 1000") };
    spec.start = StartMode::OnDemand;
    spec.memory.vram = Figure::Known { idle: None, peak: ByteSize(vram) };
    spec.memory.ram = Figure::Known { idle: None, peak: ByteSize(1 << 20) };
    spec.memory.offload.drain = Duration::from_millis(300);
    change(&mut spec);
    spec
}

async fn house() -> (House, EventStream) {
    let bus = EventBus::new(1);
    let events = bus.subscribe(None);
    let chat = needs("chat", 6 * GIB, |s| s.memory.offload.reload = ReloadPolicy::WhenFree);
    let image = needs("image", 4 * GIB, |_| ());
    (House::of(vec![chat, image], one_card(), bus).await, events)
}

fn load(house: &House, name: &str) {
    house
        .find(name)
        .supervisor
        .upgrade()
        .expect("a supervisor")
        .do_send(LoadService { wish: Wish::Wanted, lifts: true });
}

async fn state(house: &House, name: &str, state: ServiceState) -> ServiceStatus {
    until(&house.find(name), |status| status.state == state).await
}

#[actix::test]
async fn one_leaves_for_the_other_and_comes_back_when_there_is_room() {
    let (house, mut events) = house().await;
    load(&house, "chat");
    let chat = state(&house, "chat", ServiceState::Ready).await;
    let placed = chat.placement.expect("a place");
    assert_eq!((placed.gpus.len(), placed.lease.total_vram()), (1, 6 * GIB));

    let plan = house.actors.orchestrator.send(GetPlan { service: "image".parse().expect("a name") }).await;
    let plan = plan.expect("an answer").expect("a plan");
    assert_eq!(plan.offload.first().map(|one| one.service.as_str()), Some("chat"));

    load(&house, "image");
    state(&house, "image", ServiceState::Ready).await;
    assert_eq!(house.find("chat").status.borrow().state, ServiceState::Offloaded);
    let swap = async {
        loop {
            let event = events.next().await.expect("an event");
            if let EventKind::SwapDone { service, from, seconds, .. } = event.kind {
                return (service.to_string(), from, seconds);
            }
        }
    };
    let (service, from, seconds) = tokio::time::timeout(PATIENCE, swap).await.expect("a swap");
    assert_eq!((service.as_str(), from.first().map(|name| name.as_str())), ("image", Some("chat")));
    let parts = seconds.queue + seconds.drain + seconds.stop + seconds.reclaim + seconds.load;
    assert!((parts - seconds.total).abs() < 1e-6, "{seconds:?}");

    let shown = house.actors.memory.look();
    assert_eq!((shown.backend.as_str(), shown.cards.len(), shown.leases.len()), ("declared", 1, 1));

    let stop = StopService { reason: "the test says so".to_owned() };
    house.find("image").supervisor.upgrade().expect("a supervisor").do_send(stop);
    state(&house, "chat", ServiceState::Ready).await;
    house.stop().await;
}

#[actix::test]
async fn who_is_busy_stays_and_the_newcomer_is_told_who_holds_the_memory() {
    let (house, _) = house().await;
    load(&house, "chat");
    state(&house, "chat", ServiceState::Ready).await;
    let inside = house.find("chat").gate.enter().expect("an open gate");
    load(&house, "image");
    let image = until(&house.find("image"), |status| status.refusal.is_some()).await;
    let refusal = image.refusal.expect("a refusal").to_string();
    assert!(refusal.contains("chat holds 6GiB (busy)"), "{refusal}");
    state(&house, "chat", ServiceState::Ready).await;
    drop(inside);
    load(&house, "image");
    state(&house, "image", ServiceState::Ready).await;
    house.stop().await;
}

/// Asks for memory, and lives only as long as an answer may come.
struct Asker(mpsc::UnboundedSender<Option<LeaseVerdict>>);

impl Actor for Asker {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        // The test may be over.
        drop(self.0.send(None));
    }
}

impl Handler<LeaseAnswer> for Asker {
    type Result = ();

    fn handle(&mut self, answer: LeaseAnswer, _: &mut Self::Context) {
        drop(self.0.send(Some(answer.verdict)));
    }
}

/// Asks in the name of a service; gives the answers, and `None` when no more can come.
fn ask_as(house: &House, name: &str, run: RunId) -> mpsc::UnboundedReceiver<Option<LeaseVerdict>> {
    ask_by(house, name, run, Wish::Wanted)
}

fn ask_by(house: &House, name: &str, run: RunId, wish: Wish) -> mpsc::UnboundedReceiver<Option<LeaseVerdict>> {
    let (tell, heard) = mpsc::unbounded_channel();
    let spec = Arc::clone(&house.find(name).spec);
    let (service, answer) = (spec.name.clone(), Asker(tell).start().recipient());
    house.actors.orchestrator.do_send(AskLease { service, run, spec, wish, answer });
    heard
}

async fn heard(answers: &mut mpsc::UnboundedReceiver<Option<LeaseVerdict>>) -> Option<LeaseVerdict> {
    tokio::time::timeout(PATIENCE, answers.recv()).await.expect("an answer").expect("somebody who hears it")
}

#[actix::test]
async fn nothing_is_kept_of_a_service_that_is_struck_while_it_waits() {
    let (house, _) = house().await;
    let (chat, image) = (RunId::fresh(), RunId::fresh());
    let mut granted = ask_as(&house, "chat", chat);
    assert!(matches!(heard(&mut granted).await, Some(LeaseVerdict::Granted(_))));
    let mut waits = ask_as(&house, "image", image);
    assert!(matches!(heard(&mut waits).await, Some(LeaseVerdict::Pending(_))), "chat is loading");
    let strike = |name: &str| house.actors.orchestrator.do_send(Strike { service: name.parse().expect("a name") });
    strike("chat");
    strike("image");
    assert_eq!(heard(&mut waits).await, None, "whoever waits is let go of");
    // What a run holds outlasts its service.
    let told = LeaseNews { service: "chat".parse().expect("a name"), run: chat, fate: Fate::Ended { failed: false } };
    house.actors.orchestrator.do_send(told);
    assert!(matches!(heard(&mut granted).await, Some(LeaseVerdict::Reclaimed(None))));
    assert_eq!(heard(&mut granted).await, None);
    house.stop().await;
}

#[actix::test]
async fn a_run_that_slept_is_told_at_its_end_that_its_memory_is_back() {
    let (house, _) = house().await;
    let (chat, image) = (RunId::fresh(), RunId::fresh());
    let tell = |name: &str, run: RunId, fate: Fate| {
        let service = name.parse().expect("a name");
        house.actors.orchestrator.do_send(LeaseNews { service, run, fate });
    };
    let mut answers = ask_as(&house, "chat", chat);
    assert!(matches!(heard(&mut answers).await, Some(LeaseVerdict::Granted(_))));
    for fate in [Fate::Ready, Fate::Leaving, Fate::Asleep] {
        tell("chat", chat, fate);
    }
    assert_eq!(heard(&mut answers).await, Some(LeaseVerdict::Reclaimed(None)), "it sleeps");
    // There is no room to wake it.
    let mut other = ask_as(&house, "image", image);
    assert!(matches!(heard(&mut other).await, Some(LeaseVerdict::Granted(_))));
    let mut again = ask_by(&house, "chat", chat, Wish::Reload);
    let refused = heard(&mut again).await;
    assert!(matches!(refused, Some(LeaseVerdict::Refused(_))), "{refused:?}");
    tell("chat", chat, Fate::Leaving);
    tell("chat", chat, Fate::Ended { failed: false });
    assert_eq!(heard(&mut again).await, Some(LeaseVerdict::Reclaimed(None)), "it has ended");
    assert_eq!(heard(&mut again).await, None, "and nothing is kept of it");
    tell("image", image, Fate::Ended { failed: false });
    house.stop().await;
}
