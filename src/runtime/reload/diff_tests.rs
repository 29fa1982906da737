//! What a change of every key means.

use std::{path::Path, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::config::{Sources, load_text};

fn spec(text: &str) -> RuntimeSpec {
    let sources = Sources { env: vec![("HOME".to_owned(), "/".to_owned())], ..Sources::default() };
    let loaded = load_text("greenroom.toml", text, Path::new("/"), &sources);
    loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}")).spec
}

fn one(line: &str) -> RuntimeSpec {
    spec(&format!("[service.web]\ncommand = [\"/bin/sleep\", \"${{port}}\"]\n{line}\n"))
}

const NEEDS: &str = "[resources]\ncustom.npu = 2\n";

fn changed(line: &str) -> Change {
    let plan = plan(&one(""), &one(line)).expect("no circle");
    assert_eq!(plan.services.len(), 1);
    plan.services[0].1.clone()
}

#[test]
fn what_is_no_part_of_the_process_is_live_and_the_rest_restarts() {
    let live = [
        ("serves", "serves = [\"other\"]"),
        ("owner_check", "owner_check = false"),
        ("start", "start = \"manual\""),
        ("ready.probe", "ready.probe = \"/health\""),
        ("ready.timeout", "ready.timeout = \"7s\""),
        ("ready.interval", "ready.interval = \"7ms..8ms\""),
        ("alive.probe", "alive.probe = { tcp = true }"),
        ("alive.interval", "alive.interval = \"7s\""),
        ("alive.timeout", "alive.timeout = \"7s\""),
        ("alive.failures", "alive.failures = 7"),
        ("restart.policy", "restart.policy = \"never\""),
        ("restart.max", "restart.max = 7"),
        ("restart.backoff", "restart.backoff = \"7s..8s\""),
        ("restart.reset_after", "restart.reset_after = \"7s\""),
        ("stop.signal", "stop.signal = \"SIGINT\""),
        ("stop.grace", "stop.grace = \"7s\""),
        ("stop.http", "stop.http = \"POST /end\""),
        ("stop.exec", "stop.exec = [\"/bin/true\"]"),
        ("failure", "failure = [{ pattern = \"x\", class = \"nan\" }]"),
        ("vram", "vram = \"7GiB\""),
        ("ram", "ram = { idle = \"1MiB\", peak = \"7MiB\" }"),
        ("priority", "priority = 7"),
        ("pinned", "pinned = true"),
        ("idle_timeout", "idle_timeout = \"7s\""),
        ("wake_on", "wake_on = [\"POST /prompt\"]"),
        ("busy", "busy = { http = \"/queue\", nonempty = [\"running\"] }"),
        ("offload.drain", "offload.drain = \"7s\""),
        ("offload.reload", "offload.reload = \"when_free\""),
        ("offload.retries", "offload.retries = 7"),
        ("offload.backoff", "offload.backoff = \"7s..8s\""),
        ("upstream_model", "upstream_model = \"own\""),
        ("limits", "limits.ram = \"7GiB\""),
        ("limits", "limits.growth = \"7MiB/7m\""),
        ("limits", "limits.processes = { warning = 7 }"),
        ("alive.busy_timeout", "alive.busy_timeout = \"7s\""),
        ("cleanup", "cleanup.last_resort_after = 7"),
        ("max_concurrency", "max_concurrency = 7"),
    ];
    for (key, line) in live {
        assert_eq!(changed(line), Change::Live { keys: vec![key] }, "{line}");
    }
    let restart = [
        ("engine", "engine = \"vllm\""),
        ("model_file", "model_file = \"/bin/sh\""),
        ("env", "env.A = \"1\""),
        ("inherit_env", "inherit_env = false"),
        ("working_dir", "working_dir = \"/tmp\""),
        ("port", "port = 7777"),
        ("gpu_layers", "gpu_layers = 7"),
        ("gpu", "gpu = [1, 0]"),
    ];
    for (key, line) in restart {
        assert!(matches!(changed(line), Change::Restart { keys } if keys.contains(&key)), "{line}");
    }
    let with = |line: &str| spec(&format!("{NEEDS}[service.web]\ncommand = [\"/bin/sleep\"]\n{line}\n"));
    let plan_of = |line: &str| plan(&with(""), &with(line)).expect("no circle").services.remove(0).1;
    assert_eq!(plan_of("needs.npu = 1"), Change::Live { keys: vec!["needs"] });
    let sleeping = |how: &str| one(&format!("engine = \"comfyui\"\noffload.how = \"{how}\""));
    let plan_of = plan(&sleeping("stop"), &sleeping("sleep")).expect("no circle");
    assert_eq!(plan_of.services[0].1, Change::Live { keys: vec!["offload.how"] });
    let both = spec("[service.web]\ncommand = [\"/bin/sleep\", \"2\", \"${port}\"]\nrestart.max = 7\n");
    let plan = plan(&one(""), &both).expect("no circle");
    assert_eq!(plan.services[0].1, Change::Restart { keys: vec!["command", "restart.max"] });
}

