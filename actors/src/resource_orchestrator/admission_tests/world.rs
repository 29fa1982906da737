//! A made-up machine. Time goes on only when it is told to; the same seed has the same story.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::given::{GIB, ms, rules};
use crate::{
    event::EventKind,
    ids::{Pid, RunId, ServiceName},
    lease::Wish,
    memory::{GpuId, Need, Placement, Refusal},
    os::{clock, host::HostMemory},
    resource_orchestrator::{
        admission::{Admission, Around, Event, Outlook, Usage},
        view::{PlanRefused, PlanView},
    },
    spec::ServiceSpec,
};

/// A card as it truly is.
#[derive(Debug, Clone)]
pub struct TrueCard {
    pub id: GpuId,
    pub total: u64,
    /// Whether a driver measures it.
    pub measured: bool,
    pub lost: bool,
    pub strangers: u64,
    /// What ended runs have left over: how much, and until when.
    pub lagging: Vec<(u64, Instant)>,
}

/// What a service is doing, truly.
#[derive(Debug, Clone, PartialEq)]
pub enum Doing {
    Nothing,
    /// For memory. `asleep`: to be woken; its process is there, however little it keeps.
    Asks {
        since: Instant,
        asleep: bool,
    },
    Loads,
    Works,
    /// Being drained; `offload`: it may stay after all.
    Drains {
        offload: bool,
        until: Instant,
    },
    Stops {
        sleep: bool,
    },
    FallsAsleep,
    Sleeps,
}

#[derive(Debug)]
pub struct Service {
    pub spec: Arc<ServiceSpec>,
    pub need: Need,
    pub doing: Doing,
    pub run: Option<RunId>,
    pub pid: Pid,
    pub placement: Placement,
    /// Whether its run was granted memory, and so is told when that is back. What it keeps asleep may be nothing at all.
    pub leased: bool,
    /// What its process holds.
    pub vram: BTreeMap<GpuId, u64>,
    pub ram: u64,
    pub usage: Usage,
    /// When those came who wait for it to let them in.
    pub line: Vec<Instant>,
    /// How many it lets in at a time; `None`: all who come.
    pub slots: Option<u32>,
    /// When its gate was closed last.
    pub closed: Instant,
    /// How long each of those who came in by its line stays, where that is known.
    pub works: Option<Duration>,
    pub down: bool,
    /// What it takes of its lease in the end, in percent.
    pub takes: u64,
    /// How long it loads, whether it fails, how long its end and its memory take.
    pub load: Duration,
    pub fails: bool,
    pub lag: Duration,
    pub refusal: Option<Arc<Refusal>>,
    pub pending: Option<String>,
    pub wish: Wish,
}

impl Service {
    /// Whether it sleeps and waits for the memory to be woken.
    pub fn asks_from_sleep(&self) -> bool {
        matches!(self.doing, Doing::Asks { asleep: true, .. })
    }
}

/// Something that is due.
#[derive(Debug, Clone)]
pub enum Due {
    /// Whoever is in the line of one that rests asks for it.
    Asks {
        service: ServiceName,
    },
    /// Somebody comes, and stays for so long.
    Comes {
        service: ServiceName,
    },
    /// Somebody has finished.
    Leaves {
        service: ServiceName,
        run: RunId,
    },
    /// Half of its memory is taken, or all of it.
    Takes {
        service: ServiceName,
        run: RunId,
        all: bool,
    },
    Ready {
        service: ServiceName,
        run: RunId,
    },
    Crashes {
        service: ServiceName,
        run: RunId,
    },
    DrainOver {
        service: ServiceName,
        run: RunId,
    },
    Ends {
        service: ServiceName,
        run: RunId,
    },
    OffloadArrives {
        service: ServiceName,
        run: Option<RunId>,
    },
    ReloadArrives {
        service: ServiceName,
    },
    /// At the cards and the processes, once.
    Glance,
    /// The same, and again after a while.
    Look,
}

