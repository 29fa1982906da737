//! Needs of services of every kind.

use proptest::prelude::*;

use super::*;
use crate::{
    engines::{Engine, EngineRef, Engines},
    memory::GpuId,
    spec::{GpuName, MemorySpec, sample},
    template::Template,
    units::ByteSize,
};

/// A llama-server as people write it, with `${gpu_layers}`.
pub fn service() -> ServiceSpec {
    let layers = Template(vec![Part::GpuLayers]);
    ServiceSpec {
        engine: Engines::built_in().named("llama-server").expect("built in"),
        command: vec![Template::text("llama-server"), Template::text("-ngl"), layers],
        model_file: Some("/models/chat.gguf".into()),
        ..sample::service("chat")
    }
}

/// The same, but nothing is known or said of it.
fn any_program() -> ServiceSpec {
    let (engine, command) = (EngineRef::generic(), vec![Template::text("postgres")]);
    ServiceSpec { engine, command, model_file: None, ..service() }
}

const GB: u64 = 1_000_000_000;
const GIB: u64 = 1 << 30;
/// The model of the incident: 6.4 GB in 48 layers.
const MODEL: ModelFile = ModelFile { size: 6_400_000_000, changed: 1, layers: Some(48) };

fn known(peak: u64) -> Figure {
    Figure::Known { idle: None, peak: ByteSize(peak) }
}

fn with(spec: &ServiceSpec, model: Option<ModelFile>, peaks: &[Peak]) -> Need {
    need(&Facts { spec, model, contents: Contents::default(), cards: Some(&[24 * GIB]), ram: Some(64 * GIB) }, peaks)
}

fn changed(change: impl FnOnce(&mut ServiceSpec)) -> ServiceSpec {
    let mut spec = service();
    change(&mut spec);
    spec
}

fn run(layers: Option<u32>, vram: Option<u64>, ram: u64) -> Peak {
    Peak { layers, vram, ram }
}

#[test]
fn i7_a_partly_offloaded_model_is_not_asked_for_whole_in_ram() {
    let spec = changed(|spec| spec.gpu_layers = GpuLayers::Count(44));
    let need = with(&spec, Some(MODEL), &[]);
    assert_eq!((need.vram, need.ram), (VramNeed::Bytes(7_040_000_000), 640_000_000));
    assert_eq!((need.vram_source, need.ram_source), (NeedSource::FileSize, NeedSource::FileSize));
    // The same said in the command.
    let texts = ["llama-server", "-ngl", "44"].map(Template::text).to_vec();
    let said = changed(|spec| spec.command = texts);
    assert_eq!(with(&said, Some(MODEL), &[]), need);
}

#[test]
fn layers_go_where_they_are_told() {
    let total = 7_680_000_000;
    let of = |layers| with(&changed(|spec| spec.gpu_layers = layers), Some(MODEL), &[]);
    let figures = |need: &Need| (need.vram, need.ram);
    assert_eq!(figures(&of(GpuLayers::All)), (VramNeed::Bytes(total), 0));
    assert_eq!(figures(&of(GpuLayers::Count(99))), (VramNeed::Bytes(total), 0));
    assert_eq!(figures(&of(GpuLayers::Count(0))), (VramNeed::None, total));
    let free = of(GpuLayers::Auto);
    assert_eq!(figures(&free), (VramNeed::Layers(Layered { layers: 48, layer: total / 48, card: 0 }), 0));

    let unknown = Some(ModelFile { layers: None, ..MODEL });
    assert_eq!(figures(&with(&service(), unknown, &[])), (VramNeed::Bytes(total), 0));
    let no_hole = changed(|spec| spec.command.truncate(1));
    assert_eq!(figures(&with(&no_hole, Some(MODEL), &[])), (VramNeed::Bytes(total), 0));
}

