//! The coordinator with units of its own making, on a paused clock.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use actix::Addr;

use super::*;
use crate::shutdown_coordinator::LAST_BOUND;

const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<(String, bool)>>>;

/// Answers some time after it was told, or, without a time, only when forced (or never).
struct Unit {
    log: Log,
    answers: Option<Duration>,
    obeys_force: bool,
}

impl Actor for Unit {
    type Context = Context<Self>;
}

impl Handler<StopUnit> for Unit {
    type Result = ();

    fn handle(&mut self, msg: StopUnit, ctx: &mut Self::Context) {
        self.log.lock().expect("no panic").push((msg.name.clone(), msg.force));
        let (wait, outcome) = match (msg.force && self.obeys_force, self.answers) {
            (true, _) => (Duration::ZERO, StopOutcome::Killed),
            (false, Some(wait)) => (wait, StopOutcome::Clean),
            (false, None) => return,
        };
        ctx.run_later(wait, move |_, _| msg.answer.do_send(UnitStopped { name: msg.name, outcome }));
    }
}

struct Stage {
    coordinator: Addr<ShutdownCoordinator>,
    done: oneshot::Receiver<StopReport>,
    log: Log,
    bus: EventBus,
}

impl Stage {
    fn new(deadline: Duration) -> Self {
        let (sender, done) = oneshot::channel();
        let bus = EventBus::new(1);
        let coordinator = ShutdownCoordinator::new(deadline, bus.clone(), sender).start();
        Self { coordinator, done, log: Log::default(), bus }
    }

    async fn unit(&self, name: &str, needs: &[&str], answers: Option<Duration>, obeys_force: bool) {
        let unit = Unit { log: self.log.clone(), answers, obeys_force }.start();
        self.register(name, needs, unit.recipient()).await.expect("registered");
    }

    async fn register(&self, name: &str, needs: &[&str], stop: Recipient<StopUnit>) -> Result<(), GraphError> {
        let depends_on = needs.iter().map(|&n| n.to_owned()).collect();
        let register = Register { name: name.to_owned(), depends_on, bound: 5 * SECOND, stop };
        self.coordinator.send(register).await.expect("the coordinator lives")
    }

    fn begin(&self) {
        self.coordinator.do_send(BeginShutdown { reason: "test".to_owned() });
    }

    fn told(&self) -> Vec<(String, bool)> {
        self.log.lock().expect("no panic").clone()
    }
}

/// Runs a test on its own actix system, with the clock paused. How long it took on that clock comes back.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) -> Duration {
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let result = took.clone();
    actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
    })
    .block_on(async move {
        let began: Instant = clock::now();
        test().await;
        *result.lock().expect("no panic") = clock::now().duration_since(began);
    });
    let took = took.lock().expect("no panic");
    *took
}

#[test]
fn units_stop_in_order_and_side_by_side() {
    let took = paused(|| async {
        let stage = Stage::new(30 * SECOND);
        let mut events = stage.bus.subscribe(None);
        stage.unit("history", &[], Some(SECOND), true).await;
        stage.unit("chat", &["history"], Some(2 * SECOND), true).await;
        stage.unit("image", &["history"], Some(2 * SECOND), true).await;
        stage.begin();
        stage.begin();
        let report = stage.done.await.expect("a report");
        assert_eq!(report.units.len(), 3);
        assert!(report.units.iter().all(|u| u.outcome == StopOutcome::Clean) && !report.forced);
        assert_eq!(
            stage.log.lock().expect("no panic").iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(),
            ["image", "chat", "history"]
        );
        let first = events.next().await.map(|e| e.kind);
        let reason = Some("test".to_owned());
        assert_eq!(first, Some(EventKind::RuntimeState { state: "stopping".to_owned(), reason }));
    });
    assert!((3 * SECOND..4 * SECOND).contains(&took), "{took:?}");
}

#[test]
fn the_deadline_forces_what_is_left_and_what_does_not_obey_is_given_up() {
    let took = paused(|| async {
        let stage = Stage::new(3 * SECOND);
        stage.unit("deaf", &[], None, false).await;
        stage.unit("lazy", &["deaf"], None, true).await;
        stage.begin();
        let (told, report) = (stage.log.clone(), stage.done.await.expect("a report"));
        let told = told.lock().expect("no panic").clone();
        assert_eq!(told, [("lazy".to_owned(), false), ("lazy".to_owned(), true), ("deaf".to_owned(), true)]);
        assert_eq!(report.units[0].outcome, StopOutcome::Killed);
        assert_eq!(report.units[1].outcome, StopOutcome::TimedOut);
        assert!(report.forced);
    });
    let longest = 3 * SECOND + LAST_BOUND;
    assert!((longest..longest + SECOND / 2).contains(&took), "{took:?}");
}

#[test]
fn a_second_signal_ends_it_now() {
    let took = paused(|| async {
        let stage = Stage::new(30 * SECOND);
        stage.unit("lazy", &[], None, true).await;
        stage.begin();
        stage.coordinator.do_send(ForceShutdown);
        let report = stage.done.await.expect("a report");
        assert!(report.forced && report.units[0].outcome == StopOutcome::Killed);
    });
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn an_actor_that_is_gone_holds_nobody_up_and_is_named() {
    let took = paused(|| async {
        let stage = Stage::new(30 * SECOND);
        let gone = Unit { log: stage.log.clone(), answers: None, obeys_force: false }.start();
        stage.register("gone", &[], gone.clone().recipient()).await.expect("registered");
        stage.unit("other", &[], Some(SECOND), true).await;
        gone.do_send(Die);
        while gone.connected() {
            tokio::task::yield_now().await;
        }
        stage.begin();
        let report = stage.done.await.expect("a report");
        assert_eq!(report.units[0].name, "gone");
        assert!(matches!(report.units[0].outcome, StopOutcome::Stuck(_)));
    });
    assert!(took < 2 * SECOND, "{took:?}");
}

#[test]
fn registrations_are_refused_once_it_is_stopping() {
    paused(|| async {
        let stage = Stage::new(30 * SECOND);
        stage.unit("lazy", &[], Some(SECOND), true).await;
        stage.begin();
        let late = Unit { log: stage.log.clone(), answers: None, obeys_force: false }.start().recipient();
        assert_eq!(stage.register("late", &[], late).await, Err(GraphError::Stopping("late".to_owned())));
        assert_eq!(stage.told().len(), 1);
        assert_eq!(stage.done.await.expect("a report").units.len(), 1);
    });
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for Unit {
    type Result = ();

    fn handle(&mut self, _: Die, ctx: &mut Self::Context) {
        actix::ActorContext::stop(ctx);
    }
}
