//! A service's life under every order of events that a run's owner and a person can make.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::lifecycle::*;
use crate::{
    ids::{Pid, RunId},
    lease::{Fate, LeaseVerdict, Wish},
    memory::{Amounts, Placement},
    os::clock,
    shutdown_coordinator::messages::StopOutcome,
    spec::{FailureClass, RestartPolicy, RestartSpec},
    state::{Disposition, ExitReport, LoadProgress, ServiceState},
    time::Timestamp,
    units::DurationRange,
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
const MAX: u32 = 3;

pub(super) fn spec() -> LifeSpec {
    let backoff = DurationRange { min: SECOND, max: 60 * SECOND };
    let restart = RestartSpec { policy: RestartPolicy::OnFailure, max: MAX, backoff, reset_after: 600 * SECOND };
    LifeSpec {
        restart,
        grace: 5 * SECOND,
        drain: 10 * SECOND,
        offload_drain: 20 * SECOND,
        sleeps: false,
        is_asked: false,
        pinned: false,
        keep: false,
        wanted: Disposition::Down,
    }
}

pub(super) fn exit(code: i32) -> RunNews {
    let class = (code != 0).then_some(FailureClass::Exit);
    let exit = ExitReport {
        code: Some(code),
        signal: None,
        class,
        stderr: vec!["boo".to_owned()],
        at: Timestamp::from_micros(0),
    };
    RunNews::Ended { exit, cause: None, killed: false }
}

/// A life with a clock, and the run that its effects began.
pub(super) struct World {
    pub(super) life: Lifecycle,
    pub(super) now: Instant,
    pub(super) live: Option<RunId>,
    pub(super) begun: u32,
    pub(super) answers: Vec<StopOutcome>,
    pub(super) alerts: Vec<Alert>,
    pub(super) timer: Option<(u64, Instant)>,
    pub(super) kill_at: Option<Instant>,
    /// Who uses the service.
    pub(super) users: u32,
    /// The run whose users are waited for.
    pub(super) draining: Option<RunId>,
    /// The run that its owner was told to let go of.
    pub(super) released: Option<RunId>,
    /// Who waits for it to be ready.
    pub(super) waiting: u32,
    /// How many services that are up depend on it.
    pub(super) needed: u32,
    /// What is granted at once to whoever asks; without it nobody answers.
    pub(super) grants: Option<Placement>,
    /// Every run that was asked for.
    pub(super) leases: HashMap<RunId, Lease>,
    /// The run that was asked for last.
    pub(super) asks: Option<(RunId, Wish)>,
    /// Whether that was granted or refused.
    pub(super) is_answered: bool,
}

/// What was said about the memory of one run.
#[derive(Default)]
pub(super) struct Lease {
    pub(super) granted: bool,
    pub(super) told: Vec<Fate>,
}

/// RAM and nothing else.
pub(super) fn some_memory() -> Placement {
    Placement { lease: Amounts { ram: 1 << 30, ..Amounts::default() }, ..Placement::default() }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            life: Lifecycle::new(spec(), Disposition::Down),
            now: clock::now(),
            live: None,
            begun: 0,
            answers: Vec::new(),
            alerts: Vec::new(),
            timer: None,
            kill_at: None,
            users: 0,
            draining: None,
            released: None,
            waiting: 0,
            needed: 0,
            grants: Some(Placement::default()),
            leases: HashMap::new(),
            asks: None,
            is_answered: false,
        }
    }

    /// One whose service has memory that is counted.
    pub(super) fn with_memory(spec: LifeSpec) -> Self {
        let life = Lifecycle::new(spec, spec.wanted);
        Self { life, grants: Some(some_memory()), ..Self::new() }
    }

    pub(super) fn answer(&mut self, verdict: LeaseVerdict) -> Vec<Effect> {
        let (run, _) = self.asks.expect("a question");
        self.is_answered |= matches!(verdict, LeaseVerdict::Granted(_) | LeaseVerdict::Refused(_));
        if matches!(verdict, LeaseVerdict::Granted(_)) {
            self.leases.entry(run).or_default().granted = true;
        }
        self.tell(Event::Lease(run, verdict))
    }

    /// The memory of the run that was asked for last is measured back.
    pub(super) fn reclaimed(&mut self) {
        self.answer(LeaseVerdict::Reclaimed(None));
    }

    /// What was told of the run that was asked for last.
    pub(super) fn told(&self) -> &[Fate] {
        self.asks.map(|(run, _)| &self.leases[&run].told[..]).unwrap_or_default()
    }

    pub(super) fn tell(&mut self, event: Event) -> Vec<Effect> {
        if let Event::Run(id, RunNews::Ended { .. }) = &event
            && self.live == Some(*id)
        {
            self.live = None;
        }
        let (in_flight, waiting, needed) = (self.users, self.waiting, self.needed);
        let at = Moment { now: self.now, next_run: RunId::fresh(), chance: 0.5, in_flight, waiting, needed };
        let mut effects = self.life.step(event, &at);
        for effect in &effects {
            match effect {
                Effect::AskLease { run, wish } => {
                    self.leases.entry(*run).or_default();
                    self.asks = Some((*run, *wish));
                    self.is_answered = false;
                }
                Effect::TellLease { run, fate } => {
                    let lease = self.leases.get_mut(run).expect("news of a run that was never asked for");
                    let ended = lease.told.iter().any(|told| matches!(told, Fate::Ended { .. } | Fate::Withdrawn));
                    assert!(!ended, "{fate:?} is told of a run after its end: {:?}", lease.told);
                    assert!(*fate != Fate::Withdrawn || self.live != Some(*run), "a live run is withdrawn");
                    assert!(
                        matches!(fate, Fate::Ended { .. } | Fate::Withdrawn) || self.live == Some(*run),
                        "{fate:?} of a run that is not live"
                    );
                    lease.told.push(fate.clone());
                }
                Effect::StartRun(run) | Effect::AdoptRun(run) => {
                    let granted = self.leases.get(run).is_some_and(|lease| lease.granted);
                    assert!(granted || matches!(effect, Effect::AdoptRun(_)), "a run begins without memory");
                    assert_eq!(self.live, None, "a run begins while another is live");
                    self.live = Some(*run);
                    self.begun += 1;
                }
                Effect::StopRun { run, kill_at } => {
                    assert_eq!(self.live, Some(*run), "a run is stopped that is not live");
                    assert_ne!(self.released, Some(*run), "a run is stopped that was let go of");
                    self.kill_at = Some(*kill_at);
                }
                Effect::KillRun(run) => {
                    assert_eq!(self.live, Some(*run));
                    assert_ne!(self.released, Some(*run), "a run is killed that was let go of");
                }
                Effect::SleepRun { run, .. } | Effect::WakeRun(run) => assert_eq!(self.live, Some(*run)),
                Effect::AwaitDrain { run, ask } => {
                    let needed = self.users > 0 || *ask;
                    assert!(needed && self.live == Some(*run), "a drain without a user, or of no live run");
                    self.draining = Some(*run);
                }
                Effect::ReleaseRun(run) => {
                    assert!(self.live == Some(*run) && self.released.replace(*run).is_none());
                }
                Effect::Answer(outcome) => self.answers.push(outcome.clone()),
                Effect::Raise(alert, _) => self.alerts.push(*alert),
                Effect::Clear(alert) => self.alerts.retain(|a| a != alert),
                Effect::Arm { timer, at } => self.timer = Some((*timer, *at)),
                Effect::NoteStarted { .. } | Effect::NoteReady(_) | Effect::NoteEnded { .. } => {}
            }
        }
        if effects.iter().any(|effect| matches!(effect, Effect::AskLease { .. }))
            && let Some(placement) = self.grants.clone()
        {
            effects.extend(self.answer(LeaseVerdict::Granted(placement)));
        }
        effects
    }

    pub(super) fn news(&mut self, news: RunNews) -> Vec<Effect> {
        let run = self.live.expect("a live run");
        self.tell(Event::Run(run, news))
    }

    pub(super) fn spawned(&mut self) {
        self.news(RunNews::Spawned { pid: Pid(7), port: None });
    }

    pub(super) fn loading(&mut self, done: u64) -> Option<u64> {
        let load = LoadProgress { phase: "weights".to_owned(), done, total: 4, eta: None };
        self.news(RunNews::Loading(load));
        self.life.view().load.map(|load| load.done)
    }

    pub(super) fn up(&mut self) {
        self.spawned();
        self.news(RunNews::Ready);
    }

    pub(super) fn ring(&mut self) {
        let (timer, at) = self.timer.take().expect("a timer");
        self.now = at;
        self.tell(Event::Due(timer));
    }

    /// The last user has left.
    pub(super) fn leave(&mut self) {
        self.users = 0;
        if let Some(run) = self.draining.take() {
            self.tell(Event::Drained(run));
        }
    }

    pub(super) fn state(&self) -> ServiceState {
        self.life.view().state
    }

    pub(super) fn reason(&self) -> String {
        self.life.view().reason.unwrap_or_default()
    }
}

