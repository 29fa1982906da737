//! One supervisor in a state dir of its own, on this thread, with its children on another.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::{Actor, Addr, Context, Handler};
use actix_rt::Arbiter;
use greenroom_actors::{
    engines::EngineRef,
    event::{EventBus, EventKind, EventStream},
    gate::Gate,
    history_store::HistorySink,
    lease::{AskLease, Fate, LeaseAnswer, LeaseNews, LeaseVerdict, Lessor},
    memory::Placement,
    os::{
        clock,
        containment::{Place, best_effort::BestEffortContainment},
        entry,
        ports::PortPool,
        registry::Registry,
    },
    process_supervisor::{AdoptedRun, Inherited, ProcessSupervisor, SupervisorParts},
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
    spec::{
        AliveSpec, GpuLayers, InheritEnv, OnRuntimeExit, Probe, ReadySpec, RestartPolicy, RestartSpec, ServiceLogSpec,
        ServiceSpec, StartMode, StopSignal, StopSpec,
    },
    state::{Disposition, ServiceState, ServiceStatus},
    template::Template,
    units::{ByteSize, DurationRange},
    witness::Witness,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::{ports::Ports, programs::write_program};

/// Far more than anything here takes; only a broken build waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long those who use the service are waited for.
pub const DRAIN: Duration = Duration::from_secs(2);

/// Stands in for the launcher's `__exec`: a session of its own, and then the program under the same pid.
const HELPER: &str = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec setsid \"$@\"\n";

pub fn name_helper() {
    static NAMED: OnceLock<()> = OnceLock::new();
    NAMED.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("supervisor-helper.sh");
        // Written aside and renamed: another run of these tests may be about to execute it.
        let fresh = path.with_extension(format!("{}", std::process::id()));
        write_program(&fresh, HELPER);
        fs::rename(&fresh, &path).expect("the helper in place");
        entry::set_helper(path).expect("no helper yet");
    });
}

/// A service that runs this shell script: no probe, no wait before a restart worth speaking of.
pub fn script(text: &str) -> ServiceSpec {
    let short = DurationRange { min: Duration::from_millis(20), max: Duration::from_millis(40) };
    ServiceSpec {
        name: "svc".parse().expect("a name"),
        engine: EngineRef::generic(),
        command: ["sh", "-c", text].map(Template::text).to_vec(),
        model_file: None,
        gpu_layers: GpuLayers::Auto,
        serves: Vec::new(),
        env: Default::default(),
        inherit_env: InheritEnv::All,
        working_dir: "/".into(),
        port: None,
        owner_check: true,
        start: StartMode::Manual,
        depends_on: Vec::new(),
        ready: ReadySpec { probe: Probe::None, timeout: PATIENCE, interval: short },
        alive: AliveSpec {
            probe: Probe::None,
            interval: short.min,
            timeout: PATIENCE,
            failures: 3,
            busy_timeout: PATIENCE,
            generation: None,
        },
        restart: RestartSpec {
            policy: RestartPolicy::OnFailure,
            max: 3,
            backoff: short,
            reset_after: Duration::from_secs(600),
        },
        stop: StopSpec {
            signal: StopSignal::SigTerm,
            grace: Duration::from_secs(5),
            http: None,
            exec: Vec::new(),
            on_runtime_exit: OnRuntimeExit::Stop,
        },
        failure: Vec::new(),
        limits: Default::default(),
        memory: Default::default(),
        door: Default::default(),
        cleanup: Default::default(),
        restart_after_job: false,
        worker: None,
    }
}

/// A supervisor and its world. Dropping it kills what runs: its giver of orders is gone then.
pub struct Rig {
    pub supervisor: Addr<ProcessSupervisor>,
    pub status: watch::Receiver<ServiceStatus>,
    pub events: EventStream,
    pub gate: Gate,
    pub witness: Witness,
    dir: TempDir,
    children: Arbiter,
    _ports: Ports,
}

/// Gives everybody everything at once, as long as the test's thread lives.
#[derive(Debug)]
struct Generous;

impl Actor for Generous {
    type Context = Context<Self>;
}

impl Handler<AskLease> for Generous {
    type Result = ();

    fn handle(&mut self, AskLease { run, answer, .. }: AskLease, _: &mut Self::Context) {
        answer.do_send(LeaseAnswer { run, verdict: LeaseVerdict::Granted(Placement::default()) });
    }
}

impl Handler<LeaseNews> for Generous {
    type Result = ();

    fn handle(&mut self, _: LeaseNews, _: &mut Self::Context) {}
}

fn generous() -> Lessor {
    let generous = Generous.start();
    Lessor { ask: generous.clone().recipient(), tell: generous.recipient() }
}

/// Who is asked for memory and told how it fares, with the test to answer.
pub struct Scripted {
    asks: mpsc::UnboundedReceiver<AskLease>,
    news: mpsc::UnboundedReceiver<LeaseNews>,
}

impl Scripted {
    /// The next question. None is left unanswered by a test without notice.
    pub async fn asked(&mut self) -> AskLease {
        tokio::time::timeout(PATIENCE, self.asks.recv()).await.expect("a question").expect("the supervisor lives")
    }

    /// The next news, whatever the run.
    pub async fn told(&mut self) -> Fate {
        let news = tokio::time::timeout(PATIENCE, self.news.recv()).await.expect("news");
        news.expect("the supervisor lives").fate
    }
}

