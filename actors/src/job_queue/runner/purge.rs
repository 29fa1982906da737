//! Empties a folder, and nothing outside of it.
//!
//! Every step goes from one open folder to the next by name, and no name is followed that is a symbolic link: whoever
//! swaps a folder for a link while this runs gets the link removed, and what it led to stays. The folder itself stays, and
//! so does everything on another file system.

use std::{
    ffi::{CString, OsStr},
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, fstat, openat, unlinkat},
    io::Errno,
};

use crate::spec::{Common, check_own};

/// The deepest folder that is gone into. Each one on the way is kept open; programs do not make such trees.
const DEEPEST: usize = 128;
/// How often a folder is emptied anew into which somebody writes at the same time.
const TRIES: u32 = 8;

/// Why a folder was not emptied, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// It is none of those that may be emptied.
    #[error("{} is not emptied: it does not lie below {}", .folder.display(), listed(.roots))]
    Outside {
        /// The folder.
        folder: PathBuf,
        /// Below which it would have to lie: what of its folders is its own.
        roots: Vec<PathBuf>,
    },
    /// A part of its path is a symbolic link, or no folder.
    #[error("{} is not emptied: {part} is a symbolic link, or no folder", .folder.display())]
    Link {
        /// The folder.
        folder: PathBuf,
        /// Which part.
        part: String,
    },
    /// It lies too deep.
    #[error("{} lies deeper than {DEEPEST} folders, and is not emptied", .0.display())]
    Deep(PathBuf),
    /// The file system says no.
    #[error("{} cannot be removed", .path.display())]
    Refused {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn listed(roots: &[PathBuf]) -> String {
    if roots.is_empty() {
        return "a folder that is a service's own".to_owned();
    }
    let names: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    names.join(" or ")
}

/// A folder that belongs to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it may be emptied itself, or only what lies below it. One that may was made for it by the runtime.
    pub whole: bool,
}

impl Root {
    fn is_own(&self, common: Common<'_>) -> bool {
        // What the runtime makes lies in the state dir.
        let common = if self.whole { Common { state_dir: Path::new(""), ..common } } else { common };
        check_own(&self.path, common).is_ok()
    }

    /// The same with all links followed, as it is now. One that is not there is nobody's.
    fn is_really_own(&self, common: Common<'_>) -> bool {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (path, home, state_dir) = (real(&self.path), common.home.map(real), real(common.state_dir));
        Self { path, whole: self.whole }.is_own(Common { home: home.as_deref(), state_dir: &state_dir })
    }
}

/// Where a folder lies that may be emptied: below this root, by these parts. Pure: nothing is looked at. Of a folder in
/// which others have something, as of the root of the file system, nothing may: everything would be allowed.
///
/// # Errors
/// When it lies below none of them.
fn allowed<'a>(
    folder: &'a Path,
    roots: &'a [Root],
    common: Common<'_>,
) -> Result<(&'a Root, Vec<&'a OsStr>), PurgeError> {
    let own = || roots.iter().filter(|root| root.is_own(common));
    let mut below = own().filter_map(|root| Some((root, parts(folder.strip_prefix(&root.path).ok()?)?)));
    let found = below.find(|(root, parts)| root.whole || !parts.is_empty());
    let roots = || own().map(|root| root.path.clone()).collect();
    found.ok_or_else(|| PurgeError::Outside { folder: folder.to_owned(), roots: roots() })
}

/// Empties `folder`, which must lie below one of `roots`; says how many entries are gone. One that is not there is empty.
/// Blocks.
///
/// # Errors
/// See [`PurgeError`]; what could be removed before that is gone.
pub fn purge(folder: &Path, roots: &[Root], common: Common<'_>) -> Result<u64, PurgeError> {
    let (root, parts) = allowed(folder, roots, common)?;
    if !root.is_really_own(common) {
        return Err(PurgeError::Outside { folder: folder.to_owned(), roots: Vec::new() });
    }
    let refused = |path: &Path, errno: Errno| PurgeError::Refused { path: path.to_owned(), source: errno.into() };
    // Up to here the path is the configuration's own word, links included.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = match openat(CWD, &root.path, flags, Mode::empty()) {
        Ok(at) => at,
        Err(Errno::NOENT) => return Ok(0),
        Err(errno) => return Err(refused(&root.path, errno)),
    };
    for part in parts {
        at = match enter(&at, part.as_bytes()) {
            Ok(next) => next,
            Err(Errno::NOENT) => return Ok(0),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let part = part.to_string_lossy().into_owned();
                return Err(PurgeError::Link { folder: folder.to_owned(), part });
            }
            Err(errno) => return Err(refused(folder, errno)),
        };
    }
    let device = fstat(&at).map_err(|errno| refused(folder, errno))?.st_dev;
    let mut emptied = Emptied { device, gone: 0, path: folder.to_owned() };
    emptied.empty(&at, 0)?;
    Ok(emptied.gone)
}

