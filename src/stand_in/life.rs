//! The stand-in's life: signals, deadlines and requests from the HTTP thread, one after the other.

use std::{
    collections::VecDeque,
    io,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use greenroom_actors::{os::clock, units::ByteSize};
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};
use tokio::sync::watch;

use super::{
    end, family,
    family::Family,
    faults::LEAK_STEP,
    http,
    job::{NotBegun, Play, Turn},
    options::Options,
    output,
    vram::VramHeld,
    weights,
};

/// Longest sleep of the loop when nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// What the loop is woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A signal came.
    Signal(i32),
    /// A request needs the model.
    Load,
    /// Somebody asked to give the memory back.
    Unload,
    /// The request came at which a crash is due.
    Crash,
    /// Lose so much memory.
    Leak(ByteSize),
    /// Start so many processes.
    Fork(u32),
    /// HTTP could not be served; the reason has been said.
    NoHttp,
}

/// Where the model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// On its way.
    Loading,
    /// In memory.
    Loaded,
    /// Given back until somebody needs it.
    Unloaded,
}

/// What falls due at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Loaded,
    /// The next act of a job.
    Act,
    Crash,
    Leak,
    Fork,
    Stopped,
}

/// Lives as `options` say; returns the exit status. `inherited` are the descriptors the process began with.
pub fn run(options: Options, inherited: &[u32]) -> i32 {
    // An error here means that this process leads a session already: what was wanted.
    if options.new_session {
        nix::unistd::setsid().ok();
    }
    if options.daemonize {
        return family::daemonize(&options);
    }
    match Life::begin(options, inherited) {
        Ok(life) => life.live(),
        Err(error) => {
            output::complain(&format!("stand-in: {error}"));
            1
        }
    }
}

struct Life {
    options: Options,
    woken: Receiver<Wake>,
    due: VecDeque<(Instant, Due)>,
    stage: watch::Sender<Stage>,
    memory: Vec<u8>,
    /// What is never given back.
    leaked: Vec<Vec<u8>>,
    vram: VramHeld,
    family: Family,
    job: Option<Play>,
}

impl Life {
    fn begin(options: Options, inherited: &[u32]) -> io::Result<Self> {
        let (wake, woken) = mpsc::channel();
        // Before anything else can take time: a signal that comes now must find its handler.
        listen(wake.clone())?;
        if let Some(file) = &options.only_own_fds {
            output::write_descriptors(file, inherited)?;
        }
        if let Some(text) = &options.stderr {
            output::complain(text);
        }
        let stage = watch::Sender::new(Stage::Loading);
        if let Some(port) = options.port {
            let engine = http::Engine::new(&options, stage.subscribe(), wake);
            http::serve((options.host.clone(), port), engine)?;
        }
        let family = Family::raise(&options);
        let vram = VramHeld::none(&options);
        let due = VecDeque::new();
        let mut life =
            Self { options, woken, due, stage, memory: Vec::new(), leaked: Vec::new(), vram, family, job: None };
        life.note("start");
        if life.options.vram_at_start {
            life.vram.take();
        }
        if life.options.job.job {
            life.begin_job()?;
        } else {
            life.at(life.options.load_time(), Due::Loaded);
        }
        if let Some(crash) = life.options.crash_time() {
            life.at(crash, Due::Crash);
        }
        if let Some((_, after)) = life.options.faults.forks() {
            life.at(after, Due::Fork);
        }
        Ok(life)
    }

    fn live(mut self) -> i32 {
        loop {
            let status = match self.woken.recv_timeout(self.pause()) {
                Ok(wake) => self.on_wake(wake),
                Err(RecvTimeoutError::Timeout) => self.on_time(),
                // The signal thread holds a sender as long as the process lives.
                Err(RecvTimeoutError::Disconnected) => Some(1),
            };
            if let Some(status) = status {
                return status;
            }
        }
    }

    fn on_wake(&mut self, wake: Wake) -> Option<i32> {
        match wake {
            Wake::Signal(SIGCHLD) => self.family.tend(),
            Wake::Signal(_) if self.options.ignore_signals => {}
            Wake::Signal(_) => return self.stop(),
            Wake::Load if *self.stage.borrow() == Stage::Unloaded => {
                self.stage.send_replace(Stage::Loading);
                self.at(self.options.load_time(), Due::Loaded);
            }
            Wake::Load => {}
            Wake::Unload => {
                self.memory = Vec::new();
                self.vram.give_back();
                self.stage.send_replace(Stage::Unloaded);
            }
            Wake::Crash => return Some(self.crash()),
            Wake::Leak(size) => self.leaked.push(weights::take(size)),
            Wake::Fork(count) => self.family.fork(count),
            Wake::NoHttp => return Some(1),
        }
        None
    }

