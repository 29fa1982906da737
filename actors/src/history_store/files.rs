//! The database's files as seen from outside: still the same ones, and setting damaged ones aside.
//!
//! SQLite holds its files open and does not notice when somebody deletes them: it would go on committing into a file
//! that has no name any more.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::time::Timestamp;

/// Files set aside that are kept; the oldest beyond these are deleted, so that a broken disk does not fill itself.
const KEEP_DAMAGED: usize = 5;

/// Suffixes of the files beside the database in WAL mode.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// What the files looked like when they were last known to be good.
#[derive(Debug)]
pub struct Witness {
    database: FileId,
    beside: [Option<FileId>; 2],
    size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// What has become of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All as they should be.
    Same,
    /// The database's name leads nowhere or to another file.
    Gone,
    /// The files beside it are gone or others; the database itself is there.
    BesideGone,
    /// It is shorter than it was.
    Shorter,
}

impl Witness {
    /// Looks at the files of an open database.
    ///
    /// # Errors
    /// When the database is not there.
    pub fn new(path: &Path) -> io::Result<Self> {
        let (database, size) = look(path)?;
        Ok(Self { database, beside: look_beside(path), size })
    }

    /// Looks again. A database that has grown is taken as good.
    pub fn look(&mut self, path: &Path) -> Seen {
        let Ok((database, size)) = look(path) else { return Seen::Gone };
        if database != self.database {
            return Seen::Gone;
        }
        for (known, now) in self.beside.iter_mut().zip(look_beside(path)) {
            match known {
                Some(id) if now != Some(*id) => return Seen::BesideGone,
                Some(_) => {}
                None => *known = now,
            }
        }
        if size < self.size {
            return Seen::Shorter;
        }
        self.size = size;
        Seen::Same
    }

    /// Takes the size as it is for good: after rows were deleted, or a closer look found nothing wrong.
    pub fn accept_size(&mut self, path: &Path) {
        if let Ok((_, size)) = look(path) {
            self.size = size;
        }
    }
}

fn look(path: &Path) -> io::Result<(FileId, u64)> {
    let meta = fs::metadata(path)?;
    Ok((FileId { device: meta.dev(), inode: meta.ino() }, meta.len()))
}

fn look_beside(path: &Path) -> [Option<FileId>; 2] {
    BESIDE.map(|suffix| look(&with_suffix(path, suffix)).ok().map(|(id, _)| id))
}

/// The path with something appended to its last part.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the database's folder and an empty file that only its owner can read (commands may carry secrets), unless
/// they are there. SQLite gives the files beside it the same mode.
///
/// # Errors
/// What the file system says.
pub fn ensure(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Renames a closed database and the files beside it to `NAME.damaged-TIME`. The new path comes back.
///
/// # Errors
/// When the database itself cannot be renamed; it is as it was then.
pub fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let aside = with_suffix(path, &format!(".damaged-{stamp}"));
    fs::rename(path, &aside)?;
    for suffix in BESIDE {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = %with_suffix(path, suffix).display(), "could not be set aside");
            }
            Ok(()) | Err(_) => {}
        }
    }
    forget_oldest(path);
    Ok(aside)
}

fn forget_oldest(path: &Path) {
    let mut aside = set_aside_before(path);
    aside.sort();
    for old in aside.iter().rev().skip(KEEP_DAMAGED) {
        for file in [old.clone(), with_suffix(old, BESIDE[0]), with_suffix(old, BESIDE[1])] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, file = %file.display(), "could not be deleted");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// The databases that were set aside at this path, in no order.
pub fn set_aside_before(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let prefix = format!("{}.damaged-", name.to_string_lossy());
    let ours = |file: &Path| {
        file.file_name().is_some_and(|n| {
            let n = n.to_string_lossy();
            n.starts_with(&prefix) && !BESIDE.iter().any(|b| n.ends_with(b))
        })
    };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| ours(p)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_becomes_of_the_files_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("h.db");
        ensure(&path).expect("made");
        fs::write(&path, "0123456789").expect("written");
        let mut witness = Witness::new(&path).expect("there");
        fs::write(with_suffix(&path, "-wal"), "w").expect("written");
        assert_eq!(witness.look(&path), Seen::Same);
        fs::write(&path, "0123").expect("shorter");
        assert_eq!(witness.look(&path), Seen::Shorter);
        witness.accept_size(&path);
        assert_eq!(witness.look(&path), Seen::Same);
        fs::remove_file(with_suffix(&path, "-wal")).expect("removed");
        assert_eq!(witness.look(&path), Seen::BesideGone);
        fs::remove_file(&path).expect("removed");
        assert_eq!(witness.look(&path), Seen::Gone);
    }

    #[test]
    fn what_is_set_aside_takes_its_companions_along_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("h.db");
        let mut last = PathBuf::new();
        for second in 0..8 {
            fs::write(&path, "x").expect("written");
            fs::write(with_suffix(&path, "-wal"), "w").expect("written");
            let now = Timestamp::from_micros(1_763_715_600_000_000).after(Duration::from_secs(second));
            last = set_aside(&path, now).expect("set aside");
        }
        assert_eq!(last.file_name().and_then(|n| n.to_str()), Some("h.db.damaged-20251121T090007.000000Z"));
        assert!(with_suffix(&last, "-wal").exists() && !path.exists());
        assert_eq!(set_aside_before(&path).len(), KEEP_DAMAGED);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 2 * KEEP_DAMAGED);
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/h.db");
        ensure(&path).expect("made");
        ensure(&path).expect("there already");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    }
}
