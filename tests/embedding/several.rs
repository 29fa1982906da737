//! Runtimes in this very process: several at once, and what their handles do.

use std::{path::Path, time::Duration};

use futures_util::{FutureExt, StreamExt};
use greenroom::{
    CommandError, Config, Engine, Filter, Guardian, Handle, LoadError, LoadStep, Runtime, ServiceConfig, StartError,
    actors::{
        spec::{FailureClass, Probe},
        state::ServiceState,
    },
    block_on,
    config::Start,
};

use crate::common::{BIN, BOUND, alive, catches_term, note, timed, wait_for};

/// A runtime in `folder` with one service, started.
fn running(folder: &Path, service: ServiceConfig) -> Handle {
    runtime(folder, service).start_blocking().expect("it starts")
}

fn runtime(folder: &Path, service: ServiceConfig) -> Runtime {
    let builder = Runtime::builder().app_id("test").state_dir(folder).config(Config::new().service(service));
    // A test's `main` is the harness's, so the helpers come from the real binary.
    builder.guardian(Guardian::Binary(BIN.into())).build().expect("a sound configuration")
}

/// A stand-in that is started on demand.
fn chat(options: &str) -> ServiceConfig {
    let command = format!("{BIN} stand-in --port ${{port}} {options}");
    ServiceConfig::new("chat").command(command.split_whitespace()).start(Start::OnDemand).ready_path("/health")
}

#[track_caller]
fn end(handle: &Handle) {
    let report = handle.shutdown_blocking(BOUND).expect("it ends");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn two_runtimes_live_side_by_side_and_neither_is_taken_for_a_leftover_of_the_other() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (first, second) = (running(one.path(), chat("")), running(other.path(), chat("")));
    let load = |handle: &Handle| block_on(handle.service("chat").expect("there").load()).expect("it loads");
    let (a, b) = (load(&first), load(&second));
    assert_ne!(a.url(), b.url());
    end(&first);
    assert_eq!(second.service("chat").expect("there").status().state, ServiceState::Ready);
    end(&second);
}

#[test]
fn a_state_dir_takes_one_runtime_at_a_time_also_within_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = running(folder.path(), chat(""));
    let error = runtime(folder.path(), chat("")).start_blocking().expect_err("the state dir is taken");
    let told = format!("another runtime (process {}) uses the state dir", std::process::id());
    assert!(error.to_string().contains(&told), "{error}");
    assert!(matches!(error, StartError::StateDir(_)) && error.exit_code() == 4);
    end(&first);
    end(&running(folder.path(), chat("")));
}

#[test]
fn a_load_that_is_given_up_is_withdrawn_unless_somebody_else_wants_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), chat("--load-ms 600000"));
    let service = handle.service("chat").expect("there");
    let is = |state| wait_for(&format!("{state:?}"), BOUND, || service.status().state == state);
    let (first, second) = (service.load(), service.load());
    is(ServiceState::Starting);
    drop(first);
    assert_eq!(service.status().state, ServiceState::Starting, "the other one waits still");
    drop(second);
    is(ServiceState::Offloaded);
    // Not the load's doing: somebody starts it meanwhile.
    let (loading, mut starting) = (service.load(), service.start().boxed());
    assert!(starting.as_mut().now_or_never().is_none());
    is(ServiceState::Starting);
    drop((starting, loading));
    block_on(service.reset()).expect("taken");
    assert_eq!(service.status().state, ServiceState::Starting);
    end(&handle);
}

#[test]
fn a_load_that_fails_names_the_class_and_the_last_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = ServiceConfig::new("chat").command(["/bin/sh", "-c", "echo no such thing >&2; exit 3"]);
    let handle = running(folder.path(), broken.start(Start::OnDemand).set("restart.max", 0));
    let error = block_on(handle.service("chat").expect("there").load()).expect_err("it ends at once");
    assert_eq!(error.class(), Some(FailureClass::Exit), "{error}");
    assert_eq!(error.stderr_tail(), ["no such thing"], "{error}");
    end(&handle);
    let service = handle.service("chat").expect("handles outlive the runtime");
    assert_eq!(block_on(service.load()), Err(LoadError::Stopping));
    assert!(matches!(block_on(service.start()), Err(CommandError::Stopping)));
}

#[test]
fn a_hold_is_a_veto_and_a_permit_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), chat(""));
    let service = handle.service("chat").expect("there");
    let permit = block_on(service.enter()).expect("it comes up");
    let hold = service.hold();
    assert!(matches!(block_on(service.offload()), Err(CommandError::Held { .. })));
    drop(hold);
    let mut offloading = service.offload().boxed();
    assert!(offloading.as_mut().now_or_never().is_none());
    wait_for("draining", BOUND, || service.status().state == ServiceState::Draining);
    drop(permit);
    block_on(offloading).expect("offloaded");
    assert_eq!(service.status().state, ServiceState::Offloaded);
    end(&handle);
}

