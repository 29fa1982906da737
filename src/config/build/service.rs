//! `[service.NAME]`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use greenroom_actors::{
    engines::EngineRef,
    ids::ServiceName,
    spec::{
        AliveSpec, BusySpec, Dependency, DependencyCondition, DoorSpec, FailureClass, FailureRule, GpuLayers,
        InheritEnv, OffloadHow, OnRuntimeExit, PortSpec, Probe, ReadySpec, RestartPolicy, RestartSpec, ServiceSpec,
        StartMode, StopSignal, StopSpec,
    },
    template::{Part, Template},
};

use super::{
    command::command,
    doors,
    memory::{is_said, memory},
    probe::probe,
    read::{Reader, word},
    template,
};
use crate::config::{
    kind::http_call,
    source::Span,
    tree::{Node, Value, quote_key},
};

pub(super) fn build(reader: &mut Reader<'_>, name: ServiceName, span: Span, state_dir: &Path) -> ServiceSpec {
    let own = name.to_string();
    let s = own.as_str();
    let command = main_command(reader, s, span);
    let engine = engine(reader, s, &command);
    let (model_file, size) = model_file(reader, s);
    let env = env(reader, s);
    let ready = ready(reader, s, &engine, size);
    let alive = alive(reader, s, &engine);
    let stop = stop(reader, s);
    let door = door(reader, s, &engine, &command, state_dir);
    let mut spec = ServiceSpec {
        model_file,
        gpu_layers: gpu_layers(reader, s),
        serves: serves(reader, s),
        inherit_env: inherit_env(reader, s),
        working_dir: working_dir(reader, s),
        port: None,
        owner_check: reader.bool(&["service", s, "owner_check"]),
        start: start(reader, s, &engine),
        depends_on: depends_on(reader, s),
        restart: restart(reader, s),
        failure: failure(reader, s),
        memory: memory(reader, s, &engine),
        door,
        name,
        engine,
        command,
        env,
        ready,
        alive,
        stop,
    };
    spec.port = port(reader, &spec, span);
    if spec.port.is_none() {
        // The engine's own question has nowhere to go; that of the user was reported.
        spec.memory.busy = BusySpec::Requests;
    }
    spec
}

fn main_command(reader: &mut Reader<'_>, s: &str, span: Span) -> Vec<Template> {
    let path = ["service", s, "command"];
    let Some(node) = reader.node(&path) else {
        if !reader.effective.is_faulty(&path) && !reader.effective.is_faulty(&["defaults", "service", "command"]) {
            let message = format!("service `{s}` has no `command`");
            reader.error(
                span,
                message,
                format!("add command = [\"program\", \"argument\"] to [service.{}]", quote_key(s)),
            );
        }
        return Vec::new();
    };
    let what = format!("service `{s}`");
    let before = reader.errors();
    let parts = command(reader, node, &what);
    if reader.errors() > before {
        // A program that stands in a variable which is not set is not missing as well.
        return parts;
    }
    let is_blank = |template: &Template| template.0.iter().all(|part| *part == Part::Text(String::new()));
    let empty = match &node.value {
        Value::List(items) => items.is_empty() || parts.first().is_some_and(is_blank),
        Value::Text(text) => text.trim().is_empty() || parts.first().is_some_and(is_blank),
        _ => false,
    };
    if empty {
        reader.error(node.span, format!("{what}: `command` names no program"), "name the program first");
    }
    parts
}

/// The engine of that name; `auto`: the one that recognises the command.
fn engine(reader: &mut Reader<'_>, s: &str, command: &[Template]) -> EngineRef {
    let named = reader.text(&["service", s, "engine"]);
    reader.engines.named(&named).unwrap_or_else(|| {
        let words: Vec<String> = command.iter().map(Template::plain).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.split_first().map_or_else(EngineRef::generic, |(program, rest)| reader.engines.recognise(program, rest))
    })
}

fn model_file(reader: &mut Reader<'_>, s: &str) -> (Option<PathBuf>, u64) {
    let key = ["service", s, "model_file"];
    let Some(path) = template::path(reader, &key, &[("name", s)]) else { return (None, 0) };
    match reader.outside.size(&path) {
        Ok(size) => (Some(path), size),
        Err(why) => {
            let span = reader.node(&key).map(|node| node.span).unwrap_or_default();
            let message = format!("service `{s}`: the model file `{}` cannot be read: {why}", path.display());
            reader.error(span, message, "a relative path is relative to the config file");
            (Some(path), 0)
        }
    }
}

