//! Where a runtime's configuration comes from, to be read anew.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use greenroom_actors::{
    os::memory::give_back_freed,
    shutdown_coordinator::graph::Cycle,
    watchdog::bundle::{ConfigText, Secrets},
};
use tokio::sync::oneshot;

use crate::config::{ConfigErrors, Loaded, LogFormat, Sources, Values, load};

/// Why a configuration was not reloaded. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It was started from a spec, and nobody said where that comes from.
    #[error("this runtime was not started from a configuration that it could read anew")]
    NoSource,
    /// Too many wait for theirs already.
    #[error("too many reloads wait for their turn")]
    Busy,
    /// The runtime is stopping.
    #[error("the runtime is stopping and reloads nothing")]
    Stopping,
    /// It has problems: all of them.
    #[error("the configuration cannot be used, so nothing was changed")]
    Config(#[source] ConfigErrors),
    /// It has no order, which no checked configuration lacks.
    #[error("the services have no order")]
    Order(#[source] Cycle),
    /// The system has no thread to read it on.
    #[error("cannot start a thread to read the configuration on")]
    Thread(#[source] io::Error),
}

/// Reads a runtime's configuration anew, and knows what it said last.
#[derive(Clone)]
pub struct Reloader {
    load: Arc<dyn Fn() -> Result<Loaded, ConfigErrors> + Send + Sync>,
    pub(super) files: Vec<PathBuf>,
    pub(super) last: Said,
    /// Where the text of what was said last is to be had.
    text: ConfigText,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What a configuration said, beside the spec.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub values: Values,
    pub logging: Logging,
    pub watch_config: bool,
    /// All of it for people, secrets masked, and those secrets.
    pub text: (String, Secrets),
}

/// How the runtime logs. Whoever writes the log has been set up with it, so a change waits for the next start.
#[derive(Debug, Clone)]
pub(super) struct Logging {
    level: String,
    format: LogFormat,
}

impl Said {
    fn of(loaded: &Loaded) -> Self {
        Self {
            values: loaded.effective.values(),
            logging: Logging { level: loaded.log_level.clone(), format: loaded.log_format },
            watch_config: loaded.watch_config,
            text: (loaded.effective.text(), loaded.secrets.clone()),
        }
    }
}

impl Logging {
    /// Keys that wait for the next start.
    pub fn next_start(&self, in_force: &Self) -> impl Iterator<Item = &'static str> {
        let keys = [("log.format", self.format != in_force.format), ("log.level", self.level != in_force.level)];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key))
    }
}

impl Reloader {
    /// Reads by `load`; `loaded` is what the runtime is started with. `files` are looked at for
    /// `runtime.watch_config`; relative ones are relative to the current folder of now.
    pub fn new(
        loaded: &Loaded,
        files: impl IntoIterator<Item = PathBuf>,
        load: impl Fn() -> Result<Loaded, ConfigErrors> + Send + Sync + 'static,
    ) -> Self {
        let whole = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
        let (files, last) = (files.into_iter().map(whole).collect(), Said::of(loaded));
        let text = ConfigText::default();
        text.put(Some(last.text.0.clone()), &last.text.1);
        Self { load: Arc::new(load), files, last, text }
    }

    /// Reads the same files, and puts the same variables and arguments on them, as `loaded` came from.
    #[must_use]
    pub fn of_sources(loaded: &Loaded, sources: Sources) -> Self {
        Self::new(loaded, sources.files.clone(), move || load(&sources))
    }

    /// Where the text of the configuration that was read last is to be had.
    pub(in crate::runtime) fn text(&self) -> ConfigText {
        self.text.clone()
    }

    /// What was read is in force, but for the keys that wait for the next start.
    pub(super) fn accept(&mut self, said: Said, next_start: &[String]) {
        self.text.put(Some(told(&said.text.0, next_start)), &said.text.1);
        self.last = said;
    }

    /// The files that it looks at.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// Reads and checks it, on a thread of its own: a slow disk must not hold up supervision.
    pub(super) async fn read(&self) -> Result<(Fresh, Said), ReloadError> {
        let load = Arc::clone(&self.load);
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let result = load().map(|loaded| {
                let said = Said::of(&loaded);
                let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
                (Fresh { spec: loaded.spec, warnings }, said)
            });
            give_back_freed();
            // An error means that the runtime has ended meanwhile.
            drop(answer.send(result));
        };
        std::thread::Builder::new().name("config-read".to_owned()).spawn(work).map_err(ReloadError::Thread)?;
        let lost = |_| ReloadError::Thread(io::Error::other("it ended without an answer"));
        answered.await.map_err(lost)?.map_err(ReloadError::Config)
    }
}

/// The text of a configuration, and above it the keys of which it says what is not in force yet.
fn told(text: &str, next_start: &[String]) -> String {
    if next_start.is_empty() {
        return text.to_owned();
    }
    let keys = next_start.join(", ");
    format!(
        "# Not in force before the next start of the runtime, which goes on with what these keys said before: {keys}\n{text}"
    )
}

/// What was read.
#[derive(Debug)]
pub(super) struct Fresh {
    pub spec: greenroom_actors::spec::RuntimeSpec,
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::load_text;

    /// A configuration with this key for the gateway.
    fn keyed(key: &str) -> Loaded {
        let sources = Sources { env: vec![("HOME".to_owned(), "/".to_owned())], ..Sources::default() };
        let text = format!("gateway.api_keys = [\"{key}\"]\n");
        load_text("greenroom.toml", &text, Path::new("/"), &sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[actix_rt::test]
    async fn a_key_that_was_rotated_stays_a_secret_and_what_waits_is_named() {
        let next = Arc::new(Mutex::new("second-22"));
        let read = Arc::clone(&next);
        let mut reloader = Reloader::new(&keyed("first-11"), [], move || Ok(keyed(*read.lock().expect("a key"))));
        let text = reloader.text();
        for (key, waits) in [("second-22", vec!["gateway.api_keys".to_owned()]), ("third-33", Vec::new())] {
            *next.lock().expect("a key") = key;
            let (_, said) = reloader.read().await.expect("it is sound");
            reloader.accept(said, &waits);
            let shown = text.look().0.expect("a text");
            assert_eq!(shown.starts_with("# Not in force before the next start"), !waits.is_empty(), "{shown}");
            assert!(shown.contains("gateway.api_keys = ") && !shown.contains(key), "{shown}");
            assert_eq!(
                shown.lines().next().is_some_and(|line| line.ends_with(": gateway.api_keys")),
                !waits.is_empty()
            );
        }
        let said = "first-11 second-22 third-33 fourth-44";
        assert_eq!(text.look().1.remove_from(said), "*** *** *** fourth-44");
    }
}
