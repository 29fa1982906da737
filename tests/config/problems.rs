//! What is refused, where it is said to be, and how it is said.

use greenroom::{Config, ServiceConfig};

use crate::folder::Folder;

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let folder = Folder::toml(
        r#"[runtime]
porst = "1-2"
ports = "20-10"
containment = "shims"

[service.a]
command = ["sleep", 1]
restart.max = -1
ready.timeout = "5 parsecs"
depends_on = { b = "ready" }

[service.b]
comand = ["sleep", "1"]
port = "8080"
depends_on.a = "redy"

[service."bad name"]
command = "sleep 'x"

[service.c]
engine = "lama-server"
gpu = true
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:2:1 unknown key `runtime.porst`",
            "g.toml:3:9 `runtime.ports`: `20-10` is not a range of ports such as \"10800-10999\"",
            "g.toml:4:15 `runtime.containment`: `shims` is not one of \"auto\", \"cgroup\", \"shim\", \"namespace\"",
            "g.toml:7:21 `service.a.command`: expected a string, found 1",
            "g.toml:8:15 `service.a.restart.max`: -1 is out of range: expected a whole number from 0 to 1000000",
            "g.toml:9:17 `service.a.ready.timeout`: expected \"auto\", or a duration of at least 1ms such as \"30s\", found \"5 parsecs\"",
            "g.toml:13:1 unknown key `service.b.comand`",
            "g.toml:14:8 `service.b.port`: expected a whole number from 0 to 65535, found \"8080\"",
            "g.toml:15:16 `service.b.depends_on.a`: `redy` is not one of \"started\", \"ready\", \"completed\"",
            "g.toml:17:10 `bad name` cannot name a service: ` ` cannot stand there: use letters, digits, `.`, `_` and `-`, and begin with a letter or digit",
            "g.toml:20:10 service `c` has no `command`",
            "g.toml:21:10 `service.c.engine`: `lama-server` is not one of \"auto\", \"llama-server\", \"sd-server\", \"sd-cpp\", \"comfyui\", \"a1111\", \"vllm\", \"generic\"",
            "g.toml:22:7 `service.c.gpu`: expected a whole number from 0 to 255, or a string that is not empty, or a list, each member a whole number from 0 to 255, or a string that is not empty, found true",
        ]
    );
}

#[test]
fn a_problem_shows_the_line_and_what_was_meant() {
    let folder = Folder::toml("[service.a]\ncommand = [\"sleep\", \"1\"]\nrestart.polcy = \"never\" # ä\n");
    let errors = folder.load().map(|_| ()).unwrap_err();
    let place = folder.dir.path().join("g.toml");
    assert_eq!(
        errors.to_string(),
        format!(
            "{}:3:9: unknown key `service.a.restart.polcy`\n  |\n3 | restart.polcy = \"never\" # ä\n  |         ^^^^^\nhelp: did you mean `policy`?",
            place.display()
        )
    );
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json[0]["place"]["line"], 3);
    assert_eq!(json[0]["help"], "did you mean `policy`?");
}

#[test]
fn yaml_and_json_have_places_too() {
    let yaml =
        Folder::with("g.yaml", "service:\n  a:\n    command: sleep 1\n    restart:\n      maxx: 1\n    port: x\n");
    assert_eq!(
        yaml.problems(),
        [
            "g.yaml:5:7 unknown key `service.a.restart.maxx`",
            "g.yaml:6:11 `service.a.port`: expected a whole number from 0 to 65535, found \"x\"",
        ]
    );
    let json = Folder::with("g.json", "{ \"service\": { \"ä\": {}, \"a\": { \"comand\": [] } } }");
    let problems = json.problems();
    assert!(problems.iter().any(|p| p.starts_with("g.json:1:16 `ä` cannot name a service")), "{problems:?}");
    assert!(problems.contains(&"g.json:1:32 unknown key `service.a.comand`".to_owned()), "{problems:?}");
}

#[test]
fn a_bad_name_in_code_is_told_once() {
    let service = ServiceConfig::new("bad name").command(["sleep", "1"]).set("restart.max", 3);
    let problems = Config::new().service(service).read().expect_err("a bad name").0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.starts_with("`bad name` cannot name a service"), "{problems:?}");
}

