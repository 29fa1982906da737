//! One runtime per state dir.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    common::{BOUND, Greenroom, alive, pause, signal, stopwatch, wait_for},
    pair,
};

#[test]
fn a_second_runtime_on_the_same_state_dir_ends_with_4_and_names_the_first() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let file = greenroom.config_file().display().to_string();
    let before = greenroom.service_pid("web");
    let second = greenroom.bare(&["run", "-c", &file]).expect(4);
    assert!(second.text().contains(&greenroom.pid().to_string()), "names the first's process: {second:?}");
    assert!(alive(before), "the first's services are untouched");
    assert_eq!(greenroom.service_pid("web"), before);
    let sweep = greenroom.cli(&["sweep"]);
    assert!(alive(before), "a sweep beside a running one ends nothing of it: {sweep:?}");
    assert_eq!(greenroom.processes_of("web").len(), 1);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_runtime_whose_state_dir_was_removed_is_still_the_only_one() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    let file = greenroom.config_file().display().to_string();
    let web = greenroom.service_pid("web");
    // Again where the runtime has just written something into it.
    wait_for("the folder is removed", BOUND, || {
        fs::remove_dir_all(greenroom.state_dir()).ok();
        !greenroom.state_dir().exists()
    });
    let second = greenroom.bare(&["run", "-c", &file]).expect(4);
    assert!(second.text().contains(&greenroom.pid().to_string()), "names the first's process: {second:?}");
    let sweep = greenroom.cli(&["sweep"]).expect(4);
    assert!(alive(web) && greenroom.processes_of("web").len() == 1, "{sweep:?}");
    // Its socket went with the folder.
    greenroom.signal(Signal::SIGTERM);
    assert_eq!(greenroom.wait(BOUND).0, 0, "{}", greenroom.output());
    greenroom.assert_no_survivor();
}

#[test]
fn what_a_killed_runtime_left_in_the_state_dir_is_no_obstacle() {
    let greenroom = Greenroom::running(pair);
    greenroom.wait_state("web", "ready");
    greenroom.kill();
    greenroom.start();
    greenroom.wait_state("web", "ready");
    greenroom.shutdown_clean();
    // A socket and rubbish where the registry is.
    fs::write(greenroom.socket(), "not a socket").expect("the state dir is writable");
    let registry = greenroom.state_dir().join("registry");
    fs::create_dir_all(&registry).expect("the state dir is writable");
    fs::write(registry.join("rubbish.json"), [0xFF; 100]).expect("the state dir is writable");
    greenroom.start();
    greenroom.wait_state("web", "ready");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn two_runtimes_side_by_side_do_not_touch_each_other() {
    let one = Greenroom::running(pair);
    let two = Greenroom::running(pair);
    one.wait_state("web", "ready");
    two.wait_state("web", "ready");
    let pid = two.service_pid("web");
    one.kill();
    one.wait_gone(BOUND);
    one.start();
    one.wait_state("web", "ready");
    assert!(alive(pid) && two.service_pid("web") == pid, "the other's sweep and guardian are not about us");
    one.shutdown_clean();
    assert!(alive(pid));
    two.shutdown_clean();
    two.assert_clean();
}

#[test]
fn a_runtime_whose_output_nobody_reads_any_more_still_ends_in_order() {
    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    let mut command = greenroom.cli_command(&["run"]);
    let mut runtime = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    drop((runtime.stdout.take(), runtime.stderr.take()));
    wait_for("it answers", BOUND, || greenroom.cli(&["status"]).code == 0);
    greenroom.wait_state("web", "ready");
    signal(runtime.id().cast_signed(), Signal::SIGTERM);
    let ended = wait_for_end(&mut runtime);
    // By force, so that nothing is left also where it did not.
    runtime.kill().ok();
    runtime.wait().ok();
    assert_eq!(ended, Some(0));
    greenroom.assert_no_survivor();
}

#[test]
fn a_runtime_whose_output_is_not_read_goes_on() {
    // A pipe holds 64 KiB; at the level `trace` a restart logs some of them.
    const ROUNDS: u32 = 60;
    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    let mut command = greenroom.cli_command(&["run", "--log-level", "trace"]);
    let mut runtime = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
    wait_for("it answers", BOUND, || greenroom.cli(&["status"]).code == 0);
    let told: Vec<bool> = (0..ROUNDS)
        .map(|_| greenroom.api().post("/api/services/plain/restart", None))
        .take_while(Result::is_ok)
        .map(|answer| answer.is_ok_and(|answer| answer.status == 200))
        .collect();
    signal(runtime.id().cast_signed(), Signal::SIGTERM);
    let ended = wait_for_end(&mut runtime);
    runtime.kill().ok();
    let unread = runtime.stderr.take().map(|pipe| std::io::Read::bytes(pipe).count());
    runtime.wait().ok();
    assert_eq!(ended, Some(0));
    assert!(told.len() == ROUNDS as usize && told.iter().all(|ok| *ok), "{told:?}");
    assert!(unread.is_some_and(|bytes| bytes > 48 * 1024), "the pipe was never full: {unread:?} bytes");
    greenroom.assert_no_survivor();
}

/// The exit code, if it ends within the bound.
fn wait_for_end(runtime: &mut Child) -> Option<i32> {
    let started = stopwatch();
    while started.elapsed() < BOUND {
        if let Ok(Some(status)) = runtime.try_wait() {
            return status.code();
        }
        pause(Duration::from_millis(20));
    }
    None
}
