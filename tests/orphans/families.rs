//! The kinds of process tree that have left orphans behind elsewhere.

use crate::common::{BOUND, Greenroom, wait_for};

/// A kind of tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// One process.
    Plain,
    /// A shell that started the worker and waits for it.
    Wrapper,
    /// One process that does nothing on TERM.
    Ignoring,
    /// A parent and a child in a session of its own.
    NewSession,
    /// A parent and two daemons without environment.
    Daemons,
    /// Three workers with twenty each, who ignore TERM and start anew whichever is killed.
    Tree,
}

impl Family {
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Wrapper, Self::Ignoring, Self::NewSession, Self::Daemons, Self::Tree];

    /// Its service's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Wrapper => "wrapper",
            Self::Ignoring => "ignoring",
            Self::NewSession => "session",
            Self::Daemons => "daemons",
            Self::Tree => "tree",
        }
    }

    /// Processes it consists of.
    pub fn size(self) -> usize {
        match self {
            Self::Plain | Self::Ignoring => 1,
            Self::Wrapper | Self::NewSession => 2,
            Self::Daemons => 3,
            Self::Tree => 1 + 3 + 3 * 20,
        }
    }

    /// Its part of the configuration.
    pub fn config(self, greenroom: &Greenroom) -> String {
        let name = self.name();
        let command = match self {
            Self::Plain => greenroom.stand_in(name, "--no-http"),
            // Something after the worker, or the shell would become the worker instead of waiting for it.
            Self::Wrapper => greenroom.shell(&format!("{}; echo ended", greenroom.stand_in_line(name, "--no-http"))),
            Self::Ignoring => greenroom.stand_in(name, "--no-http --ignore-signals"),
            Self::NewSession => greenroom.stand_in(name, "--no-http --tree 1 --child-mode setsid"),
            Self::Daemons => greenroom.stand_in(name, "--no-http --tree 2 --child-mode double-fork,clear-env"),
            Self::Tree => {
                greenroom.stand_in(name, "--no-http --tree 3x20 --child-mode setsid,respawn --ignore-signals")
            }
        };
        format!("[service.{name}]\ncommand = {command}\nstop.grace = \"300ms\"\n")
    }

    /// Waits until the whole family lives.
    #[track_caller]
    pub fn wait_complete(self, greenroom: &Greenroom) {
        wait_for(&format!("{self:?} is complete"), BOUND, || greenroom.processes_of(self.name()).len() == self.size());
    }
}

/// The configuration of all families.
pub fn all(greenroom: &Greenroom) -> String {
    Family::ALL.map(|family| family.config(greenroom)).join("\n")
}

/// Fails the test unless exactly one copy of every family lives.
#[track_caller]
pub fn assert_one_copy_of_each(greenroom: &Greenroom) {
    for family in Family::ALL {
        greenroom.wait_state(family.name(), "ready");
        family.wait_complete(greenroom);
    }
    // Again, when all have settled: a second copy might have been on its way.
    for family in Family::ALL {
        family.wait_complete(greenroom);
        assert_eq!(greenroom.service(family.name())["restarts"]["total"], 0, "{family:?} needed a second try");
    }
}
