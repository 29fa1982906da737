//! `[watchdog]`, and what of services and remotes it acts on.

use std::time::Duration;

use greenroom::actors::{
    engines::{Engine, Engines, HttpCall},
    failure::{FailureAction, FailureClass},
    spec::{BundleOn, GenerationSpec, Growth, LimitsSpec, NotifySpec, OnExceed, PortSpec, ProcessLimits, WatchdogSpec},
    template::Template,
    units::ByteSize,
};

use crate::folder::{Folder, row, service};

/// A service of an engine that can be asked for a token.
const LLAMA: &str = "command = [\"sleep\", \"${port}\"]\nengine = \"llama-server\"\n";

#[test]
fn every_key_of_the_watchdog_arrives() {
    let folder = Folder::toml(
        r#"
[watchdog]
enabled = false
interval = "1s"
memory = { warning = 0, critical = 1 }
runaway.double_within = "7m"
actor_heartbeat = "8s"
bundle_on = ["warning", "emergency", "nan", "warning"]
bundle_min_interval = "9s"
bundle_keep = 3
notify = { webhook = "https://alerts.example/hook?key=${env.HOOK_KEY}", exec = "sleep 1" }
"#,
    );
    let loaded = folder.variable("HOOK_KEY", "k3y").loaded();
    let WatchdogSpec { bundles, notify, .. } = &loaded.spec.watchdog;
    assert_eq!(bundles.on, [BundleOn::Warning, BundleOn::Emergency, BundleOn::Class(FailureClass::Nan)]);
    assert_eq!((bundles.min_interval, bundles.keep), (Duration::from_secs(9), 3));
    let NotifySpec { webhook, exec } = notify;
    assert_eq!(webhook.as_deref(), Some("https://alerts.example/hook?key=k3y"));
    let exec = exec.as_deref().expect("a program");
    assert!(exec[0].ends_with("/sleep") && exec[1..] == ["1".to_owned()], "{exec:?}");
    let rest = WatchdogSpec {
        enabled: false,
        interval: Duration::from_secs(1),
        memory_warning: 0.0,
        memory_critical: 1.0,
        double_within: Duration::from_secs(420),
        actor_heartbeat: Duration::from_secs(8),
        bundles: bundles.clone(),
        notify: notify.clone(),
    };
    assert_eq!(loaded.spec.watchdog, rest);
    assert_eq!(loaded.warnings, []);
    let shown = "{ webhook = \"***\", exec = \"sleep 1\" }";
    assert_eq!(row(&loaded.effective, "watchdog.notify").0, shown);
    assert!(!format!("{:?}", loaded.spec).contains("k3y"));
}

#[test]
fn what_is_not_said_is_as_documented() {
    let spec = Folder::toml(format!("[service.s]\n{LLAMA}[remote.r]\nurls = [\"http://h\"]\n")).loaded().spec;
    assert_eq!(spec.watchdog, WatchdogSpec::default());
    let s = service(&spec, "s");
    assert_eq!(s.limits, LimitsSpec::default());
    assert_eq!((s.alive.busy_timeout, s.alive.generation), (Duration::from_secs(600), None));
    assert_eq!((s.cleanup.last_resort_after, spec.remotes[0].cleanup.last_resort_after), (3, 3));
    assert!(!spec.remotes[0].reset.is_set());
}

#[test]
fn limits_arrive_in_every_form() {
    let folder = Folder::toml(
        r#"
[service.all]
command = "sleep 1"
limits = { ram = "12GiB", processes = { warning = 5, critical = 10 }, growth = "200MiB/8s", on_exceed = "warn", progress = "0s" }
[service.some]
command = "sleep 1"
limits.processes = { critical = 7 }
limits.on_exceed = "stop"
[service.none]
command = "sleep 1"
limits.ram = ""
limits.growth = ""
limits.processes = {}
limits.on_exceed = "restart"
"#,
    );
    let spec = folder.loaded().spec;
    let all = LimitsSpec {
        ram: Some(ByteSize(12 << 30)),
        processes: ProcessLimits::Set { warning: Some(5), critical: Some(10) },
        growth: Some(Growth { bytes: ByteSize(200 << 20), within: Duration::from_secs(8) }),
        on_exceed: OnExceed::Warn,
        progress: Duration::ZERO,
    };
    assert_eq!(service(&spec, "all").limits, all);
    let some = ProcessLimits::Set { warning: None, critical: Some(7) };
    assert_eq!(
        service(&spec, "some").limits,
        LimitsSpec { processes: some, on_exceed: OnExceed::Stop, ..LimitsSpec::default() }
    );
    assert_eq!(service(&spec, "none").limits, LimitsSpec { on_exceed: OnExceed::Restart, ..LimitsSpec::default() });
}

#[test]
fn a_rule_without_an_action_does_what_its_class_does() {
    let folder = Folder::toml(
        r#"
[service.s]
command = "sleep 1"
failure = [
    { pattern = "a", class = "nan" },
    { pattern = "b", class = "oom_gpu" },
    { pattern = "c", class = "nan", action = "none" },
    { pattern = "d", class = "driver", action = "quarantine" },
]
"#,
    );
    let spec = folder.loaded().spec;
    let actions: Vec<FailureAction> = service(&spec, "s").failure.iter().map(|rule| rule.action).collect();
    use FailureAction::{None, Quarantine, RestartOnce};
    assert_eq!(actions, [RestartOnce, None, None, Quarantine]);
}

