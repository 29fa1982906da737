//! What the services themselves wrote down about their starts and ends.

use std::{fs, path::PathBuf};

use crate::common::Greenroom;

/// A log that stand-ins write to (`--stop-log`).
pub struct Moments(PathBuf);

impl Moments {
    pub fn new(greenroom: &Greenroom) -> Self {
        Self(greenroom.folder().join("moments"))
    }

    /// The option that makes a stand-in write here.
    pub fn option(&self) -> String {
        format!("--stop-log {}", self.0.display())
    }

    /// Lines as `NAME WHAT`, in the order in which they happened.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    }

    /// How often a service was started.
    pub fn starts(&self, service: &str) -> usize {
        let start = format!("{service} start");
        self.lines().iter().filter(|line| **line == start).count()
    }
}
