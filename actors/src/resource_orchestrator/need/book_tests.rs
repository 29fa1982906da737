//! What a book learns, on files that are there and on a history that is kept.

use std::fs;

use super::*;
use crate::{
    engines::Engines,
    job::{JobId, Task},
    memory::{GpuId, NeedSource, VramNeed},
    resource_orchestrator::need::figure::tests::service,
    spec::{GpuLayers, WorkerSpec},
    template::{Part, Template},
};

const GIB: u64 = 1 << 30;
/// What a model file of these tests weighs, a fifth more for the estimate.
const SIZE: usize = 1 << 20;

struct Stage {
    folder: tempfile::TempDir,
    bus: EventBus,
    spec: Arc<ServiceSpec>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("m.gguf");
        fs::write(&file, vec![0; SIZE]).expect("written");
        let spec = ServiceSpec { model_file: Some(file), gpu_layers: GpuLayers::All, ..service() };
        Self { folder, bus: EventBus::new(1), spec: Arc::new(spec) }
    }

    fn book(&self) -> Book {
        let mut book = Book::new(&ResourcesSpec::default(), Vec::new(), HistorySink::none(), self.bus.clone());
        book.capacities(&[100 * GIB], 100 * GIB);
        book
    }
}

fn amounts(vram: u64, ram: u64) -> Amounts {
    Amounts { vram: [(GpuId("a".to_owned()), vram)].into(), ram, ..Amounts::default() }
}

fn placed(lease: Amounts) -> Placement {
    Placement { gpus: vec![GpuId("a".to_owned())], gpu_layers: None, lease }
}

fn bytes(need: &Need) -> u64 {
    match need.vram {
        VramNeed::Bytes(bytes) => bytes,
        VramNeed::None | VramNeed::Layers(_) | VramNeed::WholeCard => panic!("{need:?}"),
    }
}

/// A whole run that was ready.
fn run(book: &mut Book, spec: &Arc<ServiceSpec>, vram: u64, ram: u64) {
    let lease = placed(amounts(vram, ram));
    book.measured(spec, &lease, &amounts(vram / 2, ram / 2), false);
    book.measured(spec, &lease, &amounts(vram, ram), true);
}

#[test]
fn what_a_run_held_is_what_the_next_one_needs_until_the_file_changes() {
    let stage = Stage::new();
    let mut book = stage.book();
    let estimate = book.need(&stage.spec);
    assert_eq!((bytes(&estimate), estimate.vram_source), (SIZE as u64 * 6 / 5 + 1, NeedSource::FileSize));
    run(&mut book, &stage.spec, 10 * GIB, 2 * GIB);
    let need = book.need(&stage.spec);
    assert_eq!((bytes(&need), need.ram), (10 * GIB + 10 * GIB / 25, 2 * GIB + 2 * GIB / 25));
    assert_eq!((need.vram_source, need.ram_source), (NeedSource::Calibrated, NeedSource::Calibrated));

    fs::write(stage.spec.model_file.as_ref().expect("a file"), vec![0; SIZE * 2]).expect("written");
    let mut later = stage.book();
    std::mem::swap(&mut later.runs, &mut book.runs);
    let need = later.need(&stage.spec);
    assert_eq!(need.vram_source, NeedSource::FileSize, "it is another model now");
}

#[test]
fn the_most_of_the_last_five_runs_counts_so_that_it_can_fall() {
    let stage = Stage::new();
    let mut book = stage.book();
    run(&mut book, &stage.spec, 20 * GIB, GIB);
    for _ in 0..4 {
        run(&mut book, &stage.spec, 10 * GIB, GIB);
        assert_eq!(bytes(&book.need(&stage.spec)), 20 * GIB + 20 * GIB / 25);
    }
    run(&mut book, &stage.spec, 10 * GIB, GIB);
    assert_eq!(bytes(&book.need(&stage.spec)), 10 * GIB + 10 * GIB / 25);
}