pub(super) fn stop() -> Event {
    Event::Stop { reason: "somebody asked".to_owned() }
}

pub(super) fn restart() -> Event {
    Event::Restart { reason: "somebody asked".to_owned() }
}

#[test]
fn progress_is_seen_while_it_starts_and_belongs_to_one_run() {
    let mut world = World::new();
    world.tell(Event::Start(Wish::Wanted));
    world.spawned();
    assert_eq!(world.loading(1), Some(1));
    world.news(RunNews::Ready);
    assert_eq!(world.loading(2), None);
    world.tell(Event::Restart { reason: "anew".to_owned() });
    world.news(exit(0));
    world.spawned();
    assert_eq!(world.life.view().load, None);
}

#[test]
fn a_plain_life() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Spawning, Disposition::Up));
    w.spawned();
    assert_eq!((w.state(), w.life.view().pid), (ServiceState::Starting, Some(Pid(7))));
    w.news(RunNews::Ready);
    assert_eq!(w.state(), ServiceState::Ready);
    w.tell(stop());
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    let effects = w.news(exit(143));
    assert_eq!((w.state(), w.life.view().disposition), (ServiceState::Stopped, Disposition::Down));
    let [Effect::NoteEnded { wanted: true, exit, .. }, Effect::TellLease { fate, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((exit.class, fate), (None, &Fate::Ended { failed: false }));
}

#[test]
fn crashes_are_answered_at_once_then_after_doubling_waits_then_not_any_more() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.news(exit(1));
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 2));
    w.up();
    w.news(exit(1));
    assert_eq!(w.state(), ServiceState::Backoff);
    assert_eq!(w.life.view().next_start, Some(w.now + SECOND));
    let stale = w.timer;
    w.ring();
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 3));
    w.tell(Event::Due(stale.expect("the timer").0));
    w.up();
    w.news(exit(1));
    assert_eq!((w.state(), w.begun, w.life.view().restarts), (ServiceState::Failed, 3, 2));
    assert_eq!(w.alerts, [Alert::Failed]);
    assert!(w.reason().starts_with("gave up after 3 failures in a row, at last: ended with exit code 1: `boo`"));
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.state(), w.alerts.len(), w.life.view().failures), (ServiceState::Spawning, 0, 0));
}

