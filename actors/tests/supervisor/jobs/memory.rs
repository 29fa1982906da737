//! Jobs that need memory which a resident has.

use greenroom_actors::{
    failure::FailureClass,
    gate::Ticket,
    job_queue::attempt::{AttemptEnd, AttemptNews, Order, StopWhy},
    lease::Wish,
    os::clock,
    process_supervisor::messages::LoadService,
    spec::{DeclaredCard, Figure, GpuBackend, ReloadPolicy, ResourcesSpec, ServiceSpec, StartMode},
    state::ServiceState,
    units::ByteSize,
};

use super::{begun::nothing, queue::*};
use crate::{rig::script, roster::until};

const GIB: u64 = 1 << 30;

/// One card of 8 GiB that nobody measures.
fn one_card() -> ResourcesSpec {
    let declared = vec![DeclaredCard { name: "a card".to_owned(), memory: ByteSize(8 * GIB) }];
    ResourcesSpec { backend: GpuBackend::Declared, declared, ram_reserve: ByteSize(0), ..ResourcesSpec::default() }
}

fn takes(spec: &mut ServiceSpec, vram: u64) {
    spec.memory.vram = Figure::Known { idle: None, peak: ByteSize(vram) };
    spec.memory.ram = Figure::Known { idle: None, peak: ByteSize(1 << 20) };
}

fn chat() -> ServiceSpec {
    let mut chat = ServiceSpec { name: "chat".parse().expect("a name"), ..script("exec sleep 1000") };
    chat.start = StartMode::OnDemand;
    chat.memory.offload.reload = ReloadPolicy::WhenFree;
    takes(&mut chat, 6 * GIB);
    chat
}

impl Queue {
    /// A job that takes 4 GiB of a card of 8, and ends when the file `go` is there; beside it `chat` of 6 GiB, loaded.
    async fn beside_chat(chat: ServiceSpec) -> Self {
        let text = "while [ ! -e \"$2/go\" ]; do sleep 0.01; done; : > \"$1\"";
        let queue = Self::with(text, vec![chat], one_card(), |spec| takes(spec, 4 * GIB)).await;
        queue.load_chat();
        until(&queue.house.find("chat"), |status| status.state == ServiceState::Ready).await;
        queue
    }

    fn load_chat(&self) {
        let chat = self.house.find("chat").supervisor.upgrade().expect("a supervisor");
        chat.do_send(LoadService { wish: Wish::Wanted, lifts: true });
    }
}

#[actix::test]
async fn a_resident_leaves_for_a_job_and_is_back_after_it() {
    let queue = Queue::beside_chat(chat()).await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    assert_eq!(queue.house.find("chat").status.borrow().state, ServiceState::Offloaded);
    queue.let_end();
    assert_eq!(begun.done().await.files, ["output"]);
    until(&queue.house.find("chat"), |status| status.state == ServiceState::Ready).await;
    queue.stop().await;
}

#[actix::test]
async fn a_job_that_works_is_not_pushed_out_and_its_end_is_its_own() {
    let queue = Queue::beside_chat(chat()).await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    until(&queue.house.find("image"), |status| status.state == ServiceState::Ready).await;
    // Somebody waits for chat, so that it is due at some time.
    let ticket = Ticket { arrival: clock::now(), priority: 9 };
    let waits = queue.house.find("chat").gate.line_up(ticket, 8).expect("nobody is before it");
    queue.load_chat();
    until(&queue.house.find("image"), |status| status.state == ServiceState::Draining).await;
    queue.let_end();
    assert_eq!(begun.done().await.files, ["output"]);
    until(&queue.house.find("chat"), |status| status.state == ServiceState::Ready).await;
    drop(waits);
    queue.stop().await;
}

#[actix::test]
async fn one_that_waits_for_memory_says_so_tries_again_and_is_withdrawn_at_once() {
    let queue = Queue::beside_chat(ServiceSpec {
        memory: {
            let mut memory = chat().memory;
            memory.pinned = true;
            memory
        },
        ..chat()
    })
    .await;
    let mut begun = queue.begin(nothing());
    let why = begun.until(|news| match news {
        AttemptNews::Waiting(why) if why.contains("chat holds") => Some(why.clone()),
        _ => None,
    });
    let why = why.await;
    assert!(why.contains("chat holds 6GiB (pinned)"), "{why}");
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    let rests = queue.house.find("image").status.borrow().clone();
    assert_eq!((rests.state, rests.run_id), (ServiceState::Stopped, None));
    // What comes later finds room once the other has gone.
    let mut begun = queue.begin(nothing());
    begun.until(|news| matches!(news, AttemptNews::Waiting(why) if why.contains("chat holds")).then_some(())).await;
    let chat = queue.house.find("chat").supervisor.upgrade().expect("a supervisor");
    chat.do_send(greenroom_actors::process_supervisor::messages::StopService { reason: "enough".to_owned() });
    queue.let_end();
    begun.done().await;
    queue.stop().await;
}

#[actix::test]
async fn one_that_never_fits_fails_at_once() {
    let queue = Queue::with(": > \"$1\"", Vec::new(), one_card(), |spec| takes(spec, 12 * GIB)).await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!(error.class, Some(FailureClass::Unknown));
    assert!(error.message.starts_with("it never fits here: it needs 12GiB of VRAM"), "{}", error.message);
    queue.stop().await;
}