#[test]
fn runs_in_which_nobody_used_it_do_not_make_it_look_small() {
    let stage = Stage::new();
    let mut book = stage.book();
    run(&mut book, &stage.spec, 10 * GIB, 6 * GIB);
    for _ in 0..2 * RUNS {
        run(&mut book, &stage.spec, GIB / 4, GIB);
    }
    assert_eq!(bytes(&book.need(&stage.spec)), 10 * GIB + 10 * GIB / 25);
    run(&mut book, &stage.spec, 11 * GIB, 6 * GIB);
    assert_eq!(bytes(&book.need(&stage.spec)), 11 * GIB + 11 * GIB / 25, "one that was used counts at once");
}

#[test]
fn a_run_that_was_never_ready_counts_only_upwards() {
    let stage = Stage::new();
    let mut book = stage.book();
    let lease = placed(amounts(GIB, GIB));
    book.measured(&stage.spec, &lease, &amounts(GIB / 2, 2 * GIB), true);
    assert_eq!(book.need(&stage.spec).vram_source, NeedSource::FileSize, "it may have ended in the middle of its load");
    book.measured(&stage.spec, &lease, &amounts(3 * GIB, GIB), true);
    assert_eq!(bytes(&book.need(&stage.spec)), 3 * GIB + 3 * GIB / 25);
    book.measured(&stage.spec, &lease, &amounts(GIB, 2 * GIB), true);
    let need = book.need(&stage.spec);
    assert_eq!((bytes(&need), need.ram), (3 * GIB + 3 * GIB / 25, 2 * GIB + 2 * GIB / 25));
}

#[test]
fn a_run_too_short_to_be_measured_teaches_nothing() {
    let stage = Stage::new();
    let mut book = stage.book();
    for end in [false, true] {
        book.measured(&stage.spec, &placed(amounts(GIB, GIB)), &Amounts::default(), end);
    }
    assert_eq!(book.need(&stage.spec).ram_source, NeedSource::FileSize);
}

#[test]
fn a_card_that_nobody_measures_teaches_nothing_about_cards() {
    let stage = Stage::new();
    let mut book = stage.book();
    let held = Amounts { ram: GIB, ..Amounts::default() };
    book.measured(&stage.spec, &placed(amounts(GIB, 0)), &held, false);
    book.measured(&stage.spec, &placed(amounts(GIB, 0)), &held, true);
    let need = book.need(&stage.spec);
    assert_eq!((need.vram_source, need.ram_source), (NeedSource::FileSize, NeedSource::Calibrated));
}

#[test]
fn without_calibrate_nothing_is_learned_or_used() {
    let stage = Stage::new();
    let spec = ResourcesSpec { calibrate: false, ..ResourcesSpec::default() };
    let key = stage.book().key(&stage.spec);
    let (service, command, at) = (stage.spec.name.clone(), Vec::new(), clock::wall());
    let row = PeakRow { key, at, service, command, file: None, layers: None, vram: Some(GIB), ram: GIB };
    let mut book = Book::new(&spec, vec![row.clone()], HistorySink::none(), stage.bus.clone());
    run(&mut book, &stage.spec, 10 * GIB, GIB);
    assert_eq!(book.need(&stage.spec).vram_source, NeedSource::FileSize);
    let mut book = Book::new(&ResourcesSpec::default(), vec![row], HistorySink::none(), stage.bus.clone());
    assert_eq!(book.need(&stage.spec).vram_source, NeedSource::Calibrated);
}

#[tokio::test]
async fn drift_is_told_once_in_a_run_and_taken_back_at_its_end() {
    let stage = Stage::new();
    let mut events = stage.bus.subscribe(None);
    let mut book = stage.book();
    let lease = placed(amounts(4 * GIB, GIB));
    for held in [4, 5, 6] {
        book.measured(&stage.spec, &lease, &amounts(held * GIB, GIB), false);
    }
    book.measured(&stage.spec, &lease, &amounts(6 * GIB, GIB), true);
    let raised = events.next().await.expect("the bus lives").kind;
    let EventKind::AlertRaised { alert, severity, service, message } = raised else { panic!("{raised:?}") };
    assert_eq!((alert.as_str(), severity, service), (ALERT, Severity::Warning, Some(stage.spec.name.clone())));
    assert!(message.contains("5GiB of VRAM where 4GiB was expected"), "{message}");
    let cleared = events.next().await.expect("the bus lives").kind;
    assert!(matches!(&cleared, EventKind::AlertCleared { alert, .. } if alert == ALERT), "{cleared:?}");
}

