//! From what an application says to a runtime that can be started.

use std::path::{Path, PathBuf};

use greenroom_actors::{
    engines::{Engine, EngineRef},
    spec::{GuardianChoice, RuntimeSpec},
};

use crate::{
    config::{Config, ConfigErrors, Problem, Value},
    guardian::Guardian,
    runtime::{Manners, Reloader, Runtime},
};

/// Longest app id, in bytes: it is a folder's name, and sockets below it have short paths.
const APP_ID: usize = 64;

/// Puts a runtime together. See [`Runtime::builder`].
#[derive(Debug, Clone, Default)]
pub struct RuntimeBuilder {
    app_id: Option<String>,
    state_dir: Option<PathBuf>,
    config: Config,
    spec: Option<RuntimeSpec>,
    reloader: Option<Reloader>,
    engines: Vec<EngineRef>,
    guardian: Guardian,
    manners: Manners,
}

impl RuntimeBuilder {
    /// Names the application, for example `com.example.studio`: letters, digits, dots, dashes and underscores, at most 64.
    /// The runtime's label, and the name of its default state dir, `$XDG_STATE_HOME/<app_id>`.
    #[must_use]
    pub fn app_id(mut self, id: impl Into<String>) -> Self {
        self.app_id = Some(id.into());
        self
    }

    /// Where the runtime keeps what it keeps; stands above the configuration. One runtime at a time may use it.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// What it runs. Without any, a runtime without services.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// An engine of the application's own, which `engine = "NAME"` names and `engine = "auto"` recognises, before those that
    /// Greenroom brings.
    #[must_use]
    pub fn engine(mut self, engine: impl Engine) -> Self {
        self.engines.push(EngineRef::new(engine));
        self
    }

    /// What it runs, read and checked already. It stands instead of app id, state dir, configuration and engines, none of
    /// which is looked at then.
    #[must_use]
    pub fn spec(mut self, spec: RuntimeSpec) -> Self {
        self.spec = Some(spec);
        self
    }

    /// Where the spec of [`spec`](Self::spec) comes from, so that the runtime may read it anew. One that is built from a
    /// configuration knows that by itself.
    #[must_use]
    pub fn reloader(mut self, reloader: Reloader) -> Self {
        self.reloader = Some(reloader);
        self
    }

    /// Where the guardian comes from.
    #[must_use]
    pub fn guardian(mut self, guardian: Guardian) -> Self {
        self.guardian = guardian;
        self
    }

    /// Whether the runtime takes SIGINT, SIGTERM and SIGHUP of this process, as the `greenroom` program does: the first
    /// one begins the ordered stop, a second one forces it. They have no effect once the runtime has ended. Without this
    /// (the default) no signal of the process is touched.
    #[must_use]
    pub fn handle_signals(mut self, take: bool) -> Self {
        self.manners.signals = take;
        self
    }

    /// Whether this process serves nothing but the runtime: then every child, thread and descriptor that is there at the
    /// end and was not before the start is reported as left behind. Without this (the default) only the runtime's own are.
    #[must_use]
    pub fn whole_process(mut self, whole: bool) -> Self {
        self.manners.whole_process = whole;
        self
    }

    /// Reads and checks everything; starts nothing.
    ///
    /// # Errors
    /// All problems at once.
    pub fn build(self) -> Result<Runtime, ConfigErrors> {
        let Self { app_id, state_dir, mut config, spec, reloader, engines, guardian, mut manners } = self;
        let best_effort = matches!(guardian, Guardian::BestEffort);
        let (mut spec, reloader) = match spec {
            Some(spec) => (spec, reloader),
            None => {
                let mut problems: Vec<Problem> = app_id.as_deref().and_then(problem_of).into_iter().collect();
                if let Some(id) = app_id.as_ref().filter(|_| problems.is_empty()) {
                    config = config.by_default(["runtime", "name"], id);
                    config = config.by_default(["runtime", "state_dir"], Value::path(&default_state_dir(id)));
                }
                config = engines.into_iter().fold(config, Config::engine);
                if let Some(path) = &state_dir {
                    config = config.set("runtime.state_dir", path.as_path());
                }
                let read = config.read().map_err(|errors| problems.extend(errors.0));
                let Some(loaded) = read.ok().filter(|_| problems.is_empty()) else {
                    return Err(ConfigErrors(problems));
                };
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}");
                }
                let files = config.files().to_vec();
                let read = move || {
                    let mut loaded = config.read()?;
                    accept_less(&mut loaded.spec, best_effort);
                    Ok(loaded)
                };
                let reloader = Reloader::new(&loaded, files, read);
                (loaded.spec, Some(reloader))
            }
        };
        match guardian {
            Guardian::SelfExec | Guardian::BestEffort => {}
            Guardian::Binary(path) => manners.helper = Some(std::path::absolute(&path).unwrap_or(path)),
        }
        accept_less(&mut spec, best_effort);
        Ok(Runtime::new(spec, manners, reloader))
    }
}

