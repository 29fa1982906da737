//! `__exec`: the moment between the spawn and the service's program.
//!
//! Single-threaded, with the pid that the program will have. It makes a session, sets signals and limits back to what
//! a program expects, enters its hold, **then** checks that the runtime still lives, closes every descriptor but 0, 1
//! and 2, and becomes the program. The order of the middle two is what makes it safe: whoever enters before the hold
//! is killed is killed with it, and whoever enters later sees that its parent is gone and ends by itself.
//!
//! What to become is on the command line, or, with `--request`, on its standard input (see
//! `exec_request`): a shim starts it that way.
//!
//! It never starts the program outside of its hold.

use std::{
    ffi::{CString, OsStr, OsString},
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use nix::{
    errno::Errno,
    sys::signal::SigSet,
    unistd::{Pid as NixPid, chdir, close, execv, execve, getppid, setsid},
};

use super::{
    exec_request::{self, ExecRequest},
    limits,
    spawn::{find_program, look_at},
};

/// Exit code: the hold could not be entered, or the runtime is gone.
pub const NOT_HELD: i32 = 125;
/// Exit code: the program is there but cannot be executed.
pub const NOT_EXECUTABLE: i32 = 126;
/// Exit code: there is no such program.
pub const NOT_FOUND: i32 = 127;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// The cgroup to enter, if that is how trees are held.
    cgroup: Option<PathBuf>,
    /// Who must still be the parent: the runtime, or a shim.
    parent: i32,
    /// The soft limit on descriptors to set back to.
    nofile: Option<u64>,
    /// Never empty.
    command: Vec<OsString>,
    /// What differs from what this process has, for one that a shim started.
    surroundings: Option<Surroundings>,
}

/// Where and with what the program runs.
#[derive(Debug, PartialEq, Eq)]
struct Surroundings {
    env: Vec<(OsString, OsString)>,
    working_dir: PathBuf,
}

/// Reads `--request --parent PID` and what is on the standard input, or the whole from the arguments.
fn plan(args: &[OsString]) -> Result<Plan, String> {
    let Some((_, rest)) = args.split_first().filter(|(first, _)| *first == "--request") else {
        return parse(args).map_err(str::to_owned);
    };
    let parent = rest.iter().skip_while(|arg| *arg != "--parent").nth(1);
    let parent = number(parent).ok_or("--parent needs a process id")?;
    let ExecRequest { command, env, working_dir, nofile, cgroup } =
        exec_request::take().map_err(|error| error.to_string())?;
    if command.is_empty() {
        return Err("no program is named".to_owned());
    }
    Ok(Plan { cgroup, parent, nofile, command, surroundings: Some(Surroundings { env, working_dir }) })
}

/// Reads `[--cgroup PATH] --runtime PID [--nofile N] [--] program args...`.
fn parse(args: &[OsString]) -> Result<Plan, &'static str> {
    let mut rest = args.iter();
    let (mut cgroup, mut parent, mut nofile) = (None, None, None);
    let program = loop {
        let arg = rest.next().ok_or("no program is named")?;
        match arg.to_str() {
            Some("--cgroup") => cgroup = Some(PathBuf::from(rest.next().ok_or("--cgroup needs a path")?)),
            Some("--runtime") => parent = Some(number(rest.next()).ok_or("--runtime needs a process id")?),
            Some("--nofile") => nofile = Some(number(rest.next()).ok_or("--nofile needs a number")?),
            Some("--") => break rest.next().ok_or("no program is named")?,
            _ => break arg,
        }
    };
    let command = std::iter::once(program).chain(rest).cloned().collect();
    Ok(Plan { cgroup, parent: parent.ok_or("--runtime is missing")?, nofile, command, surroundings: None })
}

fn number<T: std::str::FromStr>(arg: Option<&OsString>) -> Option<T> {
    arg?.to_str()?.parse().ok()
}

/// Carries the orders out. Comes back only when the program could not be started, with the exit code to use.
pub(super) fn run(args: &[OsString]) -> i32 {
    let plan = match plan(args) {
        Ok(plan) => plan,
        Err(why) => return refuse(OsStr::new("a service"), &why, NOT_HELD),
    };
    let Some(program) = plan.command.first() else { return NOT_HELD };
    if let Err((error, code)) = enter(&plan) {
        return refuse(program, &error, code);
    }
    let (reason, code) = become_program(program, &plan.command, plan.surroundings.as_ref());
    refuse(program, &reason, code)
}

