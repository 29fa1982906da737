//! What the tests of the configuration stand on: a folder with files, and ways to look at what came out.

use std::{fs, path::PathBuf};

use greenroom::{
    actors::{
        spec::{RuntimeSpec, ServiceSpec},
        template::{Part, Template},
    },
    config::{ConfigErrors, Effective, Loaded, Sources, load},
};
use tempfile::TempDir;

/// A folder with files, and the variables that a configuration may ask for.
pub struct Folder {
    pub dir: TempDir,
    pub sources: Sources,
}

impl Folder {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("HOME".to_owned(), home)];
        Self { dir, sources: Sources { env, ..Sources::default() } }
    }

    /// One file in TOML, `g.toml`, that is the whole configuration.
    pub fn toml(text: impl AsRef<[u8]>) -> Self {
        Self::with("g.toml", text)
    }

    /// One file of another name or kind that is the whole configuration.
    pub fn with(name: &str, text: impl AsRef<[u8]>) -> Self {
        let mut folder = Self::new();
        folder.config(name, text);
        folder
    }

    pub fn config(&mut self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.write(name, text);
        self.sources.files.push(path);
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn set(mut self, argument: &str) -> Self {
        self.sources.set.push(argument.to_owned());
        self
    }

    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(&self.sources)
    }

    pub fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Every problem as `line:column message`, or `place message` outside files.
    pub fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.dir.path().display());
        let errors = self.load().map(|_| ()).expect_err("it should not be taken");
        let told = |problem: &greenroom::config::Problem| {
            format!("{} {}", problem.place, problem.message).replace(&folder, "")
        };
        errors.0.iter().map(told).collect()
    }
}

pub fn service<'a>(spec: &'a RuntimeSpec, name: &str) -> &'a ServiceSpec {
    spec.services.iter().find(|service| service.name.as_str() == name).unwrap()
}

pub fn row(effective: &Effective, key: &str) -> (String, String) {
    let row = effective.rows().into_iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no `{key}`"));
    (row.value, row.origin)
}

pub fn texts(command: &[Template]) -> Vec<String> {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        part => format!("<{part:?}>"),
    };
    command.iter().map(|template| template.0.iter().map(part).collect()).collect()
}
