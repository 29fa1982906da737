//! The guardian's own side, behind `__guardian`. One thread, few allocations, no executor.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::{
    sys::signal::SigSet,
    unistd::{chdir, setsid},
};
use rustix::event::{PollFd, PollFlags, poll};

use super::charge::{Charge, Orders};
use crate::os::{
    clock,
    containment::tree,
    exec, leftovers, pidfd,
    proc::{self, ProcessIdentity},
    registry::{Registry, RegistryEntry},
    roots::Roots,
    state_dir::{GUARDIAN_LOCK, SOCKET, open_lock, write_owner},
};

/// On its standard output: it watches. Anything else is the reason why it does not.
pub(super) const READY: u8 = b'r';
/// On its standard input: leave, the runtime ends in order.
pub(super) const LEAVE: u8 = b'q';

/// How long the lock of a guardian that has just died is waited for.
const LOCK_WITHIN: Duration = Duration::from_secs(4);
/// Killing without pause, and with the lock held. Only what a driver holds lives longer.
const FAST: Duration = Duration::from_secs(10);
/// Killing at leisure, the lock given back, so that a new runtime can start beside what does not end.
const SLOW_ROUNDS: usize = 100;
const SLOW_STEP: Duration = Duration::from_millis(500);
/// Past this size the log is begun anew, in bytes.
const LOG_LIMIT: u64 = 256 * 1024;

/// Watches, and ends what is left. Gives the exit code.
pub(in crate::os) fn run(args: &[OsString]) -> i32 {
    let Some(orders) = Orders::from_args(args) else {
        return give_up("its command line is not one that a runtime writes");
    };
    match prepare(&orders) {
        Ok((lock, runtime)) => match watch(runtime) {
            Ok(End::Dismissed) => 0,
            // A watch that fails counts as the runtime's death: nothing else would end its trees.
            Ok(End::RuntimeDied) | Err(_) => {
                end_trees(&orders, lock);
                0
            }
        },
        Err(error) => give_up(&error.to_string()),
    }
}

fn give_up(why: &str) -> i32 {
    // Who started it reads this, or is gone.
    drop(io::stdout().write_all(why.as_bytes()));
    1
}

/// Cuts all ties, takes the lock, finds the runtime, and says that it is ready. `None` for a runtime that has ended.
fn prepare(orders: &Orders) -> io::Result<(File, Option<OwnedFd>)> {
    // Fails only for the leader of a group, which a freshly spawned process is not.
    setsid().ok();
    // Blocked is as good as ignored, for every signal but KILL and STOP.
    SigSet::all().thread_block()?;
    chdir("/")?;
    exec::close_strays()?;
    let mut lock = open_lock(&orders.charge.state_dir.join(GUARDIAN_LOCK))?;
    if !clock::wait_until(LOCK_WITHIN, || lock.try_lock().is_ok()) {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "another guardian holds guardian.lock"));
    }
    // For a start that waits for it in vain. Without it (a full disk) that start is refused.
    write_owner(&mut lock).ok();
    let boot_id = proc::boot_id()?.to_owned();
    let runtime = ProcessIdentity { boot_id, pid: orders.runtime, start_time: orders.start_time };
    let runtime = pidfd::open_identity(&runtime)?;
    let mut stdout = io::stdout();
    // Fails when the runtime is gone, which the watch finds out by itself.
    drop(stdout.write_all(&[READY]).and_then(|()| stdout.flush()));
    Ok((lock, runtime))
}

enum End {
    Dismissed,
    RuntimeDied,
}

/// Waits for the end of the runtime or its order to leave.
fn watch(runtime: Option<OwnedFd>) -> io::Result<End> {
    let Some(runtime) = runtime else { return Ok(End::RuntimeDied) };
    let stdin = io::stdin();
    // The end of the input means nothing: what counts is the process.
    let mut open = true;
    loop {
        let runtime = PollFd::from_borrowed_fd(runtime.as_fd(), PollFlags::IN);
        let input = PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN);
        let mut both = [runtime, input];
        let watched = if open { &mut both[..] } else { &mut both[..1] };
        match poll(watched, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [runtime, input] = &both;
        // The order first: a runtime that gave it and ended at once has ended in order.
        if open && !input.revents().is_empty() {
            let mut orders = [0; 16];
            match stdin.lock().read(&mut orders) {
                Ok(length) if orders[..length].contains(&LEAVE) => return Ok(End::Dismissed),
                Ok(0) | Err(_) => open = false,
                Ok(_) => {}
            }
        }
        if !runtime.revents().is_empty() {
            return Ok(End::RuntimeDied);
        }
    }
}

