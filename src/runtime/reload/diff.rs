//! What a new configuration asks of a running runtime. Pure.
//!
//! Every field of a spec is taken apart by name, so that a new one does not compile before somebody has decided what a
//! change of it means:
//!
//! - *live*: no part of the running process. It applies at once and the process stays.
//! - *restart*: the process was started with it. The service is drained, stopped by its old rules and started anew.
//! - *next start*: the runtime itself was started with it. It is told, and nothing else happens.

mod next_start;

use greenroom_actors::{
    ids::ServiceName,
    shutdown_coordinator::graph::{Cycle, order},
    spec::{AliveSpec, DoorSpec, MemorySpec, OffloadSpec, ReadySpec, RestartSpec, RuntimeSpec, ServiceSpec, StopSpec},
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadPlan {
    /// Services that are no more, in waves: nobody is needed by another one of its own wave or of a later one.
    pub removed: Vec<Vec<ServiceName>>,
    /// The others, each after what it depends on.
    pub services: Vec<(ServiceName, Change)>,
    /// Keys of the runtime itself that wait for its next start.
    pub next_start: Vec<&'static str>,
}

impl ReloadPlan {
    /// How many of the services that stay or come are told something.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.services.iter().filter(|(_, change)| *change != Change::Unchanged).count()
    }
}

/// What a reload means to a service that stays or comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Unchanged,
    /// New values apply at once; the process stays.
    Live {
        /// The keys, below `service.NAME`.
        keys: Vec<&'static str>,
    },
    /// It is stopped and started anew.
    Restart {
        /// The keys, below `service.NAME`; live ones that changed with them are among them.
        keys: Vec<&'static str>,
    },
    /// There was none of that name.
    Added,
}

/// The way from `old`, which is in force, to `new`.
///
/// # Errors
/// When the services of either depend on each other in a circle, which no checked configuration does.
pub fn plan(old: &RuntimeSpec, new: &RuntimeSpec) -> Result<ReloadPlan, Cycle> {
    let of = |spec: &RuntimeSpec, name: &str| spec.services.iter().find(|s| s.name.as_str() == name).cloned();
    let mut services = Vec::new();
    for name in start_order(new)? {
        let Some(after) = of(new, &name) else { continue };
        let change = of(old, &name).map_or(Change::Added, |before| service(&before, &after));
        services.push((after.name, change));
    }
    let removed = start_order(old)?.into_iter().filter(|name| of(new, name).is_none());
    let removed = waves(removed.filter_map(|name| of(old, &name)).collect());
    Ok(ReloadPlan { removed, services, next_start: next_start::keys(old, new) })
}

/// What is in force once the plan has been carried out: all that waits for the next start is as it was.
#[must_use]
pub fn in_force(old: &RuntimeSpec, new: RuntimeSpec) -> RuntimeSpec {
    RuntimeSpec {
        services: new.services,
        jobs: new.jobs,
        name: old.name.clone(),
        state_dir: old.state_dir.clone(),
        history: old.history.clone(),
        resources: old.resources.clone(),
        gateway: old.gateway.clone(),
        remotes: old.remotes.clone(),
        watchdog: old.watchdog.clone(),
        ..*old
    }
}

/// Splits services that stand in the order of their start: those on which none that is left depends go first.
fn waves(mut left: Vec<ServiceSpec>) -> Vec<Vec<ServiceName>> {
    let mut waves = Vec::new();
    while !left.is_empty() {
        let needed: Vec<ServiceName> = left.iter().flat_map(|s| &s.depends_on).map(|d| d.service.clone()).collect();
        let (later, now): (Vec<_>, Vec<_>) = left.into_iter().partition(|service| needed.contains(&service.name));
        waves.push(now.into_iter().map(|service| service.name).collect());
        left = later;
    }
    waves
}

fn start_order(spec: &RuntimeSpec) -> Result<Vec<String>, Cycle> {
    let needs = |s: &ServiceSpec| s.depends_on.iter().map(|d| d.service.to_string()).collect();
    order(&spec.services.iter().map(|s| (s.name.to_string(), needs(s))).collect::<Vec<_>>())
}

/// Keys whose values differ, in the order of the schema.
#[derive(Debug, Default)]
struct Differing {
    keys: Vec<&'static str>,
    restart: bool,
}

impl Differing {
    fn live(&mut self, key: &'static str, differs: bool) {
        self.keys.extend(differs.then_some(key));
    }

    fn restart(&mut self, key: &'static str, differs: bool) {
        self.live(key, differs);
        self.restart |= differs;
    }
}