#[test]
fn enough_health_in_one_piece_forgives() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.news(exit(1));
    w.up();
    assert_eq!(w.life.view().failures, 1);
    let (early, _) = w.timer.expect("a timer");
    w.news(RunNews::Unready { reason: "503".to_owned() });
    assert_eq!((w.state(), w.reason()), (ServiceState::Unready, "503".to_owned()));
    w.news(RunNews::Ready);
    w.tell(Event::Due(early));
    assert_eq!(w.life.view().failures, 1, "the health was interrupted");
    w.ring();
    assert_eq!(w.life.view().failures, 0);
}

#[test]
fn what_cannot_help_is_not_tried_again() {
    for news in [
        RunNews::Ended {
            exit: ExitReport {
                code: None,
                signal: None,
                class: Some(FailureClass::MissingCommand),
                stderr: Vec::new(),
                at: Timestamp::from_micros(0),
            },
            cause: Some("cannot run `x`".to_owned()),
            killed: false,
        },
        exit(125),
    ] {
        let mut w = World::new();
        w.tell(Event::Start(Wish::Wanted));
        w.news(news);
        assert_eq!((w.state(), w.begun), (ServiceState::Failed, 1));
        assert!(w.reason().starts_with("not tried again, since that cannot help"), "{}", w.reason());
        w.tell(Event::Reset);
        assert_eq!((w.state(), w.alerts.len()), (ServiceState::Stopped, 0));
    }
}

