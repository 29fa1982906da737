//! What is done after a job: actions one after the other, each with its bound, each failure named.
//!
//! Whoever has done the work calls [`clean`] once its outcome is told, so no answer ever waits for it. One action that
//! fails does not keep the next one from being tried. The alert about a failure is raised in here. What else follows is the
//! caller's to do, and so is it to say that all is clean (`all_is_clean`): there may be more to clean than one `cleanup`.

mod needed;

use std::{env, path::PathBuf, sync::Arc, time::Duration};

use actix_rt::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use self::needed::{InUse, is_needed};
use super::{
    Rim,
    alarm::{self, CLEANUP_FAILED, raise},
    purge::{Root, purge},
    refused::{LONGEST_ERROR, refused},
    wire::{Letter, Wire},
};
use crate::{
    cause::chain,
    engines::EngineRef,
    ids::{RunId, ServiceName},
    memory::GpuId,
    os::{
        containment::Hold,
        host::{Host, ProcHost},
    },
    plain::without_query,
    process_supervisor::run::{exec_alone, render, surroundings},
    spec::{CleanupAction, CleanupSpec, CleanupWhen, Common, ServiceSpec},
    state::ServiceStatus,
    template::{RunValues, Template},
};

/// The longest that one request may take; an engine that unloads a model writes it to memory at worst.
const HTTP_BOUND: Duration = Duration::from_secs(30);
/// The longest that one program may take.
const EXEC_BOUND: Duration = Duration::from_secs(60);

/// What is cleaned up.
#[derive(Debug, Clone)]
pub struct CleanPlace {
    /// Whom alerts are about.
    pub name: ServiceName,
    /// What kind of program it is.
    pub engine: EngineRef,
    /// Who is asked; nobody where no process is left that could be.
    pub wire: Option<Arc<dyn Wire>>,
    /// What there is of it on this machine; nothing of a remote.
    pub own: Option<OwnPlace>,
}

/// What there is of a service or worker on this machine.
#[derive(Debug, Clone)]
pub struct OwnPlace {
    /// What it is.
    pub spec: Arc<ServiceSpec>,
    /// What holes are filled with.
    pub values: RunValues,
    /// The cards that it is on.
    pub gpus: Vec<GpuId>,
}

/// What could not be cleaned up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{service}` was not cleaned up: {}", .failures.join("; "))]
pub struct CleanupFailed {
    /// After what.
    pub service: ServiceName,
    /// What has failed, and how; at least one.
    pub failures: Vec<String>,
}

impl CleanPlace {
    /// A service or a worker as it is now. `wire` is who is asked.
    #[must_use]
    pub fn of(spec: &Arc<ServiceSpec>, status: &ServiceStatus, wire: Option<Arc<dyn Wire>>, rim: &Rim) -> Self {
        let gpus = status.placement.as_ref().map(|placement| placement.gpus.clone()).unwrap_or_default();
        let values = RunValues {
            gpus: gpus.iter().map(ToString::to_string).collect(),
            ..RunValues::of(spec, status.port, &rim.state_dir)
        };
        let own = Some(OwnPlace { spec: Arc::clone(spec), values, gpus });
        Self { name: spec.name.clone(), engine: spec.engine.clone(), wire, own }
    }
}

/// Cleans up after a job as `spec` says: after its delay, where it is needed.
///
/// # Errors
/// What has failed, all of it. An alert was raised then.
pub async fn clean(spec: &CleanupSpec, place: &CleanPlace, rim: &Rim) -> Result<(), CleanupFailed> {
    if spec.actions.is_empty() {
        return Ok(());
    }
    sleep(spec.delay).await;
    if !is_needed(spec.when, &in_use(spec.when, place, rim)) {
        return Ok(());
    }
    let mut failures = Vec::new();
    for action in &spec.actions {
        failures.extend(act(action, place, rim).await.err());
    }
    if failures.is_empty() {
        return Ok(());
    }
    let failed = CleanupFailed { service: place.name.clone(), failures };
    rim.tidy.stays_unclean(&failed.service);
    tell_failure(&failed, rim);
    Err(failed)
}

/// Nothing of this service, worker or remote is left to be cleaned up: what was told of that is over.
pub(super) fn all_is_clean(name: &ServiceName, rim: &Rim) {
    alarm::clear(CLEANUP_FAILED, name, rim);
}