#[test]
fn last_resorts_arrive() {
    let folder = Folder::toml(
        r#"
[service.s]
command = "sleep 1"
cleanup.last_resort_after = 0
[remote.r]
urls = ["http://h"]
cleanup.last_resort_after = 5
reset = { http = "POST https://api.example/pods/x/restart?key=${env.POD_KEY}", exec = ["sleep", "1"] }
[remote.idle]
urls = ["http://h"]
cleanup.last_resort_after = 5
"#,
    );
    let loaded = folder.variable("POD_KEY", "k3y").loaded();
    assert_eq!(service(&loaded.spec, "s").cleanup.last_resort_after, 0);
    let remote = &loaded.spec.remotes[0];
    assert_eq!(remote.cleanup.last_resort_after, 5);
    let url = "https://api.example/pods/x/restart?key=k3y".to_owned();
    assert_eq!(remote.reset.http, Some(("POST".to_owned(), url)));
    assert_eq!(remote.reset.exec[1..], [Template::text("1")]);
    let warnings: Vec<&str> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings, ["remote `idle`: `cleanup.last_resort_after`: there is no last resort"]);
    assert!(!format!("{:?}", loaded.spec.remotes).contains("k3y"));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let folder = Folder::toml(
        r#"[watchdog]
memory.critical = 0.85
interval = "1m"
notify = { webhook = "https://user:secret@h/x", exec = [] }
[service.a]
command = "sleep 1"
limits.processes = { warning = 9, critical = 9 }
limits.growth = "1MiB/3m"
[remote.r]
urls = ["http://h"]
reset = { http = "POST https:///secret", exec = ["sleep", "${port}"] }
"#,
    );
    let problems = folder.problems();
    assert_eq!(
        problems,
        [
            "g.toml:2:19 `watchdog.memory.warning`, 0.85, is not below `critical`, which is 0.85",
            "g.toml:4:22 `watchdog.notify.webhook`: this is no URL that can be asked",
            "g.toml:4:56 `watchdog.notify.exec` names no program",
            "g.toml:7:32 service `a`: `limits.processes.warning`, 9, is not below `critical`, which is 9",
            "g.toml:8:17 service `a`: `limits.growth`: 180s hold fewer than 4 samples, of which there is one every 60s",
            "g.toml:11:18 `remote.r.reset`: `http`: `POST https:///secret` is not method and URL such as \"POST https://host/restart\"",
        ]
    );
    let folder = Folder::toml(
        "[remote.r]\nurls = [\"http://h\"]\nreset = { http = \"POST https://u:secret@h\", exec = [\"sleep\", \"${port}\"] }\n",
    );
    let problems = folder.problems();
    assert_eq!(
        problems,
        [
            "g.toml:3:18 remote `r`: `reset.http`: this is no URL that can be asked",
            "g.toml:3:62 `${port}` stands for nothing here",
        ]
    );
}

#[test]
fn pauses_that_would_never_end_or_ask_all_the_time_are_refused() {
    let folder = Folder::new()
        .set("watchdog.interval=0s")
        .set("watchdog.actor_heartbeat=0s")
        .set("watchdog.runaway.double_within=0s")
        .set("watchdog.bundle_keep=0")
        .set("defaults.service.alive.busy_timeout=0s")
        .set("defaults.service.alive.generation.timeout=0s")
        .set("defaults.service.limits.growth=1MiB/0s")
        .set("defaults.service.cleanup.last_resort_after=-1");
    assert_eq!(folder.problems().len(), 8, "{:?}", folder.problems());
}

/// An engine that can be asked for a token.
struct Heron;

impl Engine for Heron {
    fn name(&self) -> &str {
        "heron"
    }

    fn generation(&self, model: Option<&str>) -> Option<HttpCall> {
        Some(HttpCall::new("POST", format!("/one/{}", model?)))
    }
}

fn with_heron(text: &str) -> Folder {
    let mut folder = Folder::toml(text);
    folder.sources.engines = Engines::default().with(Heron);
    folder
}

#[test]
fn a_token_is_asked_of_engines_that_can_make_one() {
    let text = r#"
[service.s]
command = ["sleep", "${port}"]
engine = "heron"
alive.generation = { every = "5m", timeout = "7s" }
"#;
    let spec = with_heron(text).loaded().spec;
    let s = service(&spec, "s");
    let expected = GenerationSpec { every: Duration::from_secs(300), timeout: Duration::from_secs(7) };
    assert_eq!((s.alive.generation, s.port), (Some(expected), Some(PortSpec::Assigned)));
    let text = r#"
[service.a]
command = "sleep 1"
alive.generation.every = "5m"
[service.b]
command = "sleep 1"
engine = "heron"
alive.generation.every = "5m"
"#;
    let errors = with_heron(text).load().map(|_| ()).expect_err("it should not be taken");
    let messages: Vec<&str> = errors.0.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "service `a`: alive.generation: the engine `generic` cannot be asked for a token",
            "service `b`: `alive.generation` asks its port, and nothing tells the program which one that is",
        ]
    );
    let help = errors.0[0].help.as_deref().expect("a help");
    assert!(help.contains("engines that can: ") && help.contains("heron"), "{help}");
}
