//! Files, folders and links that the documents name are there.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the documents.
fn documents() -> Vec<PathBuf> {
    let (mut found, mut open) = (vec![root().join("README.md")], vec![root().join("docs")]);
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// A document's text without its blocks of code, which show commands and machines.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a document");
    let parts = text.split("\n```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

/// What stands in back quotes and looks like a file or folder of this repository.
fn named(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let ours = ["src/", "actors/", "tests/", "docs/", "config/", "os/", "process_supervisor/", "shutdown_coordinator/"];
    let is_path = |word: &&str| word.ends_with(".rs") || ours.iter().any(|folder| word.starts_with(folder));
    quoted.filter(is_plain).filter(is_path).map(str::to_owned).collect()
}

/// Every file and folder of the sources, with `/` before it and behind it.
fn everything() -> Vec<String> {
    let (mut found, mut open) =
        (Vec::new(), ["src", "actors", "tests", "docs", "config"].map(|p| root().join(p)).to_vec());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        }
        let inside = path.strip_prefix(root()).expect("below the root").display().to_string();
        found.push(format!("/{inside}/"));
    }
    found
}

#[test]
fn every_file_and_folder_that_is_named_exists() {
    let everything = everything();
    let (mut missing, mut looked_at) = (Vec::new(), 0);
    for document in documents() {
        for name in named(&prose(&document)) {
            looked_at += 1;
            // Short names such as `os/spawn.rs` or `graph.rs` are the end of a path; a module may be a file or folder.
            let plain = name.trim_end_matches('/');
            let ends = [format!("/{plain}/"), format!("/{plain}.rs/")];
            if !everything.iter().any(|path| ends.iter().any(|end| path.ends_with(end.as_str()))) {
                missing.push(format!("{}: `{name}`", document.display()));
            }
        }
    }
    assert!(looked_at > 30, "only {looked_at} names were found in the documents");
    assert!(missing.is_empty(), "named and not there:\n{}", missing.join("\n"));
}

#[test]
fn every_relative_link_resolves() {
    let (mut broken, mut looked_at) = (Vec::new(), 0);
    for document in documents() {
        let text = prose(&document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if target.contains("://") || file.is_empty() {
                continue;
            }
            looked_at += 1;
            if !document.parent().expect("a folder").join(file).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(looked_at > 10, "only {looked_at} links were found in the documents");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}