/// Raises the alert of a clean-up that failed.
pub(super) fn tell_failure(failed: &CleanupFailed, rim: &Rim) {
    raise(CLEANUP_FAILED, &failed.service, failed.to_string(), rim);
}

async fn act(action: &CleanupAction, place: &CleanPlace, rim: &Rim) -> Result<(), String> {
    match (action, &place.own, &place.wire) {
        (CleanupAction::Http { method, path }, _, Some(wire)) => ask(place, wire.as_ref(), method, path).await,
        // What is not there any more has nothing left to clean.
        (CleanupAction::Http { .. }, _, None) => Ok(()),
        (CleanupAction::Purge(folder), Some(own), _) => empty(folder, own, rim).await,
        (CleanupAction::Exec(command), Some(own), _) => execute(command, own, rim).await,
        (CleanupAction::Purge(_) | CleanupAction::Exec(_), None, _) => {
            Err("nothing of it is on this machine, so that only `http` can be done".to_owned())
        }
    }
}

async fn ask(place: &CleanPlace, wire: &dyn Wire, method: &str, path: &str) -> Result<(), String> {
    let body = place.engine.body_of(method, path).map(Into::into).unwrap_or_default();
    let letter = Letter { method: method.to_owned(), path: path.to_owned(), body };
    let asked = async {
        let answer = wire.send(&letter).await.map_err(|error| error.to_string())?;
        if answer.is_good() {
            return Ok(());
        }
        let status = answer.status;
        Err(refused(place.name.as_str(), status, &answer.beginning(LONGEST_ERROR).await, None).message)
    };
    let outcome = timeout(HTTP_BOUND, asked).await.unwrap_or_else(|_| Err(format!("no answer within {HTTP_BOUND:?}")));
    outcome.map_err(|why| format!("{method} {}: {why}", without_query(path)))
}

async fn empty(folder: &Template, own: &OwnPlace, rim: &Rim) -> Result<(), String> {
    let folder = PathBuf::from(folder.render(&own.values));
    let roots = [
        Root { path: own.values.data_dir.clone(), whole: true },
        Root { path: own.spec.working_dir.clone(), whole: false },
    ];
    let state_dir = rim.state_dir.clone();
    let emptied = spawn_blocking(move || {
        let home = env::home_dir();
        purge(&folder, &roots, Common { home: home.as_deref(), state_dir: &state_dir })
    });
    let emptied = emptied.await;
    match emptied {
        Ok(Ok(_gone)) => Ok(()),
        Ok(Err(error)) => Err(format!("purge: {}", chain(&error))),
        Err(error) => Err(format!("purge: {error}")),
    }
}

async fn execute(command: &[Template], own: &OwnPlace, rim: &Rim) -> Result<(), String> {
    let command = render(command, &own.values);
    // Its arguments may hold a key, which is not for everybody whom an alert reaches.
    let program = command.first().cloned().unwrap_or_default();
    let run = RunId::fresh();
    let outcome = async {
        let hold = rim.containment.open(&own.spec.name, run).map_err(|error| chain(&error))?;
        let hold: Arc<dyn Hold> = Arc::from(hold);
        let env = surroundings(&own.spec, &rim.state_dir, run, hold.as_ref(), &own.values);
        let ended = exec_alone(command, env, own.spec.working_dir.clone(), hold, EXEC_BOUND).await;
        match ended.map_err(|error| chain(&error))? {
            status if status.success() => Ok(()),
            status => Err(format!("it ended with {status}")),
        }
    };
    outcome.await.map_err(|why: String| format!("exec `{program}`: {why}"))
}

/// How full that is which `when` asks about.
fn in_use(when: CleanupWhen, place: &CleanPlace, rim: &Rim) -> Vec<InUse> {
    match when {
        CleanupWhen::Always => Vec::new(),
        CleanupWhen::Vram(_) => {
            let own = place.own.as_ref().map(|own| own.gpus.as_slice()).unwrap_or_default();
            let snapshot = rim.memory.look();
            // Where nobody knows which cards it is on, any of them counts.
            let cards = snapshot.cards.iter().filter(|card| own.is_empty() || own.contains(&card.id));
            cards.map(|card| card.used.map(|used| (used, card.total))).collect()
        }
        CleanupWhen::Ram(_) => match ProcHost::new().memory() {
            Ok(memory) => vec![Some((memory.total.saturating_sub(memory.available), memory.total))],
            Err(error) => {
                tracing::warn!(%error, "the host's memory cannot be read, so that it is cleaned up in any case");
                vec![None]
            }
        },
    }
}
