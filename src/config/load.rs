//! The way from files, variables and arguments to a spec, step by step.
//!
//! Read, parse, walk, merge, build, validate. Each step reports all that is wrong before the next one runs on what is
//! right; nothing is started as long as one problem is an error.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use greenroom_actors::{cause::chain, engines::Engines, spec::RuntimeSpec, watchdog::bundle::Secrets};

use super::{
    build::{build, build_runtime},
    effective::Effective,
    in_code::Setting,
    outside::{Machine, read_text},
    overrides,
    parse::{Language, MAX_FILE, parse},
    problem::{ConfigErrors, Problem, Severity},
    secrets::secrets,
    source::{SourceKind, SourceMap},
    tree::{Node, Value},
    validate::validate,
    walk::{Checked, walk},
};

/// Where a configuration comes from, lowest layer first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sources {
    /// The files; later ones win.
    pub files: Vec<PathBuf>,
    /// The environment: for `GREENROOM__SECTION__KEY`, `${env.NAME}`, `~` and PATH. See [`environment`].
    pub env: Vec<(String, String)>,
    /// Arguments `section.key=value`.
    pub set: Vec<String>,
    /// `--state-dir`, above all of these.
    pub state_dir: Option<PathBuf>,
    /// What `engine` can name: the built-in ones, and an application's own.
    pub engines: Engines,
    /// Settings made in code, below everything.
    pub below: Vec<Setting>,
    /// Settings made in code, above everything.
    pub above: Vec<Setting>,
}

/// How many services and the like there may be: each is at least a process.
const MAX_NAMES: usize = 4_096;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, else json.
    Auto,
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the actors act on.
    pub spec: RuntimeSpec,
    /// What is worth saying all the same.
    pub warnings: Vec<Problem>,
    /// Every value and where it comes from.
    pub effective: Effective,
    /// The secrets among them.
    pub secrets: Secrets,
    /// `log.level`.
    pub log_level: String,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `runtime.watch_config`.
    pub watch_config: bool,
}

/// This process's environment, without what is not UTF-8.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The file that is used without `-c`: `./greenroom.toml`, then `$XDG_CONFIG_HOME/greenroom/greenroom.toml` (without
/// that variable: `~/.config/...`).
#[must_use]
pub fn find_default() -> Option<PathBuf> {
    let folder = |name, rest: &str| std::env::var_os(name).map(|home| PathBuf::from(home).join(rest));
    let config = folder("XDG_CONFIG_HOME", "").filter(|path| path.is_absolute()).or_else(|| folder("HOME", ".config"));
    let candidates = [Some(PathBuf::from("greenroom.toml")), config.map(|path| path.join("greenroom/greenroom.toml"))];
    candidates.into_iter().flatten().find(|path| path.is_file())
}

/// Reads and checks a configuration. Without any file it is one without services.
///
/// # Errors
/// Every problem of every source at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    Loading::new(sources, None).merge()?.finish(&sources.engines)
}

/// What a configuration says of the runtime itself, for whoever only has to find it. Every key is held against the schema;
/// of services, jobs and remotes no more than that, so what they name (a model file, a program) may be gone meanwhile. They
/// are not part of the result.
///
/// # Errors
/// Every problem of that kind in every source at once.
pub fn load_runtime(sources: &Sources) -> Result<RuntimeSpec, ConfigErrors> {
    let Merged { effective, machine, mut problems } = Loading::new(sources, None).merge()?;
    let (spec, found) = build_runtime(&effective, &machine, &sources.engines);
    problems.extend(found);
    if is_refused(&problems) { Err(errors_of(problems)) } else { Ok(spec) }
}

/// A configuration as far as it can be told of, for whoever passes on what a runtime has left behind.
#[derive(Debug, Clone)]
pub struct Described {
    /// Every key in force and where it comes from, secrets masked.
    pub text: String,
    /// The secrets among them.
    pub secrets: Secrets,
    /// Why it cannot be used, if so: a secret that stands where something is wrong may not be known.
    pub refused: Option<ConfigErrors>,
}

/// The same as [`load`], also of a configuration that is refused, as where a file or a variable that it names is gone.
///
/// # Errors
/// Every problem of a source that cannot be read, or understood, at all.
pub fn describe(sources: &Sources) -> Result<Described, ConfigErrors> {
    let Merged { effective, machine, mut problems } = Loading::new(sources, None).merge()?;
    let (spec, found) = build(&effective, &machine, &sources.engines);
    problems.extend(found);
    problems.extend(validate(&effective, &spec));
    let secrets = secrets(&effective, &spec, &machine);
    let refused = is_refused(&problems).then(|| errors_of(problems));
    Ok(Described { text: effective.text(), secrets, refused })
}

/// The same as [`load`] for a text that is not a file, such as one that is built in. `name` says what language it is, and `base`
/// is what its relative paths are relative to; `sources.files` are layers above it.
///
/// # Errors
/// Every problem of every source at once.
pub fn load_text(name: &str, text: &str, base: &Path, sources: &Sources) -> Result<Loaded, ConfigErrors> {
    Loading::new(sources, Some((name, text, base))).merge()?.finish(&sources.engines)
}

/// All sources together, each of them checked by itself.
struct Merged {
    effective: Effective,
    machine: Machine,
    problems: Vec<Problem>,
}

struct Loading<'a> {
    given: &'a Sources,
    built_in: Option<(&'a str, &'a str, &'a Path)>,
    machine: Machine,
    here: PathBuf,
    sources: SourceMap,
    checked: Vec<Checked>,
    problems: Vec<Problem>,
    /// Whether a source could not be understood at all, so that nothing can be said about the whole.
    broken: bool,
}

