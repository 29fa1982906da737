//! What is known of a kind of program.

use std::{path::PathBuf, time::Duration};

use super::{
    key::KeyWords,
    need::{ModelFacts, NeedHint},
};
use crate::{failure::FailureClass, probe::Probe};

/// How long a program may take to be ready when its model file does not say more.
const READY: Duration = Duration::from_secs(120);

/// A slow disk, in bytes per second: what a cold network volume of a rented machine gives.
const DISK_RATE: u64 = 100_000_000;

/// A line of output that names the cause of a failure: a regular expression and the class. Patterns begin with plain
/// text wherever possible, which lets a flood of output be searched at the speed of memory.
pub type FailureLine = (&'static str, FailureClass);

/// How far a load has come, as a program tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadStep {
    /// What it does, in a word: `weights`, `graphs`.
    pub phase: String,
    /// How much of this phase is done, in whatever the program counts; 0 of 1 for a phase that it only names.
    pub done: u64,
    /// The whole of this phase, in the same.
    pub total: u64,
}

impl LoadStep {
    /// A step of a phase.
    pub fn new(phase: impl Into<String>, done: u64, total: u64) -> Self {
        Self { phase: phase.into(), done, total }
    }
}

/// A request to a program on its own port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// `POST`, for example.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// A JSON body, if it wants one.
    pub body: Option<String>,
}

impl HttpCall {
    /// A call without a body.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: method.into(), path: path.into(), body: None }
    }

    /// With this JSON body.
    #[must_use]
    pub fn with(self, body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), ..self }
    }
}

/// How a program gives its memory back and stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SleepCalls {
    /// Unloads the model; answered when, or shortly before, the memory is back.
    pub sleep: HttpCall,
    /// Loads it again. Without one the next request does.
    pub wake: Option<HttpCall>,
}

/// How work that a request has begun is stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interrupt {
    /// By these requests, one after the other; the one that waits for its answer gets it then.
    Calls(Vec<HttpCall>),
    /// By closing the connection.
    Disconnect,
    /// Not at all: it must be restarted.
    Restart,
}

/// How work that a request has begun is followed to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Its answer comes when it is done, and nothing is known before.
    ByAnswer,
    /// The same, and until then this path tells how far it has come: [`Engine::request_step`] reads that.
    ByAsking(String),
    /// As ComfyUI does it: the answer names the work, a websocket tells how far it has come, and what it has made is in the
    /// history.
    ByPrompt,
}

/// A question whose answer says whether a program works, also when no request is open: `GET path` is answered by a JSON
/// object, and one of these members of it is neither empty, `null`, `false` nor zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyProbe {
    /// The path.
    pub path: String,
    /// The members.
    pub nonempty: Vec<String>,
}