/// Becomes the program; comes back only when that fails. Not by the library's search of `PATH`, which hands a file that
/// is no program to the shell and so hides that the file is bad.
fn become_program(program: &OsStr, command: &[OsString], surroundings: Option<&Surroundings>) -> (String, i32) {
    let path = match surroundings {
        None => std::env::var_os("PATH"),
        Some(Surroundings { env, working_dir }) => {
            if let Err(errno) = chdir(working_dir) {
                let why = format!("entering {}: {}", working_dir.display(), io::Error::from(errno));
                return (why, NOT_EXECUTABLE);
            }
            env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone())
        }
    };
    let name = program.to_string_lossy();
    let file = match find_program(&name, path.as_deref(), Path::new(""), look_at) {
        Ok(file) => file,
        Err(why) => return (why.to_owned(), NOT_FOUND),
    };
    let text = |part: &OsStr| CString::new(part.as_bytes());
    let arguments: Result<Vec<CString>, _> = command.iter().map(|part| text(part)).collect();
    let (Ok(file), Ok(arguments)) = (text(file.as_os_str()), arguments) else {
        return ("its command line holds a zero byte".to_owned(), NOT_EXECUTABLE);
    };
    let outcome = match surroundings {
        None => execv(&file, &arguments),
        Some(Surroundings { env, .. }) => {
            let pairs = env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
            let Ok(env) = pairs.map(CString::new).collect::<Result<Vec<_>, _>>() else {
                return ("its environment holds a zero byte".to_owned(), NOT_EXECUTABLE);
            };
            execve(&file, &arguments, &env)
        }
    };
    match outcome {
        Ok(never) => match never {},
        Err(Errno::ENOENT) => ("its interpreter (after #!, or the dynamic linker) is not there".to_owned(), NOT_FOUND),
        Err(Errno::ENOEXEC) => {
            let why = "it is neither a program for this machine nor a script that begins with #!";
            (why.to_owned(), NOT_EXECUTABLE)
        }
        Err(errno) => (io::Error::from(errno).to_string(), NOT_EXECUTABLE),
    }
}

fn enter(plan: &Plan) -> Result<(), (io::Error, i32)> {
    let held = |error: io::Error| (error, NOT_HELD);
    // A freshly spawned process leads no group, so this fails only if somebody made it one: then it is as good.
    setsid().ok();
    reset_signals().map_err(held)?;
    if let Some(cgroup) = &plan.cgroup {
        join(cgroup).map_err(|error| held(io::Error::new(error.kind(), format!("entering its cgroup: {error}"))))?;
    }
    if getppid() != NixPid::from_raw(plan.parent) {
        return Err(held(io::Error::other("the runtime that started it is gone")));
    }
    if let Some(soft) = plan.nofile {
        limits::set_soft_nofile(soft).map_err(held)?;
    }
    close_strays().map_err(held)
}

/// Moves this process into a cgroup. `0` means the writer, so no id can be mistaken.
fn join(cgroup: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(cgroup.join("cgroup.procs"))?.write_all(b"0")
}

/// Empties the signal mask and sets every disposition to its default.
///
/// `exec` itself resets signals that have a handler and keeps those that are ignored. So an ignored one is given a
/// handler here, which needs no unsafe code. Left out are KILL and STOP, which cannot be ignored, and ILL, FPE and
/// SEGV, where ignoring has no effect on real faults.
fn reset_signals() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    let status = fs::read_to_string("/proc/self/status")?;
    let ignored = signal_set(&status, "SigIgn:").unwrap_or(0);
    let unused = Arc::new(AtomicBool::new(false));
    for signal in 1..=64 {
        let forbidden = signal_hook::consts::FORBIDDEN.contains(&signal);
        // These belong to the C library's threads and cannot be changed.
        let internal = [32, 33].contains(&signal);
        if ignored & (1 << (signal - 1)) != 0 && !forbidden && !internal {
            signal_hook::flag::register(signal, Arc::clone(&unused))?;
        }
    }
    Ok(())
}

/// One of the signal sets of `/proc/PID/status`; bit 0 is signal 1.
fn signal_set(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Closes all descriptors but 0, 1 and 2. All of ours are close-on-exec; an application that embeds the runtime may
/// have others that are not.
pub(super) fn close_strays() -> io::Result<()> {
    // Collected first: the listing has a descriptor of its own, which is closed by then.
    let open: Vec<i32> =
        fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // An error means that it was the listing's own.
        close(fd).ok();
    }
    Ok(())
}

fn refuse(program: &OsStr, reason: &dyn std::fmt::Display, code: i32) -> i32 {
    let line = format!("greenroom: cannot execute {}: {reason}\n", program.to_string_lossy());
    // Nobody is left to tell when this fails too; the exit code still says it.
    drop(io::stderr().write_all(line.as_bytes()));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_command_line_is_read_up_to_the_program() {
        let plan = parse(&words("--cgroup /c/x --runtime 7 --nofile 99 -- echo --runtime 8")).expect("a plan");
        assert_eq!(plan.cgroup, Some(PathBuf::from("/c/x")));
        assert_eq!((plan.parent, plan.nofile, plan.surroundings), (7, Some(99), None));
        assert_eq!(plan.command, words("echo --runtime 8"));
    }

    #[test]
    fn a_request_needs_to_know_its_parent() {
        assert_eq!(plan(&words("--request")), Err("--parent needs a process id".to_owned()));
    }

    #[test]
    fn a_program_whose_name_looks_like_an_option_comes_after_two_dashes() {
        assert_eq!(parse(&words("--runtime 7 -- --cgroup")).map(|p| p.command), Ok(words("--cgroup")));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(parse(&words("--runtime 7 --")), Err("no program is named"));
        assert_eq!(parse(&words("--runtime x echo")), Err("--runtime needs a process id"));
        assert_eq!(parse(&words("echo")), Err("--runtime is missing"));
    }

    #[test]
    fn signal_sets_are_read_from_their_hexadecimal_form() {
        assert_eq!(signal_set("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", "SigIgn:"), Some(0x1001));
        assert_eq!(signal_set("Name:\tx\n", "SigIgn:"), None);
    }
}
