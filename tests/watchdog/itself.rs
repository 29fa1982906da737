//! The runtime watches itself: one of its threads hangs.

use std::fs;

use nix::{
    errno::Errno,
    sys::{
        ptrace,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

use crate::{
    common::{BOUND, Greenroom, note, wait_for, wait_until},
    notify::webhook,
    service, watchdog, word,
};

/// A thread that is held where it is, as a lock or a disk that does not answer would. It goes on when this is dropped.
pub struct Held(Pid);

impl Held {
    /// Holds the thread of the runtime on which its history is written. `None`, and a note, where this machine lets nobody
    /// trace processes.
    pub fn history(greenroom: &Greenroom) -> Option<Self> {
        let thread = history(greenroom);
        // While it waits for work: it has no lock then that others want.
        wait_for("the history has nothing to do", BOUND, || is_asleep(greenroom.pid(), thread));
        match ptrace::seize(thread, ptrace::Options::empty()) {
            Err(Errno::EPERM | Errno::ENOSYS) => {
                note("not run: this machine lets nobody trace processes");
                return None;
            }
            seized => seized.expect("a thread of a child may be traced"),
        }
        let held = Self(thread);
        ptrace::interrupt(thread).expect("it is traced");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Gone already with the runtime: then there is nothing to let go.
        ptrace::detach(self.0, None).ok();
    }
}

/// The first thread that the control thread starts for an actor is that of the history.
#[track_caller]
fn history(greenroom: &Greenroom) -> Pid {
    let tasks = fs::read_dir(format!("/proc/{}/task", greenroom.pid())).expect("it runs").flatten();
    let named = |id: &i32, name: &str| {
        fs::read_to_string(format!("/proc/{}/task/{id}/comm", greenroom.pid())).is_ok_and(|comm| comm.trim() == name)
    };
    let mut threads: Vec<i32> = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
    threads.sort_unstable();
    let control = threads.iter().position(|id| named(id, "control")).expect("the control thread");
    let first = threads[control..].iter().find(|id| named(id, "actix-rt|system")).expect("a thread of an actor");
    Pid::from_raw(*first)
}

fn is_asleep(pid: i32, thread: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

#[test]
fn an_actor_that_hangs_is_named_and_so_is_its_end() {
    let (url, told) = webhook();
    let greenroom = Greenroom::running(|g| {
        let keys = format!("actor_heartbeat = \"500ms\"\nnotify = {{ webhook = \"{url}\" }}");
        watchdog(&keys) + &service(g, "chat", "", "")
    });
    greenroom.wait_watched("chat");
    let Some(held) = Held::history(&greenroom) else { return };

    let told = told.recv_timeout(BOUND).expect("it is told");
    assert_eq!((&told["alert"], &told["severity"]), (&"actor_silent".into(), &"critical".into()), "{told:#}");
    assert!(told["service"].is_null(), "{told:#}");
    let message = told["message"].as_str().expect("a sentence").to_owned();
    assert!(message.starts_with("no answer from history for "), "{message}");
    let standing = || greenroom.api().get("/api/alerts").expect("the runtime answers").json();
    let alert = wait_until("it stands", BOUND, || standing().as_array()?.first().cloned()).0;
    assert_eq!((&alert["alert"], &alert["message"]), (&"actor_silent".into(), &message.clone().into()), "{alert:#}");
    let shown = greenroom.cli(&["status"]).expect(0);
    assert!(shown.stdout.contains("no answer from history"), "{shown:?}");
    let figures = greenroom.api().get("/metrics").expect("it answers").body;
    let counted = "greenroom_watchdog_alerts_total{kind=\"actor_silent\",severity=\"critical\"} 1\n";
    assert!(figures.contains(counted), "{figures}");
    assert_eq!(word(&greenroom, "chat").status, 200, "all others go on");
    let bundle = greenroom.folder().join("held.tar").display().to_string();
    greenroom.cli(&["bundle", "-o", &bundle]).expect(0);

    drop(held);
    wait_for("it is over", BOUND, || standing() == serde_json::json!([]));
    // It was not written while the history hung, and is now.
    assert_eq!(greenroom.wait_alert(None, "actor_silent")["message"], message);
    greenroom.wait_cleared(None, "actor_silent");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
