//! `alive` of `[service.NAME]`.

use greenroom_actors::{
    engines::EngineRef,
    spec::{AliveSpec, GenerationSpec},
};

use super::{memory::span, probe::probe, read::Reader};

pub(super) fn alive(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> AliveSpec {
    let key = |name| ["service", s, "alive", name];
    AliveSpec {
        probe: probe(reader, &key("probe"), engine.alive_probe()),
        interval: reader.duration(&key("interval")),
        timeout: reader.duration(&key("timeout")),
        failures: reader.number(&key("failures")),
        busy_timeout: reader.duration(&key("busy_timeout")),
        generation: generation(reader, s, engine),
    }
}

fn generation(reader: &mut Reader<'_>, s: &str, engine: &EngineRef) -> Option<GenerationSpec> {
    let key = |name| ["service", s, "alive", "generation", name];
    let every = reader.duration(&key("every"));
    let timeout = reader.duration(&key("timeout"));
    if every.is_zero() {
        return None;
    }
    // Which model is named makes no difference to whether it can be asked at all.
    if engine.generation(Some(s)).is_none() {
        let able = reader.engines.all().filter(|engine| engine.generation(Some(s)).is_some());
        let able: Vec<String> = able.map(|engine| engine.name().to_owned()).collect();
        let name = engine.name();
        let message = format!("service `{s}`: alive.generation: the engine `{name}` cannot be asked for a token");
        let help = format!("write alive.generation.every = \"0s\"; engines that can: {}", able.join(", "));
        reader.error(span(reader, &key("every")), message, help);
    }
    Some(GenerationSpec { every, timeout })
}