#[test]
fn problems_of_variables_and_arguments_name_them() {
    let folder = Folder::new()
        .variable("GREENROOM__RUNTIME__PROTS", "1-2")
        .variable("GREENROOM__RUNTIME__PORTS", "x")
        .set("runtime.guardian=sometimes")
        .set("nothing");
    assert_eq!(
        folder.problems(),
        [
            "env GREENROOM__RUNTIME__PORTS `runtime.ports`: `x` is not a range of ports such as \"10800-10999\"",
            "env GREENROOM__RUNTIME__PROTS unknown key `runtime.prots`",
            "--set runtime.guardian `runtime.guardian`: `sometimes` is not one of \"required\", \"best_effort\"",
            "--set `nothing` has no `=`",
        ]
    );
}

#[test]
fn what_services_are_to_one_another_is_checked() {
    let folder = Folder::toml(
        r#"[service.a]
command = "sleep 1"
port = 8080
depends_on = { b = "ready" }
[service.b]
command = "sleep 1"
port = 8080
depends_on = { c = "ready" }
[service.c]
command = "sleep 1"
depends_on = { a = "ready", c = "ready", aa = "started" }
serves = ["m", "a"]
[service.d]
command = "sleep 1"
serves = ["m"]
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:4:16 dependency cycle: a -> b -> c -> a",
            "g.toml:7:8 services `a` and `b` have one port, 8080",
            "g.toml:11:29 service `c` depends on itself",
            "g.toml:11:42 service `c` depends on `aa`, which is no service",
            "g.toml:12:16 service `a` and service `c` have one client name, `a`",
            "g.toml:15:11 service `c` and service `d` have one client name, `m`",
        ]
    );
}

#[test]
fn remotes_and_doors_are_checked() {
    let folder = Folder::toml(
        r#"[gateway]
listen = ["127.0.0.1:1", "0.0.0.0:2"]
[log]
level = "inof"
[remote.r]
engine = "a1111"
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:2:26 `gateway.listen`: `0.0.0.0:2` is open to others without a key",
            "g.toml:4:9 `log.level`: `inof` is no level",
            "g.toml:5:9 remote `r` has no `urls`",
        ]
    );
}

#[test]
fn duplicate_keys_and_syntax_errors_have_places() {
    let duplicate = Folder::toml("[runtime]\nname = \"a\"\nname = \"b\"\n[service.a]\ncomand = 1\n");
    assert_eq!(duplicate.problems(), ["g.toml:3:1 duplicate key", "g.toml:5:1 unknown key `service.a.comand`"]);
    let broken = Folder::toml("[runtime\nname = \"a\n");
    assert!(broken.problems()[0].starts_with("g.toml:1:"), "{:?}", broken.problems());
    let yaml = Folder::with("g.yaml", "service:\n  a: [\n");
    assert!(yaml.problems()[0].starts_with("g.yaml:"), "{:?}", yaml.problems());
}

#[test]
fn pauses_that_would_be_busy_loops_are_refused() {
    let folder = Folder::new()
        .set("runtime.shutdown.deadline=0s")
        .set("defaults.service.alive.interval=1us")
        .set("defaults.service.ready.interval=0s..1s")
        .set("defaults.service.ready.timeout=0s")
        .set("log.service_logs.max_size=0B");
    let problems = folder.problems();
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(problems[1].contains("`1us` is not a duration of at least 1ms"), "{problems:?}");
    let least = Folder::new().set("defaults.service.alive.interval=1ms").set("defaults.service.stop.grace=0s");
    assert!(least.load().is_ok());
}

#[test]
fn numbers_and_words_of_yaml_are_what_they_look_like_and_names_may_be_both() {
    let folder = Folder::with("g.yaml", "service:\n  1:\n    command: [sleep, \"1\"]\n    inherit_env: no\n    env:\n");
    assert_eq!(
        folder.problems(),
        [
            "g.yaml:4:18 `service.1.inherit_env`: expected true or false, or a list, each member a string that is not empty, found \"no\""
        ]
    );
}
