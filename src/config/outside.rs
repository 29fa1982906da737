//! What reading a configuration asks of the machine: variables, files, programs. One narrow door, so that everything
//! behind it is pure.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Largest file that `${file:...}` takes in, in bytes: a secret, not a data set.
const MAX_SECRET: u64 = 64 << 10;

/// Largest file that is the body of a job's request, in bytes: a workflow, and a mask or two in it.
const MAX_DOCUMENT: u64 = 16 << 20;

/// What became of the search for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// It is there and may be executed.
    Found(PathBuf),
    /// There is a file that may not be executed.
    NotExecutable(PathBuf),
    /// There is nothing of that name.
    Missing,
}

/// The questions.
pub trait Outside {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<&str>;
    /// The contents of a small text file; an error as a phrase such as "No such file or directory".
    fn contents(&self, path: &Path) -> Result<String, String>;
    /// The contents of a text file that is sent to somebody.
    fn document(&self, path: &Path) -> Result<String, String>;
    /// The program at `path` if that is absolute, else the one of that name on PATH.
    fn program(&self, path: &Path) -> Program;
    /// The size of a file or the files of a folder that can be read, in bytes.
    fn size(&self, path: &Path) -> Result<u64, String>;
    /// The host's memory in bytes, where that can be told.
    fn ram(&self) -> Option<u64>;
    /// Bytes that nobody can guess.
    fn chance(&self) -> Option<[u8; 24]>;
}

/// This machine, with the variables it was given.
#[derive(Debug)]
pub struct Machine {
    variables: BTreeMap<String, String>,
}

impl Machine {
    /// With these variables and no others.
    #[must_use]
    pub fn new(variables: &[(String, String)]) -> Self {
        Self { variables: variables.iter().cloned().collect() }
    }
}

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn contents(&self, path: &Path) -> Result<String, String> {
        read_text(path, MAX_SECRET)
    }

    fn document(&self, path: &Path) -> Result<String, String> {
        read_text(path, MAX_DOCUMENT)
    }

    fn program(&self, path: &Path) -> Program {
        if path.is_absolute() {
            return judge(path.to_owned());
        }
        let folders = self.variable("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin");
        let tried =
            folders.split(':').filter(|folder| !folder.is_empty()).map(|folder| judge(Path::new(folder).join(path)));
        let mut best = Program::Missing;
        for program in tried {
            match program {
                Program::Found(_) => return program,
                Program::NotExecutable(_) if best == Program::Missing => best = program,
                Program::NotExecutable(_) | Program::Missing => {}
            }
        }
        best
    }

    fn size(&self, path: &Path) -> Result<u64, String> {
        let about = fs::metadata(path).map_err(phrase)?;
        if about.is_dir() {
            let files = fs::read_dir(path).map_err(phrase)?.flatten().filter_map(|entry| entry.metadata().ok());
            return Ok(files.filter(fs::Metadata::is_file).map(|about| about.len()).sum());
        }
        if !about.is_file() {
            return Err("it is neither a file nor a folder".to_owned());
        }
        File::open(path).map_err(phrase)?;
        Ok(about.len())
    }

    /// `MemTotal` of `proc_meminfo(5)`, which is in KiB.
    fn ram(&self) -> Option<u64> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    fn chance(&self) -> Option<[u8; 24]> {
        let mut bytes = [0; 24];
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).ok()?;
        Some(bytes)
    }
}

/// Reads a text file of at most `limit` bytes; refuses what is no regular file, so that a pipe cannot hang it.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    let about = fs::metadata(path).map_err(phrase)?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(phrase)?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is larger than {}", greenroom_actors::units::ByteSize(limit)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        format!("it is not UTF-8 text: line {line} has other bytes")
    })
}

fn judge(path: PathBuf) -> Program {
    match fs::metadata(&path) {
        Ok(about) if about.is_file() && about.permissions().mode() & 0o111 != 0 => Program::Found(path),
        Ok(_) => Program::NotExecutable(path),
        Err(_) => Program::Missing,
    }
}

/// "No such file or directory", without the number that the standard library adds.
#[allow(clippy::needless_pass_by_value, reason = "it is used as a function in map_err")]
fn phrase(error: std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
