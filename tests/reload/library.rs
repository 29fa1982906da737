//! A runtime inside an application reloads what it was built from.

use std::{fs, time::Duration};

use greenroom::{Config, Guardian, ReloadError, Runtime, actors::state::ServiceState, block_on};

use crate::common::{BIN, BOUND, Greenroom, wait_for};

const END: Duration = Duration::from_secs(60);

#[test]
fn an_application_reloads_its_file_and_its_settings_stay_above_it() {
    let greenroom = Greenroom::new();
    let service = |name: &str| format!("[service.{name}]\ncommand = {}\n", greenroom.stand_in(name, "--no-http"));
    greenroom.configure(&service("one"));
    let config = Config::load(greenroom.config_file()).expect("readable").set("service.one.restart.max", 7);
    let config = config.set("gateway.listen", Vec::<&str>::new());
    let builder = Runtime::builder().config(config).guardian(Guardian::Binary(BIN.into()));
    let handle = builder.build().expect("sound").start_blocking().expect("started");
    let snapshot = || handle.snapshot();
    wait_for("it is ready", BOUND, || snapshot().services.iter().all(|s| s.state == ServiceState::Ready));
    let pid = snapshot().services[0].pid;

    greenroom.configure(&[service("two"), service("one")].concat());
    let report = block_on(handle.reload()).expect("sound");
    assert!(!report.has_failed(), "{report:?}");
    assert_eq!(report.unchanged, 1);
    let names: Vec<String> = handle.service_names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["two", "one"]);
    wait_for("the snapshot shows both", BOUND, || {
        let snapshot = snapshot();
        let ready = snapshot.services.iter().filter(|s| s.state == ServiceState::Ready);
        ready.map(|s| s.name.to_string()).collect::<Vec<_>>() == names
    });
    assert_eq!(snapshot().services[1].pid, pid);

    fs::write(greenroom.config_file(), "runtime = 7").expect("written");
    let refused = block_on(handle.reload());
    let Err(ReloadError::Config(errors)) = refused else { panic!("it is bad: {refused:?}") };
    assert!(errors.to_string().contains("greenroom.toml:1:11:"), "{errors}");
    let report = handle.shutdown_blocking(END).expect("it ends");
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(matches!(block_on(handle.reload()), Err(ReloadError::Stopping)));
}

#[test]
fn a_runtime_that_was_built_from_a_spec_alone_says_that_there_is_nothing_to_read() {
    let greenroom = Greenroom::new();
    greenroom.configure("");
    let config = Config::load(greenroom.config_file()).expect("readable").set("gateway.listen", Vec::<&str>::new());
    let spec = config.read().expect("sound").spec;
    let builder = Runtime::builder().spec(spec).guardian(Guardian::Binary(BIN.into()));
    let handle = builder.build().expect("sound").start_blocking().expect("started");
    assert!(matches!(block_on(handle.reload()), Err(ReloadError::NoSource)));
    handle.shutdown_blocking(END).expect("it ends");
}
