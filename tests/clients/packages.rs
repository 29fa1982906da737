//! The official clients, fetched on first use, and their scripts run.

use std::{
    ffi::OsStr,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use crate::common::{fetched, note};

/// The Python packages, each of one version.
const PYTHON: &str = include_str!("requirements.txt");
/// The package for Node. It needs no other.
const NODE: &str = "openai@7.57.0";

/// What a client's script prints; `None`, with a note, where these tests are left out.
pub fn python(script: &str, given: &Value) -> Option<Value> {
    if fetched::is_left_out("packages for Python") {
        return None;
    }
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    let packages = PACKAGES.get_or_init(|| {
        // Some of them are compiled for one version of Python.
        let version = said(Command::new("python3").args(["-c", "import sys; print(sys.implementation.cache_tag)"]));
        fetched::once(&format!("clients/{}-{:016x}", version.trim(), digest(PYTHON)), |folder| {
            fetched::pip(folder, &["-r".as_ref(), file("requirements.txt").as_ref()]);
        })
    });
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).arg(file(script)).arg(given.to_string());
    Some(json(&mut command))
}

/// The same for a script of Node.
pub fn node(script: &str, given: &Value) -> Option<Value> {
    if fetched::is_left_out("packages for Node") {
        return None;
    }
    if ["node", "npm"].iter().any(|program| Command::new(program).arg("--version").output().is_err()) {
        note("not run: there is no Node with npm on this machine");
        return None;
    }
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    let packages = PACKAGES.get_or_init(|| {
        fetched::once(&format!("clients/node-{NODE}"), |folder| {
            let mut command = Command::new("npm");
            command.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
            fetched::run(command.arg(folder).arg(NODE));
        })
    });
    let mut command = Command::new("node");
    let library = packages.join("node_modules/openai/index.mjs");
    command.arg(file(script)).arg(library).arg(given.to_string());
    Some(json(&mut command))
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[track_caller]
fn json(command: &mut Command) -> Value {
    // A proxy of the machine that runs the tests is not asked for what is on the machine itself.
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let said = said(command);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("not JSON ({error}): {said}"))
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let program: &OsStr = command.get_program();
    assert!(output.status.success(), "{program:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
