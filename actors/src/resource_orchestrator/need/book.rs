//! The need book: looks at model files, remembers what runs held, and tells the history.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    NeedBook, drift,
    figure::{Contents, Facts, need, takes_part},
    key::key,
    learned::{Peak, most},
};
use crate::{
    cause::chain,
    estimate::{
        files::{self, ModelFile, ReadCause},
        found::{Found, find},
    },
    event::{EventBus, EventKind, Severity},
    history_store::{
        HistoryReader, HistorySink,
        messages::{PeakRow, Record},
    },
    ids::ServiceName,
    memory::{Amounts, Need, Placement, Sides, VramNeed},
    os::clock,
    spec::{GpuBackend, ResourcesSpec, ServiceSpec},
    time::Timestamp,
};

/// Runs that count for each command and file; older ones are forgotten, so that a figure can fall again.
const RUNS: usize = 5;
/// A file that was looked at this short a time ago is not looked at again.
const FRESH: Duration = Duration::from_secs(2);
/// Files that are remembered; beyond this all are looked at anew.
const MOST_FILES: usize = 4096;
/// Growth of less than one part in this many is not written down before the run ends.
const WORTH_WRITING: u64 = 64;
/// The alert about a run that holds more than it was given.
const ALERT: &str = "need_drift";

/// What services need, by their files and by what they held before.
#[derive(Debug)]
pub struct Book {
    calibrate: bool,
    cards: Option<Vec<u64>>,
    ram: Option<u64>,
    models: HashMap<PathBuf, Looked>,
    /// By key; the newest run first.
    runs: HashMap<String, Vec<Run>>,
    courses: HashMap<ServiceName, Course>,
    history: HistorySink,
    bus: EventBus,
}

/// A file as it was.
#[derive(Debug, Clone)]
struct Looked {
    at: Instant,
    file: Option<ModelFile>,
    /// What its headers say, if they make sense.
    found: Option<Arc<Found>>,
}

/// What lies on the disk for a service.
#[derive(Debug, Default)]
struct OnDisk {
    file: Option<ModelFile>,
    found: Option<Arc<Found>>,
    /// Bytes of what is loaded besides.
    companions: Vec<u64>,
}

impl OnDisk {
    fn contents(&self) -> Contents<'_> {
        Contents { found: self.found.as_deref(), companions: &self.companions }
    }
}

/// One run, past or present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    at: Timestamp,
    peak: Peak,
}

/// A run that is going on and has been ready.
#[derive(Debug)]
struct Course {
    key: String,
    at: Timestamp,
    /// What the history has of it.
    written: Option<Peak>,
    alerted: bool,
}

impl Book {
    /// A book that begins with what `known` says, the newest first (as [`HistoryReader::peaks`] gives them).
    #[must_use]
    pub fn new(spec: &ResourcesSpec, known: Vec<PeakRow>, history: HistorySink, bus: EventBus) -> Self {
        let mut runs: HashMap<String, Vec<Run>> = HashMap::new();
        if spec.calibrate {
            for PeakRow { key, at, layers, vram, ram, .. } in known {
                let of_key = runs.entry(key).or_default();
                if of_key.len() < RUNS {
                    of_key.push(Run { at, peak: Peak { layers, vram, ram } });
                }
            }
        }
        let cards = (spec.backend == GpuBackend::None).then(Vec::new);
        let (models, courses) = (HashMap::new(), HashMap::new());
        Self { calibrate: spec.calibrate, cards, ram: None, models, runs, courses, history, bus }
    }

    /// A book that begins with what the history at `path` knows. A history that cannot be read is no obstacle; it is told
    /// in the log. Waits for the disk.
    #[must_use]
    pub fn open(spec: &ResourcesSpec, path: &Path, history: HistorySink, bus: EventBus) -> Self {
        let known = if spec.calibrate { known(path) } else { Vec::new() };
        Self::new(spec, known, history, bus)
    }

    /// What lies at the path of its model, and at those that its command names besides.
    fn on_disk(&mut self, spec: &ServiceSpec) -> OnDisk {
        let Some(path) = spec.model_file.as_deref() else { return OnDisk::default() };
        let Looked { file, found, .. } = self.look(path);
        let texts = spec.arguments();
        let arguments: Vec<&str> = texts.iter().map(String::as_str).collect();
        let further = spec.engine.companions(&arguments);
        let size = |path: &PathBuf| self.look(&spec.working_dir.join(path)).file.map_or(0, |file| file.size);
        let companions = further.iter().map(size).collect();
        OnDisk { file, found, companions }
    }

