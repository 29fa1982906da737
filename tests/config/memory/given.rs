//! Texts about memory, and what is said of them.

use greenroom::{actors::spec::MemorySpec, config::Problem};

use crate::folder::{Folder, service};

pub const GIB: u64 = 1 << 30;

pub fn folder(text: &str) -> Folder {
    Folder::toml(text)
}

/// What is said of a service with these lines.
pub fn problems(lines: &str) -> Vec<String> {
    folder(&format!("[service.a]\ncommand = \"sleep ${{port}}\"\n{lines}")).problems()
}

/// The problems with what to do about them, of a text.
pub fn helps(text: &str) -> Vec<String> {
    let errors = folder(text).load().map(|_| ()).expect_err("it should not be taken");
    errors.0.iter().map(|problem| problem.help.clone().unwrap_or_default()).collect()
}

pub fn warnings(text: &str) -> Vec<String> {
    let folder = folder(text);
    let place = format!("{}/", folder.dir.path().display());
    let told = |w: &Problem| format!("{} {}", w.place, w.message).replace(&place, "");
    folder.loaded().warnings.iter().map(told).collect()
}

pub fn memory(lines: &str) -> MemorySpec {
    let loaded = folder(&format!("[service.a]\ncommand = \"sleep ${{port}}\"\n{lines}")).loaded();
    service(&loaded.spec, "a").memory.clone()
}