#[test]
fn a_clean_end_completes() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.news(exit(0));
    assert_eq!((w.state(), w.life.view().last_exit.and_then(|e| e.class)), (ServiceState::Completed, None));
}

#[test]
fn a_restart_waits_until_the_containment_is_empty_and_does_not_count() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    for _ in 0..10 {
        w.tell(restart());
        w.news(RunNews::Killing { reason: "grace over".to_owned() });
        assert_eq!(w.state(), ServiceState::Killing);
        w.news(exit(1));
        w.up();
    }
    assert_eq!((w.state(), w.begun, w.life.view().failures, w.life.view().restarts), (ServiceState::Ready, 11, 0, 0));
}

#[test]
fn a_failing_run_is_stopped_and_its_failure_counted_by_its_own_class() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.spawned();
    w.news(RunNews::Failing { class: FailureClass::Timeout, reason: "not ready within 1s".to_owned() });
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(0));
    let view = w.life.view();
    assert_eq!((view.state, view.failures), (ServiceState::Spawning, 1));
    assert_eq!(view.last_exit.and_then(|e| e.class), Some(FailureClass::Timeout));
    assert_eq!(view.reason.as_deref(), Some("not ready within 1s"));
}

#[test]
fn a_dependency_is_waited_for_and_named() {
    let mut w = World::new();
    w.tell(Event::Dependencies(Some("waits for db to be ready".to_owned())));
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.state(), w.reason().as_str(), w.begun), (ServiceState::Stopped, "waits for db to be ready", 0));
    w.tell(Event::Dependencies(None));
    assert_eq!(w.state(), ServiceState::Spawning);
}

#[test]
fn a_stuck_run_lets_nothing_begin_until_it_is_gone_and_then_what_is_wanted() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.tell(stop());
    w.news(RunNews::Stuck { reason: "pid 7 outlived SIGKILL".to_owned() });
    assert_eq!((w.state(), &w.alerts[..]), (ServiceState::Stuck, &[Alert::Stuck][..]));
    w.tell(Event::Start(Wish::Wanted));
    w.tell(restart());
    assert_eq!((w.state(), w.begun), (ServiceState::Stuck, 1));
    w.news(exit(137));
    assert_eq!((w.state(), w.begun, w.alerts.len()), (ServiceState::Spawning, 2, 0));
}

#[test]
fn closing_answers_when_all_is_gone_and_starts_nothing_any_more() {
    let until = |w: &World| w.now + 2 * SECOND;
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    let close = Event::Close { until: until(&w), force: false };
    w.tell(close);
    assert!(w.kill_at.expect("a stop") < until(&w), "the grace is clipped");
    assert!(w.answers.is_empty());
    w.tell(Event::Start(Wish::Wanted));
    let force = Event::Close { until: until(&w), force: true };
    assert!(w.tell(force).iter().any(|e| matches!(e, Effect::KillRun(_))));
    let RunNews::Ended { exit, cause, .. } = exit(137) else { unreachable!() };
    w.news(RunNews::Ended { exit, cause, killed: true });
    assert_eq!((w.state(), &w.answers[..], w.begun), (ServiceState::Stopped, &[StopOutcome::CutShort][..], 1));
    let again = Event::Close { until: until(&w), force: false };
    w.tell(again);
    w.tell(Event::Start(Wish::Wanted));
    assert_eq!((w.answers.last(), w.begun), (Some(&StopOutcome::Clean), 1));
}