    fn look(&mut self, path: &Path) -> Looked {
        let now = clock::now();
        let before = self.models.get(path);
        if let Some(looked) = before
            && now.saturating_duration_since(looked.at) < FRESH
        {
            return looked.clone();
        }
        let looked = look_again(path, before.cloned(), now);
        if self.models.len() >= MOST_FILES {
            self.models.clear();
        }
        self.models.insert(path.to_owned(), looked.clone());
        looked
    }

    fn key(&mut self, spec: &Arc<ServiceSpec>) -> String {
        let found = self.on_disk(spec);
        key_of(spec, &self.facts(spec, &found))
    }

    fn facts<'a>(&'a self, spec: &'a ServiceSpec, found: &'a OnDisk) -> Facts<'a> {
        Facts { spec, model: found.file, contents: found.contents(), cards: self.cards.as_deref(), ram: self.ram }
    }

    /// What earlier runs of this key held.
    fn peaks(&self, key: &str) -> Vec<Peak> {
        self.runs.get(key).map(|runs| runs.iter().map(|run| run.peak).collect()).unwrap_or_default()
    }

    /// A run that was never ready held only a part of what it needs; it is taken in where that is more than was expected.
    fn learn_from_failure(&mut self, spec: &Arc<ServiceSpec>, placement: &Placement, peak: Peak) {
        let key = self.key(spec);
        let learned = match most_alike(&self.peaks(&key), &peak) {
            Some(known) => peak.exceeds(&known).then(|| peak.or(known)),
            None => {
                let expected = seen(placement, &placement.lease);
                (!expected.exceeds(&peak) && peak.exceeds(&expected)).then_some(peak)
            }
        };
        if let Some(peak) = learned {
            let at = clock::wall();
            if self.learn(&key, Run { at, peak }) {
                self.write(spec, &key, Run { at, peak });
            }
        }
    }

    /// Takes a run in; one that is known already takes its own place. Not one in which the program was not used: some of
    /// these in a row would make it look small. Whether it was taken in.
    fn learn(&mut self, key: &str, run: Run) -> bool {
        // No process holds nothing: this one was over before anybody had measured it.
        if run.peak.ram == 0 {
            return false;
        }
        let runs = self.runs.entry(key.to_owned()).or_default();
        let others: Vec<Peak> = runs.iter().filter(|known| known.at != run.at).map(|known| known.peak).collect();
        if most_alike(&others, &run.peak).is_some_and(|known| run.peak.is_idle_beside(&known)) {
            return false;
        }
        match runs.iter_mut().find(|known| known.at == run.at) {
            Some(known) => known.peak = run.peak.or(known.peak),
            None => {
                runs.insert(0, run);
                runs.truncate(RUNS);
            }
        }
        true
    }

    fn write(&self, spec: &ServiceSpec, key: &str, Run { at, peak }: Run) {
        self.history.record(Record::Peak(PeakRow {
            key: key.to_owned(),
            at,
            service: spec.name.clone(),
            command: spec.command.iter().map(|part| part.plain()).collect(),
            file: spec.model_file.clone(),
            layers: peak.layers,
            vram: peak.vram,
            ram: peak.ram,
        }));
    }

    fn alert(&self, course: &mut Course, service: &ServiceName, placement: &Placement, peak: &Amounts, end: bool) {
        if !course.alerted
            && let Some(message) = drift::told(service, placement, peak)
        {
            course.alerted = true;
            tracing::warn!(alert = ALERT, "{message}");
            let (alert, severity, service) = (ALERT.to_owned(), Severity::Warning, Some(service.clone()));
            self.bus.emit(EventKind::AlertRaised { alert, severity, service, message });
        }
        if course.alerted && end {
            self.bus.clear(ALERT, Some(service));
        }
    }
}

impl NeedBook for Book {
    fn need(&mut self, spec: &Arc<ServiceSpec>) -> Need {
        if !takes_part(spec) {
            return Need::nothing();
        }
        let found = self.on_disk(spec);
        let facts = self.facts(spec, &found);
        let peaks = self.peaks(&key_of(spec, &facts));
        need(&facts, &peaks)
    }

