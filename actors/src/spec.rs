//! What shall run and how: the checked, complete form of a configuration.
//!
//! The root package reads files into these types; the actors act on nothing else. Every default has been filled in
//! and every `auto` resolved by the time a spec exists, so no actor looks anything up.

mod gateway;
mod job;
mod memory;
mod own_folder;
mod resources;
#[cfg(test)]
pub mod sample;
mod watch;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    engines::EngineRef,
    ids::ServiceName,
    template::{RunValues, Template},
    units::{ByteSize, DurationRange},
};

pub use self::{
    gateway::{Balance, DoorSpec, GatewaySpec, ListenAddress, RemoteSpec},
    job::{
        CleanupAction, CleanupSpec, CleanupWhen, JobDefinition, JobWork, OnCleanupFailure, ParamKind, ParamSpec,
        ProcessJob, RequestBody, RequestJob, RunningJobs, SetValue, WorkerSpec,
    },
    memory::{BusySpec, Figure, GpuChoice, GpuName, MemorySpec, OffloadHow, OffloadSpec, ReloadPolicy, WakeRule},
    own_folder::{Common, NotOwn, check_own},
    resources::{DeclaredCard, GpuBackend, ResourcesSpec, Share},
    watch::{
        BundleOn, BundleSpec, GenerationSpec, Growth, LimitsSpec, NotifySpec, OnExceed, ProcessLimits, ResetSpec,
        WatchdogSpec,
    },
};
pub use crate::{
    failure::{FailureAction, FailureClass, FailureRule},
    probe::Probe,
    template::GpuLayers,
};

/// Everything one runtime is told at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeSpec {
    /// A label for people (`runtime.name`).
    pub name: String,
    /// Registry, history, logs and the control socket live here; one runtime per folder.
    pub state_dir: PathBuf,
    /// Where assigned ports come from, both ends included.
    pub ports: (u16, u16),
    /// How process trees are held.
    pub containment: ContainmentChoice,
    /// Whether the guardian (and with it a sure containment) is a must.
    pub guardian: GuardianChoice,
    /// Bounds of an ordered stop.
    pub shutdown: ShutdownSpec,
    /// The database.
    pub history: HistorySpec,
    /// Rotation of service logs.
    pub service_logs: ServiceLogSpec,
    /// Memory, and who measures it.
    pub resources: ResourcesSpec,
    /// Where model traffic comes in.
    pub gateway: GatewaySpec,
    /// What is watched.
    pub watchdog: WatchdogSpec,
    /// Whether `GET /metrics` is answered.
    pub metrics: bool,
    /// What answers requests elsewhere, in the order of the configuration.
    pub remotes: Vec<RemoteSpec>,
    /// The services, in the order of the configuration; the workers of jobs are not among them.
    pub services: Vec<ServiceSpec>,
    /// The kinds of job, in the order of the configuration.
    pub jobs: Vec<JobDefinition>,
}

/// `runtime.containment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainmentChoice {
    /// The best one that works here.
    Auto,
    /// cgroup v2 or nothing.
    Cgroup,
    /// A shim for each run.
    Shim,
    /// A pid namespace for each run.
    Namespace,
}

/// `runtime.guardian`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardianChoice {
    /// Without a sure containment and a guardian the runtime refuses to start.
    Required,
    /// Run all the same; what a killed runtime leaves is swept at the next start.
    BestEffort,
}

/// `[runtime.shutdown]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSpec {
    /// The whole stop ends within this, by force if need be.
    pub deadline: Duration,
    /// How long what is in flight at a service may take to leave before the service is stopped; zero waits for nobody.
    pub drain: Duration,
    /// What becomes of jobs that run then.
    pub running_jobs: RunningJobs,
}

/// `[history]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistorySpec {
    /// The database file.
    pub path: PathBuf,
    /// Older rows are deleted.
    pub retain: Duration,
    /// Past this size the oldest rows are deleted.
    pub max_size: ByteSize,
}

/// `log.service_logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLogSpec {
    /// A log file is rotated when it would grow past this.
    pub max_size: ByteSize,
    /// Rotated files kept beside the current one.
    pub keep: u32,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// What kind of program it is.
    pub engine: EngineRef,
    /// Program and arguments; the first part has been looked up to a path if that was possible.
    pub command: Vec<Template>,
    /// The model file, if one is named.
    pub model_file: Option<PathBuf>,
    /// What `${gpu_layers}` becomes.
    pub gpu_layers: GpuLayers,
    /// Names that clients use for it.
    pub serves: Vec<String>,
    /// Variables set on top of what is inherited.
    pub env: BTreeMap<String, Template>,
    /// What of the runtime's own environment is passed on.
    pub inherit_env: InheritEnv,
    /// Where it runs.
    pub working_dir: PathBuf,
    /// Its port, if it has any use for one.
    pub port: Option<PortSpec>,
    /// Whether the listener on the port must be one of its own processes.
    pub owner_check: bool,
    /// When it is started.
    pub start: StartMode,
    /// What must be so before it is started.
    pub depends_on: Vec<Dependency>,
    /// How it is known to be ready.
    pub ready: ReadySpec,
    /// How it is known to be alive while ready.
    pub alive: AliveSpec,
    /// What happens after it ended by itself.
    pub restart: RestartSpec,
    /// How it is stopped.
    pub stop: StopSpec,
    /// Output lines that name the cause of a failure, before the engine's own rules.
    pub failure: Vec<FailureRule>,
    /// What is too much of it.
    pub limits: LimitsSpec,
    /// What it wants of memory, and what becomes of it when others need it.
    pub memory: MemorySpec,
    /// How requests get to it.
    pub door: DoorSpec,
    /// What is done after each job on it.
    pub cleanup: CleanupSpec,
    /// Whether it is restarted after each job.
    pub restart_after_job: bool,
    /// Set for one that is not a service of its own but does the jobs of one kind, each in a run of its own.
    pub worker: Option<WorkerSpec>,
}

