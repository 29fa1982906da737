//! What a service wants of memory: `gpu` to `offload` of `[service.NAME]`.

use std::collections::BTreeMap;

use greenroom_actors::{
    engines::EngineRef,
    memory::GpuId,
    spec::{BusySpec, Figure, GpuChoice, GpuName, MemorySpec, OffloadHow, OffloadSpec, ReloadPolicy, WakeRule},
    units::ByteSize,
};

use super::{
    owner::Owner,
    read::{Reader, word},
};
use crate::config::{
    kind::requests,
    source::Span,
    suggest::nearest,
    tree::{Node, Value},
};

/// What a service wants of memory.
pub(super) fn memory(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> MemorySpec {
    let spec = MemorySpec {
        pinned: reader.bool(&["service", s, "pinned"]),
        idle_timeout: reader.duration(&["service", s, "idle_timeout"]),
        busy: busy(reader, s, engine),
        wake_on: wake_on(reader, s),
        offload: offload(reader, s, engine),
        ..claim(reader, Owner::service(s))
    };
    if spec.pinned && !spec.idle_timeout.is_zero() {
        let message = format!("service `{s}` is `pinned`, and all the same offloaded when its `idle_timeout` is over");
        let help = "`pinned` keeps it from making room for others alone; for it to stay, set idle_timeout = \"0s\"";
        reader.warn(span(reader, &["service", s, "pinned"]), message, help);
    }
    spec
}

/// What a process takes of memory while it runs, a service's or a job's; the rest is as where nothing is said.
pub(super) fn claim(reader: &mut Reader<'_>, who: Owner<'_>) -> MemorySpec {
    let spec = MemorySpec {
        gpu: gpu(reader, who),
        vram: figure(reader, who, "vram"),
        ram: figure(reader, who, "ram"),
        needs: needs(reader, who),
        priority: reader.number(&who.key(&["priority"])),
        ..MemorySpec::default()
    };
    let wants_vram = matches!(spec.vram, Figure::Known { peak, .. } if peak.0 > 0);
    if spec.gpu == GpuChoice::None && wants_vram {
        let message = format!("{who} is given `vram`, and with gpu = \"none\" it has no card");
        let at = span(reader, &who.key(&["vram"]));
        reader.error(at, message, "remove one of the two, or say vram = \"auto\"");
    }
    spec
}

/// Where the value of a key stands.
pub(super) fn span(reader: &Reader<'_>, path: &[&str]) -> Span {
    reader.node(path).map(|node| node.span).unwrap_or_default()
}

fn gpu(reader: &mut Reader<'_>, who: Owner<'_>) -> GpuChoice {
    let Some(node) = reader.node(&who.key(&["gpu"])) else { return GpuChoice::Any };
    let list = match (&node.value, node.text()) {
        (_, Some("any")) => return GpuChoice::Any,
        (_, Some("none")) => return GpuChoice::None,
        (Value::List(items), _) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if list.is_empty() {
        let message = format!("{who}: `gpu` is an empty list");
        reader.error(node.span, message, "name a card, or write gpu = \"none\" if it needs none");
    }
    let mut cards: Vec<GpuName> = Vec::new();
    for item in list {
        match card(item) {
            Ok(card) if cards.contains(&card) => {
                let message = format!("{who}: `gpu` names one card twice, {}", item.to_toml());
                reader.error(item.span, message, "name each card once");
            }
            Ok(card) => cards.push(card),
            Err((message, help)) => reader.error(item.span, format!("{who}: `gpu`: {message}"), help),
        }
    }
    GpuChoice::These(cards)
}

/// One card; or what is wrong with its name, and what to do.
fn card(node: &Node) -> Result<GpuName, (String, String)> {
    let text = match (&node.value, node.text()) {
        (Value::Int(index), _) => return Ok(GpuName::Index(u32::try_from(*index).unwrap_or(u32::MAX))),
        (_, text) => text.unwrap_or_default(),
    };
    if text == "any" || text == "none" {
        return Err((format!("\"{text}\" stands in a list"), format!("write gpu = \"{text}\" alone")));
    }
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err((format!("\"{text}\" is no UUID"), format!("an index has no quotes: {text}")));
    }
    // Every id has one of these: `GPU-...`, `MIG-...`, `amdgpu-...`, `declared-0`.
    if text.contains(['-', ':']) && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(GpuName::Id(GpuId(text.to_owned())));
    }
    let help = match nearest(text, ["any", "none"]) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "write \"any\", \"none\", an index, or a UUID as `greenroom gpus` shows it".to_owned(),
    };
    Err((format!("\"{text}\" is no UUID"), help))
}