#[test]
fn without_a_card_the_whole_model_is_in_ram() {
    let on_host = |need: Need| {
        assert_eq!((need.vram, need.ram, need.vram_source), (VramNeed::None, 7_680_000_000, NeedSource::Nothing))
    };
    on_host(with(&changed(|spec| spec.memory.gpu = GpuChoice::None), Some(MODEL), &[]));
    on_host(need(
        &Facts { spec: &service(), model: Some(MODEL), contents: Contents::default(), cards: Some(&[]), ram: None },
        &[],
    ));
    // One that names its card waits for that one.
    let card = GpuChoice::These(vec![GpuName::Index(3)]);
    let named = changed(|spec| (spec.memory.gpu, spec.memory.vram) = (card, known(GIB)));
    let need_named = need(
        &Facts { spec: &named, model: Some(MODEL), contents: Contents::default(), cards: Some(&[]), ram: None },
        &[],
    );
    assert_eq!((need_named.vram, need_named.vram_source), (VramNeed::Bytes(GIB), NeedSource::User));
    let texts = ["llama-server", "--device", "none"].map(Template::text).to_vec();
    on_host(with(&changed(|spec| spec.command = texts), Some(MODEL), &[]));
    // A figure for a card that it may not use says nothing.
    on_host(with(
        &changed(|spec| (spec.memory.gpu, spec.memory.vram) = (GpuChoice::None, known(GIB))),
        Some(MODEL),
        &[],
    ));
}

#[test]
fn the_users_figures_count_each_by_itself() {
    let spec = changed(|spec| (spec.gpu_layers, spec.memory.vram) = (GpuLayers::Count(44), known(7 * GIB)));
    let need = with(&spec, Some(MODEL), &[]);
    assert_eq!((need.vram, need.vram_source), (VramNeed::Bytes(7 * GIB), NeedSource::User));
    assert_eq!((need.ram, need.ram_source), (640_000_000, NeedSource::FileSize));

    let need = with(&spec, Some(MODEL), &[run(None, Some(9 * GIB), 2 * GB)]);
    assert_eq!(
        (need.vram, need.ram, need.ram_source),
        (VramNeed::Bytes(7 * GIB), 2_080_000_000, NeedSource::Calibrated)
    );

    let spec = changed(|spec| (spec.gpu_layers, spec.memory.ram) = (GpuLayers::Count(44), known(GIB)));
    let need = with(&spec, Some(MODEL), &[]);
    assert_eq!((need.vram, need.ram, need.ram_source), (VramNeed::Bytes(7_040_000_000), GIB, NeedSource::User));

    let idle = Figure::Known { idle: Some(ByteSize(5)), peak: ByteSize(GIB) };
    assert_eq!(with(&changed(|spec| spec.memory.vram = idle), None, &[]).asleep, Some(5));
}

#[test]
fn a_program_of_which_nothing_is_said_needs_nothing() {
    assert_eq!(with(&any_program(), None, &[run(None, Some(GIB), GIB)]), Need::nothing());
    let mut spec = any_program();
    spec.memory.needs = [("npu".to_owned(), 1)].into();
    let need = with(&spec, None, &[]);
    assert_eq!((need.vram, need.ram, need.custom["npu"]), (VramNeed::None, 0, 1));
    let mut spec = any_program();
    spec.memory.ram = known(GIB);
    assert_eq!((with(&spec, None, &[]).ram, with(&spec, None, &[]).vram), (GIB, VramNeed::None));
}

