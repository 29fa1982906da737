//! What lies at the path of a model: its size with all its parts, and what its header says.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    gguf::{GgufError, Header},
    llama::{self, Model},
    safetensors::SafetensorsError,
};

/// Parts of one model that are looked at.
const MOST_PARTS: u32 = 1000;
/// Folders below a model's own that are looked into. Symbolic links are followed, as hubs' caches have them, so this is
/// also what ends a circle.
const DEEPEST: u32 = 4;
/// Entries of a model's folder that are looked at.
const MOST_ENTRIES: u32 = 10_000;

/// A model on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFile {
    /// All of it in bytes: every part, or everything in its folder.
    pub size: u64,
    /// When the youngest of that was changed, in nanoseconds since 1970.
    pub changed: i128,
    /// Layers, if it is a GGUF file whose header says so.
    pub layers: Option<u32>,
}

/// Looks at a model file or folder. Reads some MiB of header at most, and may wait for the disk.
///
/// # Errors
/// When nothing can be looked at there. A header that says nothing is no error.
pub fn look(path: &Path) -> io::Result<ModelFile> {
    let mut found = weigh(path)?;
    found.layers = layers(path);
    Ok(found)
}

/// The same without looking into the file.
///
/// # Errors
/// As above.
pub fn weigh(path: &Path) -> io::Result<ModelFile> {
    let meta = fs::metadata(path)?;
    let mut sum = Sum { size: 0, changed: changed(&meta), left: MOST_ENTRIES };
    if meta.is_dir() {
        sum.folder(path, DEEPEST);
    } else {
        sum.add(&meta);
        let others = other_parts(path);
        others.iter().filter_map(|part| fs::metadata(part).ok()).for_each(|meta| sum.add(&meta));
    }
    Ok(ModelFile { size: sum.size, changed: sum.changed, layers: None })
}

/// How many layers the header tells; what is no such file tells nothing. The metadata are enough: a file may still be on
/// its way.
fn layers(path: &Path) -> Option<u32> {
    if !path.is_file() {
        return None;
    }
    llama::layers_of(&Header::metadata(buffered(File::open(path).ok()?)).ok()?)
}

/// A model whose headers cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}", file.display())]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    #[source]
    pub cause: ReadCause,
}

/// Why a model's headers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadCause {
    /// It is not there, or may not be read.
    #[error("it cannot be opened")]
    Open(#[source] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("it is no file")]
    NoFile,
    /// It begins like no model that is known here.
    #[error("it is neither a GGUF file nor a safetensors file, nor a folder with some")]
    NoModel,
    /// Its header of the other kind is none.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// Its header is none.
    #[error(transparent)]
    Header(#[from] GgufError),
    /// It says that it is one of several, and its name does not say which.
    #[error("it is one of {0} files, and is not named NAME-00001-of-{0:05}.gguf")]
    Parts(u64),
}

/// Reads the headers of a GGUF model, all its parts. Reads some MiB at most, and may wait for the disk.
///
/// # Errors
/// When a part is not there, or has no header that makes sense; says which.
pub fn read(path: &Path) -> Result<Model, ReadError> {
    let first = header(path)?;
    let says = llama::files(&first).unwrap_or(1);
    let others = other_parts(path);
    let wrong = |cause| ReadError { file: path.to_owned(), cause };
    if says > 1 && others.len() as u64 + 1 != says {
        return Err(wrong(ReadCause::Parts(says)));
    }
    let mut headers = vec![first];
    for part in &others {
        headers.push(header(part)?);
    }
    // The first file has the metadata, whichever was named.
    if let Some(at) = headers.iter().position(|header| header.metadata.text("general.architecture").is_some()) {
        headers.swap(0, at);
    }
    Model::of(headers).map_err(|error| wrong(error.into()))
}

/// The header of one file in GGUF.
pub(super) fn header(path: &Path) -> Result<Header, ReadError> {
    let file = open(path)?;
    Header::read(file).map_err(|error| ReadError { file: path.to_owned(), cause: error.into() })
}

/// Opens a file to be read in pieces.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, ReadError> {
    let wrong = |cause| ReadError { file: path.to_owned(), cause };
    // Opening a pipe would wait for somebody to write to it.
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(wrong(ReadCause::NoFile)),
        Err(error) => return Err(wrong(ReadCause::Open(error))),
    }
    File::open(path).map(buffered).map_err(|error| wrong(ReadCause::Open(error)))
}

