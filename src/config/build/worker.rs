//! A job with a `command`: the process that does it. Pure.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use greenroom_actors::{
    engines::EngineRef,
    ids::ServiceName,
    spec::{
        AliveSpec, CleanupSpec, DoorSpec, GpuLayers, InheritEnv, LimitsSpec, MemorySpec, OnRuntimeExit, Probe,
        ProcessJob, ReadySpec, RestartPolicy, RestartSpec, ServiceSpec, StartMode, StopSignal, StopSpec, WorkerSpec,
    },
    units::DurationRange,
};

use super::{
    limits,
    memory::{claim, span},
    owner::Owner,
    program::{engine, env, failure, gpu_layers, inherit_env, main_command, model_file, working_dir},
    read::{Reader, word},
    scope::Scope,
};
use crate::config::{
    source::Span,
    tree::{Node, Value},
};

/// The engine of stable-diffusion.cpp's command line.
const SD_CPP: &str = "sd-cpp";

pub(super) fn build(reader: &mut Reader<'_>, name: &ServiceName, at: Span, scope: &Scope<'_>) -> ProcessJob {
    let j = name.as_str();
    let who = Owner::job(j);
    let command = main_command(reader, who, scope, at);
    let engine = engine(reader, who, &command);
    let (model_file, size) = model_file(reader, who);
    let service = ServiceSpec {
        env: env(reader, who, scope),
        gpu_layers: gpu_layers(reader, who),
        inherit_env: inherit_env(reader, who),
        working_dir: working_dir(reader, who),
        stop: stop(reader, j),
        failure: failure(reader, who),
        memory: claim(reader, who),
        limits: limits::of_job(reader, j),
        worker: Some(WorkerSpec { job: name.clone(), progress: progress(reader, j), task: None }),
        ready: ready(&engine, size),
        model_file,
        command,
        engine,
        ..quiet(name.clone())
    };
    let process = ProcessJob {
        clip_on_cpu: choice(reader, j, "clip_on_cpu"),
        vae_on_cpu: choice(reader, j, "vae_on_cpu"),
        batch_size: Some(reader.number(&["job", j, "batch_size"])).filter(|size| *size > 0),
        service,
    };
    sd_cpp_only(reader, j, &process);
    process
}

/// What nobody asks: it is started for a job, and ends by itself.
fn quiet(name: ServiceName) -> ServiceSpec {
    ServiceSpec {
        name,
        engine: EngineRef::generic(),
        command: Vec::new(),
        model_file: None,
        gpu_layers: GpuLayers::Auto,
        serves: Vec::new(),
        env: BTreeMap::new(),
        inherit_env: InheritEnv::All,
        working_dir: PathBuf::new(),
        port: None,
        owner_check: true,
        start: StartMode::OnDemand,
        depends_on: Vec::new(),
        ready: ReadySpec { probe: Probe::None, timeout: Duration::ZERO, interval: pauses(2, 20) },
        alive: AliveSpec {
            probe: Probe::None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            failures: 3,
            busy_timeout: Duration::from_secs(600),
            generation: None,
        },
        restart: RestartSpec {
            policy: RestartPolicy::Never,
            max: 0,
            backoff: pauses(1_000, 60_000),
            reset_after: Duration::from_secs(600),
        },
        stop: StopSpec {
            signal: StopSignal::SigTerm,
            grace: Duration::ZERO,
            http: None,
            exec: Vec::new(),
            on_runtime_exit: OnRuntimeExit::Stop,
        },
        failure: Vec::new(),
        limits: LimitsSpec::default(),
        memory: MemorySpec::default(),
        door: DoorSpec::default(),
        cleanup: CleanupSpec::default(),
        restart_after_job: false,
        worker: None,
    }
}

fn pauses(min: u64, max: u64) -> DurationRange {
    DurationRange { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

/// It is ready as soon as it runs.
fn ready(engine: &EngineRef, size: u64) -> ReadySpec {
    ReadySpec { probe: Probe::None, timeout: engine.ready_timeout(size), interval: pauses(2, 20) }
}

fn stop(reader: &mut Reader<'_>, j: &str) -> StopSpec {
    StopSpec {
        signal: word(&reader.text(&["job", j, "stop", "signal"])).unwrap_or(StopSignal::SigTerm),
        grace: reader.duration(&["job", j, "stop", "grace"]),
        http: None,
        exec: Vec::new(),
        on_runtime_exit: OnRuntimeExit::Stop,
    }
}

/// `None`: the engine knows.
fn progress(reader: &mut Reader<'_>, j: &str) -> Option<String> {
    let key = ["job", j, "progress"];
    let text = reader.text(&key);
    // That it compiles has been checked.
    let pattern = regex::Regex::new(&text).ok().filter(|_| text != "auto")?;
    let named: Vec<&str> = pattern.capture_names().flatten().collect();
    let missing: Vec<String> =
        ["step", "steps"].iter().filter(|name| !named.contains(name)).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let message = format!("job `{j}`: `progress` has no group {}", missing.join(" and "));
        let help = r"name both, such as (?P<step>\d+)/(?P<steps>\d+)";
        reader.error(span(reader, &key), message, help);
    }
    Some(text)
}

/// `auto`, or what the user says.
fn choice(reader: &Reader<'_>, j: &str, key: &str) -> Option<bool> {
    match reader.node(&["job", j, key]).map(|node: &Node| &node.value) {
        Some(Value::Bool(choice)) => Some(*choice),
        _ => None,
    }
}

/// Some keys are options of one program.
fn sd_cpp_only(reader: &mut Reader<'_>, j: &str, process: &ProcessJob) {
    let name = process.service.engine.name();
    if name == SD_CPP || process.service.command.is_empty() {
        return;
    }
    for (key, said) in [
        ("clip_on_cpu", process.clip_on_cpu.is_some()),
        ("vae_on_cpu", process.vae_on_cpu.is_some()),
        ("batch_size", process.batch_size.is_some()),
    ] {
        if said {
            let message =
                format!("job `{j}`: `{key}` is an option that only `{SD_CPP}` knows, and its engine is `{name}`");
            let help = "put the option of the program into `command`, or say engine = \"sd-cpp\" if it is that one";
            reader.error(span(reader, &["job", j, key]), message, help);
        }
    }
}
