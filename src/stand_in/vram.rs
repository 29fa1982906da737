//! GPU memory that is not there: files in which the library that stands in for a driver's reads who holds how much.
//!
//! `DIR/PID.CARD` holds a number of bytes. What is not removed counts until the process has ended, as with a real driver.

use std::{fs, io, path::PathBuf, str::FromStr};

use greenroom_actors::units::{BadQuantity, ByteSize};

use super::{options::Options, output};

/// An amount on one card, written `0:3520MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vram {
    /// Which card, by its place.
    pub card: u32,
    /// How much.
    pub size: ByteSize,
}

/// Why a text is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVram {
    /// No card before a colon.
    #[error("`{0}` does not begin with the number of a card and a colon")]
    Card(String),
    /// What follows is not a size.
    #[error(transparent)]
    Size(#[from] BadQuantity),
}

impl FromStr for Vram {
    type Err = BadVram;

    fn from_str(text: &str) -> Result<Self, BadVram> {
        let bad = || BadVram::Card(text.to_owned());
        let (card, size) = text.split_once(':').ok_or_else(bad)?;
        Ok(Self { card: card.parse().map_err(|_| bad())?, size: size.parse()? })
    }
}

/// The files of this process.
#[derive(Debug)]
pub struct VramHeld {
    files: Vec<(PathBuf, ByteSize)>,
}

impl VramHeld {
    /// What `options` want held; nothing is yet.
    pub fn none(options: &Options) -> Self {
        let Some(folder) = &options.vram_dir else { return Self { files: Vec::new() } };
        let file = |vram: &Vram| (folder.join(format!("{}.{}", std::process::id(), vram.card)), vram.size);
        Self { files: options.vram.iter().map(file).collect() }
    }

    /// Holds it. Written elsewhere first, so that nobody reads half a number.
    pub fn take(&self) {
        for (file, size) in &self.files {
            let new = file.with_extension("new");
            said(file, fs::write(&new, size.0.to_string()).and_then(|()| fs::rename(&new, file)));
        }
    }

    /// Holds nothing any more.
    pub fn give_back(&self) {
        for (file, _) in &self.files {
            match fs::remove_file(file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => said(file, result),
            }
        }
    }
}

fn said(file: &std::path::Path, result: io::Result<()>) {
    if let Err(error) = result {
        output::complain(&format!("cannot write {}: {error}", file.display()));
    }
}
