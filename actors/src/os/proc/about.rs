//! What a process is told by: its command, its environment, its user.

use std::{fs, os::unix::fs::MetadataExt};

use super::file::{path, read};
use crate::ids::Pid;

/// Longest command line shown to people, in characters.
const COMMAND_SHOWN: usize = 120;

/// A command line for people: arguments separated by spaces, shortened, without control characters; the name in
/// brackets where there are no arguments; `?` where nothing can be read.
#[must_use]
pub fn command(pid: Pid) -> String {
    let line = read(pid, "cmdline").unwrap_or_default();
    let text = if line.is_empty() {
        let name = read(pid, "comm").unwrap_or_default();
        if name.is_empty() { "?".to_owned() } else { format!("[{}]", String::from_utf8_lossy(&name).trim_end()) }
    } else {
        String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ")
    };
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(COMMAND_SHOWN).collect()
}

/// Whether one of the variables (`NAME=value`) that a process was started with is as `wanted` says. `false` for
/// processes of other users, and for those that have cleared or overwritten their environment: a hint, never a proof.
#[must_use]
pub fn any_variable(pid: Pid, wanted: impl Fn(&[u8]) -> bool) -> bool {
    read(pid, "environ").is_ok_and(|environment| environment.split(|byte| *byte == 0).any(wanted))
}

/// Whether a process belongs to the user that this one runs as.
#[must_use]
pub fn is_same_user(pid: Pid) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    fs::metadata(path(pid, "")).is_ok_and(|folder| folder.uid() == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_command_and_its_own_user() {
        let own = Pid(std::process::id());
        assert!(command(own).len() > 1);
        assert!(is_same_user(own));
        assert_eq!(command(Pid(u32::MAX)), "?");
    }
}
