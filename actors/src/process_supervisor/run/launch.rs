//! The start of a run: port, folder, containment, process.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use super::context::{AdoptedRun, Environment, RunContext, TakeOverError, TakenOver, render};
use crate::{
    cause::chain,
    ids::RunId,
    os::{
        clock,
        containment::{ContainmentError, Hold, KeeperInfo},
        keep::fingerprint,
        ports::{PortError, PortLease},
        proc::ProcessIdentity,
        registry::{KeptRun, RegistryEntry},
        spawn::{SpawnError, SpawnRequest, Spawned},
    },
    process_supervisor::lifecycle::RunNews,
    spec::{FailureClass, OnRuntimeExit},
    state::ExitReport,
    template::RunValues,
};

/// How long the hold of a process that could not be started right may take to be empty.
const EMPTY_WITHIN: Duration = Duration::from_secs(2);

/// A run that has begun.
pub(super) struct Launched {
    pub hold: Arc<dyn Hold>,
    pub spawned: Spawned,
    /// Given back when the run has ended.
    pub lease: Option<PortLease>,
    pub values: RunValues,
    pub env: Environment,
}

/// Why a run could not begin. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("cannot empty the data folder {}", path.display())]
    DataDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the model file {} is not there", path.display())]
    ModelFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot hold its processes")]
    Containment(#[from] ContainmentError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    #[error("a failure pattern is not a regular expression")]
    Pattern(#[from] regex::Error),
}

impl LaunchError {
    /// The class of the failure.
    pub(super) fn class(&self) -> FailureClass {
        match self {
            Self::Port(_) => FailureClass::PortInUse,
            Self::Spawn(SpawnError::Program { .. } | SpawnError::WorkingDir(_)) => FailureClass::MissingCommand,
            Self::ModelFile { .. } => FailureClass::BadModel,
            Self::DataDir { .. }
            | Self::Containment(_)
            | Self::Spawn(SpawnError::Kernel(_) | SpawnError::Shim(_))
            | Self::TakeOver(_)
            | Self::Pattern(_) => FailureClass::Unknown,
        }
    }
}

impl LaunchError {
    /// The error and its causes in one line.
    pub(super) fn told(&self) -> String {
        chain(self)
    }
}

/// What is told of a run of which nothing has begun.
pub(super) fn never_started(class: Option<FailureClass>, cause: Option<String>) -> RunNews {
    let exit = ExitReport { code: None, signal: None, class, stderr: Vec::new(), at: clock::wall() };
    RunNews::Ended { exit, cause, killed: false }
}

/// Begins a run.
pub(super) async fn launch(ctx: &Arc<RunContext>, run: RunId) -> Result<Launched, LaunchError> {
    is_there(ctx.spec.model_file.clone()).await?;
    let lease = ctx.spec.port.map(|port| ctx.ports.take(port)).transpose()?;
    let values = ctx.values(lease.as_ref().map(PortLease::port));
    if ctx.wants_data_dir() {
        empty(values.data_dir.clone()).await?;
    }
    let hold: Arc<dyn Hold> = match ctx.spec.stop.on_runtime_exit {
        OnRuntimeExit::Stop => Arc::from(ctx.containment.open(&ctx.spec.name, run)?),
        OnRuntimeExit::Keep => ctx.containment.open_kept(&ctx.spec.name, run)?,
    };
    let env = ctx.environment(run, &hold, &values);
    let request = SpawnRequest {
        command: render(&ctx.spec.command, &values),
        env: env(),
        working_dir: ctx.spec.working_dir.clone(),
    };
    let spawned = match hold.spawn(&request).await {
        Ok(spawned) => spawned,
        Err(error) => {
            give_back(hold.as_ref()).await;
            return Err(error.into());
        }
    };
    hold.set_main(spawned.pid);
    write_down(ctx, run, &spawned, hold.as_ref(), &values);
    Ok(Launched { hold, spawned, lease, values, env })
}

/// Takes over a run of an earlier runtime: nothing is started, emptied or written down anew.
pub(super) fn take_over(ctx: &Arc<RunContext>, adopted: AdoptedRun) -> Result<Launched, LaunchError> {
    let AdoptedRun { run, port, take, .. } = adopted;
    let TakenOver { hold, spawned, lease } = take(ctx)?;
    let values = ctx.values(port);
    let env = ctx.environment(run, &hold, &values);
    Ok(Launched { hold, spawned, lease, values, env })
}

/// A model that has gone since the configuration was read: not every program names what it misses. A network volume may
/// take long to answer, so another thread asks.
async fn is_there(model_file: Option<PathBuf>) -> Result<(), LaunchError> {
    let Some(path) = model_file else { return Ok(()) };
    let asked = path.clone();
    let found = actix_rt::task::spawn_blocking(move || fs::metadata(asked)).await;
    let found = found.unwrap_or_else(|error| Err(io::Error::other(error)));
    found.map(drop).map_err(|source| LaunchError::ModelFile { path, source })
}

/// A fresh, empty folder. The removal of a large old one goes to another thread.
async fn empty(path: PathBuf) -> Result<(), LaunchError> {
    let failed = |source| LaunchError::DataDir { path: path.clone(), source };
    let is_empty = match fs::read_dir(&path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::create_dir_all(&path).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    };
    if is_empty {
        return Ok(());
    }
    let old = path.clone();
    let removed = actix_rt::task::spawn_blocking(move || fs::remove_dir_all(old)).await;
    removed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)?;
    fs::create_dir_all(&path).map_err(failed)
}

/// Ends what a failed start, or a small command, may have left in the hold, and gives the hold back.
pub(super) async fn give_back(hold: &dyn Hold) {
    let until = clock::now() + EMPTY_WITHIN;
    while let Err(error) = hold.remove() {
        if clock::now() >= until {
            return tracing::warn!(hold = hold.describe(), error = %error, "a hold could not be given back");
        }
        // Whether it worked is seen at the next try to remove.
        drop(hold.kill());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Notes the run for a sweep. That this fails (a full disk) does not stop the run: its cgroup is found without it.
fn write_down(ctx: &RunContext, run: RunId, spawned: &Spawned, hold: &dyn Hold, values: &RunValues) {
    let noted = ProcessIdentity::of(spawned.pid).and_then(|main| {
        ctx.registry.add(&RegistryEntry {
            run,
            service: ctx.spec.name.clone(),
            main,
            hold: hold.describe(),
            port: values.port,
            kept: kept(ctx, hold, values),
        })
    });
    if let Err(error) = noted {
        tracing::warn!(service = %ctx.spec.name, error = %error, "a run could not be written to the registry");
    }
}

/// What the next runtime needs to know of a run that outlives this one.
fn kept(ctx: &RunContext, hold: &dyn Hold, values: &RunValues) -> Option<KeptRun> {
    let KeeperInfo { shim, cgroup, namespace } = hold.keeper()?;
    let stop = &ctx.spec.stop;
    let grace_millis = u64::try_from(stop.grace.as_millis()).unwrap_or(u64::MAX);
    Some(KeptRun {
        shim,
        cgroup,
        namespace,
        command: render(&ctx.spec.command, values),
        started: clock::wall(),
        fingerprint: fingerprint(&ctx.spec, &ctx.configured(values.port)),
        gpus: ctx.placement.gpus.clone(),
        gpu_layers: ctx.placement.gpu_layers,
        signal: stop.signal,
        grace_millis,
    })
}
