//! A real stable-diffusion.cpp, compiled on first use.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::fetched;

/// The sources of the program lie in the package of its Python binding; pip brings the cmake that builds them.
const PACKAGE: &str = "stable-diffusion-cpp-python==0.4.7";
/// Where it is kept in the cache; named after the version, so that another one is built anew.
const FOLDER: &str = "engines/stable-diffusion-0.4.7";

/// The folder of `bin/sd-cli` and `lib/libstable-diffusion.so`, or `None` with a note in the test's output when
/// `GREENROOM_TEST_OFFLINE=1` leaves it out. The first call on a machine compiles for some minutes.
pub fn folder() -> Option<&'static Path> {
    if fetched::is_left_out("a real stable-diffusion.cpp") {
        return None;
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Some(BUILT.get_or_init(|| {
        let folder = fetched::once(FOLDER, build);
        let program = folder.join("bin/sd-cli");
        assert!(program.exists(), "{PACKAGE} has no {}", program.display());
        folder
    }))
}

/// For any CPU, without a GPU. At the lowest priority: it takes every core for minutes.
fn build(folder: &Path) {
    let mut command = Command::new("nice");
    command.args([
        "-n",
        "19",
        "python3",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    command.args(["--no-binary", "stable-diffusion-cpp-python", "--target"]).arg(folder).arg(PACKAGE);
    command.env("CMAKE_ARGS", "-DSD_BUILD_EXAMPLES=ON -DGGML_NATIVE=OFF");
    let cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    fetched::run(command.env("CMAKE_BUILD_PARALLEL_LEVEL", cores));
}