fn buffered(file: File) -> BufReader<File> {
    BufReader::with_capacity(64 << 10, file)
}

fn changed(meta: &Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

struct Sum {
    size: u64,
    changed: i128,
    left: u32,
}

impl Sum {
    fn add(&mut self, meta: &Metadata) {
        self.size = self.size.saturating_add(meta.len());
        self.changed = self.changed.max(changed(meta));
    }

    /// What cannot be listed counts as empty: the program that wants it will say so.
    fn folder(&mut self, path: &Path, deeper: u32) {
        let Ok(entries) = fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            match fs::metadata(entry.path()) {
                Ok(meta) if meta.is_dir() && deeper > 0 => self.folder(&entry.path(), deeper - 1),
                Ok(meta) if meta.is_file() => self.add(&meta),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// The other files of a model that is spread over several: `NAME-00001-of-00003.gguf` (llama.cpp, `llama_split_path`).
fn other_parts(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((stem, own, parts)) = split_name(name) else { return Vec::new() };
    let others = (1..=parts.min(MOST_PARTS)).filter(|part| *part != own);
    others.map(|part| path.with_file_name(format!("{stem}-{part:05}-of-{parts:05}.gguf"))).collect()
}

/// Stem, own number and how many there are.
fn split_name(name: &str) -> Option<(&str, u32, u32)> {
    let (rest, parts) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, own) = rest.rsplit_once('-')?;
    let number = |text: &str| if text.len() == 5 { text.parse::<u32>().ok().filter(|n| *n > 0) } else { None };
    Some((stem, number(own)?, number(parts)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_model_in_parts_weighs_what_all_of_them_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = |n: u32| folder.path().join(format!("big-model-{n:05}-of-00003.gguf"));
        for n in 1..=3 {
            fs::write(part(n), vec![0; n as usize * 100]).expect("written");
        }
        fs::write(folder.path().join("other.gguf"), vec![0; 5000]).expect("written");
        assert_eq!(look(&part(1)).expect("there").size, 600);
        assert_eq!(look(&part(2)).expect("there").size, 600);
        fs::remove_file(part(3)).expect("removed");
        assert_eq!(look(&part(1)).expect("there").size, 300);
        look(&part(3)).expect_err("it is gone");
    }

    #[test]
    fn names_that_only_look_like_parts_are_whole_models() {
        for whole in
            ["a.gguf", "a-1-of-2.gguf", "a-00000-of-00002.gguf", "state-of-art.gguf", "-of-.gguf", "é-of-00002.gguf"]
        {
            assert_eq!(split_name(whole), None, "{whole}");
        }
        assert_eq!(split_name("a-of-b-00002-of-00010.gguf"), Some(("a-of-b", 2, 10)));
    }

    #[test]
    fn a_folder_weighs_what_is_in_it_and_a_circle_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).expect("made");
        fs::write(folder.path().join("config.json"), "{}").expect("written");
        fs::write(below.join("model.safetensors"), vec![0; 1000]).expect("written");
        assert_eq!(
            look(folder.path()).expect("there"),
            ModelFile { size: 1002, ..look(folder.path()).expect("there") }
        );
        symlink(folder.path(), folder.path().join("again")).expect("linked");
        let size = look(folder.path()).expect("there").size;
        assert!((1002..20_000).contains(&size), "{size}");
    }

    #[test]
    fn a_change_of_the_file_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.gguf");
        fs::write(&path, "1").expect("written");
        let before = look(&path).expect("there");
        assert_eq!((before.size, before.layers), (1, None));
        let file = File::options().write(true).open(&path).expect("open");
        let later =
            file.metadata().and_then(|meta| meta.modified()).expect("a time") + std::time::Duration::from_secs(7);
        file.set_modified(later).expect("set");
        assert_eq!(look(&path).expect("there").changed, before.changed + 7_000_000_000);
    }
}