#[test]
fn a_permit_is_waited_for_through_failures_that_may_pass_and_no_longer() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("s");
    // It fails twice, so that the second restart comes after a pause.
    let fail = |n: u32| format!("test -e {0}/{n} || {{ touch {0}/{n}; exit 3; }}", folder.path().display());
    let script = format!("{}; {}; exec {BIN} stand-in --port ${{port}}", fail(1), fail(2));
    let lame = ServiceConfig::new("chat").command(["/bin/sh", "-c", &script]);
    let handle = running(&state, lame.start(Start::OnDemand).ready_path("/health"));
    let service = handle.service("chat").expect("there");
    let permit = block_on(service.enter()).expect("it comes up in the end");
    assert_eq!((service.status().state, service.status().restarts_total), (ServiceState::Ready, 2));
    drop(permit);
    block_on(service.stop()).expect("stopped");
    let error = block_on(service.enter()).expect_err("a request lifts no stop");
    assert!(matches!(error, LoadError::NotUp { state: ServiceState::Stopped, .. }), "{error}");
    assert_eq!(service.status().state, ServiceState::Stopped);
    end(&handle);

    let broken = ServiceConfig::new("chat").command(["/bin/sh", "-c", "echo no such thing >&2; exit 3 # ${port}"]);
    let broken = broken.start(Start::OnDemand).ready_path("/health").set("restart.max", 1);
    let handle = running(&state, broken);
    let error = block_on(handle.service("chat").expect("there").enter()).expect_err("it is given up");
    assert_eq!(error.class(), Some(FailureClass::Exit), "{error}");
    assert_eq!(error.stderr_tail(), ["no such thing"], "{error}");
    end(&handle);
}

#[test]
fn permits_are_given_in_the_order_in_which_they_were_wanted_and_no_more_than_there_is_room_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), chat("").set("max_concurrency", 1));
    let service = handle.service("chat").expect("there");
    let first = block_on(service.enter()).expect("it comes up");
    let (mut second, mut third) = (service.enter().boxed(), service.enter().boxed());
    assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
    drop(first);
    assert!(third.as_mut().now_or_never().is_none(), "it has come later");
    let permit = second.now_or_never().expect("its turn has come").expect("it is ready");
    assert!(third.as_mut().now_or_never().is_none());
    let mut fourth = service.enter().boxed();
    assert!(fourth.as_mut().now_or_never().is_none());
    // Whoever gives up leaves the line, and the service as it is.
    drop(third);
    drop(permit);
    drop(fourth.now_or_never().expect("its turn has come").expect("it is ready"));
    assert_eq!(service.status().state, ServiceState::Ready);
    end(&handle);
}

#[test]
fn who_gives_up_the_wait_for_a_permit_withdraws_the_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), chat("--load-ms 600000"));
    let service = handle.service("chat").expect("there");
    let is = |state| wait_for(&format!("{state:?}"), BOUND, || service.status().state == state);
    let mut entering = service.enter().boxed();
    let begun = || entering.as_mut().now_or_never().is_none() && service.status().state == ServiceState::Starting;
    wait_for("it loads", BOUND, begun);
    drop(entering);
    is(ServiceState::Offloaded);
    end(&handle);
}

#[test]
fn a_snapshot_has_every_state_at_once_and_memory_while_somebody_looks() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), chat("--memory 64MiB"));
    let view = || handle.snapshot().services.first().cloned().expect("a service");
    assert_eq!((view().name.as_str(), view().state), ("chat", ServiceState::Stopped));
    block_on(handle.service("chat").expect("there").load()).expect("it loads");
    wait_for("ready is on the board", BOUND, || view().state == ServiceState::Ready);
    wait_for("its memory is measured", BOUND, || view().memory.ram > 64 << 20 && view().containment.processes == 1);
    let (_, took) = timed(|| (0..1000).for_each(|_| drop(handle.snapshot())));
    note(&format!("a snapshot took {:?}", took / 1000));
    handle.begin_shutdown();
    wait_for("stopping is on the board", BOUND, || handle.snapshot().runtime.state == "stopping");
    end(&handle);
    assert_eq!(handle.snapshot().runtime.state, "stopping");
}

#[test]
fn output_is_read_and_followed_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = ServiceConfig::new("chat").command(["/bin/sh", "-c", "echo one; echo two; read never"]);
    let handle = running(folder.path(), lines.start(Start::OnDemand).set("restart.policy", "never"));
    let service = handle.service("chat").expect("there");
    let mut followed = service.follow_logs(0).expect("readable");
    block_on(service.start()).ok();
    let first = block_on(followed.next()).expect("there is output").expect("readable");
    assert!(first.starts_with(b"one\n"), "{first:?}");
    wait_for("both lines are there", BOUND, || service.logs(1).expect("readable") == b"two\n");
    assert_eq!(service.logs(9).expect("readable"), b"one\ntwo\n");
    end(&handle);
    let rest = block_on(followed.map(|block| block.expect("readable").len()).collect::<Vec<_>>());
    assert_eq!(first.len() + rest.iter().sum::<usize>(), b"one\ntwo\n".len());
}

