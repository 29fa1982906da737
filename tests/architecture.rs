//! The shape of the code base, held by tests: pure files touch nothing outside, rooms import only downwards, files stay
//! readable.

#[path = "architecture/lists.rs"]
mod lists;

use std::{
    fs,
    path::{Path, PathBuf},
};

use lists::{LEVELS, OUTSIDE, PURE};

/// Past this there are two concerns in a file; tests, at its end or in a `_tests.rs` beside it, are not counted.
const LONGEST: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file at or below `path`.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().flat_map(|e| rust_files(&e.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "rs"));
    files.sort();
    files
}

/// The code of a file without its unit tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pure_files_touch_nothing_outside() {
    let mut broken = Vec::new();
    for pure in PURE {
        let files = rust_files(&root().join(pure));
        assert!(!files.is_empty(), "{pure} is named as pure and is not there");
        for file in files {
            let code = code(&file);
            broken.extend(
                OUTSIDE.iter().filter(|word| code.contains(**word)).map(|w| format!("{}: {w}", file.display())),
            );
        }
    }
    assert!(broken.is_empty(), "pure files name the outside:\n{}", broken.join("\n"));
}

/// The room of an actor crate file: its first folder, or its own name.
fn room(file: &Path) -> String {
    let below = file.strip_prefix(root().join("actors/src")).expect("a file of the actor crate");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// Rooms that a file names, by `crate::room` alone or in a `use crate::{..}` list.
fn named_rooms(code: &str) -> Vec<&'static str> {
    let all = LEVELS.iter().flat_map(|rooms| rooms.iter().copied());
    let flat = code.replace("\n    ", " ");
    let listed: String = flat.split("use crate::{").skip(1).filter_map(|rest| rest.split("};").next()).collect();
    let in_list = |room: &str| {
        listed.split([' ', ',', '{', '\n']).any(|word| word.starts_with(&format!("{room}::")) || word == room)
    };
    all.filter(|room| code.contains(&format!("crate::{room}::")) || in_list(room)).collect()
}

#[test]
fn rooms_of_the_actor_crate_import_only_downwards() {
    let mut broken = Vec::new();
    for file in rust_files(&root().join("actors/src")) {
        let own = room(&file);
        if own == "lib" {
            continue;
        }
        let here = level(&own).unwrap_or_else(|| panic!("room `{own}` has no level: add it to LEVELS"));
        for other in named_rooms(&code(&file)) {
            let there = level(other).expect("listed");
            if other != own && there > here {
                broken.push(format!("{} names the higher room `{other}`", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_actor_crate_knows_neither_http_routes_nor_the_command_line() {
    for file in rust_files(&root().join("actors/src")) {
        let code = code(&file);
        for word in ["actix_web", "clap::", "\"/api/"] {
            assert!(!code.contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn only_the_launcher_and_a_helpers_main_end_the_process() {
    for file in rust_files(&root().join("src")).into_iter().chain(rust_files(&root().join("actors/src"))) {
        // In a helper process nothing of the application that it was started from runs, and `init` is its whole `main`.
        if file.ends_with("src/main.rs") || file.ends_with("src/guardian.rs") {
            continue;
        }
        assert!(!code(&file).contains("process::exit"), "{} ends the process", file.display());
    }
}

#[test]
fn files_have_one_concern_each() {
    let long: Vec<String> = ["src", "actors/src"]
        .iter()
        .flat_map(|part| rust_files(&root().join(part)))
        .filter(|file| !file.to_string_lossy().ends_with("_tests.rs"))
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source file");
            let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            (body.lines().count(), file)
        })
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("{lines} lines: {}", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_top_level_holds_what_it_should() {
    let allowed = ["Cargo.toml", "Cargo.lock", "src", "actors", "tests", "config", "docs", "README.md", "target"];
    for entry in fs::read_dir(root()).expect("the root").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

/// The `#[error("...")]` texts in this code that also tell the source of their error: it would be said twice in a chain.
fn repeating_texts(code: &str) -> Vec<&str> {
    code.split("#[error(").skip(1).filter_map(repeating_text).collect()
}

/// The first text here, if it tells the source among the fields that follow it.
fn repeating_text(after: &str) -> Option<&str> {
    let (shown, fields) = after.split_once(")]\n")?;
    let tells = |name: &str| {
        [format!("{{{name}}}"), format!("{{{name}:"), format!(" .{name}")].iter().any(|word| shown.contains(word))
    };
    let is_first = fields.lines().next().is_some_and(|line| line.contains("(#[source]") || line.contains("(#[from]"));
    let marked =
        fields.split_once("#[source]\n").and_then(|(_, field)| field.split(':').next()?.split_whitespace().last());
    let is_told =
        is_first && tells("0") || marked.is_some_and(tells) || fields.contains(" source: ") && tells("source");
    is_told.then_some(shown)
}

#[test]
fn an_error_does_not_tell_its_source_which_the_edge_tells() {
    let sample = "#[error(\"at {at}: {wrong}\")]\npub struct E {\n    #[source]\n    pub wrong: W,\n}\n\
                  #[error(\"bad: {0}\")]\n    A(#[from] W),\n#[error(\"bad {}\", .folder)]\n    B {\n        folder: F,\n        source: W,\n    }\n\
                  #[error(\"fine {0}\")]\n    C(String, #[source] W),\n#[error(\"x: {source}\")]\n    D { source: W },\n";
    assert_eq!(repeating_texts(sample), ["\"at {at}: {wrong}\"", "\"bad: {0}\"", "\"x: {source}\""]);
    let files = ["src", "actors/src"].iter().flat_map(|part| rust_files(&root().join(part)));
    let of = |file: PathBuf| {
        repeating_texts(&code(&file)).iter().map(|text| format!("{}: {text}", file.display())).collect()
    };
    let twice: Vec<String> = files.flat_map(|file| -> Vec<String> { of(file) }).collect();
    assert!(twice.is_empty(), "said twice where causes are told:\n{}", twice.join("\n"));
}
