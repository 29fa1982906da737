//! Whether a folder can belong to one service alone, so that what lies below it may be emptied. Pure: by names alone.

use std::{
    fmt,
    path::{Component, Path},
};

/// Names below the root that a folder of one's own has at least: what lies in the root itself is the machine's.
const SHALLOWEST: usize = 2;

/// Trees of the machine's own (Filesystem Hierarchy Standard 3.0, chapters 3 and 6): however deep, what lies in them was
/// put there for everybody.
const SYSTEM: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr"];

/// Folders of which everybody has something.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    /// The home of the user, where there is one.
    pub home: Option<&'a Path>,
    /// Where the runtime keeps all that it knows.
    pub state_dir: &'a Path,
}

/// Why a folder is nobody's own. Prints as what follows its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOwn {
    /// It is not absolute, or does not only go down.
    Unclear,
    /// It is the root of the file system or lies in it.
    Root,
    /// It lies in the files of the system.
    System,
    /// It is a home, or holds one.
    Home,
    /// It is the state dir, holds it or lies in it.
    StateDir,
}

impl fmt::Display for NotOwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclear => "is no plain absolute path",
            Self::Root => "is a folder of the whole machine",
            Self::System => "lies in the files of the system",
            Self::Home => "is a home folder, or holds one",
            Self::StateDir => "is the state dir, holds it or lies in it",
        })
    }
}

/// Judges a folder that somebody has named as that of one service.
///
/// # Errors
/// When everything below it must stay as it is.
pub fn check_own(folder: &Path, common: Common<'_>) -> Result<(), NotOwn> {
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !folder.is_absolute() || !folder.components().all(is_plain) {
        return Err(NotOwn::Unclear);
    }
    let names = folder.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let homes = Path::new("/home");
    // With an empty path every folder would hold it.
    let holds = |path: &Path| path.is_absolute() && path.starts_with(folder);
    match () {
        () if names < SHALLOWEST => Err(NotOwn::Root),
        () if SYSTEM.iter().any(|tree| folder.starts_with(tree)) => Err(NotOwn::System),
        () if folder.parent() == Some(homes) || common.home.is_some_and(holds) => Err(NotOwn::Home),
        () if holds(common.state_dir) => Err(NotOwn::StateDir),
        () if common.state_dir.is_absolute() && folder.starts_with(common.state_dir) => Err(NotOwn::StateDir),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &str) -> Result<(), NotOwn> {
        let common = Common { home: Some(Path::new("/people/me")), state_dir: Path::new("/var/state/greenroom") };
        check_own(Path::new(folder), common)
    }

    #[test]
    fn a_folder_of_its_own_is_none_that_others_have_something_in() {
        for (folder, expected) in [
            ("/srv/webui", Ok(())),
            ("/people/me/webui", Ok(())),
            ("/people/me2", Ok(())),
            ("/home/me/webui", Ok(())),
            ("/var/state/greenroom2", Ok(())),
            ("/", Err(NotOwn::Root)),
            ("//", Err(NotOwn::Root)),
            ("/.", Err(NotOwn::Root)),
            ("/srv", Err(NotOwn::Root)),
            ("/people", Err(NotOwn::Root)),
            ("/usr/share", Err(NotOwn::System)),
            ("/etc/webui/tmp", Err(NotOwn::System)),
            ("/usrlocal/webui", Ok(())),
            ("/people/me", Err(NotOwn::Home)),
            ("/people/me/", Err(NotOwn::Home)),
            ("/home/other", Err(NotOwn::Home)),
            ("/var/state", Err(NotOwn::StateDir)),
            ("/var/state/greenroom", Err(NotOwn::StateDir)),
            ("/var/state/greenroom/jobs", Err(NotOwn::StateDir)),
            ("", Err(NotOwn::Unclear)),
            ("srv/webui", Err(NotOwn::Unclear)),
            ("/srv/webui/..", Err(NotOwn::Unclear)),
        ] {
            assert_eq!(of(folder), expected, "{folder}");
        }
    }

    #[test]
    fn a_home_that_nobody_knows_is_held_by_no_folder() {
        for home in [None, Some(Path::new("")), Some(Path::new("me"))] {
            let common = Common { home, state_dir: Path::new("") };
            assert_eq!(check_own(Path::new("/srv/webui"), common), Ok(()), "{home:?}");
        }
    }
}
