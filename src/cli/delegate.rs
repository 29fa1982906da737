//! `run --delegate`: the same command again, in a systemd scope whose cgroup is its own to divide.

use std::{
    convert::Infallible,
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use greenroom_actors::{
    cause::chain,
    os::containment::{location, probe},
};
use nix::unistd::{AccessFlags, access, geteuid};

use super::{failure::Failure, terminal::Terminal};

/// The option; no part of the command line that is run in the scope.
const OPTION: &str = "--delegate";

/// Comes back only where there is nothing to do: cgroups work here already.
///
/// # Errors
/// When they do not, and systemd cannot be asked.
pub fn run(terminal: &Terminal) -> Result<(), Failure> {
    let problem = match location::own().and_then(|own| probe(&own).map(|()| own)) {
        Ok(own) => {
            terminal.note(format!("--delegate: cgroups work here already, in {}\n", own.display()));
            return Ok(());
        }
        Err(problem) => problem,
    };
    let systemd_run = env::var_os("PATH").as_deref().and_then(|path| find("systemd-run", path));
    let Some(systemd_run) = systemd_run else {
        return Err(Failure::NotDelegated {
            problem: chain(&problem),
            why: "there is no systemd-run on PATH".to_owned(),
        });
    };
    // First to see: once this process has become systemd-run, nobody is left to say more than that does.
    if let Err(why) = try_scope(&systemd_run) {
        return Err(Failure::NotDelegated { problem: chain(&problem), why });
    }
    terminal.note(format!(
        "--delegate: {}; starting again in a scope of systemd's ({})\n",
        chain(&problem),
        systemd_run.display()
    ));
    match become_scope(&systemd_run) {
        Ok(never) => match never {},
        Err(error) => Err(Failure::NotDelegated {
            problem: chain(&problem),
            why: format!("{} cannot be run: {error}", systemd_run.display()),
        }),
    }
}

/// Has a process started in such a scope that does nothing. Blocks until systemd has answered.
fn try_scope(systemd_run: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{} cannot be run: {error}", systemd_run.display());
    let own = env::current_exe().map_err(failed)?;
    let arguments = scope(&own, std::iter::once("--version".into()), geteuid().is_root());
    let output = Command::new(systemd_run).args(arguments).stdin(Stdio::null()).output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next_back().unwrap_or("it does not say why").to_owned();
    Err(format!("systemd gives no scope here: {said}"))
}

fn become_scope(systemd_run: &Path) -> io::Result<Infallible> {
    let own = env::current_exe()?;
    let arguments = scope(&own, env::args_os().skip(1), geteuid().is_root());
    Err(Command::new(systemd_run).args(arguments).exec())
}

/// The arguments of `systemd-run` for a command line (without the program's own name). Root has the system's systemd,
/// everybody else a manager of their own. Pure.
fn scope(own: &Path, arguments: impl Iterator<Item = OsString>, root: bool) -> Vec<OsString> {
    let manager = (!root).then_some("--user");
    let options = manager.into_iter().chain(["--scope", "--quiet", "-p", "Delegate=yes", "--"]).map(OsString::from);
    options.chain([own.into()]).chain(arguments.filter(|argument| argument != OPTION)).collect()
}

/// A program on `path`.
fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let candidates = env::split_paths(path).map(|folder| folder.join(name));
    candidates.into_iter().find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_command_is_the_same_but_for_the_option() {
        let line = "--json run --delegate -d -c a.toml --set runtime.name=x";
        let asked = scope(Path::new("/bin/greenroom"), words(line).into_iter(), false);
        let expected = "--user --scope --quiet -p Delegate=yes -- /bin/greenroom --json run -d -c a.toml --set \
                        runtime.name=x";
        assert_eq!(asked, words(expected));
        let asked = scope(Path::new("/g"), words("run --delegate").into_iter(), true);
        assert_eq!(asked, words("--scope --quiet -p Delegate=yes -- /g run"));
    }

    #[test]
    fn a_systemd_that_refuses_is_quoted() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = |text: &str| {
            let file = dir.path().join("systemd-run");
            // Written by a process of its own: a child that another test is about to begin has a copy of whatever file this
            // process has open, and what is open for writing cannot be executed (`execve(2)`, `ETXTBSY`).
            let mut writer = Command::new("sh");
            writer.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\""]).arg(&file).arg(text);
            assert!(writer.status().expect("a shell").success());
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its own file");
            try_scope(&file)
        };
        let refused = script("echo no bus >&2; exit 1").expect_err("refused");
        assert!(refused.ends_with(": no bus"), "{refused}");
        assert_eq!(script("exit 0"), Ok(()));
    }

    #[test]
    fn only_a_program_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("systemd-run"), "not executable").expect("written");
        assert_eq!(find("systemd-run", dir.path().as_os_str()), None);
        assert!(find("sh", OsStr::new("/nowhere:/bin:/usr/bin")).is_some());
    }
}