/// Ends everything in its charge, within its bounds, and writes down how that went.
fn end_trees(orders: &Orders, lock: File) {
    let charge = &orders.charge;
    let start = clock::now();
    // Nobody answers there any more, and a new runtime must not find its own socket removed: so first of all.
    drop(fs::remove_file(charge.state_dir.join(SOCKET)));
    let processes = living(charge);
    let gone = clock::wait_until(FAST, || ended(charge));
    if gone {
        forget(charge);
    }
    let millis = clock::now().duration_since(start).as_millis();
    let outcome = if gone { "all ended".to_owned() } else { format!("{} did not end", living(charge)) };
    log(
        charge,
        &format!("runtime {} is gone; {processes} processes left; {outcome} after {millis} ms", orders.runtime),
    );
    drop(lock);
    // Without a cgroup there is nothing that tells what is left from what a new runtime starts from now on.
    if gone || charge.cgroup.is_none() {
        return;
    }
    for _ in 0..SLOW_ROUNDS {
        clock::pause(SLOW_STEP);
        if ended(charge) {
            // The lists belong to the next runtime by now, and its sweep puts them right.
            log(charge, &format!("what runtime {} left has ended at last", orders.runtime));
            return;
        }
    }
    log(
        charge,
        &format!("{} processes of runtime {} do not end; the next start tells", living(charge), orders.runtime),
    );
}

/// One round: kills what is there; says whether nothing was left.
fn ended(charge: &Charge) -> bool {
    match &charge.cgroup {
        Some(root) => {
            // A failed kill shows in the removal, which the next round repeats.
            drop(tree::kill(root));
            tree::remove(root).is_ok()
        }
        None => {
            let found = strays(charge);
            // Failures are found alive in the next round.
            found.iter().for_each(|stray| drop(stray.kill()));
            found.is_empty()
        }
    }
}

/// How many processes are left.
fn living(charge: &Charge) -> usize {
    match &charge.cgroup {
        Some(root) => tree::members(root).map_or(0, |members| members.len()),
        None => strays(charge).len(),
    }
}

/// Without a cgroup: what registry and environment tell.
fn strays(charge: &Charge) -> Vec<leftovers::Leftover> {
    let entries = covered(charge);
    let mut found = leftovers::by_registry(&entries).unwrap_or_default();
    for stray in leftovers::by_variable(&charge.state_dir).unwrap_or_default() {
        if stray.pid.0 != std::process::id() && !found.contains(&stray) {
            found.push(stray);
        }
    }
    found
}

fn covered(charge: &Charge) -> Vec<RegistryEntry> {
    let entries = Registry::at(&charge.state_dir).entries().unwrap_or_default();
    entries.into_iter().filter(|entry| charge.covers(entry)).collect()
}

/// Takes off the lists what is not there any more. What fails here is put right by the next sweep.
fn forget(charge: &Charge) {
    let registry = Registry::at(&charge.state_dir);
    for entry in covered(charge) {
        drop(registry.remove(entry.run));
    }
    if let Some(root) = &charge.cgroup {
        drop(Roots::at(&charge.state_dir).remove(root));
    }
}

fn log(charge: &Charge, line: &str) {
    let path = charge.state_dir.join("guardian.log");
    let full = fs::metadata(&path).is_ok_and(|file| file.len() > LOG_LIMIT);
    let mut options = OpenOptions::new();
    if full {
        options.write(true).truncate(true)
    } else {
        options.append(true).create(true)
    };
    // The work is done all the same when the disk is full.
    if let Ok(mut file) = options.open(path) {
        drop(writeln!(file, "{} {line}", clock::wall()));
    }
}
