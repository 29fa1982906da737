//! Under systemd: `Type=notify` and `WatchdogSec=`. The test is the service manager.

use std::{fs, os::unix::net::UnixDatagram, path::Path, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, stopwatch, wait_for},
    itself::Held,
    ready_run, service, watchdog,
};

/// A service manager's socket.
fn socket(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("the test's folder is writable");
    socket.set_read_timeout(Some(BOUND)).expect("a timeout");
    socket
}

/// What is said next.
#[track_caller]
fn said(socket: &UnixDatagram) -> String {
    let mut text = [0; 4096];
    let length = socket.recv(&mut text).expect("something is said in time");
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// Waits until this is said.
#[track_caller]
fn wait_said(socket: &UnixDatagram, wanted: &str) {
    let began = stopwatch();
    let mut heard = Vec::new();
    while began.elapsed() < BOUND {
        let text = said(socket);
        if text.lines().any(|line| line == wanted) {
            return;
        }
        heard.push(text);
    }
    panic!("{wanted} was not said, but {heard:?}");
}

/// A runtime that was told where to say so, and how often, with further keys of the Watchdog.
#[track_caller]
fn notified(socket: &Path, every: Duration, keys: &str) -> Greenroom {
    let greenroom = Greenroom::new();
    greenroom.configure(&(watchdog(keys) + &service(&greenroom, "chat", "", "")));
    greenroom.start_as(|command| {
        command
            .args(["run", "-c"])
            .arg(greenroom.config_file())
            .env("NOTIFY_SOCKET", socket)
            .env("WATCHDOG_USEC", every.as_micros().to_string());
    });
    greenroom
}

#[test]
fn it_says_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = socket(&path);
    let greenroom = notified(&path, Duration::from_millis(400), "");
    wait_said(&manager, "READY=1");
    let began = stopwatch();
    for _ in 0..5 {
        wait_said(&manager, "WATCHDOG=1");
    }
    // Twice within each span that it was given; generously, as this machine does other things as well.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    ready_run(&greenroom, "chat");
    let environment = fs::read(format!("/proc/{}/environ", greenroom.service_pid("chat"))).expect("it lives");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG_USEC"), "{environment}");
    greenroom.signal(Signal::SIGTERM);
    wait_said(&manager, "STOPPING=1");
    assert_eq!(greenroom.wait(BOUND).0, 0);
    greenroom.assert_clean();
}

#[test]
fn while_an_actor_hangs_it_does_not_say_that_it_lives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = socket(&path);
    let greenroom = notified(&path, Duration::from_millis(400), "actor_heartbeat = \"500ms\"");
    wait_said(&manager, "WATCHDOG=1");
    ready_run(&greenroom, "chat");
    let Some(held) = Held::history(&greenroom) else { return };
    wait_for("it is noticed", BOUND, || {
        greenroom.api().get("/api/alerts").expect("the runtime answers").body.contains("actor_silent")
    });
    // What was said before that lies in the socket, and one more word may be on its way; then there is none for ten times as
    // long as there would be one.
    manager.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let mut text = [0; 4096];
    let heard = (0..1000).take_while(|_| manager.recv(&mut text).is_ok()).count();
    assert!(heard < 1000, "it goes on to say that it lives");
    manager.set_read_timeout(Some(BOUND)).expect("a timeout");
    drop(held);
    wait_said(&manager, "WATCHDOG=1");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn without_a_socket_or_with_one_that_is_gone_it_runs_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let greenroom = notified(&folder.path().join("nobody"), Duration::from_millis(400), "");
    ready_run(&greenroom, "chat");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