/// Lets the runtime live without a guardian, whatever the configuration says.
fn accept_less(spec: &mut RuntimeSpec, best_effort: bool) {
    if best_effort {
        spec.guardian = GuardianChoice::BestEffort;
    }
}

fn problem_of(id: &str) -> Option<Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !id.is_empty() && id.len() <= APP_ID && !id.starts_with('.') && id.chars().all(fits) {
        return None;
    }
    let shown = id.escape_debug();
    let problem = Problem::whole("app_id", format!("`{shown}` cannot be an app id"));
    Some(problem.help(format!("letters, digits, `.`, `-` and `_`, at most {APP_ID}, not beginning with a dot")))
}

/// `$XDG_STATE_HOME/<app_id>`; without that variable `~/.local/state/<app_id>`.
fn default_state_dir(id: &str) -> PathBuf {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || folder("HOME").unwrap_or_else(|| PathBuf::from("/")).join(Path::new(".local/state"));
    folder("XDG_STATE_HOME").unwrap_or_else(home).join(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServiceConfig, When};

    #[test]
    fn an_app_id_names_the_runtime_and_its_state_dir_unless_something_else_does() {
        let runtime = Runtime::builder().app_id("com.example.studio").build().expect("sound");
        assert_eq!(runtime.spec().name, "com.example.studio");
        assert!(runtime.spec().state_dir.ends_with("com.example.studio"), "{:?}", runtime.spec().state_dir);
        let config = Config::from_toml("[runtime]\nname = \"other\"\nstate_dir = \"/x/y\"");
        let runtime = Runtime::builder().app_id("a").config(config.clone()).build().expect("sound");
        assert_eq!((runtime.spec().name.as_str(), runtime.spec().state_dir.as_path()), ("other", Path::new("/x/y")));
        let runtime = Runtime::builder().config(config).state_dir("/z/${b}").build().expect("sound");
        assert_eq!(runtime.spec().state_dir, Path::new("/z/${b}"), "a path is taken as it stands");
    }

    #[test]
    fn a_bad_app_id_is_refused() {
        for id in ["", ".", "a/b", "../x", "a b", &"x".repeat(65)] {
            let errors = Runtime::builder().app_id(id).build().expect_err(id);
            assert_eq!(errors.0[0].place.source, "app_id");
        }
    }

    #[test]
    fn every_problem_is_told_at_once_with_code_as_its_place() {
        let config = Config::new()
            .set("runtime.prots", 1)
            .set("a b", true)
            .service(ServiceConfig::new("chat").set("restart.max", "many"))
            .service(ServiceConfig::new("no name").command(["true"]));
        let errors = Runtime::builder().config(config).build().expect_err("four problems and more");
        let text = errors.to_string();
        for part in [
            "unknown key `runtime.prots`",
            "`a b` is not a key",
            "`service.chat.restart.max`",
            "no name",
            "no `command`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(errors.0.iter().all(|problem| problem.place.to_string() == "code"), "{text}");
    }

    #[test]
    fn a_service_in_code_is_the_same_as_one_in_a_file() {
        let text = "[service.db]\ncommand = [\"true\"]\n[service.\"qwen2.5\"]\ncommand = [\"true\", \"${port}\"]\n\
                    ready = \"/health\"\nserves = [\"q\"]\ndepends_on = { db = \"ready\" }\nrestart.max = 2\n\
                    env = { A = \"1\" }\n";
        let code = Config::new().service(ServiceConfig::new("db").command(["true"])).service(
            ServiceConfig::new("qwen2.5")
                .command(["true", "${port}"])
                .ready_path("/health")
                .serves(["q"])
                .depends_on("db", When::Ready)
                .set("restart.max", 2)
                .env("A", "1"),
        );
        let services = |config| Runtime::builder().config(config).build().expect("sound").spec().services.clone();
        assert_eq!(services(code), services(Config::from_toml(text)));
    }

    #[test]
    fn a_setting_stands_above_the_text() {
        let config = Config::from_toml("[runtime]\nname = \"a\"\n").set("runtime.name", "b");
        assert_eq!(Runtime::builder().config(config).build().expect("sound").spec().name, "b");
        let errors = Runtime::builder().config(Config::from_toml("x = [")).build().expect_err("no TOML");
        assert!(errors.to_string().starts_with("code:1:"), "{errors}");
    }
}
