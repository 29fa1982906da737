//! The shim process itself: what it does with orders that make no sense, whom its kill reaches, and that nothing of a tree
//! outlives a runtime that is killed, whatever is done to the shim and the guardian at the same time.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
};

use greenroom_actors::{
    ids::Pid,
    os::{
        containment::{ContainmentKind, prove},
        proc::{self, ProcessIdentity},
        shim::{
            socket,
            wire::{FromShim, ShimOrders, ToGuardian, ToShim},
        },
    },
};
use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    Verdict,
    guardian::Played,
    nursed::{self, Nursed, in_both, signal},
    support::{identities, runtime, survivors, until},
};

crate::tests!(
    orders_that_make_no_sense_are_refused_or_passed_over,
    a_guardian_does_not_mind_words_it_does_not_know,
    somebody_who_is_reborn_all_the_time_is_caught,
    a_process_whose_first_thread_has_ended_is_killed,
    whoever_a_dead_shim_leaves_is_killed_and_the_others_are_spared,
    a_killed_runtime_leaves_nothing_whatever_else_is_killed_or_stopped,
    shims_are_small,
);

/// A guardian and the socket to it, without anything of the runtime's side.
struct Bare {
    child: Child,
    socket: OwnedFd,
    _dir: tempfile::TempDir,
}

impl Bare {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let own = ProcessIdentity::own().expect("an identity");
        let (socket, far) = socket::pair().expect("a pair");
        let mut command = Command::new("/proc/self/exe");
        command.args(["__guardian", "--root", "greenroom-test-test", "--runtime", &own.pid.to_string()]);
        command.args(["--start-time", &own.start_time.to_string(), "--state-dir"]).arg(dir.path());
        command.stdin(far).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a guardian");
        let mut ready = [0];
        child.stdout.take().expect("stdout").read_exact(&mut ready).expect("a word");
        assert_eq!(&ready, b"r");
        Self { child, socket, _dir: dir }
    }

    /// Has a shim made and waits until it is ready.
    fn shim(&self) -> OwnedFd {
        let (near, far) = socket::pair().expect("a pair");
        let orders = ToGuardian::Shim(ShimOrders { namespace: false, keep: None });
        socket::send(&self.socket, &orders, &[far.as_fd()]).expect("sent");
        drop(far);
        let (word, descriptors) = hear(&near).expect("a word");
        assert_eq!((word, descriptors.len()), (FromShim::Ready, 1));
        near
    }

    fn has_children(&self) -> bool {
        !proc::children(Pid(self.child.id())).expect("children").is_empty()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(socket::send(&self.socket, &ToGuardian::Leave, &[]));
        drop(self.child.wait());
    }
}

/// The next word of a shim; `None` at its end.
fn hear(shim: &OwnedFd) -> Option<(FromShim, Vec<OwnedFd>)> {
    let mut heard = None;
    until("the shim has said something", || match socket::receive(shim) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        other => {
            heard = other.expect("received");
            true
        }
    });
    heard
}

fn tell(shim: &OwnedFd, order: &ToShim) {
    socket::send(shim, order, &[]).expect("sent");
}

