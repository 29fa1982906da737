//! What a service's program finds when it begins, and how failing to begin is told.

use std::{
    fs,
    os::fd::AsFd,
    process::{Command, Stdio},
};

use greenroom_actors::{
    ids::Pid,
    os::{pidfd, spawn::SpawnError},
};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::{
    Verdict,
    support::{LONG, Stage, request, run_to_end, runtime, script},
};

crate::tests!(
    descriptors_are_0_1_2_only,
    signals_are_as_a_program_expects,
    it_leads_its_session_and_is_in_its_hold,
    what_cannot_be_run_is_told_before_and_after,
    who_enters_after_the_runtime_died_ends_by_itself,
);

fn descriptors_are_0_1_2_only() -> Verdict {
    let stage = Stage::new();
    let hold = stage.hold();
    let leaky = fs::File::open("/dev/null").expect("a file");
    fcntl_setfd(&leaky, FdFlags::empty()).expect("not close-on-exec");
    let text =
        "n=3; while [ $n -lt 300 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done; readlink /proc/$$/fd/0";
    let (code, out, _) = run_to_end(&script(text, &*hold), &*hold);
    assert_eq!((code, out.as_str()), (Some(0), "/dev/null\n"));
    Verdict::Held
}

/// The runtime is started with ignored signals (as `nohup` does it) and blocks all (as a signal thread does it).
fn signals_are_as_a_program_expects() -> Verdict {
    let own = std::env::current_exe().expect("a path");
    let text = "trap '' HUP INT QUIT USR1 TERM; exec \"$0\" role signals";
    let output = Command::new("sh").args(["-c", text]).arg(own).stdin(Stdio::null()).output().expect("output");
    let text = String::from_utf8_lossy(&output.stdout);
    // Without 32 and 33, which belong to the C library's threads: programs can neither set nor receive them.
    let set = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        u64::from_str_radix(line.trim(), 16).expect("a set") & !0x1_8000_0000
    };
    assert_eq!(set("parent SigIgn:"), 0x5207, "HUP, INT, QUIT, USR1, TERM, and PIPE, which Rust ignores");
    assert_eq!((set("SigIgn:"), set("SigBlk:")), (0, 0));
    Verdict::Held
}

fn it_leads_its_session_and_is_in_its_hold() -> Verdict {
    let stage = Stage::new();
    let hold = stage.hold();
    let (code, out, _) =
        run_to_end(&script("cut -d' ' -f6 /proc/$$/stat; echo $$; grep ^0:: /proc/$$/cgroup", &*hold), &*hold);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines[0]), (Some(0), lines[1]));
    let name = hold.describe();
    assert!(name.ends_with(lines[2].trim_start_matches("0::")), "{name} is not {}", lines[2]);
    Verdict::Held
}

fn what_cannot_be_run_is_told_before_and_after() -> Verdict {
    let stage = Stage::new();
    let hold = stage.hold();
    let spawn_error =
        |program: &str| runtime().block_on(hold.spawn(&request(&[program], &*hold))).expect_err("an error").to_string();
    assert!(spawn_error("no-such-program").contains("not found on PATH"));
    let plain = stage.dir.path().join("plain");
    fs::write(&plain, "text").expect("written");
    assert!(spawn_error(plain.to_str().expect("a path")).contains("not executable"));
    assert!(spawn_error("/etc").contains("it is a directory"));
    let mut lost = request(&["true"], &*hold);
    lost.working_dir = "/no/such/folder".into();
    let lost = runtime().block_on(hold.spawn(&lost));
    assert!(matches!(lost, Err(SpawnError::WorkingDir(_))));

    // A file that only the kernel finds to be no program, and one whose interpreter is missing.
    let bad = stage.dir.path().join("bad");
    for (content, expected) in [(&b"\x7fELF rubbish"[..], 126), (b"#!/no/such/interpreter\n", 127)] {
        fs::write(&bad, content).expect("written");
        fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        let (code, _, err) = run_to_end(&request(&[bad.to_str().expect("a path")], &*hold), &*hold);
        assert_eq!(code, Some(expected), "{err}");
        assert!(err.starts_with(&format!("greenroom: cannot execute {}: ", bad.display())), "{err}");
    }

    let gone = stage.hold();
    let request = request(&["true"], &*gone);
    gone.remove().expect("removed");
    let (code, _, err) = run_to_end(&request, &*gone);
    assert_eq!(code, Some(125), "{err}");
    Verdict::Held
}

/// `cgroup.kill` does not reach who moves in later; such a process has to see by itself that its runtime is gone.
fn who_enters_after_the_runtime_died_ends_by_itself() -> Verdict {
    let stage = Stage::new();
    let hold = stage.hold();
    hold.kill().expect("killed while empty");
    // Process 2 is never the parent of this one's children.
    let child = Command::new("/proc/self/exe")
        .arg("__exec")
        .args(["--cgroup", &hold.describe()])
        .args(["--runtime", "2", "--", "sleep", "987"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let process = pidfd::open(Pid(child.id())).expect("a pidfd");
    assert!(pidfd::wait_end(process.as_fd(), LONG).expect("known"), "it became the program");
    let output = child.wait_with_output().expect("output");
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the runtime that started it is gone"));
    assert!(hold.is_empty().expect("known"));
    Verdict::Held
}
