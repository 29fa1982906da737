//! `bundle`: a diagnostic bundle, made by the running runtime, or of what lies on disk where none runs or answers.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use greenroom_actors::{
    os::clock,
    plain::plain,
    units::ByteSize,
    watchdog::{
        bundle::{Source, file_name, is_file_name, write_archive},
        deed::Occasion,
    },
};
use serde_json::json;

use super::{
    args::{BundleArgs, Global},
    ask::{Asked, block_on},
    bundle_config::{Known, known},
    client::ClientError,
    failure::Failure,
    place::Place,
    terminal::Terminal,
};
use crate::runtime::bundle::ASKED;

/// How long the runtime may take to make one: some parts of the machine may hang, and each of them is given up after 5 s.
const BOUND: Duration = Duration::from_secs(90);
/// Stands for standard output.
const STDOUT: &str = "-";

/// Writes the archive where `-o` says, else into the current folder under its own name.
pub fn run(args: &BundleArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let is_stdout = args.output.as_deref() == Some(Path::new(STDOUT));
    if is_stdout && terminal.width.is_some() {
        let why = "an archive is nothing for a terminal; send it on, as in `greenroom bundle -o - > FILE`".to_owned();
        return Err(Failure::Option { option: "-o", why });
    }
    if let Some(output) = args.output.as_deref().filter(|_| !is_stdout) {
        refuse_existing(output, args.force)?;
    }
    let asked = Asked::find(global)?;
    let written = match block_on(from_runtime(&asked, args, is_stdout))? {
        Answered::Written(written) => written,
        Answered::Nobody(why, place) => {
            terminal.note(format!("{why}: the bundle is made of what lies on disk, without processes and memory"));
            from_disk(&place, global, args, is_stdout, terminal)?
        }
    };
    tell(&written, terminal)
}

/// What was written.
struct Written {
    /// Where; `None`: to standard output.
    path: Option<PathBuf>,
    bytes: u64,
    /// Whether a running runtime has made it.
    by_runtime: bool,
    /// Why some of the configured secrets may not be known, if so.
    gap: Option<String>,
}

fn tell(written: &Written, terminal: &Terminal) -> Result<i32, Failure> {
    let Some(path) = &written.path else { return Ok(0) };
    if terminal.json {
        terminal.value(&json!({
            "written": path, "bytes": written.bytes, "by_runtime": written.by_runtime, "secrets_known": written.gap.is_none(),
        }))?;
        return Ok(0);
    }
    let shown = path.display();
    let (bytes, next) = (ByteSize(written.bytes), format!("tar -xOf {shown} SUMMARY.md"));
    let secrets = if written.gap.is_none() { "without secrets" } else { "maybe with secrets" };
    terminal.say(format!("wrote {shown}: {bytes}, {secrets}\nnext: `{next}` says what happened and what to try"))?;
    Ok(0)
}

/// What has come of asking a runtime.
enum Answered {
    Written(Written),
    /// None runs here, or the one that does says nothing.
    Nobody(String, Place),
}

async fn from_runtime(asked: &Asked, args: &BundleArgs, is_stdout: bool) -> Result<Answered, Failure> {
    let (name, mut bytes) = match (asked.client.post_file("/api/bundle", BOUND).await, asked.place()) {
        (Ok(answer), _) => answer,
        (Err(ClientError::NobodyListens(_)), Some(place)) => {
            let why = format!("no runtime is running in {}", place.state_dir.display());
            return Ok(Answered::Nobody(why, place.clone()));
        }
        (Err(ClientError::Silent(_)), Some(place)) => {
            return Ok(Answered::Nobody("the runtime does not answer".to_owned(), place.clone()));
        }
        (Err(error), _) => return Err(asked.failure(error)),
    };
    // What another machine has sent is taken as a name only if it is one: not `.profile`, for example.
    let name = name.filter(|name| is_file_name(name)).unwrap_or_else(own_name);
    let mut out = Out::open(args, is_stdout, &name)?;
    while let Some(piece) = bytes.whole().await.map_err(|error| asked.failure(error))? {
        out.take(&piece)?;
    }
    Ok(Answered::Written(out.end()?))
}