fn orders_that_make_no_sense_are_refused_or_passed_over() -> Verdict {
    let guardian = Bare::new();
    let shim = guardian.shim();
    tell(&shim, &ToShim::Start { id: 0 });
    let (word, _) = hear(&shim).expect("a word");
    assert!(matches!(&word, FromShim::NotStarted { id: 0, why } if why.contains("descriptors")), "{word:?}");

    // Nothing to start is in the file, which the new process finds out by itself.
    let nothing = File::open("/dev/null").expect("a file");
    let (errors, far) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    socket::send(&shim, &ToShim::Start { id: 0 }, &[nothing.as_fd(), nothing.as_fd(), far.as_fd()]).expect("sent");
    drop(far);
    let (word, descriptors) = hear(&shim).expect("a word");
    assert!(matches!(word, FromShim::Started { id: 0, .. }) && descriptors.len() == 1, "{word:?}");
    assert_eq!(hear(&shim).expect("a word").0, FromShim::Ended { id: 0, status: 125 << 8 });
    assert_eq!(hear(&shim).expect("a word").0, FromShim::Empty);
    let mut said = String::new();
    File::from(errors).read_to_string(&mut said).expect("read");
    assert!(said.contains("its standard input says not what to start"), "{said}");

    // There is one main process, once; unknown numbers, signals and words change nothing.
    socket::send(&shim, &ToShim::Start { id: 0 }, &[nothing.as_fd(); 3]).expect("sent");
    let (word, _) = hear(&shim).expect("a word");
    assert!(matches!(&word, FromShim::NotStarted { id: 0, why } if why.contains("in use")), "{word:?}");
    for order in [ToShim::KillOne { id: 7 }, ToShim::Signal { signal: 4711 }, ToShim::Attach, ToShim::Kill] {
        tell(&shim, &order);
    }
    socket::send(&shim, &"what is this", &[nothing.as_fd()]).expect("sent");
    tell(&shim, &ToShim::Leave);
    assert!(hear(&shim).is_none(), "it has left");
    until("it was waited for", || !guardian.has_children());
    Verdict::Held
}

fn a_guardian_does_not_mind_words_it_does_not_know() -> Verdict {
    let guardian = Bare::new();
    socket::send(&guardian.socket, &"what is this", &[]).expect("sent");
    let orders = ToGuardian::Shim(ShimOrders { namespace: false, keep: None });
    socket::send(&guardian.socket, &orders, &[]).expect("sent without a socket for it");
    let shim = guardian.shim();
    // The end of the socket is the order to end.
    drop(shim);
    until("it was waited for", || !guardian.has_children());
    Verdict::Held
}

/// Each process lives for a moment only, has a new session, and leaves another one behind.
fn somebody_who_is_reborn_all_the_time_is_caught() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let reborn = "perl -MPOSIX -e 'while (1) { exit if fork; POSIX::setsid(); }' & sleep 987";
        let _main = nursed::start(reborn, &*hold).await;
        nursed::populated(&*hold, (1, 2)).await;
        nursed::end(&*hold).await;
        assert_eq!(hold.members().expect("members"), []);
        nursed.end().await;
    })
}

fn a_process_whose_first_thread_has_ended_is_killed() -> Verdict {
    if !Command::new("python3").args(["-c", "import ctypes"]).status().is_ok_and(|status| status.success()) {
        return Verdict::LeftOut("python3 plays the process, and is not there");
    }
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let hold = nursed.hold();
        let number = if cfg!(target_arch = "x86_64") { 60 } else { 93 };
        let headless = format!(
            "exec python3 -c 'import threading, time, ctypes
threading.Thread(target=time.sleep, args=(987,)).start()
ctypes.CDLL(None).syscall({number}, 0)'"
        );
        let main = nursed::start(&headless, &*hold).await;
        nursed::until("its first thread has ended", || proc::stat(main.pid).is_ok_and(|stat| stat.state == 'Z')).await;
        assert!(!hold.is_empty().expect("known"));
        nursed::end(&*hold).await;
        nursed.end().await;
    })
}

fn whoever_a_dead_shim_leaves_is_killed_and_the_others_are_spared() -> Verdict {
    in_both(async |kind| {
        let nursed = Nursed::new(kind).await;
        let (first, second) = (nursed.hold(), nursed.hold());
        // It gives birth faster than anybody could list it.
        let storm = "setsid sh -c 'while :; do (sleep 0.2 &); done' & wait";
        let _first = nursed::start(storm, &*first).await;
        let doomed = nursed.shim().await;
        let _second = nursed::start("setsid sleep 987 & wait", &*second).await;
        let spared = nursed::populated(&*second, (1, 1)).await;
        nursed::until("it has begun", || first.members().expect("members").len() > 10).await;
        let seen = identities(&first.members().expect("members"));
        signal(doomed, Signal::SIGKILL);
        nursed::until("its tree has ended", || survivors(&seen).is_empty() && nursed.shims().len() == 1).await;
        assert_eq!(survivors(&spared).len(), 2);
        second.kill().expect("killed");
        nursed::until("the holds are empty", || first.is_empty().expect("known") && second.is_empty().expect("known"))
            .await;
        nursed.end().await;
    })
}

