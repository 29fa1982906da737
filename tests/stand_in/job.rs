//! The process that does one job and ends.

use std::fs;

use nix::sys::signal::Signal;

use crate::{
    StandIn,
    common::{BOUND, catches_term, signal, wait_for},
};

#[test]
fn a_job_draws_its_progress_writes_its_picture_and_ends() {
    let job = StandIn::new(|place| format!("--job -p heron -o {}/a/out --steps 3 -b 2", place.folder().display()));
    let folder = job.place.folder().join("a");
    let pictures = [folder.join("out_0.png"), folder.join("out_1.png")];
    let (output, _place) = job.keep();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("MB/s") && said.matches("| 2/3 - ").count() == 2, "{said}");
    for picture in pictures {
        assert!(fs::read(&picture).expect("the picture").starts_with(b"\x89PNG"), "{}", picture.display());
    }
}

#[test]
fn a_job_fails_with_the_words_of_the_program_as_often_as_it_is_told() {
    let failing = "--fail oom-host --fail-first 1";
    let job = StandIn::new(|place| format!("--job {failing} --count {0}/count -o {0}/out", place.folder().display()));
    let (output, place) = job.keep();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("ggml_aligned_malloc: insufficient memory"), "{said}");
    let again = StandIn::new(|_| format!("--job {failing} --count {0}/count -o {0}/out", place.folder().display()));
    assert!(again.output().status.success());
}

#[test]
fn a_job_that_is_stopped_has_not_succeeded_and_a_second_one_is_told_apart() {
    let options =
        |folder: &str| format!("--job --steps 10000 --step-ms 20 --stop-log {folder}/log --alone {folder}/alone");
    let mut first = StandIn::new(|place| options(&place.folder().display().to_string()));
    let folder = first.place.folder().display().to_string();
    wait_for("it is set up", BOUND, || catches_term(first.pid()) && fs::metadata(format!("{folder}/alone")).is_ok());
    let log = || fs::read_to_string(format!("{folder}/log")).unwrap_or_default();
    wait_for("it holds the lock", BOUND, || log().contains("x start"));
    let mut second = StandIn::new(|_| options(&folder));
    assert!(!second.ended().success());
    assert!(log().contains("x double"), "{}", log());
    signal(first.pid(), Signal::SIGTERM);
    assert_eq!(first.ended().code(), Some(143));
    assert!(!log().contains("x end"), "{}", log());
}