/// The parts of a path that only goes down.
fn parts(path: &Path) -> Option<Vec<&OsStr>> {
    let part = |part| match part {
        Component::Normal(name) => Some(name),
        Component::CurDir | Component::ParentDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().map(part).collect()
}

fn enter(folder: &impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

struct Emptied {
    device: u64,
    gone: u64,
    /// Where it is, for errors.
    path: PathBuf,
}

impl Emptied {
    /// Empties an open folder. The first error is told, and the rest is removed all the same.
    fn empty(&mut self, folder: &OwnedFd, depth: usize) -> Result<(), PurgeError> {
        let mut first = None;
        for name in names(folder).map_err(|errno| self.refused(errno))? {
            self.path.push(OsStr::from_bytes(name.as_bytes()));
            if let Err(error) = self.remove(folder, &name, depth) {
                first.get_or_insert(error);
            }
            self.path.pop();
        }
        first.map_or(Ok(()), Err)
    }

    fn remove(&mut self, folder: &OwnedFd, name: &CString, depth: usize) -> Result<(), PurgeError> {
        // A link to a folder is a file as far as this goes.
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => {
                self.gone += 1;
                return Ok(());
            }
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(self.refused(errno)),
        }
        if depth == DEEPEST {
            return Err(PurgeError::Deep(self.path.clone()));
        }
        for _ in 0..TRIES {
            let below = match enter(folder, name.as_bytes()) {
                Ok(below) => below,
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(self.refused(errno)),
            };
            if fstat(&below).map_err(|errno| self.refused(errno))?.st_dev != self.device {
                return Err(self.refused(Errno::XDEV));
            }
            self.empty(&below, depth + 1)?;
            match unlinkat(folder, name, AtFlags::REMOVEDIR) {
                Ok(()) => {
                    self.gone += 1;
                    return Ok(());
                }
                Err(Errno::NOENT) => return Ok(()),
                // Somebody has written into it meanwhile.
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(errno) => return Err(self.refused(errno)),
            }
        }
        Err(self.refused(Errno::NOTEMPTY))
    }

    fn refused(&self, errno: Errno) -> PurgeError {
        PurgeError::Refused { path: self.path.clone(), source: errno.into() }
    }
}

/// What stands in a folder now; read as a whole before any of it is removed, since a listing is not to be trusted while
/// what it lists changes.
fn names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn common() -> Common<'static> {
        Common { home: None, state_dir: Path::new("/var/state") }
    }

    /// `own`, which may be emptied, and `other` beside it, with a file in it.
    fn world() -> (TempDir, PathBuf, Vec<Root>) {
        let dir = tempfile::tempdir().expect("a folder");
        let own = dir.path().join("own");
        fs::create_dir_all(own.join("tmp")).expect("a folder");
        fs::create_dir(dir.path().join("other")).expect("a folder");
        fs::write(dir.path().join("other/precious"), "x").expect("a file");
        let roots = vec![Root { path: own.clone(), whole: false }];
        (dir, own, roots)
    }

    fn is_empty(folder: &Path) -> bool {
        fs::read_dir(folder).expect("a folder").next().is_none()
    }

    #[test]
    fn everything_in_it_is_gone_and_the_folder_stays() {
        let (_dir, own, roots) = world();
        let tmp = own.join("tmp");
        fs::create_dir_all(tmp.join("a/b/c")).expect("folders");
        for at in 0..10_000 {
            fs::write(tmp.join(format!("{at}")), "x").expect("a file");
        }
        fs::write(tmp.join("a/b/c/.hidden \u{e4}"), "x").expect("a file");
        fs::write(own.join("beside"), "x").expect("a file");
        assert_eq!(purge(&tmp, &roots, common()).expect("emptied"), 10_004);
        assert!(is_empty(&tmp) && own.join("beside").exists());
        assert_eq!(purge(&tmp, &roots, common()).expect("empty"), 0);
        assert_eq!(purge(&own.join("never/there"), &roots, common()).expect("not there"), 0);
    }

    #[test]
    fn links_are_removed_and_never_followed() {
        let (dir, own, roots) = world();
        let (tmp, other) = (own.join("tmp"), dir.path().join("other"));
        symlink(&other, tmp.join("to_folder")).expect("a link");
        symlink(other.join("precious"), tmp.join("to_file")).expect("a link");
        symlink("nowhere", tmp.join("to_nothing")).expect("a link");
        symlink(".", tmp.join("to_itself")).expect("a link");
        assert_eq!(purge(&tmp, &roots, common()).expect("emptied"), 4);
        assert!(is_empty(&tmp) && other.join("precious").exists());
        // The folder itself, and a part of the way to it.
        symlink(&other, own.join("link")).expect("a link");
        fs::create_dir(other.join("deep")).expect("a folder");
        for folder in [own.join("link"), own.join("link/deep")] {
            let refused = purge(&folder, &roots, common());
            assert!(matches!(&refused, Err(PurgeError::Link { part, .. }) if part == "link"), "{refused:?}");
        }
        assert!(other.join("precious").exists());
    }

    /// Of the decision alone: no path of the machine itself is ever given to what removes.
    #[test]
    fn only_what_lies_below_a_folder_of_its_own_may_be_emptied() {
        let root = |path: &str, whole| Root { path: path.into(), whole };
        let may = |folder: &str, roots: &[Root]| allowed(Path::new(folder), roots, common()).is_ok();
        let own = [root("/srv/webui", false), root("/var/state/data/webui", true)];
        for (folder, expected) in [
            ("/srv/webui/tmp", true),
            ("/srv/webui/a/b", true),
            ("/srv/webui", false),
            ("/srv/webui/", false),
            ("/srv/webui/../other", false),
            ("/srv/webui/tmp/../../..", false),
            ("/srv/webui2/tmp", false),
            ("/srv", false),
            ("/", false),
            ("", false),
            ("tmp", false),
            ("/etc", false),
            ("/var/state/data/webui", true),
            ("/var/state/data/webui/x", true),
            ("/var/state/data", false),
        ] {
            assert_eq!(may(folder, &own), expected, "{folder}");
        }
        // A service that runs in the root of the file system owns none of it.
        for shallow in ["/", "/home", "//", "/.", "", "relative/folder", "/home/../.."] {
            for whole in [false, true] {
                for folder in ["/", "/home", "/home/x", "/etc", "relative/folder/x", ""] {
                    assert!(!may(folder, &[root(shallow, whole)]), "{folder} below {shallow}");
                }
            }
        }
    }

    /// The folders of this test stand for a home and a state dir.
    #[test]
    fn below_a_home_or_the_state_dir_nothing_is_emptied() {
        let (dir, own, roots) = world();
        fs::write(own.join("tmp/precious"), "x").expect("a file");
        let state = own.join("state");
        for common in [
            Common { home: Some(&own), ..common() },
            Common { home: Some(&own.join("tmp")), ..common() },
            Common { state_dir: &own, ..common() },
            Common { state_dir: &state, ..common() },
            Common { state_dir: dir.path(), ..common() },
        ] {
            let refused = purge(&own.join("tmp"), &roots, common);
            assert!(matches!(refused, Err(PurgeError::Outside { .. })), "{common:?}: {refused:?}");
        }
        // Whatever it is called.
        let other_name = dir.path().join("link");
        symlink(&own, &other_name).expect("a link");
        let by_link = [Root { path: other_name.clone(), whole: false }];
        let refused = purge(&other_name.join("tmp"), &by_link, Common { home: Some(&own), ..common() });
        assert!(matches!(&refused, Err(PurgeError::Outside { .. })), "{refused:?}");
        assert!(own.join("tmp/precious").exists());
        assert_eq!(purge(&other_name.join("tmp"), &by_link, common()).expect("nobody else's"), 1);
        // The runtime has made this one in its state dir.
        let made = [Root { path: own.clone(), whole: true }];
        assert_eq!(purge(&own, &made, Common { state_dir: dir.path(), ..common() }).expect("it may be emptied"), 1);
    }

    #[test]
    fn a_folder_beside_its_own_is_not_touched() {
        let (dir, own, roots) = world();
        let other = dir.path().join("other");
        for folder in [other.clone(), own.join("tmp/../../other"), own.clone()] {
            let refused = purge(&folder, &roots, common());
            assert!(matches!(refused, Err(PurgeError::Outside { .. })), "{folder:?}: {refused:?}");
        }
        assert!(other.join("precious").exists() && own.join("tmp").exists());
        let whole = [Root { path: own.clone(), whole: true }];
        assert_eq!(purge(&own, &whole, common()).expect("it may be emptied"), 1);
        assert!(is_empty(&own));
    }

    #[test]
    fn what_is_too_deep_is_named_and_the_rest_is_gone() {
        let (_dir, own, roots) = world();
        let tmp = own.join("tmp");
        let deep: PathBuf = (0..DEEPEST + 5).map(|_| "d").collect();
        fs::create_dir_all(tmp.join(deep)).expect("folders");
        fs::write(tmp.join("z"), "x").expect("a file");
        let refused = purge(&tmp, &roots, common());
        assert!(matches!(refused, Err(PurgeError::Deep(_))), "{refused:?}");
        assert!(!tmp.join("z").exists());
    }
}
