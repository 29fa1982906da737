//! The cards: which backend finds them, how full they are, what is missing.

use std::{path::Path, sync::mpsc, thread, time::Duration};

use super::{Finding, FindingState};
use crate::{
    os::gpu::{Card, CardState, GpuError, sampler::THREAD, select::select},
    spec::{GpuBackend, ResourcesSpec},
    units::ByteSize,
};

const NAME: &str = "gpu";
/// The longest wait for a driver.
const PATIENCE: Duration = Duration::from_secs(3);
/// Files that the drivers of the known makers show.
const DRIVER_FILES: [(&str, &str); 4] = [
    ("NVIDIA", "/dev/nvidiactl"),
    ("NVIDIA under WSL2", "/dev/dxg"),
    ("AMD", "/dev/kfd"),
    ("some maker's", "/dev/dri/renderD128"),
];

/// What a backend has answered.
#[derive(Debug)]
struct Answer {
    backend: &'static str,
    passed_over: Vec<GpuError>,
    cards: Result<Vec<Card>, GpuError>,
}

/// Asks the drivers, for 3 s at most.
pub(super) fn look(spec: &ResourcesSpec) -> Finding {
    let (tell, answer) = mpsc::channel();
    let resources = spec.clone();
    let ask = move || {
        let answer = select(&resources).map(|mut selected| Answer {
            backend: selected.gpus.name(),
            passed_over: selected.passed_over,
            cards: selected.gpus.read(),
        });
        // Nobody listens any more when it took too long.
        tell.send(answer).ok();
    };
    // A thread that hangs in a driver stays behind; the process can end without it.
    if let Err(error) = thread::Builder::new().name(THREAD.to_owned()).spawn(ask) {
        return broken(format!("no thread to ask on: {error}"));
    }
    match answer.recv_timeout(PATIENCE) {
        Ok(answer) => finding(spec.backend, answer, &driver_files()),
        Err(_) => hung(),
    }
}

fn driver_files() -> Vec<&'static str> {
    DRIVER_FILES.iter().filter(|(_, file)| Path::new(file).exists()).map(|(maker, _)| *maker).collect()
}

fn finding(wanted: GpuBackend, answer: Result<Answer, GpuError>, files: &[&str]) -> Finding {
    let Answer { backend, passed_over, cards } = match answer {
        Ok(answer) => answer,
        Err(error) => return refused(&error),
    };
    let cards = match cards {
        Ok(cards) => cards,
        Err(error) => return broken(error.to_string()),
    };
    let told_errors = || passed_over.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let told = format!("{backend}: {}", cards.iter().map(tell).collect::<Vec<_>>().join("; "));
    let failed = passed_over.iter().find(|error| matches!(error, GpuError::Failed { .. }));
    match backend {
        "none" if wanted == GpuBackend::None => Finding::ok(NAME, "none, as resources.gpu_backend says"),
        "none" => nothing(told_errors(), files),
        _ if failed.is_some() => broken(told_errors()),
        "declared" => Finding {
            limit: Some(
                "nobody measures declared cards: what other programs use is not seen, and memory counts as free as \
                 soon as its holder has ended"
                    .to_owned(),
            ),
            ..Finding::ok(NAME, told)
        },
        _ if cards.iter().any(|card| card.state != CardState::Works) => Finding::lacking(
            NAME,
            FindingState::Degraded,
            told,
            "nothing is placed on a card that is lost",
            "look at the kernel log (`dmesg`; with NVIDIA: NVRM, Xid) and reset the card, or reboot",
        ),
        _ => Finding { limit: unnamed(&cards), ..Finding::ok(NAME, told) },
    }
}

/// `0 NVIDIA L4 (GPU-..), 22GiB of 24GiB free`.
fn tell(card: &Card) -> String {
    let Card { index, name, id, total, .. } = card;
    let total = ByteSize(*total);
    match (&card.state, card.used) {
        (CardState::Lost(problem), _) => format!("{index} {name} ({id}) is lost: {problem}"),
        (CardState::Works, Some(used)) => {
            format!("{index} {name} ({id}), {} of {total} free", ByteSize(card.total.saturating_sub(used)))
        }
        (CardState::Works, None) => format!("{index} {name} ({id}), {total}"),
    }
}