#[cfg(feature = "history")]
#[actix::test]
async fn what_was_learned_is_known_to_the_next_runtime() {
    use crate::{history_store::History, spec::HistorySpec, units::ByteSize};

    let stage = Stage::new();
    let path = stage.folder.path().join("history.db");
    let spec = HistorySpec { path: path.clone(), retain: Duration::from_secs(60), max_size: ByteSize(1 << 20) };
    let history = History::start(&spec, &stage.bus).expect("a thread");
    let mut book = Book::open(&ResourcesSpec::default(), &path, history.sink(), stage.bus.clone());
    run(&mut book, &stage.spec, 10 * GIB, 2 * GIB);
    let needed = book.need(&stage.spec);
    history.sink().flush().await.expect("on disk");

    let mut next = Book::open(&ResourcesSpec::default(), &path, HistorySink::none(), stage.bus.clone());
    assert_eq!(next.need(&stage.spec), needed);
    assert_eq!(needed.vram_source, NeedSource::Calibrated);
    let rows = HistoryReader::open(&path).and_then(|reader| reader.peaks()).expect("rows");
    assert_eq!((rows.len(), rows[0].vram, rows[0].ram), (1, Some(10 * GIB), 2 * GIB));
    assert_eq!(rows[0].command, ["llama-server", "-ngl", ""]);
    assert!(history.end(Duration::from_secs(30)));
}

/// `sd-cli` with a job for a picture of so many pixels along each side.
fn picture(stage: &Stage, side: &str, prompt: &str) -> Arc<ServiceSpec> {
    let header = r#"{"model.diffusion_model.x":{"dtype":"U8","shape":[900],"data_offsets":[0,900]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + 900, 0);
    let path = stage.folder.path().join("m.safetensors");
    fs::write(&path, file).expect("written");
    let hole = |name: &str| Template(vec![Part::Param(name.to_owned())]);
    let text = Template::text;
    let params = [("side", side), ("prompt", prompt)].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let task = Task { id: JobId::fresh(), params: params.into(), output: "/o".into(), extension: None };
    let job = stage.spec.name.clone();
    Arc::new(ServiceSpec {
        engine: Engines::default().named("sd-cpp").expect("an engine"),
        command: vec![text("sd"), text("-W"), hole("side"), text("-H"), hole("side"), text("-p"), hole("prompt")],
        model_file: Some(path),
        worker: Some(WorkerSpec { job, progress: None, task: Some(Arc::new(task)) }),
        ..ServiceSpec::clone(&stage.spec)
    })
}

#[test]
fn a_job_needs_what_its_picture_does_and_one_of_another_size_is_no_measure_of_it() {
    let stage = Stage::new();
    let mut book = stage.book();
    let (small, large) = (picture(&stage, "256", "a cat"), picture(&stage, "1024", "a cat"));
    let (of_small, of_large) = (book.need(&small), book.need(&large));
    assert_eq!((of_small.vram_source, of_large.vram_source), (NeedSource::Estimate, NeedSource::Estimate));
    assert_eq!(bytes(&of_large) - bytes(&of_small), 6656 * (1024 * 1024 - 256 * 256));
    run(&mut book, &small, GIB, GIB);
    assert_eq!(book.need(&picture(&stage, "256", "a dog")).vram_source, NeedSource::Calibrated);
    assert_eq!(book.need(&large), of_large);
    // Nobody knows the size yet: that of large models.
    assert_eq!(bytes(&book.need(&picture(&stage, "", ""))), bytes(&of_large));
}