/// What else is done in the moment in which the runtime is killed.
type Blow = (&'static str, fn(&Played));

const BLOWS: &[Blow] = &[
    ("nothing", |_| {}),
    ("the shim is killed", |played| played.told.shims.iter().for_each(|shim| signal(*shim, Signal::SIGKILL))),
    ("the shim is stopped", |played| played.told.shims.iter().for_each(|shim| signal(*shim, Signal::SIGSTOP))),
    ("the guardian is killed", |played| signal(played.guardian(), Signal::SIGKILL)),
    ("the guardian is stopped", |played| signal(played.guardian(), Signal::SIGSTOP)),
];

fn a_killed_runtime_leaves_nothing_whatever_else_is_killed_or_stopped() -> Verdict {
    let namespaces = runtime().block_on(async {
        let nursed = Nursed::new(ContainmentKind::Namespace).await;
        let allowed = prove(&nursed.containment).await.is_ok();
        nursed.end().await;
        allowed
    });
    for layer in ["shim", "namespace"].into_iter().filter(|layer| *layer == "shim" || namespaces) {
        for (what, blow) in BLOWS {
            let dir = tempfile::tempdir().expect("a folder");
            let mut played = Played::new(layer, dir.path());
            assert_eq!((played.told.tree.len(), played.told.shims.len()), (6, 1));
            let shims = identities(&played.told.shims);
            blow(&played);
            played.kill();
            until(&format!("{layer}, {what}: the tree has ended"), || survivors(&played.told.tree).is_empty());
            until(&format!("{layer}, {what}: the shim has ended"), || survivors(&shims).is_empty());
            end_guardian(&played, dir.path());
        }
    }
    Verdict::Held
}

/// Wakes the guardian, should it have been stopped, and waits for its end.
fn end_guardian(played: &Played, state_dir: &Path) {
    let alive = || proc::stat(played.guardian()).is_ok_and(|stat| stat.is_alive());
    if alive() {
        signal(played.guardian(), Signal::SIGCONT);
    }
    until("the guardian has left", || !alive());
    let log = fs::read_to_string(state_dir.join("guardian.log")).unwrap_or_default();
    assert!(log.is_empty() || log.contains("all ended"), "{log}");
}

/// The memory of a shim is what it has written to since it was born; the rest is the guardian's.
fn shims_are_small() -> Verdict {
    const SHIMS: u64 = 50;
    runtime().block_on(async {
        let nursed = Nursed::new(ContainmentKind::Shim).await;
        let mut holds = Vec::new();
        for _ in 0..SHIMS {
            let hold = nursed.hold();
            let main = nursed::start("exec sleep 987", &*hold).await;
            holds.push((hold, main));
        }
        let shims = nursed.shims();
        assert_eq!(shims.len() as u64, SHIMS);
        let pss: u64 = shims.iter().map(|shim| proportional_kib(*shim)).sum();
        println!("    {SHIMS} shims: {} KiB PSS each", pss / SHIMS);
        assert!(pss / SHIMS < 300, "{pss} KiB");
        for (hold, _) in &holds {
            hold.kill().expect("killed");
        }
        nursed::until("all are empty", || holds.iter().all(|(hold, _)| hold.is_empty().expect("known"))).await;
        drop(holds);
        nursed.end().await;
    });
    Verdict::Held
}

fn proportional_kib(pid: Pid) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("memory");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
