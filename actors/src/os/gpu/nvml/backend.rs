//! The backend: NVML's answers as cards.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use nvml_wrapper::{
    Device, Nvml, enum_wrappers::device::TemperatureSensor, enums::device::UsedGpuMemory, error::NvmlError,
    struct_wrappers::device::ProcessInfo,
};

use super::verdict;
use crate::{
    ids::Pid,
    memory::GpuId,
    os::{
        clock,
        gpu::{Card, CardState, GpuError, Gpus},
    },
};

/// Between two tries to begin the library anew: it opens a shared object and device files each time.
const TRY_ANEW: Duration = Duration::from_secs(1);
/// The list of processes can grow between the question how long it is and the list itself.
const LIST_TRIES: usize = 3;

/// NVIDIA's cards.
#[derive(Debug)]
pub struct NvmlGpus {
    library: String,
    nvml: Option<Nvml>,
    known: Vec<Known>,
    failed: Option<Failure>,
}

/// The driver as a whole does not work.
#[derive(Debug)]
struct Failure {
    error: GpuError,
    try_anew_at: Instant,
}

/// A card as it was when it was seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// Its place in the driver's list now; `None` when it is not in it any more.
    place: Option<u32>,
    /// Its place in the list when it was seen first: what people know it by.
    index: u32,
    id: GpuId,
    name: String,
    total: u64,
    /// Whether it has ever said who it is.
    identified: bool,
}

impl NvmlGpus {
    /// Loads the library and lists the cards. May hang.
    ///
    /// # Errors
    /// [`GpuError::Absent`] without library, driver or card; [`GpuError::Failed`] when they do not work.
    pub fn open(library: &str) -> Result<Self, GpuError> {
        let (nvml, known) = begin(library)?;
        if known.is_empty() {
            return Err(verdict::no_card());
        }
        Ok(Self { library: library.to_owned(), nvml: Some(nvml), known, failed: None })
    }

    /// Takes the library that works, or begins it anew, no more often than [`TRY_ANEW`].
    fn take(&mut self) -> Result<Nvml, GpuError> {
        if let Some(nvml) = self.nvml.take() {
            return Ok(nvml);
        }
        if let Some(failure) = self.failed.as_ref().filter(|failure| clock::now() < failure.try_anew_at) {
            return Err(failure.error.clone());
        }
        let (nvml, found) = begin(&self.library)?;
        meet_again(&mut self.known, found);
        Ok(nvml)
    }

    fn ask(&mut self) -> Result<Vec<Card>, GpuError> {
        let nvml = self.take()?;
        let cards = read_all(&nvml, &mut self.known).map_err(|error| verdict::of_driver(&error))?;
        self.nvml = Some(nvml);
        Ok(cards)
    }
}

impl Gpus for NvmlGpus {
    fn name(&self) -> &'static str {
        verdict::NAME
    }

    fn read(&mut self) -> Result<Vec<Card>, GpuError> {
        let answer = self.ask();
        let again = |failure: &Failure, error: &GpuError| failure.error == *error && clock::now() < failure.try_anew_at;
        match &answer {
            Ok(_) => self.failed = None,
            Err(error) if self.failed.as_ref().is_some_and(|failure| again(failure, error)) => {}
            Err(error) => self.failed = Some(Failure { error: error.clone(), try_anew_at: clock::now() + TRY_ANEW }),
        }
        answer
    }
}

fn begin(library: &str) -> Result<(Nvml, Vec<Known>), GpuError> {
    let opening = |error: NvmlError| verdict::of_opening(library, &error);
    let nvml = Nvml::builder().lib_path(library.as_ref()).init().map_err(opening)?;
    let count = nvml.device_count().map_err(opening)?;
    let known = (0..count).map(|place| identify(&nvml, place).unwrap_or_else(|_| nameless(place))).collect();
    Ok((nvml, known))
}

fn identify(nvml: &Nvml, place: u32) -> Result<Known, NvmlError> {
    let device = nvml.device_by_index(place)?;
    let (id, name, total) = (GpuId(device.uuid()?), device.name()?, device.memory_info()?.total);
    Ok(Known { place: Some(place), index: place, id, name, total, identified: true })
}

/// A card that does not say who it is.
fn nameless(place: u32) -> Known {
    let (id, name) = (GpuId(format!("nvml-{place}")), format!("card {place}"));
    Known { place: Some(place), index: place, id, name, total: 0, identified: false }
}

/// After the library was begun anew: who is where now. Those that are gone stay known, without a place.
fn meet_again(known: &mut Vec<Known>, found: Vec<Known>) {
    known.retain(|card| card.identified);
    for card in &mut *known {
        card.place = None;
    }
    for new in found {
        match known.iter_mut().find(|card| card.id == new.id) {
            Some(card) => card.place = new.place,
            None => {
                let taken = known.iter().any(|card| card.index == new.index);
                let next = known.iter().map(|card| card.index + 1).max().unwrap_or(0);
                known.push(Known { index: if taken { next } else { new.index }, ..new });
            }
        }
    }
}