/// A kind of program: how it is recognised, when it is ready, what its output means, how it takes being stopped.
///
/// Greenroom brings some; an application adds its own with [`Engines::with`](super::Engines::with). Everything but the
/// name has a default that fits a program of which nothing is known. The methods are asked from several threads, for
/// the same answer each time; they must not block. What is asked once, when the configuration is read, ends up in the
/// service's spec and can be overridden there.
pub trait Engine: Send + Sync + 'static {
    /// The name in the configuration and the API: lower-case letters, digits and hyphens.
    fn name(&self) -> &str;

    /// Whether this command runs such a program: for `engine = "auto"`. `program` is the first word of the command, with
    /// its folder if it has one; in `arguments`, what is known only at a start (`${port}`) is left out.
    fn recognises(&self, program: &str, arguments: &[&str]) -> bool {
        let _ = (program, arguments);
        false
    }

    /// `ready.probe = "auto"`.
    fn ready_probe(&self) -> Probe {
        Probe::None
    }

    /// `alive.probe = "auto"`; by default what tells readiness, where that can be asked again.
    fn alive_probe(&self) -> Probe {
        match self.ready_probe() {
            Probe::Log(_) | Probe::Delay(_) => Probe::None,
            again => again,
        }
    }

    /// `ready.timeout = "auto"` for a model file of this many bytes, 0 if there is none: by default 120 s, or what
    /// reading the file at 100 MB/s takes, if that is longer.
    fn ready_timeout(&self, model_file: u64) -> Duration {
        READY.max(reading(model_file))
    }

    /// Lines that name the cause of a failure, the cause before its consequences. They are judged only after the fact:
    /// exit status and health decide whether something failed. What any program may say is known without them.
    fn failures(&self) -> &[FailureLine] {
        &[]
    }

    /// Send the stop signal once more after this long, for programs that take the first one as "when you are done".
    fn second_signal(&self) -> Option<Duration> {
        None
    }

    /// What it needs of memory before it has been measured, where the configuration does not say: by default as much as its
    /// model file weighs x 1.2, and without one a card to itself. Asked often; a figure of its own should come from the
    /// facts alone.
    fn need(&self, facts: &ModelFacts<'_>) -> NeedHint {
        let _ = facts;
        NeedHint::ByFile
    }

    /// Files that it loads besides its model file, as its command names them: an image projector, a draft model. They are
    /// weighed, and come to [`need`](Self::need) as [`ModelFacts::companions`].
    fn companions(&self, arguments: &[&str]) -> Vec<PathBuf> {
        let _ = arguments;
        Vec::new()
    }

    /// How many requests it works on at a time, where its command says so: for `max_concurrency = "auto"`. By default nobody
    /// knows, and it is given as many as there are. In `arguments`, what is known only at a start is left out.
    fn slots(&self, arguments: &[&str]) -> Option<u32> {
        let _ = arguments;
        None
    }

    /// How it is told to unload its model and to load it again, if it can do that: for `offload.how = "sleep"`.
    fn sleep(&self) -> Option<SleepCalls> {
        None
    }

    /// What has it generate one token, as briefly as it can, if it can be asked for one: for `alive.generation`. `model` is
    /// the name that it goes by in a request.
    fn generation(&self, model: Option<&str>) -> Option<HttpCall> {
        let _ = model;
        None
    }

    /// Where it is told the key that it asks of whoever speaks to it, if it has such a thing: what it is asked for by
    /// `alive.generation` has to carry it.
    fn key_words(&self) -> Option<KeyWords> {
        None
    }

    /// What says that it works when no request is open; by default nothing does.
    fn busy(&self) -> Option<BusyProbe> {
        None
    }

    /// The JSON body that this request needs to have its effect: for clean-ups, of which the configuration says method and
    /// path alone. By default that of its own way to unload, and nothing for all others.
    fn body_of(&self, method: &str, path: &str) -> Option<String> {
        let sleep = self.sleep()?.sleep;
        sleep.body.filter(|_| sleep.method == method && sleep.path == path)
    }

    /// How work that a request has begun is stopped, for jobs that are cancelled: by default by closing the connection.
    fn interrupt(&self) -> Interrupt {
        Interrupt::Disconnect
    }

    /// How work is followed that a request with this method and path begins, for jobs.
    fn follows(&self, method: &str, path: &str) -> Followed {
        let _ = (method, path);
        Followed::ByAnswer
    }

    /// Steps done and steps in all, if what it answers to [`Followed::ByAsking`] says so.
    fn request_step(&self, answer: &[u8]) -> Option<(u64, u64)> {
        let _ = answer;
        None
    }

    /// The extension of a file that a job of this program makes, where `${output}` has none in the command.
    fn output_extension(&self) -> Option<&'static str> {
        None
    }

    /// Regular expressions for the lines that tell how a job gets on, as [`progress_lines`](Self::progress_lines) are for a
    /// load.
    fn step_lines(&self) -> &[&'static str] {
        &[]
    }

    /// Steps done and steps in all, if this line says so. Asked while a job runs, as [`progress`](Self::progress) is while a
    /// service starts.
    fn step(&self, line: &[u8]) -> Option<(u64, u64)> {
        let _ = line;
        None
    }

    /// Regular expressions for the lines that tell how a load gets on: only what matches one of them is shown to
    /// [`progress`](Self::progress). They keep a flood of output cheap.
    fn progress_lines(&self) -> &[&'static str] {
        &[]
    }

    /// How far a load has come, if this line says so. Asked only while the service starts, at most for the first 16 KiB of
    /// a line, without its ending; the line may go on (a bar that is drawn piece by piece), and is shown again then.
    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        let _ = line;
        None
    }
}

/// What reading this many bytes takes on a slow disk.
pub(super) fn reading(bytes: u64) -> Duration {
    Duration::from_secs(bytes / DISK_RATE)
}