#[test]
fn whose_need_nobody_knows_has_a_card_to_itself_until_it_was_measured() {
    let comfy = |gpu| ServiceSpec {
        engine: Engines::built_in().named("comfyui").expect("built in"),
        memory: MemorySpec { gpu, ..MemorySpec::default() },
        ..any_program()
    };
    let need = with(&comfy(GpuChoice::Any), None, &[]);
    assert_eq!((need.vram, need.ram, need.vram_source), (VramNeed::WholeCard, 0, NeedSource::Unknown));
    let need = with(&comfy(GpuChoice::Any), None, &[run(None, Some(10 * GB), GB)]);
    assert_eq!((need.vram, need.ram), (VramNeed::Bytes(10_400_000_000), 1_040_000_000));
    assert_eq!((need.vram_source, need.ram_source), (NeedSource::Calibrated, NeedSource::Calibrated));
    let unmeasured = with(&comfy(GpuChoice::Any), None, &[run(None, None, GB)]);
    assert_eq!((unmeasured.vram, unmeasured.ram_source), (VramNeed::WholeCard, NeedSource::Calibrated));
    assert_eq!(with(&comfy(GpuChoice::None), None, &[]).vram, VramNeed::None);

    let mut named = any_program();
    named.memory.gpu = GpuChoice::These(vec![GpuName::Id(GpuId("GPU-1".to_owned()))]);
    assert_eq!(with(&named, None, &[]).vram, VramNeed::WholeCard);

    let vllm = ServiceSpec { engine: Engines::built_in().named("vllm").expect("built in"), ..service() };
    assert_eq!(with(&vllm, Some(MODEL), &[]).vram, VramNeed::WholeCard, "it fills the card, whatever its file weighs");
}

#[test]
fn a_model_in_layers_is_calibrated_by_layers() {
    let need = with(&service(), Some(MODEL), &[run(Some(48), Some(48 * GB / 10), GB)]);
    let VramNeed::Layers(model) = need.vram else { panic!("{need:?}") };
    assert_eq!((model.layer, model.vram(48), need.ram), (104_000_000, 4_992_000_000, 1_040_000_000));
    assert_eq!((need.vram_source, need.ram_source), (NeedSource::Calibrated, NeedSource::Calibrated));
    let host_only = with(&service(), Some(MODEL), &[run(Some(0), Some(0), GB)]);
    assert_eq!(host_only, with(&service(), Some(MODEL), &[]), "what was never on a card says nothing about cards");
}

#[test]
fn the_margin_makes_nothing_too_large_that_has_run() {
    let spec = changed(|spec| spec.gpu_layers = GpuLayers::All);
    let full = |peak, cards: &[u64]| {
        need(
            &Facts { spec: &spec, model: None, contents: Contents::default(), cards: Some(cards), ram: Some(100) },
            &[run(None, Some(peak), 99)],
        )
    };
    assert_eq!((full(980, &[500, 1000]).vram, full(980, &[500, 1000]).ram), (VramNeed::Bytes(1000), 100));
    assert_eq!(full(1480, &[500, 1000]).vram, VramNeed::Bytes(1500), "spread over both");
    assert_eq!(full(2000, &[500, 1000]).vram, VramNeed::Bytes(2080), "it has become too large");
    assert_eq!(full(100, &[500, 1000]).vram, VramNeed::Bytes(104));
}

/// An application's own.
struct Painter(NeedHint);

impl Engine for Painter {
    fn name(&self) -> &str {
        "painter"
    }

    fn need(&self, facts: &ModelFacts<'_>) -> NeedHint {
        assert_eq!(facts.arguments, ["-ngl", ""]);
        self.0.clone()
    }
}

#[test]
fn an_applications_engine_says_what_its_program_needs() {
    let of = |hint, gpu| {
        let memory = MemorySpec { gpu, ..MemorySpec::default() };
        let spec = ServiceSpec { engine: EngineRef::new(Painter(hint)), memory, ..service() };
        let need = with(&spec, Some(MODEL), &[]);
        (need.vram, need.ram, need.vram_source)
    };
    let figures = NeedHint::Figures { vram: 5, ram: 7 };
    assert_eq!(of(figures.clone(), GpuChoice::Any), (VramNeed::Bytes(5), 7, NeedSource::Engine));
    assert_eq!(of(figures, GpuChoice::None), (VramNeed::None, 7, NeedSource::Nothing));
    assert_eq!(of(NeedHint::Nothing, GpuChoice::Any), (VramNeed::None, 0, NeedSource::Nothing));
    assert_eq!(of(NeedHint::Unknown, GpuChoice::Any), (VramNeed::WholeCard, 0, NeedSource::Unknown));
    assert_eq!(
        of(NeedHint::Layers(24), GpuChoice::Any),
        (VramNeed::Bytes(3_840_000_000), 3_840_000_000, NeedSource::FileSize)
    );
}

