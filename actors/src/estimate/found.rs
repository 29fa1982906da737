//! What kind of model a path holds. Looks at the file system.

use std::{
    fs::{self, ReadDir},
    io::BufRead,
    path::{Path, PathBuf},
};

use super::{
    diffusion::{Bundle, role},
    files::{self, ReadCause, ReadError},
    llama::Model,
    safetensors,
};

/// Folders below a model's own that are looked into.
const DEEPEST: usize = 3;
/// Files of a folder that are looked at.
const MOST_FILES: usize = 2000;

/// A model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A language model, in GGUF.
    Language(Box<Model>),
    /// A model that makes images: a file in GGUF or safetensors, or a folder of the latter.
    Image(Bundle),
}

/// Looks at a file or folder. Reads some MiB of each file's header at most, and may wait for the disk.
///
/// # Errors
/// When it is not there, is neither, or has a header that makes no sense; names the file.
pub fn find(path: &Path) -> Result<Found, ReadError> {
    let wrong = |cause| ReadError { file: path.to_owned(), cause };
    let meta = fs::metadata(path).map_err(|error| wrong(ReadCause::Open(error)))?;
    let mut bundle = Bundle::default();
    if meta.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| wrong(ReadCause::Open(error)))?;
        let mut all = Vec::new();
        below(entries, DEEPEST, &mut all);
        if all.is_empty() {
            return Err(wrong(ReadCause::NoModel));
        }
        for file in all {
            let inside = file.strip_prefix(path).unwrap_or(&file).display().to_string();
            add(&file, &inside, &mut bundle)?;
        }
        return Ok(Found::Image(bundle));
    }
    let mut file = files::open(path)?;
    let begins_as_gguf = file.fill_buf().map_err(|error| wrong(ReadCause::Open(error)))?.starts_with(b"GGUF");
    if begins_as_gguf {
        return match image(path)? {
            Some(bundle) => Ok(Found::Image(bundle)),
            None => files::read(path).map(|model| Found::Language(Box::new(model))),
        };
    }
    if path.extension().is_none_or(|ending| ending != "safetensors") {
        return Err(wrong(ReadCause::NoModel));
    }
    add(path, "", &mut bundle)?;
    Ok(Found::Image(bundle))
}

/// The tensors of a file in GGUF, if it has some that only a model that makes images has.
fn image(path: &Path) -> Result<Option<Bundle>, ReadError> {
    let header = files::header(path)?;
    let mut bundle = Bundle::default();
    header.tensors.iter().for_each(|tensor| bundle.add(role(&tensor.name), tensor.bytes));
    Ok(Some(bundle).filter(|bundle| bundle.diffusion > 0))
}

/// Adds the tensors of a file: by the folder that it lies in, where that says what it is for, else by their names.
fn add(path: &Path, inside: &str, bundle: &mut Bundle) -> Result<(), ReadError> {
    let of_folder = role(inside);
    let by_name = of_folder == super::diffusion::Role::Other;
    let each = |entry: safetensors::Entry<'_>| {
        bundle.add(if by_name { role(entry.name) } else { of_folder }, entry.bytes);
    };
    let read = safetensors::read(files::open(path)?, each);
    read.map_err(|error| ReadError { file: path.to_owned(), cause: error.into() })
}

/// The safetensors files in a folder. One below it that cannot be listed counts as empty: the program that wants it will
/// say so.
fn below(entries: ReadDir, deeper: usize, all: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if all.len() >= MOST_FILES {
            return;
        }
        if path.is_dir() {
            if deeper > 0
                && let Ok(entries) = fs::read_dir(&path)
            {
                below(entries, deeper - 1, all);
            }
        } else if path.extension().is_some_and(|ending| ending == "safetensors") {
            all.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::chain;

    fn file(path: &Path, name: &str, bytes: usize) {
        let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
        let mut all = (header.len() as u64).to_le_bytes().to_vec();
        all.extend(header.as_bytes());
        all.resize(all.len() + bytes, 0);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, all).expect("written");
    }

    #[test]
    fn a_folder_is_sorted_by_its_folders_and_a_file_by_its_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        file(&at("unet/model.safetensors"), "a", 700);
        file(&at("text_encoder/model.safetensors"), "a", 50);
        file(&at("vae/model.safetensors"), "a", 3);
        fs::write(at("vae/config.json"), "{}").expect("written");
        let found = find(folder.path()).expect("a model");
        assert_eq!(found, Found::Image(Bundle { diffusion: 700, text: 50, image: 3, other: 0 }));
        file(&at("one.safetensors"), "first_stage_model.x", 9);
        let one = find(&at("one.safetensors")).expect("a model");
        assert_eq!(one, Found::Image(Bundle { image: 9, ..Bundle::default() }));
    }

    #[test]
    fn what_is_no_model_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |path: &Path| chain(&find(path).expect_err("no model"));
        let text = folder.path().join("notes.txt");
        fs::write(&text, "not a model").expect("written");
        assert!(told(&text).contains("notes.txt: it is neither a GGUF file"), "{}", told(&text));
        assert!(told(folder.path()).contains("nor a folder with some"));
        let gone = told(&folder.path().join("gone.gguf"));
        assert!(gone.contains("gone.gguf: it cannot be opened: No such file"), "{gone}");
        let cut = folder.path().join("cut.gguf");
        fs::write(&cut, b"GGUF\x03\0\0\0").expect("written");
        assert!(told(&cut).ends_with("cut.gguf: at byte 8: the file is cut short here"), "{}", told(&cut));
        let half = folder.path().join("half.safetensors");
        fs::write(&half, b"half").expect("written");
        assert!(told(&half).ends_with("half.safetensors: it ends before byte 8, within the length of its header"));
    }
}
