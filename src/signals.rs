//! Signals of the launcher: the first SIGINT or SIGTERM begins the ordered stop, a second one forces the end, SIGHUP has
//! the configuration read anew.
//!
//! A thread of its own reads them, because signal-hook's handler does nothing but wake it: no mask is blocked that
//! children would inherit. Signals that come before a runtime runs are kept and handed over to it.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use greenroom_actors::cause::chain;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, SignalsInfo, exfiltrator::origin::WithOrigin},
    low_level::siginfo::Origin,
};

use crate::runtime::RuntimeHandle;

/// Reads this process's signals until it is dropped.
#[derive(Debug)]
pub struct Signals {
    desk: Arc<Mutex<Desk>>,
    close: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What has come in, and who is to be told.
#[derive(Debug, Default)]
struct Desk {
    asked: Vec<String>,
    /// SIGHUP came before there was a runtime, which may have read its configuration already.
    reload: bool,
    runtime: Option<RuntimeHandle>,
}

impl Signals {
    /// Begins to read.
    ///
    /// # Errors
    /// When the handlers or the thread cannot be made.
    pub fn install() -> io::Result<Self> {
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP])?;
        let close = signals.handle();
        let desk = Arc::new(Mutex::new(Desk::default()));
        let read = Arc::clone(&desk);
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            // A launcher may be started with them blocked; one thread that takes them is enough. Fails for no valid set.
            SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]).thread_unblock().ok();
            for origin in &mut signals {
                take(&read, &origin);
            }
        })?;
        Ok(Self { desk, close, thread: Some(thread) })
    }

    /// Whether somebody has asked for the end already.
    #[must_use]
    pub fn stop_requested(&self) -> bool {
        !self.desk.lock().unwrap_or_else(PoisonError::into_inner).asked.is_empty()
    }

    /// Hands over to a runtime what came and what will come.
    pub fn attach(&self, runtime: &RuntimeHandle) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.runtime = Some(runtime.clone());
        if std::mem::take(&mut desk.reload) {
            reload(runtime);
        }
        for (n, reason) in desk.asked.iter().enumerate() {
            stop(runtime, n, reason);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.close.close();
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and if it did there is nothing left to do about it.
            drop(thread.join());
        }
    }
}

fn take(desk: &Mutex<Desk>, origin: &Origin) {
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    if origin.signal == SIGHUP {
        match &desk.runtime {
            Some(runtime) => reload(runtime),
            None => desk.reload = true,
        }
        return;
    }
    let name = if origin.signal == SIGINT { "SIGINT" } else { "SIGTERM" };
    let sender = origin.process.as_ref().filter(|p| p.pid > 0).map(|p| format!(" from process {}", p.pid));
    let reason = format!("{name}{}", sender.unwrap_or_default());
    if let Some(runtime) = &desk.runtime {
        stop(runtime, desk.asked.len(), &reason);
    }
    desk.asked.push(reason);
}

/// What comes of it is logged as what has happened.
fn reload(runtime: &RuntimeHandle) {
    tracing::info!("SIGHUP: reading the configuration anew");
    if let Err(error) = runtime.request_reload() {
        tracing::warn!("SIGHUP: {}", chain(&error));
    }
}

/// The `n`th request, counted from 0.
fn stop(runtime: &RuntimeHandle, n: usize, reason: &str) {
    if n == 0 {
        tracing::info!("{reason}: stopping in order; a second signal forces the end");
        runtime.begin_shutdown(reason);
    } else {
        tracing::warn!("{reason}: forcing the end");
        runtime.force_shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, time::Duration};

    use greenroom_actors::os::clock;

    use super::*;

    #[test]
    fn signals_are_taken_also_where_whoever_started_the_launcher_had_blocked_them() {
        let thread = std::thread::spawn(|| {
            SigSet::all().thread_block().expect("blocked");
            let signals = Signals::install().expect("installed");
            // Other tests' threads have other names.
            let reads = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "signals\n");
            let blocked = |task: PathBuf| {
                let status = fs::read_to_string(task.join("status")).ok()?;
                let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
                u64::from_str_radix(mask.trim(), 16).ok()
            };
            let taken = (1_u64 << (SIGTERM - 1)) | (1 << (SIGINT - 1)) | (1 << (SIGHUP - 1));
            let open = clock::wait_until(Duration::from_secs(10), || {
                let tasks = fs::read_dir("/proc/self/task").expect("readable").flatten().map(|entry| entry.path());
                tasks.filter(reads).filter_map(blocked).any(|mask| mask & taken == 0)
            });
            drop(signals);
            open
        });
        assert!(thread.join().expect("no panic"));
    }
}
