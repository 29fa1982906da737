//! The backend: the files of sysfs as cards.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::fdinfo::{self, Client};
use crate::{
    ids::Pid,
    memory::GpuId,
    os::gpu::{Card, CardState, GpuError, Gpus},
};

const NAME: &str = "amdgpu";

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/sys/class/drm`.
    pub drm: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { drm: "/sys/class/drm".into(), proc: "/proc".into() }
    }
}

/// AMD's cards.
#[derive(Debug)]
pub struct AmdGpus {
    proc: PathBuf,
    known: Vec<Known>,
    watched: Vec<Pid>,
}

/// A card as it was at the start.
#[derive(Debug)]
struct Known {
    /// `/sys/class/drm/cardN/device`.
    folder: PathBuf,
    /// Its PCI address.
    address: String,
    id: GpuId,
    name: String,
    total: u64,
}

impl AmdGpus {
    /// Looks for cards.
    ///
    /// # Errors
    /// [`GpuError::Absent`] when there is none.
    pub fn open(roots: &Roots) -> Result<Self, GpuError> {
        let mut folders = cards(&roots.drm);
        folders.sort_unstable();
        let known: Vec<Known> = folders.into_iter().filter_map(|(_, folder)| identify(folder)).collect();
        if known.is_empty() {
            let problem = "no card of the amdgpu driver in /sys/class/drm: install the driver, or pass the card into \
                           the container (--device /dev/kfd --device /dev/dri)";
            return Err(GpuError::Absent { backend: NAME, problem: problem.to_owned() });
        }
        Ok(Self { proc: roots.proc.clone(), known, watched: Vec::new() })
    }

    /// What a process has open; nothing when it is gone or belongs to somebody else.
    fn clients(&self, pid: Pid) -> Vec<Client> {
        let files = fs::read_dir(self.proc.join(format!("{pid}/fdinfo"))).into_iter().flatten().flatten();
        files.filter_map(|file| fdinfo::parse(&fs::read_to_string(file.path()).ok()?)).collect()
    }
}

impl Gpus for AmdGpus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn watch(&mut self, pids: &[Pid]) {
        self.watched = pids.to_vec();
    }

    fn read(&mut self) -> Result<Vec<Card>, GpuError> {
        let clients: Vec<(Pid, Vec<Client>)> = self.watched.iter().map(|pid| (*pid, self.clients(*pid))).collect();
        let card = |(index, known): (u32, &Known)| match number(&known.folder, "mem_info_vram_used") {
            Ok(used) => works(index, known, used, &clients),
            Err(error) => Card::lost(&works(index, known, 0, &[]), format!("mem_info_vram_used: {error}")),
        };
        Ok((0..).zip(&self.known).map(card).collect())
    }
}

fn works(index: u32, known: &Known, used: u64, clients: &[(Pid, Vec<Client>)]) -> Card {
    let on_card = |(pid, clients): &(Pid, Vec<Client>)| Some((*pid, fdinfo::on_card(clients, &known.address)));
    let processes = clients.iter().filter_map(on_card).filter(|(_, bytes)| bytes.is_some()).collect();
    Card {
        id: known.id.clone(),
        index,
        name: known.name.clone(),
        total: known.total,
        used: Some(used),
        processes,
        utilization: number(&known.folder, "gpu_busy_percent").ok().and_then(|percent| u32::try_from(percent).ok()),
        temperature: temperature(&known.folder),
        state: CardState::Works,
    }
}

/// `cardN` and not its outputs, which are called `cardN-DP-1`; with their numbers.
fn cards(drm: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(drm).into_iter().flatten().flatten();
    let card = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
        Some((number, entry.path().join("device")))
    };
    entries.filter_map(card).collect()
}

/// `None` for cards of other drivers, which do not have these files.
fn identify(folder: PathBuf) -> Option<Known> {
    let total = number(&folder, "mem_info_vram_total").ok()?;
    let uevent = text(&folder, "uevent").unwrap_or_default();
    let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let address = value("PCI_SLOT_NAME").unwrap_or_default().to_ascii_lowercase();
    // Only some cards have these two (Vega and later; server cards).
    let unique = text(&folder, "unique_id").filter(|id| !id.is_empty());
    let product = text(&folder, "product_name").filter(|name| !name.is_empty());
    let id = GpuId(format!("{NAME}-{}", unique.as_deref().unwrap_or(&address)));
    let name = product.unwrap_or_else(|| format!("AMD {}", value("PCI_ID").unwrap_or("card")));
    Some(Known { folder, address, id, name, total })
}

fn text(folder: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(folder.join(file)).ok()?.trim().to_owned())
}

fn number(folder: &Path, file: &str) -> io::Result<u64> {
    fs::read_to_string(folder.join(file))?
        .trim()
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The first sensor, at the edge of the chip, in thousandths of a degree.
fn temperature(folder: &Path) -> Option<u32> {
    let monitor = fs::read_dir(folder.join("hwmon")).ok()?.flatten().next()?.path();
    number(&monitor, "temp1_input").ok().and_then(|milli| u32::try_from(milli / 1000).ok())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A made-up machine.
    struct Tree(TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }

        fn card(&self, number: u32, address: &str, total: u64, used: u64) -> String {
            let device = format!("drm/card{number}/device");
            self.write(&format!("{device}/mem_info_vram_total"), &format!("{total}\n"));
            self.write(&format!("{device}/mem_info_vram_used"), &format!("{used}\n"));
            self.write(
                &format!("{device}/uevent"),
                &format!("DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME={address}\n"),
            );
            device
        }

        fn opened(&self, pid: u32, fd: u32, client: u64, address: &str, kib: u64) {
            let text = format!(
                "drm-driver:\tamdgpu\ndrm-client-id:\t{client}\ndrm-pdev:\t{address}\ndrm-memory-vram:\t{kib} KiB\n"
            );
            self.write(&format!("proc/{pid}/fdinfo/{fd}"), &text);
        }

        fn open(&self) -> Result<AmdGpus, GpuError> {
            AmdGpus::open(&Roots { drm: self.0.path().join("drm"), proc: self.0.path().join("proc") })
        }
    }

    #[test]
    fn cards_are_read_with_the_use_of_the_processes_that_are_asked_about() {
        let tree = Tree::new();
        let first = tree.card(1, "0000:03:00.0", 16 << 30, 5 << 30);
        tree.card(10, "0000:83:00.0", 24 << 30, 1 << 20);
        tree.write(&format!("{first}/unique_id"), "d4b0a3b1c9e8f123\n");
        tree.write(&format!("{first}/product_name"), "Instinct MI50\n");
        tree.write(&format!("{first}/gpu_busy_percent"), "42\n");
        tree.write(&format!("{first}/hwmon/hwmon3/temp1_input"), "61000\n");
        // An output, and the card of another driver.
        tree.write("drm/card1-DP-1/status", "connected\n");
        tree.write("drm/card0/device/uevent", "DRIVER=ast\n");
        tree.opened(700, 4, 11, "0000:03:00.0", 1 << 20);
        tree.opened(700, 5, 11, "0000:03:00.0", 1 << 20);
        tree.opened(700, 6, 12, "0000:83:00.0", 7);
        tree.opened(701, 4, 13, "0000:03:00.0", 1);

        let mut gpus = tree.open().expect("two cards");
        gpus.watch(&[Pid(700), Pid(702)]);
        let cards = gpus.read().expect("files are there");
        let shown: Vec<_> = cards.iter().map(|c| (c.id.0.as_str(), c.index, c.name.as_str(), c.used)).collect();
        assert_eq!(
            shown,
            [
                ("amdgpu-d4b0a3b1c9e8f123", 0, "Instinct MI50", Some(5 << 30)),
                ("amdgpu-0000:83:00.0", 1, "AMD 1002:744C", Some(1 << 20)),
            ]
        );
        assert_eq!(cards[0].processes, [(Pid(700), Some(1 << 30))]);
        assert_eq!(cards[1].processes, [(Pid(700), Some(7 << 10))]);
        assert_eq!((cards[0].utilization, cards[0].temperature), (Some(42), Some(61)));
        assert_eq!((cards[1].utilization, cards[1].temperature), (None, None));
    }

    #[test]
    fn a_card_whose_files_go_is_lost_and_the_other_works() {
        let tree = Tree::new();
        let first = tree.card(0, "0000:03:00.0", 16 << 30, 1);
        tree.card(1, "0000:83:00.0", 24 << 30, 2);
        let mut gpus = tree.open().expect("two cards");
        fs::remove_dir_all(tree.0.path().join(&first)).expect("removed");
        let cards = gpus.read().expect("the other one is there");
        let CardState::Lost(problem) = &cards[0].state else { panic!("{cards:?}") };
        assert!(problem.contains("mem_info_vram_used"), "{problem}");
        assert_eq!((cards[0].total, cards[0].used, cards[1].used), (16 << 30, None, Some(2)));
        assert_eq!(cards[1].state, CardState::Works);
        tree.card(0, "0000:03:00.0", 16 << 30, 3);
        assert_eq!(gpus.read().expect("both").first().and_then(|card| card.used), Some(3));
    }

    #[test]
    fn no_card_is_absent() {
        assert!(matches!(Tree::new().open(), Err(GpuError::Absent { backend: "amdgpu", .. })));
    }
}
