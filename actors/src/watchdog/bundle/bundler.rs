//! Makes bundles when asked to, one at a time, on a thread of its own that is there only while there is something to do.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    archive::{BundleError, write_file},
    desk::{Desk, Taken},
    name::{file_name, outdated},
    source::Source,
    tree::TreeShot,
};
use crate::{
    cause::chain,
    event::{EventKind, Severity},
    ids::RunId,
    os::clock,
    spec::BundleSpec,
    watchdog::deed::Occasion,
};

/// The alert while bundles cannot be written.
const ALERT: &str = "bundle";

/// The folder in which bundles lie.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("bundles")
}

/// Makes bundles. Clones are the same.
#[derive(Debug, Clone)]
pub struct Bundler(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Arc<Source>,
    desk: Mutex<Desk<Wish>>,
    spec: BundleSpec,
    thread: Mutex<Option<JoinHandle<()>>>,
    over: AtomicBool,
    /// Whether the last one failed.
    failed: AtomicBool,
}

/// A bundle that somebody wants.
#[derive(Debug)]
struct Wish {
    occasion: Occasion,
    shot: Option<TreeShot>,
    answers: Vec<oneshot::Sender<Result<PathBuf, BundleError>>>,
}

impl Wish {
    fn answer(self, result: &Result<PathBuf, BundleError>) {
        for answer in self.answers {
            // An error means that whoever asked has left.
            drop(answer.send(result.clone()));
        }
    }
}

impl Bundler {
    /// One that makes bundles of `source`. Nothing is done before it is asked.
    #[must_use]
    pub fn start(source: Source, spec: BundleSpec) -> Self {
        Self(Arc::new(Shared {
            source: Arc::new(source),
            desk: Mutex::default(),
            spec,
            thread: Mutex::default(),
            over: false.into(),
            failed: false.into(),
        }))
    }

    /// Wants a bundle of the state before whatever follows; `shot` is how the processes are now. Never waits. It is left out
    /// when the last one is younger than `watchdog.bundle_min_interval`, or another one waits already; not so the first one
    /// for an `emergency` of a run. Says whether it will be made.
    pub fn ask(&self, occasion: Occasion, shot: Option<TreeShot>, emergency: Option<RunId>) -> bool {
        let min_interval = self.0.spec.min_interval;
        let wish = Wish { occasion, shot, answers: Vec::new() };
        let taken = lock(&self.0.desk).by_itself(wish, clock::now(), min_interval, emergency);
        self.begin(taken)
    }

    /// Makes a bundle now, or after the one that is being made, and waits for its end. Works on any executor. Whoever drops
    /// the future does not take the wish back.
    ///
    /// # Errors
    /// When it cannot be written, or the runtime is stopping.
    pub async fn make_now(&self, occasion: Occasion) -> Result<PathBuf, BundleError> {
        let (answer, answered) = oneshot::channel();
        let wish = Wish { occasion, shot: None, answers: vec![answer] };
        let taken = lock(&self.0.desk).asked(wish, |waiting, more| waiting.answers.extend(more.answers));
        self.begin(taken);
        answered.await.unwrap_or(Err(BundleError::Stopping))
    }

    /// Takes no more wishes and waits, at most `bound`, until the one that is being made has given up. Blocks. Says whether
    /// its thread has ended.
    pub fn end(&self, bound: Duration) -> bool {
        self.0.over.store(true, Ordering::Release);
        let waiting = lock(&self.0.desk).close();
        waiting.into_iter().for_each(|wish| wish.answer(&Err(BundleError::Stopping)));
        let Some(thread) = lock(&self.0.thread).take() else { return true };
        if !clock::wait_until(bound, || thread.is_finished()) {
            return false;
        }
        if thread.join().is_err() {
            tracing::error!("the thread that makes bundles ended by a panic");
        }
        true
    }

    fn begin(&self, taken: Taken<Wish>) -> bool {
        let wish = match taken {
            Taken::Begin(wish) => wish,
            Taken::Waits => return true,
            Taken::Refused(wish, why) => {
                tracing::debug!("no bundle is made for {}: {why}", wish.occasion.what);
                wish.answer(&Err(BundleError::Stopping));
                return false;
            }
        };
        let shared = Arc::clone(&self.0);
        // The wish stays with us until there is a thread for it.
        let given = Arc::new(Mutex::new(Some(wish)));
        let work = Arc::clone(&given);
        let body = move || {
            let mut next = lock(&work).take();
            while let Some(wish) = next {
                shared.make(wish);
                next = lock(&shared.desk).done();
            }
        };
        match thread::Builder::new().name("bundle".to_owned()).spawn(body) {
            Ok(thread) => {
                // The one before has said that it is done, and ends by itself.
                drop(lock(&self.0.thread).replace(thread));
                true
            }
            Err(error) => {
                let error = Err(BundleError::Thread(Arc::new(error)));
                let given = lock(&given).take();
                let waiting = std::iter::from_fn(|| lock(&self.0.desk).done());
                given.into_iter().chain(waiting).for_each(|wish| wish.answer(&error));
                false
            }
        }
    }
}

impl Shared {
    /// Makes one, and takes away those that are too many.
    fn make(&self, wish: Wish) {
        let shot = wish.shot.clone();
        let result = self.write(&wish.occasion, shot);
        match &result {
            Ok(path) => {
                tracing::info!(path = %path.display(), "a diagnostic bundle was made ({})", wish.occasion.what);
                if self.failed.swap(false, Ordering::AcqRel) {
                    self.tell(EventKind::AlertCleared { alert: ALERT.to_owned(), service: None });
                }
            }
            Err(BundleError::Stopping) => {}
            Err(error) => {
                let message = format!("{}; make room on that disk, or choose another state dir", chain(error));
                if !self.failed.swap(true, Ordering::AcqRel) {
                    let (alert, severity) = (ALERT.to_owned(), Severity::Warning);
                    self.tell(EventKind::AlertRaised { alert, severity, service: None, message });
                }
            }
        }
        wish.answer(&result);
    }

    fn tell(&self, kind: EventKind) {
        if let Some(running) = &self.source.running {
            running.bus.emit(kind);
        }
    }

    fn write(&self, occasion: &Occasion, shot: Option<TreeShot>) -> Result<PathBuf, BundleError> {
        let folder = folder(&self.source.state_dir);
        let failed = |error| BundleError::NotWritten { path: folder.clone(), source: Arc::new(error) };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        // What an earlier runtime was killed over is in the way of the same name.
        clear(&folder, u32::MAX).map_err(failed)?;
        let at = clock::wall();
        let name = |another| folder.join(file_name(at, &occasion.what, another));
        let target = (0..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0));
        write_file(&target, &self.source, occasion, shot, || self.over.load(Ordering::Acquire))?;
        let keep = self.spec.keep.max(1);
        if let Err(error) = clear(&folder, keep) {
            tracing::warn!("older bundles in {} cannot be removed: {error}", folder.display());
        }
        Ok(target)
    }
}

/// Takes away the oldest bundles but `keep`, and what was left half written.
fn clear(folder: &Path, keep: u32) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.flatten();
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    outdated(&names, keep).into_iter().try_for_each(|name| match fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    })
}

/// Nothing panics while one of these is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "bundler_tests.rs"]
mod tests;
