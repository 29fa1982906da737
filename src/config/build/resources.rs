//! `[resources]`.

use std::collections::BTreeMap;

use greenroom_actors::spec::{DeclaredCard, GpuBackend, ResourcesSpec, Share};

use super::{
    memory::{is_said, span},
    read::{Reader, word},
};
use crate::config::{
    holes::expand,
    tree::{Node, Value},
};

pub(super) fn build(reader: &mut Reader<'_>) -> ResourcesSpec {
    let spec = ResourcesSpec {
        backend: word(&reader.text(&["resources", "gpu_backend"])).unwrap_or(GpuBackend::Auto),
        nvml_library: nvml_library(reader),
        vram_reserve: reader.size(&["resources", "vram_reserve"]),
        vram_limit: share(reader, "vram_limit"),
        ram_reserve: reader.size(&["resources", "ram_reserve"]),
        ram_limit: share(reader, "ram_limit"),
        reclaim_timeout: reader.duration(&["resources", "reclaim_timeout"]),
        calibrate: reader.bool(&["resources", "calibrate"]),
        custom: custom(reader),
        declared: declared(reader),
    };
    cards(reader, &spec);
    spec
}

/// A name is the loader's to find; a path is relative to the file that says it.
fn nvml_library(reader: &mut Reader<'_>) -> String {
    let key = ["resources", "nvml_library"];
    let text = reader.text(&key);
    if !text.contains('/') {
        return text;
    }
    let base = reader.effective.sources().base(span(reader, &key));
    expand(&text, base, reader.outside).display().to_string()
}

fn share(reader: &mut Reader<'_>, key: &str) -> Share {
    let read = |node: &Node| {
        Some(Some(match &node.value {
            Value::Float(ratio) => Share::Ratio(*ratio),
            #[allow(clippy::cast_precision_loss, reason = "0 or 1")]
            Value::Int(ratio) => Share::Ratio(*ratio as f64),
            _ => Share::Size(node.text()?.parse().ok()?),
        }))
    };
    reader.value(&["resources", key], read).unwrap_or(Share::Ratio(0.0))
}

fn custom(reader: &Reader<'_>) -> BTreeMap<String, u64> {
    let pools = reader.effective.below(&["resources", "custom"]);
    let pool = |(name, node): (&str, &Node)| match node.value {
        Value::Int(units) => Some((name.to_owned(), u64::try_from(units).ok()?)),
        _ => None,
    };
    pools.into_iter().filter_map(pool).collect()
}

fn declared(reader: &Reader<'_>) -> Vec<DeclaredCard> {
    let cards = reader.node(&["resources", "gpu"]).map(Node::items).unwrap_or_default();
    let card = |(n, card): (usize, &Node)| {
        let text = |key| card.field(key).and_then(Node::text);
        let name = text("name").map_or_else(|| format!("declared {n}"), str::to_owned);
        Some(DeclaredCard { name, memory: text("memory")?.parse().ok()? })
    };
    cards.iter().enumerate().filter_map(card).collect()
}

/// Declared cards and the backend that uses them go together.
fn cards(reader: &mut Reader<'_>, spec: &ResourcesSpec) {
    let backend = reader.text(&["resources", "gpu_backend"]);
    let at = ["resources", "gpu"];
    match spec.backend {
        GpuBackend::Declared if spec.declared.is_empty() && !reader.effective.is_faulty(&at) => {
            let message = "`resources.gpu_backend` is \"declared\", and no card is declared";
            let help = "add [[resources.gpu]] with memory = \"8GiB\", or choose another backend";
            reader.error(span(reader, &["resources", "gpu_backend"]), message, help);
        }
        GpuBackend::Declared | GpuBackend::Auto => {}
        // No error: a file with declared cards can be tried on a real one by `--set`.
        GpuBackend::Nvml | GpuBackend::Amdgpu | GpuBackend::None if !spec.declared.is_empty() => {
            let message = format!("`resources.gpu` is not used: `gpu_backend` is \"{backend}\"");
            reader.warn(span(reader, &at), message, "write gpu_backend = \"declared\", or remove the cards");
        }
        GpuBackend::Nvml | GpuBackend::Amdgpu | GpuBackend::None => {}
    }
    let nodes = reader.node(&at).filter(|node| is_said(node)).map(Node::items).unwrap_or_default();
    for (card, node) in spec.declared.iter().zip(nodes) {
        if spec.vram_capacity(card.memory.0) == 0 {
            let message = format!("nothing of the card `{}` can be given out", card.name);
            let help = "`vram_reserve` and `vram_limit` leave nothing of it";
            reader.warn(node.span, message, help);
        }
    }
}
