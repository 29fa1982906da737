//! What a job has made. Looks at the file system.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use actix_rt::task::spawn_blocking;
use serde_json::Value;

use crate::job::JobResult;

/// Files that are listed; further ones are kept, and not named.
const MOST_FILES: usize = 10_000;
/// Folders below the output folder that are looked into.
const DEEPEST: u32 = 8;
/// A larger JSON file is a file and nothing else.
const LARGEST_JSON: u64 = 1 << 20;

/// Makes the output folder, beside the thread of the jobs: a disk may be slow.
///
/// # Errors
/// When it cannot be made.
pub(super) async fn make(folder: PathBuf) -> io::Result<()> {
    spawn_blocking(move || fs::create_dir_all(folder)).await.map_err(io::Error::other)?
}

/// What is [`made`] there, looked at beside the thread of the jobs as well.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) async fn list(folder: PathBuf) -> io::Result<JobResult> {
    spawn_blocking(move || made(&folder)).await.map_err(io::Error::other)?
}

/// Everything in the output folder, by its path below it, sorted; and the content of its JSON file, if there is exactly one
/// and that is no larger than 1 MiB. Symbolic links are not followed, and not named; nor is what no text can name, since its
/// name is not UTF-8.
///
/// # Errors
/// When the folder cannot be listed.
fn made(output: &Path) -> io::Result<JobResult> {
    let mut paths = Vec::new();
    walk(output, DEEPEST, &mut paths)?;
    let inside = |path: &PathBuf| path.strip_prefix(output).unwrap_or(path).to_str().map(str::to_owned);
    let mut files: Vec<String> = paths.iter().filter_map(inside).collect();
    files.sort();
    let mut texts = paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let json = match (texts.next(), texts.next()) {
        (Some(path), None) => parsed(path),
        _ => None,
    };
    Ok(JobResult { files, json })
}

fn walk(folder: &Path, deeper: u32, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of the entry itself, not of what it may point to.
        let kind = entry.file_type()?;
        if paths.len() >= MOST_FILES {
            break;
        }
        if entry.file_name().to_str().is_none() {
            continue;
        }
        if kind.is_file() {
            paths.push(entry.path());
        } else if kind.is_dir() && deeper > 0 {
            walk(&entry.path(), deeper - 1, paths)?;
        }
    }
    Ok(())
}

fn parsed(path: &Path) -> Option<Value> {
    let size = fs::metadata(path).ok()?.len();
    if size > LARGEST_JSON {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };

    use serde_json::json;

    use super::*;

    #[test]
    fn all_files_are_named_in_order_and_one_json_file_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        assert_eq!(made(folder.path()).expect("listed"), JobResult::default());
        fs::create_dir(at("b")).expect("made");
        for (name, text) in [("c.png", "x"), ("b/a.png", "x"), ("a.json", "{\"seed\": 7}")] {
            fs::write(at(name), text).expect("written");
        }
        symlink("/etc/hostname", at("link")).expect("linked");
        symlink("/etc", at("folder")).expect("linked");
        let found = made(folder.path()).expect("listed");
        assert_eq!(
            (found.files, found.json),
            (["a.json", "b/a.png", "c.png"].map(str::to_owned).to_vec(), Some(json!({"seed": 7})))
        );
        fs::write(at("d.json"), "1").expect("written");
        assert_eq!(made(folder.path()).expect("listed").json, None, "there are two");
        let strange = OsStr::from_bytes(b"bad\xff");
        fs::write(folder.path().join(strange), "x").expect("written");
        fs::create_dir(at("b").join(strange)).expect("made");
        fs::write(at("b").join(strange).join("inside.png"), "x").expect("written");
        let names = made(folder.path()).expect("listed").files;
        assert_eq!(names, ["a.json", "b/a.png", "c.png", "d.json"], "what is named can be asked for by that name");
        made(&at("gone")).expect_err("there is no such folder");
    }

    #[test]
    fn json_that_is_none_or_too_large_is_a_file_and_nothing_else() {
        for text in ["{".to_owned(), format!("\"{}\"", "x".repeat(1 << 20))] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("a.json"), text).expect("written");
            let found = made(folder.path()).expect("listed");
            assert_eq!((found.files.len(), found.json), (1, None));
        }
    }
}
