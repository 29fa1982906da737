//! Which layer holds the trees: chosen, named, and what it cannot do is said.

use std::fs;

use nix::sys::signal::Signal;

use crate::{
    common::{Greenroom, Layer, alive, note, signal, wait_for, write_program},
    pair,
};

/// A running pair of services in this layer.
fn running(layer: Layer) -> Greenroom {
    let greenroom = Greenroom::running_in(layer, pair);
    greenroom.wait_state("web", "ready");
    greenroom
}

fn end(greenroom: &Greenroom) {
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn is_named_with_its_limits(layer: Layer, name: &str) {
    let greenroom = running(layer);
    let runtime = greenroom.status()["runtime"].clone();
    assert_eq!(runtime["containment"], name);
    let limit = runtime["containment_limits"][0].as_str().expect("every layer has one").to_owned();
    let web = greenroom.service("web");
    assert_eq!((&web["containment"]["kind"], &web["containment"]["processes"]), (&name.into(), &1.into()));
    for text in [greenroom.cli(&["status"]).expect(0).stdout, greenroom.output()] {
        assert!(text.contains(name) && text.contains(&limit), "the layer and its limit: {text}");
    }
    end(&greenroom);
}

#[test]
fn shims_are_named_with_their_limits() {
    is_named_with_its_limits(Layer::Shim, "shim");
}

#[test]
fn namespaces_are_named_with_their_limits() {
    if Layer::Namespace.is_allowed() {
        is_named_with_its_limits(Layer::Namespace, "namespace");
    }
}

#[test]
fn without_a_cgroup_shims_are_taken_and_a_cgroup_that_is_asked_for_is_refused() {
    let greenroom = Greenroom::in_layer(Layer::Shim);
    greenroom.configure(&pair(&greenroom));
    let file = greenroom.config_file();
    let refused = greenroom.bare(&["run", "--set", "runtime.containment=cgroup", "-c", &file.display().to_string()]);
    // Where the tests themselves run as an ordinary user, that user may have a cgroup.
    if nix::unistd::geteuid().is_root() {
        let refused = refused.expect(1);
        for part in ["cgroup: ", "Delegate=yes", "runtime.containment = \"auto\""] {
            assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        }
        greenroom.start_as(|command| {
            command.args(["run", "--set", "runtime.containment=auto", "-c"]).arg(&file);
        });
        greenroom.wait_state("web", "ready");
        assert_eq!(greenroom.status()["runtime"]["containment"], "shim");
        end(&greenroom);
    }
}

#[test]
fn a_killed_shim_is_told_as_the_reason_and_the_service_starts_anew() {
    let greenroom = running(Layer::Shim);
    let (main, run) = (greenroom.service_pid("web"), greenroom.service("web")["run_id"].clone());
    let stat = fs::read_to_string(format!("/proc/{main}/stat")).expect("it lives");
    let shim = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()).expect("a parent");
    signal(shim, Signal::SIGKILL);
    wait_for("another run", crate::common::BOUND, || {
        let web = greenroom.service("web");
        web["run_id"] != run && web["state"] == "ready"
    });
    assert!(!alive(main), "the tree of the killed shim has ended");
    let events = greenroom.cli(&["events"]).expect(0).stdout;
    assert!(events.contains("its shim was killed"), "{events}");
    end(&greenroom);
}

#[test]
fn the_doctor_tries_every_layer() {
    let greenroom = Greenroom::in_layer(Layer::Shim);
    let report = greenroom.bare(&["doctor", "--json"]).expect(0).json();
    let state = |name: &str| {
        let findings = report["findings"].as_array().into_iter().flatten();
        findings.clone().find(|finding| finding["name"] == name).map(|finding| finding["state"].clone())
    };
    assert_eq!(state("shim"), Some("ok".into()), "{report:#}");
    assert_eq!(state("guardian"), Some("ok".into()), "{report:#}");
    if Layer::Namespace.is_allowed() {
        assert_eq!(state("namespace"), Some("ok".into()), "{report:#}");
    }
    if nix::unistd::geteuid().is_root() {
        assert_eq!(state("cgroup"), Some("degraded".into()), "an ordinary user has none: {report:#}");
        assert_eq!(state("containment"), Some("degraded".into()), "{report:#}");
    }
}