#[test]
fn a_close_that_leaves_the_whole_grace_ends_in_a_kill_or_without_one() {
    for (killed, outcome) in [(true, StopOutcome::Killed), (false, StopOutcome::Clean)] {
        let mut w = World::new();
        w.tell(Event::Start(Wish::Wanted));
        w.up();
        w.tell(Event::Close { until: w.now + 60 * SECOND, force: false });
        let RunNews::Ended { exit, cause, .. } = exit(137) else { unreachable!() };
        w.news(RunNews::Ended { exit, cause, killed });
        assert_eq!(w.answers, [outcome]);
    }
}

#[test]
fn news_of_an_earlier_run_changes_nothing() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    let first = w.live.expect("a run");
    w.up();
    w.news(exit(1));
    for news in [RunNews::Ready, exit(1), RunNews::Stuck { reason: String::new() }] {
        assert_eq!(w.tell(Event::Run(first, news)), []);
    }
    assert_eq!(w.state(), ServiceState::Spawning);
}

#[test]
fn those_who_use_it_may_finish_before_it_is_stopped() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.users = 2;
    let effects = w.tell(stop());
    let [Effect::Arm { at, .. }, Effect::AwaitDrain { ask: false, .. }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!((w.state(), at), (ServiceState::Draining, w.now + 10 * SECOND));
    w.now += SECOND;
    w.leave();
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    w.ring();
    assert_eq!(w.state(), ServiceState::Stopping, "the timer of the drain is stale");
    w.news(exit(143));
    assert_eq!((w.state(), w.reason().as_str()), (ServiceState::Stopped, "somebody asked"));
}

#[test]
fn nobody_is_waited_for_past_the_bound_or_where_it_is_of_no_use() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.users = 1;
    w.tell(restart());
    w.ring();
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(143));
    w.up();
    w.tell(restart());
    w.news(RunNews::Failing { class: FailureClass::Timeout, reason: "no pulse".to_owned() });
    assert_eq!(w.state(), ServiceState::Stopping);
    w.news(exit(143));
    assert_eq!((w.state(), w.life.view().failures), (ServiceState::Spawning, 0));
}

#[test]
fn a_close_drains_at_nobodys_expense() {
    for (left, drained_by) in [(60, Some(10 * SECOND)), (8, Some(Duration::from_millis(2750))), (5, None)] {
        let mut w = World::new();
        w.tell(Event::Start(Wish::Wanted));
        w.up();
        w.users = 1;
        w.tell(Event::Close { until: w.now + left * SECOND, force: false });
        assert_eq!(w.timer.map(|(_, at)| at - w.now), drained_by);
        assert_eq!(w.state() == ServiceState::Draining, drained_by.is_some());
        let now = w.now;
        if drained_by.is_some() {
            w.ring();
        }
        let kill_at = w.kill_at.expect("a stop");
        assert!(kill_at <= now + left * SECOND && (left == 5 || kill_at == w.now + 5 * SECOND));
        w.tell(Event::Close { until: w.now, force: true });
        assert_eq!(w.state(), ServiceState::Killing);
    }
}

#[test]
fn loading_and_offloading_change_nothing_about_what_is_wanted() {
    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { wanted: Disposition::OnDemand, ..spec() }, Disposition::OnDemand);
    w.tell(Event::Load { wish: Wish::Wanted, lifts: true });
    w.up();
    w.tell(Event::Offload { reason: "no room".to_owned() });
    w.news(exit(143));
    let view = w.life.view();
    assert_eq!((view.state, view.disposition), (ServiceState::Offloaded, Disposition::OnDemand));
    w.tell(stop());
    assert_eq!(w.state(), ServiceState::Stopped);
    w.tell(Event::Load { wish: Wish::Wanted, lifts: true });
    assert_eq!(w.life.view().disposition, Disposition::OnDemand, "a load lifts `down`");
}