#[test]
fn what_the_runtime_was_started_with_waits_for_its_next_start() {
    let lines = [
        ("runtime.name", "[runtime]\nname = \"studio\""),
        ("runtime.ports", "[runtime]\nports = \"20000-20001\""),
        ("runtime.containment", "[runtime]\ncontainment = \"cgroup\""),
        ("runtime.guardian", "[runtime]\nguardian = \"best_effort\""),
        ("runtime.shutdown.drain", "[runtime]\nshutdown.drain = \"7s\""),
        ("runtime.shutdown.deadline", "[runtime]\nshutdown.deadline = \"7s\""),
        ("history.path", "[history]\npath = \"/h.db\""),
        ("history.retain", "[history]\nretain = \"7d\""),
        ("history.max_size", "[history]\nmax_size = \"7MiB\""),
        ("log.service_logs.max_size", "[log]\nservice_logs.max_size = \"7MiB\""),
        ("log.service_logs.keep", "[log]\nservice_logs.keep = 7"),
        ("gateway.listen", "[gateway]\nlisten = []"),
        ("gateway.api_keys", "[gateway]\napi_keys = [\"k\"]"),
        ("gateway.default_model", "[gateway]\ndefault_model = \"web\""),
        ("gateway.max_body", "[gateway]\nmax_body = \"7MiB\""),
        ("gateway.max_connections", "[gateway]\nmax_connections = 7"),
        ("gateway.header_timeout", "[gateway]\nheader_timeout = \"7s\""),
        ("gateway.cors_origins", "[gateway]\ncors_origins = [\"http://a\"]"),
        ("gateway.loading_comments", "[gateway]\nloading_comments = false"),
        ("gateway.queue.max_waiting", "[gateway]\nqueue.max_waiting = 7"),
        ("gateway.queue.max_wait", "[gateway]\nqueue.max_wait = \"7s\""),
        ("gateway.queue.fairness", "[gateway]\nqueue.fairness = \"7s\""),
        ("watchdog.enabled", "[watchdog]\nenabled = false"),
        ("watchdog.interval", "[watchdog]\ninterval = \"7s\""),
        ("watchdog.memory.warning", "[watchdog]\nmemory.warning = 0.7"),
        ("watchdog.memory.critical", "[watchdog]\nmemory.critical = 0.97"),
        ("watchdog.runaway.double_within", "[watchdog]\nrunaway.double_within = \"7s\""),
        ("watchdog.actor_heartbeat", "[watchdog]\nactor_heartbeat = \"7s\""),
        ("watchdog.bundle_on", "[watchdog]\nbundle_on = [\"emergency\"]"),
        ("watchdog.bundle_min_interval", "[watchdog]\nbundle_min_interval = \"7s\""),
        ("watchdog.bundle_keep", "[watchdog]\nbundle_keep = 7"),
        ("watchdog.notify", "[watchdog]\nnotify.exec = [\"/bin/true\"]"),
        ("metrics.enabled", "[metrics]\nenabled = false"),
        ("remote", "[remote.pod]\nurls = [\"http://a\"]"),
        ("resources.gpu_backend", "[resources]\ngpu_backend = \"none\""),
        ("resources.nvml_library", "[resources]\nnvml_library = \"/x.so\""),
        ("resources.vram_reserve", "[resources]\nvram_reserve = \"7MiB\""),
        ("resources.vram_limit", "[resources]\nvram_limit = 0.7"),
        ("resources.ram_reserve", "[resources]\nram_reserve = \"7MiB\""),
        ("resources.ram_limit", "[resources]\nram_limit = \"7GiB\""),
        ("resources.reclaim_timeout", "[resources]\nreclaim_timeout = \"7s\""),
        ("resources.calibrate", "[resources]\ncalibrate = false"),
        ("resources.custom", NEEDS),
        ("resources.gpu", "[[resources.gpu]]\nmemory = \"7GiB\""),
    ];
    for (key, line) in lines {
        let (old, new) = (one(""), one(line));
        assert_eq!(plan(&old, &new).map(|plan| plan.next_start), Ok(vec![key]));
        let kept = in_force(&old, new.clone());
        assert_eq!(plan(&kept, &new).map(|plan| plan.next_start), Ok(vec![key]), "it is told again");
    }
    let (old, new) = (one(""), one("[runtime]\nstate_dir = \"/elsewhere\""));
    assert_eq!(plan(&old, &new).map(|plan| plan.next_start), Ok(vec!["runtime.state_dir", "history.path"]));
}

