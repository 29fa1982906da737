//! A job comes to its end while the disk takes nothing.

use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::{
    common::{BOUND, Greenroom, wait_for},
    painter,
};

/// From now on no file of the runtime grows beyond so many bytes, as on a disk without room; `None`: there is room again.
fn limit(greenroom: &Greenroom, bytes: Option<u64>) {
    let pid = Pid::from_raw(greenroom.pid());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a child of the test");
}

/// The same command with a signal ignored that would end it at the limit: a disk without room sends none.
fn unsignalled(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

fn history(greenroom: &Greenroom) -> String {
    greenroom.status()["runtime"]["history"].to_string()
}

#[test]
fn an_end_for_which_there_is_no_room_is_told_and_is_on_disk_once_there_is() {
    let greenroom = Greenroom::new();
    greenroom.configure(&painter(&greenroom, "--step-ms 50", "retries = 0"));
    let config = greenroom.config_file();
    greenroom.start_as(|command| {
        command.args(["run", "-c"]).arg(config);
        *command = unsignalled(command);
    });
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 20 }));
    // Its process runs, so that the limit is none of its own.
    wait_for("it works", BOUND, || !greenroom.job(&id)["progress"].is_null());
    limit(&greenroom, Some(64));
    let refused = || greenroom.try_submit("image", &json!({ "prompt": "another" }), 0).status == 503;
    wait_for("nothing more is accepted", BOUND, refused);
    greenroom.wait_job(&id, &["succeeded"]);
    assert!(!history(&greenroom).contains("\"ok\""), "{}", history(&greenroom));

    limit(&greenroom, None);
    wait_for("it is written again", BOUND, || history(&greenroom).contains("\"ok\""));
    // Without an orderly end, so that nothing is written at the last moment.
    greenroom.kill();
    greenroom.wait_gone(BOUND);
    greenroom.start();
    let job = greenroom.job(&id);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job:#}");
    let open = greenroom.api().get("/api/jobs?state=queued,waiting,running").expect("an answer").json();
    assert_eq!(open, json!([]), "what was refused is not done");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