#[test]
fn what_an_engine_says_for_each_number_of_layers_is_taken_by_whoever_says_the_number() {
    let side = |vram, ram| Sides { vram, ram };
    let sides = vec![side(7, 430), side(150, 330), side(250, 230), side(350, 30)];
    let of = |on_card, layers: GpuLayers, gpu| {
        let memory = MemorySpec { gpu, ..MemorySpec::default() };
        let engine = EngineRef::new(Painter(NeedHint::Split { sides: sides.clone(), on_card }));
        let need = with(&ServiceSpec { engine, memory, gpu_layers: layers, ..service() }, Some(MODEL), &[]);
        assert_eq!(need.ram_source, NeedSource::Estimate);
        (need.vram, need.ram)
    };
    let any = || GpuChoice::Any;
    assert_eq!(of(Some(1), GpuLayers::All, any()), (VramNeed::Bytes(150), 330), "the command goes first");
    assert_eq!(of(Some(0), GpuLayers::All, any()), (VramNeed::Bytes(7), 430));
    assert_eq!(of(None, GpuLayers::Count(2), any()), (VramNeed::Bytes(250), 230));
    assert_eq!(of(None, GpuLayers::Count(99), any()), (VramNeed::Bytes(350), 30));
    assert_eq!(of(None, GpuLayers::All, any()), (VramNeed::Bytes(350), 30));
    assert_eq!(of(None, GpuLayers::All, GpuChoice::None).1, 430);
    let line = Layered { layers: 3, layer: 100, card: 50 };
    assert_eq!(of(None, GpuLayers::Auto, any()), (VramNeed::Layers(line), 130), "never below any of them");
    let peaks = [run(Some(3), Some(300), 20)];
    let engine = EngineRef::new(Painter(NeedHint::Split { sides: sides.clone(), on_card: None }));
    let learned = with(&ServiceSpec { engine, ..service() }, Some(MODEL), &peaks);
    assert_eq!(learned.vram_source, NeedSource::Calibrated, "what was measured goes before it: {learned:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_split_is_neither_lost_nor_counted_twice(size in 0..u64::MAX / 2, layers in 1_u32..4096, n in 0_u32..5000) {
        let spec = changed(|spec| spec.gpu_layers = GpuLayers::Count(n));
        let model = ModelFile { size, changed: 0, layers: Some(layers) };
        let need = with(&spec, Some(model), &[]);
        let vram = match need.vram {
            VramNeed::None => 0,
            VramNeed::Bytes(bytes) => bytes,
            VramNeed::Layers(_) | VramNeed::WholeCard => panic!("{need:?}"),
        };
        prop_assert_eq!(vram + need.ram, weight(&model));
    }

    #[test]
    fn no_figure_of_a_file_or_a_run_breaks_it(
        size in any::<u64>(), layers in prop::option::of(1_u32..4096), vram in prop::option::of(any::<u64>()), ram in any::<u64>(),
        placed in prop::option::of(any::<u32>()), card in any::<u64>(),
    ) {
        let model = ModelFile { size, changed: 0, layers };
        let spec = service();
        let facts = Facts { spec: &spec, model: Some(model), contents: Contents::default(), cards: Some(&[card]), ram: Some(ram) };
        drop(need(&facts, &[]));
        let need = need(&facts, &[run(placed, vram, ram)]);
        if let (VramNeed::Bytes(bytes), Some(vram)) = (need.vram, vram) {
            prop_assert!(bytes >= vram && need.ram >= ram);
        }
    }
}