/// A stand-in for `systemd-run` that writes down its arguments and becomes the command after `--`.
fn systemd_run(greenroom: &Greenroom) -> (String, std::path::PathBuf) {
    let (bin, told) = (greenroom.folder().join("bin"), greenroom.folder().join("told"));
    fs::create_dir(&bin).expect("a folder");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >'{}'\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
        told.display()
    );
    let file = bin.join("systemd-run");
    write_program(&file, script.as_bytes());
    (format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()), told)
}

/// A runtime with a configuration that has no cgroup; `None`, and a word of it, where a cgroup might be had all the same.
fn without_a_cgroup() -> Option<Greenroom> {
    if !nix::unistd::geteuid().is_root() {
        note("not run: the user of the tests may have a cgroup, and then there is nothing to do");
        return None;
    }
    let greenroom = Greenroom::in_layer(Layer::Shim);
    greenroom.configure(&pair(&greenroom));
    Some(greenroom)
}

#[test]
fn delegate_starts_again_in_a_scope_of_systemd() {
    let Some(greenroom) = without_a_cgroup() else { return };
    let (path, told) = systemd_run(&greenroom);
    greenroom.start_as(|command| {
        command.args(["run", "--delegate", "-c"]).arg(greenroom.config_file()).env("PATH", path);
    });
    greenroom.wait_state("web", "ready");
    let told = fs::read_to_string(told).expect("it was asked");
    let words: Vec<&str> = told.lines().collect();
    assert_eq!(words[..6], ["--user", "--scope", "--quiet", "-p", "Delegate=yes", "--"], "{told}");
    let file = greenroom.config_file().display().to_string();
    assert_eq!(words[7..], ["run", "-c", &file], "the same command without the option: {told}");
    end(&greenroom);
}

#[test]
fn delegate_in_the_background_goes_through_systemd_first() {
    let Some(greenroom) = without_a_cgroup() else { return };
    let (path, told) = systemd_run(&greenroom);
    let file = greenroom.config_file().display().to_string();
    let started = greenroom.cli_command(&["run", "--delegate", "-d", "-c", &file]).env("PATH", path).output();
    let started = started.expect("it runs");
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    assert!(fs::read_to_string(told).expect("it was asked").contains("-d\n"));
    greenroom.wait_state("web", "ready");
    assert_eq!(greenroom.cli(&["shutdown"]).code, 0);
    wait_for("it is gone", crate::common::BOUND, || greenroom.cli(&["status"]).code == 3);
    greenroom.assert_clean();
}

#[test]
fn delegate_without_systemd_says_what_to_do_and_with_a_cgroup_that_there_is_nothing_to_do() {
    let Some(greenroom) = without_a_cgroup() else { return };
    let file = greenroom.config_file().display().to_string();
    let nothing = greenroom.cli_command(&["run", "--delegate", "-c", &file]).env("PATH", "/nowhere").output();
    let nothing = nothing.expect("it runs");
    let text = String::from_utf8_lossy(&nothing.stderr);
    assert_eq!(nothing.status.code(), Some(1), "{text}");
    assert!(text.contains("systemd-run") && text.contains("Delegate=yes"), "{text}");

    let greenroom = Greenroom::new();
    greenroom.configure(&pair(&greenroom));
    greenroom.start_as(|command| {
        command.args(["run", "--delegate", "-c"]).arg(greenroom.config_file()).env("PATH", "/nowhere");
    });
    assert!(greenroom.output().contains("cgroups work here already"), "{}", greenroom.output());
    assert_eq!(greenroom.status()["runtime"]["containment"], "cgroup");
    end(&greenroom);
}
