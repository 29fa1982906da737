//! How one attempt is made, what is told of it, and how it ends.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use greenroom_actors::{
    engines::Engines,
    event::AlertView,
    failure::FailureClass,
    job_queue::attempt::{AttemptEnd, AttemptNews, Order, StopWhy},
    spec::{CleanupAction, CleanupSpec, JobDefinition, ResourcesSpec, ServiceSpec},
    state::ServiceState,
    template::{Part, Template},
};
use serde_json::json;

use super::{begun::nothing, queue::*};
use crate::{
    programs::write_program,
    requests::soon,
    rig::{line_of, runs},
    roster::until,
};

#[actix::test]
async fn a_job_fills_in_its_command_and_what_it_made_is_listed() {
    let mut queue = Queue::new("printf '%s|' \"$@\" > \"$1.txt\"; echo '{\"n\": 7}' > \"$1.json\"").await;
    queue.job.service.command.push(Template(vec![Part::Text("p=".to_owned()), Part::Param("prompt".to_owned())]));
    let begun = queue.begin(json!({ "prompt": "a \"heron\", $HOME", "seed": 42 }));
    let output = begun.folder.output();
    let result = begun.done().await;
    assert_eq!(
        (result.files, result.json),
        (vec!["output.json".to_owned(), "output.txt".to_owned()], Some(json!({"n": 7})))
    );
    let said = fs::read_to_string(output.join("output.txt")).expect("written");
    let expected =
        format!("{0}/output|{1}|p=a \"heron\", $HOME|--seed|42|", output.display(), queue.dir.path().display());
    assert_eq!(said, expected);
    let rests = queue.house.find("image").status.borrow().clone();
    assert_eq!((rests.state, rests.restarts_consecutive), (ServiceState::Stopped, 0));
    queue.stop().await;
}

#[actix::test]
async fn a_job_is_run_once_however_short_it_is() {
    let queue = Queue::new("echo x >> \"$2/runs\"; : > \"$1\"").await;
    for n in 1..=20 {
        let result = queue.begin(nothing()).done().await;
        assert_eq!(result.files, ["output"]);
        assert_eq!(fs::read_to_string(queue.path("runs")).expect("it ran").lines().count(), n);
    }
    queue.stop().await;
}

#[actix::test]
async fn a_failure_has_its_status_class_and_last_words_and_the_next_job_may_come() {
    let text = "if [ -e \"$2/well\" ]; then : > \"$1\"; else echo first >&2; echo 'CUDA out of memory' >&2; exit 3; fi";
    let queue = Queue::new(text).await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!((error.class, error.code, error.signal), (Some(FailureClass::OomGpu), Some(3), None));
    assert_eq!(error.stderr, ["first", "CUDA out of memory"]);
    let expected = "ended with exit code 3 (oom_gpu): `CUDA out of memory`; give it less to hold";
    assert!(error.message.starts_with(expected), "{}", error.message);
    fs::write(queue.path("well"), "").expect("written");
    queue.begin(nothing()).done().await;
    queue.stop().await;
}

#[actix::test]
async fn a_job_that_ends_well_and_makes_nothing_has_failed_and_so_has_one_without_a_program() {
    let mut queue = Queue::new("exit 0").await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!((error.class, error.code), (Some(FailureClass::Exit), Some(0)));
    assert!(error.message.starts_with("it ended with status 0 and made nothing"), "{}", error.message);
    queue.job.service.command[0] = Template::text("/no/such/program");
    let error = queue.begin(nothing()).failed().await;
    assert_eq!((error.class, error.code), (Some(FailureClass::MissingCommand), None));
    assert!(error.message.contains("could not be started: cannot run `/no/such/program`"), "{}", error.message);
    queue.stop().await;
}

#[actix::test]
async fn a_cancelled_job_has_really_stopped_whatever_it_does_against_it() {
    let text = "trap '' TERM; setsid sleep 1000 & echo $! > \"$2/away\"; echo $$ > \"$2/main\"; \
                while :; do sleep 1000; done";
    for why in [StopWhy::Cancelled, StopWhy::TimedOut] {
        let queue = Queue::new(text).await;
        let mut begun = queue.begin(nothing());
        begun.runs().await;
        let (away, main) = (line_of(queue.path("away")).await, line_of(queue.path("main")).await);
        assert!(runs(&away) && runs(&main));
        begun.order.send_replace(Order::Stop(why));
        let stopped = begun.until(|news| matches!(news, AttemptNews::Ended(AttemptEnd::Stopped)).then_some(())).await;
        assert_eq!((runs(&away), runs(&main), stopped), (false, false, ()), "told before it has stopped");
        assert_eq!(begun.next().await, AttemptNews::Over);
        queue.stop().await;
    }
}

