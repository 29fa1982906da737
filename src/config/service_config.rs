//! One service, put together in code.

use super::{in_code::Setting, named_keys::NamedKeys, value::Value};

/// When a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the runtime.
    Eager,
    /// When it is asked for.
    OnDemand,
    /// By hand only.
    Manual,
}

/// What must be so of another service before one is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It runs.
    Started,
    /// It is ready.
    Ready,
    /// It has run to its end.
    Completed,
}

/// When a service comes back after it has been pushed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// As soon as there is room.
    WhenFree,
    /// When it is asked for.
    OnDemand,
    /// By hand only.
    Never,
}

/// `[service.NAME]` in code. Each method sets the key of its name; [`set`](Self::set) reaches all others. Checked with
/// the whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig(NamedKeys);

impl ServiceConfig {
    /// A service of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(NamedKeys::new("service", name.into()))
    }

    /// Program and arguments. No shell is run. `${port}`, `${model_file}` and the like are filled in.
    #[must_use]
    pub fn command<T: Into<Value>>(self, words: impl IntoIterator<Item = T>) -> Self {
        self.key(["command"], Value::list(words))
    }

    /// What kind of program it is, such as `llama-server`; without this, by the program's name.
    #[must_use]
    pub fn engine(self, name: &str) -> Self {
        self.key(["engine"], name.into())
    }

    /// What `${model_file}` stands for.
    #[must_use]
    pub fn model_file(self, path: impl AsRef<std::path::Path>) -> Self {
        self.key(["model_file"], Value::path(path.as_ref()))
    }

    /// Names that clients use for it.
    #[must_use]
    pub fn serves<T: Into<Value>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.key(["serves"], Value::list(names))
    }

    /// One variable of its environment.
    #[must_use]
    pub fn env(self, name: &str, value: impl Into<Value>) -> Self {
        self.key(["env", name], value.into())
    }

    /// Where it runs.
    #[must_use]
    pub fn working_dir(self, path: impl AsRef<std::path::Path>) -> Self {
        self.key(["working_dir"], Value::path(path.as_ref()))
    }

    /// A fixed port. Without this, a command that has `${port}` gets a free one.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.key(["port"], port.into())
    }

    /// The path that answers with a status from 200 to 299 once it is ready, such as `/health`.
    #[must_use]
    pub fn ready_path(self, path: &str) -> Self {
        self.key(["ready", "probe"], path.into())
    }

    /// When it is started.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        let word = match start {
            Start::Eager => "eager",
            Start::OnDemand => "on_demand",
            Start::Manual => "manual",
        };
        self.key(["start"], word.into())
    }

    /// What must be so of another service before this one is started.
    #[must_use]
    pub fn depends_on(self, service: &str, when: When) -> Self {
        let word = match when {
            When::Started => "started",
            When::Ready => "ready",
            When::Completed => "completed",
        };
        self.key(["depends_on", service], word.into())
    }

    /// GPU memory it needs at most, in bytes; without this it is measured, or estimated.
    #[must_use]
    pub fn vram(self, bytes: u64) -> Self {
        self.key(["vram"], Value::bytes(bytes))
    }

    /// Host memory it needs at most, in bytes; without this it is measured, or estimated.
    #[must_use]
    pub fn ram(self, bytes: u64) -> Self {
        self.key(["ram"], Value::bytes(bytes))
    }

    /// Of several that could make room, those with a lower number go first; 0 without this.
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        self.key(["priority"], priority.into())
    }

    /// Never offloaded to make room.
    #[must_use]
    pub fn pinned(self) -> Self {
        self.key(["pinned"], true.into())
    }

    /// Offloaded after this long without work; zero: never.
    #[must_use]
    pub fn idle_timeout(self, time: std::time::Duration) -> Self {
        self.key(["idle_timeout"], time.into())
    }

    /// When it comes back after it has been pushed out; without this, when it is asked for.
    #[must_use]
    pub fn reload(self, reload: Reload) -> Self {
        let word = match reload {
            Reload::WhenFree => "when_free",
            Reload::OnDemand => "on_demand",
            Reload::Never => "never",
        };
        self.key(["offload", "reload"], word.into())
    }

    /// Makes room by its engine's own unload, and keeps its process.
    #[must_use]
    pub fn sleeps(self) -> Self {
        self.key(["offload", "how"], "sleep".into())
    }

    /// Any other key below the service, written as in TOML: `restart.max`, `stop.grace`.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        Self(self.0.written(key, value.into()))
    }

    fn key<const N: usize>(self, path: [&str; N], value: Value) -> Self {
        Self(self.0.key(path, value))
    }

    pub(super) fn into_settings(self) -> Vec<Setting> {
        self.0.into_settings()
    }
}