/// Where processes are listed without their use.
fn unnamed(cards: &[Card]) -> Option<String> {
    let is_untold = cards.iter().flat_map(|card| &card.processes).any(|(_, used)| used.is_none());
    is_untold.then(|| {
        "the driver does not tell how much each process uses (as in containers, under WSL and with MIG): what a service \
         takes is learned from the sum before and after"
            .to_owned()
    })
}

fn nothing(mut detail: String, files: &[&str]) -> Finding {
    if !files.is_empty() {
        detail = format!("{detail}; in /dev there are files of: {}", files.join(", "));
    }
    Finding::lacking(
        NAME,
        FindingState::Degraded,
        format!("no card. {detail}"),
        "services run on the processor",
        "install the driver; in a container, pass the devices in (--gpus all, or --device); describe a card that has no \
         telemetry in [[resources.gpu]]",
    )
}

fn refused(error: &GpuError) -> Finding {
    Finding::lacking(
        NAME,
        FindingState::Missing,
        error.to_string(),
        "the runtime does not start",
        "see there, or set resources.gpu_backend to \"auto\", which takes what there is",
    )
}

fn broken(detail: String) -> Finding {
    Finding::lacking(
        NAME,
        FindingState::Degraded,
        detail,
        "nothing is placed on its cards",
        "look at the kernel log (`dmesg`); install the driver anew, or reboot",
    )
}

fn hung() -> Finding {
    Finding::lacking(
        NAME,
        FindingState::Missing,
        format!("the driver has not answered for {} s", PATIENCE.as_secs()),
        "nothing is placed on its cards until it answers",
        "look at the kernel log (`dmesg`; with NVIDIA: NVRM, Xid) and reset the card, or reboot",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Pid, spec::DeclaredCard};

    fn card(state: CardState, process: Option<u64>) -> Card {
        Card { processes: vec![(Pid(7), process)], state, ..Card::sample() }
    }

    fn found(backend: &'static str, passed_over: Vec<GpuError>, cards: Vec<Card>) -> Finding {
        finding(GpuBackend::Auto, Ok(Answer { backend, passed_over, cards: Ok(cards) }), &["AMD"])
    }

    #[test]
    fn cards_are_shown_with_what_is_free() {
        let works = found("nvml", Vec::new(), vec![card(CardState::Works, Some(1))]);
        assert_eq!(
            (works.state, works.detail.as_str()),
            (FindingState::Ok, "nvml: 0 a card (GPU-1), 7GiB of 8GiB free")
        );
        assert_eq!(works.limit, None);
        let untold = found("nvml", Vec::new(), vec![card(CardState::Works, None)]);
        assert!(untold.state == FindingState::Ok && untold.limit.is_some(), "{untold:?}");
        let lost = found("nvml", Vec::new(), vec![card(CardState::Lost("off the bus".to_owned()), None)]);
        assert!(lost.state == FindingState::Degraded && lost.detail.contains("off the bus"), "{lost:?}");
    }

    #[test]
    fn what_is_missing_and_what_is_broken_are_told() {
        let absent = GpuError::Absent { backend: "nvml", problem: "no library".to_owned() };
        let failed = GpuError::Failed { backend: "nvml", problem: "two versions".to_owned() };
        let none = found("none", vec![absent.clone()], Vec::new());
        assert_eq!(none.detail, "no card. nvml: no library; in /dev there are files of: AMD");
        let broken = found("declared", vec![failed], vec![card(CardState::Works, None)]);
        assert!(broken.state == FindingState::Degraded && broken.detail.contains("two versions"), "{broken:?}");
        assert_eq!(finding(GpuBackend::Nvml, Err(absent), &[]).state, FindingState::Missing);
    }

    #[test]
    fn declared_cards_and_none_are_as_they_should_be() {
        let declared = vec![DeclaredCard { name: "left".to_owned(), memory: ByteSize(8 << 30) }];
        let spec = ResourcesSpec { backend: GpuBackend::Declared, declared, ..ResourcesSpec::default() };
        let finding = look(&spec);
        assert_eq!((finding.state, finding.detail.as_str()), (FindingState::Ok, "declared: 0 left (declared-0), 8GiB"));
        assert!(finding.limit.is_some());
        let none = look(&ResourcesSpec { backend: GpuBackend::None, ..spec });
        assert_eq!((none.state, none.limit), (FindingState::Ok, None));
    }
}
