//! Jobs of an application: submitted, followed, waited for, taken back.

use std::{fs, path::Path};

use futures_util::StreamExt;
use greenroom::{
    Config, Guardian, Handle, JobConfig, JobFailed, JobRefusal, JobSpec, JobState, Runtime, actors::spec::FailureClass,
    block_on, config::ParamConfig,
};

use crate::common::{BIN, BOUND, alive, wait_for};

/// A runtime in `folder` whose one kind of job, `note`, is this script: `$1` is the param `text`, `$2` its output path, `$3`
/// a folder of the test's own.
fn running(folder: &Path, script: &str) -> Handle {
    let own = folder.display().to_string();
    let note = JobConfig::new("note")
        .command(["/bin/sh", "-c", script, "sh", "${param.text}", "${output}.txt", &own])
        .param("text", ParamConfig::text())
        .timeout(BOUND)
        .set("progress", r"step (?P<step>\d+) of (?P<steps>\d+)")
        .set("gpu", "none")
        .ram(8 << 20)
        .retries(0);
    let config = Config::new().job(note).set("runtime.shutdown.drain", "0s");
    let builder = Runtime::builder().app_id("test").state_dir(folder.join("s")).config(config);
    // A test's `main` is the harness's, so the helpers come from the real binary.
    let runtime = builder.guardian(Guardian::Binary(BIN.into())).build().expect("a sound configuration");
    runtime.start_blocking().expect("it starts")
}

fn note(text: &str) -> JobSpec {
    JobSpec::new("note").param("text", text)
}

#[track_caller]
fn end(handle: &Handle) {
    let report = handle.shutdown_blocking(BOUND).expect("it ends");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_job_is_submitted_followed_and_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let script =
        "echo step 1 of 2; until test -e $3/go; do sleep 0.02; done; echo step 2 of 2; printf %s \"$1\" > \"$2\"";
    let handle = running(folder.path(), script);
    // For a shell this would be a program.
    let text = "a heron\"; touch $(pwd)/x; `id` ${HOME}\n'";
    let job = block_on(handle.submit(note(text))).expect("it is accepted");
    let mut steps = job.progress();
    let first = block_on(steps.next()).expect("it tells");
    assert_eq!((first.done, first.total), (1, 2));
    let view = job.view();
    assert_eq!((view.state, view.outcome), (JobState::Running, None), "{view:?}");
    fs::write(folder.path().join("go"), "").expect("a file");
    let done = block_on(job.wait()).expect("it succeeds");
    assert_eq!(done.files.len(), 1, "{done:?}");
    assert_eq!(fs::read_to_string(&done.files[0]).expect("a file"), text);
    // Its end is the end of the stream, whatever of it was read.
    assert!(block_on(steps.collect::<Vec<_>>()).iter().all(|step| step.done == 2));
    let again = block_on(handle.job(job.id())).expect("it is known");
    assert_eq!(block_on(again.wait()).expect("it has succeeded").files, done.files);
    assert!(matches!(block_on(job.cancel()), Err(JobRefusal::Over { .. })));
    end(&handle);
}

#[test]
fn one_that_is_taken_back_is_stopped_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "sleep 1000 & echo $! > $3/fresh; mv $3/fresh $3/pid; wait";
    let handle = running(folder.path(), script);
    let job = block_on(handle.submit(note("x"))).expect("it is accepted");
    let pid = || fs::read_to_string(folder.path().join("pid")).ok()?.trim().parse::<i32>().ok();
    wait_for("it has started another process", BOUND, || pid().is_some());
    block_on(job.cancel()).expect("it is taken back");
    let failed = block_on(job.wait()).expect_err("it has made nothing");
    assert!(matches!(failed, JobFailed::Cancelled(_)), "{failed}");
    assert!(!alive(pid().expect("a process")), "cancelled means that its work has stopped");
    end(&handle);
}

#[test]
fn one_that_fails_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), "echo no such brush >&2; exit 3");
    let job = block_on(handle.submit(note("x"))).expect("it is accepted");
    let failed = block_on(job.wait()).expect_err("it ends with status 3");
    assert!(matches!(failed, JobFailed::Failed(_)), "{failed}");
    let error = failed.error().expect("there is a reason");
    assert_eq!((error.class, error.code), (Some(FailureClass::Exit), Some(3)), "{error:?}");
    assert_eq!(error.stderr, ["no such brush"]);
    let refused = block_on(handle.submit(JobSpec::new("note").param("texd", "x"))).expect_err("no such param");
    assert!(refused.to_string().contains("texd") && refused.to_string().contains("text"), "{refused}");
    end(&handle);
    assert!(block_on(handle.submit(note("x"))).is_err(), "nothing is accepted after the end");
}

#[test]
fn one_that_outlives_the_runtime_goes_on_with_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "echo step 1 of 2; until test -e $3/go; do sleep 0.02; done; printf %s \"$1\" > \"$2\"";
    let handle = running(folder.path(), script);
    let job = block_on(handle.submit(note("a heron"))).expect("it is accepted");
    block_on(job.progress().next()).expect("it is at work");
    end(&handle);
    let left = block_on(job.wait()).expect_err("the runtime has ended");
    assert!(matches!(left, JobFailed::Open(_)), "{left}");
    fs::write(folder.path().join("go"), "").expect("a file");
    let handle = running(folder.path(), script);
    let done = block_on(async { handle.job(job.id()).await.expect("it is known").wait().await });
    let done = done.expect("it succeeds");
    assert_eq!(fs::read_to_string(&done.files[0]).expect("a file"), "a heron");
    assert_eq!(done.view.attempts, [], "a stop counts as no failure");
    end(&handle);
}
