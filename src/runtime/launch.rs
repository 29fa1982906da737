//! Starting a runtime: claim the state dir, sweep, find a containment, start the guardian, then the actors.
//!
//! The order matters. Nothing is spawned before what an earlier run left is gone, and no service before the guardian
//! stands ready to end it. All of it happens on the runtime's own threads: the caller's may have an executor, a window's
//! event loop, or nothing.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, mpsc},
};

use greenroom_actors::{
    assembly::{About, AssemblyError, Foundation},
    cause::chain,
    event::{EventBus, EventKind},
    os::{
        audit::{AuditBaseline, Whose},
        clock,
        containment::{KeepRefused, Refusal, Tried, select},
        entry::{self, HelperError},
        guardian::{Charge, GuardianError},
        keep::{Doubt, EndedRun, FindError, Found, find},
        ports::PortPool,
        registry::Registry,
        state_dir::{StateDir, StateDirError},
        sweep::{SweepError, SweepReport, sweep_but},
    },
    spec::RuntimeSpec,
    watchdog::bundle::{ConfigText, Secrets},
};
use tokio::sync::oneshot;

use super::{
    Reloader,
    control::Control,
    door::{ControlError, DoorError, Doors, Listeners},
    far::{far, post},
    owner::{self, Running},
    uploads,
};
use crate::embed::{Handle, RuntimeBuilder, block_on};

