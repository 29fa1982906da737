//! Files, variables and arguments on one another.

use std::{path::PathBuf, time::Duration};

use greenroom::actors::{
    spec::{PortSpec, Probe},
    template::Template,
};

use crate::folder::{Folder, row, service};

#[test]
fn one_configuration_in_three_languages() {
    let toml =
        Folder::toml("[service.\"qwen2.5\"]\ncommand = \"sleep 1\"\nready = \"/health\"\nport = 8080\nenv.A = \"1\"\n");
    let yaml = Folder::with(
        "g.yaml",
        "service:\n  qwen2.5:\n    command: sleep 1\n    ready: /health\n    port: 8080\n    env: {A: \"1\"}\n",
    );
    let json = Folder::with(
        "g.json",
        r#"{"service": {"qwen2.5": {"command": "sleep 1", "ready": {"probe": "/health"}, "port": 8080, "env": {"A": "1"}}}}"#,
    );
    let services = |folder: &Folder| {
        let mut spec = folder.loaded().spec;
        spec.services[0].working_dir = PathBuf::new();
        spec.services
    };
    assert_eq!(services(&toml), services(&yaml));
    assert_eq!(services(&toml), services(&json));
    assert_eq!(services(&toml)[0].ready.probe, Probe::Http("/health".to_owned()));
}

#[test]
fn later_layers_win_and_every_value_knows_where_it_comes_from() {
    let mut folder = Folder::with(
        "a.toml",
        "[runtime]\nname = \"one\"\nports = \"2000-2100\"\nshutdown.grace = \"7s\"\n[service.\"qwen2.5\"]\ncommand = \"sleep 1\"\n",
    );
    folder.config("b.toml", "[runtime]\nname = \"two\"\n[service.\"qwen2.5\"]\nport = 1\nrestart.max = 2\n");
    let folder = folder
        .variable("GREENROOM__RUNTIME__NAME", "three")
        .variable("GREENROOM__SERVICE__QWEN2_5__PORT", "2")
        .set("service.\"qwen2.5\".port=3")
        .set("log.level=debug");
    let loaded = folder.loaded();
    let effective = &loaded.effective;
    let file = |name: &str| folder.dir.path().join(name).display().to_string();
    assert_eq!(loaded.spec.name, "three");
    assert_eq!(loaded.spec.ports, (2000, 2100));
    assert_eq!(loaded.log_level, "debug");
    assert_eq!(service(&loaded.spec, "qwen2.5").port, Some(PortSpec::Fixed(3)));
    assert_eq!(service(&loaded.spec, "qwen2.5").stop.grace, Duration::from_secs(7));
    assert_eq!(row(effective, "runtime.name"), ("\"three\"".into(), "env GREENROOM__RUNTIME__NAME".into()));
    assert_eq!(row(effective, "runtime.ports").1, format!("{}:3:9", file("a.toml")));
    assert_eq!(row(effective, "service.\"qwen2.5\".port"), ("3".into(), "--set".into()));
    assert_eq!(row(effective, "service.\"qwen2.5\".restart.max").1, format!("{}:5:15", file("b.toml")));
    assert_eq!(row(effective, "service.\"qwen2.5\".alive.failures"), ("3".into(), "default".into()));
}

#[test]
fn a_state_dir_argument_stands_above_everything() {
    let mut folder = Folder::toml("[runtime]\nstate_dir = \"here\"\n").set("runtime.state_dir=there");
    assert!(folder.loaded().spec.state_dir.ends_with("there"));
    folder.sources.state_dir = Some(PathBuf::from("/tmp/x"));
    let loaded = folder.loaded();
    assert_eq!(loaded.spec.state_dir, PathBuf::from("/tmp/x"));
    assert_eq!(loaded.spec.history.path, PathBuf::from("/tmp/x/history.db"));
    assert_eq!(row(&loaded.effective, "runtime.state_dir").1, "--state-dir");
}

#[test]
fn types_are_not_coerced_between_layers() {
    let folder =
        Folder::toml("[runtime]\nname = 5\n[service.a]\ncommand = \"sleep 1\"\nport = \"80\"\nowner_check = 1\n");
    assert_eq!(folder.problems().len(), 3, "{:?}", folder.problems());
    // A variable is text by nature: what looks like a number is still a name where one is wanted.
    let folder = Folder::new().variable("GREENROOM__RUNTIME__NAME", "5");
    assert_eq!(folder.loaded().spec.name, "5");
}

#[test]
fn a_probe_replaces_the_one_below_it_whole() {
    let mut folder =
        Folder::with("a.toml", "[service.a]\ncommand = \"sleep ${port}\"\nready.probe = { http = \"/\" }\n");
    folder.config("b.toml", "[service.a]\nready.probe = { tcp = true }\n");
    assert_eq!(service(&folder.loaded().spec, "a").ready.probe, Probe::Tcp);
}

#[test]
fn defaults_of_services_hold_for_all_that_do_not_say_otherwise() {
    let folder = Folder::toml(
        "[defaults.service]\nrestart.max = 9\nenv.A = \"1\"\n[service.a]\ncommand = \"sleep 1\"\nenv.B = \"2\"\n[service.b]\ncommand = \"sleep 1\"\nrestart.max = 1\nenv.A = \"3\"\n",
    );
    let spec = folder.loaded().spec;
    assert_eq!((service(&spec, "a").restart.max, service(&spec, "b").restart.max), (9, 1));
    assert_eq!(service(&spec, "a").env.keys().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(service(&spec, "b").env["A"], Template::text("3"));
}

#[test]
fn services_keep_their_order() {
    let names = ["zeta", "alpha", "mid", "beta"];
    let text: String = names.iter().map(|name| format!("[service.{name}]\ncommand = \"sleep 1\"\n")).collect();
    let spec = Folder::toml(text).loaded().spec;
    assert_eq!(spec.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), names);
}
