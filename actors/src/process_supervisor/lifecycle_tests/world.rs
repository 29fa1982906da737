//! A life with a clock, and what is the same in many of them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    ids::{Pid, RunId},
    lease::{Fate, LeaseVerdict, Wish},
    memory::{Amounts, Placement},
    os::clock,
    process_supervisor::lifecycle::*,
    shutdown_coordinator::messages::StopOutcome,
    spec::{FailureClass, RestartPolicy, RestartSpec},
    state::{Disposition, ExitReport, LoadProgress, ServiceState},
    time::Timestamp,
    units::DurationRange,
};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MAX: u32 = 3;

pub fn spec() -> LifeSpec {
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
        assigned_port: false,
        worker: false,
    }
}

pub fn exit(code: i32) -> RunNews {
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
pub struct World {
    pub life: Lifecycle,
    pub now: Instant,
    pub live: Option<RunId>,
    pub begun: u32,
    pub answers: Vec<StopOutcome>,
    pub alerts: Vec<Alert>,
    pub timer: Option<(u64, Instant)>,
    pub kill_at: Option<Instant>,
    /// Who uses the service.
    pub users: u32,
    /// The run whose users are waited for.
    pub draining: Option<RunId>,
    /// The run that its owner was told to let go of.
    pub released: Option<RunId>,
    /// Who waits for it to be ready.
    pub waiting: u32,
    /// How many services that are up depend on it.
    pub needed: u32,
    /// What is granted at once to whoever asks; without it nobody answers.
    pub grants: Option<Placement>,
    /// Every run that was asked for.
    pub leases: HashMap<RunId, Lease>,
    /// The run that was asked for last.
    pub asks: Option<(RunId, Wish)>,
    /// Whether that was granted or refused.
    pub is_answered: bool,
}

/// What was said about the memory of one run.
#[derive(Default)]
pub struct Lease {
    pub granted: bool,
    pub told: Vec<Fate>,
}

/// RAM and nothing else.
pub fn some_memory() -> Placement {
    Placement { lease: Amounts { ram: 1 << 30, ..Amounts::default() }, ..Placement::default() }
}

impl World {
    pub fn new() -> Self {
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

    /// One whose service was started and is ready.
    pub fn running(spec: LifeSpec) -> Self {
        let mut world = Self { life: Lifecycle::new(spec, spec.wanted), ..Self::new() };
        world.tell(Event::Start(Wish::Wanted));
        world.up();
        world
    }

    /// One whose service has memory that is counted.
    pub fn with_memory(spec: LifeSpec) -> Self {
        let life = Lifecycle::new(spec, spec.wanted);
        Self { life, grants: Some(some_memory()), ..Self::new() }
    }

    pub fn answer(&mut self, verdict: LeaseVerdict) -> Vec<Effect> {
        let (run, _) = self.asks.expect("a question");
        self.is_answered |= matches!(verdict, LeaseVerdict::Granted(_) | LeaseVerdict::Refused(_));
        if matches!(verdict, LeaseVerdict::Granted(_)) {
            self.leases.entry(run).or_default().granted = true;
        }
        self.tell(Event::Lease(run, verdict))
    }

    /// The memory of the run that was asked for last is measured back.
    pub fn reclaimed(&mut self) {
        self.answer(LeaseVerdict::Reclaimed(None));
    }

    /// What was told of the run that was asked for last.
    pub fn told(&self) -> &[Fate] {
        self.asks.map(|(run, _)| &self.leases[&run].told[..]).unwrap_or_default()
    }

    pub fn tell(&mut self, event: Event) -> Vec<Effect> {
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
                        matches!(fate, Fate::Ended { .. } | Fate::RanOut | Fate::Withdrawn) || self.live == Some(*run),
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

    pub fn news(&mut self, news: RunNews) -> Vec<Effect> {
        let run = self.live.expect("a live run");
        self.tell(Event::Run(run, news))
    }

    pub fn spawned(&mut self) {
        self.news(RunNews::Spawned { pid: Pid(7), port: None });
    }

    pub fn loading(&mut self, done: u64) -> Option<u64> {
        let load = LoadProgress { phase: "weights".to_owned(), done, total: 4, eta: None };
        self.news(RunNews::Loading(load));
        self.life.view().load.map(|load| load.done)
    }

    pub fn up(&mut self) {
        self.spawned();
        self.news(RunNews::Ready);
    }

    pub fn ring(&mut self) {
        let (timer, at) = self.timer.take().expect("a timer");
        self.now = at;
        self.tell(Event::Due(timer));
    }

    /// The last user has left.
    pub fn leave(&mut self) {
        self.users = 0;
        if let Some(run) = self.draining.take() {
            self.tell(Event::Drained(run));
        }
    }

    pub fn state(&self) -> ServiceState {
        self.life.view().state
    }

    pub fn reason(&self) -> String {
        self.life.view().reason.unwrap_or_default()
    }
}

pub fn stop() -> Event {
    Event::Stop { reason: "somebody asked".to_owned() }
}

pub fn restart() -> Event {
    Event::Restart { reason: "somebody asked".to_owned() }
}

pub fn changed(restart: bool, keep: bool) -> Event {
    Event::Reconfigure { spec: LifeSpec { keep, ..spec() }, restart, blocked: None }
}