fn figure(reader: &mut Reader<'_>, who: Owner<'_>, key: &str) -> Figure {
    let path = who.key(&[key]);
    let Some(node) = reader.node(&path) else { return Figure::Auto };
    if node.text() == Some("auto") {
        return Figure::Auto;
    }
    let size = |node: &Node| node.text().and_then(|text| text.parse::<ByteSize>().ok());
    let (idle, peak) = match &node.value {
        Value::Table(_) => (node.field("idle").and_then(size), node.field("peak").and_then(size)),
        _ => (None, size(node)),
    };
    if let (Some(idle), Some(peak)) = (idle, peak)
        && idle > peak
    {
        let message = format!("{who}: `{key}.idle`, {idle}, is more than its peak, {peak}");
        let at = node.field("idle").map_or(node.span, |node| node.span);
        reader.error(at, message, "`peak` is the most that it ever takes");
    }
    // The schema has let nothing else through, which `value` says if it is not so.
    Figure::Known { idle, peak: reader.value(&path, |_| peak) }
}

fn needs(reader: &mut Reader<'_>, who: Owner<'_>) -> BTreeMap<String, u64> {
    let pools = reader.effective.below(&["resources", "custom"]);
    let amount = |node: &Node| match node.value {
        Value::Int(amount) => u64::try_from(amount).unwrap_or(0),
        _ => 0,
    };
    let mut needs = BTreeMap::new();
    for (name, node) in reader.effective.below(&who.key(&["needs"])) {
        let needed = amount(node);
        match pools.iter().find(|(pool, _)| *pool == name) {
            Some((_, pool)) if amount(pool) < needed => {
                let message = format!("{who} needs {needed} of `{name}`, of which there is {}", amount(pool));
                reader.error(node.span, message, "it could never start: lower the need, or raise resources.custom");
            }
            Some(_) => {}
            None if reader.effective.is_faulty(&["resources", "custom", name]) => {}
            None => {
                let names: Vec<&str> = pools.iter().map(|(name, _)| *name).collect();
                let help = match nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.is_empty() => format!("add custom.{name} = {needed} to [resources]"),
                    None => format!("pools are: {}", names.join(", ")),
                };
                let message = format!("{who} needs `{name}`, which is no pool of `resources.custom`");
                reader.error(node.span, message, help);
            }
        }
        needs.insert(name.to_owned(), needed);
    }
    needs
}

/// What the user says; without a word, the engine's own question.
fn busy(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> BusySpec {
    let Some(node) = reader.node(&["service", s, "busy"]) else { return BusySpec::Requests };
    if !is_said(node) {
        let asked = engine.busy();
        return asked.map_or(BusySpec::Requests, |probe| BusySpec::Http { path: probe.path, nonempty: probe.nonempty });
    }
    let Some(path) = node.field("http").and_then(Node::text) else { return BusySpec::Requests };
    let members = node.field("nonempty").map(Node::items).unwrap_or_default();
    if members.is_empty() {
        let message = format!("service `{s}`: `busy.nonempty` names no member, so it would never be busy");
        reader.error(node.span, message, "name members of the JSON, or write busy = \"requests\"");
    }
    let nonempty = members.iter().filter_map(|node| node.text().map(str::to_owned)).collect();
    BusySpec::Http { path: path.to_owned(), nonempty }
}

/// Whether somebody wrote it down; otherwise it is the default.
pub(super) fn is_said(node: &Node) -> bool {
    node.span != Span::default()
}

fn wake_on(reader: &mut Reader<'_>, s: &str) -> Vec<WakeRule> {
    let rules = reader.texts(&["service", s, "wake_on"]);
    let rule = |text: &String| {
        requests(text).map(|(method, path)| WakeRule { method: method.map(str::to_owned), path: path.to_owned() })
    };
    rules.iter().filter_map(rule).collect()
}

fn offload(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> OffloadSpec {
    let key = |name| ["service", s, "offload", name];
    let how = word(&reader.text(&key("how"))).unwrap_or(OffloadHow::Stop);
    if how == OffloadHow::Sleep && engine.sleep().is_none() {
        let able = reader.engines.all().filter(|engine| engine.sleep().is_some());
        let able: Vec<String> = able.map(|engine| engine.name().to_owned()).collect();
        let name = engine.name();
        let message = format!("service `{s}`: offload.how = \"sleep\": the engine `{name}` cannot unload its model");
        let help = format!("write offload.how = \"stop\"; engines that can: {}", able.join(", "));
        reader.error(span(reader, &key("how")), message, help);
    }
    OffloadSpec {
        how,
        drain: reader.duration(&key("drain")),
        reload: word(&reader.text(&key("reload"))).unwrap_or(ReloadPolicy::OnDemand),
        retries: reader.number(&key("retries")),
        backoff: reader.range(&key("backoff")),
    }
}
