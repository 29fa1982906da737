//! Traffic for models that exclude each other, over the real admission and without any process: a clock of its own, engines
//! that load and stop in a known time, gates with a line before them. The same seed has the same story.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom::{
    Config,
    actors::{
        event::EventKind,
        gate::Waiting,
        ids::{RunId, ServiceName},
        lease::{Fate, LeaseVerdict, Wish},
        memory::{GpuId, Need, NeedSource, VramNeed},
        os::{
            clock,
            gpu::{Card, CardState, Reading},
            host::HostMemory,
        },
        resource_orchestrator::admission::{Admission, Around, Effect, Event, Outlook, Question, Usage},
        spec::ServiceSpec,
    },
};

/// From the word that it may leave until a process is gone.
pub const STOP: Duration = Duration::from_millis(50);
const GIB: u64 = 1 << 30;

/// Who asks, and how.
#[derive(Debug, Clone)]
pub enum Clients {
    /// So many, each of which asks for these models in turn, again as soon as it is answered.
    WithoutPause { count: usize, models: Vec<usize>, answer: Duration },
    /// Requests that come by chance, independently of each other, in the mean every so often (a Poisson process).
    ByChance { model: usize, every: Duration, answer: Duration },
    /// A request every so often.
    Regular { model: usize, every: Duration, answer: Duration },
}

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Mix {
    pub name: &'static str,
    /// How long each model loads.
    pub loads: Vec<Duration>,
    pub clients: Vec<Clients>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub swaps: usize,
    pub answered: usize,
    /// How long each request waited until it was let in, by model.
    pub waits: Vec<(usize, Duration)>,
    /// Which model was ready from when to when.
    pub stays: Vec<(usize, Duration, Duration)>,
}

impl Outcome {
    /// The wait that so many percent of the requests for a model (or for all) do not exceed.
    pub fn wait(&self, model: Option<usize>, percent: usize) -> Duration {
        let of = |(one, wait): &(usize, Duration)| model.is_none_or(|model| model == *one).then_some(*wait);
        let mut waits: Vec<Duration> = self.waits.iter().filter_map(of).collect();
        waits.sort();
        let at = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
        waits.get(at).copied().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Down,
    Asks,
    Loads,
    Ready { since: Instant },
    Drains,
}

/// Somebody's request.
#[derive(Debug, Clone, Copy)]
struct Request {
    came: Instant,
    /// Whose, and the how many-th of his.
    client: usize,
    turn: usize,
}

#[derive(Debug)]
struct Engine {
    spec: Arc<ServiceSpec>,
    load: Duration,
    phase: Phase,
    run: RunId,
    in_flight: u32,
    entries: u64,
    line: VecDeque<Request>,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Comes { client: usize, turn: usize },
    Finishes { model: usize, request: Request },
    Ready(usize),
    Ends(usize),
}

/// What the admission sees.
struct Sight<'a> {
    now: Instant,
    engines: &'a [Engine],
}

impl Around for Sight<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn host(&self) -> Option<HostMemory> {
        Some(HostMemory { total: 64 * GIB, available: 60 * GIB })
    }

    fn usage(&self, service: &ServiceName) -> Usage {
        let Some(engine) = self.engines.iter().find(|engine| engine.spec.name == *service) else {
            return Usage::default();
        };
        let count = u32::try_from(engine.line.len()).unwrap_or(u32::MAX);
        let waiting = Waiting { count, oldest: engine.line.front().map(|first| first.came), priority: 0 };
        let open = matches!(engine.phase, Phase::Ready { .. });
        Usage { open, in_flight: engine.in_flight, holds: 0, entries: engine.entries, waiting }
    }

    fn outlook(&self, _: &ServiceName) -> Outlook {
        Outlook::default()
    }
}

/// One story.
struct Town {
    machine: Admission,
    began: Instant,
    now: Instant,
    engines: Vec<Engine>,
    clients: Vec<Clients>,
    due: BTreeMap<(Instant, u64), Due>,
    count: u64,
    chance: u64,
    news: VecDeque<Event>,
    outcome: Outcome,
}