fn service(old: &ServiceSpec, new: &ServiceSpec) -> Change {
    let ServiceSpec {
        // The two were found by it.
        name: _,
        engine,
        command,
        model_file,
        gpu_layers,
        serves,
        env,
        inherit_env,
        working_dir,
        port,
        owner_check,
        start,
        depends_on,
        ready,
        alive,
        restart,
        stop,
        failure,
        limits,
        memory: of_memory,
        // Where its own door is stands in `doors`: those are opened at the start of the runtime.
        door: DoorSpec { max_concurrency, upstream_model, listen: _ },
        cleanup,
        restart_after_job,
        // Services have none.
        worker: _,
    } = old;
    let mut found = Differing::default();
    // The engine says how the output and the exit of the process are read from its first line on.
    found.restart("engine", *engine != new.engine);
    found.restart("command", *command != new.command);
    found.restart("model_file", *model_file != new.model_file);
    found.live("serves", *serves != new.serves);
    found.live("upstream_model", *upstream_model != new.door.upstream_model);
    found.restart("env", *env != new.env);
    found.restart("inherit_env", *inherit_env != new.inherit_env);
    found.restart("working_dir", *working_dir != new.working_dir);
    found.restart("port", *port != new.port);
    // Asked only before a run is ready.
    found.live("owner_check", *owner_check != new.owner_check);
    found.live("start", *start != new.start);
    // Asked only before a run is started.
    found.live("depends_on", *depends_on != new.depends_on);
    memory(&mut found, of_memory, &new.memory, *gpu_layers != new.gpu_layers);
    found.live("max_concurrency", *max_concurrency != new.door.max_concurrency);
    // Looked up after each job.
    found.live("cleanup", *cleanup != new.cleanup);
    found.live("restart_after_job", *restart_after_job != new.restart_after_job);
    probes(&mut found, (ready, alive), (&new.ready, &new.alive));
    rules(&mut found, (restart, stop), (&new.restart, &new.stop));
    found.live("failure", *failure != new.failure);
    // Looked up with each sample.
    found.live("limits", *limits != new.limits);
    match found {
        Differing { keys, .. } if keys.is_empty() => Change::Unchanged,
        Differing { keys, restart: true } => Change::Restart { keys },
        Differing { keys, restart: false } => Change::Live { keys },
    }
}

/// Figures and rules are looked up when memory is given out or asked back, so a new one counts from then on. Where it runs
/// was settled when it was started.
fn memory(found: &mut Differing, old: &MemorySpec, new: &MemorySpec, gpu_layers: bool) {
    let MemorySpec { gpu, vram, ram, needs, priority, pinned, idle_timeout, busy, wake_on, offload } = old;
    let OffloadSpec { how, drain, reload, retries, backoff } = *offload;
    found.restart("gpu", *gpu != new.gpu);
    found.restart("gpu_layers", gpu_layers);
    found.live("vram", *vram != new.vram);
    found.live("ram", *ram != new.ram);
    found.live("needs", *needs != new.needs);
    found.live("priority", *priority != new.priority);
    found.live("pinned", *pinned != new.pinned);
    found.live("idle_timeout", *idle_timeout != new.idle_timeout);
    found.live("wake_on", *wake_on != new.wake_on);
    found.live("busy", *busy != new.busy);
    found.live("offload.how", how != new.offload.how);
    found.live("offload.drain", drain != new.offload.drain);
    found.live("offload.reload", reload != new.offload.reload);
    found.live("offload.retries", retries != new.offload.retries);
    found.live("offload.backoff", backoff != new.offload.backoff);
}

fn probes(found: &mut Differing, old: (&ReadySpec, &AliveSpec), new: (&ReadySpec, &AliveSpec)) {
    let ReadySpec { probe, timeout, interval } = old.0;
    found.live("ready.probe", *probe != new.0.probe);
    found.live("ready.timeout", *timeout != new.0.timeout);
    found.live("ready.interval", *interval != new.0.interval);
    let AliveSpec { probe, interval, timeout, failures, busy_timeout, generation } = old.1;
    found.live("alive.probe", *probe != new.1.probe);
    found.live("alive.interval", *interval != new.1.interval);
    found.live("alive.timeout", *timeout != new.1.timeout);
    found.live("alive.failures", *failures != new.1.failures);
    found.live("alive.busy_timeout", *busy_timeout != new.1.busy_timeout);
    found.live("alive.generation", *generation != new.1.generation);
}

fn rules(found: &mut Differing, old: (&RestartSpec, &StopSpec), new: (&RestartSpec, &StopSpec)) {
    let RestartSpec { policy, max, backoff, reset_after } = old.0;
    found.live("restart.policy", *policy != new.0.policy);
    found.live("restart.max", *max != new.0.max);
    found.live("restart.backoff", *backoff != new.0.backoff);
    found.live("restart.reset_after", *reset_after != new.0.reset_after);
    // How the end of a run is asked for is looked up when it is asked for.
    let StopSpec { signal, grace, http, exec, on_runtime_exit } = old.1;
    found.live("stop.signal", *signal != new.1.signal);
    found.live("stop.grace", *grace != new.1.grace);
    found.live("stop.http", *http != new.1.http);
    found.live("stop.exec", *exec != new.1.exec);
    // Who reads the output, and whose child it is, was settled when it was started.
    found.restart("stop.on_runtime_exit", *on_runtime_exit != new.1.on_runtime_exit);
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