fn from_disk(
    place: &Place,
    global: &Global,
    args: &BundleArgs,
    is_stdout: bool,
    terminal: &Terminal,
) -> Result<Written, Failure> {
    let Known { config, gap } = known(global, place);
    let mut message = "somebody has asked for this bundle while no runtime was running".to_owned();
    if let Some(gap) = &gap {
        let gap = plain(gap);
        message.push_str(&format!("; it may hold secrets of the configuration, as not all of them are known: {gap}"));
        terminal.note(format!(
            "not all secrets of the configuration are known, so the bundle may hold some; look through it before it is sent \
             to anybody ({gap})"
        ));
    }
    let source = Source {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state_dir: place.state_dir.clone(),
        history: place.history.clone(),
        config,
        running: None,
    };
    let mut out = Out::open(args, is_stdout, &own_name())?;
    let occasion = Occasion { what: ASKED.to_owned(), service: None, message };
    let path = out.path();
    let done = write_archive(&mut out, &Arc::new(source), &occasion, None, || false);
    done.map_err(|source| Failure::Io { operation: "write", path, source })?;
    Ok(Written { by_runtime: false, gap, ..out.end()? })
}

fn own_name() -> String {
    file_name(clock::wall(), ASKED, 0)
}

fn refuse_existing(target: &Path, force: bool) -> Result<(), Failure> {
    if !force && target.symlink_metadata().is_ok() {
        return Err(Failure::Exists(target.to_owned()));
    }
    Ok(())
}

/// Where the bytes go. A file has its name once it is whole; until then there is one beside it that is taken away when
/// something fails.
enum Out {
    Stdout { bytes: u64 },
    File { file: File, half: Half, target: PathBuf, force: bool, bytes: u64 },
}

/// A file that goes when this does.
struct Half(PathBuf);

impl Drop for Half {
    fn drop(&mut self) {
        // It has its own name by now, or cannot be taken away, which the failure that led here has told.
        drop(fs::remove_file(&self.0));
    }
}

impl Out {
    /// `name` is what the file is called where nobody has said so.
    fn open(args: &BundleArgs, is_stdout: bool, name: &str) -> Result<Self, Failure> {
        if is_stdout {
            return Ok(Self::Stdout { bytes: 0 });
        }
        let target = args.output.clone().unwrap_or_else(|| PathBuf::from(name));
        refuse_existing(&target, args.force)?;
        let base = target.file_name().unwrap_or_default().to_string_lossy();
        let half = target.with_file_name(format!(".{base}.{}.partial", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half);
        let file = file.map_err(|source| Failure::Io { operation: "create", path: target.clone(), source })?;
        Ok(Self::File { file, half: Half(half), target, force: args.force, bytes: 0 })
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Stdout { .. } => PathBuf::from("standard output"),
            Self::File { target, .. } => target.clone(),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path();
        self.write_all(bytes).map_err(|source| Failure::Io { operation: "write", path, source })
    }

    /// All of it has come, from a runtime unless somebody says otherwise.
    fn end(self) -> Result<Written, Failure> {
        match self {
            Self::Stdout { bytes } => Ok(Written { path: None, bytes, by_runtime: true, gap: None }),
            Self::File { file, half, target, force, bytes } => {
                refuse_existing(&target, force)?;
                let whole = file.sync_all().and_then(|()| fs::rename(&half.0, &target));
                whole.map_err(|source| Failure::Io { operation: "write", path: target.clone(), source })?;
                Ok(Written { path: Some(target), bytes, by_runtime: true, gap: None })
            }
        }
    }
}

impl Write for Out {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let (n, bytes) = match self {
            Self::Stdout { bytes } => (io::stdout().lock().write(buffer)?, bytes),
            Self::File { file, bytes, .. } => (file.write(buffer)?, bytes),
        };
        *bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout { .. } => io::stdout().lock().flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(output: &Path, force: bool) -> BundleArgs {
        BundleArgs { output: Some(output.to_owned()), force }
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole_and_replaces_none_unless_forced() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("a.tar");
        let names = || fs::read_dir(dir.path()).expect("a folder").flatten().map(|e| e.file_name()).collect::<Vec<_>>();
        let mut out = Out::open(&args(&target, false), false, "x").expect("a file");
        out.take(b"one").expect("written");
        assert!(!target.exists());
        drop(out);
        assert!(names().is_empty(), "what is not whole leaves nothing");
        let mut out = Out::open(&args(&target, false), false, "x").expect("a file");
        out.take(b"one").expect("written");
        assert_eq!(out.end().expect("written").bytes, 3);
        assert!(matches!(Out::open(&args(&target, false), false, "x"), Err(Failure::Exists(_))));
        let mut out = Out::open(&args(&target, true), false, "x").expect("a file");
        out.take(b"other").expect("written");
        assert!(out.end().is_ok());
        assert_eq!(fs::read(&target).expect("a file"), b"other");
        assert_eq!(names(), ["a.tar"]);
    }
}