#[derive(Debug)]
pub struct World {
    pub machine: Admission,
    pub began: Instant,
    pub now: Instant,
    pub cards: Vec<TrueCard>,
    /// Whether the driver says what each process uses; in some containers it does not.
    pub names: bool,
    pub ram_total: u64,
    pub ram_strangers: u64,
    pub services: BTreeMap<ServiceName, Service>,
    pub custom: BTreeMap<String, u64>,
    /// Strangers' use of each card when it was read last.
    pub strangers_read: BTreeMap<GpuId, u64>,
    /// Cards that were lost by then.
    pub lost_read: BTreeSet<GpuId>,
    pub due: BTreeMap<(Instant, u64), Due>,
    pub count: u64,
    pub sequence: u64,
    /// Runs that wait for their memory to be back.
    pub waiting: BTreeSet<RunId>,
    pub told: Vec<EventKind>,
    pub trace: Vec<String>,
    /// The longest that anybody has waited for an answer.
    pub longest: Duration,
    pub fairness: Duration,
    /// How long those waited who came in by a line, and whose line it was.
    pub waits: Vec<(ServiceName, Duration)>,
}

struct Sight<'a> {
    now: Instant,
    host: HostMemory,
    services: &'a BTreeMap<ServiceName, Service>,
}

impl Around for Sight<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn host(&self) -> Option<HostMemory> {
        Some(self.host)
    }

    fn usage(&self, service: &ServiceName) -> Usage {
        self.services.get(service).map(Service::seen).unwrap_or_default()
    }

    fn outlook(&self, service: &ServiceName) -> Outlook {
        let one = self.services.get(service);
        let rests = |one: &Service| matches!(one.doing, Doing::Nothing | Doing::Asks { .. } | Doing::Sleeps);
        Outlook {
            down: one.is_none_or(|one| one.down),
            cause: Some("it fell over".to_owned()),
            live: one.is_some_and(|one| !rests(one)),
        }
    }
}

impl World {
    /// A host of 64 GiB and these cards: their size, and whether a driver measures them. First come, first served.
    pub fn new(cards: &[(u64, bool)]) -> Self {
        Self::fair(cards, Duration::ZERO)
    }

    /// The same with a fairness.
    pub fn fair(cards: &[(u64, bool)], fairness: Duration) -> Self {
        let now = clock::now();
        let cards: Vec<TrueCard> = (0..)
            .zip(cards)
            .map(|(n, (total, measured))| TrueCard {
                id: GpuId(format!("gpu-{n}")),
                total: *total,
                measured: *measured,
                lost: false,
                strangers: 0,
                lagging: Vec::new(),
            })
            .collect();
        let custom = rules().custom;
        let mut world = Self {
            machine: Admission::new(Arc::new(rules()), fairness),
            began: now,
            now,
            cards,
            names: true,
            ram_total: 64 * GIB,
            ram_strangers: 2 * GIB,
            services: BTreeMap::new(),
            custom,
            strangers_read: BTreeMap::new(),
            lost_read: BTreeSet::new(),
            due: BTreeMap::new(),
            count: 0,
            sequence: 0,
            waiting: BTreeSet::new(),
            told: Vec::new(),
            trace: Vec::new(),
            longest: Duration::ZERO,
            fairness,
            waits: Vec::new(),
        };
        world.look();
        world
    }

    pub fn add(&mut self, spec: ServiceSpec, need: Need) -> ServiceName {
        let (name, pid) = (spec.name.clone(), Pid(1000 + u32::try_from(self.services.len()).expect("few")));
        let spec = Arc::new(spec);
        let service = Service {
            spec: Arc::clone(&spec),
            need: need.clone(),
            doing: Doing::Nothing,
            run: None,
            pid,
            placement: Placement::default(),
            leased: false,
            vram: BTreeMap::new(),
            ram: 0,
            usage: Usage::default(),
            line: Vec::new(),
            slots: None,
            closed: self.now,
            works: None,
            down: false,
            takes: 100,
            load: ms(400),
            fails: false,
            lag: ms(50),
            refusal: None,
            pending: None,
            wish: Wish::Wanted,
        };
        self.services.insert(name.clone(), service);
        self.step(Event::Enlisted { spec, need });
        name
    }

