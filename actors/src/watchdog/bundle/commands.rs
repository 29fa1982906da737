//! Command lines of processes, of which one may never come.
//!
//! Whoever reads `/proc/PID/cmdline` reads the memory of that process (`fs/proc/base.c`, `get_mm_cmdline`) and waits for its
//! lock, which one that hangs in a driver or on a disk may hold for good. All of them are read by one thread, one after the
//! other. When it hangs, it is left to itself, the process is remembered for as long as it does, and another thread goes on
//! behind it. So each process that hangs costs one thread and one wait, however often it is looked at.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{ids::Pid, os::clock};

/// How long one of them is waited for. It takes some microseconds, or some milliseconds where it has to come from swap.
const BOUND: Duration = Duration::from_millis(100);
/// How long all of them together are waited for.
const TOTAL: Duration = Duration::from_millis(500);
/// Processes that are waited for in vain at once. From then on nobody waits for any other one.
const MOST: usize = 4;
/// Longest command line that is read, in bytes: a JSON document may be an argument.
const COMMAND: u64 = 4096;

/// The command lines of this machine.
pub(super) static COMMANDS: Commands = Commands::new(command, BOUND);

/// Reads command lines, and knows which of them hang.
#[derive(Debug)]
pub(super) struct Commands {
    read: fn(Pid) -> Option<String>,
    bound: Duration,
    hung: Mutex<Hung>,
}

/// Threads that have been left to themselves: their number, and what each of them reads.
#[derive(Debug)]
struct Hung {
    last: u64,
    reads: BTreeMap<u64, Pid>,
}

/// What a thread has read: of whom, and what.
type Answer = (Pid, Option<String>);

impl Commands {
    const fn new(read: fn(Pid) -> Option<String>, bound: Duration) -> Self {
        Self { read, bound, hung: Mutex::new(Hung { last: 0, reads: BTreeMap::new() }) }
    }

    /// The command lines of these, with zero bytes between the arguments; `None` of those that have ended or belong to others.
    /// Those that hang, or come too late since others do, are not in it.
    pub fn read(&'static self, pids: &[Pid]) -> BTreeMap<Pid, Option<String>> {
        let (mut read, end) = (BTreeMap::new(), clock::now() + TOTAL);
        let mut left: Vec<Pid> = {
            let hung = self.hung();
            pids.iter().copied().filter(|pid| !hung.reads.values().any(|hangs| hangs == pid)).collect()
        };
        while !left.is_empty() && clock::now() < end && self.hung().reads.len() < MOST {
            let Some(answers) = self.begin(left.clone()) else { break };
            let done = answers.take(&left, end, &mut read);
            // The one behind these hangs.
            left.drain(..left.len().min(done + 1));
        }
        read
    }

    /// Has a thread read them, one after the other.
    fn begin(&'static self, pids: Vec<Pid>) -> Option<Answers> {
        let number = {
            let mut hung = self.hung();
            hung.last += 1;
            hung.last
        };
        let (answer, answers) = mpsc::channel();
        let body = move || self.work(number, &pids, &answer);
        let thread = thread::Builder::new().name("bundle-command".to_owned()).spawn(body);
        if let Err(error) = &thread {
            tracing::warn!("no thread can be had to read the arguments of processes: {error}");
        }
        thread.is_ok().then_some(Answers { of: self, number, answers })
    }

    fn work(&self, number: u64, pids: &[Pid], answer: &Sender<Answer>) {
        for pid in pids {
            let command = (self.read)(*pid);
            let mut hung = self.hung();
            // Whoever has left this thread to itself has begun another one behind this process.
            if hung.reads.remove(&number).is_some() || answer.send((*pid, command)).is_err() {
                return;
            }
        }
    }

