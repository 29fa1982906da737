//! Where files lie that come in with a job, until the job is accepted: `uploads/` in the state dir, each lot in a folder of
//! its own, which goes with whoever holds it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use greenroom_actors::job::JobId;

/// A folder for the files of one submission. What is still in it is removed when it is dropped.
#[derive(Debug)]
pub struct UploadFolder(PathBuf);

impl UploadFolder {
    /// One of its own below this state dir. Nothing is made before [`make`](Self::make).
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self(all(state_dir).join(JobId::fresh().to_string()))
    }

    /// Makes it, for its owner alone. That it is there already is no error.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// The place of its `n`-th file. Names that strangers chose are no part of it.
    #[must_use]
    pub fn place(&self, n: usize) -> PathBuf {
        self.0.join(n.to_string())
    }
}

impl Drop for UploadFolder {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("{} could not be removed: {error}", self.0.display()),
        }
    }
}

/// Removes what an earlier runtime was receiving when it was killed. To be called before anything comes in.
pub fn clear(state_dir: &Path) {
    let folder = all(state_dir);
    match fs::remove_dir_all(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("what was left in {} could not be removed: {error}", folder.display()),
    }
}

fn all(state_dir: &Path) -> PathBuf {
    state_dir.join("uploads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_goes_with_its_holder_and_what_was_left_is_cleared() {
        let dir = tempfile::tempdir().expect("a folder");
        let (first, second) = (UploadFolder::of(dir.path()), UploadFolder::of(dir.path()));
        first.make().expect("made");
        second.make().expect("made");
        fs::write(first.place(0), "a").expect("written");
        fs::write(second.place(0), "b").expect("written");
        let (gone, stays) = (first.place(0), second.place(0));
        drop(first);
        assert!(!gone.exists() && stays.exists());
        clear(dir.path());
        assert!(!stays.exists());
        clear(dir.path());
        drop(second);
    }
}
