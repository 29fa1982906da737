//! `runtime.watch_config`: looks at the configuration files once a second and asks for a reload when they have changed.
//!
//! Looking, not listening: it also works where a file is replaced by another one, where a link is turned to another
//! folder, and on network disks. A change is acted on once the files have been quiet for one look, so that one that is
//! written in pieces is not read in the middle. A thread of its own looks, because a network disk that hangs would hold
//! up whoever asks it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What tells a file from the one that was there before; `None` where there is none that can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds of the last change of its content.
    modified: (i64, i64),
    bytes: u64,
}

impl Identity {
    /// Of what `path` leads to, through links.
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let modified = (file.mtime(), file.mtime_nsec());
        Some(Self { device: file.dev(), inode: file.ino(), modified, bytes: file.len() })
    }
}

/// Says when something has changed and is quiet again.
#[derive(Debug)]
struct Quiet<T> {
    acted: Option<T>,
    seen: Option<T>,
}

impl<T: PartialEq> Quiet<T> {
    /// Of something that nobody has acted on: the first quiet moment counts as a change, because it may have changed
    /// since it was read last.
    fn new() -> Self {
        Self { acted: None, seen: None }
    }

    /// One look; whether to act.
    fn look(&mut self, now: T) -> bool
    where
        T: Clone,
    {
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            return false;
        }
        let changed = self.acted != self.seen;
        self.acted.clone_from(&self.seen);
        changed
    }
}

/// The thread that looks. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct ConfigWatch {
    /// Nothing is ever sent: the end of the channel is the word.
    _stop: mpsc::Sender<()>,
}

impl ConfigWatch {
    /// Begins to look at `files`; `changed` is called on the thread that looks, the first time two looks from now.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(files: Vec<PathBuf>, changed: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let body = move || {
            let mut quiet = Quiet::new();
            while stopped.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                if quiet.look(files.iter().map(|file| Identity::of(file)).collect::<Vec<_>>()) {
                    changed();
                }
            }
        };
        std::thread::Builder::new().name("config-watch".to_owned()).spawn(body)?;
        Ok(Self { _stop: stop })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_counts_once_it_has_been_quiet_for_a_look() {
        let mut quiet = Quiet::new();
        let acted: Vec<bool> = [1, 1, 1, 2, 3, 3, 3, 1, 1].into_iter().map(|now| quiet.look(now)).collect();
        assert_eq!(acted, [false, true, false, false, false, true, false, false, true]);
    }

    #[test]
    fn a_replaced_file_and_a_turned_link_are_other_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            fs::write(at(name), "same").expect("written");
        }
        std::os::unix::fs::symlink(at("a"), at("link")).expect("linked");
        let (first, link) = (Identity::of(&at("a")), Identity::of(&at("link")));
        assert!(first.is_some() && first == link);
        fs::remove_file(at("link")).expect("removed");
        assert_eq!(Identity::of(&at("link")), None);
        std::os::unix::fs::symlink(at("b"), at("link")).expect("linked");
        assert_ne!(Identity::of(&at("link")), link);
        fs::rename(at("b"), at("a")).expect("renamed");
        assert_ne!(Identity::of(&at("a")), first);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever happened, after two quiet looks it has acted on what is there, and only once.
        #[test]
        fn what_is_there_at_the_end_is_acted_on(looks in prop::collection::vec(0u8..3, 1..30), end in 0u8..3) {
            let mut quiet = Quiet::new();
            let mut acted = None;
            for now in looks.into_iter().chain([end; 2]) {
                if quiet.look(now) {
                    prop_assert_ne!(acted, Some(now));
                    acted = Some(now);
                }
            }
            prop_assert_eq!(acted, Some(end));
            prop_assert!(!quiet.look(end));
        }
    }
}