    fn measured(&mut self, spec: &Arc<ServiceSpec>, placement: &Placement, peak: &Amounts, end: bool) {
        if !takes_part(spec) {
            return;
        }
        let held = seen(placement, peak);
        let mut course = match self.courses.remove(&spec.name) {
            Some(course) => course,
            None if end => {
                if self.calibrate {
                    self.learn_from_failure(spec, placement, held);
                }
                return;
            }
            // The file may change while it runs; what it has loaded is what lay there when it began.
            None => Course { key: self.key(spec), at: clock::wall(), written: None, alerted: false },
        };
        self.alert(&mut course, &spec.name, placement, peak, end);
        if self.calibrate {
            let run = Run { at: course.at, peak: held };
            let taken_in = self.learn(&course.key, run);
            if taken_in && course.written.is_none_or(|written| worth_writing(&written, &held, end)) {
                self.write(spec, &course.key, run);
                course.written = Some(held);
            }
        }
        if !end {
            self.courses.insert(spec.name.clone(), course);
        }
    }

    fn capacities(&mut self, cards: &[u64], ram: u64) {
        if self.cards.as_deref() != Some(cards) {
            self.cards = Some(cards.to_vec());
        }
        self.ram = Some(ram);
    }
}

/// Under which key the runs of this service are remembered.
fn key_of(spec: &Arc<ServiceSpec>, facts: &Facts<'_>) -> String {
    let expected = spec.worker.as_ref().map(|_| {
        let need = need(facts, &[]);
        let vram = match need.vram {
            VramNeed::Bytes(bytes) => bytes,
            VramNeed::None | VramNeed::WholeCard | VramNeed::Layers(_) => 0,
        };
        Sides { vram, ram: need.ram }
    });
    key(spec, facts.model.as_ref(), facts.on_card(), expected)
}

/// What was held, as it is remembered.
fn seen(placement: &Placement, amounts: &Amounts) -> Peak {
    let vram = (!amounts.vram.is_empty()).then(|| amounts.total_vram());
    Peak { layers: placement.gpu_layers, vram, ram: amounts.ram }
}

/// The most that runs held that were placed like this one.
fn most_alike(peaks: &[Peak], like: &Peak) -> Option<Peak> {
    most(&peaks.iter().copied().filter(|known| known.layers == like.layers).collect::<Vec<_>>())
}

fn worth_writing(written: &Peak, held: &Peak, end: bool) -> bool {
    let grown = |now: u64, before: u64| now > before.saturating_add(if end { 0 } else { before / WORTH_WRITING });
    grown(held.ram, written.ram)
        || grown(held.vram.unwrap_or(0), written.vram.unwrap_or(0))
        || held.vram.is_some() && written.vram.is_none()
}

/// Looks into the file only if it is not what it was.
fn look_again(path: &Path, before: Option<Looked>, at: Instant) -> Looked {
    let Ok(weighed) = files::weigh(path) else { return Looked { at, file: None, found: None } };
    let same = |known: &ModelFile| (known.size, known.changed) == (weighed.size, weighed.changed);
    if let Some(known) = before.filter(|known| known.file.as_ref().is_some_and(same)) {
        return Looked { at, ..known };
    }
    Looked { at, file: files::look(path).ok(), found: headers(path) }
}

/// A model whose headers make no sense here is reckoned by its size.
fn headers(path: &Path) -> Option<Arc<Found>> {
    match find(path) {
        Ok(found) => Some(Arc::new(found)),
        // Of this kind nobody expects any.
        Err(error) if matches!(error.cause, ReadCause::NoModel) => None,
        Err(error) => {
            tracing::info!(error = %chain(&error), "a model is reckoned by the size of its file");
            None
        }
    }
}

#[cfg(feature = "history")]
fn known(path: &Path) -> Vec<PeakRow> {
    use crate::history_store::HistoryError;
    match HistoryReader::open(path).and_then(|reader| reader.peaks()) {
        Ok(rows) => rows,
        Err(HistoryError::Absent(_)) => Vec::new(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "what earlier runs needed cannot be read and is learned anew");
            Vec::new()
        }
    }
}

/// A build without a history remembers nothing from one runtime to the next.
#[cfg(not(feature = "history"))]
fn known(path: &Path) -> Vec<PeakRow> {
    HistoryReader::open(path).and_then(|reader| reader.peaks()).unwrap_or_default()
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