#[test]
fn a_load_that_lifts_nothing_leaves_what_is_stopped_as_it_is_also_while_it_ends() {
    let request = Event::Load { wish: Wish::Wanted, lifts: false };
    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { wanted: Disposition::OnDemand, ..spec() }, Disposition::OnDemand);
    w.tell(request.clone());
    w.up();
    w.tell(stop());
    assert_eq!((w.state(), w.tell(request.clone())), (ServiceState::Stopping, Vec::new()));
    w.news(exit(143));
    assert_eq!((w.state(), w.tell(request)), (ServiceState::Stopped, Vec::new()));
    assert_eq!((w.life.view().disposition, w.begun), (Disposition::Down, 1));
}

#[test]
fn one_that_runs_on_demand_comes_back_after_a_failure_only_where_somebody_needs_it() {
    for (needed, state) in [(0, ServiceState::Offloaded), (1, ServiceState::Spawning)] {
        let mut w = World::new();
        w.life = Lifecycle::new(LifeSpec { wanted: Disposition::OnDemand, ..spec() }, Disposition::OnDemand);
        w.tell(Event::Load { wish: Wish::Wanted, lifts: false });
        w.up();
        w.needed = needed;
        w.news(exit(1));
        assert_eq!((w.state(), w.life.view().disposition), (state, Disposition::OnDemand), "{needed}");
        assert_eq!(w.life.needs_others(), needed > 0);
    }
}

#[test]
fn a_change_that_needs_no_restart_leaves_the_run_alone_and_counts_from_now_on() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    let mut new = spec();
    (new.grace, new.restart.max) = (SECOND, 1);
    assert_eq!(w.tell(Event::Reconfigure { spec: new, restart: false, blocked: None }), []);
    assert_eq!((w.state(), w.begun), (ServiceState::Ready, 1));
    w.tell(stop());
    assert_eq!(w.kill_at, Some(w.now + SECOND));
    w.news(exit(143));
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.news(exit(1));
    assert_eq!((w.state(), w.begun), (ServiceState::Failed, 2), "the new restart.max is 1");
}

#[test]
fn a_change_that_needs_a_restart_ends_the_run_by_its_old_rules_and_is_no_failure() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    let new = LifeSpec { grace: SECOND, ..spec() };
    w.tell(Event::Reconfigure { spec: new, restart: true, blocked: None });
    assert_eq!((w.state(), w.kill_at), (ServiceState::Stopping, Some(w.now + 5 * SECOND)));
    assert_eq!(w.reason(), "its configuration changed");
    w.news(exit(143));
    w.up();
    let view = w.life.view();
    assert_eq!((view.state, view.failures, view.restarts, w.begun), (ServiceState::Ready, 0, 0, 2));
    w.tell(stop());
    assert_eq!(w.kill_at, Some(w.now + SECOND));
}

#[test]
fn a_change_gives_what_had_given_up_another_chance_and_starts_nothing_that_is_down() {
    let mut w = World::new();
    w.tell(Event::Start(Wish::Wanted));
    w.news(exit(125));
    assert_eq!(w.state(), ServiceState::Failed);
    w.tell(changed(true, false));
    assert_eq!((w.state(), w.life.view().failures, w.alerts.len()), (ServiceState::Spawning, 0, 0));
    w.news(exit(125));
    w.tell(stop());
    w.tell(changed(true, false));
    assert_eq!((w.state(), w.begun), (ServiceState::Stopped, 2));
    let eager = LifeSpec { wanted: Disposition::Up, ..spec() };
    w.tell(Event::Reconfigure { spec: eager, restart: false, blocked: Some("waits for db".to_owned()) });
    assert_eq!((w.state(), w.reason().as_str(), w.begun), (ServiceState::Stopped, "waits for db", 2));
    w.tell(Event::Dependencies(None));
    assert_eq!((w.state(), w.begun), (ServiceState::Spawning, 3));
}