/// Simulates this long. A fairness of zero is first come, first served.
pub fn run(mix: &Mix, fairness: Duration, time: Duration, seed: u64) -> Outcome {
    let mut town = Town::new(mix, fairness, seed);
    let end = town.began + time;
    while let Some(at) = town.next().filter(|at| *at <= end) {
        town.now = town.now.max(at);
        match town.due.first_key_value().is_some_and(|((due, _), _)| *due <= town.now) {
            true => {
                let due = town.due.pop_first().map(|(_, due)| due);
                due.into_iter().for_each(|due| town.happen(due));
            }
            false => town.step(Event::Due),
        }
    }
    town.now = end;
    for model in 0..town.engines.len() {
        town.note_stay(model);
    }
    town.outcome
}

impl Town {
    fn new(mix: &Mix, fairness: Duration, seed: u64) -> Self {
        let now = clock::now();
        let services = (0..mix.loads.len()).map(|n| {
            format!("[service.m{n}]\ncommand = [\"/bin/true\"]\nstart = \"on_demand\"\nvram = \"6GiB\"\nram = \"0B\"\n")
        });
        let resources =
            "[resources]\ngpu_backend = \"declared\"\n[[resources.gpu]]\nname = \"card\"\nmemory = \"8GiB\"\n";
        let text: String = std::iter::once(resources.to_owned()).chain(services).collect();
        let spec = Config::from_toml(text).read().expect("a configuration").spec;
        let engine = |(spec, load): (&ServiceSpec, &Duration)| Engine {
            spec: Arc::new(spec.clone()),
            load: *load,
            phase: Phase::Down,
            run: RunId::fresh(),
            in_flight: 0,
            entries: 0,
            line: VecDeque::new(),
        };
        let several = |one: &Clients| match one {
            Clients::WithoutPause { count, .. } => vec![one.clone(); *count],
            Clients::ByChance { .. } | Clients::Regular { .. } => vec![one.clone()],
        };
        let mut town = Self {
            machine: Admission::new(Arc::new(spec.resources), fairness),
            began: now,
            now,
            engines: spec.services.iter().zip(&mix.loads).map(engine).collect(),
            clients: mix.clients.iter().flat_map(several).collect(),
            due: BTreeMap::new(),
            count: 0,
            chance: seed,
            news: VecDeque::new(),
            outcome: Outcome::default(),
        };
        let card = Card {
            id: GpuId("card".to_owned()),
            index: 0,
            name: "card".to_owned(),
            total: 8 * GIB,
            used: None,
            processes: Vec::new(),
            utilization: None,
            temperature: None,
            state: CardState::Works,
        };
        let reading = Reading { sequence: 1, at: now, backend: "declared", cards: vec![card], problem: None };
        town.step(Event::Read(Arc::new(reading)));
        for model in 0..town.engines.len() {
            let spec = Arc::clone(&town.engines[model].spec);
            town.step(Event::Enlisted { spec, need: need() });
        }
        for client in 0..town.clients.len() {
            // Not all in the same moment.
            let first = Duration::from_millis(u64::try_from(client).unwrap_or(0)) + town.pause(client, 0);
            town.later(first, Due::Comes { client, turn: 0 });
        }
        town
    }

    fn next(&self) -> Option<Instant> {
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        [due, self.machine.due(self.now)].into_iter().flatten().min()
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.count += 1;
        self.due.insert((self.now + after, self.count), due);
    }