fn working_dir(reader: &mut Reader<'_>, s: &str) -> PathBuf {
    let key = ["service", s, "working_dir"];
    let span = reader.node(&key).map(|node| node.span).unwrap_or_default();
    let Some(path) = template::path(reader, &key, &[("name", s)]) else {
        return reader.effective.sources().base(span).to_owned();
    };
    // The default, the config file's own folder, is there.
    if span != Span::default()
        && let Err(why) = reader.outside.size(&path)
    {
        let message = format!("service `{s}`: the working_dir `{}` cannot be read: {why}", path.display());
        reader.warn(span, message, "it must be there when the service starts");
    }
    path
}

fn env(reader: &mut Reader<'_>, s: &str) -> BTreeMap<String, Template> {
    let mut env = BTreeMap::new();
    for (name, node) in reader.effective.below(&["service", s, "env"]) {
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.error(node.span, format!("service `{s}`: `{name}` cannot name a variable"), "leave out `=`");
            continue;
        }
        env.insert(name.to_owned(), template::template(reader, node.text().unwrap_or_default(), node.span));
    }
    env
}

fn gpu_layers(reader: &mut Reader<'_>, s: &str) -> GpuLayers {
    match reader.node(&["service", s, "gpu_layers"]).map(|node| &node.value) {
        Some(Value::Int(count)) => GpuLayers::Count(u32::try_from(*count).unwrap_or(u32::MAX)),
        Some(Value::Text(word)) if word == "all" => GpuLayers::All,
        _ => GpuLayers::Auto,
    }
}

fn serves(reader: &mut Reader<'_>, s: &str) -> Vec<String> {
    let names = reader.texts(&["service", s, "serves"]);
    if names.is_empty() { vec![s.to_owned()] } else { names }
}

fn inherit_env(reader: &mut Reader<'_>, s: &str) -> InheritEnv {
    match reader.node(&["service", s, "inherit_env"]).map(|node| &node.value) {
        Some(Value::Bool(false)) => InheritEnv::Nothing,
        Some(Value::List(_)) => InheritEnv::Only(reader.texts(&["service", s, "inherit_env"])),
        _ => InheritEnv::All,
    }
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

fn alive(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> AliveSpec {
    AliveSpec {
        probe: probe(reader, &["service", s, "alive", "probe"], engine.alive_probe()),
        interval: reader.duration(&["service", s, "alive", "interval"]),
        timeout: reader.duration(&["service", s, "alive", "timeout"]),
        failures: reader.number(&["service", s, "alive", "failures"]),
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
        exec: exec.map(|node| command(reader, node, &format!("service `{s}`: `stop.exec`"))).unwrap_or_default(),
    }
}

fn failure(reader: &mut Reader<'_>, s: &str) -> Vec<FailureRule> {
    let Some(node) = reader.node(&["service", s, "failure"]) else { return Vec::new() };
    for action in node.items().iter().filter_map(|rule| rule.field("action")) {
        if action.text() != Some("none") {
            let message = format!("service `{s}`: `failure.action`: not in force yet");
            reader.warn(action.span, message, "the class is named; what follows is `restart.policy`");
        }
    }
    let rule = |rule: &Node| {
        let text = |key| rule.field(key).and_then(Node::text);
        Some(FailureRule { pattern: text("pattern")?.to_owned(), class: word::<FailureClass>(text("class")?)? })
    };
    node.items().iter().filter_map(rule).collect()
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
        _ if spec.stop.http.is_some() => "stop.http",
        _ if matches!(spec.memory.busy, BusySpec::Http { .. })
            && reader.node(&["service", s, "busy"]).is_some_and(is_said) =>
        {
            "busy"
        }
        _ if spec.door.listen.is_some() => "listen",
        // Of an engine that cannot sleep that is said already.
        _ if spec.memory.offload.how == OffloadHow::Sleep && spec.engine.sleep().is_some() => "offload.how",
        _ => {
            let exec = |probe: &Probe| if let Probe::Exec(command) = probe { command.clone() } else { Vec::new() };
            let commands = [exec(&spec.ready.probe), exec(&spec.alive.probe), spec.stop.exec.clone()].concat();
            return commands.iter().any(|part| part.uses(&Part::Port)).then_some(PortSpec::Assigned);
        }
    };
    if !spec.command.is_empty() {
        let message = format!("service `{s}`: `{who}` asks its port, and nothing tells the program which one that is");
        reader.error(span, message, "put ${port} into `command` or `env`, or set `port` to the one it listens on");
    }
    Some(PortSpec::Assigned)
}
