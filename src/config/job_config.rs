//! One kind of job, put together in code.

use std::{path::Path, time::Duration};

use super::{in_code::Setting, named_keys::NamedKeys, value::Value};

/// `[job.NAME]` in code. Each method sets the key of its name; [`set`](Self::set) reaches all others. Checked with the
/// whole configuration.
///
/// ```
/// use greenroom::{Config, JobConfig, config::ParamConfig};
///
/// let image = JobConfig::new("image")
///     .command(["cp", "${param.picture}", "${output}.png"])
///     .param("picture", ParamConfig::file())
///     .param("steps", ParamConfig::or(20).flag("--steps"));
/// let loaded = Config::new().job(image).read()?;
/// assert_eq!(loaded.spec.jobs[0].params.len(), 2);
/// # Ok::<(), greenroom::config::ConfigErrors>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct JobConfig(NamedKeys);

/// One of the params of a job. A param without a default and a flag must be given with every job.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamConfig(Value);

impl ParamConfig {
    /// A text.
    #[must_use]
    pub fn text() -> Self {
        Self(Value::table())
    }

    /// One with a default, and of its type.
    #[must_use]
    pub fn or(default: impl Into<Value>) -> Self {
        Self(Value::table().entry("default", default))
    }

    /// A whole number.
    #[must_use]
    pub fn int() -> Self {
        Self::of("int")
    }

    /// A number.
    #[must_use]
    pub fn float() -> Self {
        Self::of("float")
    }

    /// True or false.
    #[must_use]
    pub fn bool() -> Self {
        Self::of("bool")
    }

    /// A file that is sent along with the job. Its path is filled in, or its contents in base64 in a request.
    #[must_use]
    pub fn file() -> Self {
        Self::of("file")
    }

    /// The same, left out where it is not given, and else appended to the command after this flag.
    #[must_use]
    pub fn flag(self, flag: &str) -> Self {
        Self(self.0.entry("flag", flag))
    }

    fn of(word: &str) -> Self {
        Self(Value::table().entry("type", word))
    }
}

impl JobConfig {
    /// A kind of job of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(NamedKeys::new("job", name.into()))
    }

    /// Program and arguments of a process that does one job and ends. `${param.NAME}`, `${output}` and the like are filled
    /// in for each job. No shell is run.
    #[must_use]
    pub fn command<T: Into<Value>>(self, words: impl IntoIterator<Item = T>) -> Self {
        self.key(["command"], Value::list(words))
    }

    /// Instead of a command: a request to a service or remote, whose body are the params as a JSON object.
    #[must_use]
    pub fn request(self, service: &str, method: &str, path: &str) -> Self {
        let request = Value::table().entry("method", method).entry("path", path);
        self.key(["service"], service.into()).key(["request"], request)
    }

    /// One of its params.
    #[must_use]
    pub fn param(self, name: &str, param: ParamConfig) -> Self {
        self.key(["params", name], param.0)
    }

    /// What kind of program it is, such as `sd-server`; without this, by the program's name.
    #[must_use]
    pub fn engine(self, name: &str) -> Self {
        self.key(["engine"], name.into())
    }

    /// What `${model_file}` stands for.
    #[must_use]
    pub fn model_file(self, path: impl AsRef<Path>) -> Self {
        self.key(["model_file"], Value::path(path.as_ref()))
    }

    /// Names under which requests of clients for images become jobs of this kind.
    #[must_use]
    pub fn serves<T: Into<Value>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.key(["serves"], Value::list(names))
    }

    /// One variable of its environment.
    #[must_use]
    pub fn env(self, name: &str, value: impl Into<Value>) -> Self {
        self.key(["env", name], value.into())
    }

    /// GPU memory its process needs at most, in bytes; without this it is measured, or estimated.
    #[must_use]
    pub fn vram(self, bytes: u64) -> Self {
        self.key(["vram"], Value::bytes(bytes))
    }

    /// Host memory its process needs at most, in bytes; without this it is measured, or estimated.
    #[must_use]
    pub fn ram(self, bytes: u64) -> Self {
        self.key(["ram"], Value::bytes(bytes))
    }

    /// The longest that an attempt may run, waiting not counted; zero: no limit.
    #[must_use]
    pub fn timeout(self, time: Duration) -> Self {
        self.key(["timeout"], time.into())
    }

    /// Further attempts after one that failed for a reason that may pass.
    #[must_use]
    pub fn retries(self, retries: u32) -> Self {
        self.key(["retries"], retries.into())
    }

    /// Attempts at a time.
    #[must_use]
    pub fn max_parallel(self, attempts: u32) -> Self {
        self.key(["max_parallel"], attempts.into())
    }

    /// How long what a job has made is kept after its end.
    #[must_use]
    pub fn keep_output(self, time: Duration) -> Self {
        self.key(["keep_output"], time.into())
    }

    /// Any other key below the job, written as in TOML: `stop.grace`, `cleanup.actions`.
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
