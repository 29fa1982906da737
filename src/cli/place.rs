//! Where things are: which configuration is meant and which state dir.

use std::path::{Path, PathBuf};

use greenroom_actors::{
    os::{doctor::DEFAULT_PORTS, state_dir::SOCKET},
    spec::ResourcesSpec,
};

use super::{args::Global, failure::Failure};
use crate::config::{self, Loaded, Sources};

/// Begins the variables that are configuration.
const ENV_PREFIX: &str = "GREENROOM__";

/// Where a runtime keeps what it keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The state dir.
    pub state_dir: PathBuf,
    /// The database.
    pub history: PathBuf,
    /// First and last of the ports that services get.
    pub ports: (u16, u16),
    /// Who measures the cards, and where.
    pub resources: ResourcesSpec,
}

impl Place {
    /// The state dir and what lies in it by default.
    #[must_use]
    pub fn at(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            history: state_dir.join("history.db"),
            ports: DEFAULT_PORTS,
            resources: ResourcesSpec::default(),
        }
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state_dir.join(SOCKET)
    }
}

/// What the options and the environment say, with the configuration that lies where it is looked for.
#[must_use]
pub fn sources(global: &Global) -> Sources {
    let files =
        if global.config.is_empty() { config::find_default().into_iter().collect() } else { global.config.clone() };
    // Variables that are not text cannot be meant for the configuration, whose names and values are text.
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    // It is one more key, so it is checked and shown like one.
    let level = global.log_level.iter().map(|level| format!("log.level={level}"));
    let set = global.set.iter().cloned().chain(level).collect();
    Sources { files, env: env.collect(), set, state_dir: global.state_dir.clone(), ..Sources::default() }
}

/// The configuration.
///
/// # Errors
/// When there is none, or it has problems: all of them.
pub fn load(global: &Global) -> Result<Loaded, Failure> {
    load_from(global).map(|(loaded, _)| loaded)
}

/// The configuration, and where it can be read anew.
///
/// # Errors
/// As [`load`].
pub fn load_from(global: &Global) -> Result<(Loaded, Sources), Failure> {
    let sources = sources(global);
    if sources.files.is_empty() {
        return Err(Failure::NoConfig);
    }
    Ok((config::load(&sources)?, sources))
}

/// The state dir that a command which speaks to a runtime means: `--state-dir`, else the configuration's, else the
/// default one. Services, jobs and remotes are the runtime's affair: what they name may be gone.
///
/// # Errors
/// When a configuration is there and cannot be read, or says something that no key takes.
pub fn find(global: &Global) -> Result<Place, Failure> {
    let sources = sources(global);
    if let (Some(state_dir), true) = (&global.state_dir, global.config.is_empty()) {
        return Ok(Place::at(&absolute(state_dir)?));
    }
    let is_said = !sources.set.is_empty() || sources.env.iter().any(|(name, _)| name.starts_with(ENV_PREFIX));
    if sources.files.is_empty() && !is_said {
        return Ok(Place::at(&default_state_dir()));
    }
    let spec = config::load_runtime(&sources).map_err(Failure::Unplaced)?;
    Ok(Place { state_dir: spec.state_dir, history: spec.history.path, ports: spec.ports, resources: spec.resources })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|source| Failure::Io { operation: "resolve", path: path.to_owned(), source })
}

/// `~/.local/state/greenroom`, the default of `runtime.state_dir`.
pub fn default_state_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    home.join(".local/state/greenroom")
}
