//! The folder of a job on the disk. Everything here waits for the disk.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::{attempt::JobFolder, messages::Contents};

/// A file to be kept, and what it is called in the input folder.
#[derive(Debug)]
pub(super) struct Placed {
    pub name: String,
    pub contents: Contents,
}

/// Writes these files into the input folder, so that they outlive a loss of power; their sizes in bytes.
///
/// # Errors
/// When one cannot be written. [`remove`] takes away what there is by then.
pub(super) fn keep(folder: &JobFolder, files: &[Placed]) -> io::Result<Vec<u64>> {
    let input = folder.input();
    make(&input)?;
    let sizes = files.iter().map(|file| keep_one(&input.join(&file.name), &file.contents));
    let sizes = sizes.collect::<io::Result<Vec<u64>>>()?;
    File::open(&input)?.sync_all()?;
    Ok(sizes)
}

fn keep_one(path: &Path, contents: &Contents) -> io::Result<u64> {
    match contents {
        Contents::Bytes(bytes) => {
            let mut file = File::create_new(path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Contents::Moved(from) => {
            if !fs::symlink_metadata(from)?.is_file() {
                return Err(io::Error::other(format!("{} is no file", from.display())));
            }
            if fs::rename(from, path).is_err() {
                // On another disk.
                fs::copy(from, path)?;
                fs::remove_file(from)?;
            }
            File::open(path)?.sync_all()?;
        }
    }
    fs::symlink_metadata(path).map(|found| found.len())
}

/// Takes away the folder, and those of these files that were to be moved. What is not there is no error.
///
/// # Errors
/// When something cannot be removed.
pub(super) fn remove(folder: Option<&JobFolder>, files: &[Placed]) -> io::Result<()> {
    let is_there = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for file in files {
        if let Contents::Moved(from) = &file.contents {
            is_there(fs::remove_file(from))?;
        }
    }
    // A link is removed, and not what it leads to.
    folder.map_or(Ok(()), |folder| is_there(fs::remove_dir_all(folder.path())))
}

/// Makes the output folder, empty.
///
/// # Errors
/// When that cannot be done.
pub(super) fn prepare(folder: &JobFolder) -> io::Result<()> {
    let output = folder.output();
    match fs::remove_dir_all(&output) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    make(&output)
}

/// For the owner alone, as the rest of the state dir.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use bytes::Bytes;

    use super::*;
    use crate::job::JobId;

    #[test]
    fn files_are_kept_moved_and_taken_away_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = JobFolder::of(dir.path(), JobId::fresh());
        let spool = dir.path().join("spool");
        fs::write(&spool, b"moved").expect("a file");
        let placed = |name: &str, contents| Placed { name: name.to_owned(), contents };
        let bytes = Contents::Bytes(Bytes::from_static(b"abc"));
        let files = [placed("a.png", bytes.clone()), placed("b.png", Contents::Moved(spool.clone()))];
        assert_eq!(keep(&folder, &files).expect("kept"), [3, 5]);
        assert!(!spool.exists() && folder.input().join("b.png").is_file());
        assert!(keep(&folder, &files[..1]).is_err(), "nothing is written over");

        let outside = dir.path().join("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("precious"), b"x").expect("a file");
        prepare(&folder).expect("made");
        fs::write(folder.output().join("old"), b"x").expect("a file");
        symlink(&outside, folder.output().join("link")).expect("a link");
        prepare(&folder).expect("emptied");
        assert_eq!(fs::read_dir(folder.output()).expect("the folder").count(), 0);
        fs::remove_dir(folder.output()).expect("removed");
        symlink(&outside, folder.output()).expect("a link");
        prepare(&folder).expect("the link is replaced");
        assert!(outside.join("precious").exists() && !folder.output().is_symlink());

        symlink(&outside, &spool).expect("a link");
        assert!(keep(&folder, &[placed("c", Contents::Moved(spool.clone()))]).is_err(), "a link is no file");
        remove(Some(&folder), &[placed("c", Contents::Moved(spool.clone()))]).expect("removed");
        remove(Some(&folder), &[placed("c", Contents::Moved(spool.clone()))]).expect("nothing is left to remove");
        assert!(!folder.path().exists() && !spool.is_symlink() && outside.join("precious").exists());
    }
}