/// Why a runtime did not start. Nothing of it is left running then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This program cannot be started as a helper process, and no other one was named.
    #[error("the guardian and the helper processes cannot be started")]
    Helper(#[source] io::Error),
    /// The binary for the helper processes cannot be used.
    #[error(transparent)]
    OtherHelper(#[from] HelperError),
    /// The signals could not be listened to.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// The state dir cannot be used, or another runtime holds it.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// What an earlier run left could not be looked for.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// What an earlier run has kept could not be looked for.
    #[error(transparent)]
    Kept(#[from] FindError),
    /// A service is to outlive the runtime, and nothing can do that here.
    #[error("stop.on_runtime_exit = \"keep\" cannot be done here: {}; {}", chain(.0.as_ref()), .0.remedy())]
    Keep(Arc<KeepRefused>),
    /// What an earlier run left does not end.
    #[error("what an earlier run left does not end on SIGKILL, and a second copy must not be started beside it:\n{0}")]
    Leftovers(SweepReport),
    /// No containment that the config accepts.
    #[error(transparent)]
    Containment(#[from] Refusal),
    /// The guardian did not start.
    #[error("the guardian did not start")]
    Guardian(#[from] GuardianError),
    /// `/proc` cannot be read, so nobody could say at the end what is left.
    #[error("cannot look at this process in /proc")]
    Baseline(#[source] io::Error),
    /// The registry cannot be written.
    #[error("cannot open the registry in {}", .0.display())]
    Registry(PathBuf, #[source] io::Error),
    /// The actors could not be put together.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The control socket could not be made.
    #[error("cannot open the control socket")]
    Control(#[from] ControlError),
    /// The gateway cannot listen where it should.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// A thread could not be started or ended early.
    #[error("the runtime's threads did not start")]
    Thread(#[source] io::Error),
}

impl StartError {
    /// 4: another runtime holds the state dir; 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::StateDir(StateDirError::AlreadyRunning { .. }) | Self::Sweep(SweepError::Running(_)) => 4,
            _ => 1,
        }
    }
}

/// How a runtime lives in its process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manners {
    /// Whether the process serves nothing else; see [`RuntimeBuilder::whole_process`].
    pub whole_process: bool,
    /// Whether the process's signals are taken; see [`RuntimeBuilder::handle_signals`].
    pub signals: bool,
    /// A binary for the helper processes other than this program.
    pub helper: Option<PathBuf>,
}

/// A configured runtime that has not been started.
#[derive(Debug)]
pub struct Runtime {
    pub(super) spec: Arc<RuntimeSpec>,
    pub(super) manners: Manners,
    /// Where the spec comes from, if it may be read anew.
    pub(super) reloader: Option<Reloader>,
}

impl Runtime {
    /// Puts one together from a configuration.
    #[must_use]
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    pub(crate) fn new(spec: RuntimeSpec, manners: Manners, reloader: Option<Reloader>) -> Self {
        Self { spec: Arc::new(spec), manners, reloader }
    }

    /// What it will do, every default filled in.
    #[must_use]
    pub fn spec(&self) -> &RuntimeSpec {
        &self.spec
    }

    /// As [`start`](Self::start), for a thread without an executor; blocks meanwhile.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_blocking(self) -> Result<Handle, StartError> {
        block_on(self.start())
    }

    /// Starts it on threads of its own and is done as soon as its control socket answers; eager services come up
    /// meanwhile. May wait for an earlier runtime's guardian to finish (15 s at most). Works on any executor. Whoever
    /// drops the future halfway lets go of the runtime, which then stops as if its last handle had been dropped.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self) -> Result<Handle, StartError> {
        if let Some(binary) = &self.manners.helper {
            entry::set_helper(binary.clone())?;
        }
        entry::helper().map_err(StartError::Helper)?;
        let (reply, started) = oneshot::channel();
        let life = move || owner::live(self, reply);
        let thread =
            std::thread::Builder::new().name("greenroom".to_owned()).spawn(life).map_err(StartError::Thread)?;
        let early = || StartError::Thread(io::Error::other("one ended before the runtime was up"));
        let handle = started.await.map_err(|_| early())??;
        handle.keep(thread);
        Ok(handle)
    }

    /// Everything up to the running control thread. Blocks; to be called on the owner's thread.
    pub(super) fn begin(self) -> Result<Running, StartError> {
        let Self { spec, manners, reloader } = self;
        let claim = StateDir::claim(&spec.state_dir)?;
        uploads::clear(claim.path());
        let place = claim.place();
        let mut kept = find(claim.path(), &place.instance)?;
        kept.end_unwanted(claim.path(), &spec);
        say_kept(&kept);
        let swept = sweep_but(claim.path(), &place.instance, false, &kept.sound())?;
        if swept.stuck().next().is_some() {
            return Err(StartError::Leftovers(swept));
        }
        let ended = swept.processes.len() as u64;
        let found = (!swept.is_empty()).then(|| swept.to_string());
        // Its signal pipe is made with the first executor of a process and stays: it is not something to be left behind.
        drop(tokio::runtime::Builder::new_current_thread().enable_all().build());
        let baseline = AuditBaseline::take().map_err(StartError::Baseline)?;
        let registry = Registry::open(claim.path()).map_err(|e| StartError::Registry(claim.path().to_owned(), e))?;
        // Before anything is made that would have to be taken away again: an address may be taken.
        let listeners = Listeners::bind(&spec)?;
        let started = clock::wall();
        let epoch = u64::try_from(started.as_micros() / 1000).unwrap_or(0);
        let selection = select(spec.containment, spec.guardian, &place)?;
        selection.tried.iter().for_each(warn);

        let bus = EventBus::new(epoch);
        bus.emit(EventKind::RuntimeState { state: "starting".to_owned(), reason: found });
        let foundation = Foundation {
            spec: Arc::clone(&spec),
            containment: Arc::clone(&selection.containment),
            registry,
            bus: bus.clone(),
            ports: PortPool::new(spec.ports.0, spec.ports.1),
            kept,
            far: far(&spec.remotes),
            post: post(&spec.watchdog.notify),
            about: About {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started,
                config: config_text(reloader.as_ref(), &spec),
            },
        };
        let (progress, ends) = mpsc::channel();
        let charge = Charge::new(&place, selection.containment.cgroup_root());
        let doors = Doors { socket: claim.socket(), listeners };
        let control = Control {
            foundation,
            selection,
            place: place.clone(),
            started,
            epoch,
            charge,
            swept: ended,
            doors,
            progress,
            reloader,
            whole_process: manners.whole_process,
        };
        let (handle, thread) = control.run()?;
        let containment = handle.containment();
        let whose = if manners.whole_process {
            Whose::All
        } else {
            Whose::Marked { root_name: place.root_name(), state_dir: claim.path().to_owned() }
        };
        Ok(Running { handle, thread, progress: ends, baseline, whose, claim, containment, spec })
    }
}

/// The text of the configuration, for diagnostic bundles. A runtime that was built from a spec has none, and secrets all the
/// same.
fn config_text(reloader: Option<&Reloader>, spec: &RuntimeSpec) -> ConfigText {
    reloader.map(Reloader::text).unwrap_or_else(|| {
        let text = ConfigText::default();
        text.put(None, &Secrets::of_spec(spec));
        text
    })
}

/// Says that a better layer of containment is not to be had.
pub(super) fn warn(worse: &Tried) {
    tracing::warn!("containment {} is not to be had: {}", worse.layer.name(), worse.problem);
}

/// Says what has become of runs that an earlier runtime had kept.
fn say_kept(kept: &Found) {
    for (EndedRun { entry, .. }, reason) in &kept.unwanted {
        tracing::info!(service = %entry.service, run = %entry.run, "a kept run was ended: {reason}");
    }
    for Doubt { entry, why } in &kept.doubtful {
        tracing::warn!(service = %entry.service, run = %entry.run, "a kept run is not taken over but ended: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_call_init_is_told_so_before_anything_is_touched() {
        // Nothing in this test program calls it.
        let folder = std::env::temp_dir().join(format!("greenroom-never-made-{}", std::process::id()));
        let runtime = Runtime::builder().state_dir(&folder).build().expect("sound");
        let error = runtime.start_blocking().expect_err("no helper");
        assert!(greenroom_actors::cause::chain(&error).contains("guardian::init()"), "{error}");
        assert!(!folder.exists());
    }
}
