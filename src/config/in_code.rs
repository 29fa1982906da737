//! A configuration that an application puts together: from a file, a text, and settings made in code.
//!
//! Whatever it is made of, it goes through the one table of keys and through the same checks as a file. Nothing is said
//! about it before it is read as a whole, so that all problems come at once; the place of a setting is `code`.

use std::path::{Path, PathBuf};

use greenroom_actors::engines::{EngineRef, Engines};

use super::{
    JobConfig, ServiceConfig,
    load::{Loaded, Sources, environment, load, load_text},
    outside::read_text,
    parse::MAX_FILE,
    problem::{ConfigErrors, Problem},
    value::Value,
    walk::KeyPath,
};

/// What settings and texts in code are called where a problem names its place.
pub(super) const CODE: &str = "code";

/// A configuration. It remembers what it is made of, so that it can be read again.
///
/// The layers, later ones win: defaults of the builder, text, file, environment variables `GREENROOM__SECTION__KEY`,
/// settings. Without a file there is no gateway unless `gateway.listen` is set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    text: Option<String>,
    files: Vec<PathBuf>,
    below: Vec<Setting>,
    above: Vec<Setting>,
    engines: Engines,
}

/// One key and its value, set in code.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub(super) key: SettingKey,
    pub(super) value: Value,
}

/// Which key it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SettingKey {
    /// As TOML writes it; not looked at yet.
    Dotted(String),
    /// Its parts.
    Path(KeyPath),
}

impl Config {
    /// One without services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The file at `path`: TOML, or YAML or JSON by its extension. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read. What stands in it is checked with everything else, when the runtime is built.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        let path = path.as_ref();
        read_text(path, MAX_FILE).map_err(|why| {
            let message = format!("the config file cannot be read: {why}");
            ConfigErrors(vec![Problem::whole(path.display().to_string(), message)])
        })?;
        Ok(Self { files: vec![path.to_owned()], ..Self::default() })
    }

    /// A TOML text. Relative paths in it are relative to the current folder.
    #[must_use]
    pub fn from_toml(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Sets one key, written as in TOML: `service.chat.port`, and `service."qwen2.5".port` for a name with a dot. Stands
    /// above files and variables; of two settings of a key the later one counts. Texts are what they are in a file:
    /// `${port}` and the like are filled in, and `$${` is a plain `${`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.above.push(Setting { key: SettingKey::Dotted(key.to_owned()), value: value.into() });
        self
    }

    /// Adds a service, or sets keys of one that is there.
    #[must_use]
    pub fn service(mut self, service: ServiceConfig) -> Self {
        self.above.extend(service.into_settings());
        self
    }

    /// Adds a kind of job, or sets keys of one that is there.
    #[must_use]
    pub fn job(mut self, job: JobConfig) -> Self {
        self.above.extend(job.into_settings());
        self
    }

    /// A setting that everything else stands above.
    pub(crate) fn by_default(mut self, key: [&str; 2], value: impl Into<Value>) -> Self {
        let key = SettingKey::Path(key.map(str::to_owned).to_vec());
        self.below.push(Setting { key, value: value.into() });
        self
    }

    /// One more engine that `engine = "NAME"` can name.
    pub(crate) fn engine(mut self, engine: EngineRef) -> Self {
        self.engines = self.engines.with_ref(engine);
        self
    }

    /// The files that it is read from.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Reads all of it anew and checks the whole, against this process's environment.
    ///
    /// # Errors
    /// Every problem of every source at once.
    pub fn read(&self) -> Result<Loaded, ConfigErrors> {
        let mut below = self.below.clone();
        if self.files.is_empty() {
            // An application does not expect a port of this machine to be opened for it. A file says what any file says.
            let key = ["gateway", "listen"].map(str::to_owned).to_vec();
            below.insert(0, Setting { key: SettingKey::Path(key), value: Value::list::<&str>([]) });
        }
        let sources = Sources {
            files: self.files.clone(),
            env: environment(),
            below,
            above: self.above.clone(),
            engines: self.engines.clone(),
            ..Sources::default()
        };
        match &self.text {
            Some(text) => load_text(CODE, text, Path::new("."), &sources),
            None => load(&sources),
        }
    }
}