/// An error is one of the driver as a whole.
fn read_all(nvml: &Nvml, known: &mut [Known]) -> Result<Vec<Card>, NvmlError> {
    // Fails when the driver does, also where no card is known by a place.
    nvml.device_count()?;
    let mut cards = Vec::with_capacity(known.len());
    for card in known {
        cards.push(match read_card(nvml, card) {
            Ok(read) => read,
            Err(error) if verdict::is_of_driver(&error) => return Err(error),
            Err(error) => lost(card, error.to_string()),
        });
    }
    Ok(cards)
}

fn read_card(nvml: &Nvml, known: &mut Known) -> Result<Card, NvmlError> {
    let Some(place) = known.place else {
        return Ok(lost(known, "the driver does not list it any more".to_owned()));
    };
    if !known.identified {
        *known = identify(nvml, place)?;
    }
    let device = nvml.device_by_index(place)?;
    let memory = device.memory_info()?;
    Ok(Card {
        id: known.id.clone(),
        index: known.index,
        name: known.name.clone(),
        total: memory.total,
        // Not `memory.used`: what the driver keeps for itself (`reserved`) is not to be had either.
        used: Some(memory.total.saturating_sub(memory.free)),
        processes: processes(&device)?,
        utilization: optional(device.utilization_rates())?.map(|rates| rates.gpu),
        temperature: optional(device.temperature(TemperatureSensor::Gpu))?,
        state: CardState::Works,
    })
}

fn lost(known: &Known, problem: String) -> Card {
    Card {
        id: known.id.clone(),
        index: known.index,
        name: known.name.clone(),
        total: known.total,
        used: None,
        processes: Vec::new(),
        utilization: None,
        temperature: None,
        state: CardState::Lost(problem),
    }
}

/// A figure that not every card has.
fn optional<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match answer {
        Ok(figure) => Ok(Some(figure)),
        Err(error) if verdict::is_fatal(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Those that compute and those that draw. One that does both is in both lists, each time with all that it uses.
fn processes(device: &Device<'_>) -> Result<Vec<(Pid, Option<u64>)>, NvmlError> {
    let compute = list(|| device.running_compute_processes())?;
    let graphics = list(|| device.running_graphics_processes())?;
    Ok(merge(compute.into_iter().chain(graphics)))
}

fn list(ask: impl Fn() -> Result<Vec<ProcessInfo>, NvmlError>) -> Result<Vec<ProcessInfo>, NvmlError> {
    let mut answer = ask();
    for _ in 1..LIST_TRIES {
        if !matches!(answer, Err(NvmlError::InsufficientSize(_))) {
            break;
        }
        answer = ask();
    }
    Ok(optional(answer)?.unwrap_or_default())
}

/// Each process once, with the larger figure.
fn merge(listed: impl Iterator<Item = ProcessInfo>) -> Vec<(Pid, Option<u64>)> {
    let mut merged: BTreeMap<Pid, Option<u64>> = BTreeMap::new();
    for process in listed {
        let used = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        let figure = merged.entry(Pid(process.pid)).or_default();
        *figure = (*figure).max(used);
    }
    merged.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, used_gpu_memory: UsedGpuMemory) -> ProcessInfo {
        ProcessInfo { pid, used_gpu_memory, gpu_instance_id: None, compute_instance_id: None }
    }

    #[test]
    fn a_process_in_both_lists_counts_once_with_the_larger_figure() {
        let listed = [
            process(1, UsedGpuMemory::Used(5)),
            process(2, UsedGpuMemory::Unavailable),
            process(1, UsedGpuMemory::Used(9)),
            process(3, UsedGpuMemory::Unavailable),
            process(3, UsedGpuMemory::Used(0)),
        ];
        assert_eq!(merge(listed.into_iter()), [(Pid(1), Some(9)), (Pid(2), None), (Pid(3), Some(0))]);
    }

    fn known(place: u32, id: &str) -> Known {
        let id = GpuId(id.to_owned());
        Known { place: Some(place), index: place, id, name: "card".to_owned(), total: 1, identified: true }
    }

    #[test]
    fn cards_that_change_places_keep_who_they_are() {
        let mut cards = vec![known(0, "a"), known(1, "b"), nameless(2)];
        meet_again(&mut cards, vec![known(0, "b"), known(1, "c")]);
        let places: Vec<_> = cards.iter().map(|card| (card.id.0.as_str(), card.place, card.index)).collect();
        assert_eq!(places, [("a", None, 0), ("b", Some(0), 1), ("c", Some(1), 2)]);
    }
}
