//! `init`: writes a configuration to start from, and never over one that is there.

use std::{
    fs,
    io::{self, Write},
};

use serde_json::json;

use super::{args::InitArgs, failure::Failure, terminal::Terminal};
use crate::config;

/// Writes the starter configuration.
pub fn run(args: &InitArgs, terminal: &Terminal) -> Result<i32, Failure> {
    let refuse = |operation| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => Failure::Exists(args.output.clone()),
            _ => Failure::Io { operation, path: args.output.clone(), source },
        }
    };
    // Said and not refused: it may be on its way.
    for model in args.models.iter().filter(|model| !model.is_file()) {
        terminal
            .note(format!("warning: there is no file {}; `greenroom check` says so until there is", model.display()));
    }
    let text = config::starter(&args.models);
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(&args.output).map_err(refuse("create"))?;
    file.write_all(text.as_bytes()).map_err(refuse("write"))?;
    if terminal.json {
        terminal.value(&json!({ "written": args.output }))?;
    } else {
        let named = if args.output.as_os_str() == "greenroom.toml" {
            String::new()
        } else {
            format!(" -c {}", args.output.display())
        };
        terminal.say(format!(
            "wrote {}\nnext: look it over, then `greenroom check{named}` and `greenroom run{named}`",
            args.output.display()
        ))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_alone_unless_forced() {
        let dir = tempfile::tempdir().expect("a folder");
        let output = dir.path().join("g.toml");
        fs::write(&output, "mine").expect("written");
        let quiet = Terminal { json: true, color: false, width: None };
        let args = InitArgs { models: Vec::new(), output: output.clone(), force: false };
        assert!(matches!(run(&args, &quiet), Err(Failure::Exists(_))));
        assert_eq!(fs::read_to_string(&output).expect("there"), "mine");
        run(&InitArgs { force: true, ..args }, &quiet).expect("written");
        assert_ne!(fs::read_to_string(&output).expect("there"), "mine");
    }
}
