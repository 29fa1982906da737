//! Processes as they were at one moment, looked at before anything is ended.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    commands::COMMANDS,
    process::{ProcessShot, draw, parse_status, shown_command},
    secrets::Secrets,
    within::PROCESSES,
};
use crate::ids::Pid;

/// Most processes of one shot. A tree that has run away says enough with these.
const MOST: usize = 512;
/// How long a look may take without the command lines: some milliseconds.
const BOUND: Duration = Duration::from_millis(500);
/// What is shown where a command line could not be read in time.
const HANGS: &str = " (arguments not read: it, or others before it, hang in the kernel)";

/// Processes at one moment, with what they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeShot {
    processes: Vec<ProcessShot>,
    left_out: usize,
}

impl TreeShot {
    /// Looks at these, at most 512 of them: about 30 us each, and never longer than a second together. Those that have ended,
    /// or belong to others, are left out or shown as far as they can be.
    #[must_use]
    pub fn take(pids: &[Pid]) -> Self {
        let looked_at: Vec<Pid> = pids.iter().copied().take(MOST).collect();
        let seen: Arc<Mutex<Vec<ProcessShot>>> = Arc::default();
        let found = Arc::clone(&seen);
        let look = move || {
            for shot in looked_at.into_iter().filter_map(shot) {
                found.lock().unwrap_or_else(PoisonError::into_inner).push(shot);
            }
        };
        if let Err(why) = PROCESSES.within(BOUND, look) {
            tracing::warn!("not every process could be looked at: {why}");
        }
        let mut processes = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        with_commands(&mut processes);
        Self { processes, left_out: pids.len().saturating_sub(MOST) }
    }

    /// How many processes there were, also those that are not shown.
    #[must_use]
    pub fn count(&self) -> usize {
        self.processes.len() + self.left_out
    }

    /// Their anonymous and shared memory, in bytes.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.processes.iter().map(|p| p.anonymous.saturating_add(p.shared)).fold(0, u64::saturating_add)
    }

    /// The same without secrets, with commands shortened.
    pub(super) fn cleaned(mut self, secrets: &Secrets) -> Self {
        for process in &mut self.processes {
            process.command = shown_command(&process.command, secrets);
        }
        self
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        draw(&self.processes, self.left_out)
    }

    /// For programs.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "processes": self.processes, "not_shown": self.left_out })
    }
}

/// Puts in the command lines. Those in state `D` (proc(5): they wait for a disk or a driver) come last, as they may hang.
fn with_commands(processes: &mut [ProcessShot]) {
    let mut pids: Vec<(bool, Pid)> = processes.iter().map(|process| (process.state == 'D', process.pid)).collect();
    pids.sort_by_key(|(waits, _)| *waits);
    let pids: Vec<Pid> = pids.into_iter().map(|(_, pid)| pid).collect();
    let read = COMMANDS.read(&pids);
    for process in processes {
        match read.get(&process.pid) {
            Some(Some(command)) if !command.is_empty() => process.command.clone_from(command),
            Some(_) => {}
            None => process.command.push_str(HANGS),
        }
    }
}

/// One process, as far as it can be seen without a lock on its memory.
fn shot(pid: Pid) -> Option<ProcessShot> {
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    let mut shot = parse_status(pid, &String::from_utf8_lossy(&file("status")?))?;
    shot.descriptors = descriptors(pid);
    let place = file("wchan").map(|text| String::from_utf8_lossy(&text).into_owned());
    shot.waits_in = place.filter(|place| !place.is_empty() && place != "0");
    Some(shot)
}

/// Open descriptors. Linux 6.2 and later give their number as the size of the folder (`fs/proc/fd.c`, `proc_fd_getattr`);
/// before that they have to be listed.
fn descriptors(pid: Pid) -> Option<u64> {
    let folder = format!("/proc/{pid}/fd");
    match fs::metadata(&folder).ok()?.len() {
        0 => Some(fs::read_dir(folder).ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_shown_and_one_that_is_gone_is_not() {
        let own = Pid(std::process::id());
        let shot = TreeShot::take(&[own, Pid(u32::MAX)]);
        assert_eq!(shot.count(), 1);
        assert!(shot.held() > 100_000, "{shot:?}");
        let process = &shot.processes[0];
        assert!(process.descriptors.is_some_and(|count| count >= 3) && process.threads >= 1, "{process:?}");
        assert!(process.command.contains("greenroom"), "{process:?}");
    }

    #[test]
    fn a_secret_of_a_command_line_is_gone_and_a_long_one_is_cut_between_arguments() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line", "x", "--api-key", "hunter22"])
            .arg("y".repeat(10_000))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let pids = [Pid(child.id())];
        let is_up = || TreeShot::take(&pids).processes.first().is_some_and(|p| p.command.starts_with("sh\0"));
        let up = crate::os::clock::wait_until(Duration::from_secs(30), is_up);
        let shot = TreeShot::take(&pids).cleaned(&Secrets::default());
        drop(child.stdin.take());
        child.wait().expect("waited for");
        assert!(up);
        assert_eq!(shot.processes[0].command, "sh -c read line x --api-key *** ...");
        assert!(!shot.text().contains("hunter") && !shot.json().to_string().contains("hunter"));
    }

    #[test]
    fn no_more_are_looked_at_than_may_be() {
        let own = Pid(std::process::id());
        let shot = TreeShot::take(&vec![own; MOST + 3]);
        assert_eq!((shot.processes.len(), shot.count()), (MOST, MOST + 3));
    }
}
