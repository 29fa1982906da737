//! Makes one archive: part after part, each bounded and without secrets, and the summary of all at its end.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    job_logs,
    name::partial,
    parts::{self, Had},
    secrets::Secrets,
    source::{Running, Source},
    summary::{Facts, MemoryFacts, ServiceFacts, Trouble, summary},
    system::system,
    tar,
    tree::TreeShot,
    within::within,
};
use crate::{os::clock, time::Timestamp, watchdog::deed::Occasion};

/// How long one part may take. All of it is read in some milliseconds where nothing hangs.
const BOUND: Duration = Duration::from_secs(5);
/// Most bytes of one part.
const PART: usize = 4 << 20;
/// Most bytes of all parts.
const TOTAL: usize = 48 << 20;

/// Why there is no bundle. Nothing of it is left on disk.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BundleError {
    /// The disk is full, or the folder cannot be written.
    #[error("the bundle cannot be written to {}", path.display())]
    NotWritten {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The system has no thread for it.
    #[error("cannot start a thread for the bundle")]
    Thread(#[source] Arc<io::Error>),
    /// It is taken down.
    #[error("the runtime is stopping and makes no bundle")]
    Stopping,
}

/// Writes an archive about `occasion` to `out`; `shot` is how the processes of its service were before. Blocks, some
/// seconds for each part that hangs. `is_over` is asked between the parts: once it says so, nothing more is written.
///
/// # Errors
/// When `out` cannot be written, or of kind `Interrupted` when it was over.
pub fn write_archive(
    out: impl Write,
    source: &Arc<Source>,
    occasion: &Occasion,
    shot: Option<TreeShot>,
    is_over: impl Fn() -> bool,
) -> io::Result<()> {
    let (config, secrets) = source.config.look();
    let own =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let secrets = secrets.and(&Secrets::of_environment(own));
    let shot = shot.map(|shot| Arc::new(shot.cleaned(&secrets)));
    let at = clock::wall();
    let mut tape =
        Tape { out: BufWriter::new(out), at, secrets, is_over, bytes: 0, files: Vec::new(), missing: Vec::new() };

    let (service, memory, troubles) = match &source.running {
        Some(running) => {
            let facts = facts(source, running, occasion, shot.clone());
            tape.add("services.json", look(running, Running::services))?;
            tape.trees(running, occasion, shot)?;
            tape.add("memory.json", look(running, Running::memory))?;
            tape.add("gpus.json", look(running, Running::gpus))?;
            tape.add("watch.json", look(running, Running::watch))?;
            let told = running.clone();
            (facts, Some(running.machine()), within(BOUND, move || told.troubles()).ok())
        }
        None => (None, None, None),
    };
    tape.add("config.toml", config.map(String::into_bytes).ok_or_else(|| "nobody has told its text".to_owned()))?;
    let recent = source.running.as_ref().map(|running| running.bus.last(EVENTS)).unwrap_or_default();
    tape.add("events.jsonl", look(source, move |source| parts::events(source, &recent)))?;
    tape.add("jobs.json", look(source, |source| parts::jobs(source)))?;
    tape.add("runs.jsonl", look(source, |source| parts::runs(source)))?;
    tape.add("system.txt", look(source, |source| Ok(system(&source.version, &source.state_dir))))?;
    for (name, file) in [("shutdown.log", "shutdown.log"), ("memory.jsonl", "logs/memory.jsonl")] {
        if source.state_dir.join(file).exists() {
            tape.add(name, look(source, move |source| parts::last_of(source, file)))?;
        }
    }
    tape.logs(source, occasion)?;
    let started = source.running.as_ref().map(|running| running.started);
    let told = Told { version: &source.version, started, service, memory, troubles };
    tape.end(occasion, told)
}

/// Events that are taken from the bus.
const EVENTS: usize = 500;

/// Looks at one part on a thread of its own.
fn look<S: Clone + Send + 'static>(source: &S, part: impl FnOnce(&S) -> Had + Send + 'static) -> Had {
    let source = source.clone();
    within(BOUND, move || part(&source))?
}

fn facts(
    source: &Arc<Source>,
    running: &Running,
    occasion: &Occasion,
    shot: Option<Arc<TreeShot>>,
) -> Option<ServiceFacts> {
    let (source, running, name) = (Arc::clone(source), running.clone(), occasion.service.clone()?);
    // Without it the summary says less, and the parts say which look has hung.
    within(BOUND, move || running.facts(&source, &name, shot.as_deref())).ok().flatten()
}

/// What the summary says beside what is in the archive.
struct Told<'a> {
    version: &'a str,
    started: Option<Timestamp>,
    service: Option<ServiceFacts>,
    memory: Option<MemoryFacts>,
    troubles: Option<Vec<Trouble>>,
}

/// An archive while it is written.
struct Tape<W: Write, O> {
    out: BufWriter<W>,
    at: Timestamp,
    secrets: Secrets,
    is_over: O,
    bytes: usize,
    files: Vec<String>,
    missing: Vec<(String, String)>,
}

