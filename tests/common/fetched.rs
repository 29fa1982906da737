//! What tests fetch from a package registry on first use, kept in the user's cache folder: another clone, and a machine
//! that has lost its registries since, find it there.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{FlockOperation, flock};

use super::wait::note;

/// Whether `GREENROOM_TEST_OFFLINE=1` leaves out what has to be fetched; says so in the test's output.
pub fn is_left_out(what: &str) -> bool {
    let offline = env::var("GREENROOM_TEST_OFFLINE").is_ok_and(|value| value == "1");
    if offline {
        note(&format!("left out: GREENROOM_TEST_OFFLINE=1, and this test needs {what}"));
    }
    offline
}

/// The folder `name` of the cache, filled by `install` unless that has been done. Several test binaries may come
/// here at once; half of an earlier try is removed.
pub fn once(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = cache().join(name);
    fs::create_dir_all(folder.parent().expect("a folder of the cache")).expect("the cache is writable");
    // The lock goes with the process, however it ends.
    let lock = fs::File::create(cache().join(format!("{name}.lock"))).expect("a lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let complete = folder.join(".complete");
    if complete.exists() {
        return folder;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("half of an earlier download can be removed");
    }
    fs::create_dir_all(&folder).expect("the cache is writable");
    install(&folder);
    fs::write(complete, "").expect("the folder is writable");
    folder
}

/// Installs Python packages into `folder`, exactly those named: each argument is one of pip's.
pub fn pip(folder: &Path, packages: &[&OsStr]) {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    run(command.arg(folder).args(packages));
}

/// Runs a command that fetches something; any obstacle fails the test.
pub fn run(command: &mut Command) {
    let offline = "GREENROOM_TEST_OFFLINE=1 leaves these tests out";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run ({error}); {offline}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed; {offline}:\n{said}");
}

/// `$XDG_CACHE_HOME/greenroom-tests`, else `~/.cache/greenroom-tests`, else `target/`, as seen from the binary under
/// test (`target/debug/greenroom`).
fn cache() -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    match caches {
        Some(caches) => caches.join("greenroom-tests"),
        None => {
            let binary = Path::new(env!("CARGO_BIN_EXE_greenroom"));
            binary.ancestors().nth(2).expect("the binary lies two folders below the root of the build").to_owned()
        }
    }
}