#[actix::test]
async fn one_that_is_stopped_after_its_end_has_ended_by_itself() {
    let queue = Queue::new(": > \"$1\"").await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    until(&queue.house.find("image"), |status| status.last_exit.is_some()).await;
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
    assert_eq!(begun.done().await.files, ["output"]);
    queue.stop().await;
}

#[actix::test]
async fn progress_is_seen_while_it_is_drawn_over_itself() {
    let text = "printf '\\r  |##> | 900/1130 - 1.20GB/s'; for n in 1 2 3 4; do \
                printf '\\r  |==> | %s/4 - 3.37it/s' $n; touch \"$2/step$n\"; \
                while [ ! -e \"$2/go$n\" ]; do sleep 0.01; done; done; : > \"$1\"";
    let queue = Queue::with(text, Vec::new(), ResourcesSpec::default(), |spec| {
        if let Some(worker) = &mut spec.worker {
            worker.progress = Some(r"\| (?<step>\d+)/(?<steps>\d+) - [0-9.]+it/s".to_owned());
        }
    })
    .await;
    let mut begun = queue.begin(nothing());
    for n in 1..=4 {
        let step = begun.until(|news| if let AttemptNews::Progress(step) = news { Some(*step) } else { None }).await;
        assert_eq!((step.done, step.total), (n, 4));
        assert_eq!(step.eta.is_some(), n > 1, "there is a pace from the second step on");
        fs::write(queue.path(&format!("go{n}")), "").expect("written");
    }
    begun.done().await;
    assert_eq!(queue.house.find("image").status.borrow().step, None);
    queue.stop().await;
}

/// Writes its arguments to where `-o` says, as `sd-cli` would a picture.
const PAINTER: &str = r#"#!/bin/sh
if [ "$1" = --help ]; then echo '  --clip-on-cpu   keep clip in cpu'; echo '  --vae-on-cpu   keep vae in cpu'; exit; fi
printf '\r  |##> | 900/1130 - 1.20GB/s\033[K'
printf '\r  |==> | 3/4 - 3.37it/s\033[K'
while [ ! -e go ]; do sleep 0.01; done
printf '%s ' "$@" > "$2"
"#;

#[actix::test]
async fn stable_diffusion_is_told_what_to_keep_on_the_host_and_its_picture_has_an_extension() {
    let mut queue = Queue::new("").await;
    let program = queue.path("sd");
    write_program(&program, PAINTER);
    let service = &mut queue.job.service;
    service.engine = Engines::default().named("sd-cpp").expect("an engine");
    service.command =
        vec![Template::text(program.display().to_string()), Template::text("-o"), Template(vec![Part::Output])];
    service.working_dir = queue.dir.path().to_owned();
    (queue.job.clip_on_cpu, queue.job.vae_on_cpu, queue.job.batch_size) = (Some(true), Some(false), Some(3));
    let mut begun = queue.begin(nothing());
    let output = begun.folder.output();
    let step = begun.until(|news| if let AttemptNews::Progress(step) = news { Some(*step) } else { None }).await;
    assert_eq!((step.done, step.total), (3, 4));
    queue.let_end();
    assert_eq!(begun.done().await.files, ["output.png"]);
    let said = fs::read_to_string(output.join("output.png")).expect("written");
    assert_eq!(said, format!("-o {}/output.png -b 3 --clip-on-cpu ", output.display()));
    queue.stop().await;
}

#[actix::test]
async fn a_kill_waits_for_nobody_and_the_end_of_all_leaves_nothing() {
    let queue = Queue::new("trap '' TERM; echo $$ > \"$2/main\"; while :; do sleep 1000; done").await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    let main = line_of(queue.path("main")).await;
    begun.order.send_replace(Order::Stop(StopWhy::Shutdown));
    begun.order.send_replace(Order::Kill);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    until(&queue.house.find("image"), |status| !status.state.is_live()).await;
    assert!(!runs(&main));
    queue.stop().await;
}

#[actix::test]
async fn after_every_end_it_is_cleaned_up_once_nothing_of_it_runs() {
    let text = "echo $$ > \"$2/main\"; case $3 in done) : > \"$1\";; failed) exit 3;; *) sleep 1000;; esac";
    let mut queue = Queue::new(text).await;
    queue.job.service.command.push(Template(vec![Part::Param("prompt".to_owned())]));
    let command = ["sh", "-c", "kill -0 $(cat \"$1/main\") 2>/dev/null || echo $2 >> \"$1/cleaned\"", "sh"];
    let mut exec = command.map(Template::text).to_vec();
    exec.push(Template::text(queue.dir.path().display().to_string()));
    exec.push(Template(vec![Part::Param("prompt".to_owned())]));
    let cleanup = CleanupSpec { actions: vec![CleanupAction::Exec(exec)], ..CleanupSpec::default() };
    queue.definition = Arc::new(JobDefinition { cleanup, ..(*queue.definition).clone() });
    queue.begin(json!({ "prompt": "done" })).done().await;
    queue.begin(json!({ "prompt": "failed" })).failed().await;
    let mut begun = queue.begin(json!({ "prompt": "cancelled" }));
    begun.runs().await;
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    let cleaned = fs::read_to_string(queue.path("cleaned")).expect("written");
    assert_eq!(cleaned.lines().collect::<Vec<_>>(), ["done", "failed", "cancelled"]);
    queue.stop().await;
}