#[test]
fn what_is_to_be_kept_is_let_go_of_as_it_is_and_adopted_by_the_next_life() {
    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { keep: true, ..spec() }, Disposition::Up);
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.users = 3;
    let run = w.live.expect("a run");
    let close = |force| Event::Close { until: clock::now(), force };
    assert_eq!(w.tell(close(false)), [Effect::ReleaseRun(run)]);
    assert_eq!(w.tell(close(true)), [], "its owner is about to answer");
    w.news(RunNews::Released);
    assert_eq!((w.state(), &w.answers[..]), (ServiceState::Ready, &[StopOutcome::Kept { pid: Pid(7) }][..]));
    w.tell(close(true));
    assert_eq!(w.answers.len(), 2);
    assert_eq!(w.news(exit(1)), [], "what becomes of it is the next runtime's to say");

    let mut next = World::new();
    let effects = next.tell(Event::Adopt { run, pid: Pid(7), port: Some(80) });
    let noted = effects.contains(&Effect::NoteStarted { run, pid: Pid(7) });
    assert!(noted, "who began it may have been killed before it was written down");
    let view = next.life.view();
    assert_eq!(
        (view.state, view.run, view.pid, view.port),
        (ServiceState::Starting, Some(run), Some(Pid(7)), Some(80))
    );
    assert_eq!(next.reason(), "kept by an earlier runtime");
    assert_eq!(next.news(RunNews::Spawned { pid: Pid(7), port: Some(80) }), [], "it is remembered already");
    next.news(RunNews::Ready);
    assert_eq!((next.state(), next.life.view().disposition), (ServiceState::Ready, Disposition::Up));
    next.tell(Event::Start(Wish::Wanted));
    assert_eq!(next.begun, 1);
}

#[test]
fn a_kept_service_that_is_being_stopped_or_has_ended_is_ended() {
    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { keep: true, ..spec() }, Disposition::Up);
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.tell(stop());
    let close = Event::Close { until: w.now + 60 * SECOND, force: false };
    w.tell(close.clone());
    w.news(exit(143));
    assert_eq!((w.state(), &w.answers[..]), (ServiceState::Stopped, &[StopOutcome::Clean][..]));

    let mut w = World::new();
    w.life = Lifecycle::new(LifeSpec { keep: true, ..spec() }, Disposition::Up);
    w.tell(Event::Start(Wish::Wanted));
    w.up();
    w.tell(close);
    w.news(exit(0));
    assert_eq!((w.state(), &w.answers[..]), (ServiceState::Stopped, &[StopOutcome::Clean][..]));
}

fn changed(restart: bool, keep: bool) -> Event {
    Event::Reconfigure { spec: LifeSpec { keep, ..spec() }, restart, blocked: None }
}