    pub fn of(&mut self, service: &ServiceName) -> &mut Service {
        self.services.get_mut(service).expect("a service")
    }

    /// Lets time go on.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let next = self.due.keys().next().map(|(at, _)| *at);
            let timer = self.machine.due(self.now);
            let at = [next, timer].into_iter().flatten().min().filter(|at| *at <= until);
            let Some(at) = at else { break };
            self.now = self.now.max(at);
            match next.filter(|next| *next <= at) {
                Some(_) => {
                    let (_, due) = self.due.pop_first().expect("something due");
                    self.happen(due);
                }
                None => {
                    let before = self.machine.due(self.now);
                    self.step(Event::Due);
                    if self.machine.due(self.now) == before && before.is_some_and(|at| at <= self.now) {
                        panic!("due now, and again: {self:?}");
                    }
                }
            }
        }
        self.now = until;
        self.check_waits();
    }

    /// Until something is so.
    pub fn until(&mut self, what: &str, within: Duration, so: impl Fn(&Self) -> bool) {
        let end = self.now + within;
        while !so(self) {
            assert!(self.now < end, "not so within {within:?}: {what}\n{}", self.story());
            self.pass(ms(5));
        }
    }

    pub fn doing(&self, service: &ServiceName) -> &Doing {
        &self.services[service].doing
    }

    pub fn later(&mut self, after: Duration, due: Due) {
        self.count += 1;
        self.due.insert((self.now + after, self.count), due);
    }

    pub fn fresh_run(&mut self) -> RunId {
        self.count += 1;
        // Digits are digits in Crockford's base 32 as well.
        format!("{:026}", self.count).parse().expect("a run id")
    }

    pub fn step(&mut self, event: Event) {
        let said = match &event {
            Event::Read(_) | Event::Measured(_) | Event::Due => None,
            other => Some(format!("{:?} -> {}", self.now - self.began, brief(other))),
        };
        let mut machine = std::mem::replace(&mut self.machine, nobody());
        let effects = machine.step(event, &self.sight());
        self.machine = machine;
        self.trace.extend(said);
        for effect in effects {
            self.carry_out(effect);
        }
    }
}

/// In the place of the machine while that takes a step.
fn nobody() -> Admission {
    Admission::new(Arc::new(rules()), Duration::ZERO)
}

fn brief(event: &Event) -> String {
    match event {
        Event::Enlisted { spec, need } => format!("enlisted {} {:?} {}", spec.name, need.vram, need.ram),
        Event::Asked(question) => format!("asked {} {} {:?}", question.service, question.run, question.wish),
        other => format!("{other:?}"),
    }
}

impl World {
    /// Another configuration for what goes on running.
    pub fn reconfigure(&mut self, service: &ServiceName, spec: ServiceSpec, need: Need) {
        let spec = Arc::new(spec);
        self.of(service).spec = Arc::clone(&spec);
        self.of(service).need = need.clone();
        self.step(Event::Enlisted { spec, need });
    }

    fn sight(&self) -> Sight<'_> {
        let taken: u64 = self.services.values().map(|one| one.ram).sum();
        let available = self.ram_total.saturating_sub(self.ram_strangers + taken);
        let host = HostMemory { total: self.ram_total, available };
        Sight { now: self.now, host, services: &self.services }
    }

    pub fn preview(&mut self, service: &ServiceName) -> Result<PlanView, PlanRefused> {
        let mut machine = std::mem::replace(&mut self.machine, nobody());
        let view = machine.preview(service, &self.sight());
        self.machine = machine;
        view
    }
}
