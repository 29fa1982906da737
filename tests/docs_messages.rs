//! `docs/messages.md` names every message of the actors, and no message that does not exist.

use std::{collections::BTreeSet, fs, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Types with `#[rtype(result = "...")]` above them, with that result.
fn messages_in_code() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut open = vec![root().join("actors/src"), root().join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").flatten().map(|e| e.path()));
            continue;
        }
        if path.to_string_lossy().ends_with("_tests.rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let mut result = None;
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("#[rtype(result = \"") {
                result = Some(rest.trim_end_matches("\")]").to_owned());
            } else if let Some(answer) = result.take_if(|_| line.contains("struct ") || line.contains("enum ")) {
                let name = line.split(["struct ", "enum "].as_slice()[usize::from(line.contains("enum "))]).nth(1);
                let name = name.unwrap_or_default().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                found.insert((name.to_owned(), answer));
            }
        }
    }
    found
}

/// Rows of the tables: `| `Name` | sender | receiver | answer | meaning |`.
fn messages_in_docs() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/messages.md")).expect("docs/messages.md");
    let rows = text.lines().filter_map(|l| l.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

#[test]
fn every_message_is_in_the_document_and_the_other_way_round() {
    let code: BTreeSet<String> = messages_in_code().into_iter().map(|(name, _)| name).collect();
    assert!(code.len() > 5, "the messages in the code were not found: {code:?}");
    assert_eq!(code, messages_in_docs(), "left: in the code, right: in docs/messages.md");
}

#[test]
fn what_a_message_answers_is_what_the_document_says() {
    let text = fs::read_to_string(root().join("docs/messages.md")).expect("docs/messages.md");
    for (name, answer) in messages_in_code() {
        let row = text.lines().find(|l| l.starts_with(&format!("| `{name}`"))).expect("a row for each message");
        let shown = if answer == "()" { "nothing".to_owned() } else { format!("`{answer}`") };
        assert!(row.contains(&shown), "{name} answers {answer}; its row says: {row}");
    }
}