    fn hung(&self) -> MutexGuard<'_, Hung> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one thread reads.
struct Answers {
    of: &'static Commands,
    number: u64,
    answers: Receiver<Answer>,
}

impl Answers {
    /// Takes what it reads of `pids`, until all of them are there or one does not come. Then it is left to itself with that one.
    /// Says how many have come.
    fn take(&self, pids: &[Pid], end: Instant, read: &mut BTreeMap<Pid, Option<String>>) -> usize {
        for (count, hangs) in pids.iter().enumerate() {
            let wait = self.of.bound.min(end.saturating_duration_since(clock::now()));
            let mut answer = self.answers.recv_timeout(wait);
            if answer == Err(RecvTimeoutError::Timeout) {
                // It may have come just now. As long as this is locked, none can.
                let mut hung = self.of.hung();
                answer = self.answers.try_recv().map_err(|_| RecvTimeoutError::Timeout);
                if answer.is_err() {
                    hung.reads.insert(self.number, *hangs);
                }
            }
            let Ok((pid, command)) = answer else {
                tracing::warn!("the arguments of process {hangs} cannot be read: it hangs in the kernel");
                return count;
            };
            read.insert(pid, command);
        }
        pids.len()
    }
}

/// The arguments, with zero bytes between them. A last one that is not whole is left out: it may be half a secret.
fn command(pid: Pid) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/cmdline")).ok()?.take(COMMAND).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 == COMMAND {
        let whole = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
        bytes.truncate(whole);
        bytes.extend_from_slice(b"\0...");
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes from here on hang for as long as the test holds its gate.
    const HANGS: u32 = 1000;

    fn read(pid: Pid, gate: &Mutex<()>) -> Option<String> {
        if pid.0 >= HANGS {
            drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
        }
        (pid.0 != 7).then(|| pid.to_string())
    }

    fn pids(pids: &[u32]) -> Vec<Pid> {
        pids.iter().copied().map(Pid).collect()
    }

    fn names(read: &BTreeMap<Pid, Option<String>>) -> Vec<u32> {
        read.keys().map(|pid| pid.0).collect()
    }

    #[test]
    fn one_that_hangs_costs_one_thread_and_nobody_else_his_arguments() {
        static GATE: Mutex<()> = Mutex::new(());
        static OF_ONE: Commands = Commands::new(|pid| read(pid, &GATE), BOUND);
        let gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
        let all = pids(&[1, HANGS, 2, 7]);
        for _ in 0..3 * MOST {
            let read = OF_ONE.read(&all);
            assert_eq!(names(&read), [1, 2, 7]);
            assert_eq!((&read[&Pid(1)], &read[&Pid(7)]), (&Some("1".to_owned()), &None));
            assert_eq!(OF_ONE.hung().reads.values().copied().collect::<Vec<_>>(), pids(&[HANGS]), "once");
        }
        drop(gate);
        let is_forgotten = || OF_ONE.hung().reads.is_empty();
        assert!(clock::wait_until(Duration::from_secs(30), is_forgotten), "once it goes on, its thread ends");
        assert_eq!(names(&OF_ONE.read(&all)), [1, 2, 7, HANGS]);
    }

    #[test]
    fn where_too_many_hang_nobody_is_waited_for_any_more() {
        static GATE: Mutex<()> = Mutex::new(());
        static OF_MANY: Commands = Commands::new(|pid| read(pid, &GATE), Duration::from_millis(5));
        let gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
        let hanging: Vec<Pid> = (0..MOST as u32 + 3).map(|n| Pid(HANGS + n)).collect();
        let all = [pids(&[1]), hanging, pids(&[2])].concat();
        // Some may be left to be found by the next look, where this machine is slow.
        let is_full = || {
            OF_MANY.read(&all);
            OF_MANY.hung().reads.len() == MOST
        };
        assert!(clock::wait_until(Duration::from_secs(30), is_full));
        assert!(OF_MANY.read(&all).is_empty());
        assert_eq!(OF_MANY.hung().reads.len(), MOST);
        drop(gate);
    }
}