    /// Between 0 and 1, without either (splitmix64, by Sebastiano Vigna).
    fn draw(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Until the next request of those who do not wait for an answer.
    fn pause(&mut self, client: usize, turn: usize) -> Duration {
        match self.clients[client] {
            Clients::WithoutPause { .. } => Duration::ZERO,
            Clients::ByChance { every, .. } => every.mul_f64(-self.draw().ln()),
            // The flood is to have begun by then.
            Clients::Regular { every, .. } if turn == 0 => every / 4,
            Clients::Regular { every, .. } => every,
        }
    }

    /// Which model a client asks for, and how long the answer takes.
    fn wish(&self, client: usize, turn: usize) -> (usize, Duration) {
        match &self.clients[client] {
            Clients::WithoutPause { models, answer, .. } => (models[turn % models.len()], *answer),
            Clients::ByChance { model, answer, .. } | Clients::Regular { model, answer, .. } => (*model, *answer),
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Comes { client, turn } => {
                let (model, _) = self.wish(client, turn);
                self.engines[model].line.push_back(Request { came: self.now, client, turn });
                self.let_in(model);
                self.ask_for(model);
                if !matches!(self.clients[client], Clients::WithoutPause { .. }) {
                    let pause = self.pause(client, turn + 1);
                    self.later(pause, Due::Comes { client, turn: turn + 1 });
                }
            }
            Due::Finishes { model, request: Request { client, turn, .. } } => {
                self.outcome.answered += 1;
                self.engines[model].in_flight -= 1;
                if matches!(self.clients[client], Clients::WithoutPause { .. }) {
                    self.later(Duration::ZERO, Due::Comes { client, turn: turn + 1 });
                }
                self.end_if_idle(model);
            }
            Due::Ready(model) => {
                self.engines[model].phase = Phase::Ready { since: self.now };
                self.let_in(model);
                self.fare(model, Fate::Ready);
            }
            Due::Ends(model) => {
                self.engines[model].phase = Phase::Down;
                self.fare(model, Fate::Ended { failed: false });
                self.ask_for(model);
            }
        }
    }

    fn let_in(&mut self, model: usize) {
        while matches!(self.engines[model].phase, Phase::Ready { .. }) {
            let Some(request) = self.engines[model].line.pop_front() else { return };
            self.engines[model].in_flight += 1;
            self.engines[model].entries += 1;
            self.outcome.waits.push((model, self.now - request.came));
            let (_, answer) = self.wish(request.client, request.turn);
            self.later(answer, Due::Finishes { model, request });
        }
    }

    fn ask_for(&mut self, model: usize) {
        let engine = &mut self.engines[model];
        if engine.line.is_empty() || engine.phase != Phase::Down {
            return;
        }
        (engine.phase, engine.run) = (Phase::Asks, RunId::fresh());
        let (spec, run) = (Arc::clone(&engine.spec), engine.run);
        let service = spec.name.clone();
        let question = Question { service, run, spec, need: need(), wish: Wish::Wanted, pids: Vec::new() };
        self.step(Event::Asked(question));
    }

    fn fare(&mut self, model: usize, fate: Fate) {
        let Engine { spec, run, .. } = &self.engines[model];
        self.step(Event::Fared { service: spec.name.clone(), run: *run, fate });
    }

    fn end_if_idle(&mut self, model: usize) {
        let Engine { phase, in_flight, run, .. } = self.engines[model];
        if phase == Phase::Drains && in_flight == 0 {
            self.step(Event::Drained(run));
            self.later(STOP, Due::Ends(model));
        }
    }

    fn note_stay(&mut self, model: usize) {
        if let Phase::Ready { since } = self.engines[model].phase {
            self.outcome.stays.push((model, since - self.began, self.now - self.began));
        }
    }

    /// One step, and those that follow from it.
    fn step(&mut self, event: Event) {
        self.news.push_back(event);
        if self.news.len() > 1 {
            return;
        }
        while let Some(event) = self.news.front().cloned() {
            let effects = self.machine.step(event, &Sight { now: self.now, engines: &self.engines });
            effects.into_iter().for_each(|effect| self.carry_out(effect));
            self.news.pop_front();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Answer(run, verdict) => {
                let Some(model) = self.engines.iter().position(|engine| engine.run == run) else { return };
                match verdict {
                    LeaseVerdict::Granted(_) => {
                        self.engines[model].phase = Phase::Loads;
                        let load = self.engines[model].load;
                        self.later(load, Due::Ready(model));
                    }
                    LeaseVerdict::Refused(refusal) => panic!("nobody stays here: {refusal}"),
                    LeaseVerdict::Pending(_) | LeaseVerdict::Reclaimed(_) => {}
                }
            }
            Effect::Offload { service, .. } => {
                let model = self.engines.iter().position(|engine| engine.spec.name == service).expect("an engine");
                self.note_stay(model);
                self.engines[model].phase = Phase::Drains;
                self.fare(model, Fate::Leaving);
                self.end_if_idle(model);
            }
            Effect::Tell(event) => {
                self.outcome.swaps += usize::from(matches!(*event, EventKind::SwapDone { .. }));
            }
            Effect::Reload(_) | Effect::ReadCards | Effect::Learn { .. } => {}
        }
    }
}

fn need() -> Need {
    Need { vram: VramNeed::Bytes(6 * GIB), vram_source: NeedSource::User, ..Need::nothing() }
}
