//! Which runs are expected to need the same.

use std::sync::Arc;

use crate::{
    digest::Digest,
    estimate::files::ModelFile,
    memory::Sides,
    spec::{GpuLayers, ServiceSpec},
    template::{Part, Template},
};

/// Bytes that make no difference to what a job is expected to need.
const ALIKE: u64 = 64 << 20;

/// Stands for the engine, the command, the configured environment (`LLAMA_ARG_CTX_SIZE`), the model file as it is now,
/// `gpu_layers`, and whether it may use a card. Not for the service's name, port or folder: the same command under another
/// name needs the same. Of a worker, `expected` is what its job is estimated to need: what a job says is not part of the command (its
/// prompt makes no difference), but a larger picture needs more.
#[must_use]
pub fn key(spec: &Arc<ServiceSpec>, model: Option<&ModelFile>, on_card: bool, expected: Option<Sides>) -> String {
    let mut digest = Digest::default();
    digest.text(spec.engine.name());
    digest.list(spec.command.iter().map(written));
    digest.list(spec.env.iter().flat_map(|(name, value)| [name.clone(), written(value)]));
    let path = spec.model_file.as_ref().map(|path| path.display().to_string());
    let file = model.map(|model| format!("{} {}", model.size, model.changed));
    digest.list(path.into_iter().chain(file));
    digest.text(&match spec.gpu_layers {
        GpuLayers::Auto => "auto".to_owned(),
        GpuLayers::All => "all".to_owned(),
        GpuLayers::Count(n) => n.to_string(),
    });
    digest.text(if on_card { "card" } else { "host" });
    if let Some(Sides { vram, ram }) = expected {
        digest.text(&format!("job {} {}", vram.div_ceil(ALIKE), ram.div_ceil(ALIKE)));
    }
    digest.to_string()
}

/// The text with its holes as they stand in a configuration.
fn written(template: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Port => "${port}".to_owned(),
        Part::Host => "${host}".to_owned(),
        Part::Name => "${name}".to_owned(),
        Part::ModelFile => "${model_file}".to_owned(),
        Part::GpuLayers => "${gpu_layers}".to_owned(),
        Part::Gpu => "${gpu}".to_owned(),
        Part::DataDir => "${data_dir}".to_owned(),
        Part::Param(name) => format!("${{param.{name}}}"),
        Part::Output => "${output}".to_owned(),
    };
    template.0.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource_orchestrator::need::figure::tests::service;

    #[test]
    fn what_changes_the_need_changes_the_key_and_nothing_else_does() {
        let model = ModelFile { size: 7, changed: 1, layers: Some(2) };
        let of = |change: &dyn Fn(&mut ServiceSpec)| {
            let mut spec = service();
            change(&mut spec);
            key(&Arc::new(spec), Some(&model), true, None)
        };
        let plain = of(&|_| {});
        assert_eq!(plain.len(), 16);
        assert_eq!(of(&|spec| spec.name = "other".parse().expect("a name")), plain);
        assert_eq!(of(&|spec| spec.memory.priority = 7), plain);
        let changes: [&dyn Fn(&mut ServiceSpec); 5] = [
            &|spec| spec.command.push(Template::text("-c")),
            &|spec| spec.command = vec![Template::text("serve"), Template::text("${port}-")],
            &|spec| drop(spec.env.insert("LLAMA_ARG_CTX_SIZE".to_owned(), Template::text("4096"))),
            &|spec| spec.model_file = Some("/other".into()),
            &|spec| spec.gpu_layers = GpuLayers::Count(3),
        ];
        for (n, change) in changes.iter().enumerate() {
            assert_ne!(of(change), plain, "change {n}");
        }
        let spec = Arc::new(service());
        assert_ne!(key(&spec, Some(&model), false, None), plain);
        assert_ne!(key(&spec, None, true, None), plain);
        assert_ne!(key(&spec, Some(&ModelFile { changed: 2, ..model }), true, None), plain);
        assert_ne!(key(&spec, Some(&ModelFile { size: 8, ..model }), true, None), plain);
    }

    #[test]
    fn jobs_that_are_expected_to_need_the_same_share_what_was_measured() {
        let spec = Arc::new(service());
        let of = |vram| key(&spec, None, true, Some(Sides { vram, ram: 0 }));
        assert_eq!(of(1000 * ALIKE), of(1000 * ALIKE - 1));
        assert_ne!(of(1000 * ALIKE), of(2000 * ALIKE));
        assert_ne!(of(0), key(&spec, None, true, None));
    }
}
