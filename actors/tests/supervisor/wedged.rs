//! Engines that run and generate nothing.

use std::time::Duration;

use greenroom_actors::{
    engines::Engines,
    event::EventKind,
    failure::FailureClass,
    lease::Wish,
    process_supervisor::messages::StartService,
    spec::{GenerationSpec, PortSpec, ServiceSpec},
    state::ServiceState,
};

use crate::{
    requests::soon,
    rig::{PATIENCE, Rig, script},
    web::Web,
};

/// One that works for two at a time, and whose HTTP is the test's.
fn engine() -> ServiceSpec {
    let mut spec = script("exec sleep 1000");
    spec.engine = Engines::default().named("llama-server").expect("it is built in");
    spec.port = Some(PortSpec::Assigned);
    spec.door.max_concurrency = Some(2);
    spec.alive.busy_timeout = 10 * PATIENCE;
    // Long enough for the test to listen before the first question.
    spec.alive.generation = Some(GenerationSpec { every: Duration::from_secs(4), timeout: Duration::from_millis(500) });
    spec
}

#[actix_rt::test]
async fn one_that_generates_nothing_is_given_up_after_two_tries_used_or_not() {
    for is_used in [false, true] {
        let mut rig = Rig::new(engine());
        rig.supervisor.do_send(StartService { wish: Wish::Wanted });
        let first = rig.state(ServiceState::Ready).await;
        let web = Web::new(first.port.expect("a port"), None, |_| std::future::pending()).await;
        let guest = is_used.then(|| rig.gate.enter().expect("it is open"));
        let entries = rig.gate.entries();
        let told = |kind| match kind {
            EventKind::ServiceState { to: ServiceState::Stopping, reason, .. } => Some(reason.unwrap_or_default()),
            _ => None,
        };
        assert_eq!(rig.event(told).await, "it answers its probe, but generated no token within 500ms", "{is_used}");
        soon("both questions have come", || web.heard().len() >= 2).await;
        assert_eq!(web.heard(), ["POST /completion", "POST /completion"], "{is_used}");
        assert_eq!(rig.gate.entries(), entries, "the question counts as no work");
        let next = rig.until(|now| now.run_id != first.run_id).await;
        assert_eq!(next.last_exit.and_then(|exit| exit.class), Some(FailureClass::Timeout));
        drop((guest, web));
        rig.close(true).await;
    }
}