#[test]
fn a_door_of_its_own_is_no_reason_to_touch_a_service() {
    assert_eq!(changed("listen = \"127.0.0.1:1\""), Change::Unchanged);
}

#[test]
fn what_goes_goes_before_what_it_needs_and_what_comes_comes_after() {
    let service = |name: &str, needs: &[&str]| {
        let needs: String = needs.iter().map(|n| format!("depends_on.{n} = \"ready\"\n")).collect();
        format!("[service.{name}]\ncommand = [\"/bin/true\"]\n{needs}")
    };
    let old = spec(&[service("api", &["db"]), service("db", &[]), service("log", &[])].concat());
    let new = spec(&[service("web", &["log", "cache"]), service("cache", &[]), service("log", &[])].concat());
    let plan = plan(&old, &new).expect("no circle");
    let names = |names: &Vec<ServiceName>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(plan.removed.iter().map(names).collect::<Vec<_>>(), [["api"], ["db"]]);
    let at = |name: &str| plan.services.iter().position(|(n, _)| n.as_str() == name).expect("planned");
    assert!(at("cache") < at("web") && at("log") < at("web"));
    assert_eq!(plan.services[at("log")].1, Change::Unchanged);
    assert_eq!(plan.services[at("web")].1, Change::Added);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Carrying a plan out leaves nothing to do but what waits for the next start.
    #[test]
    fn a_plan_carried_out_is_nothing_the_second_time(
        before in prop::collection::btree_map("[a-d]", (0u32..3, 1u64..3), 0..4),
        after in prop::collection::btree_map("[a-d]", (0u32..3, 1u64..3), 0..4),
        deadline in 1u64..3,
    ) {
        let build = |services: &std::collections::BTreeMap<String, (u32, u64)>| {
            let text = |(name, (max, sleep)): (&String, &(u32, u64))| {
                format!("[service.{name}]\ncommand = [\"/bin/sleep\", \"{sleep}\"]\nrestart.max = {max}\n")
            };
            spec(&services.iter().map(text).collect::<String>())
        };
        let (old, mut new) = (build(&before), build(&after));
        new.shutdown.deadline = Duration::from_secs(deadline);
        let first = plan(&old, &new).expect("no circle");
        prop_assert_eq!(first.removed.concat().len(), before.keys().filter(|name| !after.contains_key(*name)).count());
        for (name, change) in &first.services {
            let (was, is) = (before.get(name.as_str()), after[name.as_str()]);
            let expected = match was {
                None => Change::Added,
                Some(was) if *was == is => Change::Unchanged,
                Some(was) if was.1 == is.1 => Change::Live { keys: vec!["restart.max"] },
                Some(was) if was.0 == is.0 => Change::Restart { keys: vec!["command"] },
                Some(_) => Change::Restart { keys: vec!["command", "restart.max"] },
            };
            prop_assert_eq!(change, &expected);
        }
        let again = plan(&in_force(&old, new.clone()), &new).expect("no circle");
        prop_assert!(again.removed.is_empty());
        prop_assert!(again.services.iter().all(|(_, change)| *change == Change::Unchanged));
        prop_assert_eq!(again.next_start, first.next_start);
    }
}
