//! The stand-in's children: how they are told what to be, and how they come back.
//!
//! There is no fork here: each member is this program started anew. A double fork is a member in between that makes a
//! session, starts the daemon and ends; what is seen from outside is the same.

use std::{
    env,
    ffi::OsString,
    io,
    process::{Child, Command, Stdio},
};

use super::{
    options::{ChildMode, Options},
    output,
};

/// The children of one process.
#[derive(Debug)]
pub struct Family {
    args: Vec<OsString>,
    daemons: bool,
    clear_env: bool,
    respawn: bool,
    living: Vec<Child>,
    /// Arguments of those that were started on the way, which nobody misses.
    extra_args: Vec<OsString>,
    extra: Vec<Child>,
}

impl Family {
    /// Starts the children that `options` ask for. What cannot be started is said on stderr and left out.
    pub fn raise(options: &Options) -> Self {
        let daemons = options.has(ChildMode::DoubleFork);
        let mut family = Self {
            args: child_args(options),
            daemons,
            clear_env: options.has(ChildMode::ClearEnv),
            // The parent of a daemon sees only the process in between end, at once and as intended.
            respawn: options.has(ChildMode::Respawn) && !daemons,
            living: Vec::new(),
            extra_args: member_args(options, Vec::new()),
            extra: Vec::new(),
        };
        let count = options.widths().first().copied().unwrap_or(0);
        for _ in 0..count {
            family.spawn();
        }
        family
    }

    /// To be called whenever a child may have ended: reaps, and starts anew what shall come back.
    pub fn tend(&mut self) {
        self.extra.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let before = self.living.len();
        self.living.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if self.respawn {
            for _ in self.living.len()..before {
                self.spawn();
            }
        }
    }

    /// Starts further members, plain ones without children of their own.
    pub fn fork(&mut self, count: u32) {
        for _ in 0..count {
            let started = program().and_then(|mut command| command.args(&self.extra_args).spawn());
            self.extra.extend(told(started));
        }
    }

    fn spawn(&mut self) {
        let started = self.command().and_then(|mut command| command.spawn());
        self.living.extend(told(started));
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = program()?;
        if self.daemons {
            command.args(["--daemonize", "--new-session"]);
        }
        if self.clear_env {
            command.env_clear();
        }
        command.args(&self.args);
        Ok(command)
    }
}

/// This program anew, as a stand-in.
fn program() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("stand-in").stdin(Stdio::null());
    Ok(command)
}

/// What was started; what could not be started is said on stderr.
fn told(started: io::Result<Child>) -> Option<Child> {
    started.inspect_err(|error| output::complain(&format!("cannot start a child: {error}"))).ok()
}

/// The second half of a double fork: starts the daemon that the rest of the command line describes. Returns the exit
/// status of the process in between.
pub fn daemonize(options: &Options) -> i32 {
    let start = || -> io::Result<()> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("stand-in").args(member_args(options, options.widths()));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Not waited for: that is the point of a daemon.
        drop(command.spawn()?);
        Ok(())
    };
    match start() {
        Ok(()) => 0,
        Err(error) => {
            output::complain(&format!("cannot start a daemon: {error}"));
            1
        }
    }
}

/// Arguments of each child of a process with these options.
fn child_args(options: &Options) -> Vec<OsString> {
    let mut args = member_args(options, options.widths().into_iter().skip(1).collect());
    if options.has(ChildMode::Setsid) {
        args.push("--new-session".into());
    }
    args
}

/// Arguments of a member of the family with `widths` below it.
fn member_args(options: &Options, widths: Vec<u32>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--no-http".into(), "--name".into(), options.name.clone().into()];
    if let Some(tag) = &options.tag {
        args.extend(["--tag".into(), tag.into()]);
    }
    if options.ignore_signals {
        args.push("--ignore-signals".into());
    }
    if !widths.is_empty() {
        let widths: Vec<String> = widths.iter().map(u32::to_string).collect();
        args.extend(["--tree".into(), widths.join("x").into()]);
        for mode in &options.child_mode {
            args.extend(["--child-mode".into(), mode_name(*mode).into()]);
        }
    }
    args
}

fn mode_name(mode: ChildMode) -> &'static str {
    match mode {
        ChildMode::Plain => "plain",
        ChildMode::Setsid => "setsid",
        ChildMode::DoubleFork => "double-fork",
        ChildMode::ClearEnv => "clear-env",
        ChildMode::Respawn => "respawn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn child_of(line: &str) -> Options {
        let parent = Options::try_parse_from(line.split_whitespace()).expect("the parent's options");
        Options::try_parse_from(child_args(&parent)).expect("what a parent says, a child understands")
    }

    #[test]
    fn a_child_is_told_what_is_below_it_and_the_tag() {
        let child =
            child_of("--port 80 --tag T --ignore-signals --memory 1GiB --tree 3x20 --child-mode respawn,setsid");
        assert_eq!((child.widths(), child.tag.as_deref(), child.memory.0), (vec![20], Some("T"), 0));
        assert!(child.no_http && child.ignore_signals && child.new_session && child.has(ChildMode::Respawn));
    }

    #[test]
    fn the_last_generation_has_no_children() {
        assert!(child_of("--no-http --children 3").widths().is_empty());
        assert_eq!(child_of("--no-http --children 3 --depth 3").widths(), [3, 3]);
    }

    #[test]
    fn every_mode_has_the_name_that_the_parser_knows() {
        use clap::ValueEnum;
        for mode in ChildMode::value_variants() {
            assert_eq!(ChildMode::from_str(mode_name(*mode), false), Ok(*mode));
        }
    }
}