impl<'a> Loading<'a> {
    fn new(given: &'a Sources, built_in: Option<(&'a str, &'a str, &'a Path)>) -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self {
            given,
            built_in,
            machine: Machine::new(&given.env),
            sources: SourceMap::new(here.clone()),
            here,
            checked: Vec::new(),
            problems: Vec::new(),
            broken: false,
        }
    }

    fn merge(mut self) -> Result<Merged, ConfigErrors> {
        self.settings(&self.given.below);
        if let Some((name, text, base)) = self.built_in {
            self.text(name, text.to_owned(), &self.here.join(base));
        }
        for path in &self.given.files {
            self.file(path);
        }
        self.overrides();
        self.settings(&self.given.above);
        self.count();
        let wrong = self.given.engines.problems();
        self.problems.extend(wrong.iter().map(|wrong| Problem::whole("engines", chain(wrong))));
        if self.broken {
            return Err(errors_of(self.problems));
        }
        match Effective::new(self.sources, self.checked) {
            Ok(effective) => Ok(Merged { effective, machine: self.machine, problems: self.problems }),
            Err(error) => {
                self.problems.push(Problem::whole("configuration", format!("the layers do not merge: {error}")));
                Err(errors_of(self.problems))
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let base = self.here.join(path).parent().map_or_else(|| self.here.clone(), Path::to_owned);
        match read_text(path, MAX_FILE) {
            Ok(text) => self.text(&name, text, &base),
            Err(why) => {
                let problem = Problem::whole(name, format!("the config file cannot be read: {why}"));
                self.problems.push(problem.help("`greenroom init` writes one to start from"));
                self.broken = true;
            }
        }
    }

    fn text(&mut self, name: &str, text: String, base: &Path) {
        // Windows editors begin a file with a mark that no parser wants.
        let text = text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text);
        let id = self.sources.add(SourceKind::File, name, text, base.to_owned());
        let parsed = parse(&self.sources, id, Language::of(name));
        self.problems.extend(parsed.problems);
        self.broken |= parsed.broken;
        self.walk(&parsed.root);
    }

    fn overrides(&mut self) {
        let named: Vec<_> = self.checked.iter().flat_map(|c| c.mentions.iter().map(|(path, _)| path.clone())).collect();
        for tree in overrides::variables(&mut self.sources, &self.given.env, &named, &self.here) {
            self.walk(&tree);
        }
        for argument in &self.given.set {
            match overrides::argument(&mut self.sources, argument, &self.here) {
                Ok(tree) => self.walk(&tree),
                Err(problem) => self.problems.push(*problem),
            }
        }
        if let Some(path) = &self.given.state_dir {
            let tree = overrides::state_dir(&mut self.sources, path, &self.here);
            self.walk(&tree);
        }
    }

    fn settings(&mut self, settings: &[Setting]) {
        for setting in settings {
            match overrides::setting(&mut self.sources, setting, &self.here) {
                Ok(tree) => self.walk(&tree),
                Err(problem) => self.problems.push(*problem),
            }
        }
    }

    /// Refuses what no machine runs before every default is filled in for each of them.
    fn count(&mut self) {
        let named = self.checked.iter().flat_map(|checked| &checked.mentions);
        let names: BTreeSet<_> = named.filter(|(path, _)| path.len() == 2).map(|(path, _)| path).collect();
        if names.len() > MAX_NAMES {
            let message = format!("more than {MAX_NAMES} services, jobs, remotes and keys of sections");
            self.problems.push(Problem::whole("configuration", message).help("split it between several runtimes"));
            self.broken = true;
        }
    }

    fn walk(&mut self, root: &Node) {
        let mut checked = walk(&self.sources, &self.machine, &self.given.engines, root);
        self.problems.append(&mut checked.problems);
        self.checked.push(checked);
    }
}

impl Merged {
    /// The steps on the merged whole.
    fn finish(self, engines: &Engines) -> Result<Loaded, ConfigErrors> {
        let Self { effective, machine, mut problems } = self;
        let (spec, found) = build(&effective, &machine, engines);
        problems.extend(found);
        problems.extend(validate(&effective, &spec));
        if is_refused(&problems) {
            return Err(errors_of(problems));
        }
        let word = |key| effective.get(&["log", key]).and_then(Node::text).unwrap_or_default().to_owned();
        let log_format = match word("format").as_str() {
            "pretty" => LogFormat::Pretty,
            "json" => LogFormat::Json,
            _ => LogFormat::Auto,
        };
        let is_watched = effective.get(&["runtime", "watch_config"]).map(|node| &node.value);
        let watch_config = is_watched == Some(&Value::Bool(true));
        let secrets = secrets(&effective, &spec, &machine);
        Ok(Loaded { spec, warnings: problems, log_level: word("level"), log_format, watch_config, effective, secrets })
    }
}

fn is_refused(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// The errors alone, by their places: warnings about a configuration that is not used are noise.
fn errors_of(problems: Vec<Problem>) -> ConfigErrors {
    let mut errors: Vec<_> = problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect();
    let mut order: Vec<String> = Vec::new();
    for problem in &errors {
        if !order.contains(&problem.place.source) {
            order.push(problem.place.source.clone());
        }
    }
    errors.sort_by_key(|problem| {
        let source = order.iter().position(|source| *source == problem.place.source);
        (source, problem.place.line, problem.place.column)
    });
    // What is wrong with a name is found once for each key below it.
    errors.dedup();
    ConfigErrors(errors)
}