    fn on_time(&mut self) -> Option<i32> {
        let now = clock::now();
        while let Some((_, due)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            let status = match due {
                Due::Loaded => self.loaded(),
                Due::Act => self.act(),
                Due::Crash => Some(self.crash()),
                Due::Leak => self.leak(),
                Due::Fork => self.fork(),
                // A job that is stopped has not done what it was there for: as if the signal had ended it.
                Due::Stopped if self.job.is_some() => Some(128 + SIGTERM),
                Due::Stopped => Some(self.ended()),
            };
            if status.is_some() {
                return status;
            }
        }
        None
    }

    fn loaded(&mut self) -> Option<i32> {
        self.memory = weights::take(self.options.memory);
        self.vram.take();
        self.stage.send_replace(Stage::Loaded);
        if self.options.port.is_some() {
            output::say(&format!("model loaded, {} bytes held", self.memory.len()));
        }
        if self.options.print_nan {
            output::complain(output::NAN);
        }
        if self.options.print_oom {
            output::complain(output::OOM);
        }
        if self.options.faults.hostile {
            output::draw_bytes(output::HOSTILE);
        }
        // Once only, however often the model is loaded.
        if self.options.faults.leak.is_some() && !self.due.iter().any(|(_, due)| *due == Due::Leak) {
            self.leak();
        }
        let size = self.options.flood?;
        // A reader that has gone ends the flood, nothing else.
        drop(output::flood(&mut io::stdout().lock(), size, self.options.flood_line_len));
        self.options.end_after_flood.then(|| self.ended())
    }

    /// Loses what a moment loses, and again a moment later.
    fn leak(&mut self) -> Option<i32> {
        if let Some(size) = self.options.faults.leak_step() {
            self.leaked.push(weights::take(size));
            self.at(LEAK_STEP, Due::Leak);
        }
        None
    }

    fn fork(&mut self) -> Option<i32> {
        if let Some((count, _)) = self.options.faults.forks() {
            self.family.fork(count);
        }
        None
    }

    fn begin_job(&mut self) -> io::Result<()> {
        match Play::begin(&self.options.job, self.options.load_time()) {
            Ok(play) => {
                self.at(play.pause().unwrap_or_default(), Due::Act);
                self.job = Some(play);
                Ok(())
            }
            Err(NotBegun::Double) => {
                self.note("double");
                Err(io::Error::other("another one does this very job"))
            }
            Err(NotBegun::Io(error)) => Err(error),
        }
    }

    fn act(&mut self) -> Option<i32> {
        let job = self.job.as_mut()?;
        let turn = job.go_on();
        let pause = job.pause();
        let status = match turn {
            Turn::On => None,
            Turn::Load => self.loaded(),
            Turn::End(0) => Some(self.ended()),
            Turn::End(status) => Some(status),
            Turn::Crash => Some(self.crash()),
        };
        if let (None, Some(pause)) = (status, pause) {
            self.at(pause, Due::Act);
        }
        status
    }

    fn stop(&mut self) -> Option<i32> {
        // A second request changes nothing: the end is on its way.
        if self.due.iter().any(|(_, due)| *due == Due::Stopped) {
            return None;
        }
        self.note("stop");
        self.at(self.options.stop_time(), Due::Stopped);
        None
    }

    fn ended(&self) -> i32 {
        self.note("end");
        0
    }

    fn crash(&self) -> i32 {
        end::crash(self.options.signal, self.options.exit_code)
    }

    fn note(&self, what: &str) {
        let Some(file) = &self.options.stop_log else { return };
        if let Err(error) = output::log_moment(file, &self.options.name, what) {
            output::complain(&format!("cannot write {}: {error}", file.display()));
        }
    }

    fn at(&mut self, after: Duration, due: Due) {
        let at = clock::now() + after;
        let place = self.due.partition_point(|(earlier, _)| *earlier <= at);
        self.due.insert(place, (at, due));
    }

    fn pause(&self) -> Duration {
        self.due.front().map_or(NOTHING_DUE, |(at, _)| at.saturating_duration_since(clock::now()))
    }
}

/// Turns signals into wakes, on a thread of its own.
fn listen(wake: Sender<Wake>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if wake.send(Wake::Signal(signal)).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}
