//! `import`: another program's configuration turned into one of Greenroom. What has no counterpart goes to standard
//! error, line by line.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{args::ImportArgs, failure::Failure, table::count, terminal::Terminal};
use crate::config::{self, Imported};

/// Imports llama-swap's configuration.
pub fn llama_swap(args: &ImportArgs, terminal: &Terminal) -> Result<i32, Failure> {
    let base = base(args.output.as_deref())?;
    let imported = config::import_llama_swap(&args.file, &base, &config::environment())?;
    match &args.output {
        Some(output) => write(output, args.force, &imported.config)?,
        None if !terminal.json => terminal.bytes(imported.config.as_bytes())?,
        None => {}
    }
    if terminal.json {
        terminal.value(&json!({
            "written": args.output,
            "config": if args.output.is_none() { Some(&imported.config) } else { None },
            "told": imported.told,
            "services": imported.services,
            "remotes": imported.remotes,
        }))?;
        return Ok(0);
    }
    for told in &imported.told {
        terminal.note(told.to_string());
    }
    if let Some(output) = &args.output {
        terminal.say(summary(output, &imported))?;
    }
    Ok(0)
}

fn summary(output: &Path, imported: &Imported) -> String {
    let remotes = match imported.remotes {
        0 => String::new(),
        n => format!(" and {}", count(n, "remote", "remotes")),
    };
    let output = output.display();
    format!(
        "wrote {output}: {}{remotes}; {} to look at\nnext: `greenroom check -c {output}` and `greenroom run -c {output}`",
        count(imported.services, "service", "services"),
        count(imported.told.len(), "line", "lines"),
    )
}

/// The folder that the new file's relative paths are relative to.
fn base(output: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = output.and_then(Path::parent).unwrap_or(Path::new(""));
    let absolute = std::env::current_dir().map(|here| here.join(folder));
    absolute.map_err(|source| Failure::Io { operation: "resolve", path: folder.to_owned(), source })
}

fn write(output: &Path, force: bool, text: &str) -> Result<(), Failure> {
    let refuse = |operation| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => Failure::Exists(output.to_owned()),
            _ => Failure::Io { operation, path: output.to_owned(), source },
        }
    };
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(output).map_err(refuse("create"))?;
    file.write_all(text.as_bytes()).map_err(refuse("write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_alone_unless_forced() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, output) = (dir.path().join("config.yaml"), dir.path().join("g.toml"));
        fs::write(&file, "models: { a: { cmd: 'sleep ${PORT}' } }").expect("written");
        fs::write(&output, "mine").expect("written");
        let quiet = Terminal { json: true, color: false, width: None };
        let args = ImportArgs { file, output: Some(output.clone()), force: false };
        assert!(matches!(llama_swap(&args, &quiet), Err(Failure::Exists(_))));
        assert_eq!(fs::read_to_string(&output).expect("there"), "mine");
        llama_swap(&ImportArgs { force: true, ..args }, &quiet).expect("written");
        assert!(fs::read_to_string(&output).expect("there").contains("[service.a]"));
    }
}
