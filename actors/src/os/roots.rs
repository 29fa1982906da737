//! Where this state dir's cgroup roots are: one line each in `state_dir/cgroup_root`.
//!
//! The next runtime may be started in another cgroup (another login, another unit) and would not find by looking
//! around what an earlier one left. A root is listed before it is made and taken off after it is removed, so there may
//! be a line without a root and never a root without a line.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The list of one state dir.
#[derive(Debug, Clone)]
pub struct Roots {
    file: PathBuf,
}

impl Roots {
    /// Refers to it; makes nothing.
    #[must_use]
    pub fn at(state_dir: &Path) -> Self {
        Self { file: state_dir.join("cgroup_root") }
    }

    /// Every root on the list.
    ///
    /// # Errors
    /// When the file cannot be read; one that is not there lists nothing.
    pub fn list(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(text.lines().filter(|line| line.starts_with('/')).map(PathBuf::from).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts a root on the list.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, root: &Path) -> io::Result<()> {
        let mut roots = self.list()?;
        if !roots.iter().any(|known| known == root) {
            roots.push(root.to_owned());
        }
        self.write(&roots)
    }

    /// Takes a root off the list; one that is not on it is fine.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, root: &Path) -> io::Result<()> {
        let mut roots = self.list()?;
        let before = roots.len();
        roots.retain(|known| known != root);
        if roots.len() == before { Ok(()) } else { self.write(&roots) }
    }

    fn write(&self, roots: &[PathBuf]) -> io::Result<()> {
        if roots.is_empty() {
            return match fs::remove_file(&self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let text: String = roots.iter().map(|root| format!("{}\n", root.display())).collect();
        let unfinished = self.file.with_extension("new");
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_listed_until_they_are_taken_off() {
        let dir = tempfile::tempdir().expect("a folder");
        let roots = Roots::at(dir.path());
        assert_eq!(roots.list().expect("a list"), Vec::<PathBuf>::new());
        let (a, b) = (Path::new("/cg/a"), Path::new("/cg/b"));
        for root in [a, b, a] {
            roots.add(root).expect("added");
        }
        assert_eq!(roots.list().expect("a list"), [a, b]);
        roots.remove(a).expect("removed");
        roots.remove(a).expect("removed twice");
        roots.remove(b).expect("removed");
        assert_eq!(roots.list().expect("a list"), Vec::<PathBuf>::new());
        assert!(!dir.path().join("cgroup_root").exists());
    }
}
