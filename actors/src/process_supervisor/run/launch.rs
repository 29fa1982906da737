//! The start of a run: port, folder, containment, process.

use std::{ffi::OsString, fs, io, path::PathBuf, sync::Arc, time::Duration};

use super::context::{RunContext, render};
use crate::{
    cause::chain,
    ids::RunId,
    os::{
        clock,
        containment::{ContainmentError, Hold},
        ports::{PortError, PortLease},
        proc::ProcessIdentity,
        registry::RegistryEntry,
        spawn::{SpawnError, SpawnRequest, Spawned},
    },
    spec::FailureClass,
    template::RunValues,
};

/// How long the hold of a process that could not be started right may take to be empty.
const EMPTY_WITHIN: Duration = Duration::from_secs(2);

/// A run that has begun.
#[derive(Debug)]
pub(super) struct Launched {
    pub hold: Arc<dyn Hold>,
    pub spawned: Spawned,
    /// Given back when the run has ended.
    pub lease: Option<PortLease>,
    pub values: RunValues,
    pub env: Arc<[(OsString, OsString)]>,
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
    #[error("cannot hold its processes")]
    Containment(#[from] ContainmentError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("a failure pattern is not a regular expression")]
    Pattern(#[from] regex::Error),
}

impl LaunchError {
    /// The class of the failure.
    pub(super) fn class(&self) -> FailureClass {
        match self {
            Self::Port(_) => FailureClass::PortInUse,
            Self::Spawn(SpawnError::Program { .. } | SpawnError::WorkingDir(_)) => FailureClass::MissingCommand,
            Self::DataDir { .. } | Self::Containment(_) | Self::Spawn(SpawnError::Kernel(_)) | Self::Pattern(_) => {
                FailureClass::Unknown
            }
        }
    }
}

impl LaunchError {
    /// The error and its causes in one line.
    pub(super) fn told(&self) -> String {
        chain(self)
    }
}

/// Begins a run.
pub(super) async fn launch(ctx: &RunContext, run: RunId) -> Result<Launched, LaunchError> {
    let lease = ctx.spec.port.map(|port| ctx.ports.take(port)).transpose()?;
    let values = ctx.values(lease.as_ref().map(PortLease::port));
    if ctx.wants_data_dir() {
        empty(values.data_dir.clone()).await?;
    }
    let hold: Arc<dyn Hold> = Arc::from(ctx.containment.open(&ctx.spec.name, run)?);
    let env: Arc<[_]> = ctx.env(run, hold.as_ref(), &values).into();
    let request = SpawnRequest {
        command: render(&ctx.spec.command, &values),
        env: env.to_vec(),
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
    write_down(ctx, run, &spawned, hold.as_ref(), values.port);
    Ok(Launched { hold, spawned, lease, values, env })
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

/// Ends what a failed start may have left in the hold, and gives the hold back.
async fn give_back(hold: &dyn Hold) {
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
fn write_down(ctx: &RunContext, run: RunId, spawned: &Spawned, hold: &dyn Hold, port: Option<u16>) {
    let noted = ProcessIdentity::of(spawned.pid).and_then(|main| {
        let service = ctx.spec.name.clone();
        ctx.registry.add(&RegistryEntry { run, service, main, hold: hold.describe(), port })
    });
    if let Err(error) = noted {
        tracing::warn!(service = %ctx.spec.name, error = %error, "a run could not be written to the registry");
    }
}
