//! What all runs of a service have in common.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use tokio::sync::watch;

use crate::{
    event::EventBus,
    gate::Gate,
    ids::{Pid, RunId, ServiceName},
    memory::Placement,
    os::{
        containment::{Containment, Hold},
        environment::inherited,
        ports::{PortLease, PortPool},
        registry::Registry,
        spawn::Spawned,
    },
    process_supervisor::lifecycle::RunNews,
    spec::{GpuLayers, InheritEnv, Probe, ServiceLogSpec, ServiceSpec},
    template::{Part, RunValues, Template},
    witness::Witness,
};

/// Tells news of a run. Never waits.
pub type Reporter = Rc<dyn Fn(RunNews)>;

/// Puts the environment of a run's processes together, each time that one of them is started: kept for every run it would
/// be among the largest things about it, and most runs start one process only.
pub type Environment = Rc<dyn Fn() -> Vec<(OsString, OsString)>>;

/// What a run is to do. Sleeping and waking take turns; apart from them an order is only ever replaced by what is later in
/// this list, or by an earlier end of the grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Run.
    Run,
    /// Have its engine unload the model.
    Sleep {
        /// It must have answered by then.
        by: Instant,
    },
    /// Have its engine load the model again.
    Wake,
    /// Let go of what runs, and leave it running.
    Release,
    /// End, with a grace.
    Stop {
        /// What is left then is killed.
        kill_at: Instant,
    },
    /// Be killed.
    Kill,
}

/// The two ways into a run: what it is to do, and what it is from now on.
#[derive(Debug, Clone)]
pub struct Orders {
    /// What it is to do. When the giver is gone, the run is killed.
    pub order: watch::Receiver<Order>,
    /// The service as it is configured now, as far as that can change under a run.
    pub spec: watch::Receiver<Arc<ServiceSpec>>,
}

/// How a run comes into our hands.
#[derive(Debug)]
pub enum Origin {
    /// It is begun.
    Fresh(RunId),
    /// An earlier runtime began it and let go of it.
    Adopted(AdoptedRun),
}

impl Origin {
    /// Which run.
    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Self::Fresh(run) => *run,
            Self::Adopted(adopted) => adopted.run,
        }
    }
}

/// A run of an earlier runtime that lives, and how to take it over.
pub struct AdoptedRun {
    /// Its id, as the history knows it.
    pub run: RunId,
    /// Its main process.
    pub pid: Pid,
    /// Its port.
    pub port: Option<u16>,
    /// Where it was placed, as far as that was written down.
    pub placement: Placement,
    /// Takes it over. Called once, on the thread of the children, inside its executor.
    pub take: TakeOver,
}

/// Takes over a run that lives.
pub type TakeOver = Box<dyn FnOnce(&RunContext) -> Result<TakenOver, TakeOverError> + Send>;

/// A run that was taken over.
#[derive(Debug)]
pub struct TakenOver {
    /// Where its processes are.
    pub hold: Arc<dyn Hold>,
    /// Its main process.
    pub spawned: Spawned,
    /// Its port is ours.
    pub lease: Option<PortLease>,
}

/// Why a run could not be taken over. It is over then, as far as we are concerned.
#[derive(Debug, thiserror::Error)]
#[error("the run that an earlier runtime had left cannot be taken over")]
pub struct TakeOverError(#[source] pub io::Error);

impl fmt::Debug for AdoptedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptedRun")
            .field("run", &self.run)
            .field("pid", &self.pid)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// What all runs of a service have in common.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The service.
    pub spec: Arc<ServiceSpec>,
    /// Where its trees are held.
    pub containment: Arc<dyn Containment>,
    /// Where its port comes from.
    pub ports: PortPool,
    /// Where its runs are written down for a sweep.
    pub registry: Registry,
    /// Where trouble with its log is told.
    pub bus: EventBus,
    /// How its log is rotated.
    pub logs: ServiceLogSpec,
    /// The runtime's folder.
    pub state_dir: PathBuf,
    /// Where it is told what its output shows to have failed.
    pub witness: Witness,
    /// Where those come in who use it: looked at only.
    pub gate: Gate,
    /// Where the run is; of no run in particular: nowhere.
    pub placement: Arc<Placement>,
}

