//! `[service.NAME]`.

use std::path::Path;

use greenroom_actors::{
    engines::EngineRef,
    ids::ServiceName,
    spec::{
        BusySpec, CleanupAction, Dependency, DependencyCondition, DoorSpec, OffloadHow, OnRuntimeExit, PortSpec, Probe,
        ReadySpec, RestartPolicy, RestartSpec, ServiceSpec, StartMode, StopSignal, StopSpec,
    },
    template::{Part, Template},
};

use super::{
    alive::alive,
    cleanup,
    command::command,
    doors,
    limits::limits,
    memory::{is_said, memory},
    owner::Owner,
    probe::probe,
    program::{engine, env, failure, gpu_layers, inherit_env, main_command, model_file, working_dir},
    read::{Reader, word},
    scope::Scope,
};
use crate::config::{
    kind::http_call,
    source::Span,
    tree::{Node, Value},
};

pub(super) fn build(reader: &mut Reader<'_>, name: ServiceName, span: Span, state_dir: &Path) -> ServiceSpec {
    let own = name.to_string();
    let s = own.as_str();
    let who = Owner::service(s);
    let command = main_command(reader, who, &Scope::SERVICE, span);
    let engine = engine(reader, who, &command);
    let (model_file, size) = model_file(reader, who);
    let env = env(reader, who, &Scope::SERVICE);
    let ready = ready(reader, s, &engine, size);
    let alive = alive(reader, s, &engine);
    let stop = stop(reader, s);
    let cleanup = cleanup::of_service(reader, s, state_dir);
    let door = door(reader, s, &engine, &command, state_dir);
    let mut spec = ServiceSpec {
        model_file,
        gpu_layers: gpu_layers(reader, who),
        serves: serves(reader, s),
        inherit_env: inherit_env(reader, who),
        working_dir: working_dir(reader, who),
        port: None,
        owner_check: reader.bool(&["service", s, "owner_check"]),
        start: start(reader, s, &engine),
        depends_on: depends_on(reader, s),
        restart: restart(reader, s),
        failure: failure(reader, who),
        limits: limits(reader, s),
        memory: memory(reader, s, &engine),
        door,
        name,
        engine,
        command,
        env,
        ready,
        alive,
        stop,
        cleanup,
        restart_after_job: reader.bool(&["service", s, "restart_after_job"]),
        worker: None,
    };
    spec.port = port(reader, &spec, span);
    if spec.port.is_none() {
        // The engine's own question has nowhere to go; that of the user was reported.
        spec.memory.busy = BusySpec::Requests;
    }
    spec
}

fn serves(reader: &mut Reader<'_>, s: &str) -> Vec<String> {
    let names = reader.texts(&["service", s, "serves"]);
    if names.is_empty() { vec![s.to_owned()] } else { names }
}