impl<W: Write, O: Fn() -> bool> Tape<W, O> {
    /// Adds a part without its secrets, or notes why there is none.
    fn add(&mut self, name: &str, had: Had) -> io::Result<()> {
        if (self.is_over)() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut bytes = match had {
            Ok(bytes) => self.secrets.remove(&bytes),
            Err(why) => {
                self.miss(name, &why);
                return Ok(());
            }
        };
        if self.bytes.saturating_add(bytes.len()) > TOTAL {
            self.miss(name, "the bundle is as large as it may be");
            return Ok(());
        }
        if bytes.len() > PART {
            bytes.truncate(PART);
            self.miss(name, "cut, as it was too long");
        }
        self.put(name, &bytes)
    }

    fn miss(&mut self, name: &str, why: &str) {
        self.missing.push((name.to_owned(), self.secrets.remove_from(why)));
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        let header = tar::header(name, size, self.at.as_micros() / 1_000_000).map_err(io::Error::other)?;
        self.out.write_all(&header)?;
        self.out.write_all(bytes)?;
        self.out.write_all(&tar::end()[..tar::padding(size)])?;
        self.bytes += bytes.len();
        self.files.push(name.to_owned());
        Ok(())
    }

    /// Trees of processes, as text and as JSON.
    fn trees(&mut self, running: &Running, occasion: &Occasion, shot: Option<Arc<TreeShot>>) -> io::Result<()> {
        let (running, name, secrets) = (running.clone(), occasion.service.clone(), self.secrets.clone());
        let looked = within(BOUND, move || running.trees(name.as_ref().zip(shot.as_deref()), &secrets));
        let (text, json) = match looked {
            Ok((text, json)) => (Ok(text), Ok(json)),
            Err(why) => (Err(why.clone()), Err(why)),
        };
        self.add("tree.txt", text)?;
        self.add("tree.json", json)
    }

    /// The last lines of every log, one at a time: memory stays at one.
    fn logs(&mut self, source: &Arc<Source>, occasion: &Occasion) -> io::Result<()> {
        let (logs, about) = (Arc::clone(source), occasion.service.clone());
        let names = within(BOUND, move || parts::logged(&logs, about.as_ref())).flatten();
        let names = match names {
            Ok(names) => names,
            Err(why) => {
                self.miss("logs", &why);
                return Ok(());
            }
        };
        for name in names {
            let file = format!("logs/{name}.log");
            let log = look(source, move |source| Ok(parts::log(source, &name)));
            let is_lost = log.is_err();
            self.add(&file, log)?;
            if is_lost {
                // The others lie on the same disk.
                return Ok(());
            }
        }
        self.job_logs(source, occasion)
    }

    /// The same of the jobs that are worked on, and of those that were last.
    fn job_logs(&mut self, source: &Arc<Source>, occasion: &Occasion) -> io::Result<()> {
        let (logs, message) = (Arc::clone(source), occasion.message.clone());
        let jobs = within(BOUND, move || job_logs::logged_jobs(&logs, &message)).flatten();
        let jobs = match jobs {
            Ok(jobs) => jobs,
            Err(why) => {
                self.miss("logs/jobs", &why);
                return Ok(());
            }
        };
        for id in jobs {
            let log = look(source, move |source| job_logs::job_log(source, id));
            let is_lost = log.is_err();
            self.add(&format!("logs/jobs/{id}.log"), log)?;
            if is_lost {
                break;
            }
        }
        Ok(())
    }

    /// The summary, and the end of the archive.
    fn end(mut self, occasion: &Occasion, told: Told<'_>) -> io::Result<()> {
        let Told { version, started, service, memory, troubles } = told;
        // Before lines are cut: half a secret would not be known again.
        let clean = |text: &str| self.secrets.remove_from(text);
        let occasion = Occasion { message: clean(&occasion.message), ..occasion.clone() };
        let service = service.map(|service| ServiceFacts {
            reason: service.reason.as_deref().map(clean),
            last_line: service.last_line.as_deref().map(clean),
            happened: service.happened.iter().map(|line| clean(line)).collect(),
            ..service
        });
        let cleaned = |trouble: Trouble| Trouble { text: trouble.text.as_deref().map(clean), ..trouble };
        let troubles = troubles.map(|all| all.into_iter().map(cleaned).collect());
        let (at, files, missing) = (self.at, &self.files, &self.missing);
        let facts = Facts { occasion: &occasion, at, version, started, service, memory, troubles, files, missing };
        let text = summary(&facts);
        self.put("SUMMARY.md", text.as_bytes())?;
        self.out.write_all(&tar::end())?;
        self.out.flush()
    }
}

/// Writes an archive into the file `target`, which nobody but its owner may read. It has its name once it is whole and on
/// disk; until then, and after a failure, there is none of that name but one that was there before.
///
/// # Errors
/// When it cannot be written, or it was over.
pub(super) fn write_file(
    target: &Path,
    source: &Arc<Source>,
    occasion: &Occasion,
    shot: Option<TreeShot>,
    is_over: impl Fn() -> bool,
) -> Result<(), BundleError> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let half = target.with_file_name(partial(&name));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
        write_archive(&mut file, source, occasion, shot, is_over)?;
        file.sync_all()?;
        fs::rename(&half, target)
    };
    write().map_err(|error| {
        // What cannot be removed either is taken away before the next one is written.
        drop(fs::remove_file(&half));
        match error.kind() {
            io::ErrorKind::Interrupted => BundleError::Stopping,
            _ => BundleError::NotWritten { path: target.to_owned(), source: Arc::new(error) },
        }
    })
}