impl RunContext {
    /// The service's private folder; emptied at each start, if it is used.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.values(None).data_dir
    }

    /// Whether any text of the service names its private folder; without that nobody can want it.
    pub(super) fn wants_data_dir(&self) -> bool {
        let spec = &self.spec;
        let probes = [&spec.ready.probe, &spec.alive.probe];
        let of_probes = probes.into_iter().flat_map(|probe| match probe {
            Probe::Exec(command) => command.as_slice(),
            Probe::None | Probe::Http(_) | Probe::Tcp | Probe::Log(_) | Probe::Delay(_) => &[],
        });
        let mut texts = spec.command.iter().chain(spec.env.values()).chain(&spec.stop.exec).chain(of_probes);
        texts.any(|text| text.uses(&Part::DataDir))
    }

    /// What the holes of the service's texts are filled with. A count of layers that was planned goes before what is
    /// configured.
    #[must_use]
    pub fn values(&self, port: Option<u16>) -> RunValues {
        let configured = self.configured(port);
        RunValues {
            gpu_layers: self.placement.gpu_layers.map_or(configured.gpu_layers, GpuLayers::Count),
            gpus: self.placement.gpus.iter().map(ToString::to_string).collect(),
            ..configured
        }
    }

    /// The same without what was decided for this run alone: what a later runtime can know.
    pub(super) fn configured(&self, port: Option<u16>) -> RunValues {
        RunValues::of(&self.spec, port, &self.state_dir)
    }

    /// The command as it is run on this port.
    #[must_use]
    pub fn command(&self, port: Option<u16>) -> Vec<String> {
        render(&self.spec.command, &self.values(port))
    }

    /// The environment of a run's processes, whenever one is started.
    pub(super) fn environment(self: &Arc<Self>, run: RunId, hold: &Arc<dyn Hold>, values: &RunValues) -> Environment {
        let (ctx, hold, values) = (Arc::clone(self), Arc::clone(hold), values.clone());
        Rc::new(move || ctx.env(run, hold.as_ref(), &values))
    }

    fn env(&self, run: RunId, hold: &dyn Hold, values: &RunValues) -> Vec<(OsString, OsString)> {
        surroundings(&self.spec, &self.state_dir, run, hold, values)
    }
}

/// The whole environment of a service's processes. What a sweep looks for comes last and cannot be overwritten.
#[must_use]
pub fn surroundings(
    spec: &ServiceSpec,
    state_dir: &Path,
    run: RunId,
    hold: &dyn Hold,
    values: &RunValues,
) -> Vec<(OsString, OsString)> {
    let own = spec.env.iter().map(|(name, value)| (name.into(), value.render(values).into()));
    inherited(&spec.inherit_env).chain(own).chain(marks(&spec.name, state_dir, run, hold)).collect()
}

/// The whole environment of a program that is run for something that is no service of this machine.
#[must_use]
pub fn foreign_surroundings(
    name: &ServiceName,
    state_dir: &Path,
    run: RunId,
    hold: &dyn Hold,
) -> Vec<(OsString, OsString)> {
    inherited(&InheritEnv::All).chain(marks(name, state_dir, run, hold)).collect()
}

/// What a sweep looks for.
fn marks(name: &ServiceName, state_dir: &Path, run: RunId, hold: &dyn Hold) -> Vec<(OsString, OsString)> {
    let marks = [
        ("GREENROOM_STATE_DIR".to_owned(), state_dir.display().to_string()),
        ("GREENROOM_SERVICE".to_owned(), name.to_string()),
        ("GREENROOM_RUN".to_owned(), run.to_string()),
    ];
    marks.into_iter().chain(hold.marker()).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Every text with its holes filled.
#[must_use]
pub fn render(texts: &[Template], values: &RunValues) -> Vec<String> {
    texts.iter().map(|text| text.render(values)).collect()
}
