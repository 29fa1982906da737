//! A machine with NVIDIA cards that are not there: the library that answers from files (`tests/fake_nvml/nvml.c`),
//! compiled, with the files it answers from.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

/// `NVML_ERROR_DRIVER_NOT_LOADED`.
pub const DRIVER_NOT_LOADED: u32 = 9;
/// `NVML_ERROR_GPU_IS_LOST`.
pub const GPU_IS_LOST: u32 = 15;

/// Cards for one test. Dropping it removes its files; a call that hangs returns then.
pub struct FakeNvml {
    folder: TempDir,
    facts: RefCell<Facts>,
}

/// What the library is to answer.
#[derive(Default)]
struct Facts {
    cards: Vec<FakeCard>,
    strangers: BTreeMap<u32, u64>,
    /// Uses that belong to a process: list, card, bytes, process.
    listed: Vec<(&'static str, u32, u64, u32)>,
    failing: BTreeMap<u32, u32>,
    all_failing: Option<u32>,
    unavailable: bool,
    bare: bool,
    delay: Duration,
}

struct FakeCard {
    total: u64,
    reserved: u64,
    name: String,
}

impl FakeNvml {
    /// Cards with so many bytes each, called `Card 0`, `Card 1`, ...
    #[track_caller]
    pub fn new(totals: &[u64]) -> Self {
        let folder = tempfile::Builder::new().prefix("grnvml").tempdir().expect("a temporary folder");
        compile(&folder.path().join("libnvidia-ml.so.1"));
        fs::create_dir(folder.path().join("alloc")).expect("the test's folder is writable");
        let card = |(n, total): (usize, &u64)| FakeCard { total: *total, reserved: 0, name: format!("Card {n}") };
        let cards = totals.iter().enumerate().map(card).collect();
        let fake = Self { folder, facts: RefCell::new(Facts { cards, ..Facts::default() }) };
        fake.change(|_| {});
        fake
    }

    /// The library, for `resources.nvml_library`.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// `[resources]` with this library in force, as TOML.
    pub fn config(&self) -> String {
        format!("[resources]\ngpu_backend = \"nvml\"\nnvml_library = {:?}\n", self.library())
    }

    /// Where stand-ins say what they hold: for `--vram-dir`.
    pub fn allocations(&self) -> PathBuf {
        self.folder.path().join("alloc")
    }

    /// The UUID of a card.
    pub fn uuid(&self, index: u32) -> String {
        format!("GPU-fake-{index}")
    }

    /// A process holds so much on a card; 0: nothing any more.
    pub fn hold(&self, pid: u32, index: u32, bytes: u64) {
        let file = self.allocations().join(format!("{pid}.{index}"));
        if bytes == 0 { remove(&file) } else { write(&file, &bytes.to_string()) }
    }

    /// What strangers hold on a card whom the driver does not name.
    pub fn strangers(&self, index: u32, bytes: u64) {
        self.change(|facts| {
            facts.strangers.insert(index, bytes);
        });
    }

    /// A stranger's process holds so much on a card.
    pub fn stranger(&self, pid: u32, index: u32, bytes: u64) {
        self.change(|facts| facts.listed.push(("stranger", index, bytes, pid)));
    }

    /// A process draws on a card; this is only in the list of those that do.
    pub fn draws(&self, pid: u32, index: u32, bytes: u64) {
        self.change(|facts| facts.listed.push(("graphics", index, bytes, pid)));
    }

    /// What the driver keeps of a card for itself.
    pub fn reserved(&self, index: u32, bytes: u64) {
        self.change(|facts| facts.cards[index as usize].reserved = bytes);
    }

    /// A card answers with this `nvmlReturn_t`; `None`: it works again.
    pub fn fail(&self, index: u32, code: Option<u32>) {
        self.change(|facts| {
            facts.failing.remove(&index);
            facts.failing.extend(code.map(|code| (index, code)));
        });
    }

    /// Every call answers with this; `None`: they work again.
    pub fn fail_all(&self, code: Option<u32>) {
        self.change(|facts| facts.all_failing = code);
    }

    /// Whether calls hang.
    pub fn hang(&self, hangs: bool) {
        let file = self.folder.path().join("hang");
        if hangs { write(&file, "") } else { remove(&file) }
    }

    /// How long memory takes to come back after its process has ended.
    pub fn delay(&self, delay: Duration) {
        self.change(|facts| facts.delay = delay);
    }

    /// The driver does not tell how much each process uses.
    pub fn unavailable(&self) {
        self.change(|facts| facts.unavailable = true);
    }

    /// The driver tells nothing but memory.
    pub fn bare(&self) {
        self.change(|facts| facts.bare = true);
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts.borrow_mut();
        change(&mut facts);
        write(&self.folder.path().join("state"), &facts.lines().join("\n"));
    }
}

/// All that is held at one moment by those files of [`FakeNvml::allocations`] that count, each by its name `PID.CARD`, with
/// more behind it once its process has ended.
///
/// A moment is when two looks show the same: a single one may see somebody before he leaves, and somebody else after he has
/// come in his place.
pub fn held(allocations: &Path, counts: impl Fn(&str) -> bool) -> u64 {
    let look = || -> BTreeMap<String, u64> {
        let files = fs::read_dir(allocations).into_iter().flatten().flatten();
        let named = files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.path()));
        let bytes = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse().ok();
        named.filter(|(name, _)| counts(name)).filter_map(|(name, file)| Some((name, bytes(file)?))).collect()
    };
    let mut before = look();
    loop {
        let now = look();
        if now == before {
            return now.values().sum();
        }
        before = now;
    }
}

impl Drop for FakeNvml {
    fn drop(&mut self) {
        self.hang(false);
    }
}

impl Facts {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("delay {}", self.delay.as_millis())];
        for (index, FakeCard { total, reserved, name }) in self.cards.iter().enumerate() {
            lines.push(format!("card {index} GPU-fake-{index} {total} {reserved} {name}"));
        }
        lines.extend(self.strangers.iter().map(|(index, bytes)| format!("stranger {index} {bytes} 0")));
        lines.extend(self.listed.iter().map(|(list, index, bytes, pid)| format!("{list} {index} {bytes} {pid}")));
        lines.extend(self.failing.iter().map(|(index, code)| format!("fail {index} {code}")));
        lines.extend(self.all_failing.map(|code| format!("fail all {code}")));
        lines.extend(self.unavailable.then(|| "unavailable".to_owned()));
        lines.extend(self.bare.then(|| "bare".to_owned()));
        lines.push(String::new());
        lines
    }
}

/// Whole or not at all: the library may read at any moment. The name meanwhile is none that it looks at.
#[track_caller]
fn write(file: &Path, text: &str) {
    let new = file.with_file_name(format!("new-{}", file.file_name().expect("a name").to_string_lossy()));
    fs::write(&new, text).and_then(|()| fs::rename(&new, file)).expect("the test's folder is writable");
}

#[track_caller]
fn remove(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", file.display()),
        _ => {}
    }
}

#[track_caller]
fn compile(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_nvml/nvml.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).arg("-ldl");
    let output = command.output().unwrap_or_else(|error| {
        panic!("this test needs a C compiler called `cc`, for the stand-in of NVIDIA's library: {error}")
    });
    assert!(output.status.success(), "cc failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