struct Script(mpsc::UnboundedSender<AskLease>, mpsc::UnboundedSender<LeaseNews>);

impl Actor for Script {
    type Context = Context<Self>;
}

impl Handler<AskLease> for Script {
    type Result = ();

    fn handle(&mut self, ask: AskLease, _: &mut Self::Context) {
        // The test may be over.
        drop(self.0.send(ask));
    }
}

impl Handler<LeaseNews> for Script {
    type Result = ();

    fn handle(&mut self, news: LeaseNews, _: &mut Self::Context) {
        drop(self.1.send(news));
    }
}

impl Rig {
    pub fn new(spec: ServiceSpec) -> Self {
        Self::adopting(spec, None)
    }

    /// One whose service has a run of an earlier runtime.
    pub fn adopting(spec: ServiceSpec, adopt: Option<AdoptedRun>) -> Self {
        Self::with(spec, adopt, generous())
    }

    /// One whose memory is the test's to give.
    pub fn scripted(spec: ServiceSpec) -> (Self, Scripted) {
        let ((ask, asks), (tell, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let script = Script(ask, tell).start();
        let lessor = Lessor { ask: script.clone().recipient(), tell: script.recipient() };
        (Self::with(spec, None, lessor), Scripted { asks, news })
    }

    fn with(spec: ServiceSpec, adopt: Option<AdoptedRun>, lessor: Lessor) -> Self {
        name_helper();
        let (dir, ports) = (tempfile::tempdir().expect("a state dir"), Ports::claim());
        let place =
            Place { state_dir: dir.path().to_owned(), instance: "test".to_owned(), incarnation: "one".to_owned() };
        let (bus, children, witness) = (EventBus::new(1), Arbiter::new(), Witness::default());
        let (events, gate) = (bus.subscribe(None), Gate::new());
        let (publish, status) =
            watch::channel(ServiceStatus::initial(spec.name.clone(), Disposition::Down, clock::wall()));
        let supervisor = ProcessSupervisor::new(SupervisorParts {
            spec: Arc::new(spec),
            containment: Arc::new(BestEffortContainment::new(&place)),
            ports: PortPool::new(ports.range.0, ports.range.1),
            registry: Registry::open(dir.path()).expect("a registry"),
            bus,
            history: HistorySink::none(),
            logs: ServiceLogSpec { max_size: ByteSize(1 << 30), keep: 2 },
            state_dir: dir.path().to_owned(),
            children: children.handle(),
            status: publish,
            dependencies: Vec::new(),
            gate: gate.clone(),
            drain: DRAIN,
            witness: witness.clone(),
            lessor,
            adopt: adopt.map(Inherited::from),
        })
        .start();
        Self { supervisor, status, events, gate, witness, dir, children, _ports: ports }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("logs/svc/current.log")).unwrap_or_default()
    }

    /// Waits until the status is as wanted.
    pub async fn until(&mut self, wanted: impl FnMut(&ServiceStatus) -> bool) -> ServiceStatus {
        let waited = tokio::time::timeout(PATIENCE, self.status.wait_for(wanted)).await;
        let seen = waited.map(|status| status.expect("the supervisor lives").clone());
        seen.unwrap_or_else(|_| panic!("it never was so; at last: {:?}", self.status.borrow().clone()))
    }

    pub async fn state(&mut self, state: ServiceState) -> ServiceStatus {
        self.until(|status| status.state == state).await
    }

    /// The next event of which `pick` makes something.
    pub async fn event<T>(&mut self, pick: impl Fn(EventKind) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = pick(self.events.next().await.expect("the bus lives").kind) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event")
    }

    /// Stops it as the end of a runtime does, and checks that nothing is left on disk or in memory.
    pub async fn close(self, force: bool) -> StopOutcome {
        let outcome = self.ask_to_close(force).await;
        let left = fs::read_dir(self.path("registry")).expect("the registry").count();
        assert_eq!(left, 0, "runs are left in the registry");
        self.children.stop();
        outcome
    }
}

impl Rig {
    /// Stops it as the end of a runtime does, where it is to outlive that.
    pub async fn let_go(&self) -> StopOutcome {
        let outcome = self.ask_to_close(false).await;
        self.children.stop();
        outcome
    }

    async fn ask_to_close(&self, force: bool) -> StopOutcome {
        let (told, mut outcome) = mpsc::unbounded_channel();
        let answer = Hearer(told).start().recipient();
        let until = clock::now() + PATIENCE;
        self.supervisor.do_send(StopUnit { name: "service:svc".to_owned(), until, force, answer });
        tokio::time::timeout(PATIENCE, outcome.recv()).await.expect("an answer").expect("an outcome")
    }
}

struct Hearer(mpsc::UnboundedSender<StopOutcome>);

impl Actor for Hearer {
    type Context = Context<Self>;
}

impl Handler<UnitStopped> for Hearer {
    type Result = ();

    fn handle(&mut self, stopped: UnitStopped, _: &mut Self::Context) {
        self.0.send(stopped.outcome).expect("the test waits");
    }
}

/// Whether a process with this id runs (a zombie does not).
pub fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until a file has a whole line.
pub async fn line_of(path: PathBuf) -> String {
    let search = async {
        loop {
            match fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("a line")
}