fn start(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> StartMode {
    match reader.text(&["service", s, "start"]).as_str() {
        "eager" => StartMode::Eager,
        "on_demand" => StartMode::OnDemand,
        "manual" => StartMode::Manual,
        _ if engine.is_generic() => StartMode::Eager,
        _ => StartMode::OnDemand,
    }
}

fn depends_on(reader: &mut Reader<'_>, s: &str) -> Vec<Dependency> {
    let mut dependencies = Vec::new();
    for (name, node) in reader.effective.below(&["service", s, "depends_on"]) {
        let condition = node.text().and_then(word::<DependencyCondition>);
        // A name that cannot be one is not a service's either, which `validate` says.
        if let (Ok(service), Some(condition)) = (name.parse(), condition) {
            dependencies.push(Dependency { service, condition });
        }
    }
    dependencies
}

fn ready(reader: &mut Reader<'_>, s: &str, engine: &EngineRef, size: u64) -> ReadySpec {
    let timeout = ["service", s, "ready", "timeout"];
    let auto = reader.node(&timeout).and_then(Node::text) == Some("auto");
    ReadySpec {
        probe: probe(reader, &["service", s, "ready", "probe"], engine.ready_probe()),
        timeout: if auto { engine.ready_timeout(size) } else { reader.duration(&timeout) },
        interval: reader.range(&["service", s, "ready", "interval"]),
    }
}

fn restart(reader: &mut Reader<'_>, s: &str) -> RestartSpec {
    let policy = reader.text(&["service", s, "restart", "policy"]);
    RestartSpec {
        policy: word(&policy).unwrap_or(RestartPolicy::OnFailure),
        max: reader.number(&["service", s, "restart", "max"]),
        backoff: reader.range(&["service", s, "restart", "backoff"]),
        reset_after: reader.duration(&["service", s, "restart", "reset_after"]),
    }
}

fn stop(reader: &mut Reader<'_>, s: &str) -> StopSpec {
    let signal = reader.text(&["service", s, "stop", "signal"]);
    let http = reader.text(&["service", s, "stop", "http"]);
    let exec = reader.node(&["service", s, "stop", "exec"]);
    let at_exit = reader.text(&["service", s, "stop", "on_runtime_exit"]);
    StopSpec {
        on_runtime_exit: word(&at_exit).unwrap_or(OnRuntimeExit::Stop),
        signal: word(&signal).unwrap_or(StopSignal::SigTerm),
        grace: reader.duration(&["service", s, "stop", "grace"]),
        http: http_call(&http).map(|(method, path)| (method.to_owned(), path.to_owned())),
        exec: exec
            .map(|node| command(reader, &Scope::SERVICE, node, &format!("service `{s}`: `stop.exec`")))
            .unwrap_or_default(),
    }
}

fn door(reader: &mut Reader<'_>, s: &str, engine: &EngineRef, command: &[Template], state_dir: &Path) -> DoorSpec {
    let slots = || {
        let words: Vec<String> = command.iter().skip(1).map(Template::plain).collect();
        engine.slots(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let limit = match reader.node(&["service", s, "max_concurrency"]).map(|node| &node.value) {
        Some(Value::Int(limit)) => u32::try_from(*limit).ok(),
        _ => slots(),
    };
    let model = reader.text(&["service", s, "upstream_model"]);
    DoorSpec {
        max_concurrency: limit.filter(|limit| *limit > 0),
        upstream_model: Some(model).filter(|model| !model.is_empty()),
        listen: doors::of_service(reader, s, state_dir),
    }
}

/// A port only where there is use for one.
fn port(reader: &mut Reader<'_>, spec: &ServiceSpec, span: Span) -> Option<PortSpec> {
    let s = spec.name.as_str();
    let fixed: u16 = reader.number(&["service", s, "port"]);
    if fixed != 0 {
        return Some(PortSpec::Fixed(fixed));
    }
    let mut templates = spec.command.iter().chain(spec.env.values());
    if templates.any(|template| template.uses(&Part::Port)) {
        return Some(PortSpec::Assigned);
    }
    let asked = |probe: &Probe| matches!(probe, Probe::Http(_) | Probe::Tcp);
    let who = match spec {
        _ if asked(&spec.ready.probe) => "ready.probe",
        _ if asked(&spec.alive.probe) => "alive.probe",
        // Of an engine that cannot be asked that is said already.
        _ if spec.alive.generation.is_some() && spec.engine.generation(Some(s)).is_some() => "alive.generation",
        _ if spec.stop.http.is_some() => "stop.http",
        _ if matches!(spec.memory.busy, BusySpec::Http { .. })
            && reader.node(&["service", s, "busy"]).is_some_and(is_said) =>
        {
            "busy"
        }
        _ if spec.door.listen.is_some() => "listen",
        _ if spec.cleanup.actions.iter().any(|action| matches!(action, CleanupAction::Http { .. })) => {
            "cleanup.actions"
        }
        // Of an engine that cannot sleep that is said already.
        _ if spec.memory.offload.how == OffloadHow::Sleep && spec.engine.sleep().is_some() => "offload.how",
        _ => {
            let exec = |probe: &Probe| if let Probe::Exec(command) = probe { command.clone() } else { Vec::new() };
            let commands = [exec(&spec.ready.probe), exec(&spec.alive.probe), spec.stop.exec.clone()].concat();
            let cleaned = spec.cleanup.actions.iter().filter_map(|action| match action {
                CleanupAction::Exec(command) => Some(command.clone()),
                CleanupAction::Http { .. } | CleanupAction::Purge(_) => None,
            });
            let commands = [commands, cleaned.flatten().collect()].concat();
            return commands.iter().any(|part| part.uses(&Part::Port)).then_some(PortSpec::Assigned);
        }
    };
    if !spec.command.is_empty() {
        let message = format!("service `{s}`: `{who}` asks its port, and nothing tells the program which one that is");
        reader.error(span, message, "put ${port} into `command` or `env`, or set `port` to the one it listens on");
    }
    Some(PortSpec::Assigned)
}