impl ServiceSpec {
    /// The arguments of its command as an engine reads them: what is known only at a start (`${port}`) is left out, but for
    /// what a worker is given for its job.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let task = self.worker.as_ref().and_then(|worker| worker.task.as_deref());
        self.command.iter().skip(1).map(|part| part.known(task)).collect()
    }
}

impl RunValues {
    /// For a run of this service on this port, below this state dir.
    #[must_use]
    pub fn of(spec: &ServiceSpec, port: Option<u16>, state_dir: &Path) -> Self {
        Self {
            name: spec.name.clone(),
            port,
            model_file: spec.model_file.clone(),
            gpu_layers: spec.gpu_layers,
            gpus: Vec::new(),
            data_dir: state_dir.join("data").join(spec.name.as_str()),
            task: spec.worker.as_ref().and_then(|worker| worker.task.clone()),
        }
    }
}

/// `inherit_env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InheritEnv {
    /// The runtime's whole environment.
    All,
    /// Nothing of it.
    Nothing,
    /// These variables.
    Only(Vec<String>),
}

/// Where a service's port comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortSpec {
    /// A free one from the runtime's range, chosen at each start.
    Assigned,
    /// This one.
    Fixed(u16),
}

/// `start`, with `auto` resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// With the runtime.
    Eager,
    /// When a request or `start` asks for it.
    OnDemand,
    /// When `start` asks for it.
    Manual,
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: ServiceName,
    /// What must be so of it.
    pub condition: DependencyCondition,
}

/// What a dependency waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// Its process runs.
    Started,
    /// Its readiness probe has succeeded.
    Ready,
    /// It has run to its end with status 0.
    Completed,
}

/// `ready.*`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadySpec {
    /// The probe.
    pub probe: Probe,
    /// From the spawn until the first success.
    pub timeout: Duration,
    /// Pause between tries: an eighth of the time waited so far, but at least `min` and at most `max`.
    pub interval: DurationRange,
}

/// `alive.*`.
#[derive(Debug, Clone, PartialEq)]
pub struct AliveSpec {
    /// The probe; [`Probe::None`] means that a living process is enough.
    pub probe: Probe,
    /// Pause between tries.
    pub interval: Duration,
    /// How long one try may take.
    pub timeout: Duration,
    /// Failures in a row after which the service is restarted, while nobody uses it.
    pub failures: u32,
    /// While somebody uses it: without progress for this long it is restarted.
    pub busy_timeout: Duration,
    /// Whether it is asked for a token now and then.
    pub generation: Option<GenerationSpec>,
}

/// `restart.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// After every end.
    Always,
    /// After an end other than status 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// `restart.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSpec {
    /// When to restart.
    pub policy: RestartPolicy,
    /// Consecutive failures without `reset_after` of health in between that end in `failed`.
    pub max: u32,
    /// Wait before the second and later restarts; the first is immediate.
    pub backoff: DurationRange,
    /// This much health in one piece sets the count back to zero.
    pub reset_after: Duration,
}

/// `stop.*`.
#[derive(Debug, Clone, PartialEq)]
pub struct StopSpec {
    /// Sent to every process of the tree, for example `SIGTERM`.
    pub signal: StopSignal,
    /// From the first request to the kill.
    pub grace: Duration,
    /// Asked first: method and path on the service's port.
    pub http: Option<(String, String)>,
    /// Run first.
    pub exec: Vec<Template>,
    /// What becomes of it when the runtime ends.
    pub on_runtime_exit: OnRuntimeExit,
}

/// `stop.on_runtime_exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRuntimeExit {
    /// It is stopped with it.
    Stop,
    /// It outlives it and is adopted by the next one.
    Keep,
}

/// Signals that may ask a service to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it")]
pub enum StopSignal {
    SigTerm,
    SigInt,
    SigQuit,
    SigHup,
    SigUsr1,
    SigUsr2,
    SigKill,
}

impl StopSignal {
    /// Its number, the same on every Linux that Greenroom runs on.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::SigHup => 1,
            Self::SigInt => 2,
            Self::SigQuit => 3,
            Self::SigKill => 9,
            Self::SigUsr1 => 10,
            Self::SigUsr2 => 12,
            Self::SigTerm => 15,
        }
    }
}