#[actix::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let queue = Queue::new(": > \"$1\"").await;
    fs::write(queue.path("jobs"), "in the way").expect("written");
    fs::set_permissions(queue.path("jobs"), fs::Permissions::from_mode(0o400)).expect("a mode");
    let error = queue.begin(nothing()).failed().await;
    assert!(error.message.contains("cannot be made"), "{}", error.message);
    queue.stop().await;
}

#[actix::test]
async fn one_that_stands_still_is_ended_and_says_at_which_step() {
    let text = "echo step 3 of 10; exec sleep 1000";
    let queue = Queue::with(text, Vec::new(), ResourcesSpec::default(), |service| {
        service.limits.progress = Duration::from_secs(1);
        let progress = r"step (?<step>[0-9]+) of (?<steps>[0-9]+)".to_owned();
        service.worker.as_mut().expect("a worker").progress = Some(progress);
    })
    .await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!(error.class, Some(FailureClass::Timeout));
    assert!(
        error.message.contains("stood still for 1s at step 3 of 10 (job.image.limits.progress); "),
        "{}",
        error.message
    );
    assert_eq!(queue.house.find("image").status.borrow().state, ServiceState::Stopped);
    queue.stop().await;
}

#[actix::test]
async fn loading_and_writing_the_result_take_as_long_as_they_take() {
    let text = "sleep 1.5; printf 'step 1 of 2\\nstep 2 of 2\\n'; sleep 1.5; : > \"$1\"";
    let queue = Queue::with(text, Vec::new(), ResourcesSpec::default(), |service| {
        service.limits.progress = Duration::from_millis(500);
        let progress = r"step (?<step>[0-9]+) of (?<steps>[0-9]+)".to_owned();
        service.worker.as_mut().expect("a worker").progress = Some(progress);
    })
    .await;
    queue.begin(nothing()).done().await;
    queue.stop().await;
}

#[actix::test]
async fn whichever_worker_stood_still_the_next_job_that_any_of_them_does_ends_the_alert() {
    let text = "case $3 in done) : > \"$1\";; *) echo step 3 of 10; exec sleep 1000;; esac";
    let dir = tempfile::tempdir().expect("a folder");
    let second = ServiceSpec { name: "image.2".parse().expect("a name"), ..worker(text, &dir) };
    let mut queue = Queue::with(text, vec![second], ResourcesSpec::default(), |service| {
        service.limits.progress = Duration::from_secs(1);
        let progress = r"step (?<step>[0-9]+) of (?<steps>[0-9]+)".to_owned();
        service.worker.as_mut().expect("a worker").progress = Some(progress);
    })
    .await;
    queue.job.service.command.push(Template(vec![Part::Param("prompt".to_owned())]));
    let error = queue.begin_at(2, json!({ "prompt": "still" })).failed().await;
    assert_eq!(error.class, Some(FailureClass::Timeout), "{}", error.message);
    let standing = || -> Vec<String> {
        let about = |alert: AlertView| format!("{} {}", alert.alert, alert.service.expect("it is about one"));
        queue.rim.bus.standing().into_iter().map(about).collect()
    };
    assert_eq!(standing(), ["job_stuck image"]);
    queue.begin_at(1, json!({ "prompt": "done" })).done().await;
    assert_eq!(standing(), [""; 0]);
    queue.stop().await;
}

#[actix::test]
async fn one_that_tells_no_steps_may_take_its_time() {
    let text = "sleep 1.5; : > \"$1\"";
    let queue = Queue::with(text, Vec::new(), ResourcesSpec::default(), |service| {
        service.limits.progress = Duration::from_millis(300);
    })
    .await;
    queue.begin(nothing()).done().await;
    queue.stop().await;
}

#[actix::test]
async fn not_a_number_is_worth_one_more_run_and_is_left_to_the_job() {
    let text = "echo NansException >&2; : > \"$2/said\"; while [ ! -e \"$2/end\" ]; do sleep 0.02; done; exit 1";
    let queue = Queue::new(text).await;
    let begun = queue.begin(nothing());
    soon("it has said so", || queue.path("said").exists()).await;
    assert!(queue.rim.witness.has_job(&"image".parse().expect("a name")), "nobody else ends it for that");
    fs::write(queue.path("end"), "").expect("the flag");
    let error = begun.failed().await;
    assert_eq!((error.class, error.poisons()), (Some(FailureClass::Nan), true));
    queue.stop().await;
}