/// What may happen next, by number, so that proptest can shrink it.
fn happen(w: &mut World, dice: u8, wait: u16) {
    w.now += Duration::from_millis(u64::from(wait));
    let live = w.live;
    match (dice % 22, live) {
        (0, _) => drop(w.tell(Event::Start(Wish::Wanted))),
        (1, _) => drop(w.tell(stop())),
        (2, _) => drop(w.tell(restart())),
        (3, _) => drop(w.tell(Event::Reset)),
        (4, _) => drop(w.tell(Event::Dependencies((dice > 127).then(|| "waits".to_owned())))),
        (5, _) if w.timer.is_some_and(|(_, at)| at <= w.now + 10 * SECOND) => w.ring(),
        (6, Some(_)) => w.spawned(),
        (7, Some(_)) => drop(w.news(RunNews::Ready)),
        (8, Some(_)) => drop(w.news(RunNews::Unready { reason: String::new() })),
        (9, Some(_)) => {
            drop(w.news(RunNews::Failing { class: FailureClass::Timeout, reason: String::new() }));
        }
        (10, Some(_)) => drop(w.news(RunNews::Killing { reason: String::new() })),
        (11, Some(_)) => drop(w.news(RunNews::Stuck { reason: String::new() })),
        (12, Some(_)) => drop(w.news(exit(i32::from(dice > 100)))),
        (13, _) => drop(w.tell(Event::Run(RunId::fresh(), exit(1)))),
        (14, _) => drop(w.tell(Event::Load { wish: Wish::Wanted, lifts: true })),
        (15, _) => drop(w.tell(Event::Offload { reason: "no room".to_owned() })),
        (16, _) => drop(w.tell(changed(dice > 150, dice > 200))),
        (17, None) => drop(w.tell(Event::Adopt { run: RunId::fresh(), pid: Pid(8), port: None })),
        (18, _) => w.users = u32::from(dice > 60),
        (19, _) => w.leave(),
        (20, Some(run)) => drop(w.tell(Event::Drained(run))),
        (21, Some(_)) => drop(w.news(RunNews::Released)),
        _ => {}
    }
    let view = w.life.view();
    assert!(view.failures <= MAX, "more failures in a row than allowed");
    assert_eq!(view.state.is_live(), w.live.is_some(), "{:?} with live run {:?}", view.state, w.live);
    assert_eq!(w.alerts.contains(&Alert::Failed), view.state == ServiceState::Failed);
    assert_eq!(w.alerts.contains(&Alert::Stuck), view.state == ServiceState::Stuck);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_runs_are_never_live_and_a_stop_ends_every_life(
        events in prop::collection::vec((any::<u8>(), any::<u16>()), 0..60), end in 0u8..4,
    ) {
        let mut w = World::new();
        for (dice, wait) in events {
            happen(&mut w, dice, wait);
        }
        let (until, before) = (w.now + SECOND, w.state());
        w.tell(match end {
            0 => stop(),
            1 => Event::Retire { reason: "gone from the config".to_owned() },
            n => Event::Close { until, force: n == 3 },
        });
        let begun = w.begun;
        if w.state() == ServiceState::Draining {
            w.ring();
        }
        prop_assert_ne!(w.state(), ServiceState::Draining, "a drain has an end");
        if w.released.is_some() {
            prop_assert_eq!(w.state(), before, "what is let go of stays as it was shown");
            w.news(RunNews::Released);
            prop_assert_eq!(&w.answers[..], &[StopOutcome::Kept { pid: w.life.view().pid.expect("a pid") }][..]);
        } else if w.live.is_some() {
            w.news(exit(143));
        }
        use ServiceState::{Completed, Failed, Offloaded, Stopped};
        let at_rest = matches!(w.state(), Stopped | Offloaded | Failed | Completed);
        prop_assert!(at_rest || w.released.is_some(), "{:?}", w.state());
        if let Some((timer, at)) = w.timer {
            w.now = at;
            w.tell(Event::Due(timer));
        }
        w.tell(Event::Dependencies(None));
        w.leave();
        // Whatever is asked of a closed one, and a second, harder close, changes nothing.
        if end > 0 {
            for event in [Event::Start(Wish::Wanted), Event::Load { wish: Wish::Wanted, lifts: true }, restart(), changed(true, false)] {
                prop_assert_eq!(w.tell(event), []);
            }
            w.tell(Event::Close { until, force: true });
            prop_assert!(!w.answers.is_empty());
        }
        prop_assert_eq!(w.begun, begun, "something began after the stop");
    }

    #[test]
    fn a_crash_loop_without_health_ends(lives in prop::collection::vec((any::<bool>(), 0u16..5_000), 10..20)) {
        let mut w = World::new();
        w.tell(Event::Start(Wish::Wanted));
        for (ready, lasts) in lives {
            if w.state() == ServiceState::Failed {
                break;
            }
            w.spawned();
            if ready {
                w.news(RunNews::Ready);
            }
            w.now += Duration::from_millis(u64::from(lasts));
            w.news(exit(1));
            if w.state() == ServiceState::Backoff {
                w.ring();
            }
        }
        prop_assert_eq!((w.state(), w.begun), (ServiceState::Failed, MAX));
    }
}