#[test]
fn whoever_gives_up_a_start_lets_go_of_the_runtime() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut start = runtime(folder.path(), chat("").start(Start::Eager)).start().boxed();
    assert!(start.as_mut().now_or_never().is_none(), "it takes longer than a look");
    drop(start);
    // The state dir is free again once all has ended.
    wait_for("the state dir is free", BOUND, || match runtime(folder.path(), chat("")).start_blocking() {
        Ok(handle) => {
            end(&handle);
            true
        }
        Err(error) => {
            assert_eq!(error.exit_code(), 4, "{error}");
            false
        }
    });
}

#[test]
fn the_last_handle_ends_the_runtime_and_the_streams_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    // A service that does not end before the test says so.
    let go = folder.path().join("go");
    let script = format!(
        "trap 'until test -e {}; do sleep 0.02; done; exit 0' TERM; while :; do sleep 0.02; done",
        go.display()
    );
    let command = ServiceConfig::new("chat").command(["/bin/sh", "-c", &script]).start(Start::OnDemand);
    let handle = running(&folder.path().join("s"), command.set("stop.grace", "20s"));
    let (another, service) = (handle.clone(), handle.service("chat").expect("there"));
    let events = handle.events(Filter::all().kind("runtime.state"));
    drop(handle);
    block_on(service.load()).expect("a handle is left");
    let pid = service.status().pid.expect("it runs");
    let pid = i32::try_from(pid.0).expect("a pid");
    wait_for("it hears a request to stop", BOUND, || catches_term(pid));
    let (_, took) = timed(|| drop(another));
    assert!(alive(pid), "it was waited for");
    note(&format!("the last handle was dropped in {took:?}"));
    std::fs::write(&go, "").expect("a flag");
    let told = block_on(events.collect::<Vec<_>>());
    let last = serde_json::to_value(told.last().expect("an event").as_ref().expect("no gap")).expect("JSON");
    assert_eq!(last["state"], "stopping", "{told:?}");
    assert!(last["reason"].as_str().unwrap_or_default().contains("last handle"), "{last}");
}

#[test]
fn a_wait_for_the_end_is_bounded_and_can_be_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let handle = running(folder.path(), chat("--stop-ms 8000").set("stop.grace", "20s"));
    block_on(handle.service("chat").expect("there").load()).expect("it loads");
    assert!(handle.shutdown_blocking(Duration::from_millis(100)).is_err());
    assert!(block_on(handle.shutdown(Duration::from_millis(100))).is_err());
    let report = block_on(handle.shutdown(BOUND)).expect("it ends");
    assert!(report.is_clean(), "{report}");
    assert_eq!(handle.wait_blocking().expect("the same"), report);
}

/// An engine of an application's own.
struct Counter;

impl Engine for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn recognises(&self, _: &str, arguments: &[&str]) -> bool {
        arguments.iter().any(|argument| argument.contains("step 1/3"))
    }

    fn ready_probe(&self) -> Probe {
        Probe::Log("counted".to_owned())
    }

    fn progress_lines(&self) -> &[&'static str] {
        &["^step "]
    }

    fn progress(&self, line: &[u8]) -> Option<LoadStep> {
        let (done, total) = std::str::from_utf8(line).ok()?.strip_prefix("step ")?.split_once('/')?;
        Some(LoadStep::new("steps", done.parse().ok()?, total.parse().ok()?))
    }
}

#[test]
fn an_engine_of_the_applications_own_is_recognised_and_tells_how_its_load_gets_on() {
    let folder = tempfile::tempdir().expect("a folder");
    // It goes on to the next step when the test has seen this one.
    let seen = folder.path().join("seen");
    let wait = format!("until test -e {}; do sleep 0.01; done", seen.display());
    let script = format!("echo step 1/3; {wait}; echo step 3/3; echo counted; exec sleep 1000");
    let config =
        Config::new().service(ServiceConfig::new("c").command(["/bin/sh", "-c", &script]).start(Start::OnDemand));
    let builder = Runtime::builder().state_dir(folder.path().join("s")).config(config).engine(Counter);
    let runtime = builder.guardian(Guardian::Binary(BIN.into())).build().expect("a sound configuration");
    let handle = runtime.start_blocking().expect("it starts");
    let loading = handle.service("c").expect("there").load();
    let mut steps = loading.progress();
    let first = block_on(steps.next()).expect("a step");
    assert_eq!((first.phase.as_str(), first.done, first.total), ("steps", 1, 3));
    std::fs::write(&seen, "").expect("written");
    block_on(loading).expect("it counts to its end");
    // The last step may have been overtaken by the end.
    let rest = block_on(steps.map(|step| step.done).collect::<Vec<_>>());
    assert!(rest.is_empty() || rest == [3], "{rest:?}");
    assert_eq!(handle.snapshot().services[0].engine, "counter");
    end(&handle);
}
